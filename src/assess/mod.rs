//! From a recorded run to its report: the one way, for a run that has just ended and for a stored one.
//!
//! It joins what the checkers, the statistics and the conditions of the run say. It touches neither network nor clock, so
//! a stored run gives the same report.

mod answers;
mod conditions;
mod expectation;
mod faults;
mod fit;
mod keys;
mod limit;
mod looks;
mod merge;
mod own;
mod queries;
mod record;
mod serial;
mod server;
mod several;
mod shards;
mod unsent;

use std::path::Path;

pub use fit::fit;
pub use limit::{Limit, ends_search, limit, step as limit_step};
pub use looks::{meant_for_a_load, worsening};
pub use merge::{MergedRun, ShardRun, Unmergeable, merge};
pub use record::{RUN_FORMAT_VERSION, RunRecord};

use crate::checker::{Evidence, judge};
use crate::history::{FIRST_USE, History, Observation, Operation, Phase};
use crate::report::{AsIfSerialReport, ExploreReport, FORMAT_VERSION, Fit, Origin, Report};
use crate::scenario::{self, Load, Scenario, ScenarioError, Threshold};
use crate::stats::{self, Clock, Concurrency, Conditions, LatencyStats, StageStats, ThresholdResult};
use crate::target::Preflight;
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
    // As they were recorded: what answers mean in the light of all of them is worked out from a description that fits.
    let described = described(&run, &scenario);
    // An exploration may be judged by its serial runs alone: they need no description of what answers mean.
    let alone = run.record.as_if_serial.is_some() && !scenario.judging().checkers;
    let misfit = described.as_ref().filter(|_| !alone).and_then(Fit::misfit);
    let (shards, shard) = (run.record.shards.as_slice(), run.record.shard.as_ref());
    let recorded = run.history;
    let doubted_times = shards::doubted(recorded, shards);
    let understood = match scenario.target.http() {
        Some(_) => answers::understand(&doubted_times),
        None => answers::Understood { history: std::borrow::Cow::Borrowed(&*doubted_times), reasons: Vec::new() },
    };
    let judged_history = faults::masked(shards::alone(&understood.history, shard), run.record);
    // What is asked of the run, and what is stored, is judged for all shards together.
    let is_one_of_several = shards::note(shard).is_some();
    let observation = run.observation.filter(|_| !is_one_of_several);
    let run = Recording { history: &judged_history, observation, ..run };
    let invariants = shards::judged_alone(workload::invariants_of(&scenario, &run.record.run_id), shard);
    let invariants = if alone { Vec::new() } else { invariants };
    let mut results = judge(run.history, run.observation, Phase::Main, &invariants);
    // Without a serial control there is nothing to hold the load against.
    results.retain(|result| result.name != Invariant::SomebodyServed || result.checked > 0);
    if let Some(error) = &run.record.observe_error {
        let unread = |result: InvariantResult| result.weaken(format!("the final state could not be read: {error}"));
        results = results.into_iter().map(unread).collect();
    }
    if run.record.explore.is_some() {
        results.iter_mut().for_each(what_can_be_repeated_first);
    }
    let own = own::judge(&run, &scenario);
    if !alone && !is_one_of_several {
        results.extend(own.load);
    }
    results = shards::seen_alone(results, shard);
    results.extend(run.record.as_if_serial.iter().map(AsIfSerialReport::result));
    let loss = faults::Loss::of(&run, &scenario);
    // What was planned to happen to the server is judged by what it may have lost.
    let disturbed = server::disturbed(run.record).filter(|_| !faults::explain_the_server(run.record, &scenario));
    let in_doubt = |result, phase| {
        let result = server::explained(fit::doubted(result, misfit.as_deref(), &scenario), disturbed.as_deref());
        faults::explained(result, loss.as_ref(), &run, phase)
    };
    results = results.into_iter().map(|result| in_doubt(result, Phase::Main)).collect();
    let control =
        if alone { None } else { serial::judged(&run, &invariants, own.serially, |one| in_doubt(one, Phase::Control)) };
    if let Some((_, serially)) = &control {
        results = serial::used(results, serially);
    }
    let keys = keys::of_violations(&results, &run, &scenario);
    let results = over_http(results, &scenario, run.record);
    let judged = Verdict::combine(results.iter().map(|result| result.verdict));
    let timed = shards::as_recorded(run.history, recorded, shards);
    let stats = LatencyStats::of(Clock::of(&scenario.load), measured(&Recording { history: &timed, ..run }))?;
    let concurrency = overlap(&Recording { history: &timed, ..run }, &scenario, judged);
    let mut reasons = misfit.as_ref().map_or_else(|| understood.reasons.clone(), |misfit| vec![misfit.clone()]);
    let weakly = run.record.as_if_serial.as_ref().is_some_and(|serial| serial.bursts_of.is_some());
    if !is_one_of_several {
        reasons.extend(conditions::nothing_said(&scenario, &results, weakly));
    }
    reasons.extend(several::documents(&run, &scenario));
    reasons.extend(conditions::reasons(&run, &scenario, &concurrency));
    // What weakens the run weakens a verdict that holds; a violation stays one.
    let verdict = if reasons.is_empty() { judged } else { judged.max(Verdict::Inconclusive) };
    let expect = if is_one_of_several { scenario::Expectation::default() } else { scenario.expect.clone() };
    let thresholds = held_against(&expect.thresholds, &stats, &Recording { history: &timed, ..run })?;
    let expectation = expectation::evaluate(&expect, verdict, &results, reasons.is_empty());
    // A run that ended early for a reason of its own was not interrupted by anyone.
    let interrupted = (run.history.interrupted || run.record.interrupted) && run.record.aborted.is_none();
    let status = expectation::exit_status(verdict, expectation.as_ref(), &thresholds, interrupted);
    // What its schedules are accused of rests on the same results.
    let doubted = misfit.is_some() || (disturbed.is_some() && judged == Verdict::Inconclusive);
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
        keys,
        origin: run.record.origin.clone().or_else(|| dated(run.record)),
        serial_control: control.map(|(told, _)| told),
        operations: stats.operations(),
        concurrency,
        throughput_per_s: stats.throughput_per_s(),
        duration_s: stats.duration_s(),
        over_time: stats.timeline().figures(),
        stages: stages(&Recording { history: &timed, ..run }, &scenario)?,
        thresholds,
        generator: run.record.generator,
        machine: run.record.machine.clone(),
        preflight: preflight(&run, described.as_ref(), disturbed.as_deref(), &scenario),
        explore: run.record.explore.clone().map(|explore| doubted_exploration(explore, doubted)),
        as_if_serial: run.record.as_if_serial.clone(),
        selftest: None,
        shards: shards::shown(shards, shard, recorded),
        faults: faults::shown(run.record, run.history),
        findings: None,
        actions: None,
    };
    Ok((report, stats))
}

