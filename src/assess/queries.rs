//! Custom invariants: from what an aggregation gave to a result.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::history::{Id, Operation, Outcome, Value};
use crate::report::plural;
use crate::scenario::{Expected, InvariantSpec, the_number};
use crate::target::mongo::QueryResult;
use crate::verdict::{Invariant, InvariantResult, Verdict, Witness};

/// Most documents that a witness shows.
const MOST_DOCUMENTS: usize = 5;
/// Most operations that a witness shows.
const MOST_SHOWN: usize = 4;

/// The run that the aggregations were carried out after.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueryContext<'a> {
    /// All operations.
    pub(super) operations: &'a [Operation],
    /// The run ended before its end: what is missing may be missing for that.
    pub(super) cut_short: bool,
}

/// One result for each of the user's invariants, in their order. What was wrong before the load is not the load's doing. One
/// whose aggregation was not carried out is inconclusive.
pub(super) fn judge(
    specs: &[InvariantSpec],
    results: &[QueryResult],
    before: &[QueryResult],
    context: &QueryContext<'_>,
) -> Vec<InvariantResult> {
    let judged = |spec| judge_one(spec, named(results, spec), named(before, spec), context);
    specs.iter().map(judged).collect()
}

/// What the serial control shows of the user's invariants: those that were violated or held after it. What it left too little
/// of is not judged: a lower bound is meant for the load.
pub(super) fn judge_serial(
    specs: &[InvariantSpec],
    results: &[QueryResult],
    before: &[QueryResult],
    operations: &[Operation],
) -> Vec<InvariantResult> {
    let context = QueryContext { operations, cut_short: true };
    let asked = specs.iter().filter(|spec| named(results, spec).is_some());
    let judged = asked.map(|spec| judge_one(spec, named(results, spec), named(before, spec), &context));
    judged.filter(|result| result.verdict != Verdict::Inconclusive).collect()
}

fn named<'a>(results: &'a [QueryResult], spec: &InvariantSpec) -> Option<&'a QueryResult> {
    results.iter().find(|result| result.name == spec.name)
}

fn judge_one(
    spec: &InvariantSpec,
    result: Option<&QueryResult>,
    before: Option<&QueryResult>,
    context: &QueryContext<'_>,
) -> InvariantResult {
    let name = Invariant::Custom(spec.name.as_str().into());
    let Some(result) = result else {
        return InvariantResult::inconclusive(name, "the aggregation was not carried out");
    };
    if let Some(why) = result.blindness() {
        return InvariantResult::inconclusive(name, why);
    }
    let wrong = match wrong(spec, result, before.filter(|before| before.error.is_none()), context.cut_short) {
        Ok(wrong) => wrong,
        Err(why) => return InvariantResult::inconclusive(name, why),
    };
    if result.moving && wrong.count > 0 {
        let why =
            format!("{}; but it still changed while it was looked at: give it time, `within = \"10s\"`", wrong.what);
        return InvariantResult::inconclusive(name, why);
    }
    let witnesses = match wrong.count {
        0 => Vec::new(),
        _ => vec![witness(spec, result, before, context, wrong.what)],
    };
    let looked_at = result.looked_at.as_ref().map_or(1, |looked_at| looked_at.documents);
    let judged = InvariantResult::new(name, looked_at.max(wrong.count), wrong.count, witnesses);
    match wrong.before {
        0 => judged,
        before => InvariantResult {
            reason: Some(format!("{before} that were wrong before the load are not counted")),
            ..judged
        },
    }
}

/// How much of what an aggregation gave is wrong.
struct QueryViolations {
    count: u64,
    /// In words.
    what: String,
    /// How much was wrong before, and is not counted.
    before: u64,
}

fn wrong(
    spec: &InvariantSpec,
    result: &QueryResult,
    before: Option<&QueryResult>,
    cut_short: bool,
) -> Result<QueryViolations, String> {
    let found = result.documents;
    let (min, max) = match spec.expect {
        Expected::Empty => {
            let before = before.map_or(0, |before| before.documents).min(found);
            let what = format!("the aggregation gave {}, and must give none", plural(found, "document"));
            return Ok(QueryViolations { count: found - before, what, before });
        }
        Expected::Number { min, max } => (min, max),
    };
    let number = the_number(found, result.examples.first())?;
    let what = format!("the aggregation gave {number}, and must give {}", spec.expect);
    // A number that was too large before is the load's doing only as far as it grew.
    let earlier = before.and_then(|before| the_number(before.documents, before.examples.first()).ok());
    let too_large_before = earlier.filter(|earlier| *earlier > max);
    if number < min && cut_short {
        return Err(format!("{what}; but the run ended before its end"));
    }
    let is_wrong = number < min || number > too_large_before.unwrap_or(max);
    Ok(QueryViolations { count: u64::from(is_wrong), what, before: u64::from(too_large_before.is_some()) })
}

