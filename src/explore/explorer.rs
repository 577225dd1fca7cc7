//! The exploration of a subject: what is asked for, and the way from listening to the end of the search. Main type:
//! [`Explorer`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mongodb::Client;
use tokio_util::sync::CancellationToken;

use super::afresh::Afresh;
use super::carry::of_nobody;
use super::chance::Pct;
use super::comparison::Comparison;
use super::execution::{Execution, INTERRUPTED};
use super::found::Found;
use super::hub::{shape, signature};
use super::policy::Replay;
use super::proxy::Proxy;
use super::scheduler::{Scheduler, Timing};
use super::search::{Budget, Search};
use super::so_far::Watched;
use super::spent::Part;
use super::subject::{Operations, Subject};
use super::watch::Watch;
use crate::history::Phase;
use crate::scenario::FaultKind;
use crate::scope::Scope;
use crate::target::Target;
use crate::target::mongo::QueryResult;
use crate::verdict::Invariant;

/// How long the service is listened to before its first request.
pub(super) const LISTEN: Duration = Duration::from_millis(60);
const BACKGROUND: &str = "background work, which passes";
/// How names of commands begin that write.
const WRITES: [&str; 5] = ["insert ", "update ", "delete ", "findAndModify ", "bulkWrite "];
const BY_CHANCE: &str = "requests are explored against requests: what the service writes by itself meets their commands by chance, as \
                         in `onlyone run`";
/// Executions in a row that bring nothing, after which the exploration ends.
pub(super) const MAX_DEAD: u32 = 3;
/// Executions that are not like the first, after which the exploration ends.
const MAX_DIVERGED: u32 = 10;

/// What to explore.
pub struct Plan {
    /// How schedules are chosen.
    pub search: Search,
    /// When to stop.
    pub budget: Budget,
    /// Root of all randomness.
    pub seed: u64,
    /// Whether equivalent interleavings are explored once; by default when there are many.
    pub reduce: Option<bool>,
    /// How long things may take.
    pub timing: Timing,
    /// What is judged.
    pub invariants: Vec<Invariant>,
    /// Every request is sent once before anything is looked at.
    pub warm_up: bool,
    /// Fewer requests do, where all interleavings of these are beyond any budget: nobody asked for them.
    pub may_reduce: bool,
    /// So many of the first requests have ended, one after another, before the others begin: these meet on what they left.
    pub before: usize,
    /// Every schedule of the search is carried out twice, and the two are compared.
    pub twice: bool,
    /// Answers of the server are parked as well: when a request hears of what it did is a choice of its own.
    pub park_answers: bool,
    /// How long a service may at least take to store what it has accepted; nothing where all is stored before it is answered.
    pub settle: Option<Duration>,
}

/// An exploration under way.
pub struct Explorer<'a> {
    pub(super) proxy: &'a Proxy,
    pub(super) target: Arc<dyn Target>,
    pub(super) subject: &'a Operations,
    pub(super) plan: &'a Plan,
    pub(super) stop: CancellationToken,
    pub(super) scheduler: Scheduler,
    pub(super) start: Instant,
    pub(super) next: u32,
    /// Executions up to this one have what must be there before their requests.
    pub(super) seeded: u32,
    pub(super) found: Found,
    /// The user's own invariants, looked at after each execution.
    pub(super) watch: Option<Watch<'a>>,
    /// The server itself, past the proxy.
    pub(super) server: Option<Client>,
    /// Executions are held against serial runs.
    pub(super) comparison: Option<Comparison>,
    /// What is told while it goes on.
    pub(super) watched: Watched<'a>,
    /// Databases that requests touch.
    pub(super) databases: BTreeSet<String>,
    /// What may happen to commands.
    pub(super) faults: BTreeSet<FaultKind>,
    /// Every execution begins on a database that does not exist yet.
    pub(super) afresh: Option<Afresh>,
}

impl<'a> Explorer<'a> {
    /// Begins an exploration. `target` must reach its server through `proxy`.
    pub fn new(
        proxy: &'a Proxy,
        target: Arc<dyn Target>,
        subject: &'a Operations,
        plan: &'a Plan,
        stop: CancellationToken,
    ) -> Self {
        let mut scheduler = Scheduler::new(proxy.hold(), plan.timing);
        scheduler.stop = stop.clone();
        scheduler.park_answers = plan.park_answers;
        let (start, found) = (Instant::now(), Found::default());
        let (watch, server) = (None, None);
        Explorer {
            proxy,
            target,
            subject,
            plan,
            stop,
            scheduler,
            start,
            next: 0,
            seeded: 0,
            found,
            watch,
            server,
            comparison: None,
            watched: Watched::default(),
            databases: BTreeSet::new(),
            faults: BTreeSet::new(),
            afresh: None,
        }
    }

    /// Goes on after other explorations of the same target, which began then: executions up to this one have been.
    pub fn starting(mut self, next: u32, start: Instant) -> Self {
        (self.next, self.seeded, self.start) = (next, next, start);
        self
    }

    /// Keeps what was carried out.
    pub(super) fn keep(&mut self, execution: Execution, requests: Vec<usize>, phase: Phase) {
        self.found.executions.push((execution, requests, phase));
        self.tell_execution(self.found.executions.len() - 1);
    }

