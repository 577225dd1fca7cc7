//! The values within a body that is neither JSON nor a form: what stands between the signs of XML, CSV or YAML. No format is read;
//! whether something is a value shows when another one stands in its place.

use std::ops::Range;

/// A value, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) name: String,
    pub(super) at: Range<usize>,
}

/// The values of a text, in their order.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    if text.trim_start().starts_with('<') { of_elements(text) } else { of_lines(text) }
}

/// The text with others in the place of some values; what is between them is written by `between`.
pub(super) fn with_pieces(
    text: &str,
    other: impl Fn(&str) -> Option<String>,
    between: impl Fn(&str) -> String,
) -> String {
    let (mut made, mut done) = (String::new(), 0);
    for Piece { at, .. } in pieces(text) {
        if let Some(value) = other(&text[at.clone()]) {
            made += &between(&text[done..at.start]);
            made += &value;
            done = at.end;
        }
    }
    made + &between(&text[done..])
}

/// Without the blanks around it; none of blanks alone.
fn trimmed(text: &str, at: Range<usize>) -> Option<Range<usize>> {
    let part = &text[at.clone()];
    let start = at.start + (part.len() - part.trim_start().len());
    let end = start + part.trim().len();
    (start < end).then_some(start..end)
}

/// What elements hold, called like their tag, and what attributes do.
fn of_elements(text: &str) -> Vec<Piece> {
    let (mut found, mut at, mut tag) = (Vec::new(), 0, "");
    while let Some(open) = text[at..].find('<').map(|offset| at + offset) {
        if let Some(at) = trimmed(text, at..open) {
            found.push(Piece { name: tag.to_owned(), at });
        }
        let close = text[open..].find('>').map_or(text.len(), |offset| open + offset);
        let inside = &text[open + 1..close];
        if !inside.starts_with(['?', '!', '/']) {
            tag = inside.split(|letter: char| letter.is_whitespace() || letter == '/').next().unwrap_or_default();
            found.extend(attributes(text, open + 1..close));
        }
        at = (close + 1).min(text.len());
    }
    found
}

fn attributes(text: &str, tag: Range<usize>) -> Vec<Piece> {
    let (mut found, mut at) = (Vec::new(), tag.start);
    while let Some(equals) = text[at..tag.end].find('=').map(|offset| at + offset) {
        let name = text[at..equals].split_whitespace().next_back().unwrap_or_default();
        let begin = equals + 2;
        let quote = text[equals + 1..tag.end].chars().next().filter(|letter| matches!(letter, '"' | '\''));
        let Some(end) = quote.and_then(|quote| text[begin..tag.end].find(quote)).map(|offset| begin + offset) else {
            break;
        };
        // What a namespace is called is no value.
        if let Some(at) = trimmed(text, begin..end).filter(|_| !name.starts_with("xmlns")) {
            found.push(Piece { name: name.to_owned(), at });
        }
        at = end + 1;
    }
    found
}

/// Fields of lines, called as the first line has it where there are several of equally many, or as it stands before a colon.
fn of_lines(text: &str) -> Vec<Piece> {
    let is_border = |letter: char| matches!(letter, ',' | ';' | '\t' | '|');
    let mut lines = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let (mut fields, mut at) = (Vec::new(), start);
        for field in line.split_inclusive(is_border) {
            let end = at + field.trim_end_matches(is_border).len();
            fields.extend(trimmed(text, at..end));
            at += field.len();
        }
        if !fields.is_empty() {
            lines.push(fields);
        }
        start += line.len();
    }
    let is_table = lines.len() > 1 && lines[0].len() > 1 && lines.iter().all(|line| line.len() == lines[0].len());
    let heading: Vec<Range<usize>> = if is_table { lines.remove(0) } else { Vec::new() };
    let mut found = Vec::new();
    for line in lines {
        for (column, at) in line.into_iter().enumerate() {
            let said = heading.get(column).map(|name| text[name.clone()].trim_matches('"').to_owned());
            let (name, at) = match text[at.clone()].split_once(": ") {
                Some((name, value)) => (Some(name.trim_start_matches("- ").to_owned()), at.end - value.len()..at.end),
                None => (said, at),
            };
            let at = unquoted(text, at);
            found.extend(trimmed(text, at).map(|at| Piece { name: name.unwrap_or_else(|| "value".to_owned()), at }));
        }
    }
    found
}

fn unquoted(text: &str, at: Range<usize>) -> Range<usize> {
    let part = &text[at.clone()];
    let is_quoted =
        part.len() > 1 && ['"', '\''].iter().any(|quote| part.starts_with(*quote) && part.ends_with(*quote));
    if is_quoted { at.start + 1..at.end - 1 } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, &str)> {
        pieces(text).into_iter().map(|Piece { name, at }| (name, &text[at])).collect()
    }

    #[test]
    fn values_are_found_between_the_signs_of_a_format() {
        let cases: [(&str, &[(&str, &str)]); 10] = [
            (
                "<book lang=\"de\"><isbn> 978-3 </isbn><by a='x'/></book>",
                &[("lang", "de"), ("isbn", "978-3"), ("a", "x")],
            ),
            ("<?xml version=\"1.0\"?>\n<a xmlns=\"urn:x\">7</a>\n", &[("a", "7")]),
            ("<a b=", &[]),
            ("<a", &[]),
            ("sku,qty\nhat,2\nshoe,1\n", &[("sku", "hat"), ("qty", "2"), ("sku", "shoe"), ("qty", "1")]),
            ("\"sku\";\"qty\"\r\n\"red hat\";2", &[("sku", "red hat"), ("qty", "2")]),
            ("name: ann\nat: 10:30\n", &[("name", "ann"), ("at", "10:30")]),
            ("- id: \"a-1\"", &[("id", "a-1")]),
            ("ann", &[("value", "ann")]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            let expected: Vec<(String, &str)> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            assert_eq!(found(text), expected, "{text}");
        }
    }

    #[test]
    fn whole_values_are_replaced_and_what_is_between_them_is_not() {
        let other = |text: &str| (text == "hat").then(|| "{{ key }}".to_owned());
        let made = with_pieces("sku,qty\nhat,{{\nhats,2\nhat,1", other, |text| text.replace("{{", "{{ '{{' }}"));
        assert_eq!(made, "sku,qty\n{{ key }},{{ '{{' }}\nhats,2\n{{ key }},1");
    }

    #[test]
    fn no_cut_of_a_text_is_too_short() {
        let text = "<é b='ü'>x</é>\n\"ä\",: ö;\n- k: v";
        for (at, _) in text.char_indices() {
            for part in [&text[..at], &text[at..]] {
                assert_eq!(with_pieces(part, |_| None, str::to_owned), part);
            }
        }
    }
}
