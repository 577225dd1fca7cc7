//! The user's own invariants of a run: before and after its first round, its serial control and its load, or execution by
//! execution.

use super::{Recording, looks, queries};
use crate::history::Phase;
use crate::scenario::Scenario;
use crate::verdict::InvariantResult;

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
    let seen = queries::Seen {
        operations: &run.history.operations,
        cut_short: run.history.partial || run.history.interrupted || record.aborted.is_some(),
    };
    let before = match record.queries_serial.as_slice() {
        [] => &record.queries_before,
        after_control => after_control,
    };
    let load = queries::judge(specs, &record.queries, before, &seen);
    let serially = queries::judge_serial(specs, &record.queries_serial, &record.queries_before, control);
    Own { load, serially }
}
