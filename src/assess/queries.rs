//! Custom invariants: from what an aggregation gave to a result.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::history::{Operation, Outcome, Value};
use crate::scenario::{Expected, InvariantSpec};
use crate::target::mongo::QueryResult;
use crate::verdict::{Invariant, InvariantResult, Witness};

/// Most operations that a witness shows.
const MOST_SHOWN: usize = 4;

/// The run that the aggregations were carried out after.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// All operations.
    pub(super) operations: &'a [Operation],
    /// The run ended before its end: what is missing may be missing for that.
    pub(super) cut_short: bool,
}

/// One result for each of the user's invariants, in their order. One whose aggregation was not carried out is
/// inconclusive.
pub(super) fn judge(specs: &[InvariantSpec], results: &[QueryResult], seen: &Seen<'_>) -> Vec<InvariantResult> {
    specs.iter().map(|spec| judge_one(spec, results.iter().find(|result| result.name == spec.name), seen)).collect()
}

/// How much is wrong, by invariant.
pub fn violations(specs: &[InvariantSpec], results: &[QueryResult]) -> Vec<(Invariant, u64)> {
    let seen = Seen { operations: &[], cut_short: false };
    judge(specs, results, &seen).into_iter().map(|result| (result.name, result.violations)).collect()
}

fn judge_one(spec: &InvariantSpec, result: Option<&QueryResult>, seen: &Seen<'_>) -> InvariantResult {
    let name = Invariant::Custom(spec.name.as_str().into());
    let Some(result) = result else {
        return InvariantResult::inconclusive(name, "the aggregation was not carried out");
    };
    if let Some(error) = &result.error {
        return InvariantResult::inconclusive(name, format!("the aggregation failed: {error}"));
    }
    let found = result.documents;
    let (violations, explanation) = match spec.expect {
        Expected::Empty if found == 0 => (0, String::new()),
        Expected::Empty => (found, format!("the aggregation gave {found} documents, and must give none")),
        Expected::Number { min, max } => match the_number(result) {
            Err(why) => return InvariantResult::inconclusive(name, why),
            Ok(number) if (min..=max).contains(&number) => (0, String::new()),
            Ok(number) if seen.cut_short && number < min => {
                let why = format!("the aggregation gave {number}, and must give {}", spec.expect);
                return InvariantResult::inconclusive(name, format!("{why}; but the run ended before its end"));
            }
            Ok(number) => (1, format!("the aggregation gave {number}, and must give {}", spec.expect)),
        },
    };
    let witnesses = if violations > 0 { vec![witness(spec, result, seen, explanation)] } else { Vec::new() };
    InvariantResult::new(name, 1, violations, witnesses)
}

/// What was found, with the operations on the first key that it names: those that say they created something, or else the
/// first.
fn witness(spec: &InvariantSpec, result: &QueryResult, seen: &Seen<'_>, mut explanation: String) -> Witness {
    let documents = result.examples.clone();
    let mut texts = BTreeSet::new();
    let of_key = |texts: &BTreeSet<&str>| -> Vec<&Operation> {
        seen.operations.iter().filter(|operation| texts.contains(&*operation.key)).collect()
    };
    let mut on_key = Vec::new();
    for document in &documents {
        texts.clear();
        texts_of(document, &mut texts);
        on_key = of_key(&texts);
        if !on_key.is_empty() {
            break;
        }
    }
    let Some(first) = on_key.first() else {
        return Witness { key: spec.name.clone(), operations: Vec::new(), documents, explanation };
    };
    let key = first.key.to_string();
    on_key.retain(|operation| *operation.key == *key);
    if on_key.iter().any(|operation| created(operation)) {
        on_key.retain(|operation| created(operation));
    }
    on_key.sort_by_key(|operation| operation.invoked);
    on_key.truncate(MOST_SHOWN);
    explanation.push_str("; the operations are some of those on the key that a document names");
    Witness { key, operations: on_key.into_iter().cloned().collect(), documents, explanation }
}

fn created(operation: &Operation) -> bool {
    match &operation.outcome {
        Outcome::Ok(Value::Document(returned)) => returned.created == Some(true),
        Outcome::Ok(Value::Appended(appended)) => appended.session.created == Some(true),
        _ => false,
    }
}

