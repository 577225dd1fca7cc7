//! One group: the document that is kept, as it will be, and what of the others is not in it.

use mongodb::bson::{Bson, Document, RawDocumentBuf};
use serde_json::{Value, json};

use super::life::{Marks, is_named};
use super::rank::{oldest_first, ranked};
use super::rules::{Held, held, rule_of, value};
use super::value::{is_none, typed};
use crate::audit::inspect::shown;
use crate::audit::repair::change::{array, merged_order};
use crate::audit::repair::decide::id_of;
use crate::audit::repair::guard::From;
use crate::audit::repair::limits::grouped;
use crate::audit::{ArraySpec, FieldRule, MergeSpec, Profile, Reference};

/// A value that is in no document any more after the merge.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::audit::repair) struct Lost {
    /// The document that had it.
    pub(in crate::audit::repair) document: Bson,
    pub(in crate::audit::repair) field: String,
    pub(in crate::audit::repair) value: Bson,
    /// What the kept document has there.
    pub(in crate::audit::repair) kept: Option<Bson>,
    /// The rule by which it is lost; without one nobody said that it may be.
    pub(in crate::audit::repair) rule: Option<&'static str>,
}

/// The word in place of a rule where only the form of a value is lost: `7.0` beside a `7` that stays.
const EQUAL: &str = "equal";

/// The word in place of a rule where the document that is kept lives and another does not, or not as long.
const LIVE: &str = "live";

impl Lost {
    /// As reports show it.
    pub(in crate::audit::repair) fn shown(&self) -> Value {
        // Where the form is what is lost, it must be seen.
        let shown = if self.rule == Some(EQUAL) { typed } else { shown };
        json!({
            "document": crate::audit::inspect::shown(&self.document), "field": self.field, "value": shown(&self.value),
            "kept": self.kept.as_ref().map(shown), "rule": self.rule,
        })
    }
}

/// How one field of the kept document changes.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::audit::repair) enum FieldChange {
    /// The array of the profile: its elements and those of the others in this order.
    Array { order: Vec<From>, others: Vec<Bson>, own: Vec<Bson> },
    /// The server adds what it lacks of these elements.
    Union(Vec<Bson>),
    /// The server takes the larger one.
    Largest(Bson),
    /// It becomes this, if it is still what was read.
    Set(Bson),
}

/// What becomes of a group.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::audit::repair) struct Outcome {
    /// The fields of the kept document that change: how, and to what.
    pub(in crate::audit::repair) changes: Vec<(String, FieldChange, Bson)>,
    pub(in crate::audit::repair) lost: Vec<Lost>,
}

impl Outcome {
    /// The changed fields with their new values.
    pub(in crate::audit::repair) fn changed(&self) -> Document {
        self.changes.iter().map(|(field, _, value)| (field.clone(), value.clone())).collect()
    }

    /// The kept document as it will be.
    pub(in crate::audit::repair) fn result(&self, kept: &Document) -> Document {
        let mut result = kept.clone();
        result.extend(self.changed());
        result
    }

    /// Fields that differ and have no rule.
    pub(in crate::audit::repair) fn unruled(&self) -> Vec<&str> {
        let mut fields: Vec<&str> =
            self.lost.iter().filter(|lost| lost.rule.is_none()).map(|lost| lost.field.as_str()).collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }
}

/// What decides how documents become one.
#[derive(Debug, Clone)]
pub(in crate::audit::repair) struct Rules<'a> {
    spec: &'a MergeSpec,
    array: Option<&'a ArraySpec>,
    /// Paths whose values decide that the documents are one: these need no rule.
    identity: Vec<&'a str>,
    /// What the server lists of the collection's indexes.
    indexes: &'a [Document],
}

impl<'a> Rules<'a> {
    /// The rules of the audited collection.
    pub(in crate::audit::repair) fn of(profile: &'a Profile, indexes: &'a [Document]) -> Self {
        let identity = profile
            .key
            .iter()
            .flat_map(|key| key.field.all().iter().chain(&key.participants).chain(&key.prefix).map(String::as_str));
        Rules { spec: &profile.merge, array: profile.array.as_ref(), identity: identity.collect(), indexes }
    }

    /// The rules of a referring collection.
    pub(in crate::audit::repair) fn of_reference(reference: &'a Reference, indexes: &'a [Document]) -> Self {
        let identity = std::iter::once(&reference.field).chain(&reference.unique_with).map(String::as_str);
        Rules { spec: &reference.merge, array: None, identity: identity.collect(), indexes }
    }

