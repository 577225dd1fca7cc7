//! Two requests on what a first one left, where they do something there that they never did at once.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::asked::{requests_are_asked_for, search};
use super::{One, faults};
use crate::cli::CliError;
use crate::explore::established::with_established;
use crate::explore::explorer::Plan;
use crate::explore::outcome::Exploration;
use crate::explore::search::Search;
use crate::session::Environment;
use crate::target::Guard;

/// Requests of an exploration that nobody chose.
const TWO: u32 = 2;

impl One<'_> {
    /// What was explored of two requests on a fresh key, with two that come after a first one where that is another matter.
    pub(super) async fn established(
        &self,
        fresh: Exploration,
        environment: &Environment,
        guard: &Guard,
        stop: &CancellationToken,
        start: Instant,
    ) -> Result<Exploration, CliError> {
        let is_default = self.requests == TWO
            && !requests_are_asked_for(self.args, self.scenario)
            && search(self.args, self.scenario) == Search::Exhaustive
            && !faults::are_there(self.args, self.scenario)
            && environment.fresh_executions().is_none();
        if !is_default || !fresh.comes_second || !fresh.is_clean() || stop.is_cancelled() {
            return Ok(fresh);
        }
        let Some(budget) = self.share(start.elapsed(), fresh.report.explored, 1) else { return Ok(fresh) };
        let subject = self.subject(environment, &self.operations, TWO + 1);
        let plan = Plan { established: true, may_reduce: false, ..self.plan(Some(budget), false) };
        let explorer = self.explorer(environment, &subject, &plan, stop.clone()).await?.starting(fresh.next, start);
        let established = self.explored(explorer, environment, guard, &self.args.operations).await?;
        Ok(with_established(fresh, established))
    }
}
