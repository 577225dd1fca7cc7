//! How the shards of a run meet: they agree on what is run, wait for each other, and say when they have left. Main type:
//! [`Meeting`].
//!
//! All of it stands on a [`Board`]. In the lobby the first shard calls the others; each that comes is let in by name, so that
//! what a run left behind that died is taken for nobody. Afterwards the shards come together at stages: each writes when it
//! came, and all let go at one moment that follows from these times, so that nobody has to give a sign.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::board::{Board, BoardError};
use super::clock::Clock;
use super::identity::Shard;
use super::parted::{MeetError, Parted};
use super::pulse::Pulse;

/// How often the lobby is looked at.
const UNHURRIED: Duration = Duration::from_millis(40);
/// What a shard writes when it leaves because answers had shown a violation for long enough.
const ENOUGH: &str = "enough";
/// What it writes when it has done all it was to do.
const DONE: &str = "done";

/// What a shard brings along.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What shards of one run have in common from the beginning: a name that was given, or what they run.
    pub name: String,
    /// The run's identifier; that of the first shard counts.
    pub run_id: Option<String>,
    /// The root of all randomness; that of the first shard counts.
    pub seed: Option<u64>,
    /// A digest of what is run.
    pub scenario: u64,
    /// How long others are waited for.
    pub within: Duration,
}

/// What the first shard says. It is what all of them run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Call {
    run_id: String,
    seed: u64,
    of: u32,
    scenario: u64,
    version: String,
    /// Tells this call from one that another run left behind.
    nonce: u64,
}

/// That one of the others has come, or why it has gone again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    call: u64,
    nonce: u64,
    refuses: Option<String>,
}

/// Who was let in; nobody, if one refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Go {
    call: u64,
    nonces: BTreeMap<u32, u64>,
    refused: Option<(u32, String)>,
}

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
    /// The last stages, whose signs may be wiped out once all are past them.
    stages: Mutex<VecDeque<String>>,
}

/// The words that stand on the board under these names; what is no such word is not for this version.
fn words<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, MeetError> {
    serde_json::from_str(text)
        .map_err(|error| MeetError::Board(format!("what stands there cannot be read: {error}").into()))
}

fn text(words: &impl Serialize) -> Result<String, MeetError> {
    serde_json::to_string(words).map_err(|error| MeetError::Board(error.into()))
}

