//! Conditions under which a run that found no violation still proves nothing.

use super::RunRecord;
use super::counted::Counted;
use super::gather::Facts;
use super::served;
use crate::scenario::{Scenario, WorkloadKind};
use crate::stats::Concurrency;
use crate::verdict::{Invariant, InvariantResult, Verdict};

/// Why a verdict that holds cannot be given; empty when it can.
pub(super) fn reasons(
    record: &RunRecord,
    facts: &Facts,
    counted: &Counted,
    scenario: &Scenario,
    concurrency: &Concurrency,
) -> Vec<String> {
    let mut reasons = Vec::new();
    if !record.shards.is_empty() {
        reasons.extend(super::shards::reasons(&record.shards));
    } else if let Some(lost) = &facts.lost {
        reasons.push(lost.to_string());
    } else if facts.partial {
        reasons.push("the history ends in the middle: the run died, and operations may be missing".to_owned());
    }
    match &record.aborted {
        Some(reason) => reasons.push(reason.clone()),
        None if facts.interrupted || record.interrupted => {
            reasons.push("the run was interrupted before its end".to_owned())
        }
        None => {}
    }
    if let Some(error) = &record.observe_error {
        reasons.push(format!("the final state could not be read: {error}"));
    }
    reasons.extend(record.explore.iter().flat_map(|explore| explore.doubts.clone()));
    if counted.operations() == 0 {
        reasons.push("no operation was carried out".to_owned());
        return reasons;
    }
    let none_succeeded = counted.none_succeeded();
    let is_load = none_succeeded.is_none() && record.explore.is_none() && !facts.of_a_shard;
    reasons.extend(none_succeeded);
    reasons.extend(is_load.then(|| served::nobody_after_the_control(facts)).flatten());
    reasons.extend(record.preflight.too_few_connections.clone());
    // A fault is a trial of its own: it takes no second request. So are instances that start together.
    let faults = record.explore.as_ref().is_some_and(|explore| !explore.faults.is_empty() || explore.starts > 1);
    // Whether a shard met others is told when all are there.
    let floor = if faults || facts.of_a_shard { 0 } else { scenario.limits.min_effective_trials };
    if concurrency.effective_trials < floor {
        let found = match concurrency.effective_trials {
            0 => "no two operations on one key ever overlapped".to_owned(),
            trials => format!("operations overlapped on only {trials} keys, at least {floor} are asked for"),
        };
        reasons.push(format!("{found}: without real concurrency there is no race to survive"));
    }
    let limit = scenario.limits.max_unknown;
    reasons.extend(counted.too_many_unknown(limit));
    reasons.extend(counted.unknown_creators(limit));
    reasons.extend(counted.unreachable(limit));
    reasons.extend(counted.unauthenticated(limit).map(|reason| after_crashes(reason, record)));
    reasons.extend(super::faults::reasons(record, counted.unknown(), counted.operations()));
    reasons
}

/// Of a service that was killed and started again it is likely why it does not know its callers.
fn after_crashes(reason: String, record: &RunRecord) -> String {
    let explored = record.explore.iter().flat_map(|explore| &explore.faults);
    let killed = record.faults.iter().flat_map(|faults| &faults.intervals);
    let crashed = explored.into_iter().any(|tally| tally.fault.starts_with("crash"))
        || killed.into_iter().any(|interval| interval.kind == "kill-service");
    match crashed {
        true => format!(
            "{reason}: started again after a crash, a service must still know who was logged in; give its sessions or tokens a \
             secret that outlives the process, or leave that fault out"
        ),
        false => reason,
    }
}

/// A custom workload says nothing of itself: without an invariant there is nothing that could be violated. `weakly`: bursts
/// were held against serial ones, which accuses where they differ and proves nothing where they do not.
pub(super) fn nothing_said(scenario: &Scenario, results: &[InvariantResult], weakly: bool) -> Option<String> {
    let of_any = |result: &InvariantResult| {
        matches!(result.name, Invariant::NoLeakedErrors | Invariant::SomebodyServed)
            || (weakly && result.name == Invariant::AsIfSerial && result.verdict != Verdict::Violated)
    };
    (scenario.workload == WorkloadKind::Custom && results.iter().all(of_any)).then(|| {
        "a custom workload without an invariant of its own: nothing says what must hold under load; add `[[invariant]]`, or type `onlyone explore`, which holds every interleaving against serial runs".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{ExploreReport, FaultTally};

    #[test]
    fn a_service_that_forgets_its_callers_after_a_crash_is_told_so() {
        let crash = FaultTally { fault: "crash".to_owned(), schedules: 1, violated: 0 };
        let after = |faults| {
            let explore = Some(ExploreReport { faults, ..ExploreReport::default() });
            after_crashes("401".to_owned(), &RunRecord { explore, ..RunRecord::default() })
        };
        assert!(after(vec![crash]).contains("started again after a crash") && after(Vec::new()) == "401");
    }
}
