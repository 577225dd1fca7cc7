//! Members exact: a thread's participants are those who were added, each once, and its key and title are theirs.
//!
//! - Property: participants are never taken away, so for each thread: no answer and no final document shows anybody twice;
//!   in the end the stored key and the number in the title are those of the participants; whoever is there was asked for
//!   by the operation whose stamp they carry, which did not fail; whoever an answer showed or acknowledged is there; no
//!   two operations added the same one; and the answers fit an order: somebody whom an operation added is shown by every
//!   answer of the thread that comes after, and by none that comes before.
//! - Assumptions: participants do not leave. An answer shows the thread at one moment within the operation's interval, an
//!   expansion's its state right after. The stamp of a member is written when it is added. A member without a stamp was
//!   there before the run's operations, unless the thread keeps no stamps (`adder_hidden`): then it was added by the one
//!   who said so, or by nobody in particular, not before anybody asked for it.
//! - Soundness: each claim rests on answers received and documents read. An unknown operation may have added people at any
//!   time after its invocation or not at all, unless a stamp says that it did.
//! - Completeness: exact with the final state, cross-checked against the search: the adder of each participant is known,
//!   so all that is left are "before" relations between pairs, and moments that satisfy them exist if and only if they have
//!   no circle and no event must come after its own end. Without the final state, who was added by an unknown operation is
//!   attributed to nobody in particular: that accuses less, never more.
//! - Cost: answers times participants of a thread; linear in the number of threads.
//!
//! Checked: threads that were answered or found. Violations: threads with a defect.

use std::collections::BTreeMap;

use crate::history::{Action, Nanos, Observed, OpId, Operation, ThreadState};
use crate::verdict::{Invariant, InvariantResult};

use super::findings::{Findings, list, ms, short};
use super::precedence::{Event, Precedence};
use super::thread_view::{Thread, ThreadView, failed, joining, repeated, shown, stamps_of};
use super::{Budget, Checker, Evidence, elsewhere, final_state};

/// Judges [`Invariant::MembersExact`].
#[derive(Debug, Clone, Copy, Default)]
pub struct MembersExact;

impl Checker for MembersExact {
    fn invariant(&self) -> Invariant {
        Invariant::MembersExact
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        for key in evidence.keys() {
            elsewhere::is_out_of_sight(evidence, &key, &mut findings);
            let view = ThreadView::of(evidence, &key);
            let judged = view.threads.iter().filter(|(id, _)| evidence.set_aside(id).is_none());
            for (_, thread) in judged {
                let shown: usize =
                    thread.answers.iter().map(|(_, answer)| answer.members.as_ref().map_or(4, Vec::len)).sum();
                if !budget.take(1 + shown as u64) {
                    return findings.exhausted();
                }
                findings.checked += 1;
                if let Some(defect) = defect(evidence, &view, thread) {
                    let documents: Vec<&Observed> = thread.last.iter().map(|(document, _)| *document).collect();
                    findings.add(key.key, &defect.operations, &documents, || defect.explanation);
                }
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

/// Why a thread's members are not exact.
pub(super) struct Defect<'a> {
    operations: Vec<&'a Operation>,
    explanation: String,
}

impl<'a> Defect<'a> {
    fn new(operations: Vec<&'a Operation>, explanation: String) -> Option<Self> {
        Some(Defect { operations, explanation })
    }
}

/// The first defect of a thread, the plainest kind first.
pub(super) fn defect<'a>(evidence: &Evidence<'a>, view: &ThreadView<'a>, thread: &Thread<'a>) -> Option<Defect<'a>> {
    thread
        .last
        .and_then(|(document, state)| {
            twice_in_the_end(evidence, thread, state)
                .or_else(|| stamps(evidence, state))
                .or_else(|| lost(thread, state))
                .or_else(|| claims_and_stamps(thread, state))
                .or_else(|| key_and_title(evidence, document, state))
        })
        .or_else(|| twice_in_an_answer(thread))
        .or_else(|| claimed_twice(thread))
        .or_else(|| unasked(thread))
        .or_else(|| order(evidence, view, thread))
}

fn twice_in_the_end<'a>(evidence: &Evidence<'a>, thread: &Thread<'a>, state: &ThreadState) -> Option<Defect<'a>> {
    let names: Vec<&str> = state.members.iter().map(|member| &*member.user).collect();
    let user = repeated(&names)?;
    let mut adders: Vec<&Operation> =
        stamps_of(state, user).flatten().filter_map(|op| evidence.operation(op)).collect();
    if adders.is_empty() {
        // A thread without stamps: those who were told that they had added them.
        let told = thread.answers.iter().filter(|(_, answer)| answer.added.iter().flatten().any(|one| **one == *user));
        adders.extend(told.map(|(operation, _)| *operation).take(2));
    }
    let by: Vec<String> = adders.iter().map(|operation| operation.id.to_string()).collect();
    let by = if by.is_empty() { String::new() } else { format!(", added by {}", list(&by)) };
    let times = names.iter().filter(|name| **name == user).count();
    Defect::new(
        adders,
        format!("`{user}` is a participant {times} times in the end{by}; whoever is there is not added again"),
    )
}

fn twice_in_an_answer<'a>(thread: &Thread<'a>) -> Option<Defect<'a>> {
    thread.answers.iter().find_map(|(operation, answer)| {
        let names: Vec<&str> = answer.members.as_ref()?.iter().map(AsRef::as_ref).collect();
        let user = repeated(&names)?;
        let (op, at) = (operation.id, ms(operation.completed));
        Defect::new(vec![*operation], format!("the answer to {op} at {at} shows the participant `{user}` twice"))
    })
}

