//! The serial runs of an exploration, and the judgement of its executions by them.

use std::collections::BTreeSet;

use super::capture::Capture;
use super::comparison::{AsIfSerial, Comparison, READ_WITHIN, answer};
use super::execution::{Execution, INTERRUPTED};
use super::explorer::Explorer;
use super::policy::Serial;
use super::subject::Subject;
use super::watch::After;
use crate::history::Phase;
use crate::report::{AsIfSerialReport, FieldDifference};
use crate::scope::{Ended, Scope};
use crate::serial::{Answer, Class, Judged, Judgement, Sample};
use crate::verdict::{Invariant, Verdict};

/// Rounds in which every order is carried out once.
const FEWEST_ROUNDS: usize = 3;
/// Rounds after which serial runs that still teach something new are given up.
const MOST_ROUNDS: usize = 8;
/// Requests beyond which there are too many orders.
const MOST_REQUESTS: usize = 4;

impl<'a> Explorer<'a> {
    /// Holds executions against the serial runs of the same requests.
    pub fn judging(mut self, how: AsIfSerial) -> Self {
        self.comparison = Some(Comparison::new(how));
        self
    }

    /// Every order of the requests, until nothing new is learned.
    pub(super) async fn serial_rounds(&mut self) {
        let requests = self.subject.requests();
        if self.comparison.is_none() || !self.begin_comparison().await {
            return;
        }
        if requests > MOST_REQUESTS {
            let reason =
                format!("as if serial: {requests} requests have too many orders, at most {MOST_REQUESTS} are compared");
            return self.comparison.iter_mut().for_each(|comparison| comparison.failure = Some(reason.clone()));
        }
        for round in 1..=MOST_ROUNDS {
            self.serial_round(Orders::OfAll).await;
            let Some(comparison) = &mut self.comparison else { return };
            comparison.trust();
            let settled = round >= FEWEST_ROUNDS && (comparison.judge.stands_still() || requests > 3);
            if settled || comparison.failure.is_some() || self.stop.is_cancelled() || self.found.dead > 0 {
                return;
            }
        }
        if let Some(comparison) = &mut self.comparison {
            comparison.failure.get_or_insert(format!(
                "the same requests in the same order did not give the same outcome twice: after {MOST_ROUNDS} repetitions of \
                 every order something new was still seen"
            ));
        }
    }

    async fn begin_comparison(&mut self) -> bool {
        let (Some(comparison), Some(server)) = (&mut self.comparison, &self.server) else { return false };
        let databases: BTreeSet<String> = self
            .found
            .traces
            .iter()
            .flatten()
            .map(|command| command.database.clone())
            .filter(|name| name != "admin")
            .collect();
        let beginning = Scope::new(READ_WITHIN, &self.stop).wait(Capture::begin(server.clone(), databases)).await;
        match beginning.unwrap_or_else(|ended| Err(ended.into())) {
            Ok(capture) => {
                if !capture.has_oplog {
                    self.found.notes.insert(
                        "as if serial: the server keeps no oplog, so what was written is told by looking at the collections that \
                         requests write; what is written elsewhere, or by others, is not seen"
                            .to_owned(),
                    );
                }
                comparison.capture = Some(capture);
                true
            }
            Err(error) => {
                comparison.failure = Some(error.to_string());
                false
            }
        }
    }

    /// Every order of these once.
    async fn serial_round(&mut self, which: Orders) {
        let requests = self.subject.requests();
        let wanted = |order: &Vec<usize>| (order.len() == requests) == (which == Orders::OfAll);
        for order in orders(requests).into_iter().filter(wanted) {
            if self.stop.is_cancelled() || self.found.dead > 0 {
                return;
            }
            self.serial_run(order).await;
        }
        self.catch_up().await;
        if which == Orders::OfAll {
            self.comparison.iter_mut().for_each(|comparison| comparison.judge.end_round());
        }
    }

    /// What some of the requests do without the others, which only matters where one was refused, or failed.
    async fn serial_rounds_of_some(&mut self) {
        let Some(comparison) = &mut self.comparison else { return };
        if std::mem::replace(&mut comparison.knows_some, true) {
            return;
        }
        for _ in 0..comparison.judge.rounds() {
            self.serial_round(Orders::OfSome).await;
        }
    }

    /// The requests one after another: each is sent when the one before has been answered and nothing is in flight.
    pub(super) async fn serial_run(&mut self, order: Vec<usize>) -> usize {
        let number = self.next;
        self.next += 1;
        self.seed(number).await;
        self.open_window().await;
        let mut whole: Option<Execution> = None;
        for request in &order {
            let one = self.scheduler.execute_some(self.subject, number, &[*request], &mut Serial).await;
            let one = self.await_quiescence(one).await;
            whole = Some(match whole {
                None => one,
                Some(whole) => whole.followed_by(one, *request),
            });
        }
        let mut execution = whole.unwrap_or_default();
        self.learn(&execution);
        let (position, all) = (self.found.executions.len(), order.len() == self.subject.requests());
        self.close_window(position, &mut execution, order.clone(), true).await;
        self.keep(execution, order, Phase::Control);
        match all {
            true => self.look_in_passing(position, After::Control).await,
            false => self.skip_look().await,
        }
        position
    }

