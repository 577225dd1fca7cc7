//! A service that is killed on purpose, and started again where it was.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{join_all, select_all};
use tokio::sync::watch;

use super::port::Reservation;
use super::{Instance, STARTING, Service, Start, Starter, http_client, step};
use crate::process::{Process, ProcessError};
use crate::scenario::ServiceSpec;
use crate::target::http::is_listening;
use crate::target::{ServiceContext, TargetError};

/// How often it is tried whether an instance listens.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What it takes to start a service again, and the processes that it has had since.
#[derive(Debug)]
pub(super) struct Restarts {
    spec: ServiceSpec,
    /// Its database may become another one.
    context: Mutex<ServiceContext>,
    lives: watch::Sender<Lives>,
}

/// The processes of a service that may have been killed on purpose.
#[derive(Debug, Default)]
struct Lives {
    /// How often it was killed.
    kills: u64,
    /// It was killed, and is not back yet.
    is_down: bool,
    /// The processes since it was started again; before, those that it was started with.
    processes: Option<Vec<Process>>,
}

/// How instances are waited for that are started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// All are started at once, and waited for until they are ready.
    Together,
    /// Each is ready before the next is started.
    InTurn,
    /// All are started at once, and waited for no longer than until they listen.
    Listening,
}

/// What came of an instance that was started by itself.
#[derive(Debug)]
pub enum Launched {
    /// It is ready.
    Ready,
    /// It has ended before it was: how.
    Ended(TargetError),
}

impl Starter<'_> {
    /// Waits until an instance listens where it did before, or has ended.
    async fn listening(&self, instance: &Instance, first: &Instance) -> Result<(), TargetError> {
        let address = &first.url;
        while !matches!(tokio::time::timeout_at(self.deadline.into(), is_listening(address)).await, Ok(true)) {
            let why = match instance.process.try_exit_status() {
                Some(status) => format!("it ended with {status} before it listened"),
                None if Instant::now() >= self.deadline => format!("nothing listens at {address}"),
                None => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    continue;
                }
            };
            return Err(step(STARTING, format!("{why}{}", instance.quoted(&instance.log()))));
        }
        instance.no_stranger()
    }
}

impl Restarts {
    fn use_database(&self, database: &str) {
        let own = &mut self.context.lock().unwrap_or_else(PoisonError::into_inner).mongo;
        *own = own.take().map(|(uri, _)| (uri, database.to_owned()));
    }

    fn context(&self) -> ServiceContext {
        self.context.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn new(spec: &ServiceSpec, context: &ServiceContext) -> Self {
        Restarts { spec: spec.clone(), context: Mutex::new(context.clone()), lives: watch::Sender::default() }
    }
}

impl Service {
    /// The processes that it has now.
    pub(super) fn processes(&self) -> Vec<Process> {
        let lives = self.restarts.lives.borrow();
        let first = || self.instances.iter().map(|instance| instance.process.clone()).collect();
        lives.processes.clone().unwrap_or_else(first)
    }

    /// Kills all instances at once, and waits until they are gone.
    pub async fn kill(&self) -> Result<(), TargetError> {
        self.kill_where(|_| true).await
    }

    /// Kills one instance, by its position, and waits until it is gone.
    pub async fn kill_one(&self, position: usize) -> Result<(), TargetError> {
        self.kill_where(|other| other == position).await
    }

    /// How many instances there are.
    pub fn instances(&self) -> usize {
        self.instances.len()
    }

    async fn kill_where(&self, is_meant: impl Fn(usize) -> bool) -> Result<(), TargetError> {
        self.restarts.lives.send_modify(|lives| {
            lives.kills += 1;
            lives.is_down = true;
        });
        let processes = self.processes();
        let meant = processes.iter().enumerate().filter(|(position, _)| is_meant(*position));
        let killed = join_all(meant.map(|(_, process)| process.kill())).await;
        killed.into_iter().collect::<Result<(), ProcessError>>().map_err(|error| step("killing the service", error))
    }

    /// Starts one instance again where it was, and waits until it is ready. Where it does not come up, it stays gone, and is
    /// taken for lost.
    pub async fn start_one_again(&self, position: usize) -> Result<(), TargetError> {
        let Restarts { spec, lives, .. } = &self.restarts;
        let context = self.restarts.context();
        let starter =
            Starter { spec, context: &context, client: http_client()?, deadline: Instant::now() + spec.ready_timeout };
        let Some(first) = self.instances.get(position) else { return Ok(()) };
        let started = async {
            let number = u32::try_from(position + 1).unwrap_or(u32::MAX);
            let instance = starter.launch_at(&self.supervisor, number, Reservation::of_before(first.port.port()))?;
            let mut processes = self.processes();
            // Shorter than it was where some of them could not be started again.
            match processes.get_mut(position) {
                Some(process) => *process = instance.process.clone(),
                None => processes.push(instance.process.clone()),
            }
            lives.send_modify(|lives| lives.processes = Some(processes));
            Self::ready_as_before(&starter, instance, first).await
        };
        let started = started.await;
        lives.send_modify(|lives| lives.is_down = false);
        started
    }

