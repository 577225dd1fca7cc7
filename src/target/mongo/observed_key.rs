//! The indexes of the collection that a run over HTTP observes, and what they mean for its key. Main type:
//! [`ObservedCollection`].

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, Document};
use mongodb::error::{Error, ErrorKind};
use serde_json::Value;

use super::indexes::{list_indexes, plan};
use super::{Connected, filter_of};
use crate::history::Observed;
use crate::lint::{IndexFact, KeyFacts, ObservedKey, StoredKey, of_key};
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
        let connected = match Connected::open_reading(&self.uri, self.guard).await {
            Ok(connected) => connected,
            Err(error) => return self.untold(error),
        };
        match list_indexes(&connected.client, &self.database, &self.spec.collection).await {
            Ok(indexes) => self.found(&connected, self.name(), indexes, documents).await,
            Err(error) => match code(&error) {
                // Whoever judges says that nothing is there.
                Some(NAMESPACE_NOT_FOUND) => Found::default(),
                Some(UNAUTHORIZED) => self.untold("the user has no right to list them"),
                Some(IS_A_VIEW) => self.untold("it is a view, and those of what it reads were not looked at"),
                _ => self.untold(self.uri.redact_text(&error.kind.to_string())),
            },
        }
    }

    /// Nothing was found, for this reason.
    pub fn untold(&self, why: impl std::fmt::Display) -> Found {
        let name = self.name();
        let note =
            format!("the indexes of {name} could not be read ({why}): whether one makes the key unique is not known");
        Found { notes: vec![note], ..Found::default() }
    }

    fn name(&self) -> String {
        format!("{}.{}", self.database, self.spec.collection)
    }

    async fn found(
        &self,
        connected: &Connected,
        name: String,
        indexes: Vec<IndexFact>,
        documents: &[Observed],
    ) -> Found {
        let stored = stored_key(documents, &self.spec.key);
        let facts = KeyFacts {
            collection: &self.spec.collection,
            key: &self.spec.key,
            filter: self.spec.filter.as_deref(),
            one: self.one,
            stored,
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

/// How documents have their key.
fn stored_key(documents: &[Observed], paths: &[String]) -> StoredKey {
    let mut forms: BTreeMap<&str, (u32, BTreeSet<&str>)> = BTreeMap::new();
    for document in documents {
        // Of a family of threads each set of members has a key of its own, and is stored as that.
        let own = document.stored_key.as_deref().filter(|_| document.thread.is_some());
        let (count, stored) = forms.entry(own.unwrap_or(&document.key)).or_default();
        *count += 1;
        stored.extend(document.stored_key.as_deref());
    }
    let is_own = |document: &Observed| {
        let id = document.fields.get("_id");
        id.is_some_and(|id| id.get("$oid").is_none())
    };
    StoredKey {
        in_list: documents.iter().any(|document| paths.iter().any(|path| meets_list(&document.fields, path))),
        in_several_forms: forms.values().any(|(_, stored)| stored.len() > 1),
        doubled: forms.values().any(|(count, _)| *count > 1),
        own_id: documents.iter().all(is_own),
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
    use crate::history::{Id, ThreadKind, ThreadState};

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
        let of = |documents: &[Observed], key: &str| stored_key(documents, &[key.to_owned()]);
        let plain = |key, stored| document(key, stored, json!({ "_id": oid, "k": stored }));
        assert_eq!(of(&[plain("a", "a"), plain("b", "b")], "k"), StoredKey::default());
        let forms = of(&[plain("a_b", "a_b"), plain("a_b", "b_a")], "k");
        assert!(forms.in_several_forms && forms.doubled);
        let doubled = of(&[plain("a", "a"), plain("a", "a")], "k");
        assert!(doubled.doubled && !doubled.in_several_forms);
        assert!(of(&[document("a", "a", json!({ "_id": "chat-a", "k": "a" }))], "k").own_id);
        let listed = [document("a", "a", json!({ "_id": oid, "in": { "k": ["a", "b"] }, "m": [{ "k": "a" }] }))];
        assert!(of(&listed, "in.k").in_list && of(&listed, "m.k").in_list && !of(&listed, "in").in_list);
        let thread = ThreadState {
            kind: ThreadKind::Group,
            members: Vec::new(),
            owner: None,
            admins: Vec::new(),
            changes: None,
            title_count: None,
            unread: None,
            read: None,
            message_count: None,
            messages_hidden: false,
            creator_hidden: false,
        };
        let family = |stored| Observed { thread: Some(Box::new(thread.clone())), ..plain("family", stored) };
        assert_eq!(of(&[family("direct a b"), family("group a b c")], "k"), StoredKey::default());
        assert!(of(&[family("direct a b"), family("direct a b")], "k").doubled);
    }
}
