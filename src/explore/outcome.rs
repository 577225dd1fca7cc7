//! What an exploration came to, from what it found: verdicts, doubts, and the report. Nothing is carried out here.

use super::carry::is_misfit;
use super::chance::Pct;
use super::diagram::diagram;
use super::evidence::{Documents, in_order, operations};
use super::execution::{Execution, INTERRUPTED};
use super::explorer::Explorer;
use super::fault::tally;
use super::judging::violated;
use super::left::left_something;
use super::search::Search;
use super::subject::Subject;
use crate::history::{Earlier, History, Looks, Observation, Operation, Phase};
use crate::report::{AsIfSerialReport, ExploreReport, LintFinding, Repeated, ScheduleResult, Smallest, TogetherResult};
use crate::target::mongo::QueryResult;
use crate::verdict::{Invariant, Verdict};

/// Connections per request that a driver's pool may come to have in the course of the search.
const POOL: u64 = 3;

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
    /// Places at which a fault may strike.
    pub fault_places: usize,
    /// What was there once the first executions were over.
    pub earlier: Option<Earlier>,
    /// A request that comes after another does what no two of them did at once.
    pub comes_second: bool,
    /// Two requests that come after a first one were explored as well: that is so where nobody says how many requests there are.
    pub with_established: bool,
}

impl Exploration {
    /// The final state of all that was explored up to a later exploration of the same target: also what is gone of what was there in this
    /// one.
    pub(super) fn seen_until(&self, later: Option<Observation>) -> Option<Observation> {
        let Some(mut later) = later else { return self.observation.clone() };
        if let Some(earlier) = &self.earlier {
            later = later.since(earlier);
        }
        later.vanished.extend(self.observation.iter().flat_map(|observation| observation.vanished.clone()));
        Some(later)
    }

    /// Whether it was explored to its end, and nothing is wrong or in doubt.
    pub fn may_go_on(&self) -> bool {
        let report = &self.report;
        let together = report.together.as_ref().map_or(0, |together| together.violated);
        // Requests that do not meet on a fresh key may meet elsewhere.
        let serially = |serial: &AsIfSerialReport| serial.verdict == Verdict::Holds || serial.apart;
        let serially = self.as_if_serial.as_ref().is_none_or(serially);
        let looked = self.looks.iter().all(|looks| looks.main.violated + looks.control.violated == 0);
        report.complete && report.doubts.is_empty() && report.violated + together == 0 && serially && looked
    }
}

