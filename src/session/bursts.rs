//! Bursts of equal requests before a load, held against as many one after another: where nothing else says what must hold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::environment::Environment;
use crate::explore::bursts::Bursts;
use crate::explore::subject::Operations;
use crate::report::AsIfSerialReport;
use crate::scenario::{ExploreSpec, Load, Scenario, WorkloadKind};
use crate::serial::Settings;
use crate::target::Guard;
use crate::workload::{self, Requests};

/// Requests of a burst at most.
const MOST_REQUESTS: u32 = 8;
/// How long the bursts of all operations may take: no further one begins after that.
const LONGEST: Duration = Duration::from_secs(30);
/// Number of the first round: those of the load are below. Each operation has as many numbers as it may need.
const FIRST: u32 = 500_000_000;
const OF_ONE: u32 = 10_000;

/// Whether a run of this scenario begins with bursts: it goes to a service, and no invariant says what must hold.
pub(crate) fn apply(scenario: &Scenario) -> bool {
    scenario.workload == WorkloadKind::Custom
        && !scenario.has_rules()
        && scenario.judging().as_if_serial
        && scenario.target.http().is_some()
}

/// How outcomes are compared.
pub(crate) fn settings(spec: &ExploreSpec) -> Settings {
    // A validated scenario names places only.
    let places = |names: &[String]| names.iter().filter_map(|name| name.parse().ok()).collect();
    Settings {
        ignore: places(&spec.ignore),
        unordered: places(&spec.unordered),
        refusals: spec.refusals.clone(),
        strict: spec.strict.unwrap_or(false),
        now: Timestamp::now().as_millisecond(),
        coarse: false,
    }
}

/// Sends them, operation by operation, and says what came of it, or why there were none.
pub(crate) async fn compared(
    scenario: &Scenario,
    environment: &Environment,
    guard: &Guard,
    (run_id, seed): (&str, u64),
    stop: &CancellationToken,
) -> Option<AsIfSerialReport> {
    let http = scenario.target.http().filter(|_| apply(scenario))?;
    let (client, database) = match environment.reader(guard).await {
        Ok(reader) => reader,
        Err(why) => {
            let inconclusive = Some(format!("no bursts were sent: {why}"));
            return Some(AsIfSerialReport { inconclusive, bursts_of: Some(0), ..AsIfSerialReport::default() });
        }
    };
    let bursts = Bursts {
        target: Arc::clone(&environment.target),
        client,
        database,
        settings: settings(&scenario.explore),
        deadline: scenario.limits.operation_deadline,
        within: scenario.stored_within(),
        stop: stop.clone(),
    };
    let requests = requests(&scenario.load);
    let (begin, mut reports, mut left_out) = (Instant::now(), Vec::new(), 0);
    for (first, name) in (FIRST..).step_by(OF_ONE as usize).zip(http.operations.keys()) {
        if stop.is_cancelled() || begin.elapsed() >= LONGEST {
            left_out += 1;
            continue;
        }
        let workload = workload::of_scenario(scenario, run_id);
        let all = Requests::new(workload, vec![name.clone()], requests, seed);
        let subject = Operations::of_requests(Arc::clone(&environment.target), &all, requests);
        reports.push(bursts.of(&subject, name, first).await);
    }
    let mut whole = AsIfSerialReport::joined(reports)?;
    if left_out > 0 {
        whole.notes.push(format!("no bursts of {left_out} further operations: the time for them was up"));
    }
    Some(whole)
}

/// Requests of a burst: as many as the load has clients, within reason.
fn requests(load: &Load) -> u32 {
    load.clients().clamp(2, MOST_REQUESTS)
}
