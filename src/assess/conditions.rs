//! Conditions under which a run that found no violation still proves nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{Recording, RunRecord};
use crate::history::{Action, Appended, Operation, Outcome, Phase, Value};
use crate::scenario::{Scenario, WorkloadKind};
use crate::stats::Concurrency;
use crate::verdict::{Invariant, InvariantResult, Verdict};

/// Why a verdict that holds cannot be given; empty when it can.
pub(super) fn reasons(run: &Recording<'_>, scenario: &Scenario, concurrency: &Concurrency) -> Vec<String> {
    let operations = run.history.phase(Phase::Main);
    let mut reasons = Vec::new();
    if !run.record.shards.is_empty() {
        reasons.extend(super::shards::reasons(&run.record.shards));
    } else if run.history.partial {
        reasons.push("the history ends in the middle: the run died, and operations may be missing".to_owned());
    }
    match &run.record.aborted {
        Some(reason) => reasons.push(reason.clone()),
        None if run.history.interrupted || run.record.interrupted => {
            reasons.push("the run was interrupted before its end".to_owned())
        }
        None => {}
    }
    if let Some(error) = &run.record.observe_error {
        reasons.push(format!("the final state could not be read: {error}"));
    }
    reasons.extend(run.record.explore.iter().flat_map(|explore| explore.doubts.clone()));
    if operations.is_empty() {
        reasons.push("no operation was carried out".to_owned());
        return reasons;
    }
    if !operations.iter().any(crate::history::Operation::is_ok) {
        let why = most_frequent(operations, |outcome| !matches!(outcome, Outcome::Ok(_)));
        reasons.push(format!("no operation succeeded{why}"));
    }
    reasons.extend(run.record.preflight.too_few_connections.clone());
    // A fault is a trial of its own: it takes no second request.
    let faults = run.record.explore.as_ref().is_some_and(|explore| !explore.faults.is_empty());
    // Whether a shard met others is told when all are there.
    let floor = if faults || run.history.of_a_shard { 0 } else { scenario.limits.min_effective_trials };
    if concurrency.effective_trials < floor {
        let found = match concurrency.effective_trials {
            0 => "no two operations on one key ever overlapped".to_owned(),
            trials => format!("operations overlapped on only {trials} keys, at least {floor} are asked for"),
        };
        reasons.push(format!("{found}: without real concurrency there is no race to survive"));
    }
    let planned = |operation: &Operation| run.record.faults.as_ref().is_some_and(|faults| faults.met(operation));
    // Held against serial runs, an answer is an answer, whatever it means: what it says is compared.
    let answers_count = run.record.as_if_serial.is_some()
        && (scenario.workload == WorkloadKind::Custom || !scenario.judging().checkers);
    let explained = |operation: &Operation| {
        is_injected(&operation.outcome) || planned(operation) || (answers_count && has_status(&operation.outcome))
    };
    let uncertain = |operation: &Operation| operation.is_unknown() && !explained(operation);
    reasons.extend(too_many_unknown(operations, &uncertain, scenario.limits.max_unknown));
    reasons.extend(unknown_creators(operations, &planned, scenario.limits.max_unknown));
    reasons.extend(unreachable(operations, &planned, scenario.limits.max_unknown));
    let unknown_callers = unauthenticated(operations, scenario.limits.max_unknown);
    reasons.extend(unknown_callers.map(|reason| after_crashes(reason, run.record)));
    reasons.extend(super::faults::reasons(run.record, operations));
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

/// Whether the outcome is unknown because the harness wanted it so.
fn is_injected(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown(cause) if cause.is_injected())
}

/// Whether the service answered, although it is not known what that says of the operation. An error of its own is no answer.
fn has_status(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown(cause) if cause.status().is_some_and(|status| status < 500))
}

/// Judged for all operations together and for each kind: what hits a rare kind alone is not noise.
fn too_many_unknown(operations: &[Operation], is_unknown: &dyn Fn(&Operation) -> bool, limit: f64) -> Vec<String> {
    let kinds: BTreeSet<&str> = operations.iter().map(|operation| operation.action.name()).collect();
    let of_kind =
        |name: &str| operations.iter().filter(|operation| operation.action.name() == name).collect::<Vec<_>>();
    let all = operations.iter().collect::<Vec<_>>();
    let mut reasons: Vec<String> = unknown_among(&all, "operations", is_unknown, limit).into_iter().collect();
    if kinds.len() > 1 {
        let among = |name: &str| unknown_among(&of_kind(name), &format!("`{name}`"), is_unknown, limit);
        reasons.extend(kinds.into_iter().filter_map(among));
    }
    reasons
}

