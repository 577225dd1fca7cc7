//! URLs, headers and encodings, as all sources need them.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::sample::{Body, ImportError, Sample};

/// What stands as it is both in a path and in a query.
const IN_BOTH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',')
    .remove(b';')
    .remove(b':')
    .remove(b'@');
/// What is encoded in a path.
const IN_SEGMENTS: &AsciiSet = &IN_BOTH.remove(b'&').remove(b'+').remove(b'=');
/// What is encoded in a query.
const IN_QUERIES: &AsciiSet = &IN_BOTH.remove(b'/').remove(b'?');

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
        sample.headers.push(("authorization".to_owned(), basic(&pair)));
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
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
}

/// A text as it stands in a path.
pub fn encoded_segment(text: &str) -> String {
    utf8_percent_encode(text, IN_SEGMENTS).to_string()
}

/// A text as it stands in a query.
pub fn encoded_query(text: &str) -> String {
    utf8_percent_encode(text, IN_QUERIES).to_string()
}

/// The `authorization` of a user and a password, with a colon between them.
pub(super) fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_taken_off_and_put_on() {
        assert_eq!(pairs("a=b+c%26&d=&e"), [("a", "b c&"), ("d", ""), ("e", "")].map(|(a, b)| (a.into(), b.into())));
        assert_eq!(segments("/a%20b/%zz/"), ["a b", "%zz", ""]);
        assert_eq!(encoded_segment("a b/ü@x"), "a%20b%2F%C3%BC@x");
        let signs = "-._~!$&'()*+,;=:@/?#%\"<>[]{}|\\^`";
        assert_eq!(encoded_segment(signs), "-._~!$&'()*+,;=:@%2F%3F%23%25%22%3C%3E%5B%5D%7B%7D%7C%5C%5E%60");
        assert_eq!(encoded_query(signs), "-._~!$%26'()*%2B,;%3D:@/?%23%25%22%3C%3E%5B%5D%7B%7D%7C%5C%5E%60");
        assert_eq!(basic("user:pässword"), "Basic dXNlcjpww6Rzc3dvcmQ=");
    }

    #[test]
    fn only_two_digits_after_a_percent_sign_are_a_byte() {
        for (text, plain) in [("%+A", "%+A"), ("%-1", "%-1"), ("%4", "%4"), ("%41%", "A%"), ("%ff", "%ff"), ("%", "%")]
        {
            assert_eq!(decoded(text), plain);
        }
    }
}