/// Whether the stamps of the members are of operations that can have added them.
fn stamps<'a>(evidence: &Evidence<'a>, state: &ThreadState) -> Option<Defect<'a>> {
    state.members.iter().find_map(|member| {
        let stamp = member.added_by?;
        let user = &member.user;
        let Some(operation) = evidence.operation(stamp) else {
            let explanation = format!("`{user}` carries the stamp of {stamp}, which is no operation of the run");
            return if evidence.partial() { None } else { Defect::new(Vec::new(), explanation) };
        };
        if !joining(operation).contains(&&**user) {
            return Defect::new(
                vec![operation],
                format!("`{user}` carries the stamp of {stamp}, which did not ask for them"),
            );
        }
        if failed(operation) {
            let at = ms(operation.completed);
            let explanation = format!(
                "{stamp} ended as failed at {at}, yet `{user}` carries its stamp; what failed must have no effect"
            );
            return Defect::new(vec![operation], explanation);
        }
        let half = joining(operation).into_iter().find(|other| stamps_of(state, other).next().is_none());
        if let Some(other) = half {
            let explanation = format!("`{user}` carries the stamp of {stamp}, which asked for `{other}` too, who is not there in the end; an expansion is done whole or not at all");
            return Defect::new(vec![operation], explanation);
        }
        None
    })
}

/// Whoever was shown, acknowledged or asked for with success must be there in the end.
fn lost<'a>(thread: &Thread<'a>, state: &ThreadState) -> Option<Defect<'a>> {
    let set = state.set();
    thread.answers.iter().find_map(|(operation, answer)| {
        let shown = shown(operation, answer).unwrap_or_default();
        let asked = if matches!(operation.action, Action::ExpandThread(_)) { joining(operation) } else { Vec::new() };
        let user = shown.iter().chain(&asked).find(|user| !set.contains(user))?;
        let at = ms(operation.completed);
        let how = if asked.contains(user) { "was told that it had added" } else { "was shown" };
        let explanation =
            format!("{} {how} `{user}` at {at}, but the thread does not have them in the end", operation.id);
        Defect::new(vec![*operation], explanation)
    })
}

/// An expansion says whom it added: in the end those carry its stamp, and of those whom it asked for no others do.
fn claims_and_stamps<'a>(thread: &Thread<'a>, state: &ThreadState) -> Option<Defect<'a>> {
    thread.answers.iter().find_map(|(operation, answer)| {
        let added: Vec<&str> = answer.added.as_ref()?.iter().map(AsRef::as_ref).collect();
        let hidden = |user: &str| state.members.iter().any(|member| member.adder_hidden && *member.user == *user);
        let user = *joining(operation).iter().filter(|user| !hidden(user)).find(|user| {
            let own = stamps_of(state, user).any(|stamp| stamp == Some(operation.id));
            own != added.contains(user)
        })?;
        let says = if added.contains(&user) { "it had added" } else { "it had not needed to add" };
        let by = stamps_of(state, user).next().flatten();
        let stamp = by.map_or("none".to_owned(), |stamp| format!("that of {stamp}"));
        let other = thread.answers.iter().map(|(other, _)| *other).find(|other| Some(other.id) == by);
        let (op, at) = (operation.id, ms(operation.completed));
        Defect::new(
            std::iter::once(*operation).chain(other).collect(),
            format!(
                "{op} was told at {at} that {says} `{user}`, whose stamp in the end is {stamp}; somebody is added once"
            ),
        )
    })
}