fn unknown_among(
    operations: &[&Operation],
    what: &str,
    is_unknown: &dyn Fn(&Operation) -> bool,
    limit: f64,
) -> Option<String> {
    let unknown = operations.iter().filter(|operation| is_unknown(operation)).count();
    let share = ratio(unknown, operations.len());
    (share > limit).then(|| {
        let (share, limit) = (share * 100.0, limit * 100.0);
        let all = operations.len();
        let why = most_frequent(operations.iter().copied(), |outcome| matches!(outcome, Outcome::Unknown(_)));
        format!("{unknown} of {all} {what} ({share:.1} %) have an unknown outcome, at most {limit} % are allowed{why}")
    })
}

/// Keys on which the one operation that may have created the document is unknown. There is one creator among many callers,
/// so that a creation which always goes wrong is a small share of all operations.
fn unknown_creators(operations: &[Operation], planned: &dyn Fn(&Operation) -> bool, limit: f64) -> Option<String> {
    #[derive(Default)]
    struct Key {
        acknowledged: bool,
        seen: bool,
        unknown: bool,
    }
    let mut keys: BTreeMap<&str, Key> = BTreeMap::new();
    for operation in operations {
        let key = keys.entry(&operation.key).or_default();
        let creates = matches!(operation.action, Action::CreateOrGet { .. } | Action::Append(_) | Action::Open);
        match &operation.outcome {
            Outcome::Ok(Value::Document(answer) | Value::Appended(Appended { session: answer, .. })) => {
                key.acknowledged |= answer.created != Some(false);
                key.seen = true;
            }
            Outcome::Ok(Value::Found(Some(_))) => key.seen = true,
            Outcome::Unknown(cause)
                if creates && operation.late.is_none() && !cause.is_injected() && !planned(operation) =>
            {
                key.unknown = true
            }
            _ => {}
        }
    }
    let seen = keys.values().filter(|key| key.seen).count();
    let unknown = keys.values().filter(|key| key.seen && key.unknown && !key.acknowledged).count();
    let share = ratio(unknown, seen);
    // One creation whose answer was lost is an accident on any number of keys.
    (unknown > 1 && share > limit).then(|| {
        let (share, limit) = (share * 100.0, limit * 100.0);
        format!(
            "of {seen} keys with a document {unknown} ({share:.1} %) have an unknown creator, at most {limit} % are \
             allowed: whoever created it was not told so"
        )
    })
}

/// Operations that nothing took tell nothing, and a run whose last one was such a one had lost its service.
fn unreachable(operations: &[Operation], planned: &dyn Fn(&Operation) -> bool, limit: f64) -> Option<String> {
    let is_such = |outcome: &Outcome| matches!(outcome, Outcome::Failed(cause) if cause.is_unreachable());
    let such = operations.iter().filter(|operation| is_such(&operation.outcome) && !planned(operation)).count();
    let last = operations.iter().max_by_key(|operation| operation.completed)?;
    let lost = if is_such(&last.outcome) && !planned(last) {
        "the service was gone when the run ended"
    } else if share(such, operations) > limit {
        "the service did not take all operations"
    } else {
        return None;
    };
    let all = operations.len();
    Some(format!("{lost}: {such} of {all} operations could not be sent{}", most_frequent(operations, is_such)))
}

/// Callers that the service does not know never came as far as a race.
fn unauthenticated(operations: &[Operation], limit: f64) -> Option<String> {
    let is_such = |outcome: &Outcome| matches!(outcome, Outcome::Failed(cause) if cause.is_unauthenticated());
    let such = operations.iter().filter(|operation| is_such(&operation.outcome)).count();
    (share(such, operations) > limit).then(|| {
        let all = operations.len();
        let why = most_frequent(operations, is_such);
        format!("the service did not know its callers: {such} of {all} operations were refused with 401{why}")
    })
}

