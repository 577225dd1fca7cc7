//! Documents as people read them: short, bounded, in the shell's notation, with secrets left out.

use std::fmt::Write;

use mongodb::bson::{RawBsonRef, RawDocument};

/// Longest text of one document.
const LONGEST: usize = 160;
/// Nesting beyond this is not shown. It also bounds the recursion on hostile input.
const DEEPEST: usize = 6;

/// The text of a document: `{ participantsKey: "ann_bob" }`.
pub fn document(document: &RawDocument) -> String {
    let mut text = Text { out: String::new() };
    text.document(document, 0);
    text.out
}

/// The text of a value.
pub fn value(value: RawBsonRef<'_>) -> String {
    let mut text = Text { out: String::new() };
    text.value(value, 0);
    text.out
}

struct Text {
    out: String,
}

impl Text {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn full(&self) -> bool {
        self.out.len() >= LONGEST
    }

    fn document(&mut self, document: &RawDocument, depth: usize) {
        let mut separator = "{ ";
        for element in document {
            let Ok((key, value)) = element else { break };
            if self.full() || depth == DEEPEST {
                self.push(separator);
                self.push("…");
                break;
            }
            let key = key.as_str();
            self.push(separator);
            self.push(key);
            self.push(": ");
            if is_secret(key) && !matches!(value, RawBsonRef::Document(_)) {
                self.push("***");
            } else {
                self.value(value, depth + 1);
            }
            separator = ", ";
        }
        self.push(if separator == "{ " { "{}" } else { " }" });
    }

    fn value(&mut self, value: RawBsonRef<'_>, depth: usize) {
        match value {
            RawBsonRef::String(text) => self.string(text),
            RawBsonRef::Document(inner) => self.document(inner, depth),
            RawBsonRef::Array(array) => {
                self.push("[");
                for (index, element) in array.into_iter().enumerate() {
                    let Ok(element) = element else { break };
                    if index > 0 {
                        self.push(", ");
                    }
                    if self.full() || index == 8 || depth >= DEEPEST {
                        self.push("…");
                        break;
                    }
                    self.value(element, depth + 1);
                }
                self.push("]");
            }
            RawBsonRef::Boolean(flag) => self.push(if flag { "true" } else { "false" }),
            RawBsonRef::Null => self.push("null"),
            RawBsonRef::Int32(number) => self.display(number),
            RawBsonRef::Int64(number) => self.display(number),
            RawBsonRef::Double(number) => self.display(number),
            RawBsonRef::ObjectId(id) => self.display(id),
            RawBsonRef::Decimal128(number) => self.display(number),
            RawBsonRef::DateTime(time) => self.display(format_args!("date({})", time.timestamp_millis())),
            RawBsonRef::Binary(binary) => self.display(format_args!("binary({} bytes)", binary.bytes.len())),
            RawBsonRef::RegularExpression(_) => self.push("regex"),
            other => self.display(format_args!("{:?}", other.element_type())),
        }
    }

    fn string(&mut self, text: &str) {
        self.push("\"");
        let mut characters = text.chars();
        for character in characters.by_ref().take(60) {
            if character.is_control() {
                self.out.push(' ');
            } else {
                self.out.push(character);
            }
        }
        self.push(if characters.next().is_some() { "…\"" } else { "\"" });
    }

    fn display(&mut self, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        if write!(self.out, "{value}").is_err() {
            self.push("?");
        }
    }
}

/// Whether a field's name says that its value must not be shown.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "passwd", "secret", "token", "authorization", "apikey", "api_key", "cookie"]
        .iter()
        .any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{RawDocumentBuf, rawdoc};

    use super::*;

    #[test]
    fn documents_read_like_the_shell() {
        let cases = [
            (rawdoc! {}, "{}"),
            (
                rawdoc! { "key": "ann_bob", "n": 1, "m": { "$ne": null } },
                "{ key: \"ann_bob\", n: 1, m: { $ne: null } }",
            ),
            (rawdoc! { "$in": [1_i64, true, 2.5] }, "{ $in: [1, true, 2.5] }"),
            (
                rawdoc! { "user": "ann", "passwordHash": "x", "accessToken": "y" },
                "{ user: \"ann\", passwordHash: ***, accessToken: *** }",
            ),
            (rawdoc! { "text": "a\u{1b}[2Jb" }, "{ text: \"a [2Jb\" }"),
        ];
        for (given, expected) in cases {
            assert_eq!(document(&given), expected);
        }
    }

    #[test]
    fn long_and_deep_documents_are_cut() {
        let mut deep = rawdoc! { "a": 1 };
        for _ in 0..100 {
            deep = rawdoc! { "a": deep };
        }
        assert!(document(&deep).len() < 100);
        let mut wide = RawDocumentBuf::new();
        for _ in 0..1000 {
            wide.append(mongodb::bson::cstr!("field"), "some text");
        }
        assert!(document(&wide).len() < LONGEST + 100);
    }
}
