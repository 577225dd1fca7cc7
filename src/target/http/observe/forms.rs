//! The forms in which a run's keys are stored, and which of them a document has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, PoisonError};

use mongodb::bson::{Bson, Document, doc};

use super::super::HttpTarget;
use super::super::path::{Found, at};
use super::super::value::{stored_as, stored_text};
use super::{STEP, step, subject};
use crate::history::Action;
use crate::scenario::{ObserveMongo, Template};
use crate::strategy::create_or_get::canonical_key;
use crate::target::TargetError;

/// What is between the names of a pair whose members are stored as a list.
const JOINT: &str = "_";

/// The key that each stored form stands for. A form has a text for each field of the key.
#[derive(Default)]
pub(super) struct Forms {
    fields: Vec<String>,
    keys: BTreeMap<Vec<String>, Arc<str>>,
    /// A pair may also be stored as the list of its names.
    pairs: Vec<(String, String)>,
    /// Forms of keys that requests came for which come first, and no operation.
    prepared: BTreeSet<Vec<String>>,
    /// The keys by their forms in small letters; built when a document is no key's.
    in_small_letters: OnceLock<BTreeMap<Vec<String>, Arc<str>>>,
    /// The first form of each key; built when one is asked for.
    by_key: OnceLock<BTreeMap<Arc<str>, Vec<String>>>,
}

impl Forms {
    /// Every form in which a key of the run may be stored: as the scenario says, or as it is, in either order of a pair.
    pub(super) fn of(target: &HttpTarget, spec: &ObserveMongo) -> Result<Self, TargetError> {
        Self::stored_by(target, spec.key.clone(), &spec.stored)
    }

    fn stored_by(target: &HttpTarget, fields: Vec<String>, stored: &[Template]) -> Result<Self, TargetError> {
        let known = target.client.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let prepared = target.client.priors.keys().into_iter().filter(|key| !known.contains(key));
        let prepared = Self::of_keys(target, Vec::new(), stored, prepared)?;
        let forms = Self::of_keys(target, fields, stored, known.iter().cloned())?;
        Ok(Forms { prepared: prepared.keys.into_keys().collect(), ..forms })
    }

    fn of_keys(
        target: &HttpTarget,
        fields: Vec<String>,
        stored: &[Template],
        keys: impl Iterator<Item = Arc<str>>,
    ) -> Result<Self, TargetError> {
        let mut forms = Forms { fields, ..Forms::default() };
        for key in keys {
            let key = &key;
            if stored.is_empty() {
                forms.as_it_is(key);
                continue;
            }
            for reversed in [false, true] {
                let action = Action::CreateOrGet { reversed };
                let variables = target.client.priors.with(subject(&target.run.run_id, key, &action).variables(), key);
                let form: Result<Vec<String>, _> = stored.iter().map(|template| template.render(&variables)).collect();
                forms.keys.insert(form.map_err(|error| step(STEP, error))?, Arc::clone(key));
            }
        }
        Ok(forms)
    }

    fn as_it_is(&mut self, key: &Arc<str>) {
        if let Some((a, b)) = key.split_once(JOINT).filter(|(a, b)| canonical_key([a, b]) == **key) {
            self.keys.insert(vec![format!("{b}{JOINT}{a}")], Arc::clone(key));
            self.pairs.push((a.to_owned(), b.to_owned()));
        }
        self.keys.insert(vec![key.to_string()], Arc::clone(key));
    }

    /// The run's key that a document has but for the letters' case.
    pub(super) fn in_other_letters(&self, document: &Document) -> Option<Arc<str>> {
        let small = |form: &[String]| form.iter().map(|text| text.to_lowercase()).collect::<Vec<_>>();
        let all = || self.keys.iter().map(|(form, key)| (small(form), Arc::clone(key))).collect();
        let form: Option<Vec<String>> = self.fields.iter().map(|field| text_at(document, field)).collect();
        self.in_small_letters.get_or_init(all).get(&small(&form?)).cloned()
    }

    /// Whether a document is of a key that was made ready for operations which never came.
    pub(super) fn is_prepared(&self, document: &Document) -> bool {
        let form: Option<Vec<String>> = self.fields.iter().map(|field| text_at(document, field)).collect();
        form.is_some_and(|form| self.prepared.contains(&form))
    }

    /// What is in the key's fields of a document, whichever key that is.
    pub(super) fn shown_of(&self, document: &Document) -> String {
        let texts: Vec<String> =
            self.fields.iter().map(|field| text_at(document, field).unwrap_or_else(|| "nothing".to_owned())).collect();
        shown(&texts)
    }

    /// How a key of the run is expected to be stored.
    pub(super) fn expected(&self, key: &str) -> Option<String> {
        let all = || self.keys.iter().rev().map(|(form, key)| (Arc::clone(key), form.clone())).collect();
        self.by_key.get_or_init(all).get(key).map(|form| shown(form))
    }

    /// One of them, for an example.
    pub(super) fn example(&self) -> Option<String> {
        self.keys.keys().next().map(|form| shown(form))
    }

