//! The serial runs of an exploration, and what each execution wrote and answered, for them to be held against.

use std::collections::BTreeSet;
use std::time::Instant;

use super::alone::came_up;
use super::answers::answer;
use super::capture::Capture;
use super::comparison::{AsIfSerial, Comparison, READ_WITHIN};
use super::execution::{Execution, INTERRUPTED, needed};
use super::explorer::Explorer;
use super::hub::signature;
use super::judging::unlike;
use super::policy::Serial;
use super::spent::Part;
use super::subject::Subject;
use super::watch::After;
use crate::history::Phase;
use crate::scope::{Ended, Scope};
use crate::serial::{Answer, Class};

/// Rounds of every order before something is accused.
pub(super) const FEWEST_ROUNDS: usize = 4;
/// Rounds after which serial runs that still teach something new are given up.
const MOST_ROUNDS: usize = 8;
/// Requests beyond which there are too many orders.
pub const MOST_UNORDERED: usize = 4;

impl<'a> Explorer<'a> {
    /// Holds executions against the serial runs of the same requests.
    pub fn judging(mut self, how: AsIfSerial) -> Self {
        self.comparison = Some(Comparison::new(how));
        self
    }

    /// Every order of the requests once: for most executions that is enough.
    pub(super) async fn serial_rounds(&mut self) {
        let requests = self.subject.requests();
        let unordered = requests.saturating_sub(self.plan.before);
        if self.comparison.is_none() || !self.begin_comparison().await {
            return;
        }
        if unordered > MOST_UNORDERED {
            let reason = format!(
                "as if serial: {unordered} requests have too many orders, at most {MOST_UNORDERED} are compared"
            );
            return self.comparison.iter_mut().for_each(|comparison| comparison.failure = Some(reason.clone()));
        }
        let all: Vec<usize> = (0..requests).collect();
        self.serial_round(&all).await;
        self.comparison.iter_mut().for_each(Comparison::trust);
    }

