//! A run that is judged by parts of its keys: each part by itself, on whatever machine, and then all of them together.
//!
//! - Property: the report of all parts is that of the whole run, whatever the number of parts.
//! - What a key does not decide by itself is known to every part (what the whole history says of itself, the serial control),
//!   is added up (counts, histograms, stages), or is kept so that it can be joined (when operations were in flight, the best
//!   proofs with the place of their keys, the operations of the keys that proofs name).
//! - A run is judged as a whole where one thing about it is not told key by key: [`indivisible`] says which.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::counted::Counted;
use super::gather::{self, Facts, Gathered, gather};
use super::several::Several;
use super::{AssessError, Recording, RunRecord, conclude, own, scenario_of};
use crate::checker::Looked;
use crate::history::{History, KeyPart, NumberRule, Observation, Operation, Source};
use crate::report::{FaultReport, Fit, Report, ShardReport};
use crate::scenario::Scenario;
use crate::stats::{Clock, LatencyStats, LatencySums, Moments, Overlap};
use crate::verdict::Verdict;

/// Version of the file of a part.
pub const PART_FORMAT_VERSION: u32 = 1;

/// What was found in one part of a run's keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// [`PART_FORMAT_VERSION`].
    pub format_version: u32,
    /// `onlyone`.
    pub tool: String,
    /// Which part.
    pub part: KeyPart,
    /// Version of the tool that judged it.
    version: String,
    /// The run.
    pub record: RunRecord,
    facts: Facts,
    /// The final state that it was judged by, if one was read.
    read: Option<Read>,
    operations: Vec<Operation>,
    context: Vec<Operation>,
    observation: Option<Observation>,
    looked: Vec<Looked>,
    stats: LatencySums,
    sent: Option<LatencySums>,
    stages: Vec<LatencySums>,
    overlap: Overlap,
    moments: Moments,
    counted: Counted,
    several: Several,
    shards: Vec<ShardReport>,
    faults: Vec<FaultReport>,
    described: Option<Fit>,
    misread: bool,
}

/// What all parts of a run must have read alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Read {
    source: Source,
    quiescent: bool,
    documents: u64,
}

impl Read {
    fn of(observation: &Observation) -> Self {
        let Observation { source, quiescent, ref documents, .. } = *observation;
        Read { source, quiescent, documents: documents.len() as u64 }
    }
}

/// Why parts do not make a whole.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// Nothing was named.
    #[error("no part was named")]
    Nothing,
    /// It can only be judged as a whole.
    #[error("this run cannot be judged by parts of its keys: {0}")]
    Indivisible(String),
    /// They are of different runs, or one of the runs was written to in between.
    #[error("parts {one} and {other} are not of one run: the {what} differs")]
    Different {
        /// In what they differ.
        what: &'static str,
        /// One of them.
        one: KeyPart,
        /// Another.
        other: KeyPart,
    },
    /// One is there twice.
    #[error("part {0} is there twice")]
    Twice(KeyPart),
    /// Some are not there.
    #[error("of {of} parts {} missing: {}", if missing.len() == 1 { "one is" } else { "some are" }, list(missing))]
    Missing {
        /// Which.
        missing: Vec<u32>,
        /// How many there are.
        of: u32,
    },
    /// A part is damaged.
    #[error("part {part} is damaged: {what}")]
    Damaged {
        /// Which.
        part: KeyPart,
        /// What is wrong.
        what: String,
    },
    /// What they make cannot be assessed.
    #[error(transparent)]
    Assess(#[from] AssessError),
}

