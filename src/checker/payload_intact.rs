//! Payload intact: what is stored is what its writer sent.
//!
//! - Property: every message of a final document has the text, the sender, the count and the identity that its operation
//!   sent; an answer is the answer to its operation's text.
//! - Assumptions: what an operation sends follows from its record. A field that the final state does not show is not judged.
//! - Soundness: the message was read.
//! - Completeness: final documents only; reads show which messages there are, not what they say.
//! - Cost: one pass over the final messages, one binary search each.
//!
//! Checked: final messages whose writer is known. Violations: those that differ from what was sent.

use std::borrow::Cow;

use crate::history::{Action, Message, Operation, Role, answer_to};
use crate::verdict::{Invariant, InvariantResult};

use super::findings::{Findings, list};
use super::lists::{Lists, name};
use super::{Budget, Checker, Evidence, final_state};

/// Judges [`Invariant::PayloadIntact`].
#[derive(Debug, Clone, Copy, Default)]
pub struct PayloadIntact;

impl Checker for PayloadIntact {
    fn invariant(&self) -> Invariant {
        Invariant::PayloadIntact
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        if evidence.observation().is_none() {
            return findings;
        }
        for key in evidence.keys() {
            let lists = Lists::of(&key);
            if !budget.take(1 + lists.operations.len() as u64) {
                return findings.exhausted();
            }
            for document in key.documents() {
                for message in &document.messages {
                    let Some(at) = lists.writer(message.element()) else { continue };
                    findings.checked += 1;
                    let writer = lists.operations[at];
                    let wrong = differences(message, writer);
                    if !wrong.is_empty() {
                        findings.add(key.key, &[writer], &[document], || explain(message, &wrong));
                    }
                }
            }
        }
        findings
    }

    fn conclude(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult {
        if evidence.observation().is_none() {
            return final_state::missing(self.invariant());
        }
        final_state::weaken(evidence, findings.into_result())
    }
}

/// What differs from what was sent, in words.
fn differences(message: &Message, writer: &Operation) -> Vec<String> {
    let mut wrong = Vec::new();
    let text: Cow<'_, str> = match &writer.action {
        Action::Append(said) => {
            differ(&mut wrong, "the sender", message.sender, said.sender);
            differ(&mut wrong, "the count", message.n, said.n);
            match message.role {
                Role::User => Cow::Borrowed(&*said.text),
                Role::Bot => Cow::Owned(answer_to(&said.text)),
            }
        }
        Action::Deliver(delivery) => {
            if let Some(stored) = &message.identity {
                let sent = delivery.identity();
                if **stored != *sent {
                    wrong.push(format!("it is stored as `{stored}` and was sent as `{sent}`"));
                }
            }
            Cow::Owned(delivery.payload())
        }
        _ => return wrong,
    };
    if *message.text != *text {
        wrong.push(format!("it says {:?}, {text:?} was sent", &*message.text));
    }
    wrong
}

fn differ(wrong: &mut Vec<String>, what: &str, stored: Option<u32>, sent: u32) {
    if let Some(stored) = stored.filter(|stored| *stored != sent) {
        wrong.push(format!("{what} is {stored}, {sent} was sent"));
    }
}

fn explain(message: &Message, wrong: &[String]) -> String {
    format!("{} is not what was sent: {}", name(message.element()), list(wrong))
}
