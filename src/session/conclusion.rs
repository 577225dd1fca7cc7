//! The beginning and the end that every recorded run has: its record, its verdict, its reports.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use super::SessionError;
use super::commit::origin;
use super::environment::Environment;
use super::in_parts;
use super::set_up::EnvironmentSpec;
use super::store::{Store, read_history, read_observation, read_record, written_history};
use crate::assess::{RUN_FORMAT_VERSION, Recording, RunRecord, assess, scenario_of};
use crate::history::Observation;
use crate::history::file::is_divided;
use crate::report::Report;
use crate::scenario::{self, MemorySize};
use crate::stats::LatencyStats;

/// A run that is over, kept and judged.
pub(crate) struct Concluded {
    /// What was found.
    pub(crate) report: Report,
    /// The run's folder.
    pub(crate) directory: PathBuf,
    /// What could not be written; it masks no violation.
    pub(crate) unwritten: Vec<SessionError>,
}

/// The record of a run that has not begun; `reproduce` is the command that runs it again.
pub(crate) fn new_record(
    spec: &EnvironmentSpec<'_>,
    environment: &Environment,
    (seed, started): (u64, SystemTime),
    reproduce: String,
) -> Result<RunRecord, SessionError> {
    let started = Timestamp::try_from(started).map_err(SessionError::setup)?.to_string();
    Ok(RunRecord {
        format_version: RUN_FORMAT_VERSION,
        tool: "onlyone".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: spec.run_id.to_owned(),
        seed,
        started_at: started.clone(),
        origin: Some(origin(started)),
        target: environment.display_target.clone(),
        reproduce,
        scenario_file: spec.scenario.file.display().to_string(),
        scenario: scenario::resolved_toml(spec.scenario).map_err(SessionError::setup)?,
        preflight: environment.preflight.clone(),
        machine: Some(crate::stats::machine()),
        ..RunRecord::default()
    })
}

/// Judges what was recorded and writes every report. `written` says what became of the files before.
pub(crate) fn conclude(
    recording: Recording<'_>,
    store: &Store,
    started: SystemTime,
    written: impl IntoIterator<Item = Result<(), SessionError>>,
) -> Result<Concluded, SessionError> {
    let judged = assess(recording).map_err(SessionError::setup)?;
    Ok(reported(judged, store, started, written))
}

/// Judges what is on the disk, of which there is more than memory may hold, and writes every report.
pub(crate) fn conclude_divided(
    record: &RunRecord,
    observation: Option<&Observation>,
    memory: MemorySize,
    store: &Store,
    started: SystemTime,
    written: impl IntoIterator<Item = Result<(), SessionError>>,
) -> Result<Concluded, SessionError> {
    let judged = in_parts::judge(&store.directory, record, observation, memory)?;
    Ok(reported(judged, store, started, written))
}

fn reported(
    (report, stats): (Report, LatencyStats),
    store: &Store,
    started: SystemTime,
    written: impl IntoIterator<Item = Result<(), SessionError>>,
) -> Concluded {
    let reports_written = store.write_reports(&report, &stats, started);
    let unwritten = written.into_iter().chain([reports_written]).filter_map(Result::err).collect();
    Concluded { report, directory: store.directory.clone(), unwritten }
}

/// Judges the run that a folder holds, by the code that judged it first. Nothing is left in it that
/// was not there.
pub(crate) fn judge_again(directory: &Path) -> Result<(Report, LatencyStats, RunRecord), SessionError> {
    judge_again_within(directory, None)
}

/// Judges it within so much memory. Without a limit, what the run itself held in memory is judged there, too, and what it did
/// not within the limit of its scenario.
pub(crate) fn judge_again_within(
    directory: &Path,
    memory: Option<MemorySize>,
) -> Result<(Report, LatencyStats, RunRecord), SessionError> {
    let record = read_record(directory)?;
    let observation = read_observation(directory, &record)?;
    let divided = match written_history(directory)? {
        Some(path) => is_divided(&path).map_err(SessionError::usage)?,
        None => false,
    };
    if memory.is_some() || divided {
        let own = || scenario_of(&record).map(|scenario| scenario.limits.memory).map_err(SessionError::usage);
        let memory = memory.map_or_else(own, Ok)?;
        let (report, stats) = in_parts::judge(directory, &record, observation.as_ref(), memory)?;
        return Ok((report, stats, record));
    }
    let history = read_history(directory, &record)?;
    let recording = Recording { record: &record, history: &history, observation: observation.as_ref() };
    let (report, stats) = assess(recording).map_err(SessionError::usage)?;
    Ok((report, stats, record))
}
