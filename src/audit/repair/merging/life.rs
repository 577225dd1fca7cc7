//! Which documents live, and whether what becomes of them still does: by the fields that mark a document as deleted, by the
//! indexes that let the server remove documents when their time is up, and by the filters of partial indexes.
//!
//! Pure functions of documents and of what the server lists of the indexes.

use mongodb::bson::{Bson, Document};

use super::value::{compare, is_none, is_number};
use crate::audit::MergeSpec;
use crate::audit::canon::same;
use crate::audit::raw::value_at;
use crate::audit::repair::decide::id_of;
use crate::audit::repair::refer::values;

/// Fields that mark a document as deleted where the profile does not say which.
const DELETED: [&str; 14] = [
    "deletedAt",
    "deleted_at",
    "deletedOn",
    "deleted_on",
    "deleted",
    "isDeleted",
    "is_deleted",
    "removedAt",
    "removed_at",
    "removed",
    "isRemoved",
    "is_removed",
    "trashedAt",
    "trashed",
];
/// Others that tell it then, and how. They belong to what has other uses too: rules for them are followed.
const TELLING: [(&str, Gone); 13] = [
    ("meta.deletedAt", Gone::Set),
    ("meta.deleted_at", Gone::Set),
    ("meta.deleted", Gone::Set),
    ("meta.isDeleted", Gone::Set),
    ("metadata.deletedAt", Gone::Set),
    ("metadata.deleted_at", Gone::Set),
    ("metadata.deleted", Gone::Set),
    ("metadata.isDeleted", Gone::Set),
    ("active", Gone::False),
    ("isActive", Gone::False),
    ("is_active", Gone::False),
    ("status", Gone::Word),
    ("state", Gone::Word),
];
/// Words for what is deleted.
const WORDS: [&str; 4] = ["deleted", "removed", "trashed", "trash"];

/// How a value says that its document is deleted.
#[derive(Debug, Clone, Copy)]
enum Gone {
    /// There is one.
    Set,
    /// It is false.
    False,
    /// It is one of some words.
    Word,
}

impl Gone {
    fn says(self, value: Option<&Bson>) -> bool {
        match (self, value) {
            (Gone::Set, value) => is_set(value),
            (Gone::False, Some(Bson::Boolean(is))) => !is,
            (Gone::Word, Some(Bson::String(text))) => WORDS.contains(&text.to_lowercase().as_str()),
            (Gone::False | Gone::Word, _) => false,
        }
    }
}

/// What tells whether a document lives.
#[derive(Debug, Clone)]
enum Mark<'a> {
    /// It is deleted if it has a value here.
    Deleted(&'a str),
    /// It is deleted if what is here says so.
    Told(&'a str, Gone),
    /// The server removes it some time after the date here, the same for all, if it matches the filter.
    Expiring { field: &'a str, filter: Option<&'a Document> },
    /// It is in the index of this name if it matches the filter.
    Partial { index: &'a str, filter: &'a Document },
}

/// How far a document lives by one mark: more is more.
#[derive(Debug, Clone, PartialEq)]
enum Sign {
    Rank(i64),
    /// It cannot be told: what the document has at the fields of the filter.
    Unknown(Vec<Option<Bson>>),
}

impl Sign {
    fn at_least(&self, other: &Sign) -> bool {
        match (self, other) {
            (Sign::Rank(own), Sign::Rank(other)) => own >= other,
            (own, other) => own == other,
        }
    }
}

/// The marks of a collection.
#[derive(Debug, Clone)]
pub(super) struct Marks<'a> {
    marks: Vec<Mark<'a>>,
    /// Paths that are the same for all documents of a group, or will be.
    identity: &'a [&'a str],
}

impl<'a> Marks<'a> {
    /// The marks by the profile and the indexes that the server lists.
    pub(super) fn of(spec: &'a MergeSpec, identity: &'a [&'a str], indexes: &'a [Document]) -> Self {
        let mut marks: Vec<Mark<'a>> = match &spec.deleted {
            Some(fields) => fields.iter().map(|field| Mark::Deleted(field)).collect(),
            None => {
                let told = TELLING.into_iter().map(|(field, gone)| Mark::Told(field, gone));
                DELETED.into_iter().map(Mark::Deleted).chain(told).collect()
            }
        };
        marks.extend(indexes.iter().filter_map(|index| {
            let filter = index.get_document("partialFilterExpression").ok();
            if let (true, Ok(key)) = (index.contains_key("expireAfterSeconds"), index.get_document("key")) {
                return Some(Mark::Expiring { field: key.keys().next()?, filter });
            }
            Some(Mark::Partial { index: index.get_str("name").ok()?, filter: filter? })
        }));
        Marks { marks, identity }
    }

