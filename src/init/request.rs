//! A request as a scenario has it: TOML, with templates where values are fresh. Main function: [`request`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::graphql;
use super::pieces::with_pieces;
use crate::import::{Body, Sample, encoded_query, encoded_segment};

/// Border of a multipart body.
const BORDER: &str = "onlyone-form-border";

/// A text as TOML has it: the escapes of JSON are among its own.
pub(super) fn quoted(text: &str) -> String {
    Json::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A literal text, in which nothing is a variable.
pub(super) fn literal(text: &str) -> String {
    let plain = text.replace("${", "$${");
    match plain.contains("{{") || plain.contains("{%") || plain.contains("{#") {
        true => format!("{{% raw %}}{plain}{{% endraw %}}"),
        false => plain,
    }
}

/// Values by the literals whose places they take.
pub(super) type Values = BTreeMap<String, String>;

pub(super) fn template(text: &str, values: &Values) -> String {
    match values.get(text) {
        Some(value) => value.clone(),
        None if graphql::is_document(text) => {
            graphql::with_arguments(text, literal, |value| values.get(value).cloned())
        }
        None => literal(text),
    }
}

/// JSON as a TOML value; none where it has null in it, which TOML lacks.
fn inline(json: &Json, values: &Values) -> Option<String> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(flag) => flag.to_string(),
        Json::Number(number) => match values.get(&number.to_string()) {
            Some(value) => quoted(value),
            None => number.to_string(),
        },
        Json::String(text) => match values.get(text) {
            // A text stays one: on its own the variable would be a number.
            Some(value) if value == "{{ key_as.number }}" => quoted("{{ key_as.number }}{{ \"\" }}"),
            _ => quoted(&template(text, values)),
        },
        Json::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(|item| inline(item, values)).collect();
            format!("[{}]", items?.join(", "))
        }
        Json::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Json::Object(fields) => {
            let field = |(name, value): (&String, &Json)| Some(format!("{} = {}", key(name), inline(value, values)?));
            let fields: Option<Vec<String>> = fields.iter().map(field).collect();
            format!("{{ {} }}", fields?.join(", "))
        }
    })
}

/// A name as TOML has it on the left of a sign of equality.
pub(super) fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { quoted(name) }
}

