//! What an operation asked for and what came back, in a few words.

use crate::history::{Action, Cause, Id, Operation, Outcome, Value};

/// `create-or-get`, and whether the pair was named in reverse.
pub(super) fn asked(operation: &Operation) -> String {
    let name = operation.action.name();
    match &operation.action {
        Action::CreateOrGet { reversed: true } => "create-or-get (reversed)".to_owned(),
        Action::CheckExisting(conversation) | Action::StartConversation(conversation) => {
            format!("{name} {} (by {})", conversation.key(), conversation.caller)
        }
        Action::ExpandThread(expansion) => {
            format!("{name} +{} (by {})", expansion.participants.join(","), expansion.caller)
        }
        Action::ResignAdmin { caller } => format!("{name} (by {caller})"),
        Action::Append(said) => format!("append \"{}\" ({})", said.text, said.path.as_str()),
        Action::Deliver(delivery) => format!("deliver {}, delivery {}", delivery.identity(), delivery.nth + 1),
        _ => name.to_owned(),
    }
}

/// `created …293a4b`, `error 11000: …`, `unknown: …`.
pub(super) fn answer(operation: &Operation) -> String {
    match &operation.outcome {
        Outcome::Ok(Value::Document(returned)) => {
            let how = operation.outcome_label();
            returned.id.as_ref().map_or_else(|| format!("{how}, no id"), |id| format!("{how} {}", tail(id)))
        }
        Outcome::Ok(Value::Thread(answer)) => {
            let how = operation.outcome_label();
            let thread = answer.id.as_ref().map_or_else(|| "no id".to_owned(), tail);
            let members =
                answer.members.as_ref().map_or_else(String::new, |members| format!(": {}", members.join(",")));
            format!("{how} {thread}{members}")
        }
        Outcome::Ok(Value::Found(found)) => {
            found.as_ref().map_or_else(|| "absent".to_owned(), |id| format!("found {}", tail(id)))
        }
        Outcome::Ok(Value::Appended(appended)) => match appended.position {
            Some(position) => format!("appended at {position}"),
            None => "appended".to_owned(),
        },
        Outcome::Ok(Value::Delivered(_)) => operation.outcome_label().to_owned(),
        Outcome::Ok(Value::Messages(seen)) => match (&seen.body, seen.length) {
            (Some(body), 1..=8) => {
                let words: Vec<String> = body.iter().map(ToString::to_string).collect();
                format!("read {}", words.join(" "))
            }
            (_, length) => format!("read {length} messages"),
        },
        Outcome::Failed(cause) if cause.is_refusal() => format!("refused: {}", why(cause)),
        Outcome::Failed(cause) => format!("error {}", why(cause)),
        Outcome::Unknown(cause) => format!("unknown: {}", why(cause)),
    }
}

/// The end of an identifier, where ObjectIds made together differ.
pub(super) fn tail(id: &Id) -> String {
    let text = id.to_string();
    match text.chars().count().checked_sub(6) {
        Some(skipped @ 1..) => format!("…{}", text.chars().skip(skipped).collect::<String>()),
        _ => text,
    }
}

fn why(cause: &Cause) -> String {
    match (cause.database_error(), cause.status()) {
        (Some(error), None) if error.code().is_some_and(|code| !cause.message.contains(&code.to_string())) => {
            format!("{error}: {}", cause.message)
        }
        (None, Some(status)) if !cause.message.contains(&status.to_string()) => format!("{status}: {}", cause.message),
        _ => cause.message.to_string(),
    }
}
