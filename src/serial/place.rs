//! Where a value stands: [`Place`], and [`Pattern`], by which a scenario names places.

use std::fmt;
use std::str::FromStr;

/// What a value is part of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Source {
    /// The answer of a request.
    Answer(usize),
    /// The answer of a request that was sent when all was over.
    Probe(usize),
    /// A document of this collection.
    Document(String),
}

/// A place of values: positions within lists are left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) source: Source,
    /// Names from the outside in; `[]` is any element of a list, `*` any name that is made anew.
    pub(super) path: Vec<String>,
}

/// Any element of a list.
pub(super) const ELEMENT: &str = "[]";
/// Any name that is made anew.
pub(super) const NAME: &str = "*";

impl Place {
    /// The outermost place of a source.
    pub(super) fn root(source: Source) -> Self {
        Place { source, path: Vec::new() }
    }

    /// The place of a part.
    pub(super) fn child(&self, name: &str) -> Self {
        let mut path = self.path.clone();
        path.push(name.to_owned());
        Place { source: self.source.clone(), path }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Answer(_) | Source::Probe(_) => f.write_str("$")?,
            Source::Document(collection) => f.write_str(collection)?,
        }
        for part in &self.path {
            match part.as_str() {
                ELEMENT => f.write_str(ELEMENT)?,
                name => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

/// Places as a scenario names them: `$.count` in any answer, `posts.tags` in the documents of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    collection: Option<String>,
    path: Vec<String>,
    text: String,
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no place: write `$.field` for the answers, or `collection.field` for the documents")]
pub struct PatternError(String);

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PatternError(text.to_owned());
        let (first, rest) = text.split_once('.').ok_or_else(error)?;
        let path: Vec<String> = rest.split('.').map(|part| part.trim_end_matches("[]").to_owned()).collect();
        if first.is_empty() || path.iter().any(String::is_empty) {
            return Err(error());
        }
        let collection = (first != "$").then(|| first.to_owned());
        Ok(Pattern { collection, path, text: text.to_owned() })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Pattern {
    /// Whether it names this place. A name alone also names a field in the elements of lists on the way.
    pub(super) fn names(&self, place: &Place) -> bool {
        let of_source = match (&self.collection, &place.source) {
            (None, Source::Answer(_) | Source::Probe(_)) => true,
            (Some(collection), Source::Document(other)) => collection == other,
            _ => false,
        };
        of_source && place.path.iter().filter(|part| *part != ELEMENT).eq(self.path.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_fields_of_answers_and_of_collections() {
        let answer = Place::root(Source::Answer(0)).child("items").child(ELEMENT).child("count");
        let document = Place::root(Source::Document("posts".into())).child("tags");
        assert_eq!((answer.to_string(), document.to_string()), ("$.items[].count".into(), "posts.tags".into()));
        for (pattern, of_answer, of_document) in [
            ("$.items.count", true, false),
            ("$.items[].count", true, false),
            ("posts.tags", false, true),
            ("$.tags", false, false),
        ] {
            let pattern: Pattern = pattern.parse().unwrap();
            assert_eq!((pattern.names(&answer), pattern.names(&document)), (of_answer, of_document), "{pattern}");
        }
        for text in ["", "count", "$.", ".x", "$..x"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
