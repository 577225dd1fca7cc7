//! Where the shards of a run come in, and agree on what is run. Main type: [`Lobby`].
//!
//! The first shard calls the others; each that comes is let in by name, so that what a run left behind that died is taken
//! for nobody.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::board::{Board, BoardError};
use super::identity::Shard;
use super::meeting::UNHURRIED;
use super::parted::MeetError;

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
pub(super) struct Call {
    pub(super) run_id: String,
    pub(super) seed: u64,
    pub(super) of: u32,
    pub(super) scenario: u64,
    pub(super) version: String,
    /// Tells this call from one that another run left behind.
    pub(super) nonce: u64,
    /// Whose clock all of them ask.
    pub(super) clock: String,
}

/// That one of the others has come, or why it has gone again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) call: u64,
    pub(super) nonce: u64,
    pub(super) refuses: Option<String>,
}

/// Who was let in; nobody, if one refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Go {
    pub(super) call: u64,
    pub(super) nonces: BTreeMap<u32, u64>,
    pub(super) refused: Option<(u32, String)>,
}

/// The words that stand on the board under these names; what is no such word is not for this version.
fn words<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, MeetError> {
    serde_json::from_str(text)
        .map_err(|error| MeetError::Board(format!("what stands there cannot be read: {error}").into()))
}

pub(super) fn text(words: &impl Serialize) -> Result<String, MeetError> {
    serde_json::to_string(words).map_err(|error| MeetError::Board(error.into()))
}

/// Where shards come in.
pub(super) struct Lobby<'a> {
    board: &'a dyn Board,
    shard: Shard,
    terms: &'a Terms,
    pub(super) prefix: String,
    stop: &'a CancellationToken,
}

impl<'a> Lobby<'a> {
    pub(super) fn new(board: &'a dyn Board, shard: Shard, terms: &'a Terms, stop: &'a CancellationToken) -> Self {
        Lobby { board, shard, terms, prefix: format!("lobby/{}/", terms.name), stop }
    }

    /// Comes in; what all of them run.
    pub(super) async fn enter(&self) -> Result<Call, MeetError> {
        match self.shard.leads() {
            true => self.call().await,
            false => self.come().await,
        }
    }

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
            clock: self.board.time().await?.clock,
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
