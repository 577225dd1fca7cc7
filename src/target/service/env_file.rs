//! Files with environment variables, as many services have one: `NAME=value` lines. The main function is [`read`].

use std::path::Path;

use super::{STARTING, step};
use crate::target::TargetError;

/// The variables of a file.
pub(super) fn read(path: &Path) -> Result<Vec<(String, String)>, TargetError> {
    let failed = |why: String| step(STARTING, format!("`env_file` {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    parse(&text).map_err(|line| failed(format!("line {line} is not `NAME=value`")))
}

/// Names and values, or the number of the line that has none. Values may be quoted; nothing is filled in.
fn parse(text: &str) -> Result<Vec<(String, String)>, usize> {
    let mut variables = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=').ok_or(number)?;
        let name = name.trim();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(number);
        }
        variables.push((name.to_owned(), unquoted(value.trim()).ok_or(number)?));
    }
    Ok(variables)
}

/// A value without its quotes; without quotes a comment may follow it. `None` where a quote is not closed.
fn unquoted(value: &str) -> Option<String> {
    let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'' | '`')) else {
        return Some(value.split(" #").next().unwrap_or_default().trim_end().to_owned());
    };
    let body = &value[1..];
    let backslashes = |at: usize| body[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
    let escaped = |at: usize| quote == '"' && backslashes(at) % 2 == 1;
    let mut quotes = body.match_indices(quote).map(|(at, _)| at);
    // A value may end in a backslash: then the last quote closes it all the same.
    let end = quotes.clone().find(|at| !escaped(*at)).or_else(|| quotes.next_back())?;
    let (inner, rest) = (&body[..end], &body[end + 1..]);
    if !rest.trim().is_empty() && !rest.trim_start().starts_with('#') {
        return None;
    }
    // Only double quotes know escapes.
    Some(if quote == '"' { unescaped(inner) } else { inner.to_owned() })
}

/// The text with line breaks, quotes and backslashes in place of their escapes; any other backslash is one.
fn unescaped(text: &str) -> String {
    let (mut plain, mut letters) = (String::new(), text.chars().peekable());
    while let Some(letter) = letters.next() {
        let meant = match (letter, letters.peek()) {
            ('\\', Some('n')) => Some('\n'),
            ('\\', Some('"')) => Some('"'),
            ('\\', Some('\\')) => Some('\\'),
            _ => None,
        };
        if meant.is_some() {
            letters.next();
        }
        plain.push(meant.unwrap_or(letter));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_as_such_files_are_commonly_read() {
        let text = "# settings\n\nA=1\nexport B = two words # said\nC=\"x # y\"\nD='$HOME'\nE=\nF=a=b\nG=\"1\\n2\" # two lines\nH='x' # don't\nI=\"a \\\"b\\\"\"\nJ=\"C:\\dir\\\"\nK=\"C:\\\\\" # said\nL=\"\\\\n\"\nM='C:\\'\n";
        let found = parse(text).unwrap();
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "x # y"),
            ("D", "$HOME"),
            ("E", ""),
            ("F", "a=b"),
            ("G", "1\n2"),
            ("H", "x"),
            ("I", "a \"b\""),
            ("J", "C:\\dir\\"),
            ("K", "C:\\"),
            ("L", "\\n"),
            ("M", "C:\\"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for (text, line) in [("A=1\nB", 2), ("=x", 1), ("A B=x", 1), ("A=\"x", 1), ("A='x' y", 1)] {
            assert_eq!(parse(text), Err(line), "{text}");
        }
    }
}
