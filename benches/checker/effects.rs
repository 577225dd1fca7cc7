//! Synthetic histories of operations of one's own, each of which leaves an element, adds to a number and is given a number:
//! 1,000 operations on each key, one in a hundred without an answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use onlyone::checker::judge;
use onlyone::history::{
    Action, Cause, Effects, ElementCount, Elements, History, KeyElements, NumberRule, Numbers, Observation, OpId,
    Operation, Outcome, Phase, Returned, Source, Value,
};
use onlyone::verdict::{Invariant, Verdict};

const PER_KEY: u64 = 1000;

/// Judges a history of so many operations by the rules of elements, then by those of numbers; returns the operations per
/// second of both.
pub(crate) fn measure(operations: u64) -> anyhow::Result<(f64, f64)> {
    let (history, observation) = synthetic(operations);
    println!("{operations} operations that leave an element and count, on {} keys", operations.div_ceil(PER_KEY));
    let elements = [
        Invariant::NoLostElements,
        Invariant::NoDuplicateElements,
        Invariant::NoPhantomElements,
        Invariant::ElementOrder,
    ];
    let numbers = ["bounds", "at most", "distinct"].map(|name| Invariant::Custom(Arc::from(name)));
    let rate = |what: &str, invariants: &[Invariant]| -> anyhow::Result<f64> {
        let start = Instant::now();
        let results = judge(&history, Some(&observation), Phase::Main, invariants);
        let whole = start.elapsed();
        for result in &results {
            ensure!(
                result.verdict == Verdict::Holds,
                "{} must hold: {:?} {:?}",
                result.name,
                result.reason,
                result.witnesses.first()
            );
        }
        println!("  {what:<28} {:>9.1} ms", whole.as_secs_f64() * 1000.0);
        Ok(operations as f64 / whole.as_secs_f64())
    };
    Ok((rate("elements, four rules", &elements)?, rate("numbers, three rules", &numbers)?))
}

fn synthetic(operations: u64) -> (History, Observation) {
    let mut history = History::default();
    let mut keys: BTreeMap<Arc<str>, KeyElements> = BTreeMap::new();
    let mut values = BTreeMap::new();
    let name: Arc<str> = Arc::from("tag");
    for first in (0..operations).step_by(usize::try_from(PER_KEY).unwrap_or(usize::MAX)) {
        let key: Arc<str> = Arc::from(format!("post-{}", first / PER_KEY));
        let ids = first..(first + PER_KEY).min(operations);
        let mut of_key = KeyElements { found: vec![Vec::new()], left: Vec::new() };
        for op in ids.clone() {
            let element: Arc<str> = Arc::from(format!("t{op}"));
            of_key.found[0].push(Arc::clone(&element));
            of_key.left.push((OpId(op), element));
            history.operations.push(operation(op, op - first, &key, &name));
        }
        values.insert(Arc::clone(&key), vec![serde_json::Value::from(ids.count())]);
        keys.insert(key, of_key);
    }
    let rule = |name: &str, rule: NumberRule, found| Numbers {
        name: Arc::from(name),
        rule,
        operations: Vec::new(),
        per_key: true,
        found,
        error: None,
    };
    let bounds =
        NumberRule::Bounds { min: Some(Arc::from("acknowledged")), max: Some(Arc::from("acknowledged + unknown")) };
    let effects = Effects {
        numbers: vec![
            rule("bounds", bounds, Some(values)),
            rule("at most", NumberRule::AtMost(PER_KEY), None),
            rule("distinct", NumberRule::Distinct { gaps: false }, None),
        ],
        elements: Some(Elements {
            count: ElementCount::ExactlyOnce,
            ordered: true,
            form: (Arc::from("t"), Arc::from("")),
            keys,
        }),
    };
    let effects = Arc::new(effects);
    (history, Observation { source: Source::Memory, quiescent: true, effects, ..Observation::default() })
}

/// Twenty clients at a time.
fn operation(op: u64, number: u64, key: &Arc<str>, name: &Arc<str>) -> Operation {
    let invoked = op / 20 * 1_000_000 + op % 20;
    let outcome = match op % 100 {
        99 => Outcome::Unknown(Cause::new("no answer")),
        _ => Outcome::Ok(Value::Document(Returned {
            number: Some(Arc::from(number.to_string())),
            ..Returned::default()
        })),
    };
    Operation {
        id: OpId(op),
        client: u32::try_from(op % 20).unwrap_or_default(),
        round: 0,
        phase: Phase::Main,
        key: Arc::clone(key),
        action: Action::Custom(Arc::clone(name)),
        intended: invoked,
        invoked,
        connected: None,
        completed: invoked + 900_000,
        attempts: 1,
        outcome,
        late: None,
    }
}
