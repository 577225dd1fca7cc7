//! Executions in which a fault was injected, held against the serial runs.
//!
//! *Property*: a request whose connection was lost, or that was answered by an error, happened once or not at all; a request
//! that was answered well happened once, however often it was delivered. So an execution is serial if there is a set of
//! requests, among them all that were answered well, of which some serial run left the same documents and gave the same
//! answers to those whom no fault touched. A document that is half done is none of that.
//!
//! *Assumptions*: as without faults. What a service keeps beside its data (a count of attempts) is part of the documents;
//! `ignore` leaves it out.
//!
//! *Soundness*: what a touched request was told is not compared, and neither is who failed along with it, nor what anybody is
//! told when it is asked once more afterwards.
//! *Completeness*: what is only wrong in an answer to a touched request is not seen.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::classes::{Class, Former, Forms, is_mixed};
use super::normal::Normal;
use super::outcome::Answer;

/// The sets of requests, other than all of them, that an execution with a fault may be like: some of those that were not answered
/// well may have left nothing.
pub(super) fn others(
    order: &[usize],
    answers: &BTreeMap<usize, Answer>,
    touched: &BTreeSet<usize>,
    refuses: impl Fn(u16) -> bool,
) -> BTreeSet<Vec<usize>> {
    let told_well = |request: &usize| {
        answers.get(request).is_some_and(|answer| is_well(answer.status, touched.contains(request), &refuses))
    };
    let (done, doubtful): (Vec<usize>, Vec<usize>) = order.iter().copied().partition(told_well);
    let mut sets = BTreeSet::from([done]);
    for request in doubtful {
        let with = |set: &Vec<usize>| set.iter().copied().chain([request]).collect::<Vec<usize>>();
        let longer: Vec<Vec<usize>> = sets.iter().map(with).collect();
        sets.extend(longer);
    }
    let sorted = sets.into_iter().map(|mut set| {
        set.sort_unstable();
        set
    });
    sorted.filter(|set| !set.is_empty() && set.len() < order.len()).collect()
}

/// Whether a request that was told this has happened.
fn is_well(status: u16, is_touched: bool, refuses: &impl Fn(u16) -> bool) -> bool {
    if is_touched { status < 400 } else { status < 500 && !refuses(status) }
}

/// The class of an execution, and the requests that left nothing.
pub(super) fn class(
    execution: &Normal,
    touched: &BTreeSet<usize>,
    serial: &[Normal],
    refuses: impl Fn(u16) -> bool,
    former: Former,
) -> (Class, Vec<usize>) {
    let sent: BTreeSet<usize> = execution.order.iter().copied().collect();
    let is_told_well = |request: &usize| {
        let answer = execution.answers.get(request);
        answer.is_some_and(|(status, _)| is_well(*status, touched.contains(request), &refuses))
    };
    let done: BTreeSet<usize> = sent.iter().copied().filter(is_told_well).collect();
    let compared: Vec<usize> = done.difference(touched).copied().collect();
    let execution = &*unprobed(execution);
    let forms = Forms::of(execution, &compared, former);
    let mut alike: Vec<(BTreeSet<usize>, Forms)> = Vec::new();
    for run in serial {
        let of: BTreeSet<usize> = run.order.iter().copied().collect();
        if of.is_superset(&done) && of.is_subset(&sent) {
            alike.push((of, Forms::of(&unprobed(run), &compared, former)));
        }
    }
    if done.is_empty() {
        let nothing =
            Normal { order: Vec::new(), answers: Default::default(), documents: Vec::new(), ..execution.clone() };
        alike.push((BTreeSet::new(), Forms::of(&nothing, &[], former)));
    }
    let left_out = |of: &BTreeSet<usize>| sent.difference(of).copied().collect::<Vec<_>>();
    if let Some((of, _)) = alike.iter().find(|(_, one)| one.all == forms.all) {
        // Who failed along with the fault was not refused.
        let status = |request: &usize| execution.answers.get(request).map(|(status, _)| *status);
        let is_refused = |request: &usize| {
            !touched.contains(request) && status(request).is_some_and(|status| status < 500 && refuses(status))
        };
        let refused = left_out(of).into_iter().filter(is_refused).collect::<Vec<_>>();
        let class = if refused.is_empty() { Class::Serial } else { Class::Refused };
        return (class, refused);
    }
    let sets: BTreeSet<&BTreeSet<usize>> = alike.iter().map(|(of, _)| of).collect();
    let mixed = sets.into_iter().any(|of| {
        let runs: Vec<Forms> = alike.iter().filter(|(other, _)| other == of).map(|(_, one)| one.clone()).collect();
        is_mixed(execution, &forms, &runs)
    });
    let class = if mixed {
        Class::Mixed
    } else if !alike.iter().any(|(_, one)| one.has_documents_of(&forms)) {
        Class::Lasting
    } else {
        Class::Answer
    };
    (class, Vec::new())
}

