//! Why shards do not meet, or do not stay together.

use std::time::Duration;

use super::board::BoardError;
use super::identity::Shard;

/// Why shards did not meet.
#[derive(Debug, thiserror::Error)]
pub enum MeetError {
    /// Some did not come.
    #[error("{} did not come within {within:?}", named(shards))]
    Late {
        /// Those.
        shards: Vec<u32>,
        /// How long they were waited for.
        within: Duration,
    },
    /// One was told to run something else.
    #[error("shard {shard} is not of this run: {why}")]
    Refused {
        /// Which.
        shard: u32,
        /// In what it differs.
        why: String,
    },
    /// Another process is this shard.
    #[error("another process is shard {0}")]
    Taken(Shard),
    /// Two runs meet under one name.
    #[error("another run meets under the same name")]
    Crowded,
    /// The first shard has no identifier or seed to offer.
    #[error("the first shard names the run")]
    Unnamed,
    /// Told to stop.
    #[error("interrupted while the other shards were waited for")]
    Stopped,
    /// The place where they meet cannot be used.
    #[error("cannot meet the other shards")]
    Board(#[source] BoardError),
}

/// Why shards that had met do not go on together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Parted {
    /// Some did not come.
    #[error("{} did not come within {within:?}", named(shards))]
    Late {
        /// Those.
        shards: Vec<u32>,
        /// How long they were waited for.
        within: Duration,
    },
    /// One ended its load because answers had shown a violation for long enough.
    #[error("shard {shard} ended: answers had shown a violation for long enough")]
    Enough {
        /// Which.
        shard: u32,
    },
    /// One has left for another reason.
    #[error("shard {shard} left: {why}")]
    Left {
        /// Which.
        shard: u32,
        /// Why.
        why: String,
    },
    /// Told to stop.
    #[error("interrupted")]
    Stopped,
    /// The place where they met cannot be used any more.
    #[error("the other shards cannot be met any more: {0}")]
    Board(String),
}

impl From<BoardError> for Parted {
    fn from(error: BoardError) -> Self {
        Parted::Board(error.to_string())
    }
}

/// `shard 2`, or `shards 1, 2`.
fn named(shards: &[u32]) -> String {
    let numbers: Vec<String> = shards.iter().map(ToString::to_string).collect();
    match numbers.len() {
        1 => format!("shard {}", numbers.join(", ")),
        _ => format!("shards {}", numbers.join(", ")),
    }
}
