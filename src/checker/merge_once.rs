//! Merge once: a content that is delivered several times is applied at most once.
//!
//! - Property: no list that a read or the final documents of a key show has two messages of one content, and at most one
//!   delivery of a content is told that it pushed the message. Contents are told apart by `mergeId` for merged images, else
//!   by `batchId` and `batchIndex`, else by `imageId`, and videos by `videoId`.
//! - Assumptions: what a delivery carries follows from its record; its stamp is on its message.
//! - Soundness: both messages were read, or both answers were received.
//! - Completeness: exact on final documents and on reads. Unknown deliveries count by the messages that they left.
//! - Cost: one pass over operations and lists, one hash look-up each.
//!
//! Checked: contents of which a message or an answer is seen. Violations: contents that were applied more than once.
//! Figures: messages in the end, duplicates among them, contents that have any.

use rustc_hash::FxHashMap;

use crate::history::{Action, Operation};
use crate::verdict::{Invariant, InvariantResult};

use super::facts::answered_at;
use super::findings::{Findings, count, list, ms};
use super::lists::{List, Lists, Write};
use super::{Budget, Checker, Evidence, final_state};

/// Judges [`Invariant::MergeOnce`].
#[derive(Debug, Clone, Copy, Default)]
pub struct MergeOnce;

impl Checker for MergeOnce {
    fn invariant(&self) -> Invariant {
        Invariant::MergeOnce
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        for figure in ["messages", "duplicates", "affected_contents"] {
            findings.figure(figure, 0);
        }
        for key in evidence.keys() {
            let lists = Lists::of(&key);
            if !budget.take(1 + lists.operations.len() as u64) {
                return findings.exhausted();
            }
            judge(key.key, &lists, &mut findings);
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

/// Number of a delivered content: within one key it stands for its identity.
fn content(operation: &Operation) -> Option<u32> {
    match &operation.action {
        Action::Deliver(delivery) => Some(delivery.content),
        _ => None,
    }
}

/// What is known of one content.
#[derive(Default)]
struct ContentView<'a> {
    /// Deliveries that were told that they pushed it: the first two.
    applied: Vec<&'a Operation>,
    /// Writers of two of its messages that one list, or the final documents, show, and where.
    twice: Option<([&'a Operation; 2], usize)>,
}

fn judge(key: &str, lists: &Lists<'_>, findings: &mut Findings) {
    let mut contents = FxHashMap::<u32, ContentView<'_>>::default();
    let mut order = Vec::new();
    for operation in &lists.operations {
        let Some(content) = content(operation) else { continue };
        let told = Write::of(operation);
        if !matches!(told, Some(Write::Acknowledged | Write::Deduplicated)) {
            continue;
        }
        let view = contents.entry(content).or_insert_with(|| {
            order.push(content);
            ContentView::default()
        });
        if told == Some(Write::Acknowledged) && view.applied.len() < 2 {
            view.applied.push(operation);
        }
    }
    let reads = lists.reads().len();
    repeated(lists, &lists.lists[reads..], reads, &mut contents, &mut order, Some(findings));
    for (index, read) in lists.reads().iter().enumerate() {
        repeated(lists, std::slice::from_ref(read), index, &mut contents, &mut order, None);
    }
    order.sort_unstable();
    for content in order {
        let view = &contents[&content];
        findings.checked += 1;
        if let Some((writers, at)) = view.twice {
            let list = &lists.lists[at];
            let mut operations = writers.to_vec();
            operations.extend(list.view.operation());
            let documents: Vec<_> = list.view.document().into_iter().collect();
            findings.add(key, &operations, &documents, || twice(writers, list));
        } else if let [one, other] = view.applied[..] {
            findings.add(key, &[one, other], &[], || {
                format!(
                    "{} was told at {} and {} at {} that it had pushed {}; the second must find it there",
                    one.id,
                    ms(answered_at(one)),
                    other.id,
                    ms(answered_at(other)),
                    identity(one)
                )
            });
        }
    }
}

/// Notes contents that these lists together show more than once; in the final state, with figures.
fn repeated<'a>(
    lists: &Lists<'a>,
    group: &[List<'a>],
    first: usize,
    contents: &mut FxHashMap<u32, ContentView<'a>>,
    order: &mut Vec<u32>,
    findings: Option<&mut Findings>,
) {
    let mut seen = FxHashMap::<u32, (&'a Operation, u64)>::default();
    let (mut messages, mut duplicates, mut affected) = (0, 0, 0);
    for (offset, list) in group.iter().enumerate() {
        for element in &*list.elements {
            messages += 1;
            let Some(writer) = lists.writer(*element).map(|at| lists.operations[at]) else { continue };
            let Some(content) = content(writer) else { continue };
            let view = contents.entry(content).or_insert_with(|| {
                order.push(content);
                ContentView::default()
            });
            let known = seen.entry(content).or_insert((writer, 0));
            known.1 += 1;
            if known.1 > 1 {
                duplicates += 1;
                affected += u64::from(known.1 == 2);
                view.twice.get_or_insert(([known.0, writer], first + offset));
            }
        }
    }
    if let Some(findings) = findings {
        findings.figure("messages", messages);
        findings.figure("duplicates", duplicates);
        findings.figure("affected_contents", affected);
    }
}

fn identity(operation: &Operation) -> String {
    match &operation.action {
        Action::Deliver(delivery) => format!("`{}`", delivery.identity()),
        _ => "it".to_owned(),
    }
}

fn twice([one, other]: [&Operation; 2], seen: &List<'_>) -> String {
    let mut stamps = vec![one.id.to_string(), other.id.to_string()];
    stamps.dedup();
    format!(
        "{} is in {} {}: pushed by {}; however often a content is delivered, it is stored once",
        identity(one),
        seen.view.name(),
        if seen.view.document().is_some() { "more than once".to_owned() } else { count(2, "time") },
        list(&stamps)
    )
}