fn claimed_twice<'a>(thread: &Thread<'a>) -> Option<Defect<'a>> {
    let mut first: BTreeMap<&str, &'a Operation> = BTreeMap::new();
    for (operation, answer) in &thread.answers {
        for user in answer.added.iter().flatten() {
            if let Some(other) = first.insert(user, operation) {
                let explanation = format!(
                    "{} and {} both were told that they had added `{user}`; somebody is added once",
                    other.id, operation.id
                );
                return Defect::new(vec![other, *operation], explanation);
            }
        }
    }
    None
}

/// An expansion adds nobody but those whom it was asked to add.
fn unasked<'a>(thread: &Thread<'a>) -> Option<Defect<'a>> {
    thread.answers.iter().find_map(|(operation, answer)| {
        let asked = joining(operation);
        let user = answer.added.as_ref()?.iter().find(|user| !asked.contains(&&***user))?;
        let explanation = format!("{} was told that it had added `{user}`, for whom it had not asked", operation.id);
        Defect::new(vec![*operation], explanation)
    })
}

fn key_and_title<'a>(evidence: &Evidence<'a>, document: &Observed, state: &ThreadState) -> Option<Defect<'a>> {
    let adders = || -> Vec<&'a Operation> {
        let stamps: Vec<OpId> = state.members.iter().rev().filter_map(|member| member.added_by).take(2).collect();
        stamps.into_iter().filter_map(|op| evidence.operation(op)).collect()
    };
    let key = state.key();
    let id = short(&document.id);
    if let Some(stored) = document.stored_key.as_deref().filter(|stored| **stored != *key) {
        return Defect::new(
            adders(),
            format!("thread {id} is stored under `{stored}` in the end, but its participants are those of `{key}`"),
        );
    }
    let number = state.set().len() as u64;
    let title = state.title_count.filter(|count| *count != number)?;
    Defect::new(
        adders(),
        format!("the title of thread {id} shows {title} participants in the end, but it has {number}"),
    )
}

/// Why one event comes before another.
#[derive(Debug, Clone, Copy)]
enum Why<'a> {
    /// An answer shows somebody.
    Shows(Option<&'a Operation>, &'a str),
    /// An answer does not show somebody.
    Lacks(Option<&'a Operation>, &'a str),
}

/// The order of events that the answers force.
struct Order<'t, 'a> {
    precedence: Precedence<'a, Why<'a>>,
    events: BTreeMap<OpId, Event>,
    /// When each participant was added; `None` is before everything.
    added: BTreeMap<&'t str, Option<Event>>,
}

fn order<'a>(evidence: &Evidence<'a>, view: &ThreadView<'a>, thread: &Thread<'a>) -> Option<Defect<'a>> {
    let mut order = Order { precedence: Precedence::new(), events: BTreeMap::new(), added: BTreeMap::new() };
    order.adders(evidence, view, thread);
    let everybody: Vec<&'a str> = everybody(thread);
    for &(operation, answer) in &thread.answers {
        let event = order.event(operation);
        if let Some(shown) = shown(operation, answer) {
            for user in &everybody {
                if let Some(defect) = order.sees(event, operation, user, shown.contains(user)) {
                    return Some(defect);
                }
            }
        }
        order.has(event, operation);
    }
    // An unknown operation that a stamp proves to have happened had all of its people in the thread then.
    let proven: Vec<&Operation> = view
        .operations
        .iter()
        .copied()
        .filter(|operation| order.events.contains_key(&operation.id))
        .filter(|operation| !thread.answers.iter().any(|(answered, _)| answered.id == operation.id))
        .collect();
    for operation in proven {
        let event = order.event(operation);
        order.has(event, operation);
    }
    let conflict = order.precedence.conflict()?;
    let mut words: Vec<String> = conflict.reasons.iter().take(4).map(|why| why.describe(thread)).collect();
    words.dedup();
    let end = match conflict.ends {
        Some((Some(late), Some(early))) => format!(
            "that needs {} to come no later than {}, but it was invoked at {}, after {} had returned at {}",
            late.id,
            early.id,
            ms(late.invoked),
            early.id,
            ms(early.returned())
        ),
        _ => "no order of events fits that".to_owned(),
    };
    Defect::new(conflict.operations, format!("{}; {end}", list(&words)))
}

