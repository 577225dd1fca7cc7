//! [`inject`]: carries the planned faults out while the load goes on. Each fault of the scenario has a lane of its own; what
//! strikes the same thing takes turns. Whatever was broken is mended before it returns, also where the load ends early.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::durable::DurableMark;
use super::moments::{Moment, is_skipped, moments};
use super::{clock, journal, server, service, way};
use crate::driver::Progress;
use crate::explore::proxy::Proxy;
use crate::history::{FaultInterval, Nanos};
use crate::mongod::Mongod;
use crate::scenario::{FaultSpec, LoadFault};
use crate::target::Service;

/// How long before a fault that may lose something all is made durable: long enough to be acknowledged, short enough that there
/// is something to lose.
const MARKED_BEFORE: Duration = Duration::from_millis(250);

/// What faults are carried out on: what the environment of the run has of it.
#[derive(Clone, Copy, Default)]
pub struct Equipment<'a> {
    /// The server, where the harness started it.
    pub mongod: Option<&'a Mongod>,
    /// The proxy in front of the server.
    pub proxy: Option<&'a Proxy>,
    /// The service, where the harness started it.
    pub service: Option<&'a Service>,
}

/// What a fault did.
#[derive(Debug, Default)]
pub(super) struct Struck {
    /// Whom it met.
    pub(super) met: String,
    /// How many connections, commands or answers.
    pub(super) count: Option<u64>,
    /// The server may have lost what it had acknowledged.
    pub(super) loses: bool,
    /// From then on it acknowledged nothing that may be lost, if that is before all was well again.
    pub(super) down: Option<Instant>,
    /// The terms of the primaries before and after it.
    pub(super) terms: Option<[i64; 2]>,
}

/// The load that faults come into.
struct Injector<'a> {
    equipment: Equipment<'a>,
    over: Over<'a>,
    seed: u64,
    /// Zero of the run's times, and the load's start.
    epoch: Instant,
    begun: Instant,
    turns: BTreeMap<Thing, Mutex<()>>,
}

/// What is struck by one fault at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Server,
    FailPoint,
    Connections,
    Delay,
    Answers,
    Service,
    Journal,
    Clock,
}

impl Thing {
    const ALL: [Thing; 8] = [
        Thing::Server,
        Thing::FailPoint,
        Thing::Connections,
        Thing::Delay,
        Thing::Answers,
        Thing::Service,
        Thing::Journal,
        Thing::Clock,
    ];

    fn of(kind: LoadFault) -> Self {
        match kind {
            LoadFault::KillMongod
            | LoadFault::PauseMongod
            | LoadFault::RestartMongod
            | LoadFault::StepDown
            | LoadFault::Partition => Thing::Server,
            LoadFault::FailCommand => Thing::FailPoint,
            LoadFault::ResetConnections => Thing::Connections,
            LoadFault::Delay => Thing::Delay,
            LoadFault::LostAnswer => Thing::Answers,
            LoadFault::KillService => Thing::Service,
            LoadFault::SlowDisk => Thing::Journal,
            LoadFault::Clock => Thing::Clock,
        }
    }
}

/// Carries out the faults of a scenario from the start of the load to its end; what happened, in the order in which it began.
pub async fn inject(
    specs: &[FaultSpec],
    seed: u64,
    equipment: Equipment<'_>,
    progress: &Progress,
    stop: &CancellationToken,
) -> Vec<FaultInterval> {
    if specs.is_empty() {
        return Vec::new();
    }
    tokio::select! {
        biased;
        () = progress.load_begins.cancelled() => {}
        () = progress.load_ends.cancelled() => return Vec::new(),
    }
    let (Some(epoch), Some(begun)) = (progress.begun.get(), progress.load_begun.get()) else { return Vec::new() };
    if let Some(proxy) = equipment.proxy {
        proxy.seed(seed);
    }
    let turns = Thing::ALL.into_iter().map(|thing| (thing, Mutex::new(()))).collect();
    let over = Over { load_ends: &progress.load_ends, stop };
    let injector = Injector { equipment, over, seed, epoch: *epoch, begun: *begun, turns };
    let lanes = specs.iter().enumerate().map(|(number, spec)| injector.lane(number, spec));
    let mut intervals: Vec<FaultInterval> = futures::future::join_all(lanes).await.into_iter().flatten().collect();
    intervals.sort_by_key(|interval| (interval.from_ns, interval.number));
    intervals
}

