//! Executions that each begin on a database that does not exist yet (`[load] fresh`): the service is killed, its database is
//! dropped, and the service is started again on it. Main type: [`FreshService`].
//!
//! What an execution has left is read before that, so that the final state has the documents of all of them. The database keeps
//! its name, and so do the namespaces that searches, serial runs and reports go by.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use super::execution::{Execution, INTERRUPTED, Request};
use super::explorer::Explorer;
use super::scheduler::START_QUIET;
use super::spent::Part;
use super::subject::Subject;
use crate::checker::is_wrong;
use crate::history::{History, Observation, Phase};
use crate::scope::{Ended, Rest, Scope};

/// How long it is waited for that a service is silent after its start.
const QUIET_WITHIN: Duration = Duration::from_secs(1);
/// How long it may take until the connections of a service that was killed are closed.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks at whether they are.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How long what the last execution left may take to be read.
const READ_WITHIN: Duration = Duration::from_secs(60);
/// How long all may take that is done between a kill and an execution, besides the start itself: what was left is read once more,
/// the database dropped, the target made ready.
const AROUND_START: Duration = Duration::from_secs(180);

/// Why an execution did not begin.
fn cannot(why: impl std::fmt::Display) -> String {
    format!("an execution could not begin on a new database: {why}")
}

/// The service under test, and its database. Each step says in words why it could not be done.
pub trait FreshService: Send + Sync {
    /// What the present database holds, as the final state is read.
    fn observe(&self) -> BoxFuture<'_, Result<Option<Observation>, String>>;

    /// Kills the service. When this has ended, it does nothing any more.
    fn kill(&self) -> BoxFuture<'_, Result<(), String>>;

    /// Drops the database, of which this was the last that was seen while the service ran, and starts the service again on it:
    /// one instance after another, until each is ready, and with what comes before all requests. Where its start is part of
    /// executions, it is left to these.
    fn start(&self, left: Option<Observation>) -> BoxFuture<'_, Result<(), String>>;

    /// Waits until the server is done with what the service asked for at its start.
    fn come_to_rest(&self) -> BoxFuture<'_, ()>;
}

/// How executions begin, where each has a database of its own.
pub(super) struct Afresh {
    service: Arc<dyn FreshService>,
    /// Executions that were carried out before the present database was made.
    before: usize,
    starts: u32,
    /// When the exploration began: of several, each has its own.
    since: Instant,
}

impl<'a> Explorer<'a> {
    /// Has every execution begin on a database that does not exist yet.
    pub fn on_fresh_databases(mut self, service: Arc<dyn FreshService>) -> Self {
        self.proxy.park_catalogue();
        self.afresh = Some(Afresh { service, before: 0, starts: 0, since: Instant::now() });
        self
    }

    /// Listens to a service that was just started: what it does when it is done with its start is work in the background.
    pub(super) async fn listen_afresh(&mut self) {
        match self.begin_afresh().await {
            Ok(()) => self.listen().await,
            Err(why) => {
                self.never_began(self.next, Phase::Control, why);
            }
        }
    }

    /// Begins an execution where nothing was before, if that is asked for; why it cannot begin, if it cannot.
    pub(super) async fn begin_afresh(&mut self) -> Result<(), String> {
        let Some(afresh) = &self.afresh else { return Ok(()) };
        let (service, begin, stop) = (Arc::clone(&afresh.service), Instant::now(), self.stop.clone());
        let left = self.read_what_is_left(&*service).await?;
        self.pass();
        let within = AROUND_START + self.plan.timing.start;
        Scope::new(within, &stop).wait(self.renewed(&*service, left)).await.unwrap_or_else(|ended| {
            Err(match ended {
                Ended::Stopped => INTERRUPTED.to_owned(),
                Ended::Deadline(_) => cannot(ended),
            })
        })?;
        self.hold();
        if self.subject.starts() == 0 {
            let mut passed = Vec::new();
            let quiet = self.scheduler.hear_out(START_QUIET, &mut passed);
            // A service that is never silent works in the background, too.
            if let Err(Ended::Stopped) = Scope::new(QUIET_WITHIN, &stop).wait(quiet).await {
                return Err(INTERRUPTED.to_owned());
            }
            // What never rests is not waited for.
            if let Err(Ended::Stopped) = Scope::new(self.plan.timing.deadline, &stop).wait(service.come_to_rest()).await
            {
                return Err(INTERRUPTED.to_owned());
            }
        }
        self.forget_what_was_there().await;
        self.found.spent.add(Part::Preparing, begin);
        if let Some(afresh) = &mut self.afresh {
            afresh.before = self.found.executions.len();
            afresh.starts += 1;
        }
        Ok(())
    }