/// What was found, with the operations on the first key that it names: those that say they created something, or else the
/// first.
fn witness(
    spec: &InvariantSpec,
    result: &QueryResult,
    before: Option<&QueryResult>,
    context: &QueryContext<'_>,
    mut explanation: String,
) -> Witness {
    let known = |document: &&Json| before.is_some_and(|before| before.examples.contains(document));
    let mut documents: Vec<Json> = result.examples.iter().filter(|document| !known(document)).cloned().collect();
    if documents.is_empty() {
        documents.clone_from(&result.examples);
    }
    documents.truncate(MOST_DOCUMENTS);
    let named = documents.iter().find_map(|document| key_named_in(document, context.operations));
    let Some(key) = named else {
        return Witness { key: spec.name.clone(), operations: Vec::new(), documents, explanation };
    };
    let mut on_key: Vec<&Operation> = context.operations.iter().filter(|operation| *operation.key == *key).collect();
    if on_key.iter().any(|operation| created(operation)) {
        on_key.retain(|operation| created(operation));
    }
    on_key.sort_by_key(|operation| operation.invoked);
    on_key.truncate(MOST_SHOWN);
    explanation.push_str("; the operations are some of those on the key that a document names");
    Witness { key, operations: on_key.into_iter().cloned().collect(), documents, explanation }
}

/// The key of the run that a document names: as one of its texts, as part of one, or by the identifier that an operation on
/// the key was answered with.
fn key_named_in(document: &Json, operations: &[Operation]) -> Option<String> {
    let mut texts = BTreeSet::new();
    texts_of(document, &mut texts);
    let keys: BTreeSet<&str> = operations.iter().map(|operation| &*operation.key).collect();
    let whole = || texts.iter().find(|text| keys.contains(**text)).map(|text| (*text).to_owned());
    let part = || {
        let within = |key: &&&str| texts.iter().any(|text| is_word_of(key, text));
        // Of two keys that a text names the longer says more.
        keys.iter().filter(within).max_by_key(|key| key.len()).map(|key| (*key).to_owned())
    };
    let answered = || {
        let names =
            |operation: &&Operation| answered_id(operation).is_some_and(|id| texts.contains(id.to_string().as_str()));
        operations.iter().find(names).map(|operation| operation.key.to_string())
    };
    whole().or_else(part).or_else(answered)
}

/// Whether a key stands in a text, with neither a letter nor a digit beside it: `k1` is no part of `k12`.
fn is_word_of(key: &str, text: &str) -> bool {
    let is_end = |beside: Option<char>| !beside.is_some_and(char::is_alphanumeric);
    !key.is_empty()
        && text
            .match_indices(key)
            .any(|(at, _)| is_end(text[..at].chars().next_back()) && is_end(text[at + key.len()..].chars().next()))
}