    /// Whether there is none: nothing was asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key that a text stands for by itself.
    pub(super) fn named(&self, key: &str) -> Option<Arc<str>> {
        self.keys.get(&vec![key.to_owned()]).cloned()
    }

    /// What a document has in the key's fields, and the run's key that it stands for.
    pub(super) fn of_document(&self, document: &Document) -> Option<(String, Arc<str>)> {
        let form: Option<Vec<String>> = self.fields.iter().map(|field| text_at(document, field)).collect();
        let form = form?;
        let key = self.keys.get(&form)?;
        Some((shown(&form), Arc::clone(key)))
    }

    /// Queries that find all documents of the run, and few others, in a collection that holds more.
    pub(super) fn queries(&self, values_per_query: usize) -> Vec<Document> {
        let [field] = self.fields.as_slice() else {
            let all: Vec<Document> = self.keys.keys().map(|form| self.each(form)).collect();
            return all.chunks(values_per_query).map(|some| doc! { "$or": some.to_vec() }).collect();
        };
        let values: Vec<Bson> = self.keys.keys().flatten().flat_map(|text| stored_as(text)).collect();
        let lists = self.pairs.iter().map(|(a, b)| doc! { field: { "$all": [a, b] } }).collect::<Vec<_>>();
        let by_value = values.chunks(values_per_query).map(|some| doc! { field: { "$in": some.to_vec() } });
        by_value.chain(lists.chunks(values_per_query).map(|some| doc! { "$or": some.to_vec() })).collect()
    }

    fn each(&self, form: &[String]) -> Document {
        let fields = self.fields.iter().zip(form);
        fields.map(|(field, text)| (field.clone(), Bson::from(doc! { "$in": stored_as(text) }))).collect()
    }
}

/// The key that each text stands for, where one text is all that is stored of a key.
pub(in super::super) fn forms_of(
    target: &HttpTarget,
    stored: Option<&Template>,
) -> Result<BTreeMap<String, Arc<str>>, TargetError> {
    let forms = Forms::stored_by(target, Vec::new(), stored.map_or(&[], std::slice::from_ref))?;
    Ok(forms.keys.into_iter().map(|(form, key)| (form.concat(), key)).collect())
}

/// A form on one line. Several values are told apart whatever is in them.
fn shown(form: &[String]) -> String {
    match form {
        [one] => one.clone(),
        several => format!("{several:?}"),
    }
}

/// The text at a path; a list of participants is a pair like its sorted names joined.
fn text_at(document: &Document, path: &str) -> Option<String> {
    match at(document, path) {
        Found::Nothing => None,
        Found::One(Bson::Array(items)) => Some(joined(items)),
        Found::One(value) => stored_text(value),
        Found::Several(values) => Some(joined(values)),
    }
}

fn joined<'a>(items: impl IntoIterator<Item = &'a Bson>) -> String {
    let mut names: Vec<String> = items.into_iter().filter_map(stored_text).collect();
    names.sort_unstable();
    names.join(JOINT)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::oid::ObjectId;

    use super::*;

    fn forms(fields: &[&str], keys: &[(&[&str], &str)]) -> Forms {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let keys = keys.iter().map(|(form, key)| (texts(form), Arc::from(*key))).collect();
        Forms { fields: texts(fields), keys, ..Forms::default() }
    }

    #[test]
    fn a_document_has_the_key_whatever_type_and_place_it_is_stored_in() {
        let oid = "65a1b2c3d4e5f60718293a4b";
        let single = |form: &'static str| forms(&["chat.key"], &[(&[form], "k")]);
        let cases = [
            (single("a_b"), doc! { "chat": { "key": "a_b" } }, true),
            (single("a_b"), doc! { "chat": { "key": ["b", "a"] } }, true),
            (single("a_b"), doc! { "chat": [{ "key": "b" }, { "key": "a" }] }, true),
            (single("7"), doc! { "chat": { "key": 7.0 } }, true),
            (single(oid), doc! { "chat": { "key": ObjectId::parse_str(oid).unwrap() } }, true),
            (single("a_b"), doc! { "key": "a_b" }, false),
            (single("a_b"), doc! { "chat": { "key": "x-a_b" } }, false),
            (single("a_b"), doc! { "chat": { "key": null } }, false),
            (forms(&["parent", "name"], &[(&["7", "x"], "k")]), doc! { "parent": 7, "name": "x" }, true),
            (forms(&["parent", "name"], &[(&["7", "x"], "k")]), doc! { "parent": 7, "name": "y" }, false),
            (forms(&["parent", "name"], &[(&["7", "x"], "k")]), doc! { "name": "x" }, false),
        ];
        for (forms, document, is_of_run) in cases {
            assert_eq!(forms.of_document(&document).is_some(), is_of_run, "{document}");
        }
    }

    #[test]
    fn a_compound_key_is_told_apart_whatever_is_in_its_parts() {
        assert_ne!(shown(&["a, b".to_owned(), "c".to_owned()]), shown(&["a".to_owned(), "b, c".to_owned()]));
        assert_eq!(shown(&["a_b".to_owned()]), "a_b");
    }
}
