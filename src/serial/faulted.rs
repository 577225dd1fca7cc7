//! Executions in which a fault was injected, held against the serial runs.
//!
//! *Property*: a request whose connection was lost, or that was answered by an error, happened once or not at all; a request
//! that was answered well happened once, however often it was delivered. So an execution is serial if there is a set of
//! requests, among them all that were answered well, of which some serial run left the same documents and gave the same
//! answers to those whom no fault touched. A document that is half done is none of that.
//!
//! *Assumptions*: as without faults. What a service keeps beside its data (a lock with a time in it, a count of attempts) is
//! part of the documents; `ignore` leaves it out.
//!
//! *Soundness*: what a touched request was told is not compared, and neither is who failed along with it.
//! *Completeness*: what is only wrong in an answer to a touched request is not seen.

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
    let forms = Forms::of(execution, &compared, former);
    let mut alike: Vec<(BTreeSet<usize>, Forms)> = Vec::new();
    for run in serial {
        let of: BTreeSet<usize> = run.order.iter().copied().collect();
        if of.is_superset(&done) && of.is_subset(&sent) {
            alike.push((of, Forms::of(run, &compared, former)));
        }
    }
    if done.is_empty() {
        let nothing =
            Normal { order: Vec::new(), answers: Default::default(), documents: Vec::new(), ..execution.clone() };
        alike.push((BTreeSet::new(), Forms::of(&nothing, &[], former)));
    }
    let left_out = |of: &BTreeSet<usize>| sent.difference(of).copied().collect::<Vec<_>>();
    if let Some((of, _)) = alike.iter().find(|(_, one)| one.all == forms.all) {
        let refused = left_out(of).into_iter().filter(|request| !touched.contains(request)).collect::<Vec<_>>();
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
