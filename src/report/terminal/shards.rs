//! The shards of a run, on the terminal.

use super::page::{BOLD, DIM, PLAIN, Page, Side, Span, YELLOW};
use crate::report::Report;
use crate::report::format::{count, plural};
use crate::report::shards::sentence;
use crate::shard::ShardState;

/// Shards shown one by one.
const MOST: usize = 16;

pub(super) fn section(page: &mut Page, report: &Report) {
    if report.shards.len() < 2 {
        return;
    }
    let whole = report.shards.iter().all(|shard| shard.state == ShardState::Whole);
    page.blank();
    page.labelled("Shards", if whole { PLAIN } else { YELLOW }, &sentence(&report.shards));
    let head = ["  Shard", "State", "Clients", "Operations", "Clock"].map(|title| (BOLD, title.to_owned()));
    let mut rows: Vec<Vec<Span>> = vec![head.to_vec()];
    // Those that are not whole are never left out.
    let (whole, others): (Vec<_>, Vec<_>) = report.shards.iter().partition(|shard| shard.state == ShardState::Whole);
    let mut shown: Vec<_> = others.into_iter().chain(whole).take(MOST).collect();
    shown.sort_by_key(|shard| report.shards.iter().position(|other| other == *shard));
    for shard in &shown {
        let style = if shard.state == ShardState::Whole { PLAIN } else { YELLOW };
        rows.push(vec![
            (PLAIN, format!("  {}", shard.shard)),
            (style, shard.state.as_str().to_owned()),
            (PLAIN, count(shard.clients.into())),
            (PLAIN, count(shard.operations)),
            (DIM, shard.uncertainty()),
        ]);
    }
    page.table(&[Side::Left, Side::Left, Side::Right, Side::Right, Side::Right], &rows);
    let left_out = report.shards.len() - shown.len();
    if left_out > 0 {
        page.line(&[(DIM, format!("  {} in report.json", plural(left_out as u64, "more shard")))]);
    }
    page.blank();
}