impl Meeting {
    /// Meets the other shards, and agrees with them on what is run. `stop` ends every wait.
    pub async fn open(
        board: Arc<dyn Board>,
        shard: Shard,
        terms: Terms,
        stop: &CancellationToken,
    ) -> Result<Arc<Self>, MeetError> {
        let prefix = format!("lobby/{}/", terms.name);
        let lobby = Lobby { board: &board, shard, terms: &terms, prefix: prefix.clone(), stop };
        let call = match shard.leads() {
            true => lobby.call().await?,
            false => lobby.come().await?,
        };
        let pulse = Pulse::begin(Arc::clone(&board)).await?;
        Ok(Arc::new(Meeting {
            board,
            shard,
            lobby: (prefix, call.nonce),
            run_id: call.run_id,
            seed: call.seed,
            within: terms.within,
            pulse,
            stop: stop.clone(),
            stages: Mutex::default(),
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
        let name = self.name("prepared");
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
        let prefix = self.name(&format!("at/{stage}/"));
        let own = format!("{prefix}{}", self.shard.index);
        self.board.put(&own, self.pulse.time_at(Instant::now()).to_string()).await?;
        self.tidy(own);
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
                return self.sleep_until(moment).await;
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
        let left = self.board.read(&self.name("left/")).await?;
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
        Ok(self.board.put(&self.name(&format!("left/{}", self.shard.index)), why).await?)
    }

    /// Says that nothing of this shard is at work any more.
    pub async fn is_quiet(&self) -> Result<(), Parted> {
        Ok(self.board.put(&self.name(&format!("quiet/{}", self.shard.index)), DONE.to_owned()).await?)
    }

    /// Waits until all other shards are quiet; those that are not after this time.
    pub async fn await_quiet(&self, within: Duration) -> Result<Vec<u32>, Parted> {
        let (prefix, deadline) = (self.name("quiet/"), Instant::now() + within);
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
        self.board.wipe(&self.name("")).await?;
        let (lobby, nonce) = &self.lobby;
        // Another run may have been called there since.
        let found = self.board.read(lobby).await?;
        let current = found.get("call").and_then(|call| serde_json::from_str::<Call>(call).ok());
        if current.is_some_and(|call| call.nonce == *nonce) {
            self.board.wipe(lobby).await?;
        }
        Ok(())
    }

    fn name(&self, rest: &str) -> String {
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

    /// Wipes out this shard's sign at the stage before the last: who came to this one is past that.
    fn tidy(&self, own: String) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.push_back(own);
        if stages.len() > 2
            && let Some(past) = stages.pop_front()
        {
            let board = Arc::clone(&self.board);
            // What stays is wiped out at the end.
            tokio::spawn(async move { board.wipe(&past).await.ok() });
        }
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

/// Where shards come in.
struct Lobby<'a> {
    board: &'a Arc<dyn Board>,
    shard: Shard,
    terms: &'a Terms,
    prefix: String,
    stop: &'a CancellationToken,
}

impl Lobby<'_> {
    fn name(&self, rest: &str) -> String {
        format!("{}{rest}", self.prefix)
    }

    async fn pause(&self) -> Result<(), MeetError> {
        self.stop.run_until_cancelled(tokio::time::sleep(UNHURRIED)).await.ok_or(MeetError::Stopped)
    }

    /// The first shard: calls the others, waits until all have come, and lets them in.
    async fn call(&self) -> Result<Call, MeetError> {
        let terms = self.terms;
        let call = Call {
            run_id: terms.run_id.clone().ok_or(MeetError::Unnamed)?,
            seed: terms.seed.ok_or(MeetError::Unnamed)?,
            of: self.shard.of,
            scenario: terms.scenario,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            nonce: rand::rng().random(),
        };
        // What an earlier run of this name left is not for this one.
        self.board.wipe(&self.prefix).await?;
        self.board.wipe(&format!("run/{}/", call.run_id)).await?;
        self.board.put(&self.name("call"), text(&call)?).await?;
        let deadline = Instant::now() + terms.within;
        loop {
            let found = self.board.read(&self.prefix).await?;
            let current: Option<Call> = found.get("call").map(|call| words(call)).transpose()?;
            if current.as_ref() != Some(&call) {
                return Err(MeetError::Crowded);
            }
            let mut nonces = BTreeMap::new();
            for index in 1..self.shard.of {
                let Some(answer) = found.get(&format!("come/{index}")) else { continue };
                match words::<Answer>(answer)? {
                    Answer { call: to, refuses: Some(why), .. } if to == call.nonce => {
                        let refused = Some((index, why.clone()));
                        let go = Go { call: call.nonce, nonces: BTreeMap::new(), refused };
                        self.board.put(&self.name("go"), text(&go)?).await?;
                        return Err(MeetError::Refused { shard: index, why });
                    }
                    Answer { call: to, nonce, .. } if to == call.nonce => _ = nonces.insert(index, nonce),
                    Answer { .. } => {}
                }
            }
            let missing: Vec<u32> = (1..self.shard.of).filter(|index| !nonces.contains_key(index)).collect();
            if missing.is_empty() {
                self.board.put(&self.name("go"), text(&Go { call: call.nonce, nonces, refused: None })?).await?;
                return Ok(call);
            }
            if Instant::now() >= deadline {
                return Err(MeetError::Late { shards: missing, within: terms.within });
            }
            self.pause().await?;
        }
    }

    /// Any other shard: follows the call until it is let in. A call that a dead run left behind is not answered by anybody, and
    /// is replaced by the first shard's when that comes.
    async fn come(&self) -> Result<Call, MeetError> {
        let own: u64 = rand::rng().random();
        let index = self.shard.index;
        let deadline = Instant::now() + self.terms.within;
        let (mut answered, mut closed) = (None, false);
        loop {
            let found = self.board.read(&self.prefix).await?;
            if let Some(call) = found.get("call") {
                let call: Call = words(call)?;
                let go: Option<Go> = found.get("go").map(|go| words(go)).transpose()?;
                let go = go.filter(|go| go.call == call.nonce);
                // A run that began without this process: a dead one, or another process is this shard.
                closed = go.is_some() && answered != Some(call.nonce);
                if !closed && answered != Some(call.nonce) {
                    let refuses = self.differs(&call);
                    let answer = Answer { call: call.nonce, nonce: own, refuses: refuses.clone() };
                    self.board.put(&self.name(&format!("come/{index}")), text(&answer)?).await?;
                    answered = Some(call.nonce);
                }
                match go.filter(|_| !closed) {
                    Some(Go { refused: Some((shard, why)), .. }) => return Err(MeetError::Refused { shard, why }),
                    Some(go) if go.nonces.get(&index) == Some(&own) => return Ok(call),
                    Some(_) => return Err(MeetError::Taken(self.shard)),
                    None => {}
                }
            }
            if Instant::now() >= deadline {
                return Err(match closed {
                    true => MeetError::Taken(self.shard),
                    false => MeetError::Late { shards: vec![0], within: self.terms.within },
                });
            }
            self.pause().await?;
        }
    }

    /// In what the call differs from what this shard was told.
    fn differs(&self, call: &Call) -> Option<String> {
        let terms = self.terms;
        if call.of != self.shard.of {
            return Some(format!("it is one of {} shards, the first is one of {}", self.shard.of, call.of));
        }
        if call.version != env!("CARGO_PKG_VERSION") {
            return Some(format!("it is onlyone {}, the first is {}", env!("CARGO_PKG_VERSION"), call.version));
        }
        if call.scenario != terms.scenario {
            return Some(
                "its scenario, with every override and variable filled in, is another one than that of the first"
                    .to_owned(),
            );
        }
        if terms.seed.is_some_and(|seed| seed != call.seed) {
            return Some(format!("its seed is another one than that of the first, which is {}", call.seed));
        }
        None
    }
}

impl From<BoardError> for MeetError {
    fn from(error: BoardError) -> Self {
        MeetError::Board(error)
    }
}

#[cfg(test)]
#[path = "meeting_tests.rs"]
mod tests;