    /// Reads what the last execution left, until nothing is wrong with it or it stands still: what is accepted may be stored a
    /// little later.
    async fn read_what_is_left(&mut self, service: &dyn FreshService) -> Result<Option<Observation>, String> {
        let (before, starts) = self.afresh.as_ref().map_or((0, 0), |afresh| (afresh.before, afresh.starts));
        // The last execution of the exploration before this one is still there: that has waited for what it left.
        let is_of_another = starts == 0 && self.next > 0;
        if before == self.found.executions.len() && !is_of_another {
            return Ok(None);
        }
        let own = (before..self.found.executions.len()).flat_map(|position| self.operations(position));
        let history = History { operations: own.collect(), ..History::default() };
        let wrong = |observation: &Option<Observation>| {
            observation.as_ref().is_some_and(|observation| is_wrong(&history, observation, &self.plan.invariants))
        };
        let rest = self.plan.settle.filter(|_| !self.found.stands_still && !is_of_another).map(Rest::within);
        let begin = Instant::now();
        let read = async {
            match rest {
                Some(rest) => {
                    rest.reached(|| service.observe(), wrong).await.map(|it| (it.state, it.stood_still, it.mended))
                }
                None => service.observe().await.map(|state| (state, false, false)),
            }
        };
        let within = READ_WITHIN + rest.map_or(Duration::ZERO, Rest::longest);
        let read = Scope::new(within, &self.stop).wait(read).await;
        self.found.spent.add(Part::FinalState, begin);
        match read {
            Ok(Ok((state, stood_still, mended))) => {
                self.found.stands_still |= stood_still;
                if mended {
                    self.tell_done_later();
                }
                Ok(state)
            }
            Ok(Err(why)) => Err(format!("what an execution left could not be read: {why}")),
            Err(Ended::Stopped) => Err(INTERRUPTED.to_owned()),
            Err(ended) => Err(format!("what an execution left could not be read: {ended}")),
        }
    }

    /// Kills the service, and starts it again without its database.
    async fn renewed(&self, service: &dyn FreshService, left: Option<Observation>) -> Result<(), String> {
        service.kill().await.map_err(cannot)?;
        // What was still on its way has come to the server by then, or will never come.
        let closed = async {
            while self.proxy.connections() > 0 {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        if tokio::time::timeout(CLOSED_WITHIN, closed).await.is_err() {
            let seconds = CLOSED_WITHIN.as_secs();
            return Err(cannot(format!(
                "connections through the proxy are open {seconds} s after the service was killed"
            )));
        }
        service.start(left).await.map_err(cannot)
    }

    /// Nothing is known of the new database, and nothing that is wrong in it was there before.
    async fn forget_what_was_there(&mut self) {
        self.watch.iter_mut().for_each(|watch| watch.begin_with_nothing());
        if let Some(comparison) = &mut self.comparison {
            comparison.begun_anew(&self.stop).await;
        }
        if let Some(stored) = &mut self.scheduler.stored {
            // What is not seen in time is not shown.
            Scope::new(self.plan.timing.deadline, &self.stop).wait(stored.begin_again()).await.ok();
        }
    }

    /// Keeps an execution whose requests were never sent; its position.
    pub(super) fn never_began(&mut self, number: u32, phase: Phase, why: String) -> usize {
        let nobody = Request { invoked: Instant::now(), completed: None, completion: None };
        let requests = vec![nobody; self.subject.requests()];
        let lost = why != INTERRUPTED;
        let execution = Execution { number, requests, stuck: Some(why), lost, ..Execution::default() };
        self.learn(&execution);
        // Of requests that were not sent there are no operations.
        self.keep(execution, Vec::new(), phase);
        self.found.executions.len() - 1
    }

    /// Says how executions began, and what that took.
    pub(super) fn tell_of_starts(&mut self) {
        let Some(Afresh { starts, since, .. }) = self.afresh.as_ref().filter(|afresh| afresh.starts > 0) else {
            return;
        };
        let how = match self.subject.starts() {
            0 => "and the service was started again on it".to_owned(),
            1 => "and its instance was started in it (S1)".to_owned(),
            instances => format!("and its {instances} instances were started in it (S1 to S{instances})"),
        };
        self.found.notes.insert(format!(
            "each execution began on a database that had not been there before, {how}: {starts} times, {:.1} s each on average, \
             with all that was read and judged",
            since.elapsed().as_secs_f64() / f64::from(*starts)
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::explore::fake::Bench;

    /// A service that always leaves something; whether that was handed on at each start.
    #[derive(Default)]
    struct Leaving(Mutex<Vec<bool>>);

    impl FreshService for Leaving {
        fn observe(&self) -> BoxFuture<'_, Result<Option<Observation>, String>> {
            async { Ok(Some(Observation::default())) }.boxed()
        }

        fn kill(&self) -> BoxFuture<'_, Result<(), String>> {
            async { Ok(()) }.boxed()
        }

        fn start(&self, left: Option<Observation>) -> BoxFuture<'_, Result<(), String>> {
            self.0.lock().unwrap().push(left.is_some());
            async { Ok(()) }.boxed()
        }

        fn come_to_rest(&self) -> BoxFuture<'_, ()> {
            async {}.boxed()
        }
    }

    #[tokio::test]
    async fn what_the_last_execution_of_another_exploration_left_is_read_before_it_is_dropped() {
        for (next, left) in [(0, [false, false]), (3, [true, false])] {
            let bench = Bench::silent(Duration::from_millis(20)).await;
            let service = Arc::new(Leaving::default());
            let explorer = bench.explorer(CancellationToken::new()).starting(next, Instant::now());
            let mut explorer = explorer.on_fresh_databases(Arc::clone(&service) as Arc<dyn FreshService>);
            explorer.begin_afresh().await.unwrap();
            explorer.begin_afresh().await.unwrap();
            assert_eq!(*service.0.lock().unwrap(), left, "{next}");
        }
    }
}
