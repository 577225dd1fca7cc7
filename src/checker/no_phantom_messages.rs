//! No phantom messages: nothing is there that no operation wrote.
//!
//! - Property: every message of every list carries the stamp of an operation on the same key that writes such a message
//!   and did not fail.
//! - Assumptions: stamps are not forged.
//! - Soundness: the message was read. An operation that lost a race (E11000, 112) may have been tried again by the service
//!   and is not taken to be without effect. In a history that was cut short the writer may be missing, and only messages
//!   of operations that are known to have failed are claimed.
//! - Completeness: exact on the lists read.
//! - Cost: one pass over the lists, one binary search per element.
//!
//! Checked: messages of lists that kept their elements. Violations: those that nobody wrote.

use crate::history::Element;
use crate::verdict::{Invariant, InvariantResult};

use super::facts::answered_at;
use super::findings::{Findings, ms};
use super::lists::{List, Lists, Write, name};
use super::{Budget, Checker, Evidence, final_state};

/// Judges [`Invariant::NoPhantomMessages`].
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPhantomMessages;

impl Checker for NoPhantomMessages {
    fn invariant(&self) -> Invariant {
        Invariant::NoPhantomMessages
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        for key in evidence.keys() {
            let lists = Lists::of(&key);
            if !budget.take(1 + lists.operations.len() as u64) {
                return findings.exhausted();
            }
            for list in &lists.lists {
                findings.checked += list.elements.len() as u64;
                for element in &*list.elements {
                    judge(evidence, key.key, &lists, list, *element, &mut findings);
                }
            }
        }
        findings
    }

    fn conclude(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult {
        let result = findings.into_result();
        if evidence.observation().is_none() {
            return result.weaken("the final state was not read");
        }
        final_state::weaken(evidence, result)
    }
}

fn judge(
    evidence: &Evidence<'_>,
    key: &str,
    lists: &Lists<'_>,
    list: &List<'_>,
    element: Element,
    findings: &mut Findings,
) {
    let documents: Vec<_> = list.view.document().into_iter().collect();
    let mut operations: Vec<_> = list.view.operation().into_iter().collect();
    if let Some(at) = lists.writer(element) {
        let writer = lists.operations[at];
        if Write::of(writer) == Some(Write::Failed) {
            operations.push(writer);
            findings.add(key, &operations, &documents, || {
                format!(
                    "{} failed at {}, yet {} is in {}; what failed must have no effect",
                    writer.id,
                    ms(answered_at(writer)),
                    name(element),
                    list.view.name()
                )
            });
        }
    } else if !evidence.partial() {
        let stranger = element.op().and_then(|op| evidence.operation(op));
        operations.extend(stranger);
        findings.add(key, &operations, &documents, || {
            let why = match (element.op(), stranger) {
                (None, _) => "which names no operation".to_owned(),
                (Some(op), None) => format!("but {op} is no operation of the run"),
                (Some(op), Some(other)) if *other.key != *key => format!("but {op} wrote to `{}`", other.key),
                (Some(op), Some(_)) => format!("but {op} writes no such message"),
            };
            format!("{} has {}, {why}; every message must have been sent", list.view.name(), name(element))
        });
    }
}
