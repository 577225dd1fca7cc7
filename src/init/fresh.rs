//! A value that must be another one each time: its form, which the other ones have as well. Main type: [`Fresh`].

use std::ops::Range;

/// Digits of a number that counts rather than names.
const SMALL: usize = 3;
/// Digits of a text that make it a number in writing: a telephone number, a bar code.
const WRITTEN: usize = 7;
/// Digits without which no two keys could be sure of others.
const FEWEST_DIGITS: usize = 4;
/// Digits of `key_as.digits`; of a text, one fewer at most are others.
const DIGITS: usize = 10;

/// A value that must be another one each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// As the source has it.
    pub literal: String,
    /// What it is called.
    pub name: String,
    shape: Shape,
}

/// The form of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Email(String),
    Number,
    Uuid,
    ObjectId,
    /// An address, whose path another one goes on.
    Url,
    /// Of which the last digits are others, and all else stays: a telephone number, a number plate, a serial number.
    Digits,
    Text,
    /// Beside another one that is the key.
    Beside,
}

/// A value for one trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) number: u64,
}

impl Token {
    pub(super) fn new(number: u64) -> Self {
        Token { text: format!("onlyprobe{number}x"), number }
    }

    /// Nine digits: as many as a value may have that is taken for a number.
    fn digits(&self) -> String {
        (100_000_000 + self.number % 900_000_000).to_string()
    }
}

/// The digits of a text that are others each time, as stretches of bytes from its end.
fn stretches(literal: &str) -> Vec<Range<usize>> {
    let mut stretches: Vec<Range<usize>> = Vec::new();
    let digits = literal.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()).map(|(at, _)| at);
    for at in digits.rev().take(DIGITS - 1) {
        match stretches.last_mut() {
            Some(last) if last.start == at + 1 => last.start = at,
            _ => stretches.push(at..at + 1),
        }
    }
    stretches
}

/// The text with these in the place of its last digits: for each stretch, how far from the end of the number it begins and ends.
fn with_digits(literal: &str, digits: impl Fn(usize, usize) -> String) -> String {
    let (mut text, mut used) = (literal.to_owned(), 0);
    for stretch in stretches(literal) {
        let begin = used + stretch.len();
        text.replace_range(stretch, &digits(begin, used));
        used = begin;
    }
    text
}

/// Whether it is a number in writing: digits, and what is put between them.
fn is_written_number(literal: &str) -> bool {
    let is_between = |letter: char| matches!(letter, '+' | '-' | ' ' | '(' | ')' | '/' | '.');
    literal.bytes().filter(u8::is_ascii_digit).count() >= WRITTEN
        && literal.chars().all(|letter| letter.is_ascii_digit() || is_between(letter))
}

impl Fresh {
    /// Of this literal.
    pub(super) fn new(name: &str, literal: &str) -> Self {
        let hex = |length: usize| literal.len() == length && literal.bytes().all(|byte| byte.is_ascii_hexdigit());
        let uuid = literal.len() == 36 && literal.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
        let shape = match literal.split_once('@') {
            Some((user, domain)) if !user.is_empty() && domain.contains('.') => Shape::Email(domain.to_owned()),
            _ if !literal.is_empty() && literal.len() < 10 && literal.bytes().all(|byte| byte.is_ascii_digit()) => {
                Shape::Number
            }
            _ if uuid => Shape::Uuid,
            _ if hex(24) => Shape::ObjectId,
            _ if is_written_number(literal) && !is_moment(literal) => Shape::Digits,
            _ if ["http://", "https://"].iter().any(|scheme| literal.starts_with(scheme)) => Shape::Url,
            _ => Shape::Text,
        };
        let word: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = if word.is_empty() { "value".to_owned() } else { word.to_ascii_lowercase() };
        Fresh { literal: literal.to_owned(), name, shape }
    }

    /// The same value, of which only digits are others: what no word can take the place of.
    pub(super) fn by_digits(&self) -> Option<Self> {
        let digits = self.literal.bytes().filter(u8::is_ascii_digit).count();
        // What stands for the beginning of a variable cannot stand beside one.
        let is_plain = !self.literal.contains(['{', '}']) && !is_moment(&self.literal);
        let may_be = matches!(self.shape, Shape::Text | Shape::Number) && is_plain;
        (may_be && digits >= FEWEST_DIGITS).then(|| Fresh { shape: Shape::Digits, ..self.clone() })
    }

    /// The same value, which is not called like the key alone.
    pub(super) fn beside_the_key(mut self) -> Self {
        if self.shape == Shape::Text {
            self.shape = Shape::Beside;
        }
        self
    }

    /// An address, as far as others share it.
    fn address(&self) -> String {
        let is_bare = !self.literal.trim_start_matches("https://").trim_start_matches("http://").contains('/');
        format!("{}{}", self.literal, if is_bare { "/" } else { "-" })
    }

    /// A value for a trial.
    pub(super) fn concrete(&self, token: &Token) -> String {
        let Token { text, number } = token;
        match &self.shape {
            Shape::Email(domain) => format!("{}-{text}@{domain}", self.name),
            Shape::Number => token.digits(),
            Shape::Uuid => format!("00000000-0000-4000-8000-{number:012x}"),
            Shape::ObjectId => format!("65{number:022x}"),
            Shape::Url => format!("{}{text}", self.address()),
            Shape::Digits => {
                let digits = format!("{:0DIGITS$}", number % 10_000_000_000);
                with_digits(&self.literal, |begin, end| digits[DIGITS - begin..DIGITS - end].to_owned())
            }
            Shape::Text | Shape::Beside => format!("{text}-{}", self.name),
        }
    }

