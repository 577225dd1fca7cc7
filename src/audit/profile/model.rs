//! The profile as its TOML file writes it. Reading and checking it is in `load`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::KeySpec;

/// Where a database keeps what the invariants are about.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
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

/// An array of elements that must not repeat.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
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
    /// Rules by precedence: the first that an element fits decides what it is. An element that none fits is never a
    /// duplicate.
    #[serde(default, deserialize_with = "rules")]
    #[schemars(schema_with = "rules_schema")]
    pub identity: Vec<IdentityRule>,
}

/// By what an element is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityRule {
    /// By these fields, all of which it has.
    Fields(Vec<String>),
    /// By all that it is: elements are one if they are equal.
    Element,
}

/// A collection that refers to the audited one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The collection.
    pub collection: String,
    /// Its field that holds the `_id`: a path, which may lead through arrays of values or of documents.
    pub field: String,
    /// Together with these fields the reference must be unique: where redirecting would make two documents of one
    /// reference, one of them is removed, as `merge` says.
    #[serde(default)]
    pub unique_with: Vec<String>,
    /// Which of two such documents stays, and what it takes from the other.
    #[serde(default)]
    pub merge: MergeSpec,
    /// What becomes of an array that would hold the document that is kept twice, in elements that differ otherwise.
    #[serde(default)]
    pub repeated: Repeated,
}

/// What becomes of two elements of an array that refer to one document after a merge, and differ in other fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Repeated {
    /// The documents are not merged.
    #[default]
    Refuse,
    /// The first element stays, the other is removed and named in the plan.
    First,
    /// Both stay.
    Both,
}

/// How duplicate documents become one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeSpec {
    /// The date that tells how old a document is; the time within `_id` where it is absent.
    #[serde(alias = "date")]
    pub oldest: Option<String>,
    /// Which document is kept.
    #[serde(default)]
    pub keep: Keep,
    /// Fields of which the largest value wins; the same as `largest` in `fields`.
    #[serde(default)]
    pub newest: Vec<String>,
    /// Further arrays that are united, besides the participants; the same as `union` in `fields`.
    #[serde(default)]
    pub union: Vec<String>,
    /// What becomes of a field, by its name.
    #[serde(default)]
    pub fields: BTreeMap<String, FieldRule>,
    /// Fields that mark a document as deleted when they have a value: `deletedAt` and the like if this is absent. One that
    /// is not deleted is kept rather than one that is.
    pub deleted: Option<Vec<String>>,
    /// What becomes of every other field. Without it the kept document's stay, and what differs is named.
    pub default: Option<FieldRule>,
}

/// Which document of several that stand for one thing is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The oldest.
    #[default]
    Oldest,
    /// The newest.
    Newest,
    /// The one with the most fields that have a value; of several the oldest.
    MostFields,
    /// The one with the largest value of this field; of several the oldest.
    Largest(String),
}

/// What becomes of a field when documents are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FieldRule {
    /// The kept document's value stays, also if it has none.
    Keep,
    /// The kept document's value stays; where it has none it gets that of the oldest document that has one.
    Fill,
    /// The value of the newest document that has one.
    Newest,
    /// The sum of all numbers.
    Sum,
    /// The kept document's array, and what only the others hold.
    Union,
    /// The largest value.
    Largest,
    /// All arrays, or all texts, one after the other: the kept document's first, then the others by age.
    Concatenate,
}

impl FieldRule {
    /// The word in profiles and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            FieldRule::Keep => "keep",
            FieldRule::Fill => "fill",
            FieldRule::Newest => "newest",
            FieldRule::Sum => "sum",
            FieldRule::Union => "union",
            FieldRule::Largest => "largest",
            FieldRule::Concatenate => "concatenate",
        }
    }
}

impl IdentityRule {
    /// The fields that it reads of an element; none if it reads all.
    pub fn fields(&self) -> &[String] {
        match self {
            IdentityRule::Fields(fields) => fields,
            IdentityRule::Element => &[],
        }
    }
}

fn rules_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "oneOf": [
        { "const": "element" },
        { "type": "array", "items": { "oneOf": [
            { "const": "element" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        ] } },
    ] })
}

/// A list of rules, or one word in place of the list: `identity = "element"`.
fn rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IdentityRule>, D::Error> {
    use serde::de::Error;
    const SHAPE: &str =
        "array.identity is \"element\", or a list of rules, as in [[\"mergeId\"], [\"batchId\", \"batchIndex\"]]";
    let rule = |rule: toml::Value| match rule {
        toml::Value::String(word) if word == "element" => Ok(IdentityRule::Element),
        toml::Value::Array(fields) => {
            let fields: Option<Vec<String>> = fields.iter().map(|field| field.as_str().map(str::to_owned)).collect();
            fields.map(IdentityRule::Fields).ok_or_else(|| D::Error::custom(SHAPE))
        }
        _ => Err(D::Error::custom(SHAPE)),
    };
    match toml::Value::deserialize(deserializer)? {
        toml::Value::Array(rules) => rules.into_iter().map(rule).collect(),
        word => rule(word).map(|rule| vec![rule]),
    }
}
