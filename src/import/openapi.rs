//! An OpenAPI document (3.x, or Swagger 2.0; JSON or YAML) → one request per operation, with example values.

use serde_json::Value as Json;

use super::parts::segments;
use super::sample::{Body, ImportError, Imported, Sample};
use super::schema::Schemas;

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "patch", "head", "options"];

/// The requests of a document.
pub fn from_openapi(text: &str) -> Result<Imported, ImportError> {
    let document = parse(text)?;
    let told = |key: &str| document.get(key).and_then(Json::as_str).is_some();
    let paths = document.get("paths").and_then(Json::as_object);
    let Some(paths) = paths.filter(|_| told("openapi") || told("swagger")) else {
        return Err(ImportError::new("not an OpenAPI document: it has no `openapi` (or `swagger`) with `paths`")
            .hint("many services have theirs at /openapi.json, /v3/api-docs or /swagger.json"));
    };
    let reader = Reader { schemas: Schemas::of(&document) };
    let mut imported = Imported::default();
    for (path, item) in paths {
        let item = reader.schemas.resolve(item);
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                imported.samples.push(reader.sample(path, item, method, operation));
            }
        }
    }
    if imported.samples.is_empty() {
        imported.notes.push("the document has no operations".to_owned());
    }
    Ok(imported)
}

/// JSON, or YAML, which JSON mostly is as well: the message is that of the form which it seems to have.
fn parse(text: &str) -> Result<Json, ImportError> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with(['{', '[']) {
        return serde_json::from_str(text)
            .map_err(|error| ImportError::new(format!("not an OpenAPI document: it is not JSON ({error})")));
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        ImportError::new(format!("not an OpenAPI document: it is neither JSON nor YAML ({first})"))
    })
}

struct Reader<'a> {
    schemas: Schemas<'a>,
}

