//! From the recorded shards of one run to one recorded run, whatever the order in which they are named.

use super::record::RunRecord;
use crate::history::{History, Late, Nanos, Observation, Operation};
use crate::shard::{Shard, ShardRecord, ShardState};
use crate::stats::{Generator, StageMarks};

/// What one shard recorded.
#[derive(Debug, Clone)]
pub struct ShardRun {
    /// The folder, for messages.
    pub folder: String,
    /// Its `run.json`.
    pub record: RunRecord,
    /// Its operations.
    pub history: History,
    /// The final state, if it read it.
    pub observation: Option<Observation>,
}

/// One run, of all shards.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedRun {
    /// Its `run.json`.
    pub record: RunRecord,
    /// All operations, with times from one zero.
    pub history: History,
    /// The final state, as the first shard found it.
    pub observation: Option<Observation>,
}

/// Why folders cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmergeable {
    /// Nothing was named.
    #[error("no folder was named")]
    Nothing,
    /// It was not made with `--shard`.
    #[error("{0} is not the folder of a shard")]
    NotAShard(String),
    /// It holds several already.
    #[error("{0} is a merged run already")]
    Merged(String),
    /// Two are of different runs.
    #[error("{} and {} are not shards of one run: the {what} differs ({} and {})", one.0, other.0, one.1, other.1)]
    Different {
        /// In what they differ.
        what: &'static str,
        /// A folder and what it says.
        one: (String, String),
        /// Another.
        other: (String, String),
    },
    /// A shard is there twice.
    #[error("{one} and {other} are both shard {shard}")]
    Twice {
        /// Which.
        shard: Shard,
        /// A folder.
        one: String,
        /// Another.
        other: String,
    },
    /// Two shards have operations of one number, or one has a client that is another's.
    #[error("{folder} is damaged: {what}")]
    Damaged {
        /// The folder.
        folder: String,
        /// What is wrong.
        what: String,
    },
}

/// Joins shards. The order in which they come does not matter.
pub fn merge(runs: Vec<ShardRun>) -> Result<MergedRun, Unmergeable> {
    let runs = of_one_run(runs)?;
    let of = runs.first().ok_or(Unmergeable::Nothing)?.1.of;
    let zeros = Zeros::of(&runs);
    let mut operations: Vec<Operation> = Vec::new();
    let mut shards: Vec<ShardRecord> = (0..of).map(|index| ShardRecord::missing(Shard { index, of })).collect();
    for (run, shard) in &runs {
        let later = zeros.later(&run.record);
        operations.extend(own_operations(run, *shard)?.map(|operation| moved(operation, later)));
        if let Some(record) = &run.record.shard {
            shards[shard.index as usize] = ShardRecord {
                clock: record.clock.rebased(later, zeros.origin(&run.record).unwrap_or_default()),
                observed_at_ns: record.observed_at_ns.map(|at| at.saturating_add(later)),
                operations: Some(run.history.operations.len() as u64),
                state: state(&run.history),
                ..record.clone()
            };
        }
    }
    operations.sort_by_key(|operation| operation.id);
    if let Some(pair) = operations.windows(2).find(|pair| pair[0].id == pair[1].id) {
        let what = format!("{} is there twice", pair[0].id);
        return Err(Unmergeable::Damaged { folder: "one of the folders".to_owned(), what });
    }
    let history = History {
        operations,
        partial: shards.iter().any(|shard| matches!(shard.state, ShardState::Died | ShardState::Missing)),
        interrupted: runs.iter().any(|(run, _)| run.history.interrupted),
        ..History::default()
    };
    let has_read = |run: &ShardRun| run.record.shard.as_ref().is_some_and(|shard| shard.observed_at_ns.is_some());
    let reader = runs.iter().find(|(run, shard)| shard.leads() && has_read(run)).map(|(run, _)| run);
    let record = RunRecord { stages: stages(&runs, &zeros, of), ..record(&runs, reader, shards) };
    Ok(MergedRun { record, history, observation: reader.and_then(|run| run.observation.clone()) })
}