    fn marks(&self) -> Marks<'_> {
        Marks::of(self.spec, &self.identity, self.indexes)
    }

    /// The document to keep instead of the first, where one of the others lives and that one does not, and the others from
    /// the oldest on; `None` if there is none.
    pub(in crate::audit::repair) fn livelier(&self, documents: &[Document]) -> Option<(Document, Vec<Document>)> {
        let all: Vec<&Document> = documents.iter().collect();
        let liveliest = self.marks().liveliest(&all);
        if liveliest.is_empty() || liveliest.contains(&0) {
            return None;
        }
        let candidates = liveliest.iter().filter_map(|&position| documents.get(position).cloned()).collect();
        let kept = ranked(candidates, self.spec).into_iter().next()?;
        let others: Vec<&Document> = all.into_iter().filter(|document| id_of(document) != id_of(&kept)).collect();
        Some((kept, oldest_first(&others, self.spec).into_iter().cloned().collect()))
    }

    /// The word of what decides a field that needs no rule: what makes the documents one, and their age.
    fn implied(&self, field: &str) -> Option<&'static str> {
        let is_root = |path: &str| path.split('.').next() == Some(field);
        if self.identity.iter().any(|path| is_root(path)) {
            Some("key")
        } else if self.spec.oldest.as_deref().is_some_and(is_root) {
            Some("age")
        } else {
            None
        }
    }
}

/// What makes a group one document. `Err` is a sentence: why it cannot be done. A document that lives does not become a
/// part of one that is deleted, or would be removed sooner: the fields that say so are the kept document's unless a rule
/// names them, and where that does not help it is refused.
pub(in crate::audit::repair) fn merged(
    rules: &Rules<'_>,
    kept: &Document,
    others: &[Document],
) -> Result<Outcome, String> {
    let documents: Vec<&Document> = std::iter::once(kept).chain(others).collect();
    too_large(&documents)?;
    let marks = rules.marks();
    let outcome = by_rules(rules, &documents, None)?;
    if marks.loss(|| outcome.result(kept), &documents).is_none() {
        return Ok(outcome);
    }
    let outcome = by_rules(rules, &documents, Some(&marks))?;
    match marks.loss(|| outcome.result(kept), &documents) {
        None => Ok(outcome),
        Some(why) => Err(format!("what lives would vanish: {why}")),
    }
}

/// What becomes of the documents, the kept one first. Fields of the marks, if any are given, stay the kept document's where
/// no rule names them.
fn by_rules(rules: &Rules<'_>, documents: &[&Document], marks: Option<&Marks<'_>>) -> Result<Outcome, String> {
    let Some(kept) = documents.first() else { return Ok(Outcome::default()) };
    let spec = rules.spec;
    let by_age = oldest_first(documents, spec);
    let mut outcome = Outcome::default();
    let mut fields: Vec<&str> = Vec::new();
    for field in documents.iter().flat_map(|document| document.keys()) {
        if field != "_id" && !fields.contains(&field.as_str()) {
            fields.push(field);
        }
    }
    for field in fields {
        if let Some(array) = rules.array.filter(|array| array.field == field) {
            outcome.changes.extend(array_change(array, documents)?);
            continue;
        }
        let stays = !is_named(spec, field) && marks.is_some_and(|marks| marks.decides(field));
        let rule = rule_of(spec, field).filter(|_| !stays);
        let newest = newest(&by_age, field);
        let result = value(rule.unwrap_or(FieldRule::Keep), field, documents, newest)?;
        let word = if stays { Some(LIVE) } else { rule.map(FieldRule::as_str).or_else(|| rules.implied(field)) };
        for document in documents {
            let Some(value) = document.get(field).filter(|value| !is_none(Some(value))) else { continue };
            let rule = match held(rule, value, result.as_ref()) {
                Held::Exactly => None,
                Held::ByValue => Some(Some(EQUAL)),
                Held::Not => Some(word),
            };
            if let Some(rule) = rule {
                let id = id_of(document);
                let (field, value, kept) = (field.to_owned(), value.clone(), result.clone());
                outcome.lost.push(Lost { document: id, field, value, kept, rule });
            }
        }
        if let Some(result) = result.filter(|result| kept.get(field) != Some(result)) {
            if field.contains('.') || field.starts_with('$') {
                return Err(format!("the field `{field}` has a name that cannot be set"));
            }
            outcome.changes.push((field.to_owned(), change(rule, kept.get(field), &result), result));
        }
    }
    Ok(outcome)
}

