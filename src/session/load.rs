//! A load carried out: what is asked before it, the operations, what is read after it. Main type: [`Execution`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::environment::{Environment, Lost};
use super::error::in_one_line;
use super::evidence::{Early, ask_before, ask_between, keys_at_rest, look_after, read_back, reading};
use super::observed_key::look_at_key;
use super::run::LoadSession;
use super::set_up::EnvironmentSpec;
use super::settle::{wait_until_at_rest, wait_until_settled};
use super::{Observer, SessionError, bursts, faults, shards};
use crate::assess::RunRecord;
use crate::driver::{self, Interludes, Plan, Progress, Recorded, Run};
use crate::history::file::{Header, HistoryWriter};
use crate::history::{Earlier, Faults, Observation, Phase};
use crate::report::count;
use crate::scenario::Scenario;
use crate::scope::Ended;
use crate::stats::Meter;
use crate::target::mongo::{Queries, QueryResult};
use crate::workload;

/// What a load left behind, before it is judged.
pub(super) struct Executed {
    pub(super) meter: Meter,
    pub(super) recorded: Recorded,
    pub(super) dropped: u64,
    pub(super) record: RunRecord,
    pub(super) observation: Option<Observation>,
    /// What the run made cannot be removed, or is not to be.
    pub(super) gone: bool,
}

/// A load under way.
pub(super) struct Execution<'a> {
    session: &'a LoadSession<'a>,
    spec: &'a EnvironmentSpec<'a>,
    environment: &'a mut Environment,
    plan: Plan,
    progress: Arc<Progress>,
    record: RunRecord,
}

/// The user's own invariants, and what they found at moments in which nothing is in flight.
#[derive(Default)]
struct Asked {
    /// Where to ask; of several shards the first asks, and nobody where there are none.
    queries: Option<Arc<Queries>>,
    /// Why they cannot be asked for.
    unasked: Option<String>,
    first: Arc<Mutex<Vec<QueryResult>>>,
    serial: Arc<Mutex<Vec<QueryResult>>>,
    /// What was there after the serial control.
    early: Early,
}

/// Operations that were carried out.
struct Performed {
    recorded: Recorded,
    dropped: u64,
    /// What was lost on the way.
    lost: Option<Lost>,
    /// What broke on purpose.
    faults: Option<Faults>,
}

impl<'a> Execution<'a> {
    pub(super) fn new(
        session: &'a LoadSession<'a>,
        spec: &'a EnvironmentSpec<'a>,
        environment: &'a mut Environment,
        record: RunRecord,
    ) -> Self {
        let plan = Plan::new(session.scenario, &session.run_id, session.seed);
        Execution { session, spec, environment, plan, progress: Arc::default(), record }
    }

    /// Carries the load out and reads what is there afterwards.
    pub(super) async fn carry_out(mut self, observer: &mut dyn Observer) -> Result<Executed, SessionError> {
        let meter = Meter::start().map_err(SessionError::setup)?;
        // Saved first: whatever becomes of this process, what is recorded can be judged.
        self.spec.store.write_record(&self.record)?;
        observer.load_begins(&self.progress, self.plan.all_operations());
        let stop = self.session.options.interrupt.stop.child_token();
        let load_ended = stop.child_token();
        if let Some(meeting) = self.session.meeting {
            meeting.keep_time(load_ended.clone());
        }
        let header = Header::new(&self.session.run_id);
        let writer = HistoryWriter::create(&self.spec.store.history(), &header).map_err(SessionError::setup)?;
        let asked = self.ask_first(&stop).await;
        let interludes = self.interludes(&asked).await;
        let performed = self.perform(writer, interludes, &stop).await?;
        observer.load_ended();
        load_ended.cancel();
        Ok(self.read_after(meter, performed, asked).await)
    }

    /// What is asked before the first operation: who the server is, what equal requests do, the user's own invariants.
    async fn ask_first(&mut self, stop: &CancellationToken) -> Asked {
        let LoadSession { scenario, options, run_id, seed, meeting, .. } = self.session;
        let interrupted = &options.interrupt.stop;
        self.record.server_before = self.environment.identity(&options.guard, interrupted).await;
        if meeting.is_none() {
            let known = (run_id.as_str(), *seed);
            self.record.as_if_serial = bursts::compared(scenario, self.environment, &options.guard, known, stop).await;
        }
        let (queries, unasked) = match self.session.leads() {
            true => ask_before(scenario, self.environment, self.spec, &mut self.record, interrupted).await,
            false => (None, None),
        };
        Asked { queries, unasked, ..Asked::default() }
    }