/// The shards in their order, if they are of one run and each is there once.
fn of_one_run(runs: Vec<ShardRun>) -> Result<Vec<(ShardRun, Shard)>, Unmergeable> {
    let mut ordered = Vec::new();
    for run in runs {
        match &run.record.shard {
            _ if !run.record.shards.is_empty() => return Err(Unmergeable::Merged(run.folder)),
            None => return Err(Unmergeable::NotAShard(run.folder)),
            Some(record) => {
                let shard = record.shard;
                ordered.push((run, shard));
            }
        }
    }
    ordered.sort_by(|(one, shard), (other, of)| (shard, &one.folder).cmp(&(of, &other.folder)));
    for pair in ordered.windows(2) {
        let (one, other) = (&pair[0], &pair[1]);
        differs(one, other, "run id", |run, _| run.record.run_id.clone())?;
        differs(one, other, "number of shards", |_, shard| shard.of.to_string())?;
        differs(one, other, "seed", |run, _| run.record.seed.to_string())?;
        differs(one, other, "version", |run, _| run.record.version.clone())?;
        differs(one, other, "meeting", |run, _| met(run).to_owned())?;
        if one.0.record.scenario != other.0.record.scenario {
            let named = |run: &ShardRun| (run.folder.clone(), run.record.scenario_file.clone());
            return Err(Unmergeable::Different { what: "scenario", one: named(&one.0), other: named(&other.0) });
        }
        if one.1 == other.1 {
            let (one, other) = (one.0.folder.clone(), other.0.folder.clone());
            return Err(Unmergeable::Twice { shard: pair[0].1, one, other });
        }
    }
    Ok(ordered)
}

/// What its meeting is called.
fn met(run: &ShardRun) -> &str {
    run.record.shard.as_ref().map_or("", |shard| &shard.meeting)
}

/// An error where two shards say different things.
fn differs(
    one: &(ShardRun, Shard),
    other: &(ShardRun, Shard),
    what: &'static str,
    says: impl Fn(&ShardRun, &Shard) -> String,
) -> Result<(), Unmergeable> {
    let (here, there) = (says(&one.0, &one.1), says(&other.0, &other.1));
    if here == there {
        return Ok(());
    }
    Err(Unmergeable::Different { what, one: (one.0.folder.clone(), here), other: (other.0.folder.clone(), there) })
}

/// The operations of a shard, each of which must be its own.
fn own_operations(run: &ShardRun, shard: Shard) -> Result<impl Iterator<Item = Operation> + use<'_>, Unmergeable> {
    let foreign = run.history.operations.iter().find(|operation| match operation.phase.is_main() {
        true => !shard.owns(operation.client.into()),
        false => !shard.leads(),
    });
    match foreign {
        None => Ok(run.history.operations.iter().cloned()),
        Some(operation) => Err(Unmergeable::Damaged {
            folder: run.folder.clone(),
            what: format!("{} of client {} is not of shard {shard}", operation.id, operation.client),
        }),
    }
}

fn state(history: &History) -> ShardState {
    match (history.partial, history.interrupted) {
        (true, _) => ShardState::Died,
        (false, true) => ShardState::Interrupted,
        (false, false) => ShardState::Whole,
    }
}

/// Where the times of each shard begin, on the clock of the meeting.
struct Zeros {
    base: Option<i64>,
}

impl Zeros {
    /// The first of them becomes the zero of all.
    fn of(runs: &[(ShardRun, Shard)]) -> Self {
        Zeros { base: runs.iter().filter_map(|(run, _)| origin(&run.record)).min() }
    }

    fn origin(&self, record: &RunRecord) -> Option<i64> {
        origin(record)
    }

    /// How much later than that this shard began. One of whose clock nothing is known stays where it is.
    fn later(&self, record: &RunRecord) -> Nanos {
        origin(record).zip(self.base).map_or(0, |(origin, base)| origin.abs_diff(base))
    }
}

fn origin(record: &RunRecord) -> Option<i64> {
    Some(record.shard.as_ref()?.clock.difference(0)?.middle())
}

/// An operation with its times from a later zero.
fn moved(operation: Operation, later: Nanos) -> Operation {
    let moved = |at: Nanos| at.saturating_add(later);
    Operation {
        intended: moved(operation.intended),
        invoked: moved(operation.invoked),
        connected: operation.connected.map(moved),
        completed: moved(operation.completed),
        late: operation.late.map(|late| Box::new(Late { completed: moved(late.completed), outcome: late.outcome })),
        ..operation
    }
}

