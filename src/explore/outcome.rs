//! The second half of an exploration: release together, the smallest violation, verdicts, and the report.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::carry::{chain, is_misfit};
use super::chance::Pct;
use super::dfs::Dfs;
use super::diagram::diagram;
use super::evidence::{Documents, in_order, operations};
use super::execution::INTERRUPTED;
use super::explorer::Explorer;
use super::lint::{self, Indexes};
use super::locks;
use super::policy::{Replay, Together};
use super::search::Search;
use super::serial_runs::violated;
use super::stored::StoredView;
use super::subject::Subject;
use super::together::Meeting;
use super::wire::Kind;
use crate::history::{History, Looks, Observation, Operation, Phase};
use crate::report::{
    AsIfSerialReport, Diagram, ExploreReport, LintFinding, Repeated, ScheduleResult, Smallest, TogetherResult,
};
use crate::scope::Scope;
use crate::target::mongo::QueryResult;
use crate::verdict::Verdict;

/// How long the final state may take to be read, and the indexes.
const READ_WITHIN: Duration = Duration::from_secs(60);
const INDEXES_WITHIN: Duration = Duration::from_secs(10);
/// Executions that the search for a smaller violation may take.
const SHRINKING: usize = 300;
/// Seconds that releasing together may take.
const TOGETHER_SECONDS: f64 = 5.0;
/// Connections per request that a driver's pool may come to have in the course of the search.
const POOL: u64 = 3;
/// Attempts where the server lets upserts meet: what happens is certain.
const MEETINGS: u32 = 3;

/// What an exploration came to. It is judged as every run is.
#[derive(Default)]
pub struct Exploration {
    /// Every operation of every execution.
    pub history: History,
    /// The final documents.
    pub observation: Option<Observation>,
    /// The `explore` object of the report.
    pub report: ExploreReport,
    /// Why the final state could not be read.
    pub unread: Option<String>,
    /// Why the schedule that was given cannot be carried out.
    pub misfit: Option<String>,
    /// What the serial runs say, where they were asked.
    pub as_if_serial: Option<AsIfSerialReport>,
    /// What the user's own invariants said after each execution.
    pub looks: Vec<Looks>,
    /// What they gave when they were last asked.
    pub queries: Vec<QueryResult>,
    /// The next execution that has not been.
    pub next: u32,
}