    /// The value in a scenario; of several texts in one request each has its own.
    pub(super) fn template(&self, several: bool) -> String {
        match &self.shape {
            Shape::Email(domain) => format!("{}-{{{{ key }}}}@{domain}", self.name),
            Shape::Number => "{{ key_as.number }}".to_owned(),
            Shape::Uuid => "{{ key_as.uuid }}".to_owned(),
            Shape::ObjectId => "{{ key_as.object_id }}".to_owned(),
            Shape::Url => format!("{}{{{{ key }}}}", self.address()),
            Shape::Digits => with_digits(&self.literal, |begin, end| {
                let end = if end == 0 { String::new() } else { format!("-{end}") };
                format!("{{{{ key_as.digits[-{begin}:{end}] }}}}")
            }),
            Shape::Beside => format!("{{{{ key }}}}-{}", self.name),
            Shape::Text if several => format!("{{{{ key }}}}-{}", self.name),
            Shape::Text => "{{ key }}".to_owned(),
        }
    }

    /// The value where it names this user.
    pub(super) fn named(&self, user: &str) -> String {
        match &self.shape {
            Shape::Email(domain) => format!("{user}@{domain}"),
            _ => user.to_owned(),
        }
    }

    /// Whether it is a small number: a quantity may be the number of something else.
    pub(super) fn counts(&self) -> bool {
        self.shape == Shape::Number && self.literal.len() <= SMALL
    }

    /// Whether it can be the name of somebody.
    pub(super) fn is_text(&self) -> bool {
        self.shape == Shape::Text
    }
}

/// Whether it is a day, a time of day, or both: `2026-03-01T10:00`, `10:30`.
pub(super) fn is_moment(text: &str) -> bool {
    let form: String = text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    let day = form.strip_prefix("0000-00-00").or_else(|| form.strip_prefix("0000-00"));
    let time = |rest: &str| rest.starts_with("00:00");
    match day {
        Some(rest) => rest.is_empty() || rest.strip_prefix(['T', ' ']).is_some_and(time),
        None if matches!(form.as_str(), "0000/00/00" | "00/00/0000" | "00.00.0000" | "00-00-0000") => true,
        None => time(&form) && form.chars().all(|letter| matches!(letter, '0' | ':' | '.')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_by_its_form() {
        for (text, is) in [
            ("2026-03-01", true),
            ("2026-03", true),
            ("2026-03-01T10:00", true),
            ("2026-03-01 10:00:30+02:00", true),
            ("10:30", true),
            ("09:00:15.5", true),
            ("03/01/2026", true),
            ("01.03.2026", true),
            ("2026-03-01-blue", false),
            ("2026-0301", false),
            ("10:00pm", false),
            ("1030", false),
            ("", false),
        ] {
            assert_eq!(is_moment(text), is, "{text}");
        }
    }

    #[test]
    fn a_fresh_value_keeps_its_form() {
        let uuid = Fresh::new("id", "123e4567-e89b-42d3-a456-426614174000");
        assert_eq!(uuid.template(false), "{{ key_as.uuid }}");
        assert_eq!(Fresh::new("id", "65a1b2c3d4e5f60718293a4b").template(false), "{{ key_as.object_id }}");
        for (literal, template) in
            [("https://example.org/a", "https://example.org/a-{{ key }}"), ("http://h", "http://h/{{ key }}")]
        {
            assert_eq!(Fresh::new("url", literal).template(false), template);
        }
    }

    #[test]
    fn of_a_number_in_writing_the_last_digits_are_others() {
        for (literal, template, third) in [
            ("+4915123456789", "+4915{{ key_as.digits[-9:] }}", "+4915000000003"),
            (
                "555-0100-22",
                "{{ key_as.digits[-9:-6] }}-{{ key_as.digits[-6:-2] }}-{{ key_as.digits[-2:] }}",
                "000-0000-03",
            ),
            ("978-3-1614-8410-0", "978-3-{{ key_as.digits[-9:-5] }}-", "978-3-0000-0000-3"),
        ] {
            let fresh = Fresh::new("phone", literal);
            assert!(fresh.template(false).starts_with(template), "{}", fresh.template(false));
            assert_eq!(fresh.concrete(&Token::new(3)), third);
            assert_eq!(fresh.by_digits(), None, "it is so already");
        }
        // What a word can take the place of is tried with a word first.
        let plate = Fresh::new("plate", "ZH 123456");
        assert_eq!(plate.template(false), "{{ key }}");
        let plate = plate.by_digits().unwrap();
        assert_eq!(plate.template(false), "ZH {{ key_as.digits[-6:] }}");
        assert_eq!(plate.concrete(&Token::new(1_234_567)), "ZH 234567");
        assert_eq!(Fresh::new("pin", "123456").by_digits().unwrap().template(true), "{{ key_as.digits[-6:] }}");
        for literal in ["M-AB 12", "2026-03-01", "ann", "a-1@example.org", "{1234"] {
            assert_eq!(Fresh::new("x", literal).by_digits(), None, "{literal}");
        }
    }
}