/// The record of all, from those of each: what is done once is that of whoever did it.
fn record(runs: &[(ShardRun, Shard)], reader: Option<&ShardRun>, shards: Vec<ShardRecord>) -> RunRecord {
    let records = || runs.iter().map(|(run, _)| &run.record);
    let first = records().next().cloned().unwrap_or_default();
    let mut preflight = first.preflight.clone();
    preflight.connections_ready = records().map(|record| record.preflight.connections_ready).sum();
    preflight.topology = distinct(records().filter_map(|record| record.preflight.topology.as_deref()));
    preflight.too_few_connections = records().find_map(|record| record.preflight.too_few_connections.clone());
    for note in records().flat_map(|record| &record.preflight.notes) {
        if !preflight.notes.contains(note) {
            preflight.notes.push(note.clone());
        }
    }
    let aborted: Vec<String> = runs
        .iter()
        .filter_map(|(run, shard)| {
            Some(format!("shard {} of {}: {}", shard.index, shard.of, run.record.aborted.as_ref()?))
        })
        .collect();
    // Whoever saw the server change is believed; otherwise whoever saw it twice.
    let both = |record: &&RunRecord| record.server_before.is_some() && record.server_after.is_some();
    let changed = |record: &&RunRecord| {
        let after = record.server_after.as_ref();
        record.server_before.as_ref().zip(after).is_some_and(|(before, after)| before.change(after).is_some())
    };
    let server = records().find(changed).or_else(|| records().find(both)).unwrap_or(&first);
    let unread = match reader {
        Some(reader) => reader.record.observe_error.clone(),
        None => Some("no shard that is there read it".to_owned()),
    };
    // What follows it is of a shard as well.
    let of_all = first.reproduce.rfind(" --shard ").map_or(&*first.reproduce, |at| &first.reproduce[..at]).to_owned();
    let mut sightings = reader.and_then(|reader| reader.record.sightings.clone());
    if let Some(sightings) = &mut sightings {
        sightings.answers =
            records().filter_map(|record| record.sightings.as_ref()).flat_map(|seen| seen.answers.clone()).collect();
    }
    let queries = reader.map_or_else(Vec::new, |reader| reader.record.queries.clone());
    RunRecord {
        reproduce: of_all,
        // Each may have a service of its own.
        target: distinct(records().map(|record| &*record.target)).unwrap_or_default(),
        preflight,
        generator: generator(records().map(|record| record.generator)),
        server_before: server.server_before.clone(),
        server_after: server.server_after.clone(),
        observe_error: unread,
        aborted: (!aborted.is_empty()).then(|| aborted.join("; ")),
        interrupted: records().any(|record| record.interrupted),
        queries,
        sightings,
        shard: None,
        shards,
        ..first
    }
}

/// Where stages lie in each shard; what each dropped, together.
fn stages(runs: &[(ShardRun, Shard)], zeros: &Zeros, of: u32) -> Option<StageMarks> {
    let mut begun: Vec<Option<Nanos>> = vec![None; of as usize];
    let mut dropped: Vec<u64> = Vec::new();
    let marked = runs.iter().filter_map(|(run, shard)| Some((run, shard, run.record.stages.as_ref()?)));
    for (run, shard, marks) in marked {
        begun[shard.index as usize] = marks.begun_ns.first().map(|at| at.saturating_add(zeros.later(&run.record)));
        dropped.resize(dropped.len().max(marks.dropped.len()), 0);
        dropped.iter_mut().zip(&marks.dropped).for_each(|(sum, one)| *sum += one);
    }
    // All begin at one moment: who died before that could be written down began when the others did.
    let others = begun.iter().flatten().max().copied()?;
    Some(StageMarks { begun_ns: begun.into_iter().map(|at| at.unwrap_or(others)).collect(), dropped })
}

/// What they say, each thing once; `None` where nothing is said.
fn distinct<'a>(said: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut each: Vec<&str> = Vec::new();
    for one in said {
        if !each.contains(&one) {
            each.push(one);
        }
    }
    (!each.is_empty()).then(|| each.join(", "))
}

/// What all of them cost.
fn generator(costs: impl Iterator<Item = Generator>) -> Generator {
    costs.fold(Generator::default(), |sum, one| Generator {
        cpu_s: sum.cpu_s + one.cpu_s,
        max_rss_bytes: sum.max_rss_bytes.max(one.max_rss_bytes),
        dropped_arrivals: sum.dropped_arrivals + one.dropped_arrivals,
        other_load: larger(sum.other_load, one.other_load),
        cpu_share: larger(sum.cpu_share, one.cpu_share),
        machine_busy: larger(sum.machine_busy, one.machine_busy),
    })
}

/// The larger of two shares, of which either may not be known.
fn larger(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
