//! What happened in the course of a run: faults, shards, stages.

use super::super::format::{count, plural};
use super::super::{Report, faults, shards, stages};
use super::cell;
use crate::shard::ShardState;

/// What broke on purpose.
pub(super) fn faults(report: &Report) -> String {
    if report.faults.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "Faults: {}.\n\n| Fault | When | Met | Operations | Unknown |\n|---|---|---|--:|--:|\n",
        cell(&faults::sentence(&report.faults))
    );
    let (shown, left_out) = faults::rows(&report.faults, faults::MOST_ROWS);
    for fault in shown {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            cell(&fault.kind),
            cell(&fault.when()),
            cell(&fault.whom()),
            count(fault.operations),
            count(fault.unknown)
        ));
    }
    if left_out > 0 {
        text.push_str(&format!("\n{} in report.json\n", plural(left_out, "more fault")));
    }
    text
}

/// The shards of a run from several processes.
pub(super) fn shards(report: &Report) -> String {
    if report.shards.len() < 2 {
        return String::new();
    }
    let mut text = format!(
        "{}.\n\n| Shard | State | Clients | Operations | Clock |\n|---|---|--:|--:|--:|\n",
        cell(&shards::sentence(&report.shards))
    );
    for shard in &report.shards {
        let sign = if shard.state == ShardState::Whole { "✅" } else { "⚠️" };
        text.push_str(&format!(
            "| {} | {sign} {} | {} | {} | {} |\n",
            cell(&shard.shard),
            shard.state.as_str(),
            count(shard.clients.into()),
            count(shard.operations),
            cell(&shard.uncertainty())
        ));
    }
    text
}

/// The stages of a load.
pub(super) fn stages(report: &Report) -> String {
    if report.stages.is_empty() {
        return String::new();
    }
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let titles = stages::TITLES.map(str::to_owned);
    let mut text = format!("{}.\n\n{}", cell(&stages::sentence(report)), line(&titles));
    text.push_str("|---|--:|--:|--:|--:|--:|--:|--:|\n");
    stages::rows(report).iter().for_each(|row| text.push_str(&line(&row.clone().map(|text| cell(&text)))));
    text
}
