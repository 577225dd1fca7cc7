//! What a fault does to an execution under way: who is touched by it, the service that is killed and started again, requests
//! that are delivered again.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::Run;
use crate::explore::execution::INTERRUPTED;
use crate::explore::fault::{Fault, Restart, end_sessions};
use crate::explore::gate::{Event, Release};
use crate::explore::hub::signature;
use crate::explore::lane::Lane;
use crate::explore::schedule::Choice;
use crate::explore::scheduler::START_QUIET;
use crate::explore::wire::{Command, Kind};
use crate::history::{Cause, Outcome, Transport};
use crate::scope::{Ended, Scope};

/// Deliveries of one request: the first, and one more.
const MOST_DELIVERIES: u8 = 2;
/// How long callers may take to notice that the service is gone.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);

impl Run<'_> {
    /// What struck a step.
    pub(super) fn fault_at(&self, step: usize) -> Option<Fault> {
        self.execution.steps.get(step).and_then(|step| step.pick.fault)
    }

    /// Takes note of the faults of a choice before it is released.
    pub(super) fn touch(&mut self, choice: &Choice) {
        for pick in &choice.0 {
            let fault = pick.fault.filter(|fault| fault.is_doubtful());
            let (Some(fault), Some(lane)) = (fault, self.lanes.get_mut(pick.request)) else { continue };
            self.execution.touched.insert(pick.request);
            lane.suffer(fault);
        }
    }

    /// Whether a request may still send something although it was answered. What it sends so is its own.
    pub(super) fn may_be_late(&self, request: usize) -> bool {
        if request < self.execution.starts {
            // It answers that it is ready, and may still be at work.
            return true;
        }
        let Some(mode) = &self.scheduler.faults else { return false };
        let class = self.subject.class(request);
        // While requests run alone it is not known yet.
        self.scheduler.alone.is_empty() || mode.late.iter().any(|(late, _)| *late == class)
    }

    /// Takes note of a command that is released after its request was answered.
    pub(super) fn learn_late(&mut self, request: usize, ordinal: usize) {
        let class = self.subject.class(request);
        if let (Some(mode), true) = (&mut self.scheduler.faults, self.lanes[request].finished) {
            mode.late.insert((class, ordinal));
        }
    }

    /// Kills the service and starts it again, where this choice says so.
    pub(super) async fn after(&mut self, choice: &Choice) -> Result<(), String> {
        let Some((request, fault)) = choice.0.iter().find_map(|pick| Some((pick.request, pick.fault?))) else {
            return Ok(());
        };
        if !fault.is_crash() {
            return Ok(());
        }
        let mode = self.scheduler.faults.as_ref();
        let Some(restart) = mode.and_then(|mode| mode.restart.clone()) else {
            return Err("there is no service that could be killed".to_owned());
        };
        if fault == Fault::CrashBefore {
            // Whoever was answered before the service dies, was answered.
            while !self.lanes[request].finished && self.wait(self.scheduler.timing.quiet, None).await.is_ok() {}
        }
        self.kill(&*restart).await?;
        self.start_again(&*restart).await
    }

    /// Kills the service; what it had sent and was told goes nowhere.
    async fn kill(&mut self, restart: &dyn Restart) -> Result<(), String> {
        // Those that are under way now: by the time that it is gone, some of them have heard so.
        let in_flight: Vec<usize> = (0..self.lanes.len()).filter(|lane| self.is_in_flight(*lane)).collect();
        self.passing(restart.kill()).await?;
        self.execution.restarted = true;
        let gates = self.lanes.iter_mut().flat_map(|lane| lane.parked.drain(..)).map(|held| held.gate);
        for gate in gates.chain(self.withheld.drain(..)) {
            // The connection is closed already, unless nobody has noticed so far.
            gate.send(Release::Reset).ok();
        }
        for (request, step, _) in std::mem::take(&mut self.answers) {
            self.unheard(request, step);
        }
        for (_, (request, step)) in std::mem::take(&mut self.in_server) {
            self.unheard(request, step);
        }
        for request in in_flight {
            self.execution.touched.insert(request);
            let lane = &mut self.lanes[request];
            lane.answers.clear();
            lane.suffer(Fault::Crash);
        }
        let noticed = tokio::time::sleep(NOTICED_WITHIN);
        tokio::pin!(noticed);
        let stop = self.scheduler.stop.clone();
        while (0..self.lanes.len()).any(|lane| self.is_in_flight(lane)) {
            let event = tokio::select! {
                event = self.scheduler.events.recv() => event,
                () = stop.cancelled() => return Err(INTERRUPTED.to_owned()),
                // It sends its request again by itself, and will reach the service once that is back.
                () = &mut noticed => break,
            };
            self.let_pass(event);
        }
        Ok(())
    }

    /// Starts the service again, and waits until it is done with what it does at its start.
    async fn start_again(&mut self, restart: &dyn Restart) -> Result<(), String> {
        let transactions = self.execution.steps.iter().filter_map(|step| step.command.session.clone());
        let (sessions, server) = (transactions.collect::<BTreeSet<_>>(), self.scheduler.faults.clone());
        let (deadline, stop) = (self.scheduler.timing.deadline, self.scheduler.stop.clone());
        let scope = Scope::new(deadline, &stop);
        // A server ends the transactions of a client that is gone after a minute, which nobody waits for here.
        let ending = scope.wait(end_sessions(server.and_then(|mode| mode.server), sessions)).await;
        if let Err(why) = ending.unwrap_or_else(|ended| Err(ended.to_string())) {
            self.execution.notes.push(format!(
                "the transactions of a service that was killed stay open until the server ends them itself, and may be in \
                 the way until then: {why}"
            ));
        }
        let mut passed = self.passing(restart.start()).await?;
        let retrying: Vec<usize> = (0..self.lanes.len()).filter(|lane| self.is_in_flight(*lane)).collect();
        if retrying.is_empty() {
            // A service that is never silent works in the background, too.
            let silence = scope.wait(self.scheduler.hear_out(START_QUIET, &mut passed)).await;
            if matches!(silence, Err(Ended::Stopped)) {
                return Err(INTERRUPTED.to_owned());
            }
        }
        let writes = passed.iter().filter(|command| command.kind == Kind::Write);
        self.execution.at_start.extend(writes.map(|command| signature(command)));
        for request in retrying {
            self.settle(request).await?;
        }
        Ok(())
    }

    /// Waits for what is done to the service; what that sends meanwhile passes, and is returned. Where it cannot be done, the
    /// service is lost.
    async fn passing(&mut self, done: impl Future<Output = Result<(), String>>) -> Result<Vec<Arc<Command>>, String> {
        tokio::pin!(done);
        let (stop, mut passed) = (self.scheduler.stop.clone(), Vec::new());
        loop {
            tokio::select! {
                biased;
                // Nothing is begun any more.
                () = stop.cancelled() => return Err(INTERRUPTED.to_owned()),
                done = &mut done => {
                    self.execution.lost |= done.is_err();
                    return done.map(|()| passed);
                }
                event = self.scheduler.events.recv() => passed.extend(self.let_pass(event)),
            }
        }
    }

    /// Drops what is parked, which lets it pass; the end of a request is taken note of.
    fn let_pass(&mut self, event: Option<Event>) -> Option<Arc<Command>> {
        match event? {
            Event::Parked(parked) => Some(parked.command),
            finished @ Event::Finished { .. } => {
                self.absorb(finished, None);
                None
            }
            Event::Replied(_) | Event::Lost { .. } => None,
        }
    }

    fn is_in_flight(&self, request: usize) -> bool {
        let lane = &self.lanes[request];
        lane.started && !lane.finished
    }

    /// Delivers again what its caller would: every request that a fault touched and that was not answered well.
    pub(super) async fn deliver_again(&mut self) -> Result<(), String> {
        if !self.scheduler.faults.as_ref().is_some_and(|mode| mode.redeliver) {
            return Ok(());
        }
        for request in 0..self.lanes.len() {
            let lane = &self.lanes[request];
            let is_due = lane.finished && lane.delivery + 1 < MOST_DELIVERIES && !lane.has_a_choice();
            if !is_due || !self.execution.touched.contains(&request) || self.is_served(request) {
                continue;
            }
            self.lanes[request] = lane.delivered_again();
            self.start(request);
            self.settle(request).await?;
        }
        Ok(())
    }

    fn is_served(&self, request: usize) -> bool {
        self.execution.requests[request].completion.as_ref().is_some_and(|completion| is_well(&completion.outcome))
    }

    /// Whoever is touched by a fault and was not answered well may have had an effect, whatever the answer says; and so may
    /// whoever lost a connection along with it.
    pub(super) fn doubt_outcomes(&mut self) {
        if self.execution.touched.is_empty() {
            return;
        }
        for (request, record) in self.execution.requests.iter_mut().enumerate() {
            let Some(completion) = &mut record.completion else { continue };
            completion.attempts = completion.attempts.max(u16::from(self.lanes[request].delivery) + 1);
            let touched = self.execution.touched.contains(&request);
            let cause = match &completion.outcome {
                outcome if is_well(outcome) => continue,
                Outcome::Unknown(cause) => cause,
                Outcome::Failed(cause) if touched => cause,
                _ => continue,
            };
            let text = format!("a fault was injected, and the answer was: {}", cause.message);
            completion.outcome = Outcome::Unknown(Cause::transport(Transport::Injected, text));
        }
    }
}

