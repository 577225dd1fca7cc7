//! The table that ends a command of several scenarios.

use super::mark;
use super::page::{BOLD, DIM, PLAIN, Page, RED, Side, Span};
use crate::report::several::{Row, sum};

/// Renders the table.
pub(in crate::report) fn table_of_scenarios(rows: &[Row], colour: bool, width: usize) -> String {
    let mut page = Page::new(width, colour);
    page.blank();
    page.line(&[(BOLD, sum(rows))]);
    let mut lines: Vec<Vec<Span>> =
        vec![["Scenario", "Verdict", "Exit", ""].map(|title| (BOLD, title.to_owned())).to_vec()];
    for row in rows {
        let (verdict, word, code, told) = row.told();
        let (style, sign) = verdict.map_or((DIM, "–"), mark);
        let good = code.is_none_or(|code| code == 0);
        lines.push(vec![
            (PLAIN, format!("{sign} {}", row.scenario)),
            (style, word),
            (if good { PLAIN } else { RED }, code.map_or_else(String::new, |code| code.to_string())),
            (DIM, told),
        ]);
    }
    page.table(&[Side::Left, Side::Left, Side::Right, Side::Left], &lines);
    page.finish()
}
