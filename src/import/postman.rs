//! A Postman collection (2.0 or 2.1) → its requests, with the collection's own variables filled in.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::parts::{basic, body, follows_from, is_own_header, set_url};
use super::sample::{Body, ImportError, Imported, Sample};

/// How deep folders are followed.
const DEEPEST: usize = 32;

type Variables = BTreeMap<String, String>;

/// The requests of a collection, folders and all.
pub fn from_postman(text: &str) -> Result<Imported, ImportError> {
    let json: Json = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| ImportError::new(format!("not a Postman collection: it is not JSON ({error})")))?;
    // The programming interface wraps the collection once more.
    let collection = json.get("collection").unwrap_or(&json);
    let items = collection.get("item").and_then(Json::as_array).ok_or_else(|| {
        ImportError::new("not a Postman collection: it has no list `item`").hint("export it as “Collection v2.1”")
    })?;
    let mut reader = Reader { variables: variables(collection), imported: Imported::default() };
    reader.items(items, auth(collection), 0);
    Ok(reader.imported)
}

fn variables(collection: &Json) -> Variables {
    let listed = collection.get("variable").and_then(Json::as_array).into_iter().flatten();
    let pair = |one: &Json| {
        let name = one.get("key").or_else(|| one.get("id"))?.as_str()?;
        Some((name.to_owned(), text_of(one.get("value")?)))
    };
    listed.filter_map(pair).collect()
}

fn text_of(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn auth(place: &Json) -> Option<&Json> {
    place.get("auth").filter(|auth| auth.is_object())
}

struct Reader {
    variables: Variables,
    imported: Imported,
}

impl Reader {
    fn items(&mut self, items: &[Json], inherited: Option<&Json>, depth: usize) {
        for item in items {
            let auth = auth(item).or(inherited);
            if let Some(inner) = item.get("item").and_then(Json::as_array).filter(|_| depth < DEEPEST) {
                self.items(inner, auth, depth + 1);
            } else if let Some(request) = item.get("request") {
                match self.sample(request, auth) {
                    Ok(sample) => self.imported.samples.push(sample),
                    Err(error) => {
                        let name = item.get("name").and_then(Json::as_str).unwrap_or("a request");
                        self.imported.notes.push(format!("“{name}” is left out: {error}"));
                    }
                }
            }
        }
    }

    fn sample(&self, request: &Json, inherited: Option<&Json>) -> Result<Sample, ImportError> {
        let mut sample = Sample { method: "GET".to_owned(), ..Sample::default() };
        let url = match request {
            Json::String(url) => self.filled(url),
            _ => self.url(request.get("url").ok_or_else(|| ImportError::new("it has no URL"))?)?,
        };
        set_url(&mut sample, &url)?;
        self.name_parameters(request, &mut sample);
        if let Some(method) = request.get("method").and_then(Json::as_str) {
            sample.method = method.to_ascii_uppercase();
        }
        let headers = self.headers(request);
        let kind = headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str());
        sample.body = self.body(request, kind)?;
        let own = headers.iter().filter(|(name, _)| is_own_header(name));
        let own = own.filter(|(name, value)| name != "content-type" || !follows_from(&sample.body, value));
        sample.headers = own.cloned().collect();
        if !sample.headers.iter().any(|(name, _)| name == "authorization") {
            let auth = auth(request).or(inherited).and_then(|auth| self.authorization(auth));
            sample.headers.extend(auth.map(|value| ("authorization".to_owned(), value)));
        }
        Ok(sample)
    }

    fn url(&self, url: &Json) -> Result<String, ImportError> {
        let raw = url.as_str().or_else(|| url.get("raw").and_then(Json::as_str));
        let raw = raw.ok_or_else(|| ImportError::new("its URL has no text"))?;
        let mut text = self.filled(raw);
        for (name, value) in path_variables(url) {
            text = text.replace(&format!("/:{name}"), &format!("/{}", if value.is_empty() { name } else { value }));
        }
        Ok(text)
    }

    /// What the segments of a path stand for: `:id`.
    fn name_parameters(&self, request: &Json, sample: &mut Sample) {
        let listed = request.pointer("/url/path").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        // A variable may stand before the path and have segments of its own, so they are counted from the end.
        for (slot, segment) in sample.parameters.iter_mut().rev().zip(listed.iter().rev()) {
            *slot = segment.as_str().and_then(|text| text.strip_prefix(':')).map(str::to_owned);
        }
    }

    fn headers(&self, request: &Json) -> Vec<(String, String)> {
        let listed = request.get("header").and_then(Json::as_array).into_iter().flatten();
        listed.filter_map(|one| self.pair(one)).map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
    }

    /// Key and value of an entry that is not switched off.
    fn pair(&self, one: &Json) -> Option<(String, String)> {
        if one.get("disabled").and_then(Json::as_bool) == Some(true) {
            return None;
        }
        let value = one.get("value").map(text_of).unwrap_or_default();
        Some((self.filled(one.get("key")?.as_str()?), self.filled(&value)))
    }

    fn body(&self, request: &Json, kind: Option<&str>) -> Result<Body, ImportError> {
        let Some(given) = request.get("body").filter(|body| body.is_object()) else { return Ok(Body::None) };
        let fields = |name: &str| -> Vec<(String, String)> {
            given.get(name).and_then(Json::as_array).into_iter().flatten().filter_map(|one| self.pair(one)).collect()
        };
        match given.get("mode").and_then(Json::as_str) {
            Some("raw") => {
                let text = self.filled(given.get("raw").and_then(Json::as_str).unwrap_or_default());
                let language = given.pointer("/options/raw/language").and_then(Json::as_str);
                let looks = serde_json::from_str::<Json>(&text).is_ok_and(|json| json.is_object() || json.is_array());
                let json = language == Some("json") || (kind.is_none() && looks);
                body(if json { Some("application/json") } else { kind }, &text)
            }
            Some("urlencoded") => Ok(Body::Form(fields("urlencoded"))),
            Some("formdata") => Ok(Body::Multipart(fields("formdata"))),
            Some("graphql") => Ok(Body::Json(given.get("graphql").cloned().unwrap_or_default())),
            Some("file") => Err(ImportError::new("its body is a file")),
            _ => Ok(Body::None),
        }
    }

    fn authorization(&self, auth: &Json) -> Option<String> {
        let part = |kind: &str, key: &str| {
            let given = auth.get(kind)?;
            let value = match given.as_array() {
                Some(list) => {
                    list.iter().find(|one| one.get("key").and_then(Json::as_str) == Some(key))?.get("value")?
                }
                // In 2.0 they are the fields of an object.
                None => given.get(key)?,
            };
            Some(self.filled(&text_of(value)))
        };
        match auth.get("type").and_then(Json::as_str)? {
            "bearer" => part("bearer", "token").map(|token| format!("Bearer {token}")),
            "basic" => {
                let pair = format!("{}:{}", part("basic", "username")?, part("basic", "password").unwrap_or_default());
                Some(basic(&pair))
            }
            _ => None,
        }
    }

    /// The text with variables filled in; one without a value leaves its name.
    fn filled(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, behind)) = after.split_once("}}") else { break };
            filled.push_str(before);
            let name = name.trim();
            filled.push_str(self.variables.get(name).map_or(name.trim_start_matches('$'), String::as_str));
            rest = behind;
        }
        filled.push_str(rest);
        filled
    }
}

