//! What is gathered from the operations of a run, or of a part of its keys. Gatherings of all parts add up to that of the whole,
//! exactly: the report follows from it alone.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use super::counted::Counted;
use super::several::Several;
use super::{AssessError, Recording, RunRecord, answers, described, faults, measured, shards};
use crate::checker::{Evidence, Looked, ServedUntil, look, told};
use crate::history::{History, Lost, Nanos, Observation, Operation, Outcome, Phase};
use crate::report::{FaultReport, Fit, ShardReport};
use crate::scenario::Scenario;
use crate::stats::{Clock, Conditions, LatencyStats, Moments, Overlap, stage_sums};
use crate::verdict::Invariant;
use crate::workload;

/// What is known of all operations of a run, whichever part of them is at hand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// The run died: operations may be missing.
    pub partial: bool,
    /// It was stopped early, in good order.
    pub interrupted: bool,
    /// Operations of other shards are missing.
    pub of_a_shard: bool,
    /// How many operations there are.
    pub operations: u64,
    /// The names of their actions.
    pub names: BTreeSet<String>,
    /// Those of reads that found something.
    pub seeing: BTreeSet<String>,
    /// When the last operation of the serial control began.
    pub control_until: Option<Nanos>,
    /// When the last one of the load began.
    pub load_until: Option<Nanos>,
    /// When the last one of it began that was served, of each kind that not all can be served by.
    pub served_until: ServedUntil,
    /// When the last one of these began that was refused.
    pub refused_until: Option<Nanos>,
    /// When the last one of the load began, of any kind, of which something may have come.
    pub done_until: Option<Nanos>,
    /// What is missing because files are damaged or gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
}

impl Facts {
    /// Those of a history that is whole.
    pub fn of(history: &History) -> Self {
        let mut facts = Facts::default();
        history.operations.iter().for_each(|operation| facts.meet(operation));
        facts.ended(history);
        facts
    }

    /// Takes note of an operation.
    pub fn meet(&mut self, operation: &Operation) {
        self.operations += 1;
        let name = operation.action.name();
        if !self.names.contains(name) {
            self.names.insert(name.to_owned());
        }
        if answers::sees(operation) && !self.seeing.contains(name) {
            self.seeing.insert(name.to_owned());
        }
        let until = match operation.phase {
            Phase::Control => &mut self.control_until,
            Phase::Main => &mut self.load_until,
        };
        *until = (*until).max(Some(operation.invoked));
        if operation.phase.is_main() {
            self.meet_in_the_load(operation);
        }
    }

    fn meet_in_the_load(&mut self, operation: &Operation) {
        let seeks = operation.action.wants_a_key();
        let moment = Some(operation.invoked);
        // As checkers take it: who is answered late was served, too.
        match told(operation) {
            Outcome::Failed(_) if seeks => self.refused_until = self.refused_until.max(moment),
            Outcome::Failed(_) => {}
            Outcome::Ok(_) | Outcome::Unknown(_) => self.done_until = self.done_until.max(moment),
        }
        if seeks {
            self.served_until.meet(operation);
        }
    }

    /// Takes note of how the history ended.
    pub fn ended(&mut self, history: &History) {
        self.partial = history.partial;
        self.interrupted = history.interrupted;
        self.of_a_shard = history.of_a_shard;
        self.lost.clone_from(&history.lost);
    }

    /// With those of other operations of the run.
    pub fn joined(self, other: Facts) -> Self {
        let Facts { partial, interrupted, of_a_shard, operations, names, seeing, lost, .. } = self;
        let Facts { control_until, load_until, mut served_until, refused_until, done_until, .. } = self;
        served_until.join(other.served_until);
        Facts {
            partial,
            interrupted,
            of_a_shard,
            operations: operations + other.operations,
            names: names.into_iter().chain(other.names).collect(),
            seeing: seeing.into_iter().chain(other.seeing).collect(),
            control_until: control_until.max(other.control_until),
            load_until: load_until.max(other.load_until),
            served_until,
            refused_until: refused_until.max(other.refused_until),
            done_until: done_until.max(other.done_until),
            lost,
        }
    }
}

