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
    let escaped = |at: usize| quote == '"' && body[..at].ends_with('\\');
    let end = body.match_indices(quote).map(|(at, _)| at).find(|at| !escaped(*at))?;
    let (inner, rest) = (&body[..end], &body[end + 1..]);
    if !rest.trim().is_empty() && !rest.trim_start().starts_with('#') {
        return None;
    }
    // Only double quotes know escapes.
    Some(if quote == '"' { inner.replace("\\n", "\n").replace("\\\"", "\"") } else { inner.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_as_such_files_are_commonly_read() {
        let text = "# settings\n\nA=1\nexport B = two words # said\nC=\"x # y\"\nD='$HOME'\nE=\nF=a=b\nG=\"1\\n2\" # two lines\nH='x' # don't\nI=\"a \\\"b\\\"\"\n";
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
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for (text, line) in [("A=1\nB", 2), ("=x", 1), ("A B=x", 1), ("A=\"x", 1), ("A='x' y", 1)] {
            assert_eq!(parse(text), Err(line), "{text}");
        }
    }
}
