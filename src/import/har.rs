//! A HAR file, as a browser or a proxy exports it → its requests to an application: what pages load besides is left out.

use serde_json::Value as Json;

use super::parts::{body, decoded, follows_from, is_own_header, set_url};
use super::sample::{Body, ImportError, Imported, Sample};

/// The requests of a HAR file (1.1 or 1.2).
pub fn from_har(text: &str) -> Result<Imported, ImportError> {
    let json: Json = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        ImportError::new(format!("not a HAR file: it is not JSON ({error})"))
            .hint("in the browser's network panel choose “Save all as HAR”")
    })?;
    let entries = json.pointer("/log/entries").and_then(Json::as_array).ok_or_else(|| {
        ImportError::new("not a HAR file: it has no list at `log.entries`")
            .hint("in the browser's network panel choose “Save all as HAR”")
    })?;
    let mut imported = Imported::default();
    let mut left_out = 0;
    for (number, entry) in (1..).zip(entries) {
        match sample(entry) {
            Ok(Some(sample)) => imported.samples.push(sample),
            Ok(None) => left_out += 1,
            Err(error) => imported.notes.push(format!("entry {number} is left out: {error}")),
        }
    }
    if left_out > 0 {
        imported
            .notes
            .push(format!("{left_out} requests for pages, scripts, styles, images and the like are left out"));
    }
    Ok(imported)
}

/// The request of an entry; none where it loads a part of a page.
fn sample(entry: &Json) -> Result<Option<Sample>, ImportError> {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Json::as_str);
    let method = text("/request/method").ok_or_else(|| ImportError::new("it has no method"))?;
    let url = text("/request/url").ok_or_else(|| ImportError::new("it has no URL"))?;
    let answered = text("/response/content/mimeType").unwrap_or_default();
    if method == "OPTIONS" || !url.starts_with("http") || (method == "GET" && !answered.contains("json")) {
        return Ok(None);
    }
    let mut sample = Sample { method: method.to_ascii_uppercase(), ..Sample::default() };
    set_url(&mut sample, url)?;
    let kind = text("/request/postData/mimeType");
    sample.body = posted(entry, kind)?;
    sample.headers = headers(entry, &sample.body);
    Ok(Some(sample))
}

fn posted(entry: &Json, kind: Option<&str>) -> Result<Body, ImportError> {
    let text = entry.pointer("/request/postData/text").and_then(Json::as_str).unwrap_or_default();
    let fields =
        entry.pointer("/request/postData/params").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let pair = |field: &Json| {
        let part = |name: &str| field.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        (part("name"), part("value"))
    };
    match kind {
        // Without a list of its fields it is sent as it was, with its own border.
        Some(kind) if kind.starts_with("multipart/") && !fields.is_empty() => {
            Ok(Body::Multipart(fields.iter().map(pair).collect()))
        }
        Some(kind) if text.is_empty() && kind.contains("urlencoded") => {
            let plain = |(name, value): (String, String)| (decoded(&name), decoded(&value));
            Ok(Body::Form(fields.iter().map(pair).map(plain).collect()))
        }
        kind => body(kind, text),
    }
}