/// What the operations at hand say.
pub(super) struct Gathered<'a> {
    pub(super) facts: Facts,
    /// The operations that proofs are shown with: all, or of a part those of the serial control and of the keys that are named.
    pub(super) history: Cow<'a, History>,
    /// What was read of these.
    pub(super) observation: Option<Cow<'a, Observation>>,
    /// What was found for each invariant.
    pub(super) looked: Vec<Looked>,
    pub(super) stats: LatencyStats,
    /// Latencies since operations were really sent, where those of the load count from when they were meant to be.
    pub(super) sent: Option<LatencyStats>,
    pub(super) stages: Vec<LatencyStats>,
    pub(super) overlap: Overlap,
    /// When operations of a part were in flight; the peak over all keys follows from those of all parts.
    pub(super) moments: Option<Moments>,
    pub(super) counted: Counted,
    pub(super) several: Several,
    pub(super) shards: Vec<ShardReport>,
    pub(super) faults: Vec<FaultReport>,
    /// The scenario, held against what was seen of the service.
    pub(super) described: Option<Fit>,
    /// Why answers cannot be understood as the scenario describes them.
    pub(super) misread: Vec<String>,
}

/// What is judged of a run by checkers; nothing where an exploration is judged by its serial runs alone.
pub(super) fn invariants(record: &RunRecord, scenario: &Scenario) -> Vec<Invariant> {
    match by_serial_runs_alone(record, scenario) {
        true => Vec::new(),
        false => shards::judged_alone(workload::invariants_of(scenario, &record.run_id), record.shard.as_ref()),
    }
}

/// Whether an exploration is judged by its serial runs alone: they need no description of what answers mean.
pub(super) fn by_serial_runs_alone(record: &RunRecord, scenario: &Scenario) -> bool {
    record.as_if_serial.is_some() && !scenario.judging().checkers
}

/// What overlap is held against.
pub(super) fn conditions(record: &RunRecord, scenario: &Scenario, violated: bool) -> Conditions {
    use crate::scenario::Load;
    Conditions {
        clients: record.shard.as_ref().map_or(scenario.load.clients(), |shard| shard.clients),
        burst: matches!(scenario.load, Load::Burst { .. } | Load::Waves { .. }),
        connections: record.preflight.connections_ready,
        violated,
    }
}

/// Gathers what the operations at hand say. `facts` are those of all operations of the run.
pub(super) fn gather<'a>(
    run: &Recording<'a>,
    mut facts: Facts,
    scenario: &Scenario,
) -> Result<Gathered<'a>, AssessError> {
    // As they were recorded: what answers mean in the light of all of them is worked out from a description that fits.
    let described = described(run, scenario);
    let (record, recorded, of_shards) = (run.record, run.history, run.record.shards.as_slice());
    let (judged, misread) = understood(run, &facts, scenario);
    facts.of_a_shard |= judged.of_a_shard;
    // What is asked of the run, and what is stored, is judged for all shards together.
    let observation = run.observation.filter(|_| shards::note(record.shard.as_ref()).is_none());
    let judged_run = Recording { history: &judged, observation, ..*run };
    let load = Evidence::of_phase(&judged, observation, Phase::Main);
    let (looked, (figures, (moments, counted, several))) = rayon::join(
        || look(&load, &invariants(record, scenario)),
        || {
            rayon::join(
                || Figures::of(&judged_run, &load, recorded, &facts, scenario),
                || {
                    let moments = recorded.part.map(|_| Moments::of(judged.phase(Phase::Main).iter()));
                    let counted = Counted::of(judged.phase(Phase::Main), record, scenario);
                    (moments, counted, Several::of(&judged_run, &facts, scenario))
                },
            )
        },
    );
    let Figures { stats, sent, stages, overlap } = figures?;
    let shown_shards = shards::shown(of_shards, record.shard.as_ref(), recorded);
    let shown_faults = faults::shown(record, &judged);
    drop(load);
    let (history, observation) = proofs(judged, observation, &looked);
    Ok(Gathered {
        facts,
        history,
        observation,
        looked,
        stats,
        sent,
        stages,
        overlap,
        moments,
        counted,
        several,
        shards: shown_shards,
        faults: shown_faults,
        described,
        misread,
    })
}