/// Whether who asked is content, and does not ask again.
fn is_well(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Ok(_) => true,
        Outcome::Failed(cause) | Outcome::Unknown(cause) => cause.status().is_some_and(|status| status < 400),
    }
}

impl Lane {
    /// What is lost with a connection, or is answered by an error, tells its request something else than the server would.
    fn suffer(&mut self, fault: Fault) {
        for digest in [&mut self.past, &mut self.heard] {
            let mut hasher = DefaultHasher::new();
            (*digest, fault).hash(&mut hasher);
            *digest = hasher.finish();
        }
        self.told.clear();
    }

    /// The lane of a request that is sent once more.
    fn delivered_again(&self) -> Lane {
        Lane {
            next_ordinal: self.next_ordinal,
            delivery: self.delivery + 1,
            past: self.past,
            heard: self.heard,
            wrote: self.wrote,
            ..Lane::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt;
    use futures::future::BoxFuture;
    use mongodb::Client;
    use mongodb::bson::spec::BinarySubtype;
    use mongodb::bson::{Binary, rawdoc};
    use mongodb::options::ClientOptions;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::explore::execution::Execution;
    use crate::explore::fake::{Fake, Store};
    use crate::explore::fault::Mode;
    use crate::explore::policy::Replay;

    /// A service that does not come up again, and what was done to it.
    #[derive(Debug, Default)]
    struct Gone {
        done: Mutex<Vec<&'static str>>,
        stop: CancellationToken,
        /// The exploration is to end once this is done, or while it hangs.
        stops_at: Option<(&'static str, bool)>,
    }

    impl Gone {
        fn does(&self, what: &'static str, comes_to: Result<(), &str>) -> BoxFuture<'_, Result<(), String>> {
            self.done.lock().unwrap().push(what);
            let comes_to = comes_to.map_err(str::to_owned);
            match self.stops_at.filter(|(at, _)| *at == what) {
                Some((_, hangs)) => {
                    self.stop.cancel();
                    if hangs { std::future::pending().boxed() } else { async { Ok(()) }.boxed() }
                }
                None => async { comes_to }.boxed(),
            }
        }
    }

    impl Restart for Gone {
        fn kill(&self) -> BoxFuture<'_, Result<(), String>> {
            async { self.does("killed", Ok(())).await }.boxed()
        }

        fn start(&self) -> BoxFuture<'_, Result<(), String>> {
            async { self.does("started", Err("it does not come up")).await }.boxed()
        }
    }

    /// A request that never ends, unless the service is killed with it.
    fn hangs(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
        async move {
            store.insert(&key, by).await;
            std::future::pending().await
        }
        .boxed()
    }

    fn fails(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
        async move { store.insert(&key, by).map(|_| usize::MAX).await }.boxed()
    }

    /// One that is answered before what it has sent is carried out.
    fn answers_early(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
        async move {
            let mut sent = async move { store.insert(&key, by).await }.boxed();
            if futures::poll!(&mut sent).is_pending() {
                drop(tokio::spawn(sent));
            }
            usize::MAX
        }
        .boxed()
    }

    /// One that has begun a transaction.
    fn begins(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
        async move {
            let id = Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] };
            let command = rawdoc! {
                "insert": "chats", "documents": [{ "k": key.as_str() }], "$db": "app", "lsid": { "id": id },
                "txnNumber": 1_i64, "startTransaction": true, "autocommit": false,
            };
            store.call(command, |documents| (documents.push(by), rawdoc! { "ok": 1, "n": 1 }), &key).await;
            usize::MAX
        }
        .boxed()
    }

