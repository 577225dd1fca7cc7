//! [`Trials`]: the planted routes of the reference service, each explored by this very program as a user would, bug and twin.
//!
//! A trial is `onlyone explore` of a scenario that starts `onlyone serve --planted ID`, in a process of its own: what is proven is
//! the whole tool, and a service that is killed takes nothing else along. Two are under way at once, in databases of their own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::bench::millis;
use super::outcome::Outcome;
use super::scenario::scenario;
use crate::process::{ProcessError, ProcessSpec, Supervisor, tail};
use crate::report::{Report, SelftestBug, SelftestTwin};
use crate::service::Mutant;
use crate::target::{INHERITED, MongoUri};
use crate::verdict::{Invariant, Verdict, Witness};

/// Schedules within which a bug has to be found.
const BUDGET: u64 = 50;
/// Trials under way at once.
const AT_ONCE: usize = 2;
/// How long an exploration that is told to stop may take to end.
const GRACE: Duration = Duration::from_secs(10);
/// Lines at the end of its log among which its last words are.
const LOG_LINES: usize = 8;
/// Time of an exploration's search: many times what any of them takes.
const MOST_TIME: &str = "300s";
/// Time after which an exploration is told to end, whatever it waits for: its search, twice.
const LONGEST: Duration = Duration::from_secs(600);
/// Variables by which a process finds the embedded server, beside those of every service.
const SERVER: [&str; 4] = ["ONLYONE_MONGOD", "XDG_CACHE_HOME", "LD_LIBRARY_PATH", "PIP_CONFIG_FILE"];

/// A planted route, and which of its two handlers stands for the bug and which for the twin.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// The route.
    pub mutant: &'static Mutant,
    /// The control answers where the bug is to be caught. Only a test of the self-test itself does that.
    pub swapped: bool,
}

/// Why the planted routes cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// A process cannot be started or ended.
    #[error("the trial of {id} cannot be carried out")]
    Process {
        /// Which.
        id: &'static str,
        /// Why.
        #[source]
        source: ProcessError,
    },
    /// A scenario cannot be written.
    #[error("cannot write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Where trials are carried out.
pub struct Trials {
    /// The program that explores and serves.
    pub program: PathBuf,
    /// A server with an oplog.
    pub mongo: MongoUri,
    /// The seed of each exploration.
    pub seed: u64,
    /// No further trial begins, and those under way end.
    pub stop: CancellationToken,
}

/// What an exploration came to.
struct Explored {
    /// Its report, or why there is none.
    report: Result<Box<Report>, String>,
    /// Milliseconds from its start to its end.
    ms: u64,
}

impl Trials {
    /// Carries out these; `step` hears how many are over of how many, of which was tried last, and how many went wrong.
    ///
    /// # Errors
    /// When an exploration cannot be started or ended.
    pub async fn carry_out(
        &self,
        pairs: &[Pair],
        mut step: impl FnMut(usize, usize, &str, usize),
    ) -> Result<Outcome, TrialError> {
        let failed = |source| TrialError::Process { id: "the planted routes", source };
        let supervisor = Supervisor::start("onlyone-selftest-").map_err(failed)?;
        let trials = pairs.iter().map(|pair| self.both(pair, &supervisor));
        let mut under_way = futures::stream::iter(trials).buffered(AT_ONCE);
        let mut outcome = Outcome::default();
        step(0, pairs.len(), "planted routes", 0);
        while let Some(tried) = under_way.next().await {
            let Some((bug, twin)) = tried? else { break };
            let name = bug.id.clone();
            outcome.accusing.extend(twin.1);
            outcome.operations += bug.effective_trials + twin.0.effective_trials;
            outcome.bugs.push(bug);
            outcome.twins.push(twin.0);
            step(outcome.bugs.len(), pairs.len(), &name, outcome.wrong());
        }
        drop(under_way);
        outcome.interrupted = self.stop.is_cancelled();
        supervisor.stop().await.map_err(failed)?;
        Ok(outcome)
    }

    /// The bug and its twin; nothing once it is told to stop.
    async fn both(
        &self,
        pair: &Pair,
        supervisor: &Supervisor,
    ) -> Result<Option<(SelftestBug, (SelftestTwin, Vec<Witness>))>, TrialError> {
        let bug = self.explore(pair.mutant, pair.swapped, supervisor).await?;
        let twin = self.explore(pair.mutant, !pair.swapped, supervisor).await?;
        if self.stop.is_cancelled() {
            return Ok(None);
        }
        Ok(Some((bug_of(pair.mutant, bug), twin_of(pair.mutant, twin))))
    }

