//! Names of the invariants. They are stable: reports, scenarios and scripts use them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A property that every correct run has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// A key has at most one document in the end, and exactly one if a creation was acknowledged.
    SingleDocument,
    /// No two documents in the end stand for the same thing under one stored key.
    ZeroDuplicates,
    /// All answers for one key name the same document.
    SameId,
    /// At most one operation per key says that it created the document.
    CreatedOnce,
    /// The answers for one key fit an order in which the document is created once and found ever after.
    CreateOrGetLinearizable,
    /// No error that the service should have handled reaches a caller.
    NoLeakedErrors,
    /// Fields written on insert are all there and never overwritten.
    InsertFieldsIntact,
    /// Every acknowledged message is there in the end.
    NoLostMessages,
    /// No message is there twice.
    NoDuplicateMessages,
    /// Nothing is there that no operation wrote.
    NoPhantomMessages,
    /// Messages keep one order, which respects real time.
    AppendOrder,
    /// A user's message and its answer stand next to each other, in order.
    PairAdjacent,
    /// A merge id is applied at most once.
    MergeOnce,
    /// A message is not taken for a duplicate of another.
    NoFalseDedupe,
    /// What is stored is what its writer sent.
    PayloadIntact,
    /// A thread's members are exactly those that were added.
    MembersExact,
    /// One set of participants has one thread.
    OneThreadPerSet,
    /// Only a thread's admins change it.
    AdminsOnly,
    /// Counters that follow from other fields agree with them.
    DerivedFieldsExact,
    /// Where serially somebody is served, somebody is served also when all come at once.
    SomebodyServed,
    /// What an acknowledged operation leaves in its key is there.
    NoLostElements,
    /// What an operation leaves is there once.
    NoDuplicateElements,
    /// Nothing is there that no operation left.
    NoPhantomElements,
    /// What operations left stands in an order that respects real time.
    ElementOrder,
    /// Every interleaving has the outcome of some order of the same requests.
    AsIfSerial,
    /// A user's own query.
    Custom(Arc<str>),
}

impl Invariant {
    /// All invariants that have a fixed name.
    pub const NAMED: [Invariant; 25] = [
        Invariant::SingleDocument,
        Invariant::ZeroDuplicates,
        Invariant::SameId,
        Invariant::CreatedOnce,
        Invariant::CreateOrGetLinearizable,
        Invariant::NoLeakedErrors,
        Invariant::InsertFieldsIntact,
        Invariant::NoLostMessages,
        Invariant::NoDuplicateMessages,
        Invariant::NoPhantomMessages,
        Invariant::AppendOrder,
        Invariant::PairAdjacent,
        Invariant::MergeOnce,
        Invariant::NoFalseDedupe,
        Invariant::PayloadIntact,
        Invariant::MembersExact,
        Invariant::OneThreadPerSet,
        Invariant::AdminsOnly,
        Invariant::DerivedFieldsExact,
        Invariant::SomebodyServed,
        Invariant::NoLostElements,
        Invariant::NoDuplicateElements,
        Invariant::NoPhantomElements,
        Invariant::ElementOrder,
        Invariant::AsIfSerial,
    ];

    /// The name without a custom invariant's own part.
    fn kind(&self) -> &'static str {
        match self {
            Invariant::SingleDocument => "single-document",
            Invariant::ZeroDuplicates => "zero-duplicates",
            Invariant::SameId => "same-id",
            Invariant::CreatedOnce => "created-once",
            Invariant::CreateOrGetLinearizable => "create-or-get-linearizable",
            Invariant::NoLeakedErrors => "no-leaked-errors",
            Invariant::InsertFieldsIntact => "insert-fields-intact",
            Invariant::NoLostMessages => "no-lost-messages",
            Invariant::NoDuplicateMessages => "no-duplicate-messages",
            Invariant::NoPhantomMessages => "no-phantom-messages",
            Invariant::AppendOrder => "append-order",
            Invariant::PairAdjacent => "pair-adjacent",
            Invariant::MergeOnce => "merge-once",
            Invariant::NoFalseDedupe => "no-false-dedupe",
            Invariant::PayloadIntact => "payload-intact",
            Invariant::MembersExact => "members-exact",
            Invariant::OneThreadPerSet => "one-thread-per-set",
            Invariant::AdminsOnly => "admins-only",
            Invariant::DerivedFieldsExact => "derived-fields-exact",
            Invariant::SomebodyServed => "somebody-served",
            Invariant::NoLostElements => "no-lost-elements",
            Invariant::NoDuplicateElements => "no-duplicate-elements",
            Invariant::NoPhantomElements => "no-phantom-elements",
            Invariant::ElementOrder => "element-order",
            Invariant::AsIfSerial => "as-if-serial",
            Invariant::Custom(_) => "custom",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invariant::Custom(name) => f.pad(&format!("custom:{name}")),
            named => f.pad(named.kind()),
        }
    }
}

/// A name that no invariant has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no invariant `{0}`")]
pub struct UnknownInvariant(pub String);

impl FromStr for Invariant {
    type Err = UnknownInvariant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("custom:") {
            Some(name) => Ok(Invariant::Custom(Arc::from(name))),
            None => Self::NAMED
                .into_iter()
                .find(|invariant| invariant.kind() == text)
                .ok_or_else(|| UnknownInvariant(text.to_owned())),
        }
    }
}

impl Serialize for Invariant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Invariant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Invariant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Invariant".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<String> = Invariant::NAMED.iter().map(ToString::to_string).collect();
        schemars::json_schema!({
            "description": "Name of an invariant.",
            "anyOf": [{ "enum": names }, { "type": "string", "pattern": "^custom:" }]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back() {
        for invariant in Invariant::NAMED.into_iter().chain([Invariant::Custom("no orphans".into())]) {
            assert_eq!(invariant.to_string().parse(), Ok(invariant));
        }
        assert!("single_document".parse::<Invariant>().is_err());
    }
}
