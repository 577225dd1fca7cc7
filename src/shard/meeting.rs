//! How the shards of a run stay together once they have met: they wait for each other, and say when they have left. Main
//! type: [`Meeting`].
//!
//! All of it stands on a [`Board`]. The shards come together at stages: each writes when it came, and all let go at one moment
//! that follows from these times, so that nobody has to give a sign.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::clock::Clock;
use super::identity::Shard;
use super::lobby::{Call, Lobby, Terms};
use super::parted::{MeetError, Parted};
use super::pulse::Pulse;

/// How often is looked whether others are there where nothing hurries.
pub(super) const UNHURRIED: Duration = Duration::from_millis(40);
/// What a shard writes when it leaves because answers had shown a violation for long enough.
const ENOUGH: &str = "enough";
/// What it writes when it has done all it was to do.
const DONE: &str = "done";

/// What the shards of one run share.
pub struct Meeting {
    board: Arc<dyn Board>,
    shard: Shard,
    run_id: String,
    seed: u64,
    within: Duration,
    pulse: Arc<Pulse>,
    stop: CancellationToken,
    /// Where it came in, and by which call.
    lobby: (String, u64),
    signs: Mutex<Signs>,
}

/// What this shard wrote when it came to stages.
#[derive(Default)]
struct Signs {
    /// Before the last stage to which all shards came.
    past: Vec<String>,
    /// At that stage, and since.
    current: Vec<String>,
}

impl Signs {
    /// Takes in one more; those that nobody waits for any longer. Who came to a stage of all shards saw all of them come to
    /// the one before, and so was any stage before that one behind every shard.
    fn take(&mut self, sign: String, of_all: bool) -> Vec<String> {
        let mut unneeded = Vec::new();
        if of_all {
            let past = std::mem::take(&mut self.current);
            unneeded = std::mem::replace(&mut self.past, past);
        }
        self.current.push(sign);
        unneeded
    }
}

impl Meeting {
    /// Meets the other shards, and agrees with them on what is run. `stop` ends every wait.
    pub async fn open(
        board: Arc<dyn Board>,
        shard: Shard,
        terms: Terms,
        stop: &CancellationToken,
    ) -> Result<Arc<Self>, MeetError> {
        let lobby = Lobby::new(&*board, shard, &terms, stop);
        let call = lobby.enter().await?;
        let pulse = Pulse::begin(Arc::clone(&board), &call.clock).await?;
        Ok(Arc::new(Meeting {
            lobby: (lobby.prefix, call.nonce),
            board,
            shard,
            run_id: call.run_id,
            seed: call.seed,
            within: terms.within,
            pulse,
            stop: stop.clone(),
            signs: Mutex::default(),
        }))
    }

    /// Which shard this is.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// The identifier of the run.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// What tells this meeting from any other, also from one of the same run id.
    pub fn name(&self) -> String {
        format!("{:016x}", self.lobby.1)
    }

    /// The root of all randomness.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Measures clocks until it is told to stop.
    pub fn keep_time(&self, stop: CancellationToken) {
        self.pulse.keep_on(stop);
    }

    /// Measures clocks for the last time, and tells all that is known for times that count from this moment.
    pub async fn clock(&self, epoch: Instant) -> Clock {
        // Without the last measurement the bounds widen from the one before.
        tokio::time::timeout(self.within, self.pulse.end()).await.ok();
        self.pulse.clock(epoch)
    }

    /// Says that what is set up once is there; or waits until the first shard says so.
    pub async fn prepared(&self) -> Result<(), Parted> {
        let name = self.place("prepared");
        if self.shard.leads() {
            return Ok(self.board.put(&name, DONE.to_owned()).await?);
        }
        let deadline = Instant::now() + self.within;
        loop {
            if !self.board.read(&name).await?.is_empty() {
                return Ok(());
            }
            self.nobody_left(&[0]).await?;
            if Instant::now() >= deadline {
                return Err(Parted::Late { shards: vec![0], within: self.within });
            }
            self.pause(UNHURRIED).await?;
        }
    }

    /// Waits until all shards are ready for the load; the moment at which it begins, the same for all of them. What the first
    /// does alone before that may take so long.
    pub async fn start(&self, alone: Duration) -> Result<Instant, Parted> {
        self.come_together("start", self.shard.of, self.within.saturating_add(alone)).await
    }

    /// Waits until the first `participants` shards have come to this round; the moment of its release. A shard that does not
    /// come within this time is lost.
    pub async fn round(&self, number: u32, participants: u32, within: Duration) -> Result<Instant, Parted> {
        self.come_together(&number.to_string(), participants, within).await
    }

