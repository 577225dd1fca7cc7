//! URLs, headers and encodings, as all sources need them.

use super::sample::{Body, ImportError, Sample};

/// Headers that follow from the connection, or that a browser sends of its own accord.
const DROPPED: [&str; 21] = [
    "accept-encoding",
    "accept-language",
    "access-control-request-headers",
    "access-control-request-method",
    "cache-control",
    "connection",
    "content-length",
    "dnt",
    "expect",
    "host",
    "if-modified-since",
    "if-none-match",
    "keep-alive",
    "origin",
    "pragma",
    "priority",
    "proxy-connection",
    "referer",
    "te",
    "transfer-encoding",
    "upgrade-insecure-requests",
];

/// Whether a header belongs to the request itself.
pub(super) fn is_own_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !name.starts_with(':')
        && !name.starts_with("sec-")
        && name != "user-agent"
        && name != "upgrade"
        && !DROPPED.contains(&name.as_str())
}

/// Takes a URL apart into origin, path and query. One without a scheme is `http`, as for curl.
pub(super) fn set_url(sample: &mut Sample, text: &str) -> Result<(), ImportError> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{}", text.trim_start_matches('/')) };
    let wrong = |why: &str| {
        ImportError::new(format!("`{text}` is not the URL of a request: {why}"))
            .hint("write it with scheme and host: http://localhost:3000/api/things")
    };
    let url = reqwest::Url::parse(&whole).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("only http and https are requests"));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it has no host"))?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    sample.origin = Some(format!("{}://{host}{port}", url.scheme()));
    if !url.username().is_empty() {
        let pair = format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
        sample.headers.push(("authorization".to_owned(), format!("Basic {}", base64(pair.as_bytes()))));
    }
    sample.segments = segments(url.path());
    sample.parameters = vec![None; sample.segments.len()];
    sample.query.extend(url.query().map(pairs).unwrap_or_default());
    Ok(())
}

/// A path between its slashes, decoded; a slash at its end is an empty last one.
pub(super) fn segments(path: &str) -> Vec<String> {
    match path.trim_start_matches('/') {
        "" => Vec::new(),
        path => path.split('/').map(decoded).collect(),
    }
}

/// Names and values of a query or a form, decoded.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let plain = |part: &str| decoded(&part.replace('+', " "));
    let pair = |part: &str| match part.split_once('=') {
        Some((name, value)) => (plain(name), plain(value)),
        None => (plain(part), String::new()),
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

/// What a body is, by its type. JSON that is none is an error, because the service would refuse it.
pub(super) fn body(kind: Option<&str>, text: &str) -> Result<Body, ImportError> {
    if text.is_empty() {
        return Ok(Body::None);
    }
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    if kind.contains("json") {
        return serde_json::from_str(text).map(Body::Json).map_err(|error| {
            ImportError::new(format!("the body is said to be JSON, and is not: {error}"))
                .hint("check its quotes and commas; on a shell the whole body stands in single quotes")
        });
    }
    if kind.contains("x-www-form-urlencoded") {
        return Ok(match serde_json::from_str::<serde_json::Value>(text) {
            // Sent as it is, whatever its type says: a service that reads it as JSON does not look at the type.
            Ok(json) if json.is_object() || json.is_array() => Body::Json(json),
            _ => Body::Form(pairs(text)),
        });
    }
    Ok(Body::Text(text.to_owned()))
}

/// Whether a content type is the one that goes with the body by itself.
pub(super) fn follows_from(body: &Body, kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match body {
        Body::None => true,
        Body::Json(_) => essence == "application/json",
        Body::Form(_) => essence == "application/x-www-form-urlencoded",
        Body::Multipart(_) => essence == "multipart/form-data",
        Body::Text(_) => false,
    }
}

/// A text without its percent signs; what is no valid sequence stays.
pub fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex.filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_owned())
}

/// A text as it stands in a path.
pub fn encoded_segment(text: &str) -> String {
    encoded(text, b"-._~!$&'()*+,;=:@")
}

/// A text as it stands in a query.
pub fn encoded_query(text: &str) -> String {
    encoded(text, b"-._~!$'()*,;:@/?")
}

fn encoded(text: &str, plain: &[u8]) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Standard base64.
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_taken_off_and_put_on() {
        assert_eq!(pairs("a=b+c%26&d=&e"), [("a", "b c&"), ("d", ""), ("e", "")].map(|(a, b)| (a.into(), b.into())));
        assert_eq!(segments("/a%20b/%zz/"), ["a b", "%zz", ""]);
        assert_eq!(encoded_segment("a b/ü@x"), "a%20b%2F%C3%BC@x");
        for (plain, coded) in
            [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("user:pässword", "dXNlcjpww6Rzc3dvcmQ=")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