impl Explorer<'_> {
    /// Every operation that was begun, even if not every one that was meant to be.
    pub(super) fn history(&self) -> History {
        let all = (0..self.found.executions.len()).flat_map(|position| self.operations(position));
        History {
            operations: in_order(all.collect()),
            partial: false,
            interrupted: self.stop.is_cancelled(),
            ..History::default()
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        (0..self.subject.requests()).map(|request| self.subject.name(request)).collect()
    }

    pub(super) fn operations(&self, position: usize) -> Vec<Operation> {
        let (execution, requests, phase) = &self.found.executions[position];
        operations(execution, requests, self.subject, *phase, self.start)
    }

    /// Judges executions one by one.
    pub(super) fn verdicts(&self, positions: &[usize], observation: Option<&Observation>) -> Vec<ScheduleResult> {
        let documents = Documents::new(observation);
        let executions = self.found.executions.iter().enumerate();
        let control = executions.filter(|(_, (_, _, phase))| !phase.is_main());
        let alone: Vec<Operation> = control.flat_map(|(position, _)| self.operations(position)).collect();
        let served = self.served_until();
        let without: Vec<Invariant> =
            self.plan.invariants.iter().filter(|one| **one != Invariant::SomebodyServed).cloned().collect();
        let judged = |position: &usize| {
            let execution = &self.found.executions[*position].0;
            let operations = self.operations(*position);
            let rules = if left_something(&served, &operations) { &self.plan.invariants } else { &without };
            let (mut verdict, mut invariants) = documents.verdict(&operations, &alone, rules);
            if let Some(custom) = self.found.custom.get(position) {
                verdict = Verdict::combine([verdict, Verdict::Violated]);
                invariants.extend(custom.iter().cloned());
            }
            let serially = self.serial_verdict(*position);
            if let Some(serially) = serially {
                verdict = if self.plan.invariants.is_empty() { serially } else { verdict.max(serially) };
                invariants.extend(violated(serially));
            }
            let (schedule, choices) = (execution.named(), execution.choices());
            ScheduleResult { schedule, choices, verdict, invariants, diagram: None }
        };
        positions.iter().map(judged).collect()
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

    pub(super) fn conclude(
        self,
        observation: Option<Observation>,
        mut schedules: Vec<ScheduleResult>,
        smallest: Option<Smallest>,
        lint: Vec<LintFinding>,
    ) -> Exploration {
        let found = &self.found;
        let history = self.history();
        let together = self.together_result(observation.as_ref());
        let repeated = self.repeated(observation.as_ref());
        let mut doubts = self.doubts(&lint, together.as_ref(), observation.is_some());
        if let Some(Repeated { times, same }) = repeated.filter(|repeated| repeated.same < repeated.times) {
            doubts.push(format!(
                "of {times} schedules that were carried out again, {same} gave the same commands and verdict"
            ));
        }
        let is_violated = |result: &ScheduleResult| result.verdict == Verdict::Violated;
        let violated = schedules.iter().filter(|result| is_violated(result)).count();
        let first_violation_at = schedules.iter().position(is_violated).map(|position| position as u64 + 1);
        let explored = schedules.len() as u64;
        let faults = tally(found.searched.iter().map(|position| &found.executions[*position].0).zip(&schedules));
        let weighed = schedules.iter().zip(&found.weights).filter(|(result, _)| is_violated(result));
        let violated_interleavings: u64 = weighed.map(|(_, weight)| weight).sum();
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
            requests: u32::try_from(self.subject.own_requests()).unwrap_or(u32::MAX),
            starts: u32::try_from(self.subject.starts()).unwrap_or(u32::MAX),
            explored,
            violated_interleavings: total
                .filter(|_| found.complete && found.reduced)
                .map(|all| violated_interleavings.min(all)),
            total: total.filter(|_| found.complete),
            complete: found.complete,
            violated: violated as u64,
            reduced: found.reduced,
            first_violation_at,
            schedules,
            smallest,
            together,
            faults,
            bound: self.bound(),
            repeated,
            lint,
            doubts,
            notes: found.notes.iter().cloned().collect(),
            schedules_per_s: self.rate(),
            spent: found.spent.seconds(),
        };
        // Where a search repeats one of its own and it comes out otherwise, that is nothing the user asked for.
        let misfit = found.executions.iter().find(|(execution, ..)| is_misfit(execution));
        let misfit = misfit.filter(|_| self.plan.search.is_replay());
        let misfit = misfit.and_then(|(execution, ..)| execution.stuck.clone());
        let unread = found.unread.clone();
        let (looks, queries) = match &self.watch {
            Some(watch) => (watch.looks().to_vec(), watch.last().to_vec()),
            None => (Vec::new(), Vec::new()),
        };
        let next = self.next.max(self.seeded);
        let fault_places = self.planned_faults().len();
        Exploration {
            history,
            observation,
            report,
            as_if_serial: None,
            looks,
            queries,
            unread,
            misfit,
            next,
            fault_places,
            earlier: found.early.clone(),
            comes_second: self.comes_second(),
            with_established: false,
        }
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
    fn doubts(&self, lint: &[LintFinding], together: Option<&TogetherResult>, observed: bool) -> Vec<String> {
        let mut reasons = self.found.reasons.clone();
        // Said of every run that is interrupted.
        reasons.retain(|reason| reason != INTERRUPTED);
        reasons.extend(self.nothing_left());
        if self.plan.search == Search::Exhaustive
            && !self.found.complete
            && reasons.is_empty()
            && !self.stop.is_cancelled()
        {
            reasons.push(format!("not complete: {} schedules explored, see the notes", self.found.searched.len()));
        }
        if self.found.executions.iter().any(|(execution, ..)| execution.waited_in_service) {
            reasons.push(
                "requests wait for each other in the service: in which order they come to wait is not explored. \
                 Where one process serves one request at a time, several workers, or `[service] instances = 2`, let them meet"
                    .to_owned(),
            );
        }
        let (connections, executions) = (self.found.connections, self.found.search_executions as u64);
        // Faults close connections, and so does a new start.
        let closed = self.scheduler.faults.is_some() || self.afresh.is_some();
        if !closed && connections > POOL * self.subject.requests() as u64 && connections >= executions {
            reasons.push(format!(
                "the service opens connections all the time ({connections} were used for the first time in {executions} \
                 executions): what it does over them may come at any time"
            ));
        }
        if self
            .found
            .searched
            .iter()
            .any(|position| !self.found.executions[*position].0.is_exact_beside(&self.found.background))
        {
            reasons.push("some commands could not be attributed to a request, see the notes".to_owned());
        }
        let struck = together.is_some_and(|together| together.violated > 0);
        // Where they met for certain, what is judged has been seen to bear it.
        let met = self.found.met > 0 && self.found.met == self.found.together.len();
        let borne = (met && (observed || self.watch.is_some())) || self.plan.before > 0;
        if lint.iter().any(|finding| finding.rule == "upsert-without-unique-index") && !struck && !borne {
            reasons.push(
                "an upsert that no unique index covers: two inside the server at once insert twice, though the race did not \
                 strike here"
                    .to_owned(),
            );
        }
        reasons
    }

    /// Executions of a schedule that was carried out before, which are counted once: each has a verdict of its own.
    pub(super) fn repetitions(&self) -> Vec<usize> {
        // The first of them may itself be of a schedule that came before, and counts under that one.
        let again = self.found.repeats.iter().flat_map(|(first, second)| [*first, *second]);
        let mut again: Vec<usize> = again.chain(self.replayed()).collect();
        again.retain(|position| !self.found.searched.contains(position));
        again.sort_unstable();
        again.dedup();
        again
    }

    /// Executions of the schedule that was given.
    fn replayed(&self) -> Vec<usize> {
        let Search::Replay { schedule, .. } = &self.plan.search else { return Vec::new() };
        let schedule = schedule.by_participants(self.subject.starts());
        // Those of the search alone: what comes after it may have the same schedule.
        let searched = self.found.executions.iter().enumerate().skip(self.found.traced);
        let executions = searched
            .take(self.found.search_executions)
            .filter(|(_, (execution, ..))| execution.stuck.is_none() && execution.schedule.0.starts_with(&schedule.0));
        executions.map(|(position, _)| position).collect()
    }

    /// Of schedules that were carried out again: how often, and how often they gave the same commands and the same verdict.
    fn repeated(&self, observation: Option<&Observation>) -> Option<Repeated> {
        if self.plan.twice {
            let (first, second): (Vec<usize>, Vec<usize>) = self.found.repeats.iter().copied().unzip();
            let pairs = self.verdicts(&first, observation).into_iter().zip(self.verdicts(&second, observation));
            let same = pairs.filter(|(one, other)| one == other).count() as u64;
            return Some(Repeated { times: first.len() as u64 + u64::from(self.found.diverged), same });
        }
        if !matches!(self.plan.search, Search::Replay { .. }) {
            return None;
        }
        let positions = self.replayed();
        let results = self.verdicts(&positions, observation);
        let same = results.iter().filter(|result| Some(*result) == results.first()).count() as u64;
        Some(Repeated { times: self.found.search_executions as u64, same })
    }

    fn bound(&self) -> Option<String> {
        let Search::Pct { depth } = self.plan.search else { return None };
        let (requests, steps) = (self.subject.requests(), self.steps());
        let one = Pct::bound(requests, steps, depth);
        // With a fault it is another program.
        let counts =
            |(execution, _, phase): &&(Execution, Vec<usize>, Phase)| phase.is_main() && execution.fault().is_none();
        let runs = self.found.executions.iter().filter(counts).count();
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::explore::execution::Request;
    use crate::explore::fake::Bench;
    use crate::explore::policy::MISFIT;
    use crate::explore::schedule::Schedule;

    #[tokio::test]
    async fn the_bound_counts_no_execution_with_a_fault() {
        let mut bench = Bench::silent(Duration::from_secs(1)).await;
        bench.plan.search = Search::Pct { depth: 2 };
        let mut explorer = bench.explorer(CancellationToken::new());
        for schedule in ["1 2", "1:lost-answer 2"] {
            let schedule = schedule.parse().unwrap();
            explorer.keep(Execution { schedule, ..Execution::default() }, vec![0, 1], Phase::Main);
        }
        let bound = explorer.bound().unwrap();
        assert!(bound.contains("; 1 executions"), "{bound}");
    }

    /// Two requests that nobody has answered, in this order.
    fn carried_out(schedule: &str) -> Execution {
        let requests = vec![Request { invoked: Instant::now(), completed: None, completion: None }; 2];
        Execution { schedule: schedule.parse().unwrap(), requests, ..Execution::default() }
    }

    #[tokio::test]
    async fn what_comes_after_the_search_is_no_repetition_of_it() {
        let mut bench = Bench::silent(Duration::from_secs(1)).await;
        bench.plan.search = Search::Replay { schedule: "1 2".parse().unwrap(), times: 3 };
        let mut explorer = bench.explorer(CancellationToken::new());
        explorer.keep(carried_out("1 2"), vec![0, 1], Phase::Control);
        (explorer.found.traced, explorer.found.search_executions) = (1, 3);
        for stuck in [None, Some("R1".to_owned()), None] {
            explorer.keep(Execution { stuck, ..carried_out("1 2") }, vec![0, 1], Phase::Main);
        }
        explorer.found.searched = vec![1];
        // The smallest violation, carried out once more.
        explorer.keep(carried_out("1 2"), vec![0, 1], Phase::Main);
        assert_eq!((explorer.replayed(), explorer.repetitions()), (vec![1, 3], vec![3]));
        assert_eq!(explorer.repeated(None), Some(Repeated { times: 3, same: 2 }));
    }

    #[tokio::test]
    async fn both_of_two_that_are_compared_are_judged() {
        let bench = Bench::silent(Duration::from_secs(1)).await;
        let mut explorer = bench.explorer(CancellationToken::new());
        // Predicted, repeated; met again by the search in all orders, and repeated there.
        (0..4).for_each(|_| explorer.keep(carried_out("1 2"), vec![0, 1], Phase::Main));
        explorer.found.searched = vec![0];
        explorer.found.repeats = vec![(0, 1), (2, 3)];
        assert_eq!(explorer.repetitions(), [1, 2, 3]);
    }

    /// What is said of a schedule that did not fit, under this search.
    async fn misfit(search: Search) -> Option<String> {
        let mut bench = Bench::silent(Duration::from_millis(20)).await;
        bench.plan.search = search;
        let mut explorer = bench.explorer(CancellationToken::new());
        let stuck = Some(format!("{MISFIT}: step 7"));
        explorer.keep(Execution { stuck, ..Execution::default() }, Vec::new(), Phase::Main);
        explorer.conclude(None, Vec::new(), None, Vec::new()).misfit
    }

    #[tokio::test]
    async fn only_a_schedule_that_was_given_can_be_a_mistake_of_the_users() {
        let given = Search::Replay { schedule: Schedule(Vec::new()), times: 1 };
        assert_eq!(misfit(given).await, Some(format!("{MISFIT}: step 7")));
        assert_eq!(misfit(Search::Exhaustive).await, None);
    }
}
