//! What was read beside the documents, by key: the values that a user's own rules compare with what was done, and the
//! elements that operations left. The rules are part of the record, so that a stored run is judged as it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::OpId;

/// Values and elements, by key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Effects {
    /// The user's rules about numbers, with what was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<Numbers>,
    /// What operations left in their keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elements: Option<Elements>,
}

impl Effects {
    /// What was found of these keys, with all rules.
    pub(super) fn of_keys(&self, keys: &FxHashSet<&str>) -> Effects {
        let numbers = self.numbers.iter().map(|numbers| Numbers {
            found: numbers.found.as_ref().map(|found| restricted(found, keys)),
            name: Arc::clone(&numbers.name),
            rule: numbers.rule.clone(),
            operations: numbers.operations.clone(),
            per_key: numbers.per_key,
            error: numbers.error.clone(),
        });
        let elements = self.elements.as_ref().map(|elements| Elements {
            keys: restricted(&elements.keys, keys),
            count: elements.count,
            ordered: elements.ordered,
            form: elements.form.clone(),
        });
        Effects { numbers: numbers.collect(), elements }
    }

    /// What was found of the keys of both; they have the same rules.
    pub(crate) fn joined(&self, other: &Effects) -> Effects {
        let mut joined = self.clone();
        for (one, other) in joined.numbers.iter_mut().zip(&other.numbers) {
            let further = other.found.iter().flatten().map(|(key, values)| (Arc::clone(key), values.clone()));
            one.found.iter_mut().for_each(|found| found.extend(further.clone()));
        }
        if let (Some(one), Some(other)) = (&mut joined.elements, &other.elements) {
            one.keys.extend(other.keys.iter().map(|(key, of_key)| (Arc::clone(key), of_key.clone())));
        }
        joined
    }

    /// Whether nothing of the kind was asked for.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.elements.is_none()
    }
}

/// Keys of which less is there than before, and what, in words.
pub(super) fn fallen(earlier: &Effects, later: &Effects) -> impl Iterator<Item = (Arc<str>, String)> {
    let values =
        earlier.numbers.iter().zip(&later.numbers).filter(|(one, other)| one.name == other.name && one.per_key);
    let values = values.flat_map(|(one, other)| {
        let found = one.found.iter().zip(&other.found).flat_map(|(before, now)| before.iter().map(move |it| (it, now)));
        found.filter_map(|((key, before), now)| {
            let now = now.get(key).and_then(|values| sum(values)).unwrap_or_default();
            let before = sum(before).filter(|before| *before > now)?;
            Some((Arc::clone(key), format!("the value {before} of `{}`, and now {now}", one.name)))
        })
    });
    let elements = earlier.elements.iter().zip(&later.elements).flat_map(|(before, now)| {
        before.keys.iter().filter_map(|(key, of_key)| {
            let (before, now) = (of_key.length(), now.keys.get(key).map_or(0, KeyElements::length));
            (now < before).then(|| (Arc::clone(key), format!("{before} elements, and now {now}")))
        })
    });
    values.chain(elements)
}

/// The sum of values, where all of them are plain numbers.
fn sum(values: &[Json]) -> Option<f64> {
    values.iter().map(Json::as_f64).sum()
}

/// What a table has of these keys.
fn restricted<T: Clone>(table: &BTreeMap<Arc<str>, T>, keys: &FxHashSet<&str>) -> BTreeMap<Arc<str>, T> {
    let of_key = |key: &&str| table.get_key_value(*key).map(|(key, value)| (Arc::clone(key), value.clone()));
    keys.iter().filter_map(of_key).collect()
}

/// One rule about numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Name of the invariant, without `custom:`.
    pub name: Arc<str>,
    /// What is demanded.
    pub rule: NumberRule,
    /// The operations that it speaks of; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Arc<str>>,
    /// Whether each key is judged by itself.
    pub per_key: bool,
    /// What the aggregation gave, by key; absent where the answers themselves are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<BTreeMap<Arc<str>, Vec<Json>>>,
    /// Why the aggregation gave nothing to judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is demanded of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberRule {
    /// The value of a key lies between these, which are expressions over what was done on it.
    Bounds {
        /// Smallest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<Arc<str>>,
        /// Largest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Arc<str>>,
    },
    /// So many operations are acknowledged at most.
    AtMost(u64),
    /// All are different.
    Distinct {
        /// Whether some may be left out in between.
        gaps: bool,
    },
}

/// What operations left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elements {
    /// How often an element must be there.
    pub count: ElementCount,
    /// Whether their order must respect real time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ordered: bool,
    /// What every element that an operation leaves begins with and ends on: another one is the service's own.
    pub form: (Arc<str>, Arc<str>),
    /// By key.
    pub keys: BTreeMap<Arc<str>, KeyElements>,
}

impl Elements {
    /// Whether a text has the form of what operations leave.
    pub fn has_form(&self, text: &str) -> bool {
        let (before, after) = &self.form;
        text.len() >= before.len() + after.len() && text.starts_with(&**before) && text.ends_with(&**after)
    }
}

/// How often an element must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ElementCount {
    /// Once for each acknowledged operation that leaves it.
    ExactlyOnce,
    /// Not more often than that.
    AtMostOnce,
    /// Not less often than that.
    AtLeastOnce,
    /// Once, however many operations leave it.
    Set,
}

/// The elements of one key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyElements {
    /// What was found, list by list, in its order.
    pub found: Vec<Vec<Arc<str>>>,
    /// What each operation leaves, ordered by operation.
    pub left: Vec<(OpId, Arc<str>)>,
}

impl KeyElements {
    /// How many were found, in all lists.
    pub fn length(&self) -> u64 {
        self.found.iter().map(|list| list.len() as u64).sum()
    }
}
