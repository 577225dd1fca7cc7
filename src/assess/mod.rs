//! From a recorded run to its report: the one way, for a run that has just ended and for a stored one.
//!
//! It joins what the checkers, the statistics and the conditions of the run say. It touches neither network nor clock, so
//! a stored run gives the same report.

mod answers;
mod conditions;
mod expectation;
mod queries;
mod record;
mod serial;

use std::path::Path;

pub use queries::violations;
pub use record::{RUN_FORMAT_VERSION, RunRecord};

use crate::checker::{Evidence, judge};
use crate::history::{History, Observation, Phase};
use crate::report::{FORMAT_VERSION, Report};
use crate::scenario::{Load, Scenario, ScenarioError};
use crate::stats::{self, Clock, Conditions, LatencyStats};
use crate::target::http::describe;
use crate::verdict::{ExitStatus, Invariant, InvariantResult, Verdict};
use crate::workload;

/// Why a run cannot be assessed.
#[derive(Debug, thiserror::Error)]
pub enum AssessError {
    /// The scenario that was stored with the run is not one of this version.
    #[error("the stored scenario cannot be read:\n{}", .0.render(false))]
    Scenario(ScenarioError),
    /// A histogram cannot be made.
    #[error("cannot make the latency histograms")]
    Histogram(#[from] hdrhistogram::CreationError),
}

/// What was recorded of a run.
#[derive(Debug, Clone, Copy)]
pub struct Recording<'a> {
    /// What was run, and under which conditions.
    pub record: &'a RunRecord,
    /// Every operation.
    pub history: &'a History,
    /// The final state, if it was read.
    pub observation: Option<&'a Observation>,
}

/// Judges a recorded run. The statistics come with the report for the latency files.
pub fn assess(run: Recording<'_>) -> Result<(Report, LatencyStats), AssessError> {
    let scenario = scenario_of(run.record)?;
    let understood = match scenario.target.http() {
        Some(_) => answers::understand(run.history),
        None => answers::Understood { history: std::borrow::Cow::Borrowed(run.history), reasons: Vec::new() },
    };
    let run = Recording { history: &understood.history, ..run };
    let invariants = workload::invariants_of(&scenario, &run.record.run_id);
    let mut results = judge(run.history, run.observation, Phase::Main, &invariants);
    // Without a serial control there is nothing to hold the load against.
    results.retain(|result| result.name != Invariant::SomebodyServed || result.checked > 0);
    if let Some(error) = &run.record.observe_error {
        let unread = |result: InvariantResult| result.weaken(format!("the final state could not be read: {error}"));
        results = results.into_iter().map(unread).collect();
    }
    let seen = queries::Seen {
        operations: &run.history.operations,
        cut_short: run.history.partial || run.history.interrupted || run.record.aborted.is_some(),
    };
    let before = match run.record.queries_serial.as_slice() {
        [] => &run.record.queries_before,
        after_control => after_control,
    };
    results.extend(queries::judge(&scenario.invariants, &run.record.queries, before, &seen));
    let own_serially = queries::judge_serial(
        &scenario.invariants,
        &run.record.queries_serial,
        &run.record.queries_before,
        run.history.phase(Phase::Control),
    );
    let control = serial::judged(&run, &invariants, own_serially);
    if let Some((_, serially)) = &control {
        results = serial::used(results, serially);
    }
    let results = over_http(results, &scenario, run.record);
    let judged = Verdict::combine(results.iter().map(|result| result.verdict));
    let stats = LatencyStats::of(Clock::of(&scenario.load), run.history.phase(Phase::Main))?;
    let concurrency = stats::concurrency(
        &Evidence::of_phase(run.history, run.observation, Phase::Main),
        Conditions {
            clients: scenario.load.clients(),
            burst: matches!(scenario.load, Load::Burst { .. } | Load::Waves { .. }),
            connections: run.record.preflight.connections_ready,
            violated: judged != Verdict::Holds,
        },
    );
    let mut reasons = understood.reasons.clone();
    reasons.extend(conditions::nothing_said(&scenario, &results));
    reasons.extend(conditions::reasons(&run, &scenario, &concurrency));
    // What weakens the run weakens a verdict that holds; a violation stays one.
    let verdict = if reasons.is_empty() { judged } else { judged.max(Verdict::Inconclusive) };
    let thresholds = stats::evaluate(&scenario.expect.thresholds, &stats, run.record.generator.dropped_arrivals);
    let expectation = expectation::evaluate(&scenario.expect, verdict, &results, reasons.is_empty());
    // A run that ended early for a reason of its own was not interrupted by anyone.
    let interrupted = (run.history.interrupted || run.record.interrupted) && run.record.aborted.is_none();
    let status = expectation::exit_status(verdict, expectation.as_ref(), &thresholds, interrupted);
    let report = Report {
        format_version: FORMAT_VERSION,
        tool: "onlyone".to_owned(),
        version: run.record.version.clone(),
        run_id: run.record.run_id.clone(),
        scenario: scenario.name.clone(),
        seed: run.record.seed,
        verdict,
        reasons,
        exit_code: status.code(),
        expectation,
        partial: run.history.partial || run.history.interrupted || run.record.interrupted,
        reproduce: run.record.reproduce.clone(),
        invariants: results,
        serial_control: control.map(|(told, _)| told),
        operations: stats.operations(),
        concurrency,
        throughput_per_s: stats.throughput_per_s(),
        duration_s: stats.duration_s(),
        over_time: stats.timeline().figures(),
        thresholds,
        generator: run.record.generator,
        machine: run.record.machine.clone(),
        preflight: run.record.preflight.clone(),
        explore: run.record.explore.clone(),
        selftest: None,
        findings: None,
        actions: None,
    };
    Ok((report, stats))
}

/// Results of a run over HTTP: witnesses name the requests, and what was not read is said.
fn over_http(results: Vec<InvariantResult>, scenario: &Scenario, record: &RunRecord) -> Vec<InvariantResult> {
    if scenario.target.http().is_none() {
        return results;
    }
    let observed = scenario.observe.mongo.is_some() || scenario.observe.http.is_some();
    let unread = workload::blind_spots(scenario).into_iter().next().filter(|_| !observed);
    let told = |mut result: InvariantResult| {
        for witness in &mut result.witnesses {
            let requests: Vec<String> = (witness.operations.iter())
                .filter_map(|operation| {
                    Some(format!("{} {}", operation.id, describe(scenario, &record.run_id, operation)?))
                })
                .collect();
            if !requests.is_empty() {
                witness.explanation.push_str(&format!(". Requests: {}", requests.join("; ")));
            }
        }
        let own = matches!(result.name, Invariant::Custom(_));
        match &unread {
            Some(unread) if !own && result.reason.is_none() => result.note(unread.as_str()),
            _ => result,
        }
    };
    results.into_iter().map(told).collect()
}

/// The scenario as it was resolved for the run.
pub fn scenario_of(record: &RunRecord) -> Result<Scenario, AssessError> {
    let path = Path::new(&record.scenario_file);
    // Everything was expanded when the run was resolved.
    let environment = |_: &str| None;
    let known = crate::strategy::names;
    crate::scenario::load_text(path, record.scenario.clone(), &[], &environment, &known).map_err(AssessError::Scenario)
}

/// The status that a report's process ends with.
pub fn status_of(report: &Report) -> ExitStatus {
    ExitStatus::from_code(report.exit_code).unwrap_or(ExitStatus::Inconclusive)
}
