//! Tests of what executions make worse.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::scenario::{Scope, SecretText, Template};
use crate::target::mongo::LookedAt;
use crate::verdict::Verdict::{self, Holds, Inconclusive, Violated};

fn spec(expect: Expected) -> InvariantSpec {
    let text = |text: &str| Template::compile(SecretText::plain(text), Scope::Run).unwrap();
    let (collection, pipeline) = (text("c"), text("[]"));
    InvariantSpec { name: "x".into(), database: None, collection, pipeline, expect, within: Duration::ZERO }
}

fn documents(examples: Vec<Json>) -> QueryResult {
    let documents = examples.len() as u64;
    QueryResult { name: "x".into(), documents, examples, looked_at: None, moving: false, error: None }
}

fn number(number: f64) -> QueryResult {
    documents(vec![json!({ "n": number })])
}

fn several(count: u64) -> QueryResult {
    documents((0..count).map(|id| json!({ "_id": id })).collect())
}

#[test]
fn an_execution_is_to_blame_for_what_is_worse_after_it_than_before() {
    let most = Expected::Number { min: f64::NEG_INFINITY, max: 2.0 };
    let least = Expected::Number { min: 2.0, max: f64::INFINITY };
    let failed = QueryResult { error: Some("no".into()), ..several(3) };
    let nowhere = LookedAt { documents: 0, missing: vec!["the collection `c` holds nothing".into()] };
    for (expect, before, now, worse) in [
        (Expected::Empty, Some(several(0)), several(0), false),
        (Expected::Empty, Some(several(1)), several(1), false),
        (Expected::Empty, Some(several(2)), several(1), false),
        (Expected::Empty, Some(several(1)), several(2), true),
        (Expected::Empty, None, several(1), true),
        (Expected::Empty, Some(several(0)), failed, false),
        (Expected::Empty, Some(several(0)), QueryResult { looked_at: Some(nowhere), ..several(2) }, false),
        (most, Some(number(2.0)), number(3.0), true),
        (most, Some(number(3.0)), number(3.0), false),
        (most, Some(number(3.0)), number(4.0), true),
        (most, Some(number(1.0)), number(2.0), false),
        // Of a load there is too little in every execution.
        (least, Some(number(0.0)), number(1.0), false),
        // What had been there is gone.
        (least, Some(number(2.0)), number(1.0), true),
    ] {
        let found = worsening(&spec(expect), before.as_ref(), &now);
        assert_eq!(found.is_some(), worse, "{expect:?} {before:?} {now:?}");
    }
    let found = worsening(&spec(Expected::Empty), Some(&several(1)), &several(2)).unwrap();
    assert_eq!(found.documents, [json!({ "_id": 1 })], "only what is new");
}

#[test]
fn what_grows_with_every_request_is_meant_for_a_load() {
    let bounds = |min, max| Expected::Number { min, max };
    for (expect, before, after, meant) in [
        (bounds(60.0, f64::INFINITY), number(0.0), number(0.0), true),
        (bounds(60.0, 60.0), number(1.0), number(2.0), true),
        (bounds(0.0, 1.0), number(1.0), number(1.0), false),
        // Too much already: a plain defect.
        (bounds(0.0, 1.0), number(1.0), number(2.0), false),
        (Expected::Empty, several(0), several(4), false),
    ] {
        assert_eq!(meant_for_a_load(&spec(expect), &before, &after).is_some(), meant, "{expect:?} {after:?}");
    }
}

fn looks(main: (u64, u64), control: (u64, u64)) -> Looks {
    let tally = |(executions, violated): (u64, u64)| {
        let worsening = |round| Worsening { round, what: "worse".into(), documents: Vec::new() };
        let examples = (0..u32::try_from(violated).unwrap()).map(worsening).collect();
        Tally { executions, violated, examples }
    };
    Looks { name: "x".into(), main: tally(main), control: tally(control), ..Looks::default() }
}

#[test]
fn the_result_is_the_sum_of_the_executions() {
    let judged = |looks: Looks, last: QueryResult| -> Option<(Verdict, u64, u64)> {
        let results = judge(&[spec(Expected::Empty)], &[looks], &[last], &[]);
        results.first().map(|result| (result.verdict, result.checked, result.violations))
    };
    let nowhere = || LookedAt { documents: 0, missing: vec!["no collection".into()] };
    let unjudged = |looks: Looks| Looks { unjudged: Some("a load's".into()), ..looks };
    // What is there in the end does not count: it is what the executions left together.
    assert_eq!(judged(looks((6, 0), (1, 0)), several(9)), Some((Holds, 6, 0)));
    assert_eq!(judged(looks((6, 4), (1, 0)), several(9)), Some((Violated, 6, 4)));
    assert_eq!(judged(unjudged(looks((6, 0), (1, 0))), several(9)), None);
    assert_eq!(judged(unjudged(looks((6, 1), (1, 0))), several(9)), Some((Violated, 6, 1)));
    assert_eq!(judged(Looks { moving: 1, ..looks((6, 0), (1, 0)) }, several(0)).unwrap().0, Inconclusive);
    let nothing = || QueryResult { looked_at: Some(nowhere()), ..several(0) };
    assert_eq!(judged(looks((6, 0), (1, 0)), nothing()).unwrap().0, Inconclusive);
    let control = judge_control(&[looks((6, 0), (2, 1))], &[]);
    assert_eq!((control[0].verdict, control[0].checked), (Violated, 2));
}
