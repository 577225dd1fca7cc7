//! Values in a document of GraphQL: what its arguments say, and the same document with others in their place.

/// A stretch of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'t> {
    /// Nothing that could be another value.
    Plain(&'t str),
    /// What an argument of this name says: a text without its quotation marks, or a number.
    Value { name: &'t str, text: &'t str },
}

/// Whether a text is such a document.
pub(super) fn is_document(text: &str) -> bool {
    let begins = ["{", "query", "mutation"].iter().any(|word| text.trim_start().starts_with(word));
    begins && text.contains('{') && text.trim_end().ends_with('}')
}

/// What the arguments say, with their names.
pub(super) fn arguments(text: &str) -> Vec<(&str, &str)> {
    let value = |part| match part {
        Part::Value { name, text } => Some((name, text)),
        Part::Plain(_) => None,
    };
    parts(text).into_iter().filter_map(value).collect()
}

/// The document with other values: `value` gives one for what an argument says, `plain` whatever else must be written of
/// the text around it.
pub(super) fn with_arguments(
    text: &str,
    plain: impl Fn(&str) -> String,
    value: impl Fn(&str) -> Option<String>,
) -> String {
    let written = |part| match part {
        Part::Plain(text) => plain(text),
        Part::Value { text, .. } => value(text).unwrap_or_else(|| plain(text)),
    };
    parts(text).into_iter().map(written).collect()
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut begin, mut at) = (Vec::new(), 0, 0);
    while let Some(found) = text[at..].find(':') {
        at += found + 1;
        let name = name_before(&text[..at - 1]);
        let value = at + (text[at..].len() - text[at..].trim_start().len());
        let range = match text[value..].strip_prefix('"') {
            // A block of text, or one with escapes in it, stays as it is.
            Some(rest) if rest.starts_with("\"\"") => None,
            Some(rest) => {
                let end = rest.find('"').filter(|end| *end > 0 && !rest[..*end].contains('\\'));
                end.map(|end| value + 1..value + 1 + end)
            }
            None => {
                let digits = text[value..].bytes().take_while(u8::is_ascii_digit).count();
                let next = text[value + digits..].chars().next();
                let is_whole = next.is_none_or(|next| !next.is_alphanumeric() && next != '.' && next != '_');
                (digits > 0 && is_whole).then(|| value..value + digits)
            }
        };
        if let Some(range) = range.filter(|_| !name.is_empty()) {
            parts.push(Part::Plain(&text[begin..range.start]));
            parts.push(Part::Value { name, text: &text[range.clone()] });
            (begin, at) = (range.end, range.end);
        }
    }
    parts.push(Part::Plain(&text[begin..]));
    parts
}

/// The name at the end of a text.
fn name_before(text: &str) -> &str {
    let text = text.trim_end();
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    &text[text.trim_end_matches(is_of_name).len()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_arguments_are_found_and_replaced() {
        let text =
            r#"mutation { add(name: "ann", room : 12, note: "a \" b", rate: 1.5, long: """x""") { id, of: room } }"#;
        assert!(is_document(text) && !is_document("a note") && !is_document("query the docs"));
        assert_eq!(arguments(text), [("name", "ann"), ("room", "12")]);
        let other = with_arguments(text, str::to_owned, |value| Some(format!("<{value}>")));
        assert_eq!(other, text.replace("ann", "<ann>").replace("12", "<12>"));
        assert_eq!(with_arguments(text, str::to_owned, |_| None), text);
        for hostile in ["{:}", "{ a:", "{ :\"x\" }", "{ ä: \"ö\" }", "{ a: \"", "{a:1ä}"] {
            assert_eq!(with_arguments(hostile, str::to_owned, |_| None), hostile);
        }
        assert_eq!(arguments("{ a(of: \"é\") { b } }"), [("of", "é")]);
    }
}