    fn sign(&self, mark: &Mark<'_>, document: &Document) -> Sign {
        match mark {
            Mark::Deleted(field) => Sign::Rank(i64::from(!is_set(value_at(document, field)))),
            Mark::Told(field, gone) => Sign::Rank(i64::from(!gone.says(value_at(document, field)))),
            Mark::Expiring { filter: Some(filter), .. } if self.matches(document, filter) == Some(false) => {
                Sign::Rank(i64::MAX)
            }
            Mark::Expiring { field, .. } => {
                let dates = values(document, field).into_iter().filter_map(Bson::as_datetime);
                Sign::Rank(dates.map(|date| date.timestamp_millis()).min().unwrap_or(i64::MAX))
            }
            Mark::Partial { filter, .. } => match self.matches(document, filter) {
                Some(is_in) => Sign::Rank(i64::from(is_in)),
                None => {
                    Sign::Unknown(paths(filter).into_iter().map(|path| value_at(document, path).cloned()).collect())
                }
            },
        }
    }

    /// Whether a field decides by which a document lives.
    pub(super) fn decides(&self, field: &str) -> bool {
        let is_root = |path: &str| path.split('.').next() == Some(field);
        self.marks.iter().any(|mark| match mark {
            Mark::Deleted(path) | Mark::Expiring { field: path, .. } => is_root(path),
            Mark::Told(..) => false,
            Mark::Partial { filter, .. } => {
                paths(filter).into_iter().any(|path| is_root(path) && !self.is_identity(path))
            }
        })
    }

    /// Whether what is at a path is, or will be, the same for all documents: it is within what makes them one, or around it.
    fn is_identity(&self, path: &str) -> bool {
        let within = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
        self.identity.iter().any(|own| *own == path || within(path, own) || within(own, path))
    }

    /// Why something that lives would vanish with this result; `None` if nothing would.
    pub(super) fn loss(&self, result: impl FnOnce() -> Document, documents: &[&Document]) -> Option<String> {
        let is_deleted = |mark: &Mark<'_>, document: &&Document| self.sign(mark, document) == Sign::Rank(0);
        let only_names = self.marks.iter().all(|mark| matches!(mark, Mark::Deleted(_) | Mark::Told(..)));
        if only_names && !self.marks.iter().any(|mark| documents.iter().any(|document| is_deleted(mark, document))) {
            return None;
        }
        let result = result();
        self.marks.iter().find_map(|mark| {
            let own = self.sign(mark, &result);
            let other = documents.iter().find(|document| !own.at_least(&self.sign(mark, document)))?;
            Some(sentence(mark, &id_of(other)))
        })
    }

    /// The documents of which none lives longer than another, and every other one less; by position.
    pub(super) fn liveliest(&self, documents: &[&Document]) -> Vec<usize> {
        let signs: Vec<Vec<Sign>> = documents
            .iter()
            .map(|document| self.marks.iter().map(|mark| self.sign(mark, document)).collect())
            .collect();
        let lives =
            |own: &Vec<Sign>| signs.iter().all(|other| own.iter().zip(other).all(|(own, other)| own.at_least(other)));
        signs.iter().enumerate().filter(|(_, own)| lives(own)).map(|(position, _)| position).collect()
    }

    /// Whether a document matches the filter of a partial index; `None` if that cannot be told here. What the key is made of
    /// matches, and conditions that ask only whether there is a value do: they say nothing of which document is which.
    fn matches(&self, document: &Document, filter: &Document) -> Option<bool> {
        let mut all = true;
        for (path, condition) in filter {
            all &= match (path.as_str(), condition) {
                ("$and" | "$or", Bson::Array(parts)) => {
                    let each = parts.iter().map(|part| self.matches(document, part.as_document()?));
                    let each = each.collect::<Option<Vec<bool>>>()?;
                    if path == "$and" { each.into_iter().all(|is| is) } else { each.into_iter().any(|is| is) }
                }
                (path, _) if path.starts_with('$') => return None,
                (path, _) if self.is_identity(path) => true,
                (path, Bson::Document(operators))
                    if operators.keys().next().is_some_and(|name| name.starts_with('$')) =>
                {
                    let mut each = true;
                    for (operator, wanted) in operators {
                        each &= fulfils(&values(document, path), operator, wanted)?;
                    }
                    each
                }
                (path, wanted) => fulfils(&values(document, path), "$eq", wanted)?,
            };
        }
        Some(all)
    }
}