    async fn come_together(&self, stage: &str, participants: u32, within: Duration) -> Result<Instant, Parted> {
        let prefix = self.place(&format!("at/{stage}/"));
        let own = format!("{prefix}{}", self.shard.index);
        let came_at = Instant::now();
        self.board.put(&own, self.pulse.time_at(came_at).to_string()).await?;
        self.tidy(own, participants == self.shard.of);
        let (poll, deadline) = (self.poll(), Instant::now() + within);
        let mut polls = 0_u32;
        loop {
            let came = self.board.read(&prefix).await?;
            let times: BTreeMap<u32, i64> =
                came.iter().filter_map(|(index, at)| Some((index.parse().ok()?, at.parse().ok()?))).collect();
            let missing: Vec<u32> = (0..participants).filter(|index| !times.contains_key(index)).collect();
            if let (Some(last), true) = (times.values().max(), missing.is_empty()) {
                let margin = i64::try_from(self.margin().as_nanos()).unwrap_or(i64::MAX);
                let moment = self.pulse.moment_of(last.saturating_add(margin));
                // The last has come already, and not before this shard: where a clock was set meanwhile, nobody sleeps for long.
                return self.sleep_until(moment.clamp(came_at, Instant::now() + self.margin())).await;
            }
            if polls.is_multiple_of(8) {
                self.nobody_left(&missing).await?;
            }
            if Instant::now() >= deadline {
                return Err(Parted::Late { shards: missing, within });
            }
            polls = polls.saturating_add(1);
            self.pause(poll).await?;
        }
    }

    /// An error if one of these has left.
    async fn nobody_left(&self, awaited: &[u32]) -> Result<(), Parted> {
        let left = self.board.read(&self.place("left/")).await?;
        match awaited.iter().find_map(|index| Some((*index, left.get(&index.to_string())?))) {
            None => Ok(()),
            Some((shard, why)) if why == ENOUGH => Err(Parted::Enough { shard }),
            Some((shard, why)) => Err(Parted::Left { shard, why: why.clone() }),
        }
    }

    /// Says that this shard has ended its load: whoever waits for it need not.
    pub async fn leave(&self, why: Leaving) -> Result<(), Parted> {
        let why = match why {
            Leaving::Done => DONE.to_owned(),
            Leaving::Enough => ENOUGH.to_owned(),
            Leaving::Because(why) => why,
        };
        Ok(self.board.put(&self.place(&format!("left/{}", self.shard.index)), why).await?)
    }

    /// Says that nothing of this shard is at work any more.
    pub async fn is_quiet(&self) -> Result<(), Parted> {
        Ok(self.board.put(&self.place(&format!("quiet/{}", self.shard.index)), DONE.to_owned()).await?)
    }

    /// Waits until all other shards are quiet; those that are not after this time.
    pub async fn await_quiet(&self, within: Duration) -> Result<Vec<u32>, Parted> {
        let (prefix, deadline) = (self.place("quiet/"), Instant::now() + within);
        loop {
            let quiet = self.board.read(&prefix).await?;
            let others = (0..self.shard.of).filter(|index| *index != self.shard.index);
            let missing: Vec<u32> = others.filter(|index| !quiet.contains_key(&index.to_string())).collect();
            if missing.is_empty() || Instant::now() >= deadline {
                return Ok(missing);
            }
            self.pause(UNHURRIED).await?;
        }
    }

    /// Wipes out everything of the run.
    pub async fn end(&self) -> Result<(), Parted> {
        self.board.wipe(&self.place("")).await?;
        let (lobby, nonce) = &self.lobby;
        // Another run may have been called there since.
        let found = self.board.read(lobby).await?;
        let current = found.get("call").and_then(|call| serde_json::from_str::<Call>(call).ok());
        if current.is_some_and(|call| call.nonce == *nonce) {
            self.board.wipe(lobby).await?;
        }
        Ok(())
    }

    fn place(&self, rest: &str) -> String {
        format!("run/{}/{rest}", self.run_id)
    }

    /// How often a stage is looked at: the more shards there are, the more seldom.
    fn poll(&self) -> Duration {
        Duration::from_micros(2_000 + 250 * u64::from(self.shard.of))
    }

    /// How long after the last has come all are let go: by then each has seen that it came.
    fn margin(&self) -> Duration {
        4 * self.poll()
    }

    /// Notes this shard's sign at a stage, and wipes out those that nobody waits for any longer.
    fn tidy(&self, own: String, of_all: bool) {
        let unneeded = self.signs.lock().unwrap_or_else(PoisonError::into_inner).take(own, of_all);
        if unneeded.is_empty() {
            return;
        }
        let board = Arc::clone(&self.board);
        tokio::spawn(async move {
            for sign in unneeded {
                // What stays is wiped out at the end.
                board.wipe(&sign).await.ok();
            }
        });
    }

    async fn pause(&self, time: Duration) -> Result<(), Parted> {
        self.stop.run_until_cancelled(tokio::time::sleep(time)).await.ok_or(Parted::Stopped)
    }

    /// Sleeps on a thread of its own: the runtime's timers are a millisecond coarse.
    async fn sleep_until(&self, moment: Instant) -> Result<Instant, Parted> {
        let sleep = tokio::task::spawn_blocking(move || {
            std::thread::sleep(moment.saturating_duration_since(Instant::now()));
        });
        match self.stop.run_until_cancelled(sleep).await {
            Some(Ok(())) => Ok(moment),
            Some(Err(panicked)) => Err(Parted::Board(panicked.to_string())),
            None => Err(Parted::Stopped),
        }
    }
}

/// Why a shard ends its load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaving {
    /// It has done all of it.
    Done,
    /// Answers had shown a violation for long enough.
    Enough,
    /// Something else, in words.
    Because(String),
}

#[cfg(test)]
#[path = "meeting_tests.rs"]
mod tests;