fn path_variables(url: &Json) -> Vec<(&str, &str)> {
    let listed = url.get("variable").and_then(Json::as_array).into_iter().flatten();
    let mut pairs: Vec<(&str, &str)> = listed
        .filter_map(|one| {
            Some((one.get("key")?.as_str()?, one.get("value").and_then(Json::as_str).unwrap_or_default()))
        })
        .collect();
    // The longest first: `:id` begins `:idOfShop`.
    pairs.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    pairs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn folders_variables_and_bodies_are_read() {
        let collection = json!({
            "info": { "name": "x", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json" },
            "variable": [{ "key": "baseUrl", "value": "http://localhost:3000/api" }, { "key": "t", "value": "tok" }],
            "auth": { "type": "bearer", "bearer": [{ "key": "token", "value": "{{t}}" }] },
            "item": [
                { "name": "folder", "item": [
                    { "name": "make", "request": { "method": "POST", "url": { "raw": "{{baseUrl}}/shops/:shop/orders?x=1",
                        "path": ["shops", ":shop", "orders"], "variable": [{ "key": "shop", "value": "s7" }] },
                        "header": [{ "key": "X-A", "value": "1" }, { "key": "X-B", "value": "1", "disabled": true }],
                        "body": { "mode": "raw", "raw": "{\"sku\": \"{{$guid}}\"}" } } } ] },
                { "name": "form", "request": { "method": "POST", "url": "{{baseUrl}}/form", "auth": { "type": "noauth" },
                    "body": { "mode": "urlencoded", "urlencoded": [{ "key": "a", "value": "b c" }] } } },
                { "name": "plain", "request": "http://h/ping" },
                { "name": "file", "request": { "method": "POST", "url": "http://h/f", "body": { "mode": "file" } } },
            ],
        });
        let imported = from_postman(&collection.to_string()).unwrap();
        let routes: Vec<String> = imported.samples.iter().map(Sample::route).collect();
        assert_eq!(routes, ["POST /api/shops/{shop}/orders", "POST /api/form", "GET /ping"]);
        let made = &imported.samples[0];
        assert_eq!(made.path(), "/api/shops/s7/orders");
        assert_eq!(made.body, Body::Json(json!({ "sku": "guid" })));
        let headers = [("x-a", "1"), ("authorization", "Bearer tok")];
        assert_eq!(made.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(imported.samples[1].body, Body::Form(vec![("a".into(), "b c".into())]));
        assert!(imported.samples[1].headers.is_empty());
        assert!(imported.notes[0].contains("“file” is left out"), "{:?}", imported.notes);
    }

    #[test]
    fn a_log_in_is_read_in_the_form_of_either_version() {
        let of = |auth: Json| {
            let item = json!({ "request": { "method": "POST", "url": "http://h/x", "auth": auth } });
            let collection = json!({ "variable": [{ "key": "t", "value": "tok" }], "item": [item] });
            from_postman(&collection.to_string()).unwrap().samples[0].headers.clone()
        };
        let header = |value: &str| vec![("authorization".to_owned(), value.to_owned())];
        let listed = json!([{ "key": "username", "value": "ann" }, { "key": "password", "value": "secret" }]);
        let object = json!({ "username": "ann", "password": "secret", "showPassword": false });
        for basic in [listed, object] {
            assert_eq!(of(json!({ "type": "basic", "basic": basic })), header("Basic YW5uOnNlY3JldA=="));
        }
        for bearer in [json!([{ "key": "token", "value": "{{t}}" }]), json!({ "token": "{{t}}" })] {
            assert_eq!(of(json!({ "type": "bearer", "bearer": bearer })), header("Bearer tok"));
        }
    }

    #[test]
    fn what_is_no_collection_is_refused() {
        for (text, what) in [("", "not JSON"), ("{}", "`item`"), ("[1]", "`item`")] {
            assert!(from_postman(text).unwrap_err().message.contains(what), "{text}");
        }
    }
}