    /// Every order of all requests again, until nothing new is learned, or none of these is unlike them any more; whether that
    /// came to its end.
    pub(super) async fn settle_rounds(&mut self, positions: &[usize]) -> bool {
        let all: Vec<usize> = (0..self.subject.requests()).collect();
        loop {
            let Some(comparison) = &mut self.comparison else { return false };
            if comparison.failure.is_some() {
                return false;
            }
            let rounds = comparison.judge.rounds();
            if rounds >= FEWEST_ROUNDS
                && (comparison.judge.stands_still() || all.len() - self.plan.before.min(all.len()) > 3)
            {
                return true;
            }
            if rounds >= MOST_ROUNDS {
                comparison.failure = Some(format!(
                    "the same requests in the same order did not give the same outcome twice: after {MOST_ROUNDS} repetitions \
                     of every order something new was still seen"
                ));
                return false;
            }
            comparison.confirmed.insert(all.clone());
            if !self.serial_round(&all).await {
                return false;
            }
            if self.judged(positions).is_some_and(|judgement| !unlike(&judgement, |class| class != Class::Serial)) {
                return true;
            }
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

    /// Every order of these requests once; whether each of them came to its end. Only then is it a round.
    pub(super) async fn serial_round(&mut self, requests: &[usize]) -> bool {
        // Who comes first in every execution comes first in each order that it is held against.
        let orders = orders(requests, self.subject.starts(), self.plan.before);
        let learned = |explorer: &Self| explorer.comparison.as_ref().map_or(0, |one| one.judge.serial_runs());
        let before = learned(self);
        // What came to no end before this round says nothing of it.
        let mut dead = self.found.dead;
        for order in &orders {
            if self.stop.is_cancelled() || self.found.dead > dead || self.is_over() {
                break;
            }
            dead = self.found.dead;
            self.serial_run_surely(order.clone()).await;
        }
        self.catch_up().await;
        let whole = learned(self) == before + orders.len();
        let Some(comparison) = self.comparison.as_mut().filter(|_| whole) else { return false };
        *comparison.rounds.entry(requests.to_vec()).or_default() += 1;
        if requests.len() == self.subject.requests() {
            let begin = Instant::now();
            comparison.judge.end_round();
            self.found.spent.add(Part::Judging, begin);
        }
        true
    }

    /// The requests one after another: each is sent when the one before has been answered and nothing is in flight.
    pub(super) async fn serial_run(&mut self, order: Vec<usize>) -> usize {
        let number = self.next;
        self.next += 1;
        if let Err(why) = self.begin_afresh().await {
            return self.never_began(number, Phase::Control, why);
        }
        self.seed(number).await;
        self.open_window().await;
        let mut whole: Option<Execution> = None;
        for request in &order {
            let start = needed(*request, self.subject.starts());
            if let (Some(start), Some(whole)) = (start, &mut whole)
                && !came_up(&whole.requests[start])
            {
                // As in every execution: to an instance that has ended at its start nothing is sent.
                whole.unsent.insert(*request);
                continue;
            }
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
        // A write without an answer that comes late was overtaken by the request's answer: no work goes on after that.
        let after: Vec<String> =
            late.iter().filter(|command| command.acknowledged).map(|command| signature(command)).collect();
        comparison.came_late(&after);
        execution.strays.extend(late.iter().map(|command| signature(command)));
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
        let key = self.subject.key(execution.number);
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
        for request in self.subject.starts()..self.subject.requests() {
            match patience.wait(self.subject.start(number, request)).await {
                Ok(completion) => {
                    answers.push(answer(&completion));
                    self.proxy.unheard_end().await;
                }
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

/// All orders of these requests in which each comes after the start that it needs, of so many, and the first so many come first,
/// as they are.
fn orders(requests: &[usize], starts: usize, before: usize) -> Vec<Vec<usize>> {
    let first: Vec<usize> = requests.iter().copied().take_while(|request| *request < before).collect();
    let rest = requests.len() - first.len();
    let mut orders: Vec<Vec<usize>> = vec![first];
    for _ in 0..rest {
        let longer = |order: Vec<usize>| {
            let rest: Vec<usize> = requests.iter().copied().filter(|request| !order.contains(request)).collect();
            rest.into_iter().map(move |request| order.iter().copied().chain([request]).collect::<Vec<usize>>())
        };
        orders = orders.into_iter().flat_map(longer).collect();
    }
    let place = |order: &[usize], one: usize| order.iter().position(|other| *other == one);
    let is_late = |order: &[usize], request: usize| {
        needed(request, starts).is_some_and(|start| place(order, start) > place(order, request))
    };
    orders.retain(|order| !order.iter().any(|request| is_late(order, *request)));
    orders
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use futures::FutureExt;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::explore::explorer::MAX_DEAD;
    use crate::explore::fake::Bench;
    use crate::explore::subject::Launch;
    use crate::history::{Cause, Outcome, Returned, Value};
    use crate::target::Completion;

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

    #[tokio::test]
    async fn what_came_to_no_end_before_a_round_does_not_end_it() {
        let bench = Bench::silent(Duration::from_millis(20)).await;
        let mut explorer = bench.explorer(CancellationToken::new());
        explorer.found.dead = 1;
        explorer.serial_round(&[0, 1]).await;
        assert!(!explorer.found.executions.is_empty(), "it began");
        let carried_out = explorer.found.executions.len();
        explorer.found.dead = MAX_DEAD;
        explorer.serial_round(&[0, 1]).await;
        assert_eq!(explorer.found.executions.len(), carried_out, "nothing comes of it any more");
    }

    #[tokio::test]
    async fn nothing_is_sent_to_an_instance_that_has_ended_in_a_serial_run_either() {
        let launch: Launch = Arc::new(|position| {
            let outcome = match position {
                0 => Outcome::Failed(Cause::new("it ended")),
                _ => Outcome::Ok(Value::Document(Returned::default())),
            };
            async { Completion { outcome, connected: None, attempts: 1, answer: None } }.boxed()
        });
        let bench = Bench::silent(Duration::from_millis(20)).await.with_starts(2, launch);
        let mut explorer = bench.explorer(CancellationToken::new());
        let position = explorer.serial_run(vec![0, 1, 2, 3]).await;
        let (execution, ..) = &explorer.found.executions[position];
        assert_eq!(execution.unsent.iter().copied().collect::<Vec<_>>(), [2], "the second has come up");
    }

    #[test]
    fn who_comes_first_comes_first_in_every_order() {
        let of = |before| orders(&[0, 1, 2, 3], 0, before);
        assert_eq!((of(0).len(), of(1).len()), (24, 6));
        assert_eq!(of(2), [[0, 1, 2, 3], [0, 1, 3, 2]]);
        assert_eq!(orders(&[0, 2, 3], 0, 2), [[0, 2, 3], [0, 3, 2]], "without one of them");
    }

    #[test]
    fn every_order_is_carried_out() {
        assert_eq!(orders(&[0, 2], 0, 0), [[0, 2], [2, 0]]);
        // Two instances, and one request: it goes to the first.
        assert_eq!(orders(&[0, 1, 2], 2, 0), [[0, 1, 2], [0, 2, 1], [1, 0, 2]]);
        assert_eq!(orders(&[0, 1, 2, 3], 2, 0).len(), 6);
        for (requests, all) in [(1, 1), (3, 6), (4, 24)] {
            let orders = orders(&(0..requests).collect::<Vec<_>>(), 0, 0);
            assert_eq!(orders.iter().collect::<BTreeSet<_>>().len(), all);
            assert!(orders.len() == all && orders.iter().all(|order| order.len() == requests));
        }
    }
}
