//! Threads: participants that answers show.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Cases;
use super::context::{Context, value};
use crate::history::{Action, Operation, Value};
use crate::report::FitRow;
use crate::workload::thread::{BASE, participant};

pub(super) fn rows(context: &Context<'_>) -> Vec<FitRow> {
    let mut members: BTreeMap<&str, Cases> = BTreeMap::new();
    let mut added = Cases::default();
    for operation in context.operations {
        let Some(Value::Thread(answer)) = value(operation) else { continue };
        if let Some(shown) = &answer.members {
            members.entry(operation.action.name()).or_default().count(fits(operation, shown));
        }
        if let (Some(shown), Action::ExpandThread(expansion)) = (&answer.added, &operation.action) {
            added.count(shown.iter().all(|user| expansion.participants.contains(user)));
        }
    }
    let mut rows: Vec<FitRow> = members
        .into_iter()
        .map(|(name, cases)| {
            let setting = format!("target.http.operations.{name}.outcome.members");
            cases.row(setting, "the participants that are shown are those of the thread", || None)
        })
        .collect();
    if added.looked_at > 0 {
        let setting = "target.http.operations.expand-thread.outcome.added";
        rows.push(added.row(setting, "those who were added are among those whom the request names", || None));
    }
    rows
}

/// Whether an answer shows all who must be in the thread.
fn fits(operation: &Operation, shown: &[Arc<str>]) -> bool {
    let has = |user: &str| shown.iter().any(|one| &**one == user);
    match &operation.action {
        Action::StartConversation(conversation) | Action::CheckExisting(conversation) => {
            conversation.members().into_iter().all(has)
        }
        _ => BASE.iter().all(|letter| has(&participant(&operation.key, *letter))),
    }
}
