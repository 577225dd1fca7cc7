//! The space-time diagram of an execution: its data, and its rendering for a terminal.

use super::execution::{Execution, Step};
use super::wire::Kind;
use super::wire::command::{Change, Command};
use crate::history::{Outcome, Value};
use crate::report::{Diagram, DiagramStep, Lane};

/// The diagram of an execution. `names` has the operation of each request.
pub fn diagram(execution: &Execution, names: &[String]) -> Diagram {
    let lanes = names.iter().zip(&execution.requests).enumerate().map(|(request, (name, record))| Lane {
        name: format!("R{} {name}", request + 1),
        outcome: record.completion.as_ref().map_or("no answer".to_owned(), |completion| outcome(&completion.outcome)),
    });
    Diagram { lanes: lanes.collect(), steps: execution.steps.iter().map(step).collect() }
}

fn step(step: &Step) -> DiagramStep {
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
        command: title(&step.command),
        filter,
        change,
        answer: step.reply.as_ref().map_or("no answer".to_owned(), |reply| match &reply.first {
            Some(first) => format!("{}: {first}", reply.summary()),
            None => reply.summary(),
        }),
        writes: step.command.kind == Kind::Write,
    }
}

fn title(command: &Command) -> String {
    let batch = if command.batch > 1 { format!(" ({} statements)", command.batch) } else { String::new() };
    format!("{} {}{batch}", command.name, command.collection.as_deref().unwrap_or_default()).trim().to_owned()
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

/// The diagram in columns, at most `width` characters wide.
pub fn render(diagram: &Diagram, width: usize) -> String {
    let lanes = diagram.lanes.len().max(1);
    let column = (width.saturating_sub(5) / lanes).clamp(16, 60);
    let mut out = String::new();
    let mut row = |label: &str, cells: &mut dyn Iterator<Item = &str>| {
        let mut row = format!("{label:>4} ");
        for cell in cells {
            row.push_str(&fit(cell, column));
        }
        out.push_str(row.trim_end());
        out.push('\n');
    };
    row("", &mut diagram.lanes.iter().map(|lane| lane.name.as_str()));
    for (position, step) in diagram.steps.iter().enumerate() {
        let together = position > 0 && diagram.steps[position - 1].release == step.release;
        let label = if together { "+".to_owned() } else { (step.release + 1).to_string() };
        let own = usize::try_from(step.request).unwrap_or(0);
        let mut line = |label: &str, text: &str| {
            row(label, &mut (0..lanes).map(|lane| if lane == own { text } else { "│" }));
        };
        line(&label, &format!("{} {}", if step.writes { "■" } else { "□" }, step.command));
        for (prefix, text) in [("  ", &step.filter), ("  ", &step.change), ("  → ", &step.answer)] {
            if !text.is_empty() {
                line("", &format!("{prefix}{text}"));
            }
        }
    }
    for lane in &diagram.lanes {
        out.push_str(&format!("     {}: {}\n", lane.name, lane.outcome));
    }
    out
}

/// A text in exactly so many characters, the last of them a space.
fn fit(text: &str, width: usize) -> String {
    let room = width.saturating_sub(1);
    let mut cell: String = text.chars().take(room).collect();
    if text.chars().count() > room {
        cell.pop();
        cell.push('…');
    }
    let missing = width.saturating_sub(cell.chars().count());
    cell.push_str(&" ".repeat(missing));
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagram_reads_from_top_to_bottom() {
        let lane = |name: &str, outcome: &str| Lane { name: name.to_owned(), outcome: outcome.to_owned() };
        let step = |request, release, command: &str, answer: &str, writes| DiagramStep {
            request,
            release,
            command: command.to_owned(),
            filter: "{ k: \"a\" }".to_owned(),
            change: String::new(),
            answer: answer.to_owned(),
            writes,
        };
        let diagram = Diagram {
            lanes: vec![lane("R1 op", "ok"), lane("R2 op", "failed: E11000")],
            steps: vec![step(0, 0, "find chats", "none", false), step(1, 1, "insert chats", "n = 1", true)],
        };
        let expected = [
            "     R1 op           R2 op",
            "   1 □ find chats    │",
            "       { k: \"a\" }    │",
            "       → none        │",
            "   2 │               ■ insert chats",
            "     │                 { k: \"a\" }",
            "     │                 → n = 1",
            "     R1 op: ok",
            "     R2 op: failed: E11000",
        ];
        assert_eq!(render(&diagram, 37).lines().collect::<Vec<_>>(), expected);
    }
}
