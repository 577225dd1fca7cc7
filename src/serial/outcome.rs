//! What an execution came to: [`Outcome`], and [`Sample`], the execution that it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use super::value::Value;

/// What came of one execution.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// The answer of each request, by its position; none of a request that was not sent, or not answered.
    pub answers: BTreeMap<usize, Answer>,
    /// The answers of the requests that were sent when all was over.
    pub probes: Vec<Answer>,
    /// Documents that were written.
    pub changes: Vec<Change>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its status; of a target that has none, the one that says the same over HTTP.
    pub status: u16,
    /// What it says.
    pub body: Value,
}

impl Answer {
    /// Whether it says that it served nobody, with a status that says it did: GraphQL has no other way to refuse, and many a service
    /// has its own words for it.
    pub(super) fn says_no(&self) -> bool {
        let Value::Map(fields) = &self.body else { return false };
        let is_false = |name: &str| fields.get(name) == Some(&Value::Bool(false));
        let is_told = |value: &Value| match value {
            Value::Text(text) => !text.is_empty(),
            Value::Map(fields) => !fields.is_empty(),
            Value::List(items) => !items.is_empty(),
            _ => false,
        };
        let names = |name: &str| fields.get(name).is_some_and(is_told);
        match self.status {
            200..300 => is_false("success") || is_false("ok") || names("error") || names("errors"),
            // A form leads its sender on, whatever came of it.
            300..400 => fields.values().any(|value| matches!(value, Value::Text(text) if leads_to_an_error(text))),
            _ => false,
        }
    }
}

/// Whether an address has a parameter that names an error.
fn leads_to_an_error(address: &str) -> bool {
    let parameters = address.split_once('?').map_or("", |(_, query)| query).split('&');
    let mut names = parameters.filter_map(|parameter| parameter.split_once('=')).filter(|(_, value)| !value.is_empty());
    names.any(|(name, _)| ["error", "errors", "err"].contains(&name))
}

/// A document that was written, as it was before and as it is when all is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its collection.
    pub collection: String,
    /// Its identifier.
    pub id: Value,
    /// Before the execution, with its identifier; none where there was none.
    pub before: Option<Value>,
    /// Afterwards.
    pub after: Option<Value>,
}

/// One execution, serial or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The requests that were sent. Of a serial run, in this order.
    pub order: Vec<usize>,
    /// Texts that are this execution's own, and what each stands for: its key, `<key>`.
    pub marks: Vec<(String, String)>,
    /// What came of it.
    pub outcome: Outcome,
    /// Where a fault was injected: the requests that it touched.
    pub touched: Option<BTreeSet<usize>>,
}
