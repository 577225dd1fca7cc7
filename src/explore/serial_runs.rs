//! The serial runs of an exploration, and what each execution wrote and answered, for them to be held against.

use std::collections::BTreeSet;
use std::time::Instant;

use super::capture::Capture;
use super::comparison::{AsIfSerial, Comparison, READ_WITHIN, answer};
use super::execution::{Execution, INTERRUPTED};
use super::explorer::Explorer;
use super::policy::Serial;
use super::spent::Part;
use super::subject::Subject;
use super::watch::After;
use crate::history::Phase;
use crate::scope::{Ended, Scope};
use crate::serial::Answer;

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
    pub(super) async fn serial_round(&mut self, which: Orders) {
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
            let begin = Instant::now();
            self.comparison.iter_mut().for_each(|comparison| comparison.judge.end_round());
            self.found.spent.add(Part::Judging, begin);
        }
    }

    /// What some of the requests do without the others; whether that was not known yet.
    pub(super) async fn serial_rounds_of_some(&mut self) -> bool {
        let Some(comparison) = &mut self.comparison else { return false };
        if std::mem::replace(&mut comparison.knows_some, true) {
            return false;
        }
        for _ in 0..comparison.judge.rounds() {
            self.serial_round(Orders::OfSome).await;
        }
        true
    }

    /// The requests one after another: each is sent when the one before has been answered and nothing is in flight.
    pub(super) async fn serial_run(&mut self, order: Vec<usize>) -> usize {
        let number = self.next;
        self.next += 1;
        self.seed(number).await;
        self.open_window().await;
        let mut whole: Option<Execution> = None;
        for request in &order {
            let begin = Instant::now();
            let one = self.scheduler.execute_some(self.subject, number, &[*request], &mut Serial).await;
            self.found.spent.add(Part::SerialRuns, begin);
            let one = self.await_quiescence(one).await;
            whole = Some(match whole {
                None => one,
                Some(whole) => whole.followed_by(one, *request),
            });
        }
        let mut execution = whole.unwrap_or_default();
        self.learn(&execution);
        let (position, all) = (self.found.executions.len(), order.len() == self.subject.requests());
        self.close_window(position, &mut execution, order.clone()).await;
        self.comparison.iter_mut().for_each(|comparison| comparison.was_serial(position, order.clone()));
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
        let begin = Instant::now();
        let late = self.scheduler.await_quiescence(comparison.quiet).await;
        self.found.spent.add(Part::Silence, begin);
        comparison.came_late(&late);
        execution.strays.extend(late);
        execution
    }

    /// An execution begins.
    pub(super) async fn open_window(&mut self) {
        if let Some(comparison) = &mut self.comparison {
            let begin = Instant::now();
            comparison.open(&self.stop).await;
            self.found.spent.add(Part::Capture, begin);
        }
    }

    /// An execution has ended: what it wrote, and what each request says when it is sent once more.
    pub(super) async fn close_window(&mut self, position: usize, execution: &mut Execution, order: Vec<usize>) {
        let Some(comparison) = &mut self.comparison else { return };
        let begin = Instant::now();
        let window = comparison.close(execution, &self.stop).await;
        self.found.spent.add(Part::Capture, begin);
        let Some(window) = window else {
            if self.stop.is_cancelled() {
                // What it wrote is not known: it is none of those that are judged.
                execution.stuck.get_or_insert(INTERRUPTED.to_owned());
            }
            return;
        };
        if execution.stuck.is_some() {
            return;
        }
        let key = self.subject.invocation(execution.number, 0).key;
        let probes = match comparison.probes {
            true => {
                let probes = self.probe(execution.number).await;
                // What they write late is none of what the next execution writes.
                self.await_quiescence(Execution::default()).await;
                probes
            }
            false => Some(Vec::new()),
        };
        let Some(probes) = probes else {
            // Half of its probes say nothing.
            execution.stuck = Some(INTERRUPTED.to_owned());
            return;
        };
        if let Some(comparison) = &mut self.comparison {
            comparison.keep(position, order, (window, key), probes);
        }
    }

    /// Each request once more, one after another, and nothing parked; `None` if the exploration is to end meanwhile.
    pub(super) async fn probe(&mut self, number: u32) -> Option<Vec<Answer>> {
        self.pass();
        let begin = Instant::now();
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
        self.found.spent.add(Part::Probes, begin);
        (!stopped).then_some(answers)
    }

    pub(super) async fn catch_up(&mut self) {
        if let Some(comparison) = &mut self.comparison {
            let begin = Instant::now();
            comparison.catch_up(self.subject, &self.found.executions, &self.stop).await;
            self.found.spent.add(Part::Capture, begin);
        }
    }
}

/// Which orders are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orders {
    /// Those of all requests.
    OfAll,
    /// Those of some of them.
    OfSome,
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
