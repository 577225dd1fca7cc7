//! A run with planned faults: what they explain is never held against the service or its strategy, and nothing else is excused.
//!
//! - An error that the harness had the server answer with is no leak of the service's.
//! - An unknown outcome of an operation that met a fault is what was planned.
//! - What a server lost that was killed, or lost an election, is told as that. Keys on which an operation was under way since the
//!   last moment at which all was durable are touched by it. A violation stands if it shows on keys that are not; if documents
//!   prove it by being there; or, where the write concern survives such a fault, if what was acknowledged is gone.
//!
//! *Soundness*: what is lost is the end of a journal or an oplog, from a moment on that is known; a key of which every operation
//! had ended before it, or began after the server was back, is as if nothing had happened. Where the write concern survives,
//! acknowledged writes are not lost, but what others read before it was durable may be, so that only the former accuses: what
//! was read on touched keys is left out.
//! *Completeness*: a race that shows on touched keys alone, in answers alone, is not told from a loss.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Recording, RunRecord, server};
use crate::checker::judge;
use crate::history::{
    Action, Cause, CauseKind, FaultInterval, History, Nanos, Observation, Operation, Outcome, Phase, Transport,
    family_of,
};
use crate::report::FaultReport;
use crate::scenario::{FaultTarget, Scenario};
use crate::target::mongo::Identity;
use crate::verdict::{Invariant, InvariantResult, Verdict};

/// A service may write what it has acknowledged a little later.
const WRITTEN_WITHIN: Nanos = 1_000_000_000;
/// More unknown outcomes than this leave too little to judge, whoever wanted them.
const MOST_UNKNOWN: f64 = 0.5;

/// Errors that the harness had the server answer with are marked as that.
pub(super) fn masked<'a>(history: Cow<'a, History>, record: &RunRecord) -> Cow<'a, History> {
    let intervals = || record.faults.iter().flat_map(|faults| &faults.intervals);
    let codes = || intervals().filter(|interval| interval.code.is_some());
    let injected = |operation: &Operation| match &operation.outcome {
        Outcome::Failed(cause) | Outcome::Unknown(cause) => {
            let code = cause.database_error().and_then(crate::history::DatabaseError::code);
            code.is_some() && codes().any(|interval| interval.code == code && interval.met_by(operation))
        }
        Outcome::Ok(_) => false,
    };
    if codes().next().is_none() || !history.operations.iter().any(injected) {
        return history;
    }
    let mut masked = history.into_owned();
    for operation in masked.operations.iter_mut().filter(|operation| injected(operation)) {
        let mark = |cause: &Cause| Cause { kind: CauseKind::Transport(Transport::Injected), ..cause.clone() };
        operation.outcome = match &operation.outcome {
            Outcome::Failed(cause) => Outcome::Failed(mark(cause)),
            Outcome::Unknown(cause) => Outcome::Unknown(mark(cause)),
            Outcome::Ok(value) => Outcome::Ok(value.clone()),
        };
    }
    Cow::Owned(masked)
}

/// What a planned fault may have made the server lose.
#[derive(Debug)]
pub(super) struct Loss {
    /// In words.
    told: String,
    /// Families of the keys that may be concerned.
    touched: BTreeSet<Arc<str>>,
    /// Why what was acknowledged survives.
    survives: Option<String>,
}

impl Loss {
    /// What may have been lost in a run; none where no fault of it loses anything.
    pub(super) fn of(run: &Recording<'_>, scenario: &Scenario) -> Option<Self> {
        let faults = run.record.faults.as_ref()?;
        let losing: Vec<&FaultInterval> = faults.intervals.iter().filter(|one| one.loses_from_ns.is_some()).collect();
        let first = losing.first()?;
        // A strategy in this process writes nothing after its answer.
        let before = if scenario.target.http().is_some() { WRITTEN_WITHIN } else { 0 };
        let is_touched = |operation: &&Operation| losing.iter().any(|one| one.may_have_lost(operation, before));
        let touched = run.history.operations.iter().filter(is_touched);
        let touched = touched.map(|operation| Arc::from(family_of(&operation.key))).collect();
        let times = if losing.len() == 1 { String::new() } else { format!(", {} times", losing.len()) };
        let change = server::disturbed(run.record).map(|change| format!("; {change}")).unwrap_or_default();
        let rollback = rollback(run.record, &change).unwrap_or_default();
        let told = format!("`{}` at {}{times}{change}{rollback}", first.kind, in_seconds(first.from_ns));
        Some(Loss { told, touched, survives: faults.survives.clone() })
    }

