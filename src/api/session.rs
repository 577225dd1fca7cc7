//! [`Session`]: one run of a scenario.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rand::RngExt;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio_util::sync::CancellationToken;

use super::{Error, Report, Scenario};
use crate::driver::Progress;
use crate::session::reproduce::reproduce;
use crate::session::store::{check_run_id, fresh_run_id};
use crate::session::{LoadSession, MongoLocation, Observer, Options, SessionError};
use crate::target::Preflight;

/// One run of a [`Scenario`]: what it needs is started, its operations are sent at the same moment, the final state is read, and
/// all of it is judged.
///
/// Without further word a run goes to this machine alone, to a MongoDB of its own if it needs one, and keeps its files in a new
/// folder below `reports`.
///
/// ```no_run
/// # async fn example() -> Result<(), onlyone::Error> {
/// let scenario = onlyone::Scenario::load("tests/one-chat-per-pair.toml")?;
/// let report = onlyone::Session::new(scenario).out("target/onlyone").seed(7).run().await?;
/// assert!(report.holds(), "{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Session {
    scenario: Scenario,
    mongo: MongoLocation,
    out: PathBuf,
    run_id: Option<String>,
    seed: Option<u64>,
    allowed_targets: Vec<String>,
    allowed_databases: Vec<String>,
    deadline: Option<Duration>,
}

impl Session {
    /// A run of this scenario.
    pub fn new(scenario: Scenario) -> Self {
        Session {
            scenario,
            mongo: MongoLocation::Embedded,
            out: PathBuf::from("reports"),
            run_id: None,
            seed: None,
            allowed_targets: Vec::new(),
            allowed_databases: Vec::new(),
            deadline: None,
        }
    }

    /// The connection string of the MongoDB that the scenario's strategies, or the service that it starts, are given.
    #[must_use]
    pub fn mongo(mut self, uri: impl AsRef<str>) -> Self {
        self.mongo = MongoLocation::of(uri.as_ref());
        self
    }

    /// Folder in which the run gets a folder of its own.
    #[must_use]
    pub fn out(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out = folder.into();
        self
    }

    /// Name of the run and of its folder, which must not exist; made from the time when not given.
    #[must_use]
    pub fn run_id(mut self, id: impl Into<String>) -> Self {
        self.run_id = Some(id.into());
        self
    }

    /// Root of all randomness; drawn when not given. The report says which it was.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Allows load on this host, which is not this machine.
    #[must_use]
    pub fn allow_target(mut self, host: impl Into<String>) -> Self {
        self.allowed_targets.push(host.into());
        self
    }

    /// Allows a database whose name does not begin with `onlyone_`.
    #[must_use]
    pub fn allow_database(mut self, name: impl Into<String>) -> Self {
        self.allowed_databases.push(name.into());
        self
    }

    /// Sends no new operations after this time, counted from when the future of [`run`](Self::run)
    /// is first awaited. What was sent until then is judged;
    /// nothing that was cut short holds.
    #[must_use]
    pub fn deadline(mut self, within: Duration) -> Self {
        self.deadline = Some(within);
        self
    }

    /// Runs the scenario. Needs a runtime of several threads, as `#[tokio::test(flavor = "multi_thread")]` has: on one thread
    /// requests do not meet.
    ///
    /// A future that is dropped ends the run at once; what was recorded until then can be judged with [`check`](crate::check).
    ///
    /// # Errors
    /// When something is asked for that is not allowed, when the run cannot be set up, or when the deadline passes while
    /// it is set up. A violation is no error: the report tells it.
    pub fn run(self) -> impl Future<Output = Result<Report, Error>> {
        // A future is compiled where it is polled: boxed, this one is compiled with the library, not with each test.
        self.execute().boxed_local()
    }

    async fn execute(self) -> Result<Report, Error> {
        let several = Handle::try_current().is_ok_and(|it| it.runtime_flavor() != RuntimeFlavor::CurrentThread);
        if !several {
            return Err(Error::usage(
                "this is not a tokio runtime of several threads: on one thread requests do not meet",
                "use one of several threads: #[tokio::test(flavor = \"multi_thread\")]",
            ));
        }
        if let Some(id) = &self.run_id {
            check_run_id(id).map_err(Error::of)?;
        }
        let seed = self.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
        let options = self.options();
        let session = LoadSession {
            scenario: self.scenario.resolved(),
            options: &options,
            run_id: self.run_id.clone().unwrap_or_else(fresh_run_id),
            seed,
            meeting: None,
            reproduce: match self.scenario.is_file() {
                true => reproduce(self.scenario.resolved(), &options, seed, None),
                false => format!("the program that ran it, with Session::seed({seed})"),
            },
        };
        let mut problems = Problems::default();
        let load_ended = problems.load_ended.clone();
        let running = session.run(&mut problems);
        let concluded = self.within_deadline(&options.interrupt.stop, &load_ended, running).await.map_err(Error::of)?;
        let concluded = concluded.ok_or_else(|| Error::setup("the deadline passed while the run was set up"))?;
        problems.errors.extend(concluded.unwritten.into_iter().map(Error::of));
        Ok(Report::new(concluded.report, concluded.directory, problems.errors))
    }

    /// What the future gives; it is told to stop when the deadline passes.
    async fn within_deadline<T>(
        &self,
        stop: &CancellationToken,
        load_ended: &CancellationToken,
        running: impl Future<Output = T>,
    ) -> T {
        let Some(within) = self.deadline else { return running.await };
        let mut running = std::pin::pin!(running);
        tokio::select! {
            biased;
            ended = &mut running => ended,
            // What is left sends nothing: the final state is read, however long that takes.
            () = load_ended.cancelled() => running.await,
            () = tokio::time::sleep(within) => {
                stop.cancel();
                running.await
            }
        }
    }

    fn options(&self) -> Options {
        let mut options = Options {
            mongo: self.mongo.clone(),
            out: self.out.clone(),
            overrides: self.scenario.overrides().to_vec(),
            ..Options::default()
        };
        options.guard.hosts.clone_from(&self.allowed_targets);
        options.guard.databases.clone_from(&self.allowed_databases);
        options
    }
}

/// Keeps what fails beside the verdict, and says when the load has ended.
#[derive(Default)]
struct Problems {
    errors: Vec<Error>,
    load_ended: CancellationToken,
}

impl Observer for Problems {
    fn ready(&mut self, _: &Preflight) {}

    fn load_begins(&mut self, _: &Arc<Progress>, _: Option<u64>) {}

    fn load_ended(&mut self) {
        self.load_ended.cancel();
    }

    fn failed(&mut self, error: SessionError) {
        self.errors.push(Error::of(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(deadline: Duration) -> Session {
        let text = "name = \"t\"\nworkload = \"create-or-get\"\n[target.mongo]\nstrategy = \"upsert-retry\"\n[load.burst]\nclients = 2\nrounds = 3\n";
        Session::new(Scenario::parse(text, ".").unwrap()).deadline(deadline)
    }

    #[tokio::test]
    async fn a_deadline_stops_a_load_and_not_what_is_read_after_it() {
        let (stop, load_ended) = (CancellationToken::new(), CancellationToken::new());
        session(Duration::ZERO).within_deadline(&stop, &load_ended, stop.clone().cancelled_owned()).await;
        assert!(stop.is_cancelled());

        let (stop, reading) = (CancellationToken::new(), async {
            for _ in 0..50 {
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        load_ended.cancel();
        session(Duration::ZERO).within_deadline(&stop, &load_ended, reading).await;
        assert!(!stop.is_cancelled());
    }
}
