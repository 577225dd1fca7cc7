//! The space-time diagram of an execution, as the report draws it.

use super::execution::{Execution, Step, participant};
use super::lint::own_name;
use super::wire::Kind;
use super::wire::command::{Change, Command};
use crate::history::{Outcome, Value};
use crate::report::{Diagram, DiagramStep, Lane};

/// The diagram of an execution. `names` has the operation of each request.
pub fn diagram(execution: &Execution, names: &[String]) -> Diagram {
    let lanes = names.iter().zip(&execution.requests).enumerate().map(|(request, (name, record))| Lane {
        name: format!("{} {name}", participant(request, execution.starts)),
        outcome: record.completion.as_ref().map_or("no answer".to_owned(), |completion| outcome(&completion.outcome)),
    });
    Diagram { lanes: lanes.collect(), steps: execution.steps.iter().map(step).collect(), stored: Vec::new() }
}

fn step(step: &Step) -> DiagramStep {
    let pick = step.pick;
    let statement = step.command.statements.first();
    let filter = statement.map(|statement| statement.filter.text.clone()).unwrap_or_default();
    let change = match statement.map(|statement| (&statement.change, statement.upsert)) {
        Some((Change::Update { text, .. } | Change::Replace { text }, upsert)) => {
            format!("{text}{}", if upsert { " upsert" } else { "" })
        }
        _ => String::new(),
    };
    DiagramStep {
        request: number(step.request),
        release: number(step.release),
        command: format!("{}{}", if pick.delivery > 0 { "delivered again: " } else { "" }, title(&step.command)),
        filter,
        change,
        answer: pick.fault.map_or_else(|| answer(step), |fault| fault.in_words(&answer(step))),
        writes: step.command.kind == Kind::Write,
    }
}

fn answer(step: &Step) -> String {
    step.reply.as_ref().map_or("no answer".to_owned(), |reply| match &reply.first {
        Some(first) => format!("{}: {first}", reply.summary()),
        None => reply.summary(),
    })
}

fn title(command: &Command) -> String {
    let batch = if command.batch > 1 { format!(" ({} statements)", command.batch) } else { String::new() };
    let collection = command.collection.as_deref().map(own_name).unwrap_or_default();
    format!("{} {collection}{batch}", command.name).trim().to_owned()
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok(Value::Document(returned)) => match (&returned.id, returned.created) {
            (Some(id), Some(true)) => format!("ok: created {id}"),
            (Some(id), _) => format!("ok: {id}"),
            (None, _) => "ok".to_owned(),
        },
        Outcome::Ok(_) => "ok".to_owned(),
        Outcome::Failed(cause) => format!("failed: {}", cause.message),
        Outcome::Unknown(cause) => format!("unknown: {}", cause.message),
    }
}

fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
