//! The kill matrix on the page: each bug with what caught it, each correct twin, and what is not planted.

use minijinja::context;

use super::mark;
use crate::report::SelftestReport;
use crate::report::format::{count, visible};
use crate::verdict::Verdict;

/// What the template shows of a self-test.
pub(super) fn context(selftest: &SelftestReport) -> minijinja::Value {
    let index = |unique: bool| if unique { "unique index" } else { "no index" };
    let bugs = selftest.bugs.iter().map(|bug| {
        context! {
            id => bug.id.as_str(),
            workload => bug.workload.as_str(),
            strategy => bug.strategy.as_str(),
            index => index(bug.unique_index),
            caught => bug.caught,
            by => bug.by.as_ref().map_or_else(|| format!("escaped {}", bug.expected), ToString::to_string),
            rounds => count(bug.rounds.into()),
            ms => count(bug.ms),
        }
    });
    let twins = selftest.twins.iter().map(|twin| {
        let said = match twin.verdict {
            Verdict::Holds => "no".to_owned(),
            Verdict::Inconclusive => twin.reason.clone().unwrap_or_else(|| "cannot tell".to_owned()),
            Verdict::Violated => twin.by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        context! {
            workload => twin.workload.as_str(),
            strategy => twin.strategy.as_str(),
            index => index(twin.unique_index),
            verdict => twin.verdict.as_str(),
            mark => mark(twin.verdict),
            said => visible(&said),
            rounds => count(twin.rounds.into()),
            ms => count(twin.ms),
        }
    });
    let not_planted = selftest.not_planted_by_reason().into_iter().map(|(ids, reason)| (ids, reason.to_owned()));
    context! {
        bugs => bugs.collect::<Vec<_>>(),
        twins => twins.collect::<Vec<_>>(),
        not_planted => not_planted.collect::<Vec<_>>(),
    }
}
