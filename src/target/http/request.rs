//! From a scenario's request to bytes: [`Prepared`]. Nothing is sent here.

use minijinja::Value;

use super::variables::Subject;
use crate::history::Operation;
use crate::scenario::{OperationSpec, RenderError, RequestSpec, Scenario};

/// Longest request that a witness quotes.
const LONGEST_SHOWN: usize = 300;

/// A request, ready to be sent to any instance.
#[derive(Debug, Clone, Default)]
pub(super) struct Prepared {
    pub(super) method: &'static str,
    /// Path and query, after the base URL's own path.
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Why a request cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unprepared {
    #[error(transparent)]
    Template(#[from] RenderError),
    #[error("the path of the request is not one: it has a blank or a control character in it")]
    Path,
    #[error("the header `{0}` would have a line break or another control character in it")]
    Header(String),
}

impl Prepared {
    /// Fills the templates in.
    pub(super) fn new(spec: &RequestSpec, variables: &Value) -> Result<Self, Unprepared> {
        let path = spec.path.render(variables)?;
        if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(Unprepared::Path);
        }
        let mut prepared = Prepared { method: known(&spec.method), path, headers: Vec::new(), body: Vec::new() };
        let kind = prepared.fill_body(spec, variables)?;
        let own_kind = spec.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
        if let Some(kind) = kind.filter(|_| !own_kind) {
            prepared.header("content-type", kind.to_owned())?;
        }
        for (name, value) in &spec.headers {
            prepared.header(name, value.render(variables)?)?;
        }
        Ok(prepared)
    }

    /// Whether it has a header of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
    }

    /// Adds a header; a later one of the same name stands beside it.
    pub(super) fn header(&mut self, name: &str, value: String) -> Result<(), Unprepared> {
        if value.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err(Unprepared::Header(name.to_owned()));
        }
        self.headers.push((name.to_ascii_lowercase(), value));
        Ok(())
    }

    fn fill_body(&mut self, spec: &RequestSpec, variables: &Value) -> Result<Option<&'static str>, Unprepared> {
        if let Some(json) = &spec.body.json {
            self.body = json.render(variables)?.to_string().into_bytes();
            return Ok(Some("application/json"));
        }
        if let Some(text) = &spec.body.body {
            self.body = text.render(variables)?.into_bytes();
            return Ok(Some("text/plain; charset=utf-8"));
        }
        if spec.body.form.is_empty() {
            return Ok(None);
        }
        let mut pairs = Vec::new();
        for (name, value) in &spec.body.form {
            pairs.push(format!("{}={}", form_encoded(name), form_encoded(&value.render(variables)?)));
        }
        self.body = pairs.join("&").into_bytes();
        Ok(Some("application/x-www-form-urlencoded"))
    }

    /// The request as HTTP/1.1 has it on the wire.
    pub(super) fn wire(&self, host: &str, prefix: &str) -> Vec<u8> {
        let mut head = format!("{} {prefix}{} HTTP/1.1\r\nhost: {host}\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() || matches!(self.method, "POST" | "PUT" | "PATCH") {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The method's name; a validated scenario has no other.
fn known(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "POST",
    }
}

fn form_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// The HTTP request of an operation of a history, for its witness: method, path and body. A scenario that was read back
/// from its resolved form has no secrets, so none can be shown.
pub fn describe(scenario: &Scenario, run_id: &str, operation: &Operation) -> Option<String> {
    let spec: &OperationSpec = scenario.target.http()?.operations.get(operation.action.name())?;
    let variables = super::prior::with_placeholders(Subject::of_record(run_id, operation).variables());
    let prepared = Prepared::new(&spec.request, &variables).ok()?;
    let body = String::from_utf8_lossy(&prepared.body);
    let text = format!("{} {} {body}", prepared.method, prepared.path);
    let text = text.trim_end();
    Some(match text.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_ends_with_the_body_or_the_heads_own_end() {
        let mut request = Prepared { method: "POST", path: "/a?b=1".into(), headers: Vec::new(), body: b"{}".to_vec() };
        request.header("X-One", "1".into()).unwrap();
        let text = String::from_utf8(request.wire("h:1", "/v1")).unwrap();
        assert_eq!(text, "POST /v1/a?b=1 HTTP/1.1\r\nhost: h:1\r\nx-one: 1\r\ncontent-length: 2\r\n\r\n{}");
        let get = Prepared { method: "GET", path: "/".into(), headers: Vec::new(), body: Vec::new() };
        assert_eq!(String::from_utf8(get.wire("h", "")).unwrap(), "GET / HTTP/1.1\r\nhost: h\r\n\r\n");
        assert!(request.header("x", "a\r\nb: c".into()).is_err());
    }

    #[test]
    fn forms_are_encoded() {
        assert_eq!(form_encoded("a b&ü"), "a+b%26%C3%BC");
    }
}
