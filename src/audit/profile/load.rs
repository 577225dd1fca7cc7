//! Reading profiles: the shipped ones by name, any other from a TOML file, each checked before it is used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::filter::{as_written, misplaced_null, with_nulls};
use super::{ArraySpec, FieldRule, IdentityRule, Keep, KeySpec, MergeSpec, Profile, Reference};
use crate::scenario::nearest;

/// The shipped profiles by name, as TOML.
pub const SHIPPED: [(&str, &str); 4] = [
    ("chats", include_str!("shipped/chats.toml")),
    ("conversations", include_str!("shipped/conversations.toml")),
    ("messages", include_str!("shipped/messages.toml")),
    ("threads", include_str!("shipped/threads.toml")),
];

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Neither a shipped name nor a file.
    #[error("there is no profile `{0}`{near} There are {names}, and TOML files of your own", near = near(.0), names = shipped_names())]
    Unknown(String),
    /// The file cannot be read.
    #[error("cannot read the profile {path}; the shipped ones are {names}", path = .path.display(), names = shipped_names())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not the TOML of a profile.
    #[error("{origin} is not a profile:\n{problem}")]
    Syntax {
        /// The file or shipped name.
        origin: String,
        /// Where and why.
        problem: String,
    },
    /// It contradicts itself.
    #[error("{origin}: {problem}")]
    Invalid {
        /// The file or shipped name.
        origin: String,
        /// What, and what to do.
        problem: String,
    },
}

impl Profile {
    /// The shipped profile of this name, or the one in the file of this name.
    pub fn load(name_or_file: &str) -> Result<Profile, ProfileError> {
        if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == name_or_file) {
            return Profile::parse(text, &format!("the shipped profile `{name}`"));
        }
        let path = Path::new(name_or_file);
        if path.extension().is_none() && !path.exists() {
            return Err(ProfileError::Unknown(name_or_file.to_owned()));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|source| ProfileError::Unreadable { path: path.to_owned(), source })?;
        Profile::parse(&text, name_or_file)
    }

    /// The profile that the TOML describes; `origin` names it in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Profile, ProfileError> {
        let read = with_nulls(text);
        let syntax = |problem| ProfileError::Syntax { origin: origin.to_owned(), problem };
        let profile: Profile = toml::from_str(&read).map_err(|error| syntax(told(&error)))?;
        if let Some(place) = misplaced_null(&read) {
            return Err(syntax(format!("{place} = null: only `key.where` can hold a null")));
        }
        match profile.problem() {
            Some(problem) => Err(ProfileError::Invalid { origin: origin.to_owned(), problem }),
            None => Ok(profile),
        }
    }

    /// What makes the profile unusable, if anything does.
    fn problem(&self) -> Option<String> {
        if let Some(problem) = self.fields().find_map(|(place, field)| bad_field(place, field)) {
            return Some(problem);
        }
        if self.key.is_none() && self.array.as_ref().is_none_or(|array| array.identity.is_empty()) {
            return Some("nothing to look at: give it a [key], or an [array] with `identity`".to_owned());
        }
        let is_empty = |rule: &IdentityRule| matches!(rule, IdentityRule::Fields(fields) if fields.is_empty());
        if self.array.as_ref().is_some_and(|array| array.identity.iter().any(is_empty)) {
            return Some("array.identity has an empty rule, which would make all elements one".to_owned());
        }
        if self.array.as_ref().is_some_and(|array| array.answers.iter().any(BTreeMap::is_empty)) {
            return Some("array.answers has an empty mark, which all elements would have".to_owned());
        }
        if self.references.iter().any(|reference| reference.collection == self.collection) {
            return Some(format!(
                "`{}` refers to itself in [[references]]: references from one of its documents to another are not repaired",
                self.collection
            ));
        }
        if let (Some(key), Some(array)) = (&self.key, &self.array)
            && key.field.all().contains(&array.field)
        {
            return Some(format!("`{}` is both key.field and array.field", array.field));
        }
        for (position, reference) in self.references.iter().enumerate() {
            let Reference { collection, field, .. } = reference;
            let is_same = |other: &Reference| other.collection == *collection && other.field == *field;
            if self.references[..position].iter().any(is_same) {
                return Some(format!("[[references]] names `{field}` of `{collection}` twice"));
            }
            if reference.unique_with.contains(field) {
                return Some(format!("references.unique_with names `{field}`, which is the reference itself"));
            }
        }
        let merges = std::iter::once(&self.merge).chain(self.references.iter().map(|reference| &reference.merge));
        if let Some(problem) = merges.into_iter().find_map(|merge| merge.problem(self.array.as_ref())) {
            return Some(problem);
        }
        self.key.as_ref().and_then(KeySpec::problem)
    }

    /// Every field that the profile names, with its place in the file.
    fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let key = self.key.iter().flat_map(|key| {
            [("key.participants", key.participants.as_ref()), ("key.member", key.member.as_ref())]
                .into_iter()
                .chain(key.field.all().iter().map(|field| ("key.field", Some(field))))
                .chain(key.prefix.iter().map(|field| ("key.prefix", Some(field))))
        });
        let array = self.array.iter().flat_map(|array| {
            [("array.field", Some(&array.field)), ("array.order", array.order.as_ref())]
                .into_iter()
                .chain(
                    array.identity.iter().flat_map(IdentityRule::fields).map(|field| ("array.identity", Some(field))),
                )
                .chain(array.answers.iter().flat_map(BTreeMap::keys).map(|field| ("array.answers", Some(field))))
        });
        let references = self.references.iter().flat_map(|reference| {
            [("references.collection", Some(&reference.collection)), ("references.field", Some(&reference.field))]
                .into_iter()
                .chain(reference.unique_with.iter().map(|field| ("references.unique_with", Some(field))))
                .chain(reference.merge.named())
        });
        let merge = self.merge.named();
        [("name", Some(&self.name)), ("collection", Some(&self.collection))]
            .into_iter()
            .chain(key)
            .chain(array)
            .chain(references)
            .chain(merge)
            .filter_map(|(place, field)| field.map(|field| (place, field.as_str())))
    }
}