    /// Looks at the user's own invariants after each execution.
    pub fn watching(mut self, watch: Watch<'a>) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Names the server itself: one with test commands is told to let upserts meet.
    pub fn on_server(mut self, server: Client) -> Self {
        self.server = Some(server);
        self
    }

    /// Carries the executions out.
    pub(super) async fn search(&mut self) {
        match self.afresh {
            // Every execution is the first: none comes before them that could fill or warm anything.
            Some(_) => self.listen_afresh().await,
            None => self.warm().await,
        }
        let first = self.watch.as_ref().map_or_else(Vec::new, |watch| watch.last().to_vec());
        if !self.trace().await {
            return;
        }
        self.reduce();
        self.skip_look().await;
        self.leave_out(first);
        match self.comparison {
            Some(_) => self.serial_rounds().await,
            None => self.serial_control().await,
        }
        self.look_early().await;
        let (begin, used) = (Instant::now(), self.proxy.used_connections());
        let traced = self.found.executions.len();
        self.found.traced = traced;
        self.expect_faults();
        self.watch_search(true);
        match &self.plan.search {
            Search::Exhaustive => {
                if self.plan.before == 0 {
                    self.predicted().await;
                }
                self.first_faults(begin).await;
                self.exhaustive().await;
                self.faults_in_all_orders(begin).await;
            }
            Search::Pct { depth } => self.by_chance(Some(*depth)).await,
            Search::Random => self.by_chance(None).await,
            Search::Stress => self.stress().await,
            Search::Replay { schedule, times } => {
                for _ in 0..*times {
                    if self.spent(begin) {
                        break;
                    }
                    let schedule = schedule.by_participants(self.subject.starts());
                    self.execute(&mut Replay::new(schedule)).await;
                }
            }
        }
        self.watch_search(false);
        self.found.searching = begin.elapsed();
        self.found.search_executions = self.found.executions.len() - traced;
        self.found.connections = self.proxy.used_connections() - used;
    }

    /// What comes before the search: the service is listened to, and its first requests are sent.
    async fn warm(&mut self) {
        self.listen().await;
        self.begin_watch().await;
        self.first_use().await;
        if self.plan.warm_up {
            self.warm_up().await;
            self.let_late_work_end().await;
            self.listen().await;
            self.skip_look().await;
        }
    }

    /// Leaves out which of the user's own invariants are meant for a load, by what they gave before and after requests alone.
    fn leave_out(&mut self, first: Vec<QueryResult>) {
        let Some(watch) = &mut self.watch else { return };
        // Where every execution has a database of its own, nothing grows from one to the next.
        let first = if self.afresh.is_some() { watch.last().to_vec() } else { first };
        self.found.notes.extend(watch.leave_out(&first));
    }

    /// What arrives while no request runs is the service's own work, and passes from then on.
    pub(super) async fn listen(&mut self) {
        let begin = Instant::now();
        let heard = self.scheduler.listen(LISTEN).await;
        self.found.spent.add(Part::Listening, begin);
        for command in heard {
            self.is_background(signature(&command), shape(&command));
        }
    }

    /// Lets what the service sends by itself pass from now on.
    pub(super) fn is_background(&mut self, name: String, shape: String) {
        self.found.notes.insert(format!("{BACKGROUND}: {name}"));
        // It may have come before it was known for what it is.
        self.found.notes.remove(&of_nobody(&name));
        if WRITES.iter().any(|write| name.starts_with(write)) {
            self.found.notes.insert(BY_CHANCE.to_owned());
        }
        if let Some(comparison) = &mut self.comparison {
            comparison.background.insert(name.clone());
        }
        if let Some(watch) = &mut self.watch {
            watch.background = true;
        }
        self.found.background.insert(name);
        self.proxy.let_pass(shape);
    }

    /// Asks for the user's own invariants before anything that is judged by them.
    pub(super) async fn begin_watch(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        if let Err(ended) = Scope::new(watch.asked_within(), &self.stop).wait(watch.begin()).await {
            // Without a beginning nothing can be told to have become worse.
            self.found.reasons.push(format!("what your own invariants say before the first request: {ended}"));
        }
    }

    /// Whether nothing more can come of it: the service does not come to an end any more, or is lost.
    pub(super) fn is_over(&self) -> bool {
        self.found.dead >= MAX_DEAD
    }

    /// Whether the search has to end.
    pub(super) fn spent(&mut self, begin: Instant) -> bool {
        let executions = self.found.executions.len();
        let Budget { time, .. } = self.plan.budget;
        let most = self.most();
        if self.is_over() {
            return true;
        }
        if self.stop.is_cancelled() {
            self.found.reasons.push(INTERRUPTED.to_owned());
            return true;
        }
        if self.found.diverged >= MAX_DIVERGED {
            self.found.notes.insert(format!("ended after {MAX_DIVERGED} executions that were not like the first"));
            return true;
        }
        if executions >= most || begin.elapsed() >= time {
            let seconds = time.as_secs_f64();
            self.found.notes.insert(format!(
                "the budget is exhausted ({executions} executions of {most}, {:.1} s of {seconds} s)",
                begin.elapsed().as_secs_f64()
            ));
            return true;
        }
        false
    }

    /// Choices of an execution, if every request does what it does alone.
    pub(super) fn steps(&self) -> usize {
        let commands: usize = self.found.traces.iter().map(Vec::len).sum();
        if self.plan.park_answers { commands * 2 } else { commands }
    }

    /// Executions that the search may take: by default many, or of a search by chance so many that it hardly misses.
    fn most(&self) -> usize {
        let steps = self.steps();
        let by_default = match &self.plan.search {
            Search::Exhaustive => 10_000,
            Search::Pct { depth } => Pct::executions(self.subject.requests(), steps, *depth),
            Search::Random | Search::Stress => 1_000,
            Search::Replay { times, .. } => *times as usize,
        };
        let serial = self.comparison.as_ref().map_or(0, |comparison| comparison.judge.serial_runs());
        self.plan.budget.executions.map_or(by_default + self.found.traced, |most| most as usize + serial)
    }
}