    /// What is done between the parts of the load.
    async fn interludes(&self, asked: &Asked) -> Interludes {
        let LoadSession { scenario, options, meeting, .. } = self.session;
        let is_first = self.environment.await_first_use(scenario, &options.guard, &options.interrupt.stop).await;
        let ask = |found| asked.queries.clone().map(|queries| ask_between(queries, &scenario.invariants, found));
        let nothing = || -> driver::Between { Box::new(|| Box::pin(std::future::ready(()))) };
        // Of several shards each would be the first.
        let first_use = match is_first && meeting.is_none() {
            true => ask(&asked.first).or_else(|| Some(nothing())),
            false => None,
        };
        let before_rounds = self.environment.fresh.as_ref().map(|fresh| fresh.before_round());
        let mut before_load = ask(&asked.serial);
        // Of a new database, or with other shards' documents beside those of this one, nothing would follow.
        let is_observed = scenario.observe.mongo.is_some() || scenario.observe.http.is_some();
        if is_observed && meeting.is_none() && before_rounds.is_none() {
            before_load = Some(look_after(before_load, Arc::clone(&self.environment.target), &asked.early));
        }
        Interludes { first_use, before_load, before_rounds }
    }

    /// Carries out all operations, or those until the server or the service is lost.
    async fn perform(
        &self,
        writer: HistoryWriter,
        interludes: Interludes,
        stop: &CancellationToken,
    ) -> Result<Performed, SessionError> {
        let run = Run {
            plan: self.plan.clone(),
            workload: workload::of_scenario(self.session.scenario, &self.session.run_id),
            target: Arc::clone(&self.environment.target),
            writer: Some(writer),
            stop: stop.clone(),
            progress: Arc::clone(&self.progress),
        };
        let mut running = std::pin::pin!(driver::run_together(run, interludes, self.session.meeting.cloned()));
        let mut lost = None;
        let load = async {
            tokio::select! {
                result = &mut running => result,
                found = self.environment.lost() => {
                    // Nothing more can come of it: stop, and let the drain collect what was in flight.
                    lost = Some(found);
                    stop.cancel();
                    running.await
                }
            }
        };
        let LoadSession { scenario, seed, .. } = self.session;
        let (ended, faults) = faults::beside(scenario, *seed, self.environment, (&self.progress, stop), load).await;
        let (recorded, dropped) = ended.map_err(SessionError::setup)?;
        Ok(Performed { recorded, dropped, lost, faults })
    }

    /// Reads what is there when the load has ended, and completes the record.
    async fn read_after(mut self, meter: Meter, performed: Performed, asked: Asked) -> Executed {
        let Performed { recorded, dropped, lost, faults } = performed;
        self.record.faults = faults;
        let meeting = self.session.meeting;
        let begun = self.progress.begun.get().copied();
        let mut apart = shards::part(meeting, &recorded, lost.as_ref(), &mut self.record, begun.as_ref()).await;
        self.record.queries_first = found(&asked.first);
        self.record.queries_serial = found(&asked.serial);
        let readable = lost.as_ref().is_none_or(|lost| lost.readable);
        let observation = match &lost {
            Some(Lost { reason, readable: false }) => Err(reason.clone()),
            Some(Lost { readable: true, .. }) | None => {
                let earlier = asked.early.lock().unwrap_or_else(PoisonError::into_inner).take();
                let earlier =
                    earlier.map(|state| Earlier { state, keys: keys_at_rest(recorded.history.phase(Phase::Control)) });
                let (read, told) = self.read_final(&recorded, begun.as_ref(), asked.queries.as_deref(), earlier).await;
                apart.extend(told);
                read
            }
        };
        if readable {
            let LoadSession { options, .. } = self.session;
            self.record.server_after = self.environment.identity(&options.guard, &options.interrupt.kill).await;
            let read = observation.as_ref().ok().and_then(Option::as_ref);
            let preflight = &mut self.record.preflight;
            look_at_key(self.environment, self.spec, read, &options.interrupt.kill, preflight).await;
        }
        if let (Some(meeting), true) = (meeting, self.session.leads()) {
            apart.extend(shards::end(meeting).await);
        }
        if let Some(fresh) = &self.environment.fresh {
            apart.push(fresh.note().await);
        }
        let gone = self.complete(&recorded, asked.unasked.into_iter().chain(apart), lost, &observation);
        Executed { meter, recorded, dropped, record: self.record, observation: observation.unwrap_or_default(), gone }
    }