fn change(rule: Option<FieldRule>, own: Option<&Bson>, result: &Bson) -> FieldChange {
    match (rule, own, result) {
        (Some(FieldRule::Union), None | Some(Bson::Array(_)), Bson::Array(all)) => FieldChange::Union(all.clone()),
        (Some(FieldRule::Largest), _, _) => FieldChange::Largest(result.clone()),
        _ => FieldChange::Set(result.clone()),
    }
}

/// The value of the newest document that has one.
fn newest<'a>(by_age: &[&'a Document], field: &str) -> Option<&'a Bson> {
    by_age.iter().rev().filter_map(|document| document.get(field)).find(|value| !is_none(Some(value)))
}

/// The elements of all documents in the order of the profile.
fn array_change(spec: &ArraySpec, documents: &[&Document]) -> Result<Option<(String, FieldChange, Bson)>, String> {
    let Some((kept, others)) = documents.split_first() else { return Ok(None) };
    let field = spec.field.as_str();
    let of = |document: &Document| {
        let found = array(document, field).map(<[Bson]>::to_vec);
        found.ok_or_else(|| format!("`{field}` is no array in document {}", shown_id(document)))
    };
    let own = of(kept)?;
    let mut elements: Vec<(Bson, From)> = own.iter().cloned().zip((0..).map(From::Own)).collect();
    let mut pool: Vec<Bson> = Vec::new();
    for document in others {
        let theirs = of(document)?;
        let so_far: Vec<Bson> = elements.iter().map(|(element, _)| element.clone()).collect();
        let order = merged_order(&so_far, &theirs, spec);
        let pick = |from: From| match from {
            From::Own(position) => elements.get(position).cloned(),
            From::Other(position) => Some((theirs.get(position)?.clone(), From::Other(pool.len() + position))),
        };
        elements = order.into_iter().filter_map(pick).collect();
        pool.extend(theirs);
    }
    // An empty array is more than none.
    let is_new = is_none(kept.get(field)) && others.iter().any(|other| other.get_array(field).is_ok());
    if pool.is_empty() && !is_new {
        return Ok(None);
    }
    let (values, order): (Vec<Bson>, Vec<From>) = elements.into_iter().unzip();
    Ok(Some((field.to_owned(), FieldChange::Array { order, others: pool, own }, values.into())))
}

fn shown_id(document: &Document) -> Value {
    document.get("_id").map(shown).unwrap_or_default()
}

/// Refuses documents that together would not fit into one, or into the command that makes them one.
fn too_large(documents: &[&Document]) -> Result<(), String> {
    const LIMIT: usize = 15 * 1024 * 1024;
    let total: usize = documents.iter().map(|document| size(document)).sum();
    if total <= LIMIT {
        return Ok(());
    }
    let ids: Vec<String> = documents.iter().map(|document| shown_id(document).to_string()).collect();
    let (ids, total, limit) = (ids.join(", "), grouped(total), grouped(LIMIT));
    Err(format!(
        "documents {ids} together are too large for one: they have {total} bytes, of which {limit} can be merged"
    ))
}