/// Without what was sent once more when all was over: who may have happened or not may be told either.
fn unprobed(outcome: &Normal) -> Cow<'_, Normal> {
    match outcome.probes.is_empty() {
        true => Cow::Borrowed(outcome),
        false => Cow::Owned(Normal { probes: Vec::new(), ..outcome.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::serial::{Answer, Change, Judge, Outcome, Sample, Settings, Value};

    /// An execution of these requests: what each was told, and the documents that were left, by who made them.
    fn sample(order: &[usize], statuses: &[(usize, u16)], documents: &[(&str, &str)]) -> Sample {
        let answer = |(request, status): &(usize, u16)| (*request, Answer { status: *status, body: Value::Null });
        let change = |(number, (id, text)): (usize, &(&str, &str))| Change {
            collection: "rooms".to_owned(),
            id: Value::Text(format!("{id}{number}")),
            before: None,
            after: Some(Value::Map(BTreeMap::from([
                ("_id".to_owned(), Value::Text((*id).to_owned())),
                ("text".to_owned(), Value::Text((*text).to_owned())),
            ]))),
        };
        Sample {
            order: order.to_vec(),
            marks: Vec::new(),
            outcome: Outcome {
                answers: statuses.iter().map(answer).collect(),
                probes: Vec::new(),
                changes: documents.iter().enumerate().map(change).collect(),
            },
            touched: None,
        }
    }

    /// Two requests that each leave a document of their own.
    fn judge() -> Judge {
        let mut judge = Judge::new(Settings::default());
        let (first, second) = (("one", "full"), ("two", "full"));
        for _ in 0..3 {
            judge.learn(sample(&[0, 1], &[(0, 201), (1, 201)], &[first, second]));
            judge.learn(sample(&[1, 0], &[(0, 201), (1, 201)], &[first, second]));
            judge.learn(sample(&[0], &[(0, 201)], &[first]));
            judge.learn(sample(&[1], &[(1, 201)], &[second]));
            judge.end_round();
        }
        judge
    }

    fn class_of(touched: &[usize], statuses: &[(usize, u16)], documents: &[(&str, &str)]) -> Class {
        let touched = Some(touched.iter().copied().collect());
        let execution = Sample { touched, ..sample(&[0, 1], statuses, documents) };
        judge().judge(&[execution]).executions[0].class
    }

    #[test]
    fn who_was_not_answered_well_happened_once_or_not_at_all() {
        let (first, second, half) = (("one", "full"), ("two", "full"), ("one", "half"));
        for unwell in [&[(0, 500), (1, 201)][..], &[(1, 201)], &[(0, 409), (1, 201)]] {
            assert_eq!(class_of(&[0], unwell, &[first, second]), Class::Serial, "{unwell:?}: it happened");
            assert_eq!(class_of(&[0], unwell, &[second]), Class::Serial, "{unwell:?}: it did not");
            assert_eq!(class_of(&[0], unwell, &[half, second]), Class::Lasting, "{unwell:?}: half of it did");
            assert_eq!(class_of(&[0], unwell, &[first, first, second]), Class::Lasting, "{unwell:?}: twice");
            assert_eq!(class_of(&[0], unwell, &[first]), Class::Lasting, "{unwell:?}: the other is gone");
        }
        assert_eq!(class_of(&[0, 1], &[], &[]), Class::Serial, "nobody was answered, and nothing happened");
        assert_eq!(class_of(&[0, 1], &[], &[half]), Class::Lasting);
    }

    #[test]
    fn who_was_answered_well_happened_however_often_it_was_delivered() {
        let (first, second) = (("one", "full"), ("two", "full"));
        // Who is delivered again may be told something else: that it was there.
        let told = [(0, 200), (1, 201)];
        assert_eq!(class_of(&[0], &told, &[first, second]), Class::Serial);
        assert_eq!(class_of(&[0], &told, &[second]), Class::Lasting, "it was promised");
        assert_eq!(class_of(&[0], &told, &[first, first, second]), Class::Lasting);
    }

    #[test]
    fn what_no_fault_touched_is_compared() {
        let (first, second) = (("one", "full"), ("two", "full"));
        assert_eq!(class_of(&[0], &[(0, 201), (1, 200)], &[first, second]), Class::Answer);
        assert_eq!(class_of(&[0], &[(0, 201), (1, 503)], &[first, second]), Class::Serial, "it failed along with it");
        assert_eq!(class_of(&[0], &[(0, 201), (1, 409)], &[first]), Class::Refused);
        assert_eq!(class_of(&[0], &[(0, 201), (1, 503)], &[first]), Class::Serial, "it failed along with it, for good");
    }

    #[test]
    fn what_is_told_afterwards_is_not_compared() {
        let probed = |status, run: Sample| {
            let probes = vec![Answer { status, body: Value::Null }];
            Sample { outcome: Outcome { probes, ..run.outcome.clone() }, ..run }
        };
        let mut judge = Judge::new(Settings::default());
        for _ in 0..3 {
            judge.learn(probed(200, sample(&[0], &[(0, 201)], &[("one", "full")])));
            judge.end_round();
        }
        let touched = Some(BTreeSet::from([0]));
        for (left, what) in [(&[][..], "it did not happen"), (&[("one", "full")], "it did, and may be told otherwise")]
        {
            let execution = Sample { touched: touched.clone(), ..probed(404, sample(&[0], &[], left)) };
            assert_eq!(judge.judge(&[execution]).executions[0].class, Class::Serial, "{what}");
        }
    }
}
