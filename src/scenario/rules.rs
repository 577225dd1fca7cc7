//! What a scenario demands of values and elements: rules about numbers (`[[invariant]]` with `per`, `at_most` or
//! `distinct`) and what operations leave (`elements`). Main types: [`NumberSpec`] and [`ElementsSpec`].

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use serde::Serialize;

use super::json_path::JsonPath;
use super::template::Template;
use crate::history::ElementCount;
use crate::verdict::Expression;

/// A user's own rule about numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NumberSpec {
    /// Its name, after `custom:`.
    pub name: String,
    /// What is judged by itself.
    pub per: Per,
    /// The operations that it speaks of; none: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// Where a value is in each observed document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<JsonPath>,
    /// The database of the aggregation; `None` is that of the observation, or the run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The collection of the aggregation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<Template>,
    /// The aggregation, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Template>,
    /// What a document of the aggregation names the key by, where that is not the key itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Template>,
    /// Most operations that may be acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u64>,
    /// The numbers of answers, or of the documents, are all different.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distinct: Option<Distinct>,
    /// Whether distinct numbers may be left out in between.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gaps: bool,
    /// Between which bounds the value lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<BoundsSpec>,
    /// How long work in the background may take to make it true.
    #[serde(with = "friendly", skip_serializing_if = "Duration::is_zero")]
    pub within: Duration,
}

impl NumberSpec {
    /// Whether it asks the database by an aggregation.
    pub fn has_query(&self) -> bool {
        self.pipeline.is_some()
    }
}

/// What a rule judges by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Each key.
    Key,
    /// All keys of the run together.
    Run,
}

/// What must be distinct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distinct {
    /// The numbers that answers give (`outcome.number`), or those of the documents.
    Number,
}

/// `{ min = "…", max = "…" }`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoundsSpec {
    /// Smallest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Expression>,
    /// Largest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Expression>,
}

/// What operations leave in their keys (`elements`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ElementsSpec {
    /// Where they are: a field of the documents, dotted, through lists; over HTTP a JSONPath in each document.
    #[serde(rename = "in")]
    pub place: ElementPlace,
    /// What an operation leaves.
    pub is: Template,
    /// How often it must be there.
    pub count: ElementCount,
    /// Whether their order must respect real time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub order: bool,
    /// The operations that leave one; none: all that are not sent by `GET` or `HEAD`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// Another collection, each of whose documents is, or holds, an element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// The field of that collection which holds the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Where elements are.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ElementPlace {
    /// A dotted field.
    Field(String),
    /// A JSONPath.
    Path(JsonPath),
}
