//! The interleavings on the terminal: how many, which violate, the smallest as a diagram, and what the commands say.

use super::page::{BOLD, DIM, Page, RED};
use super::{PLAIN, YELLOW, mark};
use crate::report::format::{count, plural};
use crate::report::{ExploreReport, FaultTally, Smallest, render_diagram};
use crate::verdict::Verdict;

/// Schedules that are listed on the terminal, those that violate something first; the report has all.
const LISTED: usize = 8;

/// The section of an exploration.
pub(super) fn section(page: &mut Page, explore: &ExploreReport) {
    page.labelled("interleavings", BOLD, &sentence(explore));
    let (violated, others): (Vec<_>, Vec<_>) =
        explore.schedules.iter().partition(|schedule| schedule.verdict == Verdict::Violated);
    for schedule in violated.into_iter().chain(others).take(LISTED) {
        let (style, mark) = mark(schedule.verdict);
        page.line(&[
            (PLAIN, format!("{:14}", "")),
            (style, format!("{mark} ")),
            // First what `--schedule` takes: a long line loses its middle.
            (PLAIN, format!("\"{}\"  ", schedule.choices)),
            (DIM, schedule.schedule.clone()),
        ]);
    }
    if explore.schedules.len() > LISTED {
        let more = explore.schedules.len() - LISTED;
        page.line(&[(DIM, format!("{:14}and {} in report.json", "", plural(more as u64, "more schedule")))]);
    }
    if let Some(together) = &explore.together {
        let style = if together.violated > 0 { RED } else { PLAIN };
        let text = format!(
            "writes released into the server at once: {} of {} attempts violate an invariant",
            count(together.violated),
            count(together.attempts)
        );
        page.labelled("together", style, &text);
    }
    if let Some(repeated) = &explore.repeated {
        let text = format!("{} of {} executions gave the same commands and verdict", repeated.same, repeated.times);
        page.labelled("replayed", PLAIN, &text);
    }
    if let Some(bound) = &explore.bound {
        page.labelled("probability", PLAIN, bound);
    }
    for finding in &explore.lint {
        page.labelled("lint", YELLOW, &format!("{} ({}): {}", finding.rule, finding.operation, finding.explanation));
    }
    for note in &explore.notes {
        page.labelled("note", DIM, note);
    }
}

/// How many were explored, of how many, and how many violate.
pub(in crate::report) fn sentence(explore: &ExploreReport) -> String {
    let mut requests = plural(u64::from(explore.requests), "request");
    if explore.starts > 0 {
        requests = format!("{requests} and {}", plural(u64::from(explore.starts), "start"));
    }
    let explored = count(explore.explored);
    let covered = match (explore.total, explore.complete) {
        (Some(total), true) if total == explore.explored => format!("all {explored} of {} explored", count(total)),
        (Some(total), true) => format!("all {} explored, {explored} of them carried out for the rest", count(total)),
        (None, true) => format!("complete, {explored} explored"),
        _ => format!("{explored} explored, not complete"),
    };
    let rate = count(explore.schedules_per_s.max(0.0).round() as u64);
    let first = explore.first_violation_at.map(|first| format!(", the first is schedule {first}")).unwrap_or_default();
    let violated = match explore.violated_interleavings {
        Some(violated) => format!("{} violated, in {} of those carried out", count(violated), count(explore.violated)),
        None => format!("{} violated", count(explore.violated)),
    };
    let faults = faults(explore);
    format!("{requests}, {}: {covered}; {violated}{first} ({rate} executions/s){faults}", explore.search)
}

/// In how many schedules each fault struck.
fn faults(explore: &ExploreReport) -> String {
    let of_one = |one: &FaultTally| {
        let violated = if one.violated > 0 { format!(" ({} violated)", count(one.violated)) } else { String::new() };
        format!("{} in {}{violated}", one.fault, count(one.schedules))
    };
    let all: Vec<String> = explore.faults.iter().map(of_one).collect();
    if all.is_empty() { String::new() } else { format!("; faults: {}", all.join(", ")) }
}

/// The smallest violation as a diagram.
pub(super) fn diagram(page: &mut Page, smallest: &Smallest) {
    let invariants = smallest.result.invariants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    page.labelled("smallest", RED, &format!("{}: {invariants}", smallest.result.schedule));
    for line in render_diagram(&smallest.diagram, page.width()).lines() {
        page.line(&[(PLAIN, line.to_owned())]);
    }
    if !smallest.reproduced {
        page.labelled("", YELLOW, "carried out again, it did not give the same commands and verdict");
    }
    page.line_uncut("replay", &smallest.replay);
    debug_assert!(smallest.result.verdict == Verdict::Violated);
}