/// The overlap that the run achieved.
fn overlap(run: &Recording<'_>, scenario: &Scenario, judged: Verdict) -> Concurrency {
    let views = shards::overlapping(run.history, &run.record.shards);
    let views: Vec<Evidence<'_>> =
        views.iter().map(|view| Evidence::of_phase(view, run.observation, Phase::Main)).collect();
    stats::concurrency(
        &views,
        &shards::late(run.history, &run.record.shards),
        Conditions {
            clients: run.record.shard.as_ref().map_or(scenario.load.clients(), |shard| shard.clients),
            burst: matches!(scenario.load, Load::Burst { .. } | Load::Waves { .. }),
            connections: run.record.preflight.connections_ready,
            violated: judged != Verdict::Holds,
        },
    )
}

/// The thresholds, held against what was measured; in an open load also against the time since operations were really sent.
fn held_against(
    thresholds: &[Threshold],
    stats: &LatencyStats,
    run: &Recording<'_>,
) -> Result<Vec<ThresholdResult>, AssessError> {
    let mut results = stats::evaluate(thresholds, stats, run.record.generator.dropped_arrivals);
    if stats.clock() == Clock::Response && !thresholds.is_empty() {
        let sent = LatencyStats::of(Clock::Service, measured(run))?;
        stats::add_service_times(&mut results, thresholds, &sent);
    }
    Ok(results)
}

/// Figures of each stage of the load.
fn stages(run: &Recording<'_>, scenario: &Scenario) -> Result<Vec<StageStats>, AssessError> {
    let of = |operation: &Operation| shards::shard_of(operation, &run.record.shards);
    Ok(stats::stage_stats(&scenario.load, run.record.stages.as_ref(), measured(run), of)?)
}

