//! The beginning and the end that every recorded run has: its record, its verdict, its reports.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use super::SessionError;
use super::commit::origin;
use super::environment::Environment;
use super::set_up::EnvironmentSpec;
use super::store::{Store, read_history, read_observation, read_record};
use crate::assess::{RUN_FORMAT_VERSION, Recording, RunRecord, assess};
use crate::report::Report;
use crate::scenario;
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
    let (report, stats) = assess(recording).map_err(SessionError::setup)?;
    let reports_written = store.write_reports(&report, &stats, started);
    let unwritten = written.into_iter().chain([reports_written]).filter_map(Result::err).collect();
    Ok(Concluded { report, directory: store.directory.clone(), unwritten })
}

/// Judges the run that a folder holds, by the code that judged it first. Nothing is written.
pub(crate) fn judge_again(directory: &Path) -> Result<(Report, LatencyStats, RunRecord), SessionError> {
    let record = read_record(directory)?;
    let history = read_history(directory, &record)?;
    let observation = read_observation(directory, &record)?;
    let recording = Recording { record: &record, history: &history, observation: observation.as_ref() };
    let (report, stats) = assess(recording).map_err(SessionError::usage)?;
    Ok((report, stats, record))
}
