//! The indexes of the collection that a run over HTTP observes, and what they mean for its key. Main type:
//! [`ObservedCollection`].

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, Document};
use mongodb::error::{Error, ErrorKind};
use serde_json::Value;

use super::indexes::{list_indexes, plan};
use super::{Connected, filter_of};
use crate::history::Observed;
use crate::lint::{IndexFact, KeyFacts, ObservedKey, of_key};
use crate::scenario::ObserveMongo;
use crate::target::{Guard, MongoUri};

/// The user may not list indexes.
const UNAUTHORIZED: i32 = 13;
/// The collection is not there.
const NAMESPACE_NOT_FOUND: i32 = 26;
/// A view has no indexes of its own.
const IS_A_VIEW: i32 = 166;

/// A collection that a run observes.
pub struct ObservedCollection<'a> {
    /// Its server.
    pub uri: MongoUri,
    /// What may be asked.
    pub guard: &'a Guard,
    /// Its database.
    pub database: String,
    /// What the scenario says of it.
    pub spec: &'a ObserveMongo,
    /// A key is to have one document.
    pub one: bool,
}

/// What was found of its indexes.
#[derive(Debug, Default)]
pub struct Found {
    /// All of them.
    pub indexes: Vec<IndexFact>,
    /// The plan of a lookup by key.
    pub plan: Option<String>,
    /// What they mean for the key.
    pub key: Option<ObservedKey>,
    /// A key has two documents.
    pub doubled: bool,
    /// What readers should know: why nothing was found, or what the server does by itself.
    pub notes: Vec<String>,
}

impl ObservedCollection<'_> {
    /// Asks the server. What it does not tell is a note, and never an error of the run.
    pub async fn look(&self, documents: &[Observed]) -> Found {
        let name = format!("{}.{}", self.database, self.spec.collection);
        let untold = |why: String| Found { notes: vec![format!("{why}: {NOTHING}")], ..Found::default() };
        let connected = match Connected::open_reading(&self.uri, self.guard).await {
            Ok(connected) => connected,
            Err(error) => return untold(format!("the indexes of {name} could not be read ({error})")),
        };
        match list_indexes(&connected.client, &self.database, &self.spec.collection).await {
            Ok(indexes) => self.found(&connected, name, indexes, documents).await,
            Err(error) => match code(&error) {
                // Whoever judges says that nothing is there.
                Some(NAMESPACE_NOT_FOUND) => Found::default(),
                Some(UNAUTHORIZED) => {
                    untold(format!("the indexes of {name} could not be read: the user has no right to list them"))
                }
                Some(IS_A_VIEW) => {
                    untold(format!("{name} is a view, and the indexes of what it reads were not looked at"))
                }
                _ => untold(format!(
                    "the indexes of {name} could not be read ({})",
                    self.uri.redact_text(&error.kind.to_string())
                )),
            },
        }
    }

    async fn found(
        &self,
        connected: &Connected,
        name: String,
        indexes: Vec<IndexFact>,
        documents: &[Observed],
    ) -> Found {
        let stored = Stored::of(documents, &self.spec.key);
        let facts = KeyFacts {
            collection: &self.spec.collection,
            key: &self.spec.key,
            filter: self.spec.filter.as_deref(),
            one: self.one,
            in_list: stored.in_list,
            in_several_forms: stored.in_several_forms,
            doubled: stored.doubled,
            own_id: stored.own_id,
        };
        let key = ObservedKey { collection: name, ..of_key(&facts, &indexes) };
        // Without the right to ask for it there is no plan.
        let plan = plan(&connected.client.database(&self.database), &self.spec.collection, self.lookup()).await.ok();
        let notes = indexes.iter().filter_map(|index| expires(index, &self.spec.collection)).collect();
        Found { indexes, plan, key: Some(key), doubled: stored.doubled, notes }
    }

    /// A lookup by key, among the documents that are looked at.
    fn lookup(&self) -> Document {
        let filter = self.spec.filter.as_deref().and_then(|text| filter_of(text).ok()).unwrap_or_default();
        let by_key = self.spec.key.iter().map(|field| (field.clone(), Bson::from("x")));
        filter.into_iter().chain(by_key).collect()
    }
}

/// What follows from not knowing the indexes.
const NOTHING: &str = "whether one makes the key unique is not known";

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

fn expires(index: &IndexFact, collection: &str) -> Option<String> {
    let after = index.expires_after_s?;
    Some(format!(
        "the server itself removes documents of {collection} {after} s after the time in `{}` (index `{}`): what is gone by \
         then no request has removed",
        index.first_field()?,
        index.name
    ))
}

/// How documents store their key.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stored {
    in_list: bool,
    in_several_forms: bool,
    /// A key has two documents.
    doubled: bool,
    own_id: bool,
}

impl Stored {
    fn of(documents: &[Observed], key: &[String]) -> Self {
        let mut forms: BTreeMap<&str, (u32, BTreeSet<&str>)> = BTreeMap::new();
        for document in documents {
            let (count, stored) = forms.entry(&document.key).or_default();
            *count += 1;
            stored.extend(document.stored_key.as_deref());
        }
        let is_own = |document: &Observed| {
            let id = document.fields.get("_id");
            id.is_some_and(|id| id.get("$oid").is_none())
        };
        Stored {
            in_list: documents.iter().any(|document| key.iter().any(|path| meets_list(&document.fields, path))),
            in_several_forms: forms.values().any(|(_, stored)| stored.len() > 1),
            doubled: forms.values().any(|(count, _)| *count > 1),
            own_id: !documents.is_empty() && documents.iter().all(is_own),
        }
    }
}

/// Whether a list is on the way along a path, or at its end.
fn meets_list(fields: &Value, path: &str) -> bool {
    let mut at = fields;
    for part in path.split('.') {
        match at.get(part) {
            Some(next) if !next.is_array() => at = next,
            Some(_) => return true,
            None => return at.is_array(),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::Id;

    fn document(key: &str, stored: &str, fields: Value) -> Observed {
        Observed {
            id: Id::Text(stored.into()),
            key: key.into(),
            stored_key: Some(stored.into()),
            created_by: None,
            missing: Vec::new(),
            messages: Vec::new(),
            last_message: None,
            thread: None,
            fields,
        }
    }

    #[test]
    fn documents_tell_how_the_key_is_stored() {
        let oid = json!({ "$oid": "65a1b2c3d4e5f60718293a4b" });
        let of = |documents: &[Observed], key: &str| Stored::of(documents, &[key.to_owned()]);
        let plain = |key, stored| document(key, stored, json!({ "_id": oid, "k": stored }));
        assert_eq!(of(&[plain("a", "a"), plain("b", "b")], "k"), Stored::default());
        let forms = of(&[plain("a_b", "a_b"), plain("a_b", "b_a")], "k");
        assert!(forms.in_several_forms && forms.doubled);
        let doubled = of(&[plain("a", "a"), plain("a", "a")], "k");
        assert!(doubled.doubled && !doubled.in_several_forms);
        assert!(of(&[document("a", "a", json!({ "_id": "chat-a", "k": "a" }))], "k").own_id);
        let listed = [document("a", "a", json!({ "_id": oid, "in": { "k": ["a", "b"] }, "m": [{ "k": "a" }] }))];
        assert!(of(&listed, "in.k").in_list && of(&listed, "m.k").in_list && !of(&listed, "in").in_list);
    }
}