    /// Reads the final state, once nothing of the run is at work; of several shards the first does. And what readers are told
    /// of the others.
    async fn read_final(
        &mut self,
        recorded: &Recorded,
        begun: Option<&Instant>,
        queries: Option<&Queries>,
        earlier: Option<Earlier>,
    ) -> (Result<Option<Observation>, String>, Vec<String>) {
        let LoadSession { scenario, options, run_id, meeting, .. } = self.session;
        if !self.session.leads() {
            // Nothing of this shard's service is to be at work when the first reads.
            let unstopped = self.environment.quiesce(scenario).await.err().map(in_one_line);
            let told = unstopped.into_iter().chain(shards::until_quiet(*meeting, &self.plan).await);
            return (Ok(None), told.collect());
        }
        let unquiet = shards::until_quiet(*meeting, &self.plan).await;
        shards::note_read(&mut self.record, begun);
        let history = &recorded.history;
        let read = async {
            // Asked while the service still runs: it may have work to do in the background.
            if let Some(fresh) = &self.environment.fresh {
                self.record.queries = fresh.ask_last().await.map_err(in_one_line)?;
            } else if let Some(queries) = queries {
                self.record.queries = queries.run_until_at_rest(&scenario.invariants).await;
            }
            let first = match recorded.divided {
                false => wait_until_settled(self.environment, scenario, run_id, history).await,
                true => {
                    wait_until_at_rest(self.environment, scenario).await;
                    None
                }
            };
            let first = first.filter(|_| meeting.is_none());
            let first = first.map(|state| Earlier { state, keys: keys_at_rest(&history.operations) });
            read_back(self.environment, self.spec, unquiet.is_none(), [earlier, first]).await
        };
        let read = reading(scenario, history, &options.interrupt).wait(read).await;
        self.record.interrupted = read.as_ref().is_err_and(|ended| *ended == Ended::Stopped);
        (read.unwrap_or_else(|ended| Err(ended.to_string())), unquiet.into_iter().collect())
    }

    /// Completes the record, with these notes among others. Whether what the run made cannot be removed, or is not to be.
    fn complete(
        &mut self,
        recorded: &Recorded,
        further_notes: impl Iterator<Item = String>,
        lost: Option<Lost>,
        observation: &Result<Option<Observation>, String>,
    ) -> bool {
        let planned = match self.session.shard() {
            Some(shard) => self.plan.operations_of(shard),
            None => self.plan.operations(),
        };
        self.record.sightings = self.environment.target.sightings();
        let notes = &mut self.record.preflight.notes;
        notes.extend(self.environment.target.notes());
        notes.extend(ended_early(recorded, planned, self.session.scenario));
        notes.extend(further_notes);
        let unwritten = recorded.write_error.as_ref().map(|_| "the history could not be written".to_owned());
        // That another shard is gone takes nothing away from what this one can do.
        let aborted_alone = recorded.aborted.is_some() && self.session.meeting.is_none();
        let gone = lost.is_some() || unwritten.is_some() || aborted_alone;
        self.record.aborted = lost.map(|lost| lost.reason).or_else(|| recorded.aborted.clone()).or(unwritten);
        self.record.observe_error = observation.as_ref().err().cloned().filter(|_| self.record.aborted.is_none());
        gone
    }
}

fn found(results: &Mutex<Vec<QueryResult>>) -> Vec<QueryResult> {
    std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What readers are told of a load that did not go on to its end.
fn ended_early(recorded: &Recorded, planned: Option<u64>, scenario: &Scenario) -> Option<String> {
    let carried_out = recorded.carried_out;
    let planned = planned.filter(|planned| recorded.ended_early && carried_out < *planned)?;
    Some(format!(
        "ended after {} of {} operations: answers had shown a violation for {:?}, which nothing can undo (`limits.after_violation`)",
        count(carried_out),
        count(planned),
        scenario.limits.after_violation
    ))
}