/// The paths that a filter asks about.
fn paths(filter: &Document) -> Vec<&str> {
    let mut found = Vec::new();
    for (path, condition) in filter {
        match condition.as_array().filter(|_| path.starts_with('$')) {
            Some(parts) => parts.iter().filter_map(Bson::as_document).for_each(|part| found.extend(paths(part))),
            None => found.push(path.as_str()),
        }
    }
    found
}

fn fulfils(values: &[&Bson], operator: &str, wanted: &Bson) -> Option<bool> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let any = |orders: &[std::cmp::Ordering]| {
        values.iter().any(|value| compare(value, wanted).is_some_and(|order| orders.contains(&order)))
    };
    let equal = |wanted: &Bson| match is_none(Some(wanted)) {
        true => values.is_empty() || values.iter().any(|value| is_none(Some(value))),
        false => values.iter().any(|value| same(value, wanted)),
    };
    match (operator, wanted) {
        // The one type that says that there is no value, by its name or its number.
        ("$type", wanted) if wanted.as_str() == Some("null") || same(wanted, &Bson::Int32(10)) => {
            Some(values.iter().any(|value| matches!(value, Bson::Null)))
        }
        ("$exists" | "$type", _) => Some(true),
        ("$gt", Bson::String(text)) if text.is_empty() => Some(true),
        ("$eq", wanted) => Some(equal(wanted)),
        ("$in", Bson::Array(several)) => Some(several.iter().any(equal)),
        ("$gt", _) => Some(any(&[Greater])),
        ("$gte", _) => Some(any(&[Greater, Equal])),
        ("$lt", _) => Some(any(&[Less])),
        ("$lte", _) => Some(any(&[Less, Equal])),
        _ => None,
    }
}

fn is_set(value: Option<&Bson>) -> bool {
    match value {
        value if is_none(value) => false,
        Some(Bson::Boolean(is)) => *is,
        Some(Bson::String(text)) => !text.is_empty(),
        Some(number) if is_number(number) => !same(number, &Bson::Int32(0)),
        _ => true,
    }
}

fn sentence(mark: &Mark<'_>, other: &Bson) -> String {
    match mark {
        Mark::Deleted(field) | Mark::Told(field, _) => {
            format!("by `{field}` it would be deleted, and document {other} is not")
        }
        Mark::Expiring { field, .. } => {
            format!("by `{field}` the server would remove it before it would remove document {other}")
        }
        Mark::Partial { index, .. } => {
            format!("it would be outside the filter of the index `{index}`, within which document {other} is")
        }
    }
}

