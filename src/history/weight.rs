//! What an operation takes in memory, about.

use super::{Action, Cause, Operation, Outcome, Value};

/// What an allocation costs beside its content.
const ALLOCATION: usize = 32;

impl Operation {
    /// Bytes that it takes in memory, about. Its key is shared by all operations on it, and counts nothing.
    pub(crate) fn weight(&self) -> u64 {
        let late = self.late.as_ref().map_or(0, |late| size_of_val(&**late) + of_outcome(&late.outcome));
        (size_of::<Operation>() + of_action(&self.action) + of_outcome(&self.outcome) + late) as u64
    }
}

fn of_action(action: &Action) -> usize {
    let text = |text: &str| text.len() + ALLOCATION;
    match action {
        Action::Append(said) => text(&said.text),
        Action::Custom(name) => text(name),
        Action::CheckExisting(conversation) | Action::StartConversation(conversation) => {
            let named: usize = conversation.participants.iter().map(|name| text(name)).sum();
            size_of_val(&**conversation) + text(&conversation.caller) + named
        }
        Action::ExpandThread(expansion) => {
            let named: usize = expansion.participants.iter().map(|name| text(name)).sum();
            size_of_val(&**expansion) + text(&expansion.caller) + named
        }
        Action::ResignAdmin { caller } => text(caller),
        Action::CreateOrGet { .. }
        | Action::Get
        | Action::Read
        | Action::Open
        | Action::Deliver(_)
        | Action::ReadThread => 0,
    }
}

fn of_outcome(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Failed(Cause { message, .. }) | Outcome::Unknown(Cause { message, .. }) => message.len() + ALLOCATION,
        Outcome::Ok(Value::Messages(seen)) => seen.body.as_ref().map_or(0, |body| size_of_val(&**body) + ALLOCATION),
        Outcome::Ok(Value::Thread(answer)) => {
            let named = answer.members.iter().chain(&answer.added).flatten();
            size_of_val(&**answer) + named.map(|name| name.len() + 2 * ALLOCATION).sum::<usize>()
        }
        Outcome::Ok(Value::Document(returned)) => returned.missing.len() * ALLOCATION,
        Outcome::Ok(Value::Found(_) | Value::Appended(_) | Value::Delivered(_)) => 0,
    }
}
