//! The profile as its TOML file writes it. Reading and checking it is in `load`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Where a database keeps what the invariants are about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name in reports.
    pub name: String,
    /// The collection whose documents are looked at.
    pub collection: String,
    /// The field that must be unique; without it only the array is looked at.
    pub key: Option<KeySpec>,
    /// An array within each document that must hold each element once.
    pub array: Option<ArraySpec>,
    /// Collections that refer to the documents by `_id`.
    #[serde(default)]
    pub references: Vec<Reference>,
    /// How duplicate documents become one.
    #[serde(default)]
    pub merge: MergeSpec,
}

/// The unique key, and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// The field, a dotted path.
    pub field: String,
    /// The array whose elements, as text, sorted and joined, are the key. Without it the key is taken as stored.
    pub participants: Option<String>,
    /// The field of each element that identifies the participant, where elements are documents.
    pub member: Option<String>,
    /// Fields whose values come before the participants.
    #[serde(default)]
    pub prefix: Vec<String>,
    /// What joins the parts.
    #[serde(default = "underscore")]
    pub separator: String,
    /// A participant named twice counts once.
    #[serde(default)]
    pub distinct: bool,
    /// The unique index leaves out documents without the key.
    #[serde(default = "yes")]
    pub sparse: bool,
}

/// An array of elements that must not repeat.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArraySpec {
    /// The field.
    pub field: String,
    /// The element's field that orders the arrays of merged documents; without it they follow one another.
    pub order: Option<String>,
    /// What marks an answer, which stays behind the element before it when arrays are merged. One of these is enough; each
    /// is a field with its text.
    #[serde(default)]
    pub answers: Vec<BTreeMap<String, String>>,
    /// Rules by precedence: the first whose fields an element all has decides what it is. An element that none fits is
    /// never a duplicate.
    #[serde(default)]
    pub identity: Vec<Vec<String>>,
}

/// A collection that refers to the audited one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The collection.
    pub collection: String,
    /// Its field that holds the `_id`.
    pub field: String,
    /// Together with these fields the reference must be unique: where the document that is kept has one already, the
    /// other is removed instead of redirected.
    #[serde(default)]
    pub unique_with: Vec<String>,
}

/// How duplicate documents become one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeSpec {
    /// The date that tells which document is the oldest, the one that is kept; `_id` where it is absent.
    pub oldest: Option<String>,
    /// Fields of which the largest value wins.
    #[serde(default)]
    pub newest: Vec<String>,
    /// Further arrays that are united, besides the participants.
    #[serde(default)]
    pub union: Vec<String>,
}

impl KeySpec {
    /// Name of the unique index that MongoDB would give it.
    pub fn index_name(&self) -> String {
        format!("{}_1", self.field)
    }
}

fn underscore() -> String {
    "_".to_owned()
}

fn yes() -> bool {
    true
}