    async fn explore(&self, mutant: &Mutant, correct: bool, supervisor: &Supervisor) -> Result<Explored, TrialError> {
        let name = format!("{}-{}", mutant.id, if correct { "twin" } else { "bug" });
        let file = supervisor.dir().join(format!("{name}.toml"));
        let written = tokio::fs::write(&file, scenario(mutant, correct)).await;
        written.map_err(|source| TrialError::File { path: file.clone(), source })?;
        let begin = Instant::now();
        let log = supervisor.dir().join(format!("{name}.log"));
        let failed = |source| TrialError::Process { id: mutant.id, source };
        if self.stop.is_cancelled() {
            return Ok(Explored { report: Err("interrupted".to_owned()), ms: 0 });
        }
        let process = supervisor.spawn(&self.exploration(mutant, &file, &name, &log)).map_err(failed)?;
        tokio::select! {
            _ = process.wait() => {}
            () = self.stop.cancelled() => process.terminate(GRACE).await.map_err(failed)?,
            () = tokio::time::sleep(LONGEST) => process.terminate(GRACE).await.map_err(failed)?,
        }
        let report = supervisor.dir().join("runs").join(&name).join("report.json");
        let report = match tokio::fs::read(&report).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Box::new).map_err(|error| error.to_string()),
            Err(_) => Err(last_words(&log)),
        };
        Ok(Explored { report, ms: millis(begin.elapsed()) })
    }

    fn exploration(&self, mutant: &Mutant, file: &Path, name: &str, log: &Path) -> ProcessSpec {
        let seed = self.seed.to_string();
        let words = ["explore", "--quiet", "--max-time", MOST_TIME, "--out", "runs", "--run-id", name, "--seed", &seed];
        let mongo = if mutant.own_server { "embedded" } else { self.mongo.expose() };
        let mut spec = ProcessSpec::new(self.program.as_os_str(), log).args(words).args([file.as_os_str()]);
        // Nothing else: what a pipeline or a file of settings says is said to the self-test.
        spec.inherit = Some(INHERITED.iter().chain(&SERVER).map(Into::into).collect());
        spec.dir = file.parent().map(Path::to_owned);
        spec.env("ONLYONE_MONGO_URI", mongo)
    }
}

/// The end of what a process said.
fn last_words(log: &Path) -> String {
    let text = tail(log, LOG_LINES);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    format!("the exploration left no report: {}", last.unwrap_or("it said nothing"))
}

/// What must catch it.
fn expected(mutant: &Mutant) -> Invariant {
    match mutant.rule {
        Some(_) => Invariant::Custom(super::scenario::RULE.into()),
        None => Invariant::AsIfSerial,
    }
}

fn bug_of(mutant: &Mutant, explored: Explored) -> SelftestBug {
    let expected = expected(mutant);
    let report = explored.report.as_deref();
    let violated = report.map_or_else(|_| Vec::new(), violated_of);
    let exploration = report.ok().and_then(|report| report.explore.as_ref());
    let smallest =
        exploration.and_then(|found| found.smallest.as_ref()).map(|smallest| smallest.result.schedule.clone());
    let carried_out = exploration.map_or(0, |found| found.explored);
    // A schedule, or commands that were released together: what is wrong has been seen in one of them.
    let together = exploration.and_then(|found| found.together.as_ref()?.first_at);
    let first = exploration.and_then(|found| found.first_violation_at).or(together);
    // What needs a fault must not have been found without one.
    let by_its_fault = mutant.faults.is_empty() || smallest.as_ref().is_some_and(|schedule| schedule.contains('!'));
    let caught = violated.contains(&expected) && by_its_fault && first.is_some_and(|first| first <= BUDGET);
    SelftestBug {
        id: mutant.id.to_owned(),
        workload: mutant.requests.join(" + "),
        strategy: mutant.bug.to_owned(),
        unique_index: mutant.has_index(false),
        caught,
        by: caught.then(|| expected.clone()),
        also: violated.into_iter().filter(|invariant| *invariant != expected).collect(),
        expected,
        rounds: u32::try_from(first.unwrap_or(carried_out)).unwrap_or(u32::MAX),
        effective_trials: carried_out,
        ms: explored.ms,
        witness: smallest.or_else(|| report.err().cloned()),
        twin: mutant.twin.to_owned(),
    }
}

fn violated_of(report: &Report) -> Vec<Invariant> {
    let violated = report.invariants.iter().filter(|result| result.verdict == Verdict::Violated);
    violated.map(|result| result.name.clone()).collect()
}

