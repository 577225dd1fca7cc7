//! From a recorded run to its report: the one way, for a run that has just ended and for a stored one.
//!
//! It joins what the checkers, the statistics and the conditions of the run say. It touches neither network nor clock, so
//! a stored run gives the same report.

mod answers;
mod conditions;
mod counted;
mod expectation;
mod faults;
mod fit;
mod gather;
mod keys;
mod limit;
mod looks;
mod merge;
mod own;
mod part;
mod queries;
mod record;
#[cfg(test)]
pub(crate) mod samples;
mod serial;
mod served;
mod server;
mod several;
mod shards;
mod unsent;
mod whole;

use std::path::Path;

pub use fit::fit;
pub use gather::Facts;
pub use limit::{Limit, ends_search, limit, step as limit_step};
pub use looks::{meant_for_a_load, worsening};
pub use merge::{MergedRun, ShardRun, Unmergeable, merge};
pub(crate) use part::judge_part_of;
pub use part::{Joined, PART_FORMAT_VERSION, Part, PartError, indivisible, judge_part};
pub use record::{RUN_FORMAT_VERSION, RunRecord};

use self::gather::{Gathered, gather};
use crate::checker::{self, Evidence, Looked};
use crate::history::{FIRST_USE, History, Observation, Operation, Phase};
use crate::report::{AsIfSerialReport, ExploreReport, FORMAT_VERSION, Fit, Origin, Report, SerialControl};
use crate::scenario::{self, Scenario, ScenarioError, Threshold};
use crate::stats::{self, LatencyStats, ThresholdResult};
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
    let gathered = gather(&run, Facts::of(run.history), &scenario)?;
    Ok(conclude(run.record, &scenario, gathered))
}

/// The report of a run, from all that was gathered from its operations.
fn conclude(record: &RunRecord, scenario: &Scenario, gathered: Gathered<'_>) -> (Report, LatencyStats) {
    let Gathered { facts, history, observation, looked, stats, overlap, described, misread, .. } = gathered;
    let run = Recording { record, history: &history, observation: observation.as_deref() };
    let is_one_of_several = shards::note(record.shard.as_ref()).is_some();
    let alone = gather::by_serial_runs_alone(record, scenario);
    let misfit = described.as_ref().filter(|_| !alone).and_then(Fit::misfit);
    // What was planned to happen to the server is judged by what it may have lost.
    let disturbed = server::disturbed(record).filter(|_| !faults::explain_the_server(record, scenario));
    let judging = Judging { run, scenario, facts: &facts, misfit: misfit.as_deref(), disturbed: disturbed.as_deref() };
    let (results, control) = judging.results(looked);
    let keys = keys::of_violations(&results, &run, scenario);
    let results = over_http(results, scenario, record);
    let judged = Verdict::combine(results.iter().map(|result| result.verdict));
    // Schedules that were chosen are no random trials.
    let chosen = record.explore.as_ref().is_some_and(|explore| explore.search != "stress");
    let concurrency = overlap.concurrency(gather::conditions(record, scenario, judged != Verdict::Holds || chosen));
    let mut reasons = misfit.as_ref().map_or(misread, |misfit| vec![misfit.clone()]);
    let weakly = record.as_if_serial.as_ref().is_some_and(|serial| serial.bursts_of.is_some());
    if !is_one_of_several {
        reasons.extend(conditions::nothing_said(scenario, &results, weakly));
    }
    reasons.extend(gathered.several.reason());
    reasons.extend(conditions::reasons(record, &facts, &gathered.counted, scenario, &concurrency));
    // What weakens the run weakens a verdict that holds; a violation stays one.
    let verdict = if reasons.is_empty() { judged } else { judged.max(Verdict::Inconclusive) };
    let expect = if is_one_of_several { scenario::Expectation::default() } else { scenario.expect.clone() };
    let thresholds = held_against(&expect.thresholds, &stats, gathered.sent.as_ref(), record);
    let expectation = expectation::evaluate(&expect, verdict, &results, reasons.is_empty());
    // A run that ended early for a reason of its own was not interrupted by anyone.
    let interrupted = (facts.interrupted || record.interrupted) && record.aborted.is_none();
    let status = expectation::exit_status(verdict, expectation.as_ref(), &thresholds, interrupted);
    // What its schedules are accused of rests on the same results.
    let doubted = misfit.is_some() || (disturbed.is_some() && judged == Verdict::Inconclusive);
    let explore = record.explore.clone().map(|explore| doubted_exploration(explore, doubted));
    let explore = explore.map(|explore| whole::told(explore, &results, control.as_ref()));
    let report = Report {
        format_version: FORMAT_VERSION,
        tool: "onlyone".to_owned(),
        version: record.version.clone(),
        run_id: record.run_id.clone(),
        scenario: scenario.name.clone(),
        seed: record.seed,
        verdict,
        reasons,
        exit_code: status.code(),
        expectation,
        partial: facts.partial || facts.interrupted || record.interrupted,
        reproduce: record.reproduce.clone(),
        invariants: results,
        keys,
        origin: record.origin.clone().or_else(|| dated(record)),
        serial_control: control,
        operations: stats.operations(),
        concurrency,
        throughput_per_s: stats.throughput_per_s(),
        duration_s: stats.duration_s(),
        over_time: stats.timeline().figures(),
        stages: stats::stages_of(&scenario.load, record.stages.as_ref(), &gathered.stages),
        thresholds,
        generator: record.generator,
        machine: record.machine.clone(),
        preflight: preflight(record, &facts, described.as_ref(), disturbed.as_deref(), scenario),
        explore,
        as_if_serial: record.as_if_serial.clone(),
        selftest: None,
        shards: gathered.shards,
        faults: gathered.faults,
        findings: None,
        actions: None,
    };
    (report, stats)
}

