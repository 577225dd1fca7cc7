//! What runs out by itself: a lock with a time in it, left behind by whoever was killed while holding it.
//!
//! A correct service may leave one: whoever comes after its time takes it. So an execution with a fault that is unlike every order
//! is looked at once more without the documents that it made and that run out: those of collections whose indexes let documents
//! expire, and those that name a moment that was still to come. Where it is like an order then, it is what it is like.
//! *Completeness*: what is only wrong with such a document is not seen after a fault.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::explore::execution::Execution;
use crate::serial::{Change, Classes, Judge, Judgement, Sample, Value};

/// The last moment of an execution that is known, in milliseconds since 1970.
pub(in crate::explore) fn last_moment(execution: &Execution) -> i64 {
    let last = execution.steps.iter().map(|step| step.sent).max();
    let since = last.and_then(|last| last.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Judges executions with a fault once more without what runs out, where they are like no order with it. `ended` is when each
/// execution did; `expiring` are the collections whose documents expire.
pub(in crate::explore) fn pardon(
    mut judgement: Judgement,
    judge: &Judge,
    samples: &[Arc<Sample>],
    ended: &[i64],
    expiring: &BTreeSet<String>,
) -> Judgement {
    let (mut accused, mut leaner) = (Vec::new(), Vec::new());
    for (position, (sample, ended)) in samples.iter().zip(ended).enumerate() {
        if sample.touched.is_none() || !judgement.executions[position].class.is_anomaly() {
            continue;
        }
        let mut lean = Sample::clone(sample);
        lean.outcome.changes.retain(|change| !runs_out(change, *ended, expiring));
        if lean.outcome.changes.len() < sample.outcome.changes.len() {
            accused.push(position);
            leaner.push(lean);
        }
    }
    if leaner.is_empty() {
        return judgement;
    }
    for (position, judged) in accused.into_iter().zip(judge.judge(&leaner).executions) {
        if !judged.class.is_anomaly() {
            judgement.executions[position] = judged;
        }
    }
    judgement.classes = Classes::default();
    judgement.executions.iter().for_each(|judged| judgement.classes.add(judged.class));
    judgement
}

/// Whether a document that came into being goes by itself.
fn runs_out(change: &Change, ended: i64, expiring: &BTreeSet<String>) -> bool {
    let (None, Some(Value::Map(fields))) = (&change.before, &change.after) else { return false };
    expiring.contains(&change.collection)
        || fields.values().any(|value| matches!(value, Value::Date(moment) if *moment > ended))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::serial::{Answer, Class, Outcome, Settings};

    fn sample(touched: bool, collections: &[(&str, i64)]) -> Sample {
        let change = |(collection, until): &(&str, i64)| Change {
            collection: (*collection).to_owned(),
            id: Value::Text((*collection).to_owned()),
            before: None,
            after: Some(Value::Map(BTreeMap::from([("until".to_owned(), Value::Date(*until))]))),
        };
        let answers = BTreeMap::from([(0, Answer { status: if touched { 409 } else { 201 }, body: Value::Null })]);
        let outcome = Outcome { answers, probes: Vec::new(), changes: collections.iter().map(change).collect() };
        let touched = touched.then(|| BTreeSet::from([0]));
        Sample { order: vec![0], marks: Vec::new(), outcome, touched }
    }

    fn class(left: &[(&str, i64)], expiring: &[&str]) -> Class {
        let mut judge = Judge::new(Settings::default());
        for _ in 0..3 {
            judge.learn(sample(false, &[("payouts", 5)]));
            judge.end_round();
        }
        let samples = [Arc::new(sample(true, left))];
        let expiring = expiring.iter().map(|name| (*name).to_owned()).collect();
        pardon(judge.judge(&samples), &judge, &samples, &[100], &expiring).executions[0].class
    }

    #[test]
    fn a_lock_that_runs_out_accuses_nobody() {
        assert_eq!(class(&[("locks", 50)], &[]), Class::Lasting);
        assert_eq!(class(&[("locks", 150)], &[]), Class::Serial);
        assert_eq!(class(&[("locks", 50)], &["locks"]), Class::Serial);
        assert_eq!(class(&[("locks", 150), ("rooms", 50)], &[]), Class::Lasting, "there is something else");
    }
}