    /// A result in the light of it.
    fn explained(&self, result: InvariantResult, run: &Recording<'_>, phase: Phase) -> InvariantResult {
        // Bursts that are held against serial ones were over before the load and its faults began.
        let is_earlier = result.name == Invariant::AsIfSerial;
        if result.verdict != Verdict::Violated || is_earlier || server::is_there(&result) {
            return result;
        }
        // The user's own queries look at all documents together.
        if !matches!(result.name, Invariant::Custom(_)) {
            let (history, observation) = match self.is_evidence(&result.name) {
                true => (self.acknowledged(run.history), run.observation.cloned()),
                false => (self.untouched(run.history), run.observation.map(|observation| self.unread(observation))),
            };
            let apart = judge(&history, observation.as_ref(), phase, std::slice::from_ref(&result.name));
            if let Some(apart) = apart.into_iter().find(|apart| apart.verdict == Verdict::Violated) {
                return apart;
            }
        }
        let why = match &self.survives {
            None => format!(
                "what was acknowledged before it was durable may have been lost, which is not the service's race: {}. Nothing is \
                 violated on keys that this did not touch",
                self.told
            ),
            Some(concern) => format!(
                "writes were acknowledged by {concern} and are not lost, but what was read before it was durable may be, which is \
                 not the service's race: {}. Nothing is violated on keys that this did not touch",
                self.told
            ),
        };
        InvariantResult { verdict: Verdict::Inconclusive, reason: Some(why), ..result }
    }

    /// Whether a loss would be evidence: what was acknowledged survives, and is gone.
    fn is_evidence(&self, name: &Invariant) -> bool {
        self.survives.is_some() && matches!(name, Invariant::NoLostMessages | Invariant::NoLostElements)
    }

    fn is_touched(&self, key: &str) -> bool {
        self.touched.contains(family_of(key))
    }

    fn untouched(&self, history: &History) -> History {
        let operations = history.operations.iter().filter(|operation| !self.is_touched(&operation.key));
        History { operations: operations.cloned().collect(), ..history.clone_without_operations() }
    }

    /// Without what was read on touched keys: it need not have been durable.
    fn acknowledged(&self, history: &History) -> History {
        let is_read =
            |operation: &Operation| matches!(operation.action, Action::Get | Action::Read | Action::ReadThread);
        let kept = |operation: &&Operation| !self.is_touched(&operation.key) || !is_read(operation);
        let operations = history.operations.iter().filter(kept);
        History { operations: operations.cloned().collect(), ..history.clone_without_operations() }
    }

    fn unread(&self, observation: &Observation) -> Observation {
        let documents = observation.documents.iter().filter(|document| !self.is_touched(&document.key));
        Observation { documents: documents.cloned().collect(), ..observation.clone() }
    }
}

/// A result in the light of what may have been lost, if anything may.
pub(super) fn explained(
    result: InvariantResult,
    loss: Option<&Loss>,
    run: &Recording<'_>,
    phase: Phase,
) -> InvariantResult {
    match loss {
        Some(loss) => loss.explained(result, run, phase),
        None => result,
    }
}

/// What an election does to writes that no other member had, if there was one. Its term is told unless the change of the server
/// tells it: a primary that was killed and elected again is another process in the same place.
fn rollback(record: &RunRecord, change: &str) -> Option<String> {
    let term = |identity: &Option<Identity>| identity.as_ref()?.term;
    let (before, after) = (term(&record.server_before)?, term(&record.server_after)?);
    let term = if change.contains("term ") { String::new() } else { format!(", term {before} → {after}") };
    (before != after).then(|| format!("{term}: a rollback, of what the old primary alone had"))
}

