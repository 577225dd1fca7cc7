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
    while let Some(found) = text[at..].find([':', '"', '#']) {
        at += found;
        if !text[at..].starts_with(':') {
            // A colon within a text or a comment is none of an argument's.
            at = end_of_literal(text, at);
            continue;
        }
        let name = name_before(&text[..at]);
        at += 1;
        let value = at + (text[at..].len() - text[at..].trim_start().len());
        if let Some(range) = value_at(text, value).filter(|_| !name.is_empty()) {
            parts.push(Part::Plain(&text[begin..range.start]));
            parts.push(Part::Value { name, text: &text[range.clone()] });
            at = range.end + usize::from(range.start > value);
            begin = range.end;
        }
    }
    parts.push(Part::Plain(&text[begin..]));
    parts
}

/// The number, or the inside of the text, that begins here. A block of text, or one with escapes in it, is none.
fn value_at(text: &str, at: usize) -> Option<std::ops::Range<usize>> {
    let value = &text[at..];
    if let Some(rest) = value.strip_prefix('"') {
        let end = rest.find('"').filter(|end| *end > 0 && !rest[..*end].contains(['\\', '\n']))?;
        return Some(at + 1..at + 1 + end);
    }
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let next = value[digits..].chars().next();
    let is_whole = next.is_none_or(|next| !next.is_alphanumeric() && next != '.' && next != '_');
    (digits > 0 && is_whole).then(|| at..at + digits)
}

/// Where the text or the comment ends that begins here.
fn end_of_literal(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    if rest.starts_with('#') {
        return at + rest.find('\n').unwrap_or(rest.len());
    }
    if let Some(block) = rest.strip_prefix("\"\"\"") {
        let end = block.match_indices("\"\"\"").find(|(end, _)| !block[..*end].ends_with('\\'));
        return end.map_or(text.len(), |(end, marks)| at + marks.len() + end + marks.len());
    }
    let mut escaped = false;
    let end = rest.bytes().enumerate().skip(1).find(|(_, byte)| {
        let ends = !escaped && matches!(byte, b'"' | b'\n');
        escaped = !escaped && *byte == b'\\';
        ends
    });
    end.map_or(text.len(), |(end, _)| at + end + 1)
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
        for hostile in
            ["{:}", "{ a:", "{ :\"x\" }", "{ ä: \"ö\" }", "{ a: \"", "{a:1ä}", "{ \"\\ä", "{ \"\"\"ä", "{ #ä"]
        {
            assert_eq!(with_arguments(hostile, str::to_owned, |_| None), hostile);
        }
        assert_eq!(arguments("{ a(of: \"é\") { b } }"), [("of", "é")]);
    }

    #[test]
    fn what_looks_like_an_argument_within_a_text_or_a_comment_is_none() {
        for (inside, text) in [
            ("a block", "mutation { add(long: \"\"\"at: 12, by: \"ann\" \\\"\"\" to: 7\"\"\", of: 3) { id } }"),
            ("a text", "mutation { add(note: \"at: 12 \\\" by: 7\", of: 3) { id } }"),
            ("a comment", "mutation { # at: 12, by: \"ann\n add(of: 3) { id } }"),
            ("a text that ends in an escape", "mutation { add(note: \"at: 12 é\\\\\", of: 3) { id } }"),
        ] {
            assert_eq!(arguments(text), [("of", "3")], "{inside}: {text}");
            assert_eq!(with_arguments(text, str::to_owned, |_| None), text);
        }
        assert_eq!(arguments("{ a(x: \"at: 12\", y: \"b\") }"), [("x", "at: 12"), ("y", "b")]);
    }
}