/// Whether a rule of the profile names the field.
pub(super) fn is_named(spec: &MergeSpec, field: &str) -> bool {
    spec.fields.contains_key(field) || [&spec.newest, &spec.union].into_iter().flatten().any(|named| named == field)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{DateTime, doc};

    use super::*;

    #[test]
    fn marks_tell_which_documents_live() {
        let date = |at: i64| DateTime::from_millis(at);
        let ttl = doc! { "name": "t", "key": { "until": 1 }, "expireAfterSeconds": 5 };
        let drafts = doc! {
            "name": "d", "key": { "at": 1 }, "expireAfterSeconds": 5_i64, "partialFilterExpression": { "draft": true },
        };
        let partial = |filter: Document| doc! { "name": "p", "key": { "k": 1 }, "partialFilterExpression": filter };
        let open =
            partial(doc! { "state": { "$in": ["open", "new"] }, "k": { "$type": "string" }, "x": { "$exists": true } });
        for (index, left, right, expected) in [
            (doc! {}, doc! { "deletedAt": date(1) }, doc! {}, vec![1]),
            (
                doc! {},
                doc! { "deletedAt": null },
                doc! { "deleted": false, "is_deleted": 0, "deleted_at": "" },
                vec![0, 1],
            ),
            (doc! {}, doc! { "deletedAt": date(1) }, doc! { "deletedAt": date(2) }, vec![0, 1]),
            (doc! {}, doc! { "deletedAt": date(1) }, doc! { "isDeleted": true }, vec![]),
            (doc! {}, doc! { "removed": true }, doc! {}, vec![1]),
            (doc! {}, doc! { "meta": { "deletedAt": date(1) } }, doc! { "meta": {} }, vec![1]),
            (doc! {}, doc! { "active": false }, doc! { "active": true }, vec![1]),
            (doc! {}, doc! { "status": "Deleted" }, doc! { "status": "new" }, vec![1]),
            (doc! {}, doc! { "status": "closed", "active": 0 }, doc! { "state": "open" }, vec![0, 1]),
            (ttl.clone(), doc! { "until": date(1) }, doc! { "until": date(2) }, vec![1]),
            (ttl.clone(), doc! { "until": date(1) }, doc! { "until": "never" }, vec![1]),
            (ttl.clone(), doc! { "until": [date(1), date(9)] }, doc! { "until": date(1) }, vec![0, 1]),
            (ttl, doc! { "until": date(9), "deletedAt": date(1) }, doc! { "until": date(1) }, vec![]),
            (drafts.clone(), doc! { "at": date(1) }, doc! { "at": date(2), "draft": true }, vec![0]),
            (drafts, doc! { "at": date(1), "draft": true }, doc! { "at": date(2), "draft": true }, vec![1]),
            (open.clone(), doc! { "state": "open", "k": 1 }, doc! { "state": "closed", "k": "a", "x": 1 }, vec![0]),
            (open, doc! { "state": "open" }, doc! { "state": "new", "x": 1 }, vec![0, 1]),
            (partial(doc! { "gone": null }), doc! { "gone": 1 }, doc! {}, vec![1]),
            (partial(doc! { "gone": { "$type": "null" } }), doc! { "gone": 1 }, doc! { "gone": null }, vec![1]),
            (partial(doc! { "gone": { "$type": 10.0 } }), doc! { "gone": 1 }, doc! { "gone": null }, vec![1]),
            (partial(doc! { "n": { "$gt": 1, "$lte": 3_i64 } }), doc! { "n": 1 }, doc! { "n": 3.0 }, vec![1]),
            (partial(doc! { "$or": [{ "a": 1 }, { "b": 1 }] }), doc! { "a": 2 }, doc! { "b": [2, 1] }, vec![1]),
            (partial(doc! { "n": { "$mod": [2, 0] } }), doc! { "n": 1 }, doc! { "n": 2 }, vec![]),
            (partial(doc! { "n": { "$mod": [2, 0] } }), doc! { "n": 1 }, doc! { "n": 1 }, vec![0, 1]),
        ] {
            let (spec, indexes) = (MergeSpec::default(), [index]);
            let marks = Marks::of(&spec, &["k"], &indexes);
            assert_eq!(marks.liveliest(&[&left, &right]), expected, "{} {left} {right}", indexes[0]);
            let lives = |document: &Document| marks.loss(|| document.clone(), &[&left, &right]).is_none();
            let lively: Vec<usize> = (0..2).filter(|at| lives([&left, &right][*at])).collect();
            assert_eq!(lively, expected, "{} {left} {right}", indexes[0]);
        }
    }

    #[test]
    fn what_stands_beside_the_key_within_one_field_is_not_part_of_it() {
        let spec = MergeSpec::default();
        let state = |state: &str| doc! { "meta": { "key": "a", "state": state } };
        for (filter, decides) in [
            (doc! { "meta.state": "open" }, true),
            (doc! { "$and": [{ "meta.key": "a" }, { "meta.state": { "$regex": "^o" } }] }, true),
            (doc! { "meta.key": "b" }, false),
        ] {
            let indexes = [doc! { "name": "p", "key": { "x": 1 }, "partialFilterExpression": filter }];
            let marks = Marks::of(&spec, &["meta.key"], &indexes);
            assert_eq!(marks.decides("meta"), decides, "{}", indexes[0]);
            let lively = marks.liveliest(&[&state("closed"), &state("open")]);
            assert_eq!(lively.len() < 2, decides, "{} {lively:?}", indexes[0]);
        }
    }

    #[test]
    fn the_profile_says_what_marks_a_document_as_deleted() {
        let spec = MergeSpec { deleted: Some(vec!["meta.gone".to_owned()]), ..MergeSpec::default() };
        let marks = Marks::of(&spec, &[], &[]);
        let (gone, other) = (doc! { "meta": { "gone": true } }, doc! { "deletedAt": 1 });
        assert_eq!(marks.liveliest(&[&gone, &other]), [1]);
        assert!(marks.decides("meta") && !marks.decides("deletedAt"));
        let (inactive, active) = (doc! { "active": false }, doc! { "active": true });
        assert_eq!(marks.liveliest(&[&inactive, &active]), [0, 1]);
    }
}