impl MergeSpec {
    /// Every field that it names, with its place in the file.
    fn named(&self) -> impl Iterator<Item = (&'static str, Option<&String>)> {
        let largest = match &self.keep {
            Keep::Largest(field) => Some(field),
            Keep::Oldest | Keep::Newest | Keep::MostFields => None,
        };
        let oldest = self.oldest.iter().map(|field| ("merge.oldest", Some(field)));
        oldest
            .chain(largest.map(|field| ("merge.keep", Some(field))))
            .chain(self.newest.iter().map(|field| ("merge.newest", Some(field))))
            .chain(self.union.iter().map(|field| ("merge.union", Some(field))))
            .chain(self.fields.keys().map(|field| ("merge.fields", Some(field))))
            .chain(self.deleted.iter().flatten().map(|field| ("merge.deleted", Some(field))))
    }

    /// What makes it contradict itself or the array, if anything does.
    fn problem(&self, array: Option<&ArraySpec>) -> Option<String> {
        let twice = |field: &&String| {
            let named = [self.newest.contains(field), self.union.contains(field), self.fields.contains_key(*field)];
            named.iter().filter(|named| **named).count() > 1
        };
        if let Some(field) = self.newest.iter().chain(&self.union).find(twice) {
            return Some(format!("`{field}` has two rules in `merge`: name it once"));
        }
        if self.fields.contains_key("_id") {
            return Some("merge.fields names `_id`, which is the kept document's".to_owned());
        }
        if let Some(array) = array.filter(|array| self.fields.contains_key(&array.field)) {
            return Some(format!("merge.fields names `{}`, which [array] describes", array.field));
        }
        match self.default {
            Some(rule @ (FieldRule::Sum | FieldRule::Union | FieldRule::Concatenate)) => Some(format!(
                "merge.default = \"{}\" does not fit fields of every type: name the fields in merge.fields",
                rule.as_str()
            )),
            _ => None,
        }
    }
}

/// A mistake as the user wrote it, with the word that was probably meant.
fn told(error: &toml::de::Error) -> String {
    let text = as_written(&error.to_string());
    let mut words = error.message().split('`').skip(1).step_by(2);
    let meant = match (error.message().starts_with("unknown field"), words.next()) {
        (true, Some(word)) => nearest(word, words),
        _ => None,
    };
    match meant {
        Some(meant) => format!("{}\ndid you mean `{meant}`?", text.trim_end()),
        None => text,
    }
}

/// Names of fields become parts of queries: none may be empty or an operator. Arrays and merged fields are top-level.
fn bad_field(place: &'static str, field: &str) -> Option<String> {
    let top_level =
        matches!(place, "array.field" | "merge.newest" | "merge.union" | "merge.fields" | "key.participants");
    let of_dbref = |part: &str| place.starts_with("references.") && matches!(part, "$id" | "$ref" | "$db");
    let is_path = !matches!(place, "name" | "collection" | "references.collection");
    let is_odd = |part: &str| part.is_empty() || (part.starts_with('$') && !of_dbref(part));
    if field.is_empty() {
        Some(format!("{place} is empty"))
    } else if field.starts_with('$') || field.contains('\0') {
        Some(format!("{place} = {field:?} is not a name"))
    } else if is_path && field.split('.').any(is_odd) {
        Some(format!("{place} = {field:?} is not a path: each of its parts must be the name of a field"))
    } else if top_level && field.contains('.') {
        Some(format!("{place} = {field:?} must be a field of the document itself, not a path"))
    } else {
        None
    }
}

/// The shipped name that was probably meant.
fn near(word: &str) -> String {
    let near = nearest(word, SHIPPED.map(|(name, _)| name));
    near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_else(|| ".".to_owned())
}