fn answered_id(operation: &Operation) -> Option<&Id> {
    operation.value()?.id()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::Returned;
    use crate::scenario::{Scope, SecretText, Template};
    use crate::target::mongo::LookedAt;
    use crate::verdict::Verdict::{Holds, Inconclusive, Violated};

    const NOTHING: QueryContext<'static> = QueryContext { operations: &[], cut_short: false };

    fn spec(expect: Expected) -> InvariantSpec {
        let text = |text: &str| Template::compile(SecretText::plain(text), Scope::Run).unwrap();
        InvariantSpec {
            name: "x".into(),
            database: None,
            collection: text("c"),
            pipeline: text("[]"),
            expect,
            within: std::time::Duration::ZERO,
        }
    }

    fn result(examples: Vec<Json>) -> QueryResult {
        let documents = examples.len() as u64;
        QueryResult { name: "x".into(), documents, examples, looked_at: None, moving: false, error: None }
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
            let judged = judge(std::slice::from_ref(&spec), std::slice::from_ref(&result), &[], &NOTHING);
            assert_eq!(judged[0].verdict, verdict, "{expect:?} {result:?}");
            assert_eq!(judge(std::slice::from_ref(&spec), &[], &[], &NOTHING)[0].verdict, Inconclusive);
        }
    }

    #[test]
    fn what_a_run_that_was_cut_short_lacks_is_no_violation() {
        let cases = [(true, 1, Inconclusive), (true, 4, Violated), (true, 2, Holds), (false, 1, Violated)];
        for (cut_short, number, verdict) in cases {
            let spec = spec(Expected::Number { min: 2.0, max: 3.0 });
            let result = result(vec![json!({ "n": number })]);
            let judged = judge(&[spec], &[result], &[], &QueryContext { operations: &[], cut_short });
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
            let context = QueryContext { operations, cut_short: false };
            judge(&[spec(Expected::Empty)], &[result(found.clone())], &[], &context).remove(0).witnesses.remove(0)
        };
        let shown = judge(&operations);
        let ids: Vec<u64> = shown.operations.iter().map(|operation| operation.id.0).collect();
        assert_eq!((shown.key.as_str(), ids), ("b", vec![2]), "one that created, on the key that is named");
        assert!(judge(&operations[..1]).operations.is_empty(), "no document names this key");
    }

    #[test]
    fn an_aggregation_over_nothing_is_no_answer_and_what_was_looked_at_is_counted() {
        let looked_at = |documents, missing: &[&str]| {
            Some(LookedAt { documents, missing: missing.iter().map(|word| (*word).to_owned()).collect() })
        };
        let two = || vec![json!({"_id": 1}), json!({"_id": 2})];
        for (looked_at, examples, expected) in [
            (looked_at(120, &[]), vec![], (Holds, 120, 0)),
            (looked_at(120, &[]), two(), (Violated, 120, 2)),
            (looked_at(1, &[]), two(), (Violated, 2, 2)),
            (looked_at(0, &["the collection `c` holds nothing"]), vec![], (Inconclusive, 0, 0)),
            (looked_at(60, &["no document of `c` has the field `seatz`"]), two(), (Inconclusive, 0, 0)),
        ] {
            let result = QueryResult { looked_at, ..result(examples) };
            let judged = judge(&[spec(Expected::Empty)], &[result], &[], &NOTHING).remove(0);
            assert_eq!((judged.verdict, judged.checked, judged.violations), expected, "{judged:?}");
        }
    }

    #[test]
    fn what_was_wrong_before_the_load_is_not_its_doing() {
        let documents = |count: u64| (0..count).map(|id| json!({ "_id": id })).collect::<Vec<_>>();
        let number = |number: u64| vec![json!({ "n": number })];
        let most = Expected::Number { min: 5.0, max: 9.0 };
        for (expect, before, after, violations) in [
            (Expected::Empty, documents(2), documents(2), 0),
            (Expected::Empty, documents(2), documents(5), 3),
            (Expected::Empty, documents(3), documents(1), 0),
            (most, number(12), number(12), 0),
            (most, number(12), number(13), 1),
            (most, number(0), number(10), 1),
            // That there was too little before is how it begins.
            (most, number(0), number(4), 1),
            (most, number(0), number(7), 0),
        ] {
            let judged = judge(&[spec(expect)], &[result(after.clone())], &[result(before)], &NOTHING).remove(0);
            assert_eq!(judged.violations, violations, "{after:?} {judged:?}");
        }
    }

    #[test]
    fn what_still_moves_accuses_nobody() {
        let moving = |examples| QueryResult { moving: true, ..result(examples) };
        for (examples, verdict) in [(vec![json!({"_id": 1})], Inconclusive), (vec![], Holds)] {
            assert_eq!(judge(&[spec(Expected::Empty)], &[moving(examples)], &[], &NOTHING)[0].verdict, verdict);
        }
    }

    #[test]
    fn a_serial_control_is_judged_by_what_is_too_much_and_not_by_what_is_too_little() {
        let specs = [spec(Expected::Number { min: 5.0, max: 9.0 })];
        for (number, verdicts) in [(2, vec![]), (7, vec![Holds]), (12, vec![Violated])] {
            let found = judge_serial(&specs, &[result(vec![json!({ "n": number })])], &[], &[]);
            assert_eq!(found.iter().map(|result| result.verdict).collect::<Vec<_>>(), verdicts, "{number}");
        }
        assert!(judge_serial(&specs, &[], &[], &[]).is_empty(), "it was not asked");
    }

    #[test]
    fn a_key_is_found_as_a_text_as_part_of_one_and_by_the_identifier_of_its_document() {
        let operation = |op: u64, key: &str, id: &str| {
            let value = Value::Document(Returned { id: Some(Id::parse(id)), ..Returned::default() });
            let line = json!({
                "op": op, "client": op, "round": 0, "key": key, "action": { "custom": "book" }, "intended_ns": op,
                "invoked_ns": op, "completed_ns": op + 9, "outcome": { "ok": value },
            });
            serde_json::from_value::<Operation>(line).unwrap()
        };
        let first = "65a1b2c3d4e5f60718293a01";
        let operations = [operation(1, "r7-k1", first), operation(2, "r7-k12", "65a1b2c3d4e5f60718293a02")];
        for (document, key) in [
            (json!({ "seat": "r7-k12" }), Some("r7-k12")),
            (json!({ "title": "order of r7-k1, paid" }), Some("r7-k1")),
            (json!({ "_id": "seat:r7-k12" }), Some("r7-k12")),
            (json!({ "order": { "$oid": first } }), Some("r7-k1")),
            (json!({ "seat": "r7-k123", "n": 2 }), None),
        ] {
            assert_eq!(key_named_in(&document, &operations).as_deref(), key, "{document}");
        }
    }
}
