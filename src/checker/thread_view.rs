//! What was seen of each thread of a family: the answers that name it and the final document.
//!
//! The main type is [`ThreadView`]. It sorts the evidence of one key by thread; it compares nothing and judges nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::history::{Action, Id, Observed, OpId, Operation, Outcome, ThreadAnswer, ThreadState, Value};

use super::facts::told;
use super::{Evidence, KeyEvidence};

/// The threads of one family.
pub(super) struct ThreadView<'a> {
    /// By identifier.
    pub(super) threads: BTreeMap<&'a Id, Thread<'a>>,
    /// Whether the final state was read.
    pub(super) observed: bool,
    /// Every operation of the family.
    pub(super) operations: Vec<&'a Operation>,
}

/// What was seen of one thread.
#[derive(Default)]
pub(super) struct Thread<'a> {
    /// Operations that succeeded and were answered with it.
    pub(super) answers: Vec<(&'a Operation, &'a ThreadAnswer)>,
    /// What it is in the end.
    pub(super) last: Option<(&'a Observed, &'a ThreadState)>,
}

impl<'a> ThreadView<'a> {
    pub(super) fn of(evidence: &Evidence<'a>, key: &KeyEvidence<'a>) -> Self {
        let mut threads: BTreeMap<&'a Id, Thread<'a>> = BTreeMap::new();
        let operations: Vec<&Operation> = key.operations().collect();
        for &operation in &operations {
            if let Some(answer) = thread_answer(operation)
                && let Some(id) = &answer.id
            {
                threads.entry(id).or_default().answers.push((operation, answer));
            }
        }
        for document in key.documents() {
            if let Some(state) = &document.thread {
                threads.entry(&document.id).or_default().last = Some((document, state));
            }
        }
        ThreadView { threads, observed: evidence.observation().is_some(), operations }
    }
}

/// The thread that an operation was answered with, also when the answer came late.
pub(super) fn thread_answer(operation: &Operation) -> Option<&ThreadAnswer> {
    match told(operation) {
        Outcome::Ok(Value::Thread(answer)) => Some(answer),
        _ => None,
    }
}

/// Those whom an operation would make members: all participants of a conversation, the new ones of an expansion.
pub(super) fn joining(operation: &Operation) -> Vec<&str> {
    match &operation.action {
        Action::StartConversation(conversation) => conversation.members(),
        Action::ExpandThread(expansion) => {
            let mut users: Vec<&str> = expansion.participants.iter().map(AsRef::as_ref).collect();
            users.sort_unstable();
            users.dedup();
            users
        }
        _ => Vec::new(),
    }
}

/// The participants that an operation's answer showed; of an answer that shows none, those that it asked for by exact
/// set.
pub(super) fn shown<'a>(operation: &'a Operation, answer: &'a ThreadAnswer) -> Option<Vec<&'a str>> {
    match (&answer.members, &operation.action) {
        (Some(members), _) => Some(members.iter().map(AsRef::as_ref).collect()),
        (None, Action::StartConversation(conversation) | Action::CheckExisting(conversation)) => {
            Some(conversation.members())
        }
        (None, _) => None,
    }
}

/// Whether the operation certainly had no effect.
pub(super) fn failed(operation: &Operation) -> bool {
    matches!(told(operation), Outcome::Failed(_))
}

/// The stamps in the members of a final thread that carry this name.
pub(super) fn stamps_of<'a>(state: &'a ThreadState, user: &str) -> impl Iterator<Item = Option<OpId>> + use<'a> {
    let user: Arc<str> = Arc::from(user);
    state.members.iter().filter(move |member| *member.user == *user).map(|member| member.added_by)
}

/// The first name that occurs twice.
pub(super) fn repeated<'a>(names: &[&'a str]) -> Option<&'a str> {
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}
