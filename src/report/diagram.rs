//! Space-time diagrams in text: lanes are requests, boxes are commands.

use super::Diagram;
use super::format::visible;

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
    let text = visible(text);
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
    use super::super::{DiagramStep, Lane};
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
            stored: Vec::new(),
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