fn list(numbers: &[u32]) -> String {
    const MOST: usize = 10;
    let shown: Vec<String> = numbers.iter().take(MOST).map(ToString::to_string).collect();
    let more = if numbers.len() > MOST { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// Why a run can be judged as a whole only.
pub fn indivisible(record: &RunRecord, observation: Option<&Observation>) -> Result<Option<String>, AssessError> {
    let scenario = scenario_of(record)?;
    let own_broken = || {
        let nothing = History::default();
        let found = own::judge(&Recording { record, history: &nothing, observation: None }, &scenario);
        found.load.iter().chain(&found.serially).any(|result| result.verdict == Verdict::Violated)
    };
    let global = |observation: &Observation| {
        let is_global = |rule: &NumberRule| !matches!(rule, NumberRule::Bounds { .. });
        let numbers = observation.effects.numbers.iter().find(|one| !one.per_key && is_global(&one.rule));
        numbers.map(|one| format!("`{}` compares all keys with each other", one.name))
    };
    let loses = record.faults.iter().flat_map(|faults| &faults.intervals).any(|one| one.loses_from_ns.is_some());
    let why = if record.explore.is_some() {
        "its interleavings were explored"
    } else if record.shards.len() > 1 {
        "it was merged from shards, whose clocks are compared on every key"
    } else if loses {
        "a fault may have lost what was acknowledged"
    } else if own_broken() {
        "an aggregation of your own is violated, and its proof may name any key"
    } else {
        return Ok(observation.and_then(global));
    };
    Ok(Some(why.to_owned()))
}

/// Judges one part: `run` has its operations alone, beside those of the serial control. `facts` are those of the whole run.
pub fn judge_part(run: Recording<'_>, facts: Facts) -> Result<Part, AssessError> {
    judge_part_of(&scenario_of(run.record)?, run, facts)
}

/// Judges one part of the run of a scenario.
pub(crate) fn judge_part_of(scenario: &Scenario, run: Recording<'_>, facts: Facts) -> Result<Part, AssessError> {
    let part = run.history.part.unwrap_or(KeyPart { index: 0, of: 1 });
    let found = gather(&run, facts, scenario)?;
    let history = found.history.into_owned();
    Ok(Part {
        format_version: PART_FORMAT_VERSION,
        tool: "onlyone".to_owned(),
        part,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        record: run.record.clone(),
        facts: found.facts,
        read: run.observation.map(Read::of),
        operations: history.operations,
        context: history.context,
        observation: found.observation.map(Cow::into_owned),
        looked: found.looked,
        stats: found.stats.sums(),
        sent: found.sent.as_ref().map(LatencyStats::sums),
        stages: found.stages.iter().map(LatencyStats::sums).collect(),
        overlap: found.overlap,
        moments: found.moments.unwrap_or_default(),
        counted: found.counted,
        several: found.several,
        shards: found.shards,
        faults: found.faults,
        described: found.described,
        misread: !found.misread.is_empty(),
    })
}

/// Parts of one run, joined one after another.
pub struct Joined {
    first: Part,
    scenario: Scenario,
    stats: LatencyStats,
    sent: Option<LatencyStats>,
    stages: Vec<LatencyStats>,
    there: Vec<bool>,
}

impl Joined {
    /// Begins with one of them, and gives back when its operations were in flight.
    pub fn new(first: Part) -> Result<(Self, Moments), PartError> {
        let scenario = scenario_of(&first.record)?;
        let clock = Clock::of(&scenario.load);
        let new = |clock| LatencyStats::new(clock).map_err(|error| PartError::Assess(error.into()));
        let sent = first.sent.as_ref().map(|_| new(Clock::Service)).transpose()?;
        let stages = first.stages.iter().map(|_| new(clock)).collect::<Result<_, _>>()?;
        let there = vec![false; first.part.of as usize];
        let mut joined = Joined { stats: new(clock)?, sent, stages, there, scenario, first };
        let sums = (joined.first.stats.clone(), joined.first.sent.clone(), joined.first.stages.clone());
        joined.add_sums(joined.first.part, (&sums.0, sums.1.as_ref(), &sums.2))?;
        let moments = std::mem::take(&mut joined.first.moments);
        Ok((joined, moments))
    }

    /// Adds another one.
    pub fn add(&mut self, part: Part) -> Result<Moments, PartError> {
        let known = &mut self.first;
        let differ = |what| PartError::Different { what, one: known.part, other: part.part };
        if known.record.run_id != part.record.run_id {
            return Err(differ("run id"));
        }
        if known.part.of != part.part.of {
            return Err(differ("number of parts"));
        }
        if known.record != part.record {
            return Err(differ("record of the run"));
        }
        if known.facts != part.facts {
            return Err(differ("history"));
        }
        // A checker that has no final state finds nothing, which must not be joined with what another one found.
        if known.read != part.read {
            return Err(differ("final state"));
        }
        // What was found is told apart by its place alone.
        if known.version != part.version {
            return Err(differ("version of onlyone that judged it"));
        }
        if known.looked.len() != part.looked.len() {
            return Err(differ("number of invariants"));
        }
        self.add_sums(part.part, (&part.stats, part.sent.as_ref(), &part.stages))?;
        let known = &mut self.first;
        known.operations.extend(part.operations);
        known.context.extend(part.context);
        known.observation = joined_observation(known.observation.take(), part.observation);
        known.looked.iter_mut().zip(part.looked).for_each(|(one, other)| one.join(other));
        known.overlap.join(part.overlap);
        known.counted.join(part.counted);
        known.several.join(part.several);
        for (one, other) in known.shards.iter_mut().zip(part.shards) {
            match (one.operations, other.operations) {
                (_, 0) => {}
                (0, _) => *one = other,
                _ => {
                    let widths = one.clock_uncertainty_us.zip(other.clock_uncertainty_us);
                    one.clock_uncertainty_us = widths.map(|(one, other)| one.max(other));
                    one.operations += other.operations;
                }
            }
        }
        for (one, other) in known.faults.iter_mut().zip(part.faults) {
            one.operations += other.operations;
            one.unknown += other.unknown;
            one.failed += other.failed;
        }
        if let (Some(one), Some(other)) = (&mut known.described, part.described) {
            one.join(other);
        }
        known.misread |= part.misread;
        Ok(part.moments)
    }

    fn add_sums(
        &mut self,
        part: KeyPart,
        (stats, sent, stages): (&LatencySums, Option<&LatencySums>, &[LatencySums]),
    ) -> Result<(), PartError> {
        let damaged = |what: &str| PartError::Damaged { part, what: what.to_owned() };
        let slot = self.there.get_mut(part.index as usize).ok_or_else(|| damaged("there is no such part"))?;
        if std::mem::replace(slot, true) {
            return Err(PartError::Twice(part));
        }
        if self.stages.len() != stages.len() || self.sent.is_some() != sent.is_some() {
            return Err(damaged("it has other figures than the others"));
        }
        let unknown = |error: crate::stats::UnknownOutcome| damaged(&error.to_string());
        self.stats.add(stats).map_err(unknown)?;
        self.sent.iter_mut().zip(sent).try_for_each(|(one, other)| one.add(other)).map_err(unknown)?;
        self.stages.iter_mut().zip(stages).try_for_each(|(one, other)| one.add(other)).map_err(unknown)
    }

    /// The report of the whole run, in whose course so many operations were in flight at one moment, on whatever keys.
    pub fn conclude(self, peak_in_flight: u32) -> Result<(Report, LatencyStats, RunRecord), PartError> {
        let missing: Vec<u32> = (0..).zip(&self.there).filter(|(_, there)| !**there).map(|(index, _)| index).collect();
        if !missing.is_empty() {
            return Err(PartError::Missing { missing, of: self.first.part.of });
        }
        let Part { record, facts, mut operations, mut context, observation, mut overlap, .. } = self.first;
        let Part { looked, counted, several, mut shards, faults, described, misread, .. } = self.first;
        if looked.len() != gather::invariants(&record, &self.scenario).len() {
            let what = "it was judged by other invariants than those of its run".to_owned();
            return Err(PartError::Damaged { part: self.first.part, what });
        }
        if misread || described.as_ref().is_some_and(|fit| fit.rows.iter().any(|row| row.never())) {
            let why = "what the scenario says of the service was not seen on the keys of some part";
            return Err(PartError::Indivisible(why.to_owned()));
        }
        for operations in [&mut operations, &mut context] {
            operations.sort_unstable_by_key(|operation| operation.id);
            operations.dedup_by_key(|operation| operation.id);
        }
        overlap.peak_in_flight = peak_in_flight;
        let history = History {
            operations,
            context,
            partial: facts.partial,
            interrupted: facts.interrupted,
            of_a_shard: facts.of_a_shard,
            part: None,
            lost: facts.lost.clone(),
        };
        if let [one] = shards.as_mut_slice() {
            one.operations = facts.operations;
        }
        let gathered = Gathered {
            facts,
            history: Cow::Owned(history),
            observation: observation.map(Cow::Owned),
            looked,
            stats: self.stats,
            sent: self.sent,
            stages: self.stages,
            overlap,
            moments: None,
            counted,
            several,
            shards,
            faults,
            described,
            misread: Vec::new(),
        };
        let (report, stats) = conclude(&record, &self.scenario, gathered);
        Ok((report, stats, record))
    }
}

/// What was read of the keys of both.
fn joined_observation(one: Option<Observation>, other: Option<Observation>) -> Option<Observation> {
    let (mut one, other) = match (one, other) {
        (Some(one), Some(other)) => (one, other),
        (one, other) => return one.or(other),
    };
    one.documents.extend(other.documents);
    // Those of one key come from one part, in the order in which they were read.
    one.documents.sort_by(|one, other| one.key.cmp(&other.key));
    one.effects = std::sync::Arc::new(one.effects.joined(&other.effects));
    Some(one)
}

#[cfg(test)]
#[path = "part_tests.rs"]
mod tests;
