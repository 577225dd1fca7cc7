//! Several operations, none of which the user lets meet another: every choice of them is explored, the likeliest to conflict
//! first, within one budget.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::One;
use super::asked::search;
use super::established::Place;
use crate::cli::CliError;
use crate::cli::args::ExploreArgs;
use crate::explore::outcome::Exploration;
use crate::explore::pairs::{Part, choices, merged};
use crate::explore::search::Search;
use crate::scenario::{JudgeKind, Scenario, WorkloadKind};
use crate::session::Environment;
use crate::target::Guard;

/// Requests of a choice, where nothing is said.
const PAIR: u32 = 2;

/// The operations of which every choice is explored, if that is what is asked for.
pub(super) fn operations(args: &ExploreArgs, scenario: &Scenario) -> Result<Option<Vec<String>>, CliError> {
    let spec = &scenario.explore;
    let searches = !matches!(search(args, scenario), Search::Replay { .. } | Search::Stress);
    let names: Vec<String> = match (args.operations.is_empty(), spec.operations.is_empty(), scenario.target.http()) {
        (false, ..) => args.operations.clone(),
        (_, false, _) => spec.operations.clone(),
        (_, _, Some(http)) => http.operations.keys().cloned().collect(),
        (_, _, None) => scenario.workload.operations().map(str::to_owned).collect(),
    };
    let nothing_named = args.operations.is_empty() && spec.operations.is_empty();
    // Whoever judges: to send one of them alone would leave the others unlooked at.
    let by_default = scenario.workload == WorkloadKind::Custom && nothing_named;
    let named = args.pairs || spec.pairs == Some(true);
    let asked = args.pairs || (args.operations.is_empty() && spec.pairs.unwrap_or(by_default));
    if !asked || !searches || (names.len() < 2 && !args.pairs) {
        return Ok(None);
    }
    if named && !scenario.judging().as_if_serial {
        return Err(CliError::usage(anyhow::anyhow!(
            "pairs of operations are judged as if serial, and `judge` leaves that out"
        ))
        .hint("say `--judge both`, or `--judge as-if-serial`"));
    }
    Ok(Some(names))
}

/// Requests of each choice.
pub(super) fn size(args: &ExploreArgs, scenario: &Scenario) -> u32 {
    args.requests.or(scenario.explore.requests).map_or(PAIR, u32::from)
}

/// Pairs that were asked for are judged as if serial, whatever else judges.
pub(super) fn judge(args: &ExploreArgs, scenario: &Scenario) -> Option<JudgeKind> {
    let pairs = args.pairs || scenario.explore.pairs == Some(true);
    args.judge.or(scenario.explore.judge).or(pairs.then_some(JudgeKind::Both))
}

impl One<'_> {
    /// Explores every choice of these operations.
    pub(super) async fn explore_pairs(
        &self,
        names: &[String],
        environment: &Environment,
        guard: &Guard,
        stop: &CancellationToken,
    ) -> Result<Exploration, CliError> {
        let start = Instant::now();
        let survey = {
            let all = u32::try_from(names.len()).unwrap_or(u32::MAX);
            let (subject, plan) = (self.subject(environment, names, all), self.plan(None, true));
            self.explorer(environment, &subject, &plan, stop.clone()).await?.starting(0, start).survey().await
        };
        let mut chosen = choices(names.len(), self.requests as usize);
        chosen.sort_by_key(|choice| std::cmp::Reverse((survey.conflicts(choice), survey.may_meet(choice))));
        // Numbers of operations depend on how many requests an execution has: none may come twice.
        let mut next = survey.next.saturating_mul(u32::try_from(names.len()).unwrap_or(u32::MAX));
        let (mut parts, mut explored) = (Vec::new(), 0_u64);
        let all = chosen.len();
        for (position, choice) in chosen.into_iter().enumerate() {
            let operations: Vec<String> = choice.iter().map(|operation| names[*operation].clone()).collect();
            let left = u32::try_from(all - position).unwrap_or(u32::MAX);
            let budget = self.share(start.elapsed(), explored, left);
            let exploration = match budget {
                Some(budget) if !stop.is_cancelled() => {
                    let (subject, plan) =
                        (self.subject(environment, &operations, self.requests), self.plan(Some(budget), false));
                    let explorer =
                        self.explorer(environment, &subject, &plan, stop.clone()).await?.starting(next, start);
                    Some(self.explored(explorer, environment, guard, &operations).await?)
                }
                _ => None,
            };
            if let Some(exploration) = &exploration {
                (next, explored) = (exploration.next, explored + exploration.report.explored);
            }
            parts.push(Part { operations, exploration });
        }
        let fresh = merged(parts, survey.operations, self.scenario.judging().as_if_serial);
        self.established(fresh, names, Place { environment, guard, stop, start }).await
    }

    /// What is left of the budget for each of so many choices; nothing when it is exhausted.
    pub(super) fn share(&self, elapsed: Duration, explored: u64, left: u32) -> Option<(Option<u32>, Duration)> {
        let time = self.args.max_time.checked_sub(elapsed).filter(|time| !time.is_zero())? / left.max(1);
        let Some(most) = self.args.max_schedules else { return Some((None, time)) };
        let most = u64::from(most).checked_sub(explored).filter(|most| *most > 0)?.div_ceil(u64::from(left));
        Some((Some(u32::try_from(most).unwrap_or(u32::MAX)), time))
    }
}