/// What is measured of the times of operations.
struct Figures {
    stats: LatencyStats,
    sent: Option<LatencyStats>,
    stages: Vec<LatencyStats>,
    overlap: Overlap,
}

impl Figures {
    /// `load` is the evidence of what is judged.
    fn of(
        run: &Recording<'_>,
        load: &Evidence<'_>,
        recorded: &History,
        facts: &Facts,
        scenario: &Scenario,
    ) -> Result<Self, AssessError> {
        let of_shards = run.record.shards.as_slice();
        let timed = shards::as_recorded(run.history, recorded, of_shards);
        let timed_run = Recording { history: &timed, ..*run };
        let counting = || measured(&timed_run, facts);
        let clock = Clock::of(&scenario.load);
        let stats = LatencyStats::of(clock, counting())?;
        let sent = match clock == Clock::Response && !scenario.expect.thresholds.is_empty() {
            true => Some(LatencyStats::of(Clock::Service, counting())?),
            false => None,
        };
        let stages = stage_sums(&scenario.load, run.record.stages.as_ref(), counting(), |operation| {
            shards::shard_of(operation, of_shards)
        })?;
        let late = shards::late(&timed, of_shards);
        let overlap = |views: &[Evidence<'_>]| Overlap::of(views, &late, conditions(run.record, scenario, false));
        let overlap = match of_shards {
            [] | [_] => overlap(std::slice::from_ref(load)),
            several => {
                let views = shards::overlapping(&timed, several);
                let view = |view| Evidence::of_phase(view, run.observation, Phase::Main);
                overlap(&views.iter().map(|history| view(&**history)).collect::<Vec<_>>())
            }
        };
        Ok(Figures { stats, sent, stages, overlap })
    }
}

/// The history as it is judged, and why answers cannot be understood as they are described.
fn understood<'a>(run: &Recording<'a>, facts: &Facts, scenario: &Scenario) -> (Cow<'a, History>, Vec<String>) {
    let doubted_times = shards::doubted(run.history, &run.record.shards);
    let understood = match scenario.target.http() {
        Some(_) => answers::understand(&doubted_times, &facts.seeing),
        None => answers::Understood { history: Cow::Borrowed(&*doubted_times), reasons: Vec::new() },
    };
    let misread = understood.reasons;
    let reread = match understood.history {
        Cow::Owned(history) => Some(history),
        Cow::Borrowed(_) => None,
    };
    let history = reread.map_or(doubted_times, Cow::Owned);
    (faults::masked(shards::alone(history, run.record.shard.as_ref()), run.record), misread)
}

/// What proofs are shown with: of a part, only what may be asked for.
fn proofs<'a>(
    judged: Cow<'a, History>,
    observation: Option<&'a Observation>,
    looked: &[Looked],
) -> (Cow<'a, History>, Option<Cow<'a, Observation>>) {
    let Some(part) = judged.part else { return (judged, observation.map(Cow::Borrowed)) };
    let control: FxHashSet<&str> = judged.phase(Phase::Control).iter().map(|operation| &*operation.key).collect();
    // What the first part finds of a stored key is called after it, which may be a key of any part.
    let stored = observation.into_iter().flat_map(Observation::shared_stored_keys);
    let named = looked.iter().flat_map(Looked::keys).chain(stored);
    let mut keys: FxHashSet<&str> = named.filter(|key| part.has(key) && !control.contains(key)).collect();
    if part.is_first() {
        keys.extend(control);
    }
    let named = judged.operations.iter().filter(|operation| keys.contains(&*operation.key)).cloned().collect();
    let read = observation.map(|observation| Cow::Owned(observation.of_keys(&keys)));
    (Cow::Owned(judged.with_operations(named)), read)
}
