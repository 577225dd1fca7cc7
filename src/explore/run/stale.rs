//! An execution in which a read is answered by a secondary that lags.

use std::time::Duration;

use super::Run;
use crate::explore::execution::INTERRUPTED;
use crate::explore::fault::Fault;
use crate::explore::wire::Kind;
use crate::scope::{Ended, Scope};

/// How long a secondary may take to catch up and to be held.
const FALLEN_BEHIND_WITHIN: Duration = Duration::from_secs(30);

impl Run<'_> {
    /// Holds a secondary behind from now on, where this execution is to have one.
    pub(super) async fn fall_behind(&mut self, lags: bool) -> Result<(), String> {
        if !lags {
            return Ok(());
        }
        let lag = self.scheduler.faults.as_ref().and_then(|mode| mode.lag.clone());
        let Some(lag) = lag else { return Err("there is no secondary that could be held behind".to_owned()) };
        // It has a deadline of its own.
        let scope = Scope::new(FALLEN_BEHIND_WITHIN, &self.scheduler.stop);
        match scope.wait(lag.hold()).await {
            Ok(held) => held,
            Err(Ended::Stopped) => Err(INTERRUPTED.to_owned()),
            Err(ended) => Err(format!("no secondary could be held behind: {ended}")),
        }
    }

    /// Lets it go on, also when everything is to end.
    pub(super) async fn catch_up(&mut self, lags: bool) -> Result<(), String> {
        let lag = self.scheduler.faults.as_ref().and_then(|mode| mode.lag.clone());
        match lag.filter(|_| lags) {
            Some(lag) => lag.release().await,
            None => Ok(()),
        }
    }

    /// Whoever reads from a secondary accepts an old answer: what a request is told that only reads is not compared. What a request
    /// writes on its account is.
    pub(super) fn excuse_stale_answers(&mut self) {
        let steps = &self.execution.steps;
        let Some(struck) = steps.iter().find(|step| step.pick.fault == Some(Fault::StaleRead)) else { return };
        let request = struck.request;
        if steps.iter().all(|step| step.request != request || step.command.kind != Kind::Write) {
            self.execution.touched.insert(request);
        }
    }
}