    /// Lets what comes after the answers pass; where it has never been seen, it is not waited for.
    pub(super) async fn await_quiescence(&mut self, mut execution: Execution) -> Execution {
        let Some(comparison) = self.comparison.as_mut().filter(|comparison| comparison.capture.is_some()) else {
            return execution;
        };
        let late = self.scheduler.await_quiescence(comparison.quiet).await;
        comparison.came_late(&late);
        execution.strays.extend(late);
        execution
    }

    /// An execution begins.
    pub(super) async fn open_window(&mut self) {
        if let Some(comparison) = &mut self.comparison {
            comparison.open().await;
        }
    }

    /// An execution has ended: what it wrote, and what each request says when it is sent once more.
    pub(super) async fn close_window(
        &mut self,
        position: usize,
        execution: &mut Execution,
        order: Vec<usize>,
        serial: bool,
    ) {
        let Some(comparison) = &mut self.comparison else { return };
        let Some(window) = comparison.close(execution).await else { return };
        if execution.stuck.is_some() {
            return;
        }
        let probes = if comparison.probes { self.probe(execution.number).await } else { Some(Vec::new()) };
        let Some(probes) = probes else {
            // Half of its probes say nothing.
            execution.stuck = Some(INTERRUPTED.to_owned());
            return;
        };
        if let Some(comparison) = &mut self.comparison {
            comparison.keep(position, order, window, probes, serial);
        }
    }

    /// Each request once more, one after another, and nothing parked; `None` if the exploration is to end meanwhile.
    pub(super) async fn probe(&mut self, number: u32) -> Option<Vec<Answer>> {
        self.proxy.pass();
        let patience = Scope::new(self.plan.timing.deadline, &self.stop);
        let (mut answers, mut stopped) = (Vec::new(), false);
        for request in 0..self.subject.requests() {
            match patience.wait(self.subject.start(number, request)).await {
                Ok(completion) => answers.push(answer(&completion)),
                Err(Ended::Deadline(_)) => {}
                Err(Ended::Stopped) => {
                    stopped = true;
                    break;
                }
            }
        }
        self.hold();
        (!stopped).then_some(answers)
    }

    async fn catch_up(&mut self) {
        if let Some(comparison) = &mut self.comparison {
            comparison.catch_up(self.subject, &self.found.executions).await;
        }
    }

    /// Judges these executions; at an anomaly every order is carried out once more first.
    pub(super) async fn judge_serially(&mut self, positions: &[usize]) {
        if self.comparison.is_none() {
            return;
        }
        self.catch_up().await;
        let mut judgement = self.judged(positions);
        let any = |judgement: &Option<Judgement>, of: fn(Class) -> bool| {
            judgement.as_ref().is_some_and(|judgement| judgement.executions.iter().any(|one| of(one.class)))
        };
        if any(&judgement, |class| class != Class::Serial) && !self.stop.is_cancelled() {
            self.hold();
            self.serial_rounds_of_some().await;
            judgement = self.judged(positions);
            if any(&judgement, Class::is_anomaly) {
                self.serial_round(Orders::OfAll).await;
                self.serial_round(Orders::OfSome).await;
                judgement = self.judged(positions);
            }
            self.proxy.pass();
        }
        let Some(judgement) = judgement else { return };
        let blameless = self.blameless(positions, &judgement);
        for (position, judged) in positions.iter().zip(&judgement.executions) {
            if !blameless.contains(position) {
                self.found.serial.insert(*position, judged.clone());
            }
        }
        if !blameless.is_empty() {
            self.found.notes.insert(format!(
                "as if serial: {} schedules in which one request follows the other are unlike every serial run, so that it is \
                 not their order that is to blame: memory of the service, or noise",
                blameless.len()
            ));
            if positions.len() == blameless.len()
                && let Some(comparison) = &mut self.comparison
            {
                comparison.failure.get_or_insert("schedules that are serial are unlike every serial run".to_owned());
            }
        }
        if let Some(comparison) = &mut self.comparison {
            comparison.judgement = Some(judgement);
        }
    }

    /// Anomalies whose commands came one request after the other.
    fn blameless(&self, positions: &[usize], judgement: &Judgement) -> BTreeSet<usize> {
        let judged = positions.iter().zip(&judgement.executions);
        let serial = |position: &usize| {
            let (execution, requests, _) = &self.found.executions[*position];
            let released_alone = execution.schedule.0.iter().all(|choice| choice.0.len() == 1);
            released_alone && execution.schedule.switches() < requests.len()
        };
        judged
            .filter(|(position, one)| one.class.is_anomaly() && serial(position))
            .map(|(position, _)| *position)
            .collect()
    }

    fn judged(&mut self, positions: &[usize]) -> Option<Judgement> {
        let comparison = self.comparison.as_mut()?;
        let mut samples: Vec<Sample> = Vec::new();
        for position in positions {
            samples.push(comparison.sample(self.subject, *position, &self.found.executions[*position].0)?);
        }
        (comparison.judge.serial_runs() > 0).then(|| comparison.judge.judge(&samples))
    }