/// JSON as a text with templates, for what TOML cannot say.
fn json_text(json: &Json, values: &Values) -> String {
    match json {
        Json::Number(number) => values.get(&number.to_string()).cloned().unwrap_or_else(|| number.to_string()),
        Json::String(text) => match values.get(text) {
            Some(value) => format!("\"{value}\""),
            None if graphql::is_document(text) => Json::from(template(text, values)).to_string(),
            None => literal(&json.to_string()),
        },
        Json::Array(items) => {
            format!("[{}]", items.iter().map(|item| json_text(item, values)).collect::<Vec<_>>().join(","))
        }
        Json::Object(fields) => {
            let field =
                |(name, value): (&String, &Json)| format!("{}: {}", literal(&quoted(name)), json_text(value, values));
            // Spaces, because two braces would begin a variable.
            format!("{{ {} }}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn path_text(sample: &Sample, values: &Values) -> String {
    let part =
        |text: &String, encode: fn(&str) -> String| values.get(text).cloned().unwrap_or_else(|| literal(&encode(text)));
    let mut path: String =
        sample.segments.iter().map(|segment| format!("/{}", part(segment, encoded_segment))).collect();
    if path.is_empty() {
        path.push('/');
    }
    let pairs: Vec<String> = sample
        .query
        .iter()
        .map(|(name, value)| format!("{}={}", encoded_query(name), part(value, encoded_query)))
        .collect();
    if pairs.is_empty() { path } else { format!("{path}?{}", pairs.join("&")) }
}

/// The keys of a request, one a line.
pub(super) fn request(sample: &Sample, headers: &[(String, String)], values: &Values) -> Vec<String> {
    let mut lines =
        vec![format!("method = {}", quoted(&sample.method)), format!("path = {}", quoted(&path_text(sample, values)))];
    let mut headers: BTreeMap<String, String> = headers.iter().cloned().collect();
    match &sample.body {
        Body::None => {}
        Body::Json(json) => match inline(json, values) {
            Some(json) => lines.push(format!("json = {json}")),
            None => {
                headers.entry("content-type".to_owned()).or_insert_with(|| "application/json".to_owned());
                lines.push(format!("body = {}", quoted(&json_text(json, values))));
            }
        },
        Body::Form(fields) if has_a_name_twice(fields) => {
            // A table has each name once.
            let kind = || "application/x-www-form-urlencoded".to_owned();
            headers.entry("content-type".to_owned()).or_insert_with(kind);
            lines.push(format!("body = {}", quoted(&form_text(fields, values))));
        }
        Body::Form(fields) => {
            let fields: BTreeMap<&String, String> =
                fields.iter().map(|(name, value)| (name, template(value, values))).collect();
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(value))).collect();
            lines.push(format!("form = {{ {} }}", fields.join(", ")));
        }
        Body::Multipart(fields) => {
            headers.insert("content-type".to_owned(), format!("multipart/form-data; boundary={BORDER}"));
            lines.push(format!("body = {}", quoted(&multipart(fields, values))));
        }
        Body::Text(body) => {
            let body = with_pieces(body, |value| values.get(value).cloned(), literal);
            lines.push(format!("body = {}", quoted(&body)));
        }
    }
    if !headers.is_empty() {
        let listed: Vec<String> =
            headers.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(value))).collect();
        lines.push(format!("headers = {{ {} }}", listed.join(", ")));
    }
    lines
}

fn has_a_name_twice(fields: &[(String, String)]) -> bool {
    let names: BTreeSet<&String> = fields.iter().map(|(name, _)| name).collect();
    names.len() < fields.len()
}

/// A form as a text with templates, whose values are encoded when they are filled in.
fn form_text(fields: &[(String, String)], values: &Values) -> String {
    let value = |text: &String| values.get(text).map_or_else(|| encoded_query(text), |value| encoded_template(value));
    let fields: Vec<String> =
        fields.iter().map(|(name, text)| format!("{}={}", encoded_query(name), value(text))).collect();
    fields.join("&")
}

/// A text around variables, encoded, whose variables are so when they are filled in.
fn encoded_template(text: &str) -> String {
    let mut encoded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (variable, behind) = after.split_once("}}").unwrap_or((after, ""));
        encoded += &format!("{}{{{{ {} | urlencode }}}}", encoded_query(before), variable.trim());
        rest = behind;
    }
    encoded + &encoded_query(rest)
}

/// A multipart body as it is sent.
pub(crate) fn multipart_body(fields: &[(String, String)]) -> (String, String) {
    (format!("multipart/form-data; boundary={BORDER}"), parts(fields.iter().map(|(name, value)| (name, value.clone()))))
}

fn multipart(fields: &[(String, String)], values: &Values) -> String {
    parts(fields.iter().map(|(name, value)| (name, template(value, values))))
}

fn parts<'a>(fields: impl Iterator<Item = (&'a String, String)>) -> String {
    let part = |(name, value): (&String, String)| {
        format!("--{BORDER}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    format!("{}--{BORDER}--\r\n", fields.map(part).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_of_a_text_is_encoded_when_it_is_filled_in() {
        let cases = [
            ("{{ key }}", "{{ key | urlencode }}"),
            ("a&b", "a%26b"),
            ("{{ key }}&{{ op.id }}", "{{ key | urlencode }}%26{{ op.id | urlencode }}"),
            ("e{{ key }}-", "e{{ key | urlencode }}-"),
        ];
        for (text, expected) in cases {
            assert_eq!(encoded_template(text), expected);
        }
    }
}
