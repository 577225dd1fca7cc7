//! Tests of the written scenario.

use super::*;
use crate::import::from_curl;

fn upsert(field: &str) -> Plan {
    let made = Made { database: "run".into(), collection: "polls".into(), field: field.into(), stored: None };
    let sample = from_curl("curl -X POST http://app/polls/p1").unwrap();
    let finding = Finding { kind: Kind::Upsert, made: Some(made), ..Finding::untried(sample) };
    let origin = Origin::Command { command: vec!["app".into()], dir: "/".into(), variables: vec!["DB".into()] };
    Plan { name: "polls".into(), origin, login: None, findings: vec![finding], custom: true }
}

#[test]
fn an_invariant_that_no_race_can_break_is_not_written() {
    assert!(scenario_text(&upsert("poll")).contains("one document of polls per poll"));
    assert!(!scenario_text(&upsert("_id")).contains("[[invariant]]"));
}
