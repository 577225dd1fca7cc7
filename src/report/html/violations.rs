//! The violations by cause, each with its smallest proof; and the other witnesses, one for each distinct key of an invariant.

use minijinja::context;

use super::{code, witness};
use crate::explain;
use crate::report::Report;
use crate::report::causes::{self, Cause, Group};
use crate::report::format::{count, plural, visible};
use crate::verdict::{InvariantResult, Verdict};

/// The groups of violations.
pub(super) fn groups(report: &Report) -> Vec<minijinja::Value> {
    causes::groups(report).iter().enumerate().map(|(number, group)| one(report, number, group)).collect()
}

fn one(report: &Report, number: usize, group: &Group<'_>) -> minijinja::Value {
    let first = group.main.witnesses.first();
    context! {
        anchor => format!("violation-{}", number + 1),
        name => visible(&group.main.name.to_string()),
        meaning => code(explain::invariant(&group.main.name).meaning),
        shown => format!("{} of {} checked", plural(group.main.violations, "violation"), count(group.main.checked)),
        also => group.also_breaks().map(|also| visible(&also).into_owned()),
        label => group.cause.as_ref().map(Cause::label),
        cause => group.cause.as_ref().map(|cause| code(&cause.sentence)),
        fix => group.cause.as_ref().map(|cause| code(&cause.fix)),
        witness => first.map(|first| witness::context(report, first)),
    }
}

/// What is not shown with its cause.
pub(super) fn witnesses(report: &Report) -> Vec<minijinja::Value> {
    let groups = causes::groups(report);
    let shown = |result: &InvariantResult| groups.iter().any(|group| group.main.name == result.name);
    let violated = report.invariants.iter().filter(|result| result.verdict == Verdict::Violated);
    let others = violated.flat_map(|result| {
        let mut keys: Vec<&str> = Vec::new();
        let skipped = usize::from(shown(result));
        result.witnesses.iter().enumerate().filter_map(move |(number, one)| {
            let again = !one.key.is_empty() && keys.contains(&one.key.as_str());
            keys.push(&one.key);
            (number >= skipped && !again).then_some((result, one))
        })
    });
    others
        .map(|(result, one)| context! { name => visible(&result.name.to_string()), witness => witness::context(report, one) })
        .collect()
}