/// The twin, and what it was accused with. What was not explored to its end holds for nobody.
fn twin_of(mutant: &Mutant, explored: Explored) -> (SelftestTwin, Vec<Witness>) {
    let (mut verdict, mut reason, mut by, mut witnesses) = (Verdict::Inconclusive, None, Vec::new(), Vec::new());
    let mut schedules = 0;
    match &explored.report {
        Ok(report) => {
            let exploration = report.explore.as_ref();
            schedules = exploration.map_or(0, |found| found.explored);
            verdict = report.verdict;
            by = violated_of(report);
            witnesses = report.invariants.iter().flat_map(|result| result.witnesses.clone()).collect();
            let complete = exploration.is_some_and(|found| found.complete);
            if verdict == Verdict::Holds && !complete {
                (verdict, reason) = (Verdict::Inconclusive, Some("not explored to its end".to_owned()));
            } else if verdict == Verdict::Inconclusive {
                reason = Some(report.reasons.join("; "));
            }
        }
        Err(error) => reason = Some(error.clone()),
    }
    let twin = SelftestTwin {
        workload: format!("{}: {}", mutant.id, mutant.requests.join(" + ")),
        strategy: mutant.twin.to_owned(),
        unique_index: mutant.has_index(true),
        accused: verdict == Verdict::Violated,
        verdict,
        by,
        reason,
        rounds: u32::try_from(schedules).unwrap_or(u32::MAX),
        effective_trials: schedules,
        ms: explored.ms,
    };
    (twin, witnesses)
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Facts;
    use super::*;
    use crate::report::{Diagram, ExploreReport, ScheduleResult, Smallest};
    use crate::service::planted_route;
    use crate::stats::Generator;
    use crate::target::Preflight;
    use crate::verdict::InvariantResult;

    /// What an exploration found, whose first violation is this schedule.
    fn explored(schedule: &str, first_violation_at: Option<u64>, complete: bool) -> Explored {
        let facts = Facts {
            duration_s: 1.0,
            generator: Generator::default(),
            machine: crate::stats::machine(),
            preflight: Preflight::default(),
        };
        let violations = u64::from(first_violation_at.is_some());
        let verdict = if violations > 0 { Verdict::Violated } else { Verdict::Holds };
        let result = ScheduleResult {
            schedule: schedule.to_owned(),
            choices: String::new(),
            verdict,
            invariants: vec![Invariant::AsIfSerial],
            diagram: None,
        };
        let diagram = Diagram::default();
        let smallest =
            Smallest { requests: 2, result, switches: 1, reproduced: true, replay: String::new(), lint: None, diagram };
        let explore = ExploreReport {
            explored: 60,
            complete,
            first_violation_at,
            smallest: first_violation_at.map(|_| smallest),
            ..ExploreReport::default()
        };
        let report = Report {
            verdict,
            invariants: vec![InvariantResult::new(Invariant::AsIfSerial, 60, violations, Vec::new())],
            explore: Some(explore),
            ..Outcome::default().report("r", 1, String::new(), facts)
        };
        Explored { report: Ok(Box::new(report)), ms: 1 }
    }

    fn none() -> Explored {
        Explored { report: Err("it said nothing".to_owned()), ms: 1 }
    }

    #[test]
    fn a_bug_is_caught_within_the_budget_and_by_its_fault_or_not_at_all() {
        let (race, crash) = (planted_route("C14").unwrap(), planted_route("A15").unwrap());
        let caught = |mutant, explored| bug_of(mutant, explored).caught;
        assert!(caught(race, explored("R1.find R2.find", Some(BUDGET), true)));
        assert!(!caught(race, explored("R1.find R2.find", Some(BUDGET + 1), true)));
        assert!(!caught(race, explored("", None, true)));
        assert!(caught(crash, explored("R1.update!crash R1'.update", Some(1), true)));
        assert!(!caught(crash, explored("R1.update R2.update", Some(1), true)));
        let bug = bug_of(race, none());
        assert!(!bug.caught && bug.effective_trials == 0, "{bug:?}");
        // Another rule is no proof of this one.
        assert!(!caught(planted_route("C12").unwrap(), explored("R1.insert R2.insert", Some(1), true)));
    }

    #[test]
    fn a_twin_passes_when_all_of_it_was_explored() {
        let mutant = planted_route("C14").unwrap();
        let verdict = |explored| twin_of(mutant, explored).0.verdict;
        assert_eq!(verdict(explored("", None, true)), Verdict::Holds);
        assert_eq!(verdict(explored("", None, false)), Verdict::Inconclusive);
        assert_eq!(verdict(none()), Verdict::Inconclusive);
        let (accused, _) = twin_of(mutant, explored("R1.find R2.find", Some(1), false));
        assert!(accused.accused && accused.by == [Invariant::AsIfSerial], "{accused:?}");
    }
}
