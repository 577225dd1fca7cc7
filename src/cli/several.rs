//! Several scenarios of one `onlyone run`: what became of each, told at the end in one table and one JUnit file.

use std::path::Path;

use anyhow::Context;

use super::args::Common;
use super::show::with_unwritten;
use super::values::Format;
use super::{CliError, Io};
use crate::report::{Ended, Row, junit_of_all, several, write_atomic};
use crate::scenario::{Scenario, WorkloadKind};
use crate::session::bursts;
use crate::session::reproduce::quoted;
use crate::verdict::ExitStatus;

/// How one scenario ended, and its row in the table, unless it was interrupted before there was anything to say.
pub(super) type Judged = (ExitStatus, Option<Ended>);

/// Name of the JUnit file of all scenarios, in the folder of the reports. It is not that of a single run, which the same
/// pattern would find a second time.
const MERGED: &str = "junit-all.xml";

/// What became of the scenarios so far.
pub(super) struct Tally<'a> {
    common: &'a Common,
    /// Whether there is but one scenario, of which nothing more is to be said.
    single: bool,
    /// stdout is for events, and has no table at the end.
    events: bool,
    statuses: Vec<ExitStatus>,
    rows: Vec<Row>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(scenarios: &[Scenario], common: &'a Common, events: bool) -> Self {
        Tally { common, single: scenarios.len() == 1, events, statuses: Vec::new(), rows: Vec::new() }
    }

    /// Whether a scenario among several is left out, because nothing that it says could judge a load. One that is named alone is
    /// run, and its report says so.
    pub(super) fn passes_over(&mut self, scenario: &Scenario) -> bool {
        let judged = scenario.workload != WorkloadKind::Custom || scenario.has_rules() || bursts::apply(scenario);
        if self.single || judged {
            return false;
        }
        let reason = "no invariant of its own judges it under load".to_owned();
        let file = quoted(&scenario.file.display().to_string());
        let instead = format!("onlyone explore {file} --judge as-if-serial");
        self.rows.push(Row { scenario: scenario.name.clone(), ended: Ended::NotForRun { reason, instead } });
        true
    }

    /// Notes how a scenario ended. An error ends the command where there is no other scenario.
    pub(super) fn note(
        &mut self,
        scenario: &Scenario,
        ended: Result<Judged, CliError>,
        io: &mut Io,
    ) -> Result<(), CliError> {
        let ended = match ended {
            Err(error) if self.single => return Err(error),
            // A violation that was found already is not masked by what follows it.
            Err(error) => {
                io.note(&error.render(io.err_colour));
                self.statuses.push(error.status);
                Ended::Failed { exit_code: error.status.code(), message: error.render(false) }
            }
            Ok((status, ended)) => {
                self.statuses.push(status);
                let Some(ended) = ended else { return Ok(()) };
                ended
            }
        };
        self.rows.push(Row { scenario: scenario.name.clone(), ended });
        Ok(())
    }

    /// The status after an interruption that waits for nothing.
    pub(super) fn killed(self) -> ExitStatus {
        ExitStatus::combine(self.statuses.into_iter().chain([ExitStatus::Interrupted]))
    }

    /// The table and the file of all, and the status. What cannot be written is told, and masks no violation.
    pub(super) fn end(self, io: &mut Io) -> Result<ExitStatus, CliError> {
        let mut written = Vec::new();
        if !self.single && !self.rows.is_empty() {
            let path = self.common.out.join(MERGED);
            let merged = self.write(&path);
            // Whoever reads JSON, or events, reads an object per scenario or a line each, and nothing else.
            if self.common.format == Format::Human && !self.events {
                let table = several(&self.rows, io.out_colour, io.width);
                let file = if merged.is_ok() { format!("JUnit         {}\n", path.display()) } else { String::new() };
                written.push(io.result(&(table + &file)).context("cannot write to stdout").map_err(CliError::setup));
            }
            written.push(merged);
        }
        let judged = !self.statuses.is_empty() || self.rows.is_empty();
        let status = with_unwritten(ExitStatus::combine(self.statuses), written, io);
        if judged {
            return Ok(status);
        }
        Err(CliError::usage(anyhow::anyhow!("none of these scenarios is for `run`"))
            .hint("`onlyone explore FILE` judges each by its own serial runs"))
    }

    /// Writes the file of all.
    fn write(&self, path: &Path) -> Result<(), CliError> {
        let xml = junit_of_all(&self.rows).map_err(CliError::setup)?;
        std::fs::create_dir_all(&self.common.out)
            .with_context(|| format!("cannot create {}", self.common.out.display()))
            .map_err(CliError::setup)?;
        write_atomic(path, xml.as_bytes()).map_err(CliError::setup)
    }
}