/// Everybody that any view of the thread shows.
fn everybody<'a>(thread: &Thread<'a>) -> Vec<&'a str> {
    let mut users: Vec<&str> = Vec::new();
    for (operation, answer) in &thread.answers {
        users.extend(shown(operation, answer).unwrap_or_default());
        users.extend(answer.added.iter().flatten().map(|user| &**user));
    }
    if let Some((_, state)) = thread.last {
        users.extend(state.members.iter().map(|member| &*member.user));
    }
    users.sort_unstable();
    users.dedup();
    users
}

impl<'a> Order<'a, 'a> {
    fn event(&mut self, operation: &'a Operation) -> Event {
        let precedence = &mut self.precedence;
        *self.events.entry(operation.id).or_insert_with(|| precedence.event(operation))
    }

    /// When each participant was added: by the final stamp, by the answer of who added them, or by nobody known.
    fn adders(&mut self, evidence: &Evidence<'a>, view: &ThreadView<'a>, thread: &Thread<'a>) {
        if let Some((_, state)) = thread.last {
            for member in state.members.iter().filter(|member| !member.adder_hidden) {
                let event = match member.added_by {
                    None => None,
                    Some(stamp) => Some(match evidence.operation(stamp) {
                        Some(operation) => self.event(operation),
                        None => self.precedence.not_before(0),
                    }),
                };
                self.added.insert(&member.user, event);
            }
        }
        for &(operation, answer) in &thread.answers {
            let created = answer.created == Some(true);
            let own =
                if created { joining(operation) } else { answer.added.iter().flatten().map(|user| &**user).collect() };
            for user in own {
                let event = self.event(operation);
                self.added.entry(user).or_insert(Some(event));
            }
        }
        for user in everybody(thread) {
            if !self.added.contains_key(user) {
                let may =
                    view.operations.iter().filter(|operation| !failed(operation) && joining(operation).contains(&user));
                let earliest: Nanos = may.map(|operation| operation.invoked).min().unwrap_or(0);
                // Somebody whom every operation found there may have been there before all of them.
                let given = !view.observed && thread.answers.iter().all(|(_, answer)| answer.created != Some(true));
                let event = self.precedence.not_before(if given { 0 } else { earliest });
                self.added.insert(user, Some(event));
            }
        }
    }

    /// An answer shows somebody, or does not.
    fn sees(&mut self, event: Event, operation: &'a Operation, user: &'a str, present: bool) -> Option<Defect<'a>> {
        match (self.added.get(user).copied().flatten(), present) {
            (Some(added), true) => self.precedence.before(added, event, Why::Shows(Some(operation), user)),
            (Some(added), false) if added == event => {
                let explanation = format!("{} added `{user}`, but its own answer does not show them", operation.id);
                return Defect::new(vec![operation], explanation);
            }
            (Some(added), false) => self.precedence.before(event, added, Why::Lacks(Some(operation), user)),
            (None, true) => {}
            (None, false) => {
                let explanation = format!(
                    "the answer to {} at {} does not show `{user}`, who was a participant before any operation of the run",
                    operation.id,
                    ms(operation.completed)
                );
                return Defect::new(vec![operation], explanation);
            }
        }
        None
    }

    /// After an operation that succeeded, those whom it asked for are there, whoever added them.
    fn has(&mut self, event: Event, operation: &'a Operation) {
        for user in joining(operation) {
            if let Some(added) = self.added.get(user).copied().flatten() {
                self.precedence.before(added, event, Why::Shows(Some(operation), user));
            }
        }
    }
}

impl Why<'_> {
    fn describe(self, thread: &Thread<'_>) -> String {
        let adder = |user: &str| {
            let stamp = thread.last.and_then(|(_, state)| stamps_of(state, user).next().flatten());
            let claim =
                thread.answers.iter().find(|(_, answer)| answer.added.iter().flatten().any(|added| **added == *user));
            stamp
                .or(claim.map(|(operation, _)| operation.id))
                .map_or("was added".to_owned(), |op| format!("was added by {op}"))
        };
        let view = |operation: Option<&Operation>| {
            operation.map_or("the final document".to_owned(), |operation| operation.id.to_string())
        };
        match self {
            Why::Shows(operation, user) => {
                format!("{} was answered with `{user}`, who {}", view(operation), adder(user))
            }
            Why::Lacks(operation, user) => {
                format!("{} was answered without `{user}`, who {}", view(operation), adder(user))
            }
        }
    }
}

#[cfg(test)]
#[path = "members_exact_oracle.rs"]
mod oracle;