fn headers(entry: &Json, body: &Body) -> Vec<(String, String)> {
    let listed = entry.pointer("/request/headers").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let header = |header: &Json| {
        let part = |name: &str| header.get(name).and_then(Json::as_str);
        Some((part("name")?.to_ascii_lowercase(), part("value")?.to_owned()))
    };
    let own = listed.iter().filter_map(header).filter(|(name, _)| is_own_header(name));
    let mut headers: Vec<_> =
        own.filter(|(name, value)| name != "content-type" || !follows_from(body, value)).collect();
    // Exports without sensitive data leave the header out and list the cookies, or not even those.
    let cookies = entry.pointer("/request/cookies").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    if !headers.iter().any(|(name, _)| name == "cookie") && !cookies.is_empty() {
        let pair =
            |cookie: &Json| Some(format!("{}={}", cookie.get("name")?.as_str()?, cookie.get("value")?.as_str()?));
        headers.push(("cookie".to_owned(), cookies.iter().filter_map(pair).collect::<Vec<_>>().join("; ")));
    }
    headers
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(method: &str, url: &str, post: Option<Json>, kind: &str, answer: &str) -> Json {
        let mut request = json!({ "method": method, "url": url, "headers": [
            { "name": ":authority", "value": "h" }, { "name": "User-Agent", "value": "x" },
            { "name": "Authorization", "value": "Bearer t" }, { "name": "Content-Type", "value": "application/json" } ] });
        if let Some(post) = post {
            request["postData"] = post;
        }
        json!({ "request": request, "response": { "status": 201, "content": { "mimeType": kind, "text": answer } } })
    }

    #[test]
    fn requests_to_the_application_are_kept_and_parts_of_pages_are_not() {
        let post = json!({ "mimeType": "application/json;charset=UTF-8", "text": "{\"a\":1}" });
        let form =
            json!({ "mimeType": "application/x-www-form-urlencoded", "params": [{ "name": "a", "value": "b%20c" }] });
        let broken = json!({ "mimeType": "application/json", "text": "{" });
        let har = json!({ "log": { "entries": [
            entry("GET", "http://h/app.js", None, "text/javascript", ""),
            entry("GET", "http://h/api/things?x=1", None, "application/json", "[1]"),
            entry("OPTIONS", "http://h/api/things", None, "application/json", ""),
            entry("POST", "http://h/api/things", Some(post), "application/json", "{\"id\":7}"),
            entry("POST", "http://h/form", Some(form), "text/html", "<html>"),
            entry("POST", "http://h/broken", Some(broken), "text/html", ""),
            entry("GET", "data:image/png;base64,", None, "image/png", ""),
        ] } });
        let imported = from_har(&har.to_string()).unwrap();
        let routes: Vec<String> = imported.samples.iter().map(Sample::route).collect();
        assert_eq!(routes, ["GET /api/things", "POST /api/things", "POST /form"]);
        let made = &imported.samples[1];
        assert_eq!(made.body, Body::Json(json!({ "a": 1 })));
        assert_eq!(made.headers, [("authorization".to_owned(), "Bearer t".to_owned())]);
        assert_eq!(imported.samples[2].body, Body::Form(vec![("a".into(), "b c".into())]));
        assert_eq!(imported.notes.len(), 2, "{:?}", imported.notes);
        assert!(imported.notes[0].contains("entry 6"), "{:?}", imported.notes);
    }

    #[test]
    fn a_multipart_body_is_kept_in_either_form() {
        let kind = "multipart/form-data; boundary=b";
        let text = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n";
        let of = |post: Json| {
            let mut entry = entry("POST", "http://h/form", Some(post), "text/html", "");
            entry["request"]["headers"] = json!([{ "name": "Content-Type", "value": kind }]);
            from_har(&json!({ "log": { "entries": [entry] } }).to_string()).unwrap().samples.remove(0)
        };
        let whole = of(json!({ "mimeType": kind, "text": text }));
        assert_eq!(whole.body, Body::Text(text.to_owned()));
        assert_eq!(whole.headers, [("content-type".to_owned(), kind.to_owned())]);
        let listed = of(json!({ "mimeType": kind, "params": [{ "name": "a", "value": "1" }], "text": text }));
        assert_eq!((listed.body, listed.headers), (Body::Multipart(vec![("a".into(), "1".into())]), vec![]));
    }

    #[test]
    fn what_is_no_har_is_refused() {
        for (text, what) in [("", "not JSON"), ("{}", "log.entries"), ("[]", "log.entries"), ("<html>", "not JSON")] {
            assert!(from_har(text).unwrap_err().message.contains(what), "{text}");
        }
    }
}