/// What results are judged in the light of.
struct Judging<'a> {
    run: Recording<'a>,
    scenario: &'a Scenario,
    facts: &'a Facts,
    misfit: Option<&'a str>,
    disturbed: Option<&'a str>,
}

impl Judging<'_> {
    /// One result for each invariant, and what the serial control says.
    fn results(&self, looked: Vec<Looked>) -> (Vec<InvariantResult>, Option<SerialControl>) {
        let Judging { run, scenario, .. } = self;
        let shard = run.record.shard.as_ref();
        let invariants = gather::invariants(run.record, scenario);
        let mut results = self.concluded(&invariants, looked);
        // Without a serial control there is nothing to hold the load against.
        results.retain(|result| result.name != Invariant::SomebodyServed || result.checked > 0);
        if let Some(error) = &run.record.observe_error {
            let unread = |result: InvariantResult| result.weaken(format!("the final state could not be read: {error}"));
            results = results.into_iter().map(unread).collect();
        }
        if run.record.explore.is_some() {
            results.iter_mut().for_each(what_can_be_repeated_first);
            let told = |result| served::unless_it_ran_out_on_the_way(result, self.facts);
            results = results.into_iter().map(told).collect();
        } else {
            let shards = run.record.shards.as_slice();
            let told = |result| served::unless_it_ran_out(result, self.facts, shards);
            results = results.into_iter().map(told).collect();
        }
        let own = own::judge(run, scenario);
        let alone = gather::by_serial_runs_alone(run.record, scenario);
        if !alone && shards::note(shard).is_none() {
            results.extend(own.load);
        }
        results = shards::seen_alone(results, shard);
        results.extend(run.record.as_if_serial.iter().map(AsIfSerialReport::result));
        let loss = faults::Loss::of(run, scenario);
        let in_doubt = |result, phase| {
            let result = server::explained(fit::doubted(result, self.misfit, scenario), self.disturbed);
            faults::explained(result, loss.as_ref(), run, phase)
        };
        results = results.into_iter().map(|result| in_doubt(result, Phase::Main)).collect();
        if alone {
            return (results, None);
        }
        match serial::judged(run, &invariants, own.serially, |one| in_doubt(one, Phase::Control)) {
            Some((told, serially)) => (serial::used(results, &serially), Some(told)),
            None => (results, None),
        }
    }

    /// What follows from what was found on all keys.
    fn concluded(&self, invariants: &[Invariant], looked: Vec<Looked>) -> Vec<InvariantResult> {
        let Facts { partial, interrupted, of_a_shard, .. } = *self.facts;
        let bare = History { partial, interrupted, of_a_shard, ..History::default() };
        let read = self.run.observation.map(|observation| Observation {
            source: observation.source,
            quiescent: observation.quiescent,
            documents: Vec::new(),
            set_aside: Vec::new(),
            vanished: observation.vanished.clone(),
            effects: std::sync::Arc::clone(&observation.effects),
        });
        checker::conclude(&Evidence::of_phase(&bare, read.as_ref(), Phase::Main), invariants, looked)
    }
}

/// The thresholds, held against what was measured; in an open load also against the time since operations were really sent.
fn held_against(
    thresholds: &[Threshold],
    stats: &LatencyStats,
    sent: Option<&LatencyStats>,
    record: &RunRecord,
) -> Vec<ThresholdResult> {
    let mut results = stats::evaluate(thresholds, stats, record.generator.dropped_arrivals);
    if let Some(sent) = sent.filter(|_| !thresholds.is_empty()) {
        stats::add_service_times(&mut results, thresholds, sent);
    }
    results
}

/// Proofs that can be carried out again come first: the very first requests were sent once.
fn what_can_be_repeated_first(result: &mut InvariantResult) {
    result.witnesses.sort_by_key(|witness| witness.operations.iter().any(|operation| operation.round >= FIRST_USE));
}

/// Operations whose times count: a round that came before the serial control found nothing warm. An exploration goes to and
/// fro between both.
fn measured<'a>(run: &Recording<'a>, facts: &Facts) -> impl Iterator<Item = &'a Operation> + Clone + use<'a> {
    let begun = facts.control_until.filter(|_| run.record.explore.is_none());
    let all = facts.load_until.is_none_or(|last| Some(last) <= begun);
    run.history.phase(Phase::Main).iter().filter(move |operation| all || Some(operation.invoked) > begun)
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
fn preflight(
    record: &RunRecord,
    facts: &Facts,
    described: Option<&Fit>,
    disturbed: Option<&str>,
    scenario: &Scenario,
) -> Preflight {
    let mut preflight = record.preflight.clone();
    preflight.notes.extend(described.and_then(|fit| others(fit, scenario)));
    preflight.notes.extend(disturbed.map(str::to_owned));
    preflight.notes.extend(shards::note(record.shard.as_ref()));
    preflight.notes.extend(faults::note(record));
    preflight.notes.extend(described.into_iter().flat_map(Fit::unseen));
    preflight.notes.extend(unsent::notes(record, facts, scenario));
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
    let sightings = match run.history.part {
        None => std::borrow::Cow::Borrowed(sightings),
        Some(part) => std::borrow::Cow::Owned(sightings.of_part(part, run.history)),
    };
    Some(fit(scenario, &run.record.run_id, run.history, run.observation, &sightings))
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
    let set_up = match scenario.target.http().is_some() && !scenario.setup.is_empty() {
        true => " (`[[setup]]` may have made some of them)",
        false => "",
    };
    Some(format!(
        "{documents} in `{collection}` {are} none of the run's: no operation named their key{set_up}, and they were not judged"
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