/// Whether another process or another primary is what the plan of the run led to, and no accident.
pub(super) fn explain_the_server(record: &RunRecord, scenario: &Scenario) -> bool {
    let strikes_it =
        |kind: &str| matches!(kind, "kill-mongod" | "restart-mongod" | "pause-mongod" | "step-down" | "partition");
    // That a secondary was struck makes nobody else the primary.
    let is_secondary = |one: &FaultInterval| {
        scenario.faults.get(one.number).is_some_and(|spec| spec.target == Some(FaultTarget::Secondary))
    };
    let intervals = record.faults.iter().flat_map(|faults| &faults.intervals);
    let strikes = intervals.filter(|one| strikes_it(&one.kind) && one.error.is_none() && !is_secondary(one));
    let strikes: Vec<&FaultInterval> = strikes.collect();
    record.server_after.is_some() && !strikes.is_empty() && account_for_the_term(record, &strikes)
}

/// Whether there was no election but those that strikes led to. An accident is one between them.
fn account_for_the_term(record: &RunRecord, strikes: &[&FaultInterval]) -> bool {
    let term = |identity: &Option<Identity>| identity.as_ref().and_then(|identity| identity.term);
    let Some((before, after)) = term(&record.server_before).zip(term(&record.server_after)) else { return true };
    let known: Option<Vec<[i64; 2]>> = strikes.iter().map(|strike| strike.terms).collect();
    match known {
        // Each begins with the term that the one before it led to.
        Some(known) => {
            let reached = known.iter().try_fold(before, |reached, [from, to]| (*from == reached).then_some(*to));
            reached == Some(after)
        }
        // More elections than strikes: one of them may have been an accident.
        None => i64::try_from(strikes.len()).is_ok_and(|strikes| after.saturating_sub(before) <= strikes),
    }
}

/// Why a run with faults proves less than it was meant to.
pub(super) fn reasons(record: &RunRecord, unknown: u64, all: u64) -> Vec<String> {
    let Some(faults) = &record.faults else { return Vec::new() };
    let mut reasons = Vec::new();
    for (number, kind) in faults.planned.iter().enumerate() {
        let mut own = faults.intervals.iter().filter(|interval| interval.number == number).peekable();
        if own.peek().is_none() {
            reasons.push(format!("`{kind}` never happened: the load was over before it, or there was nobody to meet"));
            continue;
        }
        let failed = own.clone().find_map(|interval| interval.error.as_ref());
        reasons.extend(failed.map(|error| format!("`{kind}` could not be carried out to its end: {error}")));
        if failed.is_none() && own.clone().all(|interval| interval.struck == Some(0)) {
            reasons.push(format!("`{kind}` met nothing: no connection, command or answer"));
        }
    }
    if super::counted::ratio(unknown, all) > MOST_UNKNOWN {
        reasons.push(format!(
            "{unknown} of {all} operations have an unknown outcome: the faults left too little to judge"
        ));
    }
    reasons
}

/// The faults, in the report.
pub(super) fn shown(record: &RunRecord, history: &History) -> Vec<FaultReport> {
    let operations = history.phase(Phase::Main);
    let one = |interval: &FaultInterval| {
        let met = || operations.iter().filter(|operation| interval.met_by(operation));
        FaultReport {
            kind: interval.kind.clone(),
            met: interval.met.clone(),
            from_s: seconds(interval.from_ns),
            to_s: seconds(interval.to_ns),
            struck: interval.struck,
            operations: met().count() as u64,
            unknown: met().filter(|operation| operation.is_unknown()).count() as u64,
            failed: met().filter(|operation| matches!(operation.outcome, Outcome::Failed(_))).count() as u64,
            may_lose: interval.loses_from_ns.is_some(),
            error: interval.error.clone(),
        }
    };
    record.faults.iter().flat_map(|faults| &faults.intervals).map(one).collect()
}

/// What readers are told of the writes that were acknowledged.
pub(super) fn note(record: &RunRecord) -> Option<String> {
    let faults = record.faults.as_ref()?;
    faults.intervals.iter().find(|interval| interval.loses_from_ns.is_some())?;
    Some(match &faults.survives {
        Some(concern) => format!(
            "faults: writes were acknowledged by {concern}, so that an acknowledged write that is gone counts against the service"
        ),
        None => "faults: writes may be acknowledged before they are durable, so that what the server lost counts against nobody; \
                 keys that it did not touch are judged as always"
            .to_owned(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "seconds need no more than 52 bits")]
fn seconds(at: Nanos) -> f64 {
    at as f64 / 1e9
}

fn in_seconds(at: Nanos) -> String {
    format!("{:.2} s", seconds(at))
}

#[cfg(test)]
#[path = "faults_tests.rs"]
mod tests;
