//! The texts that a scenario is made of: its file and each `--set` argument, laid end to end in one space of offsets, so
//! that a span says by itself which text it lies in. Main type: [`Sources`]. It reads nothing from disk.

use std::ops::Range;

/// A text and where it begins in the common space of offsets.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// File name, or `--set`.
    pub(super) name: String,
    /// The whole text.
    pub(super) text: String,
    /// Offset of its first byte.
    pub(super) base: usize,
}

/// All texts of one scenario.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    file: Source,
    overrides: Vec<Source>,
}

impl Sources {
    /// The file first, then the arguments in their order.
    pub(super) fn new(name: String, text: String, overrides: &[String]) -> Self {
        // One unused offset after each text: the end of one is then never the beginning of the next.
        let mut base = text.len() + 1;
        let overrides = overrides
            .iter()
            .map(|argument| {
                let source = Source { name: "--set".to_owned(), text: argument.clone(), base };
                base += argument.len() + 1;
                source
            })
            .collect();
        Sources { file: Source { name, text, base: 0 }, overrides }
    }

    /// The scenario file.
    pub(super) fn file(&self) -> &Source {
        &self.file
    }

    /// The `--set` arguments.
    pub(super) fn overrides(&self) -> &[Source] {
        &self.overrides
    }

    /// The text that this offset lies in.
    pub(super) fn at(&self, offset: usize) -> &Source {
        self.overrides.iter().rev().find(|source| source.base <= offset).unwrap_or(&self.file)
    }

    /// The text under a span; empty if the span does not fit.
    pub(super) fn slice(&self, span: &Range<usize>) -> &str {
        let source = self.at(span.start);
        source.text.get(span.start - source.base..span.end.saturating_sub(source.base)).unwrap_or("")
    }

    /// The span of a part of a string value: the whole value where escapes or expansion moved the parts.
    pub(super) fn inside(&self, span: &Range<usize>, value: &str, part: &Range<usize>) -> Range<usize> {
        match self.slice(span).find(value) {
            Some(start) if !value.is_empty() => span.start + start + part.start..span.start + start + part.end,
            _ => span.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_belongs_to_one_text() {
        let sources = Sources::new("a.toml".into(), "x=1".into(), &["b=22".into(), "c=3".into()]);
        assert_eq!(sources.at(3).name, "a.toml", "the end of the file");
        assert_eq!(sources.at(4).text, "b=22");
        assert_eq!(sources.slice(&(6..8)), "22");
        assert_eq!(sources.slice(&(9..10)), "c");
    }

    #[test]
    fn a_part_of_a_value_is_found_unless_it_was_changed() {
        let sources = Sources::new("a.toml".into(), r#"x = "one two""#.into(), &[]);
        assert_eq!(sources.inside(&(4..13), "one two", &(4..7)), 9..12);
        assert_eq!(sources.inside(&(4..13), "expanded", &(4..7)), 4..13);
    }
}