impl Explorer<'_> {
    /// Explores and judges. `indexes` tells the unique indexes of the collections that are touched; `replay` is the command
    /// that carries a schedule out again, without the schedule.
    pub async fn explore<F>(mut self, indexes: impl FnOnce(Vec<(String, String)>) -> F, replay: &str) -> Exploration
    where
        F: Future<Output = Indexes>,
    {
        self.search().await;
        let touched = lint::namespaces(self.found.executions.iter().map(|(execution, ..)| execution));
        self.proxy.pass();
        let reading = Scope::new(INDEXES_WITHIN, &self.stop).wait(indexes(touched.into_iter().collect())).await;
        let indexes = reading.unwrap_or_default();
        self.look_at_catalogue_again().await;
        let findings = self.lint(&indexes);
        if self.plan.search != Search::Stress
            && self
                .found
                .traces
                .iter()
                .flatten()
                .any(|command| command.statements.iter().any(|statement| statement.upsert))
        {
            self.hold();
            let weak = ["upsert-without-unique-index", "upsert-not-retried"];
            self.together(findings.iter().any(|finding| weak.contains(&finding.rule.as_str()))).await;
            self.proxy.pass();
        }
        let judged: Vec<usize> = self.found.searched.iter().chain(&self.found.together).copied().collect();
        self.judge_serially(&judged).await;
        self.look_again().await;
        let mut observation = self.observe().await;
        let as_if_serial = self.as_if_serial(&judged, self.names());
        let schedules = self.verdicts(&self.found.searched, observation.as_ref());
        self.tell_first_use(observation.as_ref());
        let smallest = self.smallest(&schedules, observation.as_ref(), replay).await;
        self.proxy.pass();
        if smallest.is_some() {
            observation = self.observe().await;
        }
        Exploration { as_if_serial, ..self.conclude(observation, schedules, smallest, findings) }
    }

    /// Reads the final state. If that is not possible, nothing that rests on it is concluded. An interruption that ended the
    /// search has not ended this, the next one does.
    async fn observe(&mut self) -> Option<Observation> {
        let stop = if self.stop.is_cancelled() { CancellationToken::new() } else { self.stop.clone() };
        let unread = match Scope::new(READ_WITHIN, &stop).wait(self.target.observe()).await {
            Ok(Ok(observation)) => return observation,
            Ok(Err(error)) => chain(&error),
            Err(ended) => ended.to_string(),
        };
        self.found.unread = Some(unread);
        None
    }

    fn names(&self) -> Vec<String> {
        (0..self.subject.requests())
            .map(|request| self.subject.invocation(0, request).action.name().to_owned())
            .collect()
    }

    fn lint(&self, indexes: &Indexes) -> Vec<LintFinding> {
        let names = self.names();
        let all = self.found.executions.iter().flat_map(|(execution, ..)| lint::lint(execution, &names, indexes));
        let all: std::collections::BTreeSet<_> = all.collect();
        // Only of a request that ran alone is it its own work that takes the time.
        let alone = self.found.executions.iter().filter(|(_, requests, phase)| !phase.is_main() && requests.len() == 1);
        let mut of_locks: Vec<LintFinding> = Vec::new();
        for finding in alone.flat_map(|(execution, ..)| locks::lint(execution, &names, indexes)) {
            let is_same = |other: &LintFinding| (&other.rule, &other.operation) == (&finding.rule, &finding.operation);
            if !of_locks.iter().any(is_same) {
                of_locks.push(finding);
            }
        }
        let pushes = lint::pushes(self.found.executions.iter().map(|(execution, ..)| execution), &names);
        all.into_iter().chain(pushes).chain(of_locks).collect()
    }

    /// Releases the writes of all requests at once, again and again: what happens then is the server's choice.
    async fn together(&mut self, insecure: bool) {
        let all: Vec<usize> = (0..self.subject.requests()).collect();
        let begin = std::time::Instant::now();
        let mut meeting = if insecure { Meeting::of(self.server.as_ref()).await } else { None };
        let attempts = match (&meeting, insecure) {
            (Some(_), _) => self.plan.budget.together.min(MEETINGS),
            (None, true) => self.plan.budget.together,
            (None, false) => self.plan.budget.together / 4,
        };
        for _ in 0..attempts {
            if self.stop.is_cancelled() || begin.elapsed().as_secs_f64() > TOGETHER_SECONDS {
                break;
            }
            let opening = match meeting.clone() {
                Some(place) if place.close(u32::try_from(all.len()).unwrap_or(u32::MAX)).await => {
                    Some(tokio::spawn(place.open_when_met(all.len())))
                }
                _ => None,
            };
            let position = self.execute_some(&all, Phase::Main, &mut Together).await;
            if let Some(opening) = opening {
                let note = match opening.await {
                    Ok(true) => "upserts were made to meet inside the server, between their look and their insert",
                    Ok(false) | Err(_) => {
                        meeting = None;
                        "the upserts could not be made to meet inside the server: whether they do is left to chance"
                    }
                };
                self.found.notes.insert(note.to_owned());
            }
            if self.found.executions[position].0.stuck.is_some() {
                break;
            }
            self.found.together.push(position);
        }
    }

    fn operations(&self, position: usize) -> Vec<Operation> {
        let (execution, requests, phase) = &self.found.executions[position];
        operations(execution, requests, self.subject, *phase, self.start)
    }

    /// Judges executions one by one.
    pub(super) fn verdicts(&self, positions: &[usize], observation: Option<&Observation>) -> Vec<ScheduleResult> {
        let documents = Documents::new(observation);
        let executions = self.found.executions.iter().enumerate();
        let control = executions.filter(|(_, (_, _, phase))| !phase.is_main());
        let alone: Vec<Operation> = control.flat_map(|(position, _)| self.operations(position)).collect();
        let judged = |position: &usize| {
            let execution = &self.found.executions[*position].0;
            let (mut verdict, mut invariants) =
                documents.verdict(&self.operations(*position), &alone, &self.plan.invariants);
            if let Some(custom) = self.found.custom.get(position) {
                verdict = Verdict::combine([verdict, Verdict::Violated]);
                invariants.extend(custom.iter().cloned());
            }
            let serially = self.serial_verdict(*position);
            if let Some(serially) = serially {
                verdict = if self.plan.invariants.is_empty() { serially } else { verdict.max(serially) };
                invariants.extend(violated(serially));
            }
            let (schedule, choices) = (execution.named(), execution.schedule.to_string());
            ScheduleResult { schedule, choices, verdict, invariants, diagram: None }
        };
        positions.iter().map(judged).collect()
    }

    /// The violation with the fewest requests and switches, carried out once more.
    async fn smallest(
        &mut self,
        schedules: &[ScheduleResult],
        observation: Option<&Observation>,
        replay: &str,
    ) -> Option<Smallest> {
        let requests = self.subject.requests();
        let mut best = self.fewest_switches(&self.found.searched.clone(), observation);
        let replaying = matches!(self.plan.search, Search::Replay { .. });
        // Without an order there is nothing to carry out again.
        if self.plan.search == Search::Stress
            || best.is_none()
            || !schedules.iter().any(|result| result.verdict == Verdict::Violated)
        {
            return None;
        }
        for fewer in 2..requests {
            if replaying || self.found.reasons.iter().any(|reason| reason == INTERRUPTED) {
                break;
            }
            let positions = self.explore_fewer(fewer).await;
            self.proxy.pass();
            self.judge_serially(&positions).await;
            let observation = self.observe().await;
            if let Some(found) = self.fewest_switches(&positions, observation.as_ref()) {
                best = Some(found);
                break;
            }
        }
        let (position, result) = best?;
        let (execution, taking_part, _) = &self.found.executions[position];
        let (schedule, taking_part) = (execution.schedule.clone(), taking_part.clone());
        let names = self.names();
        let mut drawn: Diagram = diagram(execution, &names);
        self.scheduler.stored = self.stored_view().await;
        self.hold();
        let again = self.execute_some(&taking_part, Phase::Main, &mut Replay::new(schedule.clone())).await;
        self.proxy.pass();
        let stored = self.scheduler.stored.take().map(StoredView::into_seen).unwrap_or_default();
        self.judge_serially(&[again]).await;
        let observation = self.observe().await;
        let repeated = self.verdicts(&[again], observation.as_ref());
        let reproduced = repeated.first().is_some_and(|repeated| *repeated == result);
        if reproduced && !stored.is_empty() {
            // What was stored belongs to the commands of the repetition.
            drawn = Diagram { stored, ..diagram(&self.found.executions[again].0, &names) };
        }
        drawn.lanes.truncate(taking_part.len());
        let replay = format!("{replay} --requests {} --schedule \"{schedule}\"", taking_part.len());
        let switches = u32::try_from(schedule.switches()).unwrap_or(u32::MAX);
        let requests = u32::try_from(taking_part.len()).unwrap_or(u32::MAX);
        Some(Smallest { requests, result, switches, reproduced, replay, diagram: drawn })
    }

    /// Looks past the proxy at the collections that requests write, where it is known where the server is.
    async fn stored_view(&self) -> Option<StoredView> {
        let written = self.found.traces.iter().flatten().filter(|command| command.kind == Kind::Write);
        let namespaces = written.filter_map(|command| Some((command.database.clone(), command.collection.clone()?)));
        let beginning = StoredView::begin(self.server.clone()?, namespaces.collect());
        Scope::new(READ_WITHIN, &self.stop).wait(beginning).await.ok()
    }

    /// All interleavings of the first requests, as far as they are few.
    async fn explore_fewer(&mut self, requests: usize) -> Vec<usize> {
        let taking_part: Vec<usize> = (0..requests).collect();
        let mut dfs = Dfs::new(true);
        let mut positions = Vec::new();
        self.hold();
        while positions.len() < SHRINKING && !self.stop.is_cancelled() {
            let position = self.execute_surely(&taking_part, Phase::Main, &mut dfs).await;
            if self.found.executions[position].0.stuck.is_some() {
                break;
            }
            positions.push(position);
            if !dfs.advance() {
                break;
            }
        }
        positions
    }

    /// Draws the first schedules that violate an invariant, and as many that do not; they are those of the search, in order.
    fn draw(&self, schedules: &mut [ScheduleResult]) {
        let names = self.names();
        let mut left = [ExploreReport::MAX_DIAGRAMS / 2; 2];
        for (result, position) in schedules.iter_mut().zip(&self.found.searched) {
            let left = &mut left[usize::from(result.verdict == Verdict::Violated)];
            if *left > 0 {
                *left -= 1;
                result.diagram = Some(diagram(&self.found.executions[*position].0, &names));
            }
        }
    }

    fn fewest_switches(
        &self,
        positions: &[usize],
        observation: Option<&Observation>,
    ) -> Option<(usize, ScheduleResult)> {
        let results = self.verdicts(positions, observation);
        let violated = positions.iter().copied().zip(results).filter(|(_, result)| result.verdict == Verdict::Violated);
        violated.min_by_key(|(position, _)| {
            let schedule = &self.found.executions[*position].0.schedule;
            (schedule.switches(), schedule.0.len(), schedule.clone())
        })
    }

    pub(super) fn conclude(
        self,
        observation: Option<Observation>,
        mut schedules: Vec<ScheduleResult>,
        smallest: Option<Smallest>,
        lint: Vec<LintFinding>,
    ) -> Exploration {
        let found = &self.found;
        let all = (0..found.executions.len()).flat_map(|position| self.operations(position));
        // Every operation that was begun is here, even if not every one that was meant to be.
        let history =
            History { operations: in_order(all.collect()), partial: false, interrupted: self.stop.is_cancelled() };
        let together = self.together_result(observation.as_ref());
        let repeated = self.repeated(observation.as_ref());
        let mut doubts = self.doubts(&lint, together.as_ref());
        if let Some(Repeated { times, same }) = repeated.filter(|repeated| repeated.same < repeated.times) {
            doubts.push(format!(
                "of {times} schedules that were carried out again, {same} gave the same commands and verdict"
            ));
        }
        let is_violated = |result: &ScheduleResult| result.verdict == Verdict::Violated;
        let violated = schedules.iter().filter(|result| is_violated(result)).count();
        let first_violation_at = schedules.iter().position(is_violated).map(|position| position as u64 + 1);
        let explored = schedules.len() as u64;
        let weighed = schedules.iter().zip(&found.weights).filter(|(result, _)| is_violated(result));
        let violated_interleavings = weighed.map(|(_, weight)| weight).sum();
        if self.plan.search == Search::Stress {
            schedules.clear();
        }
        self.draw(&mut schedules);
        if schedules.len() > ExploreReport::MAX_SCHEDULES {
            schedules.sort_by_key(|result| !is_violated(result));
            schedules.truncate(ExploreReport::MAX_SCHEDULES);
        }
        let total = if found.reduced { found.classes.interleavings() } else { Some(explored) };
        let report = ExploreReport {
            search: self.plan.search.to_string(),
            requests: u32::try_from(self.subject.requests()).unwrap_or(u32::MAX),
            explored,
            violated_interleavings: total.filter(|_| found.complete && found.reduced).map(|_| violated_interleavings),
            total: total.filter(|_| found.complete),
            complete: found.complete,
            violated: violated as u64,
            reduced: found.reduced,
            first_violation_at,
            schedules,
            smallest,
            together,
            bound: self.bound(),
            repeated,
            lint,
            doubts,
            notes: found.notes.iter().cloned().collect(),
            schedules_per_s: self.rate(),
        };
        let misfit = found.executions.iter().find(|(execution, ..)| is_misfit(execution));
        let misfit = misfit.and_then(|(execution, ..)| execution.stuck.clone());
        let unread = found.unread.clone();
        let (looks, queries) = match &self.watch {
            Some(watch) => (watch.looks().to_vec(), watch.last().to_vec()),
            None => (Vec::new(), Vec::new()),
        };
        let next = self.next.max(self.seeded);
        Exploration { history, observation, report, as_if_serial: None, looks, queries, unread, misfit, next }
    }

    fn together_result(&self, observation: Option<&Observation>) -> Option<TogetherResult> {
        let results = self.verdicts(&self.found.together, observation);
        let is_violated = |result: &ScheduleResult| result.verdict == Verdict::Violated;
        (!results.is_empty()).then(|| TogetherResult {
            attempts: results.len() as u64,
            violated: results.iter().filter(|result| is_violated(result)).count() as u64,
            first_at: results.iter().position(is_violated).map(|position| position as u64 + 1),
        })
    }

    /// Why a verdict that holds does not.
    fn doubts(&self, lint: &[LintFinding], together: Option<&TogetherResult>) -> Vec<String> {
        let mut reasons = self.found.reasons.clone();
        // Said of every run that is interrupted.
        reasons.retain(|reason| reason != INTERRUPTED);
        if self.plan.search == Search::Exhaustive
            && !self.found.complete
            && reasons.is_empty()
            && !self.stop.is_cancelled()
        {
            reasons.push(format!("not complete: {} schedules explored, see the notes", self.found.searched.len()));
        }
        if self.found.executions.iter().any(|(execution, ..)| execution.waited_in_service) {
            reasons.push(
                "requests wait for each other in the service: in which order they come to wait is not explored"
                    .to_owned(),
            );
        }
        let (connections, executions) = (self.found.connections, self.found.search_executions as u64);
        if connections > POOL * self.subject.requests() as u64 && connections >= executions {
            reasons.push(format!(
                "the service opens connections all the time ({connections} were used for the first time in {executions} \
                 executions): what it does over them may come at any time"
            ));
        }
        if self.found.searched.iter().any(|position| !self.found.executions[*position].0.is_exact()) {
            reasons.push("some commands could not be attributed to a request, see the notes".to_owned());
        }
        let struck = together.is_some_and(|together| together.violated > 0);
        if lint.iter().any(|finding| finding.rule == "upsert-without-unique-index") && !struck {
            reasons.push(
                "an upsert that no unique index covers: two inside the server at once insert twice, though the race did not \
                 strike here"
                    .to_owned(),
            );
        }
        reasons
    }

    /// Of schedules that were carried out again: how often, and how often they gave the same commands and the same verdict.
    fn repeated(&self, observation: Option<&Observation>) -> Option<Repeated> {
        if self.plan.twice {
            let (first, second): (Vec<usize>, Vec<usize>) = self.found.repeats.iter().copied().unzip();
            let pairs = self.verdicts(&first, observation).into_iter().zip(self.verdicts(&second, observation));
            let same = pairs.filter(|(one, other)| one == other).count() as u64;
            return Some(Repeated { times: first.len() as u64 + u64::from(self.found.diverged), same });
        }
        let Search::Replay { schedule, .. } = &self.plan.search else { return None };
        let all = self.subject.requests();
        let executions = self.found.executions.iter().enumerate().filter(|(position, (execution, requests, phase))| {
            Some(*position) != self.found.first_use
                && phase.is_main()
                && requests.len() == all
                && execution.schedule.0.starts_with(&schedule.0)
        });
        let positions: Vec<usize> =
            executions.map(|(position, _)| position).take(self.found.search_executions).collect();
        let results = self.verdicts(&positions, observation);
        let same = results.iter().filter(|result| Some(*result) == results.first()).count() as u64;
        Some(Repeated { times: self.found.search_executions as u64, same })
    }

    fn bound(&self) -> Option<String> {
        let Search::Pct { depth } = self.plan.search else { return None };
        let (requests, steps) = (self.subject.requests(), self.found.traces.iter().map(Vec::len).sum());
        let one = Pct::bound(requests, steps, depth);
        let runs = self.found.executions.iter().filter(|(_, _, phase)| phase.is_main()).count();
        let all = 1.0 - (1.0 - one).powf(runs as f64);
        Some(format!(
            "each execution finds a bug of depth {depth} with probability at least 1/(n k^(d-1)) = 1/{:.0} (n = {requests}, \
             k = {steps}); {runs} executions with at least {:.4} %",
            1.0 / one,
            all * 100.0
        ))
    }

    fn rate(&self) -> f64 {
        let seconds = self.found.searching.as_secs_f64();
        if seconds > 0.0 { self.found.search_executions as f64 / seconds } else { 0.0 }
    }
}