    async fn killed(gone: &Arc<Gone>, of: (Fake, crate::explore::scheduler::Scheduler)) -> Execution {
        killed_beside(gone, of, None).await
    }

    async fn killed_beside(
        gone: &Arc<Gone>,
        (fake, mut scheduler): (Fake, crate::explore::scheduler::Scheduler),
        server: Option<Client>,
    ) -> Execution {
        let restart = Some(Arc::clone(gone) as Arc<dyn Restart>);
        scheduler.faults = Some(Mode { restart, server, ..Mode::default() });
        scheduler.stop = gone.stop.clone();
        scheduler.execute(&fake, 0, &mut Replay::new("1:crash".parse().unwrap())).await
    }

    #[tokio::test]
    async fn an_interruption_ends_the_wait_for_those_who_notice() {
        let gone = Arc::new(Gone { stops_at: Some(("killed", false)), ..Gone::default() });
        let execution = killed(&gone, Fake::new(1, hangs)).await;
        assert_eq!((execution.stuck.as_deref(), execution.lost), (Some(INTERRUPTED), false));
        assert_eq!(*gone.done.lock().unwrap(), ["killed"], "nothing is begun any more");
    }

    #[tokio::test]
    async fn an_interruption_ends_every_wait_for_a_service_that_is_killed() {
        type Program = fn(Store, String, usize) -> BoxFuture<'static, usize>;
        let cases: [(_, &[_], Program); 5] = [
            (("killed", true), &["killed"], fails),
            (("killed", false), &["killed"], fails),
            // Nobody is under way whom it would be waited for before the start.
            (("killed", false), &["killed"], answers_early),
            (("started", true), &["killed", "started"], fails),
            (("started", false), &["killed", "started"], fails),
        ];
        for (stops_at, done, program) in cases {
            let gone = Arc::new(Gone { stops_at: Some(stops_at), ..Gone::default() });
            let ended = tokio::time::timeout(Duration::from_secs(30), killed(&gone, Fake::new(1, program))).await;
            let execution = ended.unwrap_or_else(|_| panic!("{stops_at:?}: it is waited for"));
            assert_eq!((execution.stuck.as_deref(), execution.lost), (Some(INTERRUPTED), false), "{stops_at:?}");
            assert_eq!(*gone.done.lock().unwrap(), done, "{stops_at:?}");
        }
    }

    #[tokio::test]
    async fn transactions_that_stay_open_are_told() {
        let mut options = ClientOptions::parse("mongodb://127.0.0.1:1/").await.unwrap();
        options.server_selection_timeout = Some(Duration::from_millis(50));
        let server = Client::with_options(options).unwrap();
        let notes = async |program| {
            let gone = Arc::new(Gone::default());
            killed_beside(&gone, Fake::new(1, program), Some(server.clone())).await.notes
        };
        let told = notes(begins).await;
        assert!(told.len() == 1 && told[0].contains("stay open until the server ends them itself"), "{told:?}");
        assert_eq!(notes(fails).await, [] as [String; 0], "there is none");
    }

    #[tokio::test]
    async fn a_service_that_does_not_come_back_is_lost() {
        let gone = Arc::new(Gone::default());
        let execution = killed(&gone, Fake::new(1, fails)).await;
        assert_eq!((execution.stuck.as_deref(), execution.lost), (Some("it does not come up"), true));
        assert_eq!(*gone.done.lock().unwrap(), ["killed", "started"]);
    }
}
