//! The life of a load, from the folder that is made for it to its reports. Main type: [`LoadSession`].

use std::sync::Arc;
use std::time::SystemTime;

use super::conclusion::{Concluded, conclude, conclude_divided, new_record};
use super::environment::Environment;
use super::load::{Executed, Execution};
use super::set_up::{EnvironmentSpec, check};
use super::store::Store;
use super::{Observer, Options, SessionError, faults, fresh, shards};
use crate::assess::{Recording, RunRecord};
use crate::scenario::Scenario;
use crate::shard::{Meeting, Shard};

/// One run of a scenario's load.
pub(crate) struct LoadSession<'a> {
    /// What is run.
    pub(crate) scenario: &'a Scenario,
    /// How.
    pub(crate) options: &'a Options,
    /// Its name, and that of its folder.
    pub(crate) run_id: String,
    /// Root of all randomness.
    pub(crate) seed: u64,
    /// Where the other shards are met, if this is one of several.
    pub(crate) meeting: Option<&'a Arc<Meeting>>,
    /// The command that runs it again.
    pub(crate) reproduce: String,
}

impl LoadSession<'_> {
    /// Refuses what is not allowed; [`run`](Self::run) does so first of all.
    pub(crate) fn check(&self) -> Result<(), SessionError> {
        check(self.scenario, &self.options.guard)?;
        fresh::check(self.scenario, self.meeting.is_some())?;
        faults::check(self.scenario, self.options.mongo.is_embedded(), self.meeting.is_some())
    }

    /// Starts what the scenario needs, carries the load out, keeps what is left, and judges it. `None` if it was interrupted
    /// before the load began: then nothing is left of it.
    pub(crate) async fn run(&self, observer: &mut dyn Observer) -> Result<Option<Concluded>, SessionError> {
        self.check()?;
        let store = Store::create(&self.options.out, &shards::folder(&self.run_id, self.shard()))?;
        let started = SystemTime::now();
        let spec = EnvironmentSpec {
            scenario: self.scenario,
            options: self.options,
            run_id: &self.run_id,
            store: &store,
            explored: None,
            attach: None,
            shard: self.shard(),
        };
        let mut environment = tokio::select! {
            biased;
            () = self.options.interrupt.stop.cancelled() => {
                store.discard();
                return Ok(None);
            }
            ready = self.start(&spec) => ready.inspect_err(|_| store.discard())?,
        };
        observer.ready(&environment.preflight);
        let executed = self.execute(&spec, &mut environment, started, observer).await;
        observer.load_ended();
        let gone = executed.as_ref().map_or(true, |executed| executed.gone);
        for error in environment.end(&self.options.guard, gone).await {
            observer.failed(error);
        }
        self.conclude(executed?, &store, started).map(Some)
    }

    pub(super) fn shard(&self) -> Option<Shard> {
        self.meeting.map(|meeting| meeting.shard())
    }

    /// Whether this process does what is done once in a run.
    pub(super) fn leads(&self) -> bool {
        self.shard().is_none_or(Shard::leads)
    }

    /// Starts what the run goes to; of several shards the first does so before the others.
    async fn start(&self, spec: &EnvironmentSpec<'_>) -> Result<Environment, SessionError> {
        shards::before_set_up(self.meeting).await?;
        let environment = spec.set_up().await?;
        shards::after_set_up(self.meeting).await?;
        Ok(environment)
    }

    async fn execute(
        &self,
        spec: &EnvironmentSpec<'_>,
        environment: &mut Environment,
        started: SystemTime,
        observer: &mut dyn Observer,
    ) -> Result<Executed, SessionError> {
        let record = RunRecord {
            shard: self.meeting.map(|meeting| shards::record(self.scenario, meeting)),
            faults: faults::unrecorded(self.scenario),
            ..new_record(spec, environment, (self.seed, started), self.reproduce.clone())?
        };
        Execution::new(self, spec, environment, record).carry_out(observer).await
    }

    /// Judges and reports.
    fn conclude(&self, executed: Executed, store: &Store, started: SystemTime) -> Result<Concluded, SessionError> {
        let Executed { meter, recorded, dropped, mut record, observation, .. } = executed;
        let history_written = recorded.write_error.map_or(Ok(()), |error| Err(SessionError::setup(error)));
        record.generator = meter.stop(!self.options.mongo.is_embedded()).map_err(SessionError::setup)?;
        record.generator.dropped_arrivals = dropped;
        record.stages.clone_from(&recorded.stages);
        let written = [history_written, store.write_record(&record)];
        if recorded.divided {
            let memory = self.scenario.limits.memory;
            return conclude_divided(&record, observation.as_ref(), memory, store, started, written);
        }
        let recording = Recording { record: &record, history: &recorded.history, observation: observation.as_ref() };
        conclude(recording, store, started, written)
    }
}