impl<'a> Reader<'a> {
    fn sample(&self, path: &str, item: &'a Json, method: &str, operation: &'a Json) -> Sample {
        let parameters = self.parameters(item, operation);
        let example = |place: &str, name: &str| {
            let found = parameters.iter().find(|parameter| is(parameter, place, name));
            found.map_or_else(|| name.to_owned(), |parameter| plain(&self.of_parameter(parameter, name)))
        };
        let mut sample = Sample { method: method.to_ascii_uppercase(), ..Sample::default() };
        for segment in self.base().into_iter().chain(segments(path)) {
            let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).map(str::to_owned);
            sample.segments.push(name.as_ref().map_or(segment, |name| example("path", name)));
            sample.parameters.push(name);
        }
        for parameter in
            parameters.iter().filter(|parameter| parameter.get("required").and_then(Json::as_bool) == Some(true))
        {
            let Some(name) = parameter.get("name").and_then(Json::as_str) else { continue };
            match parameter.get("in").and_then(Json::as_str) {
                Some("query") => sample.query.push((name.to_owned(), example("query", name))),
                Some("header") => sample.headers.push((name.to_ascii_lowercase(), example("header", name))),
                _ => {}
            }
        }
        sample.body = self.body(operation, &parameters);
        sample
    }

    /// The path that all routes are below.
    fn base(&self) -> Vec<String> {
        let document = self.schemas.document;
        let server = document.pointer("/servers/0/url").and_then(Json::as_str);
        let path = match (server, document.get("basePath").and_then(Json::as_str)) {
            (Some(url), _) => {
                url.split_once("://").map_or(url, |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]))
            }
            (None, path) => path.unwrap_or_default(),
        };
        let whole = segments(path.trim_end_matches('/'));
        // A variable of the server's address has no value here.
        if whole.iter().any(|segment| segment.contains('{')) { Vec::new() } else { whole }
    }

    /// Those of the path and of the operation, which has the last word.
    fn parameters(&self, item: &'a Json, operation: &'a Json) -> Vec<&'a Json> {
        let of = |place: &'a Json| place.get("parameters").and_then(Json::as_array).into_iter().flatten();
        let all: Vec<&Json> = of(operation).chain(of(item)).map(|parameter| self.schemas.resolve(parameter)).collect();
        let mut kept: Vec<&Json> = Vec::new();
        for parameter in all {
            let key = |parameter: &Json| (parameter.get("in").cloned(), parameter.get("name").cloned());
            if !kept.iter().any(|other| key(other) == key(parameter)) {
                kept.push(parameter);
            }
        }
        kept
    }

    fn of_parameter(&self, parameter: &'a Json, name: &str) -> Json {
        let first = parameter.get("examples").and_then(Json::as_object).and_then(|all| all.values().next());
        let example = first.map(|one| self.schemas.resolve(one)).and_then(|one| one.get("value"));
        match parameter.get("example").or(example) {
            Some(example) => example.clone(),
            // Swagger 2.0 has the schema in the parameter itself.
            None => self.schemas.value(parameter.get("schema").unwrap_or(parameter), name),
        }
    }

    fn body(&self, operation: &'a Json, parameters: &[&'a Json]) -> Body {
        if let Some(body) = operation.get("requestBody") {
            return self.content(self.schemas.resolve(body));
        }
        if let Some(parameter) =
            parameters.iter().find(|parameter| parameter.get("in").and_then(Json::as_str) == Some("body"))
        {
            return Body::Json(self.schemas.value(parameter.get("schema").unwrap_or(parameter), "body"));
        }
        let fields: Vec<(String, String)> = parameters
            .iter()
            .filter(|parameter| parameter.get("in").and_then(Json::as_str) == Some("formData"))
            .filter_map(|parameter| {
                let name = parameter.get("name").and_then(Json::as_str)?;
                Some((name.to_owned(), plain(&self.of_parameter(parameter, name))))
            })
            .collect();
        if fields.is_empty() { Body::None } else { Body::Form(fields) }
    }

    /// The content that can be written down, JSON before forms.
    fn content(&self, body: &'a Json) -> Body {
        let kinds = body.get("content").and_then(Json::as_object);
        let of = |wanted: &str| {
            let found = kinds
                .into_iter()
                .flatten()
                .find(|(kind, _)| kind.contains(wanted) || (wanted == "json" && *kind == "*/*"));
            found.map(|(_, content)| self.example(content))
        };
        let fields = |value: Json| match value {
            Json::Object(fields) => fields.into_iter().map(|(name, value)| (name, plain(&value))).collect(),
            _ => Vec::new(),
        };
        if let Some(json) = of("json") {
            return Body::Json(json);
        }
        if let Some(form) = of("x-www-form-urlencoded") {
            return Body::Form(fields(form));
        }
        match of("multipart/form-data") {
            Some(form) => Body::Multipart(fields(form)),
            None => Body::None,
        }
    }

    fn example(&self, content: &'a Json) -> Json {
        let first = content.get("examples").and_then(Json::as_object).and_then(|all| all.values().next());
        let named = first.map(|one| self.schemas.resolve(one)).and_then(|one| one.get("value"));
        match (content.get("example").or(named), content.get("schema")) {
            (Some(example), _) => example.clone(),
            (None, Some(schema)) => self.schemas.value(schema, ""),
            (None, None) => Json::Object(serde_json::Map::new()),
        }
    }
}

fn is(parameter: &Json, place: &str, name: &str) -> bool {
    let has = |key: &str, wanted: &str| parameter.get(key).and_then(Json::as_str) == Some(wanted);
    has("in", place) && has("name", name)
}

/// A value as a text, which is encoded where it is sent.
fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const YAML: &str = r##"
openapi: 3.0.3
servers: [{ url: "https://api.example.com/v1/" }]
security: [{ token: [] }]
paths:
  /shops/{shop}/orders:
    parameters:
      - { name: shop, in: path, required: true, schema: { type: string, format: uuid } }
    post:
      parameters:
        - { name: dry, in: query, required: true, schema: { type: boolean } }
        - { name: page, in: query, schema: { type: integer } }
      requestBody:
        content:
          application/json:
            schema: { $ref: "#/components/schemas/Order" }
      responses: { "201": { description: made }, "409": { description: there }, default: { description: other } }
  /login:
    post:
      security: []
      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema:
              type: object
              required: [user, password]
              properties: { user: { type: string }, password: { type: string, minLength: 12 } }
      responses: { "200": { description: ok } }