    /// Starts all instances again, each where it was, and waits until they are ready. What does not come up is killed.
    pub async fn start_again(&self) -> Result<(), TargetError> {
        self.start_all_again(Awaited::Together).await
    }

    /// Starts all instances again that were killed, each where it was, on a database that need not exist yet.
    pub async fn start_on(&self, database: &str, awaited: Awaited) -> Result<(), TargetError> {
        self.restarts.use_database(database);
        self.start_all_again(awaited).await
    }

    /// Goes on, after all instances were killed, with a database that need not exist yet. From now on instances are started one
    /// by one, and none of them is missed.
    pub fn begin_on(&self, database: &str) {
        self.restarts.use_database(database);
        self.restarts.lives.send_modify(|lives| {
            lives.is_down = true;
            lives.processes = Some(Vec::new());
        });
    }

    /// Starts one instance where it was before, by its position, and waits until it is ready or has ended.
    pub async fn launch(&self, position: usize) -> Result<Launched, TargetError> {
        let Restarts { spec, lives, .. } = &self.restarts;
        let context = self.restarts.context();
        let deadline = Instant::now() + spec.ready_timeout;
        let starter = Starter { spec, context: &context, client: http_client()?, deadline };
        let Some(first) = self.instances.get(position) else {
            return Err(step(STARTING, format!("there is no instance {}", position + 1)));
        };
        let number = u32::try_from(position + 1).unwrap_or(u32::MAX);
        let mut instance = starter.launch_at(&self.supervisor, number, Reservation::of_before(first.port.port()))?;
        let process = instance.process.clone();
        lives.send_modify(|lives| lives.processes.get_or_insert_default().push(process.clone()));
        match starter.ready(&mut instance).await {
            Ok(Start::Ready) if instance.url == first.url => Ok(Launched::Ready),
            Ok(Start::Ready) => {
                let why = format!("started again, it answers at {} and no longer at {}", instance.url, first.url);
                Err(step(STARTING, why))
            }
            Ok(Start::PortTaken(log)) => Err(step(STARTING, format!("its port was taken{log}"))),
            Err(why) => match process.try_exit_status() {
                Some(_) => Ok(Launched::Ended(why)),
                None => Err(why),
            },
        }
    }

    async fn start_all_again(&self, awaited: Awaited) -> Result<(), TargetError> {
        let Restarts { spec, lives, .. } = &self.restarts;
        let context = self.restarts.context();
        let deadline = Instant::now() + spec.ready_timeout;
        let starter = Starter { spec, context: &context, client: http_client()?, deadline };
        lives.send_modify(|lives| lives.processes = Some(Vec::new()));
        let started = self.start_each(&starter, awaited).await;
        match &started {
            Ok(()) => lives.send_modify(|lives| lives.is_down = false),
            Err(why) => self.kill().await.map_err(|error| step(STARTING, format!("{why}; and {error}")))?,
        }
        started
    }

    /// Launches all instances, as at first, and waits for them. Each process is known from its launch on: who stops waiting can
    /// still end it.
    async fn start_each(&self, starter: &Starter<'_>, awaited: Awaited) -> Result<(), TargetError> {
        let mut launched = Vec::new();
        for (number, first) in (1..).zip(&self.instances) {
            let port = Reservation::of_before(first.port.port());
            let instance = starter.launch_at(&self.supervisor, number, port)?;
            let process = instance.process.clone();
            self.restarts.lives.send_modify(|lives| lives.processes.get_or_insert_default().push(process));
            match awaited {
                Awaited::InTurn => Self::ready_as_before(starter, instance, first).await?,
                Awaited::Together | Awaited::Listening => launched.push((instance, first)),
            }
        }
        for (instance, first) in launched {
            match awaited {
                Awaited::Listening => starter.listening(&instance, first).await?,
                Awaited::Together | Awaited::InTurn => Self::ready_as_before(starter, instance, first).await?,
            }
        }
        Ok(())
    }

    /// Waits until an instance that was started again answers where it was.
    async fn ready_as_before(
        starter: &Starter<'_>,
        mut instance: Instance,
        first: &Instance,
    ) -> Result<(), TargetError> {
        match starter.ready(&mut instance).await? {
            Start::Ready if instance.url == first.url => Ok(()),
            Start::Ready => {
                let why = format!("started again, it answers at {} and no longer at {}", instance.url, first.url);
                Err(step(STARTING, why))
            }
            Start::PortTaken(log) => Err(step(STARTING, format!("when it was started again, its port was taken{log}"))),
        }
    }

    /// Ends when an instance has ended by itself: with its position, and how.
    pub(super) async fn ended(&self) -> (usize, Option<std::process::ExitStatus>) {
        loop {
            let mut lives = self.restarts.lives.subscribe();
            // While it is down it was killed on purpose. An error means that the service is gone, and with it who asks.
            lives.wait_for(|lives| !lives.is_down).await.ok();
            let kills = lives.borrow_and_update().kills;
            let processes = self.processes();
            let (status, index, _) = select_all(processes.iter().map(|process| Box::pin(process.wait()))).await;
            if lives.borrow_and_update().kills == kills {
                return (index, status);
            }
        }
    }
}
