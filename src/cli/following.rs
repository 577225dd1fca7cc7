//! A session followed on the terminal: the progress line, what telemetry is handed, what went wrong beside the verdict.

use std::sync::Arc;

use super::Io;
use super::progress::{Counted, Extent, ProgressLine};
use super::telemetry::Telemetry;
use crate::driver::Progress;
use crate::scenario::Scenario;
use crate::session::{Observer, SessionError};
use crate::target::Preflight;

/// Follows a session.
pub(super) struct Following<'a> {
    scenario: &'a Scenario,
    /// What is said of it elsewhere.
    telemetry: Option<&'a Telemetry>,
    io: &'a mut Io,
    quiet: bool,
    line: Option<ProgressLine>,
}

impl<'a> Following<'a> {
    pub(super) fn new(
        scenario: &'a Scenario,
        telemetry: Option<&'a Telemetry>,
        io: &'a mut Io,
        quiet: bool,
    ) -> Following<'a> {
        Following { scenario, telemetry, io, quiet, line: None }
    }
}

impl Observer for Following<'_> {
    fn ready(&mut self, preflight: &Preflight) {
        for finding in preflight.lint.iter().filter(|_| !self.quiet) {
            self.io.note(&format!("lint: {finding}\n"));
        }
        if let Some(telemetry) = self.telemetry {
            telemetry.begin();
        }
    }

    fn load_begins(&mut self, progress: &Arc<Progress>, operations: Option<u64>) {
        if let Some(telemetry) = self.telemetry {
            // Nobody else has set it: it is new.
            progress.watcher.set(telemetry.watcher()).ok();
        }
        let counted = Counted::Operations(Arc::clone(progress));
        let extent = Extent { count: operations, time: self.scenario.load.duration() };
        self.line = Some(ProgressLine::start(counted, extent, self.io.err_terminal, self.quiet));
    }

    fn load_ended(&mut self) {
        self.line = None;
    }

    fn failed(&mut self, error: SessionError) {
        let text = error.render(self.io.err_colour);
        self.io.note(&text);
    }
}
