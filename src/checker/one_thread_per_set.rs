//! One thread per set: a kind and a set of participants have one thread, and every caller gets that one.
//!
//! - Property: in the end no two threads have the same kind and participants, direct threads have two participants, groups
//!   two or more. Every answer to a start or a look-up names a thread that is there in the end, of the kind and exactly the
//!   participants asked for. Threads that were answered for one set had it one after the other: one must have been expanded
//!   before the other came to the set. A look-up that found nothing ran while no thread had the set. A thread is created
//!   by one operation, which says so, and not after it was seen.
//! - Assumptions: threads are not deleted; they only grow. A member's stamp names the operation that added it. Where a
//!   thread keeps no stamps, whoever asked for a member may have added it.
//! - Soundness: each claim rests on answers received and documents read; a thread may have left a set as early as the
//!   invocation of any operation that can have expanded it.
//! - Completeness: exact for threads that are not expanded, cross-checked against enumeration. Of expanded ones pairs of
//!   threads are judged, not longer chains of threads that take turns with one set; that expansions were refused for a good
//!   reason is not judged.
//! - Cost: linear, but for sets that several threads had: quadratic in their number.
//!
//! Checked: sets of participants that were asked for or found. Violations: sets with a defect.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{
    Action, Conversation, Id, Member, Nanos, Observed, Operation, Outcome, ThreadAnswer, ThreadState, Value, thread_key,
};
use crate::verdict::{Invariant, InvariantResult};

use super::facts::told;
use super::findings::{Findings, count, list, ms, short, short_pair};
use super::thread_view::{Thread, ThreadView, failed, joining, thread_answer};
use super::{Budget, Checker, Evidence, KeyEvidence, elsewhere, final_state};

/// Judges [`Invariant::OneThreadPerSet`].
#[derive(Debug, Clone, Copy, Default)]
pub struct OneThreadPerSet;

impl Checker for OneThreadPerSet {
    fn invariant(&self) -> Invariant {
        Invariant::OneThreadPerSet
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        for key in evidence.keys() {
            if !budget.take(1 + key.operations().len() as u64) {
                return findings.exhausted();
            }
            elsewhere::is_out_of_sight(evidence, &key, &mut findings);
            let sets = Sets::of(evidence, &key);
            findings.checked += sets.by_key.len() as u64;
            for defect in sets.defects(evidence) {
                findings.add(key.key, &defect.operations, &defect.documents, || defect.explanation);
            }
        }
        findings
    }

    fn conclude(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult {
        let result = findings.into_result();
        match evidence.observation() {
            Some(_) => final_state::weaken(evidence, result),
            None => result.note("answers were compared with each other; the final state was not read"),
        }
    }
}

/// Why a set has not one thread.
struct Defect<'a> {
    operations: Vec<&'a Operation>,
    documents: Vec<&'a Observed>,
    explanation: String,
}

/// The sets of participants of one family.
struct Sets<'a> {
    view: ThreadView<'a>,
    by_key: BTreeMap<String, Set<'a>>,
}

/// What was seen of one set.
#[derive(Default)]
struct Set<'a> {
    /// Threads that have it in the end.
    last: Vec<(&'a Observed, &'a ThreadState)>,
    /// Answers that name a thread for it.
    answers: Vec<(&'a Operation, &'a Conversation, &'a ThreadAnswer)>,
    /// Look-ups that found nothing.
    absent: Vec<&'a Operation>,
    /// Threads that had it before any operation.
    given: Vec<&'a Id>,
    members: BTreeSet<&'a str>,
}

fn conversation(operation: &Operation) -> Option<&Conversation> {
    match &operation.action {
        Action::StartConversation(conversation) | Action::CheckExisting(conversation) => Some(conversation),
        _ => None,
    }
}

impl<'a> Sets<'a> {
    fn of(evidence: &Evidence<'a>, key: &KeyEvidence<'a>) -> Self {
        let view = ThreadView::of(evidence, key);
        let mut by_key: BTreeMap<String, Set<'a>> = BTreeMap::new();
        for &operation in &view.operations {
            let Some(conversation) = conversation(operation) else { continue };
            let answer = thread_answer(operation);
            let absent = matches!(told(operation), Outcome::Ok(Value::Found(None)));
            if answer.is_none() && !absent {
                continue;
            }
            let set = by_key.entry(conversation.key()).or_default();
            set.members.extend(conversation.members());
            set.answers.extend(answer.map(|answer| (operation, conversation, answer)));
            set.absent.extend(absent.then_some(operation));
        }
        for thread in view.threads.values() {
            let Some((document, state)) = thread.last else { continue };
            let set = by_key.entry(state.key()).or_default();
            set.members.extend(state.set());
            set.last.push((document, state));
            let there_before = |member: &&Member| member.added_by.is_none() && !member.adder_hidden;
            let given: Vec<&str> = state.members.iter().filter(there_before).map(|member| &*member.user).collect();
            if document.created_by.is_none() && !state.creator_hidden && !given.is_empty() {
                let set = by_key.entry(thread_key(state.kind, given.iter().copied())).or_default();
                set.members.extend(given);
                set.given.push(&document.id);
            }
        }
        Sets { view, by_key }
    }