/// Bytes of a document; one that cannot be written counts as too large.
pub(in crate::audit::repair) fn size(document: &Document) -> usize {
    RawDocumentBuf::try_from(document).map_or(usize::MAX / 1024, |raw| raw.as_bytes().len())
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    fn profile(merge: &str) -> Profile {
        let text = format!(
            "name='p'\ncollection='people'\n[key]\nfield='tag'\n[array]\nfield='log'\norder='at'\n[merge]\noldest='born'\n{merge}"
        );
        Profile::parse(&text, "test").unwrap()
    }

    fn outcome(merge: &str, documents: Vec<Document>) -> Result<(Document, Vec<String>), String> {
        let profile = profile(merge);
        let outcome = merged(&Rules::of(&profile, &[]), &documents[0], &documents[1..])?;
        let lost = outcome
            .lost
            .iter()
            .map(|lost| format!("{}.{}={}:{}", lost.document, lost.field, lost.value, lost.rule.unwrap_or("?")));
        Ok((outcome.result(&documents[0]), lost.collect()))
    }

    #[test]
    fn each_rule_gives_its_value_and_names_what_it_leaves_behind() {
        let documents = |own: Bson, theirs: Bson| vec![doc! { "_id": 1, "f": own }, doc! { "_id": 2, "f": theirs }];
        let array = |values: &[i32]| Bson::from(values.iter().map(|&value| Bson::Int32(value)).collect::<Vec<_>>());
        for (rule, own, theirs, result, lost) in [
            ("", 5.into(), 7.into(), 5.into(), vec!["2.f=7:?"]),
            ("fields.f='keep'", 5.into(), 7.into(), 5.into(), vec!["2.f=7:keep"]),
            ("fields.f='fill'", Bson::Null, 7.into(), 7.into(), vec![]),
            ("fields.f='fill'", 5.into(), 7.into(), 5.into(), vec!["2.f=7:fill"]),
            ("fields.f='newest'", 5.into(), 7.into(), 7.into(), vec!["1.f=5:newest"]),
            ("fields.f='sum'", 5.into(), 7.into(), 12.into(), vec![]),
            ("fields.f='largest'", 5.into(), 7.5.into(), 7.5.into(), vec!["1.f=5:largest"]),
            ("newest=['f']", 5.into(), 4.into(), 5.into(), vec!["2.f=4:largest"]),
            ("fields.f='union'", array(&[1, 2]), array(&[2, 3]), array(&[1, 2, 3]), vec![]),
            ("fields.f='concatenate'", array(&[1, 2]), array(&[2]), array(&[1, 2, 2]), vec![]),
            ("fields.f='concatenate'", "a".into(), "b".into(), "ab".into(), vec![]),
            ("default='fill'", Bson::Null, "b".into(), "b".into(), vec![]),
            ("", 5.into(), 5.0.into(), 5.into(), vec!["2.f=5:equal"]),
            ("fields.f='union'", array(&[1]), vec![Bson::Double(1.0)].into(), array(&[1]), vec!["2.f=[1]:equal"]),
            (
                "fields.f='union'",
                vec![Bson::Double(0.1)].into(),
                vec![Bson::Decimal128("0.1".parse().unwrap())].into(),
                vec![Bson::Double(0.1), Bson::Decimal128("0.1".parse().unwrap())].into(),
                vec![],
            ),
        ] {
            let (document, names) = outcome(rule, documents(own, theirs)).unwrap();
            assert_eq!(
                (document.get("f"), names),
                (Some(&result), lost.iter().map(ToString::to_string).collect()),
                "{rule}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_its_rule_is_refused_and_not_guessed() {
        let documents = |theirs: Bson| vec![doc! { "_id": 1, "f": 5 }, doc! { "_id": 2, "f": theirs }];
        for (rule, theirs, expected) in [
            ("fields.f='sum'", "7".into(), "cannot be summed"),
            ("fields.f='largest'", "7".into(), "cannot be compared"),
            ("fields.f='union'", 7.into(), "cannot be united"),
            ("fields.f='concatenate'", 7.into(), "one after the other"),
        ] {
            let refused = outcome(rule, documents(theirs)).unwrap_err();
            assert!(refused.contains(expected), "{rule}: {refused}");
        }
        let refused = outcome("", vec![doc! { "_id": 1, "log": 3 }, doc! { "_id": 2 }]).unwrap_err();
        assert!(refused.contains("no array in document 1"), "{refused}");
    }

    #[test]
    fn arrays_of_three_documents_become_one_in_order() {
        let log = |times: &[i32]| times.iter().map(|at| doc! { "at": *at }).collect::<Vec<_>>();
        let documents = vec![
            doc! { "_id": 1, "log": log(&[1, 4]) },
            doc! { "_id": 2, "log": log(&[2, 6]) },
            doc! { "_id": 3, "log": log(&[3, 5]) },
        ];
        let (document, lost) = outcome("", documents).unwrap();
        assert_eq!((document.get("log").unwrap().clone(), lost), (Bson::from(log(&[1, 2, 3, 4, 5, 6])), vec![]));
    }

    #[test]
    fn what_the_key_and_the_age_decide_needs_no_rule() {
        let profile = profile("");
        let documents = [doc! { "_id": 1, "tag": "a", "born": 1 }, doc! { "_id": 2, "tag": "A", "born": 2, "x": 1 }];
        let outcome = merged(&Rules::of(&profile, &[]), &documents[0], &documents[1..]).unwrap();
        assert_eq!((outcome.lost.len(), outcome.unruled()), (3, vec!["x"]));
    }
}
