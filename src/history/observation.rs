//! What was read back after the run.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use super::effects::fallen;
use super::{Effects, Id, Message, OpId, ThreadState};

/// Most that is kept of what has vanished.
const VANISHED_KEPT: usize = 8;

/// The final state of the documents that the run's keys stand for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observation {
    /// Where it was read.
    pub source: Source,
    /// Two reads in a row were equal, with no operation of the run in flight on the server.
    pub quiescent: bool,
    /// Every document of the run, ordered by key, then by identifier.
    pub documents: Vec<Observed>,
    /// Documents that seem to be of a key of the run and are stored under none, ordered by identifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<SetAside>,
    /// What was there before, and is no more, though nothing was done with its key in between: a few of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vanished: Vec<Vanished>,
    /// What else the user's own rules ask for: values and elements, by key.
    #[serde(default, skip_serializing_if = "Effects::is_empty")]
    pub effects: Arc<Effects>,
}

/// A document that is stored under no key of the run, and seems to be a key's all the same: an operation on that was answered with
/// it, or its own key is that in other letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// Its identifier.
    pub id: Id,
    /// The run's key.
    pub key: Arc<str>,
    /// The fields that hold the key, as the scenario names them.
    pub fields: Vec<String>,
    /// What it has there.
    pub under: String,
    /// What the scenario says is stored of the run's key.
    pub expected: String,
}

/// Something that nobody asked to be removed, and that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vanished {
    /// The run's key.
    pub key: Arc<str>,
    /// What was there, in words.
    pub what: String,
}

/// Where the final state was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// From the database itself.
    Mongo,
    /// Through the service's own interface.
    Http,
    /// From the in-memory target.
    Memory,
    /// Nowhere: only answers were judged.
    #[default]
    None,
}

/// One document of the final state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Its identifier.
    pub id: Id,
    /// The logical key in canonical form, worked out from what the document stands for (its participants), not from the
    /// key that is stored: two spellings of one pair are one key.
    pub key: Arc<str>,
    /// The key as stored; absent when the document has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_key: Option<Arc<str>>,
    /// The stamp of the operation that created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<OpId>,
    /// Fields written on insert that it lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Arc<str>>,
    /// Its messages in their order, where it holds any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// The operation whose message the document names as its last, where it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message: Option<OpId>,
    /// What it says as a thread, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<Box<ThreadState>>,
    /// The document as it was read, for the witness; without its messages.
    pub fields: serde_json::Value,
}

/// What was there while the run went on.
#[derive(Debug, Clone, Default)]
pub struct Earlier {
    /// As it was read.
    pub state: Observation,
    /// The keys with which nothing was done any more from then on.
    pub keys: BTreeSet<Arc<str>>,
}

impl Observation {
    /// This state, with what is gone since as well: documents, and values and elements of which there is less.
    pub fn since(mut self, earlier: &Earlier) -> Observation {
        let Earlier { state, keys } = earlier;
        let there: FxHashSet<&Id> = self.documents.iter().map(|document| &document.id).collect();
        let before = state.documents.iter().map(|document| (&document.key, &document.id));
        let gone = before.filter(|(_, id)| !there.contains(id));
        let gone = gone.map(|(key, id)| (Arc::clone(key), format!("document {id}")));
        let gone = gone.chain(fallen(&state.effects, &self.effects)).filter(|(key, _)| keys.contains(key));
        let gone: Vec<Vanished> = gone.take(VANISHED_KEPT).map(|(key, what)| Vanished { key, what }).collect();
        self.vanished.extend(gone);
        self.vanished.truncate(VANISHED_KEPT);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::fixture::observed;
    use super::super::{NumberRule, Numbers};
    use super::*;

    fn state(documents: &[(u8, &str)], values: &[(&str, u64)]) -> Observation {
        let documents = documents.iter().map(|(number, key)| observed([*number; 12].into(), *key)).collect();
        let found: BTreeMap<_, _> = values.iter().map(|(key, value)| ((*key).into(), vec![(*value).into()])).collect();
        let (rule, operations) = (NumberRule::AtMost(9), Vec::new());
        let numbers = Numbers { name: "fans".into(), rule, operations, per_key: true, found: Some(found), error: None };
        let effects = Arc::new(Effects { numbers: vec![numbers], elements: None });
        Observation { documents, effects, ..Observation::default() }
    }

    #[test]
    fn what_is_gone_of_keys_at_rest_has_vanished() {
        let before = state(&[(1, "a"), (2, "b"), (3, "c")], &[("a", 4), ("b", 4), ("c", 4)]);
        let vanished = |documents: &[(u8, &str)], values: &[(&str, u64)], keys: &[&str]| {
            let keys = keys.iter().map(|key| Arc::from(*key)).collect();
            let later = state(documents, values).since(&Earlier { state: before.clone(), keys });
            later.vanished.iter().map(|one| format!("{}: {}", one.key, one.what)).collect::<Vec<_>>()
        };
        let all = [("a", 4), ("b", 4), ("c", 4)];
        assert!(vanished(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")], &all, &["a", "b", "c"]).is_empty());
        // A document that is another one now is gone, too.
        assert_eq!(vanished(&[(1, "a"), (4, "b")], &all, &["a", "b"]), [format!("b: document {}", Id::from([2; 12]))]);
        assert!(vanished(&[(1, "a")], &all, &["a"]).is_empty(), "something may have been done with the others since");
        let fewer = [("a", 3), ("b", 5)];
        let expected = ["a: the value 4 of `fans`, and now 3", "c: the value 4 of `fans`, and now 0"];
        assert_eq!(vanished(&[(1, "a"), (2, "b"), (3, "c")], &fewer, &["a", "b", "c"]), expected);
    }
}