components:
  schemas:
    Base: { type: object, required: [sku], properties: { sku: { type: string, example: A-1 } } }
    Order:
      allOf:
        - $ref: "#/components/schemas/Base"
        - type: object
          required: [email, count, lines]
          properties:
            email: { type: string, format: email }
            count: { type: integer, minimum: 3 }
            note: { type: string }
            state: { enum: [new, old], example: new }
            lines: { type: array, items: { $ref: "#/components/schemas/Line" } }
    Line: { type: object, properties: { next: { $ref: "#/components/schemas/Line" }, at: { type: string, format: date-time } } }
"##;

    #[test]
    fn operations_are_requests_with_example_values() {
        let imported = from_openapi(YAML).unwrap();
        let order = &imported.samples[0];
        assert_eq!(order.route(), "POST /v1/shops/{shop}/orders");
        assert_eq!(order.path(), "/v1/shops/123e4567-e89b-42d3-a456-426614174000/orders");
        assert_eq!(order.query, [("dry".to_owned(), "true".to_owned())]);
        let Body::Json(body) = &order.body else { panic!("{:?}", order.body) };
        assert_eq!(
            (&body["sku"], &body["email"], &body["count"]),
            (&json!("A-1"), &json!("someone@example.com"), &json!(3))
        );
        assert_eq!((&body["state"], body.get("note")), (&json!("new"), None));
        assert_eq!(body["lines"][0]["at"], json!("2030-01-15T10:00:00Z"));
        let login = &imported.samples[1];
        assert_eq!(
            login.body,
            Body::Form(vec![("user".into(), "user".into()), ("password".into(), "passwordxxxx".into())])
        );
    }

    #[test]
    fn the_older_form_is_read_as_well() {
        let document = json!({ "swagger": "2.0", "basePath": "/api", "paths": { "/pets/{id}": { "put": {
            "parameters": [ { "name": "id", "in": "path", "required": true, "type": "integer", "minimum": 5 },
                { "name": "pet", "in": "body", "schema": { "properties": { "name": { "type": ["null", "string"] } } } } ],
            "responses": { "200": {} } } } } });
        let imported = from_openapi(&document.to_string()).unwrap();
        assert_eq!(imported.samples[0].path(), "/api/pets/5");
        assert_eq!(imported.samples[0].body, Body::Json(json!({ "name": "name" })));
    }

    #[test]
    fn an_object_in_a_query_or_a_form_is_not_encoded_yet() {
        let filter = json!({ "name": "filter", "in": "query", "required": true, "example": { "a b": 1 } });
        let form = json!({ "application/x-www-form-urlencoded": { "example": { "tags": ["x y"] } } });
        let post = json!({ "parameters": [filter], "requestBody": { "content": form }, "responses": {} });
        let document = json!({ "openapi": "3.0.0", "paths": { "/pets": { "post": post } } });
        let sample = from_openapi(&document.to_string()).unwrap().samples.remove(0);
        assert_eq!(sample.query, [("filter".to_owned(), r#"{"a b":1}"#.to_owned())]);
        assert_eq!(sample.body, Body::Form(vec![("tags".to_owned(), r#"["x y"]"#.to_owned())]));
    }

    #[test]
    fn the_reference_service_is_read_whole() {
        let imported = from_openapi(include_str!("../service/openapi.json")).unwrap();
        assert_eq!(imported.samples.len(), 26);
        let made = imported.samples.iter().find(|sample| sample.route() == "POST /api/chats/create-or-get").unwrap();
        assert_eq!(made.body, Body::Json(json!({ "participantId": "bob" })));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for (text, what) in [
            ("{", "not JSON"),
            ("{}", "no `openapi`"),
            ("paths: {}", "no `openapi`"),
            ("a: [", "neither JSON nor YAML"),
            ("<html>", "OpenAPI document"),
            ("{\"openapi\": \"3.0.0\"}", "no `openapi` (or `swagger`) with `paths`"),
        ] {
            let error = from_openapi(text).unwrap_err();
            assert!(error.message.contains(what), "{text}: {error}");
        }
    }
}
