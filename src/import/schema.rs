//! A value that fits a JSON Schema, as an OpenAPI document has it: examples and defaults first, else the smallest that fits.

use std::cell::Cell;

use serde_json::{Map, Value as Json};

/// How deep schemas are followed: one may contain itself.
const DEEPEST: usize = 12;
/// Most parts of one value: a schema may contain itself several times over.
const MOST: u32 = 10_000;

/// The document that references point into.
pub(super) struct Schemas<'a> {
    pub(super) document: &'a Json,
    /// How many parts the value that is being made may still have.
    left: Cell<u32>,
}

impl<'a> Schemas<'a> {
    /// Of this document.
    pub(super) fn of(document: &'a Json) -> Self {
        Schemas { document, left: Cell::new(0) }
    }

    /// What a reference stands for; anything else is itself.
    pub(super) fn resolve(&self, value: &'a Json) -> &'a Json {
        let mut value = value;
        for _ in 0..DEEPEST {
            let Some(reference) = value.get("$ref").and_then(Json::as_str) else { return value };
            let target = reference.strip_prefix('#').and_then(|pointer| self.document.pointer(pointer));
            match target {
                Some(target) => value = target,
                None => return value,
            }
        }
        value
    }

    /// A value that fits; `name` is that of the field it is for.
    pub(super) fn value(&self, schema: &'a Json, name: &str) -> Json {
        self.left.set(MOST);
        self.at(schema, name, 0)
    }

    fn at(&self, schema: &'a Json, name: &str, depth: usize) -> Json {
        let Some(left) = self.left.get().checked_sub(1) else { return Json::Null };
        self.left.set(left);
        let schema = self.resolve(schema);
        let first = |key: &str| schema.get(key).and_then(Json::as_array).and_then(|list| list.first());
        let given = schema.get("example").or_else(|| first("examples")).or_else(|| schema.get("const"));
        if let Some(given) = given.or_else(|| schema.get("default")).or_else(|| first("enum")) {
            return given.clone();
        }
        if depth >= DEEPEST {
            return Json::Null;
        }
        if let Some(one) = first("oneOf").or_else(|| first("anyOf")) {
            return self.at(one, name, depth + 1);
        }
        if let Some(all) = schema.get("allOf").and_then(Json::as_array) {
            return self.merged(all.iter().chain([schema]), name, depth);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => {
                let item = schema.get("items").map(|items| self.at(items, name, depth + 1));
                Json::Array(item.into_iter().collect())
            }
            "integer" | "number" => number(schema),
            "boolean" => Json::Bool(true),
            "null" => Json::Null,
            _ => Json::String(text(schema, name)),
        }
    }

    fn merged(&self, parts: impl Iterator<Item = &'a Json>, name: &str, depth: usize) -> Json {
        let mut fields = Map::new();
        for part in parts {
            let part = self.resolve(part);
            // The schema that has the parts is one of them, without them.
            let value =
                if part.get("allOf").is_some() { self.object(part, depth + 1) } else { self.at(part, name, depth + 1) };
            if let Json::Object(own) = value {
                fields.extend(own);
            }
        }
        Json::Object(fields)
    }

    /// Required fields and those with examples; all, where none is required.
    fn object(&self, schema: &'a Json, depth: usize) -> Json {
        let required: Vec<&str> =
            schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
        let mut fields = Map::new();
        for (name, field) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
            let resolved = self.resolve(field);
            let shown = resolved.get("example").is_some() || resolved.get("examples").is_some();
            let read_only = resolved.get("readOnly").and_then(Json::as_bool) == Some(true);
            if (required.is_empty() || required.contains(&name.as_str()) || shown) && !read_only {
                fields.insert(name.clone(), self.at(field, name, depth + 1));
            }
        }
        Json::Object(fields)
    }
}

/// The type of a schema; of several, the first that is not null.
fn kind(schema: &Json) -> &str {
    match schema.get("type") {
        Some(Json::String(kind)) => kind,
        Some(Json::Array(kinds)) => {
            kinds.iter().filter_map(Json::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    }
}

fn number(schema: &Json) -> Json {
    let bound = |key: &str| schema.get(key).and_then(Json::as_i64);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|least| least + 1)).unwrap_or(1);
    Json::from(bound("maximum").map_or(least.max(1), |most| least.max(1).min(most)))
}

fn text(schema: &Json, name: &str) -> String {
    let plain = match schema.get("format").and_then(Json::as_str).unwrap_or_default() {
        "email" => "someone@example.com",
        "uuid" => "123e4567-e89b-42d3-a456-426614174000",
        "date" => "2030-01-15",
        "date-time" => "2030-01-15T10:00:00Z",
        "time" => "10:00:00",
        "uri" | "url" => "https://example.com/page",
        _ if name.is_empty() => "text",
        _ => name,
    };
    let least =
        schema.get("minLength").and_then(Json::as_u64).and_then(|least| usize::try_from(least).ok()).unwrap_or(0);
    let most = schema
        .get("maxLength")
        .and_then(Json::as_u64)
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or(usize::MAX);
    let long = plain.chars().chain(std::iter::repeat('x')).take(plain.chars().count().max(least.min(256)));
    long.take(most).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(value: &Json) -> usize {
        match value {
            Json::Object(fields) => 1 + fields.values().map(parts).sum::<usize>(),
            Json::Array(items) => 1 + items.iter().map(parts).sum::<usize>(),
            _ => 1,
        }
    }

    #[test]
    fn a_schema_that_contains_itself_several_times_has_a_bounded_value() {
        let own = || json!({ "$ref": "#/node" });
        let document = json!({ "node": { "properties": { "a": own(), "b": own(), "c": { "items": own() } } } });
        let schemas = Schemas::of(&document);
        // What one value took is no loss of the next one.
        for _ in 0..2 {
            let value = schemas.value(&document["node"], "");
            assert!(value.is_object() && parts(&value) > 5_000 && parts(&value) < 11_000, "{}", parts(&value));
        }
    }
}
