//! Admins only: whoever changes a thread is an admin of it at that moment.
//!
//! - Property: who is an admin of a thread is its owner until the owner resigns. In the thread's own list of changes no
//!   change is by somebody who was not an admin then, and none is of an operation that was refused. No operation succeeded
//!   whose caller was no admin at any moment of its interval: somebody else than the owner, or the owner after having
//!   resigned. Nobody who resigned is an admin in the end.
//! - Assumptions: the list of changes is written in the same update as the change. Nobody becomes an admin later on.
//! - Soundness: each claim rests on answers received, or on the order in which the thread itself took the changes.
//! - Completeness: exact, cross-checked against enumeration: every rule is about one change and one resignation, and they
//!   fit an order if and only if each pair does. Without the list of changes, a change in the moment between the check and
//!   a resignation is not seen. Without the final state, only changes after a resignation are judged.
//! - Cost: linear in the operations and changes.
//!
//! Checked: operations that tried to change a thread and were answered. Violations: threads with a defect.

use crate::history::{Action, Observed, Operation, ThreadState};
use crate::verdict::{Invariant, InvariantResult};

use super::findings::{Findings, ms, short};
use super::thread_view::{Thread, ThreadView, failed};
use super::{Budget, Checker, Evidence, final_state};

/// Judges [`Invariant::AdminsOnly`].
#[derive(Debug, Clone, Copy, Default)]
pub struct AdminsOnly;

impl Checker for AdminsOnly {
    fn invariant(&self) -> Invariant {
        Invariant::AdminsOnly
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        for key in evidence.keys() {
            if !budget.take(1 + key.operations().len() as u64) {
                return findings.exhausted();
            }
            let view = ThreadView::of(evidence, &key);
            let tried = |operation: &&&Operation| caller(operation).is_some() && !operation.is_unknown();
            findings.checked += view.operations.iter().filter(tried).count() as u64;
            for thread in view.threads.values() {
                if let Some((operations, explanation)) = defect(evidence, thread) {
                    let documents: Vec<&Observed> = thread.last.iter().map(|(document, _)| *document).collect();
                    findings.add(key.key, &operations, &documents, || explanation);
                }
            }
        }
        findings
    }

    fn conclude(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult {
        let result = findings.into_result();
        match evidence.observation() {
            Some(_) => final_state::weaken(evidence, result),
            None => result.weaken("the final state was not read, so who may change a thread is not known"),
        }
    }
}

/// Who asked for a change; of an operation that changes nothing, `None`.
fn caller(operation: &Operation) -> Option<&str> {
    match &operation.action {
        Action::ExpandThread(expansion) => Some(&expansion.caller),
        Action::ResignAdmin { caller } => Some(caller),
        _ => None,
    }
}

fn resigns(operation: &Operation) -> bool {
    matches!(operation.action, Action::ResignAdmin { .. })
}

type Defect<'a> = (Vec<&'a Operation>, String);

/// The first defect of a thread.
fn defect<'a>(evidence: &Evidence<'a>, thread: &Thread<'a>) -> Option<Defect<'a>> {
    thread
        .last
        .and_then(|(document, state)| {
            listed(evidence, document, state)
                .or_else(|| strangers(thread, state))
                .or_else(|| still_admin(evidence, thread, state))
        })
        .or_else(|| after_resignation(evidence, thread))
}

/// The changes in the order in which the thread took them.
fn listed<'a>(evidence: &Evidence<'a>, document: &Observed, state: &ThreadState) -> Option<Defect<'a>> {
    let id = short(&document.id);
    let mut resigned: Vec<&'a Operation> = Vec::new();
    for operation in state.changes.iter().flatten().filter_map(|op| evidence.operation(*op)) {
        let Some(user) = caller(operation) else { continue };
        let op = operation.id;
        if failed(operation) {
            let at = ms(operation.completed);
            return Some((
                vec![operation],
                format!("{op} by `{user}` was refused at {at}, yet thread {id} lists it among its changes"),
            ));
        }
        if let Some(before) = resigned.iter().find(|before| caller(before) == Some(user)) {
            let explanation = format!(
                "thread {id} took {op} by `{user}` after {}, with which `{user}` had resigned; only an admin may change a thread",
                before.id
            );
            return Some((vec![before, operation], explanation));
        }
        if state.owner.as_deref().is_some_and(|owner| owner != user) {
            return Some((vec![operation], format!("thread {id} took {op} by `{user}`, who never was its admin")));
        }
        if resigns(operation) {
            resigned.push(operation);
        }
    }
    None
}

/// A change that succeeded for somebody who never was an admin.
fn strangers<'a>(thread: &Thread<'a>, state: &ThreadState) -> Option<Defect<'a>> {
    let owner = state.owner.as_deref()?;
    thread.answers.iter().find_map(|(operation, _)| {
        let user = caller(operation).filter(|user| *user != owner)?;
        let at = ms(operation.completed);
        let explanation =
            format!("{} by `{user}` succeeded at {at}, but the only admin there ever was is `{owner}`", operation.id);
        Some((vec![*operation], explanation))
    })
}

fn still_admin<'a>(evidence: &Evidence<'a>, thread: &Thread<'a>, state: &ThreadState) -> Option<Defect<'a>> {
    let listed = state.changes.iter().flatten().filter_map(|op| evidence.operation(*op));
    let mut resigned =
        thread.answers.iter().map(|(operation, _)| *operation).chain(listed).filter(|operation| resigns(operation));
    let operation = resigned.find(|operation| state.admins.iter().any(|admin| Some(&**admin) == caller(operation)))?;
    let user = caller(operation).unwrap_or_default();
    Some((vec![operation], format!("`{user}` resigned with {}, but is an admin in the end", operation.id)))
}

/// A change that was invoked after its caller's resignation had been acknowledged, or two resignations of one admin.
fn after_resignation<'a>(evidence: &Evidence<'a>, thread: &Thread<'a>) -> Option<Defect<'a>> {
    let listed = thread.last.and_then(|(_, state)| state.changes.as_ref()).into_iter().flatten();
    let mut changes: Vec<&Operation> = listed.filter_map(|op| evidence.operation(*op)).collect();
    changes
        .extend(thread.answers.iter().map(|(operation, _)| *operation).filter(|operation| caller(operation).is_some()));
    changes.sort_unstable_by_key(|operation| operation.id);
    changes.dedup_by_key(|operation| operation.id);
    let happened = || changes.iter().copied();
    let first = happened().filter(|operation| resigns(operation)).min_by_key(|operation| operation.returned())?;
    let user = caller(first);
    if let Some(second) =
        happened().find(|operation| resigns(operation) && operation.id != first.id && caller(operation) == user)
    {
        let explanation = format!(
            "{} and {} both took effect; whoever has resigned is no admin who could resign again",
            first.id, second.id
        );
        return Some((vec![first, second], explanation));
    }
    let late = happened().find(|operation| caller(operation) == user && operation.invoked > first.returned())?;
    let explanation = format!(
        "{} by `{}` succeeded although it was invoked at {}, after {}, with which they resigned, had returned at {}",
        late.id,
        user.unwrap_or_default(),
        ms(late.invoked),
        first.id,
        ms(first.returned())
    );
    Some((vec![first, late], explanation))
}

#[cfg(test)]
#[path = "admins_only_oracle.rs"]
mod oracle;