/// Proofs that can be carried out again come first: the very first requests were sent once.
fn what_can_be_repeated_first(result: &mut InvariantResult) {
    result.witnesses.sort_by_key(|witness| witness.operations.iter().any(|operation| operation.round >= FIRST_USE));
}

/// Operations whose times count: a round that came before the serial control found nothing warm. An exploration goes to and
/// fro between both.
fn measured<'a>(run: &Recording<'a>) -> impl Iterator<Item = &'a Operation> + use<'a> {
    let control = run.history.phase(Phase::Control).iter().map(|operation| operation.invoked).max();
    let begun = control.filter(|_| run.record.explore.is_none());
    let main = run.history.phase(Phase::Main);
    let all = !main.iter().any(|operation| Some(operation.invoked) > begun);
    main.iter().filter(move |operation| all || Some(operation.invoked) > begun)
}

/// Results of a run over HTTP: witnesses name the requests, and what was not read is said.
fn over_http(results: Vec<InvariantResult>, scenario: &Scenario, record: &RunRecord) -> Vec<InvariantResult> {
    if scenario.target.http().is_none() {
        return results;
    }
    let observed = scenario.observe.mongo.is_some() || scenario.observe.http.is_some();
    let unread = workload::blind_spots(scenario, 1).into_iter().next().filter(|_| !observed);
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

/// What was found before the run, with what was noticed of the service's documents.
fn preflight(run: &Recording<'_>, described: Option<&Fit>, disturbed: Option<&str>, scenario: &Scenario) -> Preflight {
    let mut preflight = run.record.preflight.clone();
    preflight.notes.extend(described.and_then(|fit| others(fit, scenario)));
    preflight.notes.extend(disturbed.map(str::to_owned));
    preflight.notes.extend(shards::note(run.record.shard.as_ref()));
    preflight.notes.extend(faults::note(run.record));
    preflight.notes.extend(described.into_iter().flat_map(Fit::unseen));
    preflight.notes.extend(unsent::notes(run, scenario));
    preflight
}

/// When a run was made that says nothing else of where it comes from.
fn dated(record: &RunRecord) -> Option<Origin> {
    (!record.started_at.is_empty()).then(|| Origin { date: record.started_at.clone(), ..Origin::default() })
}

/// The scenario as it was resolved for the run.
pub fn scenario_of(record: &RunRecord) -> Result<Scenario, AssessError> {
    let path = Path::new(&record.scenario_file);
    // Everything was expanded when the run was resolved.
    let environment = |_: &str| None;
    let known = crate::strategy::names;
    crate::scenario::load_text(path, record.scenario.clone(), &[], &environment, &known).map_err(AssessError::Scenario)
}

/// The scenario, held against what was seen of the service; nothing where there is no service, or nothing was kept of it.
fn described(run: &Recording<'_>, scenario: &Scenario) -> Option<Fit> {
    let sightings = run.record.sightings.as_ref().filter(|_| scenario.target.http().is_some())?;
    Some(fit(scenario, &run.record.run_id, run.history, run.observation, sightings))
}

/// What readers are told of documents that are none of the run's.
fn others(fit: &Fit, scenario: &Scenario) -> Option<String> {
    let collection = &scenario.observe.mongo.as_ref()?.collection;
    let are = match fit.others {
        0 => return None,
        1 => "is",
        _ => "are",
    };
    let documents = crate::report::plural(fit.others, "document");
    Some(format!(
        "{documents} in `{collection}` {are} none of the run's: no operation named their key, and they were not judged"
    ))
}

/// An exploration that was judged by a description that fits nothing has found nothing.
fn doubted_exploration(explore: ExploreReport, doubted: bool) -> ExploreReport {
    if !doubted {
        return explore;
    }
    let mut explore = explore;
    for schedule in &mut explore.schedules {
        schedule.verdict = Verdict::Inconclusive;
        schedule.invariants.clear();
    }
    ExploreReport {
        violated: 0,
        violated_interleavings: None,
        first_violation_at: None,
        smallest: None,
        together: None,
        ..explore
    }
}

/// The status that a report's process ends with.
pub fn status_of(report: &Report) -> ExitStatus {
    ExitStatus::from_code(report.exit_code).unwrap_or(ExitStatus::Inconclusive)
}

#[cfg(test)]
mod tests;
