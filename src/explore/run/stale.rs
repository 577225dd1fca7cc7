//! An execution in which a read is answered by a secondary that lags.

use std::sync::Arc;

use super::Run;
use crate::explore::execution::{INTERRUPTED, Step};
use crate::explore::fault::{Fault, Lag};
use crate::explore::wire::Kind;

impl Run<'_> {
    fn lag(&self) -> Option<Arc<Lag>> {
        self.scheduler.faults.as_ref().and_then(|mode| mode.lag.clone())
    }

    /// Holds a secondary behind from now on, where this execution is to have one.
    pub(super) async fn fall_behind(&mut self, lags: bool) -> Result<(), String> {
        if !lags {
            return Ok(());
        }
        let Some(lag) = self.lag() else { return Err("there is no secondary that could be held behind".to_owned()) };
        // It has a deadline of its own.
        let stop = self.scheduler.stop.clone();
        stop.run_until_cancelled(lag.hold()).await.unwrap_or_else(|| Err(INTERRUPTED.to_owned()))
    }

    /// Lets it go on, also when everything is to end.
    pub(super) async fn catch_up(&mut self, lags: bool) -> Result<(), String> {
        match self.lag().filter(|_| lags) {
            Some(lag) => lag.release().await,
            None => Ok(()),
        }
    }

    /// An error where something else than the read that is struck depended on a member that lags: that accuses nobody.
    pub(super) async fn only_one_read_lagged(&mut self, lags: bool) -> Result<(), String> {
        let Some(lag) = self.lag() else { return Ok(()) };
        let waited = |step: &Step| step.reply.as_ref().is_some_and(|reply| reply.write_concern_error);
        if lags && self.execution.steps.iter().any(waited) {
            return Err(
                "a write waits for the secondary that is held behind: its write concern takes all members".to_owned()
            );
        }
        lag.leads().await
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