impl Injector<'_> {
    /// One fault of the scenario, as often as it comes.
    async fn lane(&self, number: usize, spec: &FaultSpec) -> Vec<FaultInterval> {
        let mut intervals: Vec<FaultInterval> = Vec::new();
        let mut durable = Durable::new(self.equipment.mongod.filter(|_| Thing::of(spec.kind) == Thing::Server)).await;
        for moment in moments(spec, number, self.seed) {
            let due = self.begun + moment.due;
            let mended = intervals.last().map(|last| self.epoch + Duration::from_nanos(last.to_ns));
            if is_skipped(spec, moment.due, mended.map(|mended| mended.saturating_duration_since(self.begun))) {
                continue;
            }
            if !self.until(due.checked_sub(MARKED_BEFORE).unwrap_or(due)).await {
                break;
            }
            durable.mark().await;
            if !self.until(due).await {
                break;
            }
            let thing = Thing::of(spec.kind);
            let turn = match self.turns.get(&thing) {
                Some(turn) => Some(turn.lock().await),
                None => None,
            };
            if self.over.is_so() {
                break;
            }
            let interval = self.strike(number, spec, moment, &durable).await;
            drop(turn);
            let broken = interval.as_ref().is_some_and(|interval| interval.error.is_some());
            intervals.extend(interval);
            if broken {
                break;
            }
        }
        intervals
    }

    /// One fault, once. Nothing where there was nobody to meet.
    async fn strike(
        &self,
        number: usize,
        spec: &FaultSpec,
        moment: Moment,
        durable: &Durable,
    ) -> Option<FaultInterval> {
        let from = self.at(Instant::now());
        let struck = self.execute(spec, moment).await.transpose()?;
        let to = self.at(Instant::now());
        let interval = FaultInterval {
            kind: spec.kind.as_str().to_owned(),
            number,
            due_ns: Nanos::try_from(moment.due.as_nanos()).unwrap_or(Nanos::MAX),
            from_ns: from,
            to_ns: to,
            code: spec.code,
            ..FaultInterval::default()
        };
        Some(match struck {
            Ok(Struck { met, count, loses, down, terms }) => {
                let loses_from_ns = loses.then(|| durable.since.map_or(0, |since| self.at(since)));
                let loses_until_ns = down.filter(|_| loses).map(|down| self.at(down));
                FaultInterval { met, struck: count, loses_from_ns, loses_until_ns, terms, ..interval }
            }
            Err(error) => FaultInterval { error: Some(in_one_line(&*error)), loses_from_ns: Some(0), ..interval },
        })
    }

    async fn execute(&self, spec: &FaultSpec, moment: Moment) -> Result<Option<Struck>, Failure> {
        let hold = Hold { over: self.over, lasts: spec.duration(), begun: Instant::now() };
        let Equipment { mongod, proxy, service } = self.equipment;
        match (Thing::of(spec.kind), mongod, proxy, service) {
            (Thing::Server, Some(mongod), ..) => server::strike(mongod, spec, moment.draw, hold).await,
            (Thing::FailPoint, Some(mongod), ..) => server::fail_commands(mongod, spec, hold).await.map(Some),
            (Thing::Journal, Some(mongod), ..) => journal::slow_down(mongod, spec, hold).await.map(Some),
            (Thing::Connections, _, Some(proxy), _) => Ok(Some(way::reset(proxy, spec))),
            (Thing::Delay, _, Some(proxy), _) => Ok(Some(way::delay(proxy, spec, hold).await)),
            (Thing::Answers, _, Some(proxy), _) => Ok(Some(way::lose_answers(proxy, spec, hold).await)),
            (Thing::Service, _, _, Some(service)) => service::kill(service, spec, moment.draw, hold).await.map(Some),
            (Thing::Clock, _, _, Some(service)) => clock::shift(service, spec, moment.draw, hold).await.map(Some),
            _ => Err("the run has nothing that this fault could be carried out on".into()),
        }
    }

    /// Waits until then; false if the load ends before.
    async fn until(&self, moment: Instant) -> bool {
        tokio::select! {
            biased;
            () = self.over.wait() => false,
            () = tokio::time::sleep_until(moment.into()) => true,
        }
    }

    /// Nanoseconds on the clock of the operations.
    fn at(&self, instant: Instant) -> Nanos {
        Nanos::try_from(instant.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(Nanos::MAX - 1)
    }
}

/// Why a fault could not be carried out, or mended.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

fn in_one_line(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let lines = chain.map(|error| error.to_string().lines().next().unwrap_or_default().to_owned());
    lines.collect::<Vec<_>>().join(": ")
}

/// Whether the load is over, or is to stop: what is mended then lets what is under way come to its end.
#[derive(Clone, Copy)]
struct Over<'a> {
    load_ends: &'a CancellationToken,
    stop: &'a CancellationToken,
}

impl Over<'_> {
    fn is_so(self) -> bool {
        self.load_ends.is_cancelled() || self.stop.is_cancelled()
    }

    async fn wait(self) {
        tokio::select! {
            () = self.load_ends.cancelled() => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// How long a fault goes on: as long as it is to, and not longer than the load.
#[derive(Clone, Copy)]
pub(super) struct Hold<'a> {
    over: Over<'a>,
    pub(super) lasts: Duration,
    begun: Instant,
}

impl Hold<'_> {
    /// Waits until it is over, counted from now: it takes its time to break something.
    pub(super) async fn wait(self) {
        self.until(Instant::now() + self.lasts).await;
    }

    /// Waits for what is left of it, counted from when it began.
    pub(super) async fn rest(self) {
        self.until(self.begun + self.lasts).await;
    }

    async fn until(self, moment: Instant) {
        tokio::select! {
            biased;
            () = self.over.wait() => {}
            () = tokio::time::sleep_until(moment.into()) => {}
        }
    }
}

/// Since when nothing is durable that was not made so.
struct Durable {
    mark: Option<DurableMark>,
    since: Option<Instant>,
}

impl Durable {
    async fn new(mongod: Option<&Mongod>) -> Self {
        let mark = match mongod {
            // Without a mark nothing counts as durable.
            Some(mongod) => DurableMark::open(mongod, MARKED_BEFORE).await.ok(),
            None => None,
        };
        Durable { mark, since: None }
    }

    async fn mark(&mut self) {
        if let Some(mark) = &self.mark
            && let Some(since) = mark.set(MARKED_BEFORE).await
        {
            self.since = Some(since);
        }
    }
}