    /// What the serial runs say of an execution.
    pub(super) fn serial_verdict(&self, position: usize) -> Option<Verdict> {
        let comparison = self.comparison.as_ref().filter(|comparison| comparison.failure.is_none())?;
        let strict = comparison.judge.settings().strict;
        let judged = self.found.serial.get(&position)?;
        Some(if judged.class.violates(strict) { Verdict::Violated } else { Verdict::Holds })
    }

    /// The report's section.
    pub(super) fn as_if_serial(&self, searched: &[usize], operations: Vec<String>) -> Option<AsIfSerialReport> {
        let comparison = self.comparison.as_ref()?;
        let strict = comparison.judge.settings().strict;
        let judged: Vec<(&usize, &Judged)> =
            searched.iter().filter_map(|position| Some((position, self.found.serial.get(position)?))).collect();
        let violating = || judged.iter().filter(|(_, one)| one.class.violates(strict));
        let smallest = violating().min_by_key(|(position, one)| {
            (std::cmp::Reverse(one.class), self.found.executions[**position].0.schedule.switches())
        });
        let mut classes = crate::serial::Classes::default();
        judged.iter().for_each(|(_, one)| classes.add(one.class));
        let judgement = comparison.judgement.as_ref();
        let doubt = comparison.doubt().or_else(|| judgement.and_then(|judgement| judgement.inconclusive.clone()));
        let violations = violating().count() as u64;
        let verdict = match (violations, &doubt) {
            // What else writes, or varies, may be to blame for all of it.
            (1.., None) => Verdict::Violated,
            (0, None) if !judged.is_empty() => Verdict::Holds,
            _ => Verdict::Inconclusive,
        };
        let mut report = AsIfSerialReport {
            verdict,
            judged: judged.len() as u64,
            violations,
            classes: Class::ALL.iter().map(|class| (class.name().to_owned(), classes.of(*class))).collect(),
            not_compared: judgement.map(|judgement| judgement.not_compared.clone()).unwrap_or_default(),
            serial_outcomes: judgement.map_or(0, |judgement| judgement.serial_outcomes as u64),
            serial_runs: comparison.judge.serial_runs() as u64,
            repetitions: comparison.judge.rounds() as u64,
            sentences: judgement
                .map(|judgement| {
                    judgement
                        .sentences()
                        .into_iter()
                        .filter(|(class, _)| *class != Class::Serial)
                        .map(|(_, text)| text)
                        .collect()
                })
                .unwrap_or_default(),
            inconclusive: doubt,
            apart: comparison.are_apart(),
            notes: judgement.map(|judgement| judgement.notes.clone()).unwrap_or_default(),
            operations,
            ..AsIfSerialReport::default()
        };
        if let Some((position, one)) = smallest {
            let execution = &self.found.executions[**position].0;
            report.schedule = execution.named();
            report.choices = execution.schedule.to_string();
            report.key = self.subject.invocation(execution.number, 0).key.to_string();
            report.nearest = one.nearest.clone();
            report.in_words = one.in_words().unwrap_or_default();
            let shown = |one: &crate::serial::Difference| FieldDifference {
                place: one.place.clone(),
                serially: one.serially.clone(),
                here: one.here.clone(),
            };
            report.differences = one.differences.iter().map(shown).collect();
        }
        Some(report)
    }
}

/// Which orders are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Orders {
    /// Those of all requests.
    OfAll,
    /// Those of some of them.
    OfSome,
}

/// The invariant's name, where it is violated.
pub(super) fn violated(verdict: Verdict) -> Option<Invariant> {
    (verdict == Verdict::Violated).then_some(Invariant::AsIfSerial)
}

/// All orders of all non-empty sets of requests, those of all requests first.
fn orders(requests: usize) -> Vec<Vec<usize>> {
    let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
    let mut from = 0;
    while from < orders.len() {
        for request in (0..requests).filter(|request| !orders[from].contains(request)).collect::<Vec<_>>() {
            let mut longer = orders[from].clone();
            longer.push(request);
            orders.push(longer);
        }
        from += 1;
    }
    orders.retain(|order| !order.is_empty());
    orders.sort_by_key(|order| std::cmp::Reverse(order.len()));
    orders
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::explore::fake::Bench;

    #[tokio::test]
    async fn an_interruption_ends_the_probes() {
        let bench = Bench::silent(Duration::from_secs(60)).await;
        let stop = CancellationToken::new();
        let mut explorer = bench.explorer(stop.clone());
        let begin = Instant::now();
        let (probes, ()) = tokio::join!(explorer.probe(0), async { stop.cancel() });
        assert!(probes.is_none(), "half of them say nothing: {probes:?}");
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    }

    #[test]
    fn every_order_of_every_set_is_carried_out() {
        for (requests, all) in [(1, 1), (2, 4), (3, 15), (4, 64)] {
            let orders = orders(requests);
            assert_eq!(orders.len(), all);
            assert_eq!(orders.iter().collect::<BTreeSet<_>>().len(), all);
            assert_eq!(orders[0].len(), requests);
        }
    }
}