    /// The first defect of each set.
    fn defects(&self, evidence: &Evidence<'a>) -> Vec<Defect<'a>> {
        let defect = |(key, set): (&String, &Set<'a>)| {
            set.several_in_the_end(evidence, key)
                .or_else(|| set.wrong_size())
                .or_else(|| set.stray(evidence))
                .or_else(|| set.wrong_answer(evidence, &self.view, key))
                .or_else(|| set.creations(evidence, &self.view))
                .or_else(|| self.at_once(evidence, key, set))
        };
        self.by_key.iter().filter_map(defect).collect()
    }

    /// Two threads that were answered for one set at moments that leave no room for an expansion between them, or a thread
    /// that a look-up should have found.
    fn at_once(&self, evidence: &Evidence<'a>, key: &str, set: &Set<'a>) -> Option<Defect<'a>> {
        let stays = self.stays(evidence, set);
        for (index, one) in stays.iter().enumerate() {
            for other in &stays[index + 1..] {
                if !one.before(other) && !other.before(one) {
                    let operations: Vec<&Operation> = one.first.into_iter().chain(other.first).collect();
                    let (id, other_id) = short_pair(one.id, other.id);
                    let explanation = format!(
                        "`{key}` was answered with thread {id}{} and with thread {other_id}{}, and neither can have been \
                         expanded before the other had these participants; one set has one thread",
                        one.told(),
                        other.told()
                    );
                    return Some(Defect { operations, documents: Vec::new(), explanation });
                }
            }
            if let Some(absent) = set.absent.iter().find(|absent| one.should_be_found(absent)) {
                let operations: Vec<&Operation> = one.first.into_iter().chain([*absent]).collect();
                let explanation = format!(
                    "thread {} had the participants of `{key}`{}, yet {}, invoked at {}, found no such thread",
                    short(one.id),
                    one.told(),
                    absent.id,
                    ms(absent.invoked)
                );
                return Some(Defect { operations, documents: Vec::new(), explanation });
            }
        }
        None
    }

    /// What is known of when each thread had the set.
    fn stays(&self, evidence: &Evidence<'a>, set: &Set<'a>) -> Vec<Stay<'a>> {
        let mut stays: BTreeMap<&'a Id, Stay<'a>> = BTreeMap::new();
        for id in &set.given {
            stays.insert(id, Stay { id, first: None, seen: 0, last_seen: 0, leaves: None });
        }
        for (operation, _, answer) in &set.answers {
            let Some(id) = &answer.id else { continue };
            let (invoked, returned) = (operation.invoked, operation.returned());
            let stay =
                stays.entry(id).or_insert(Stay { id, first: None, seen: Nanos::MAX, last_seen: 0, leaves: None });
            if stay.first.is_none() || returned < stay.seen {
                stay.first = Some(operation);
            }
            stay.seen = stay.seen.min(returned);
            stay.last_seen = stay.last_seen.max(invoked);
        }
        for stay in stays.values_mut() {
            stay.leaves = self.leaves(evidence, set, stay.id);
        }
        stays.into_values().collect()
    }

    /// The earliest moment at which somebody can have been added by an expansion.
    fn earliest_to_ask_for(&self, user: &str) -> Nanos {
        let may = self.view.operations.iter().filter(|operation| {
            matches!(operation.action, Action::ExpandThread(_))
                && !failed(operation)
                && joining(operation).contains(&user)
        });
        may.map(|operation| operation.invoked).min().unwrap_or(0)
    }

    /// The earliest moment at which a thread can have left a set; `None` if it never did.
    fn leaves(&self, evidence: &Evidence<'a>, set: &Set<'a>, id: &Id) -> Option<Nanos> {
        let more = |users: Vec<&str>| users.into_iter().any(|user| !set.members.contains(user));
        match self.view.threads.get(id) {
            Some(Thread { last: Some((_, state)), .. }) => {
                let others = state.members.iter().filter(|member| !set.members.contains(&*member.user));
                let adder = |stamp| evidence.operation(stamp).map_or(0, |operation| operation.invoked);
                let added = |member: &Member| match member.adder_hidden {
                    true => self.earliest_to_ask_for(&member.user),
                    false => member.added_by.map_or(0, adder),
                };
                others.map(added).min()
            }
            _ => {
                let may = self.view.operations.iter().filter(|operation| {
                    matches!(operation.action, Action::ExpandThread(_))
                        && !failed(operation)
                        && more(joining(operation))
                });
                may.map(|operation| operation.invoked).min()
            }
        }
    }
}