fn shipped_names() -> String {
    SHIPPED.map(|(name, _)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_profiles_are_valid_and_carry_their_names() {
        for (name, _) in SHIPPED {
            assert_eq!(Profile::load(name).unwrap().name, name);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let key = "name = 'x'\ncollection = 'c'\n[key]\nfield = 'k'\n";
        for (text, expected) in [
            ("name = 'x'\ncollection = 'c'\n", "nothing to look at"),
            ("name = 'x'\n", "missing field `collection`"),
            (&format!("{key}participant = 'p'\n"), "did you mean `participants`?"),
            (&format!("{key}member = 'id'\n"), "key.member needs key.participants"),
            (&format!("{key}participants = 'k'\n"), "the same field"),
            (&format!("{key}participants = ''\n"), "key.participants is empty"),
            (&format!("{key}participants = '$where'\n"), "is not a name"),
            (&format!("{key}participants = 'a.b'\n"), "not a path"),
            (&key.replace("'k'", "'a..b'"), "is not a path"),
            (&key.replace("'k'", "'a.$b'"), "is not a path"),
            (&format!("{key}[array]\nfield = 'k'\n"), "both key.field and array.field"),
            (&format!("{key}{0}{0}", "[[references]]\ncollection = 'd'\nfield = 'f.$id'\n"), "`f.$id` of `d` twice"),
            (
                &format!("{key}[[references]]\ncollection = 'd'\nfield = 'f'\nunique_with = ['f']\n"),
                "is the reference itself",
            ),
            (&format!("{key}[array]\nfield = 'm'\nidentity = [[]]\n"), "empty rule"),
            (&format!("{key}[array]\nfield = 'm'\nanswers = [{{}}]\n"), "empty mark"),
            (&format!("{key}[[references]]\ncollection = 'c'\nfield = 'f'\n"), "refers to itself"),
            (&format!("{key}required = null\n"), "expected a boolean"),
            (&format!("{key}blank = ['x']\n"), "key.blank names `x`, which is no field of the key"),
            (&format!("{key}participants = 'p'\nblank = ['k']\n"), "key.blank is for keys as they are stored"),
            (&format!("{key}separator = null\n"), "only `key.where` can hold a null"),
            (&format!("{key}where = {{ gone = null, gone = 1 }}\n"), "{ gone = null, gone"),
            (&format!("{key}collation = {{ locale = 'en', strenght = 2 }}\n"), "did you mean `strength`?"),
            (&format!("{key}collation = {{ locale = 'en', strength = 9 }}\n"), "a number from 1 to 5"),
            (&format!("{key}collation = {{ locale = 'en' }}\nignore_case = true\n"), "twice"),
            (&format!("{key}participants = 'p'\nignore_case = true\n"), "for keys as they are stored"),
            (&format!("{}ignore_case = true\n", key.replace("'k'", "'k.0'")), "is a position in an array"),
            (&format!("{key}collation = {{ locale = 'en', alternate = 'some' }}\n"), "key.collation: "),
            (&key.replace("'k'", "[]"), "the list is empty"),
            (&key.replace("'k'", "['a', 'a']"), "names `a` twice"),
            (&format!("{}participants = 'p'\n", key.replace("'k'", "['a', 'b']")), "one field, not several"),
            (&format!("{key}[array]\nfield = 'm'\nidentity = 'elements'\n"), "array.identity is \"element\""),
            (&format!("{key}[merge]\nnewest = ['n']\nfields = {{ n = 'sum' }}\n"), "`n` has two rules"),
            (&format!("{key}[merge]\nfields = {{ n = 'summ' }}\n"), "unknown variant `summ`"),
            (&format!("{key}[merge]\nfields = {{ 'a.b' = 'sum' }}\n"), "not a path"),
            (&format!("{key}[merge]\ndefault = 'sum'\n"), "does not fit fields of every type"),
            (&format!("{key}[merge]\nkeep = 'largest'\n"), "largest"),
            (&format!("{key}[array]\nfield = 'm'\n[merge]\nfields = {{ m = 'union' }}\n"), "which [array] describes"),
            (
                &format!("{key}[[references]]\ncollection = 'd'\nfield = 'f'\nmerge.fields = {{ _id = 'keep' }}\n"),
                "names `_id`",
            ),
            (&format!("{key}sparse = 'yes'\n"), "invalid type: string \"yes\", expected a boolean"),
        ] {
            let error = Profile::parse(text, "p.toml").unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("p.toml"), "{text}\n{error}");
        }
        Profile::parse(key, "p.toml").unwrap();
        let array =
            Profile::parse(&format!("{key}[array]\nfield = 'm'\nidentity = 'element'\n"), "p.toml").unwrap().array;
        assert_eq!(array.unwrap().identity, [IdentityRule::Element]);
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = Profile::load("chat").unwrap_err().to_string();
        assert!(error.contains("chats, conversations, messages, threads"), "{error}");
        assert!(matches!(Profile::load("no-such-file.toml"), Err(ProfileError::Unreadable { .. })));
    }
}