#[expect(clippy::cast_precision_loss, reason = "a share does not need more than 52 bits")]
pub(super) fn ratio(count: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { count as f64 / all as f64 }
}

fn share(count: usize, operations: &[Operation]) -> f64 {
    ratio(count, operations.len())
}

/// The causes met most often among the outcomes of this kind, most frequent first.
fn most_frequent<'a>(
    operations: impl IntoIterator<Item = &'a Operation>,
    of_kind: impl Fn(&Outcome) -> bool,
) -> String {
    const SHOWN: usize = 3;
    /// Causes that begin alike are one: what differs further on is a key or a time.
    const ALIKE: usize = 64;
    let mut causes: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for operation in operations.into_iter().filter(|operation| of_kind(&operation.outcome)) {
        if let Outcome::Unknown(cause) | Outcome::Failed(cause) = &operation.outcome {
            let beginning = cause.message.chars().take(ALIKE).collect();
            causes.entry(beginning).or_insert((&cause.message, 0)).1 += 1;
        }
    }
    let mut causes: Vec<(&str, usize)> = causes.into_values().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let shown: Vec<String> =
        causes.iter().take(SHOWN).map(|(message, count)| format!("{message} ({count} times)")).collect();
    if shown.is_empty() { String::new() } else { format!(": {}", shown.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Cause, Transport, Value};
    use crate::report::{ExploreReport, FaultTally};

    fn operations(outcomes: Vec<Outcome>) -> Vec<Operation> {
        let operation = |(number, outcome): (u64, Outcome)| {
            let line = serde_json::json!({
                "op": number, "client": 0, "round": 0, "key": "k", "action": "get", "intended_ns": number,
                "invoked_ns": number, "completed_ns": number + 1, "outcome": outcome,
            });
            serde_json::from_value::<Operation>(line).unwrap()
        };
        (0..).zip(outcomes).map(operation).collect()
    }

    #[test]
    fn callers_that_the_service_does_not_know_prove_nothing() {
        let refused = |status| Outcome::Failed(Cause::http(status, "says the service"));
        let ok = || Outcome::Ok(Value::Found(None));
        for (outcomes, told) in [
            (vec![ok(), ok(), refused(401)], true),
            (vec![ok(), ok(), ok(), refused(401)], false),
            (vec![ok(), refused(403), refused(404)], false),
        ] {
            let reason = unauthenticated(&operations(outcomes), 0.3);
            assert_eq!(reason.is_some(), told, "{reason:?}");
        }
        let crash = FaultTally { fault: "crash".to_owned(), schedules: 1, violated: 0 };
        let after = |faults| {
            let explore = Some(ExploreReport { faults, ..ExploreReport::default() });
            after_crashes("401".to_owned(), &RunRecord { explore, ..RunRecord::default() })
        };
        assert!(after(vec![crash]).contains("started again after a crash") && after(Vec::new()) == "401");
    }

    #[test]
    fn operations_that_nothing_took_are_counted_and_the_last_one_tells_that_all_is_lost() {
        let gone = || Outcome::Failed(Cause::transport(Transport::Unreachable, "cannot connect: Connection refused"));
        let refused = || Outcome::Failed(Cause::http(400, "cannot connect: says the service"));
        let ok = || Outcome::Ok(Value::Found(None));
        let cases: [(Vec<Outcome>, Option<&str>); 5] = [
            (vec![ok(), ok(), refused()], None),
            (vec![ok(), gone(), ok(), ok()], None),
            (
                vec![ok(), gone(), gone(), ok()],
                Some("did not take all operations: 2 of 4 operations could not be sent"),
            ),
            (vec![ok(), ok(), ok(), gone()], Some("was gone when the run ended: 1 of 4 operations could not be sent")),
            (vec![gone()], Some("Connection refused (1 times)")),
        ];
        for (outcomes, told) in cases {
            let reason = unreachable(&operations(outcomes), &|_| false, 0.3);
            match told {
                None => assert_eq!(reason, None),
                Some(told) => assert!(reason.as_ref().is_some_and(|reason| reason.contains(told)), "{reason:?}"),
            }
        }
    }
}