/// A thread's time with one set: one stretch, for sets only grow.
struct Stay<'a> {
    id: &'a Id,
    /// The answer that came first.
    first: Option<&'a Operation>,
    /// It had the set by then.
    seen: Nanos,
    /// It still had the set then.
    last_seen: Nanos,
    /// It did not leave the set before that; `None` if it never left.
    leaves: Option<Nanos>,
}

impl Stay<'_> {
    /// Whether this thread can have left the set before the other came to it.
    fn before(&self, other: &Stay<'_>) -> bool {
        self.leaves.is_some_and(|leaves| leaves <= other.seen) && self.last_seen <= other.seen
    }

    /// Whether a look-up that found nothing should have found this thread.
    fn should_be_found(&self, absent: &Operation) -> bool {
        let still = self.leaves.is_none_or(|leaves| leaves > absent.returned()) || self.last_seen > absent.returned();
        absent.invoked > self.seen && still
    }

    fn told(&self) -> String {
        self.first
            .map_or(" from the start".to_owned(), |first| format!(" (by {}, at {})", first.id, ms(first.completed)))
    }
}

impl<'a> Set<'a> {
    fn several_in_the_end(&self, evidence: &Evidence<'a>, key: &str) -> Option<Defect<'a>> {
        if self.last.len() < 2 {
            return None;
        }
        let documents: Vec<&Observed> = self.last.iter().map(|(document, _)| *document).collect();
        let mut operations: Vec<&Operation> =
            self.last.iter().take(2).filter_map(|(document, state)| self.maker(evidence, document, state)).collect();
        operations.dedup_by_key(|operation| operation.id);
        let names: Vec<String> = documents.iter().take(5).map(|document| short(&document.id)).collect();
        let explanation = format!(
            "{} have the participants of `{key}` in the end: {}; one set has one thread",
            count(documents.len(), "thread"),
            list(&names)
        );
        Some(Defect { operations, documents, explanation })
    }

    /// The operation that gave a thread its final participants, or created it; where the thread does not tell, one that was
    /// answered that it had, or with it.
    fn maker(&self, evidence: &Evidence<'a>, document: &Observed, state: &ThreadState) -> Option<&'a Operation> {
        let adders = state.members.iter().filter_map(|member| evidence.operation(member.added_by?));
        let stamped =
            adders.max_by_key(|operation| operation.invoked).or_else(|| evidence.operation(document.created_by?));
        let of_it = || self.answers.iter().filter(|(_, _, answer)| answer.id.as_ref() == Some(&document.id));
        let created = || of_it().find(|(_, _, answer)| answer.created == Some(true));
        stamped.or_else(|| created().or_else(|| of_it().next()).map(|(operation, _, _)| *operation))
    }

    fn wrong_size(&self) -> Option<Defect<'a>> {
        let (document, state) = self.last.iter().find(|(_, state)| !state.kind.allows(state.set().len()))?;
        let participants = count(state.set().len(), "participant");
        let explanation = format!("the {} thread {} has {participants} in the end", state.kind, short(&document.id));
        Some(Defect { operations: Vec::new(), documents: vec![document], explanation })
    }

    /// A thread whose stamp is of an operation that cannot have created it.
    fn stray(&self, evidence: &Evidence<'a>) -> Option<Defect<'a>> {
        self.last.iter().find_map(|(document, state)| {
            let stamp = document.created_by?;
            let id = short(&document.id);
            let Some(operation) = evidence.operation(stamp) else {
                let explanation = format!("thread {id} carries the stamp of {stamp}, which is no operation of the run");
                let stray = Defect { operations: Vec::new(), documents: vec![document], explanation };
                return (!evidence.partial()).then_some(stray);
            };
            let asked = match &operation.action {
                Action::StartConversation(conversation) => Some(&**conversation),
                _ => None,
            };
            let fits = asked.is_some_and(|asked| {
                asked.kind == state.kind && asked.members().iter().all(|user| state.set().contains(user))
            });
            let answered = thread_answer(operation).and_then(|answer| answer.id.as_ref());
            let why = if failed(operation) {
                format!("failed at {}; what failed must have no effect", ms(operation.completed))
            } else if !fits {
                "asked for no such thread".to_owned()
            } else {
                let other = answered.filter(|answered| **answered != document.id)?;
                format!("was answered with thread {}", short(other))
            };
            let explanation = format!("thread {id} carries the stamp of {stamp}, which {why}");
            Some(Defect { operations: vec![operation], documents: vec![document], explanation })
        })
    }

    /// An answer that names no thread, one that is not there, or one of other participants.
    fn wrong_answer(&self, evidence: &Evidence<'a>, view: &ThreadView<'a>, key: &str) -> Option<Defect<'a>> {
        let has_vanished =
            |id: &Id| evidence.vanished().is_some() && view.threads.get(id).is_none_or(|thread| thread.last.is_none());
        let is_out_of_sight = |answer: &ThreadAnswer| {
            answer.id.as_ref().is_some_and(|id| evidence.set_aside(id).is_some() || has_vanished(id))
        };
        let judged = self.answers.iter().filter(|(_, _, answer)| !is_out_of_sight(answer));
        judged.into_iter().find_map(|&(operation, conversation, answer)| {
            let (op, at) = (operation.id, ms(operation.completed));
            let last = answer.id.as_ref().and_then(|id| view.threads.get(id)).and_then(|thread| thread.last);
            let shown =
                answer.members.as_ref().map(|members| thread_key(conversation.kind, members.iter().map(AsRef::as_ref)));
            let why = match (&answer.id, last, shown) {
                (None, _, _) => "the answer names no thread".to_owned(),
                (Some(id), None, _) if view.observed => format!("thread {} is not there in the end", short(id)),
                (Some(id), Some((_, state)), _) if state.kind != conversation.kind => {
                    format!("thread {} is a {} thread; kinds never change", short(id), state.kind)
                }
                (Some(id), _, Some(shown)) if shown != *key => {
                    format!("the answer shows thread {} with the participants of `{shown}`", short(id))
                }
                _ => return None,
            };
            let documents = last.iter().map(|(document, _)| *document).collect();
            let explanation = format!("{op} asked for the thread of `{key}` and was answered at {at}, but {why}");
            Some(Defect { operations: vec![operation], documents, explanation })
        })
    }

    /// Who created the set's threads, by answers and stamps.
    fn creations(&self, evidence: &Evidence<'a>, view: &ThreadView<'a>) -> Option<Defect<'a>> {
        let mut creators: BTreeMap<&Id, &'a Operation> = BTreeMap::new();
        for &(operation, _, answer) in &self.answers {
            let (Some(id), Some(created)) = (&answer.id, answer.created) else { continue };
            if created && let Some(other) = creators.insert(id, operation) {
                let explanation = format!(
                    "{} and {} both were told that they had created thread {}",
                    other.id,
                    operation.id,
                    short(id)
                );
                return Some(Defect { operations: vec![other, operation], documents: Vec::new(), explanation });
            }
            let Some((document, state)) = view.threads.get(id).and_then(|thread| thread.last) else { continue };
            if !state.creator_hidden && created != (document.created_by == Some(operation.id)) {
                let by = document.created_by.map_or("no stamp".to_owned(), |stamp| format!("the stamp of {stamp}"));
                let says = if created { "created" } else { "found" };
                let explanation = format!(
                    "{} was told that it had {says} thread {}, which carries {by} in the end",
                    operation.id,
                    short(id)
                );
                return Some(Defect { operations: vec![operation], documents: vec![document], explanation });
            }
        }
        self.answers.iter().find_map(|&(operation, _, answer)| {
            let id = answer.id.as_ref()?;
            let stamp =
                view.threads.get(id).and_then(|thread| thread.last).and_then(|(document, _)| document.created_by);
            let creator = creators.get(id).copied().or_else(|| evidence.operation(stamp?))?;
            let early = operation.returned() < creator.invoked;
            let explanation = || {
                format!(
                    "{} was answered with thread {} at {}, before {}, which created it, was invoked at {}",
                    operation.id,
                    short(id),
                    ms(operation.returned()),
                    creator.id,
                    ms(creator.invoked)
                )
            };
            early.then(|| Defect {
                operations: vec![operation, creator],
                documents: Vec::new(),
                explanation: explanation(),
            })
        })
    }
}

#[cfg(test)]
#[path = "one_thread_per_set_oracle.rs"]
mod oracle;
