//! The user's own invariants of a run: before and after its first round, its serial control and its load, or execution by
//! execution.

use super::{Recording, looks, queries};
use crate::history::Phase;
use crate::scenario::Scenario;
use crate::verdict::{InvariantResult, Verdict};

/// What they say.
pub(super) struct Own {
    /// Of the load.
    pub(super) load: Vec<InvariantResult>,
    /// Of the serial control.
    pub(super) serially: Vec<InvariantResult>,
}

/// Judges them.
pub(super) fn judge(run: &Recording<'_>, scenario: &Scenario) -> Own {
    let (specs, record) = (&scenario.invariants, run.record);
    let control = run.history.phase(Phase::Control);
    if !record.looks.is_empty() {
        let load = looks::judge(specs, &record.looks, &record.queries, &run.history.operations);
        return Own { load, serially: looks::judge_control(&record.looks, control) };
    }
    let context = queries::QueryContext {
        operations: &run.history.operations,
        cut_short: run.history.partial || run.history.interrupted || record.aborted.is_some(),
    };
    let before_control = match record.queries_first.as_slice() {
        [] => record.queries_before.as_slice(),
        after_first => after_first,
    };
    let before = match record.queries_serial.as_slice() {
        // Nothing was there before the rounds.
        _ if scenario.fresh.is_some() => &[],
        [] => before_control,
        after_control => after_control,
    };
    let mut load = queries::judge(specs, &record.queries, before, &context);
    if !record.queries_first.is_empty() {
        let context = queries::QueryContext { cut_short: true, ..context };
        let first = queries::judge(specs, &record.queries_first, &record.queries_before, &context);
        load = load.into_iter().map(|result| with_first(result, &first)).collect();
    }
    let serially = queries::judge_serial(specs, &record.queries_serial, before_control, control);
    Own { load, serially }
}

/// A result of the load with what its first round did, on whatever was not there yet.
fn with_first(result: InvariantResult, first: &[InvariantResult]) -> InvariantResult {
    let is_such = |first: &&InvariantResult| first.name == result.name && first.verdict == Verdict::Violated;
    let Some(first) = first.iter().find(is_such) else { return result };
    let mut witnesses = first.witnesses.clone();
    witnesses.extend(result.witnesses);
    let checked = result.checked.max(first.checked);
    InvariantResult {
        verdict: Verdict::Violated,
        checked,
        violations: result.violations + first.violations,
        witnesses,
        reason: Some("violated in the first round, on what was not there yet".to_owned()),
        ..result
    }
}