/// Every text in a document.
fn texts_of<'a>(value: &'a Json, texts: &mut BTreeSet<&'a str>) {
    match value {
        Json::String(text) => {
            texts.insert(text);
        }
        Json::Array(items) => items.iter().for_each(|item| texts_of(item, texts)),
        Json::Object(fields) => fields.values().for_each(|field| texts_of(field, texts)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// The one number of the one document; no document counts as 0, which is what `$count` and `$group` give of nothing.
fn the_number(result: &QueryResult) -> Result<f64, String> {
    let document = match (result.documents, result.examples.first()) {
        (0, _) => return Ok(0.0),
        (1, Some(document)) => document,
        (found, _) => return Err(format!("the aggregation must give one document, and gave {found}")),
    };
    let fields = document.as_object().into_iter().flatten();
    let numbers: Vec<f64> = fields.filter(|(name, _)| *name != "_id").filter_map(|(_, value)| value.as_f64()).collect();
    match numbers.as_slice() {
        [number] => Ok(*number),
        numbers => Err(format!("the document must have one number besides `_id`, and has {}", numbers.len())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::Returned;
    use crate::scenario::{Scope, SecretText, Template};
    use crate::verdict::Verdict::{Holds, Inconclusive, Violated};

    const NOTHING: Seen<'static> = Seen { operations: &[], cut_short: false };

    fn spec(expect: Expected) -> InvariantSpec {
        let text = |text: &str| Template::compile(SecretText::plain(text), Scope::Run).unwrap();
        InvariantSpec { name: "x".into(), database: None, collection: text("c"), pipeline: text("[]"), expect }
    }

    fn result(examples: Vec<Json>) -> QueryResult {
        QueryResult { name: "x".into(), documents: examples.len() as u64, examples, error: None }
    }

    #[test]
    fn results_follow_from_what_was_found() {
        let bounds = |min, max| Expected::Number { min, max };
        let cases = [
            (Expected::Empty, vec![], Holds),
            (Expected::Empty, vec![json!({"_id": 1})], Violated),
            (bounds(0.0, 0.0), vec![], Holds),
            (bounds(1.0, 2.0), vec![], Violated),
            (bounds(1.0, 2.0), vec![json!({"_id": null, "n": 2})], Holds),
            (bounds(1.0, 2.0), vec![json!({"n": 2.5})], Violated),
            (bounds(1.0, 2.0), vec![json!({"n": "x"})], Inconclusive),
            (bounds(1.0, 2.0), vec![json!({"n": 1, "m": 1})], Inconclusive),
            (bounds(1.0, 2.0), vec![json!({"n": 1}), json!({"n": 1})], Inconclusive),
        ];
        for (expect, examples, verdict) in cases {
            let (spec, result) = (spec(expect), result(examples));
            let judged = judge(std::slice::from_ref(&spec), std::slice::from_ref(&result), &NOTHING);
            assert_eq!(judged[0].verdict, verdict, "{expect:?} {result:?}");
            assert_eq!(judge(std::slice::from_ref(&spec), &[], &NOTHING)[0].verdict, Inconclusive);
        }
    }

    #[test]
    fn what_a_run_that_was_cut_short_lacks_is_no_violation() {
        let cases = [(true, 1, Inconclusive), (true, 4, Violated), (true, 2, Holds), (false, 1, Violated)];
        for (cut_short, number, verdict) in cases {
            let spec = spec(Expected::Number { min: 2.0, max: 3.0 });
            let result = result(vec![json!({ "n": number })]);
            let judged = judge(&[spec], &[result], &Seen { operations: &[], cut_short });
            assert_eq!(judged[0].verdict, verdict, "{cut_short} {number}");
        }
    }

    #[test]
    fn a_witness_shows_the_operations_on_a_key_that_was_found() {
        let operation = |op: u64, key: &str, created: bool| {
            let value = Value::Document(Returned { created: Some(created), ..Returned::default() });
            let line = json!({
                "op": op, "client": op, "round": 0, "phase": "main", "key": key, "action": { "custom": "book" },
                "intended_ns": op, "invoked_ns": op, "completed_ns": op + 9, "outcome": { "ok": value },
            });
            serde_json::from_value::<Operation>(line).unwrap()
        };
        let operations = [operation(1, "a", true), operation(2, "b", true), operation(3, "b", false)];
        let found = vec![json!({ "_id": { "$oid": "x" }, "n": 2 }), json!({ "_id": { "seat": ["b"] }, "n": 2 })];
        let judge = |operations: &[Operation]| {
            let seen = Seen { operations, cut_short: false };
            judge(&[spec(Expected::Empty)], &[result(found.clone())], &seen).remove(0).witnesses.remove(0)
        };
        let shown = judge(&operations);
        let ids: Vec<u64> = shown.operations.iter().map(|operation| operation.id.0).collect();
        assert_eq!((shown.key.as_str(), ids), ("b", vec![2]), "one that created, on the key that is named");
        assert!(judge(&operations[..1]).operations.is_empty(), "no document names this key");
    }
}
