//! How operations are let go, and on which keys they meet. Main type: [`Load`].

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use serde::Serialize;

use super::stages::Stage;

/// How operations are let go.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// All clients released together, round after round, a fresh key each round.
    Burst {
        /// Clients per round; several values share the rounds out.
        clients: Vec<u32>,
        /// How many rounds.
        rounds: u32,
        /// Largest random offset of each start.
        #[serde(with = "friendly")]
        jitter: Duration,
    },
    /// Each client sends its next operation when the last has ended.
    Closed {
        /// How many clients.
        clients: u32,
        /// How long.
        #[serde(with = "friendly")]
        duration: Duration,
        /// At most so many operations in all.
        operations: Option<u64>,
        /// Which keys they meet on.
        keys: Keys,
    },
    /// Operations start at computed times, whatever became of the earlier ones.
    Open {
        /// Operations per second.
        rate: f64,
        /// How long.
        #[serde(with = "friendly")]
        duration: Duration,
        /// Most operations in flight; an arrival beyond is counted as dropped.
        max_clients: u32,
        /// Spacing of the arrivals.
        arrivals: Arrivals,
        /// Which keys they meet on.
        keys: Keys,
    },
    /// Waves of these sizes on one key, one wave after the other; `rounds` times, each on a fresh key.
    Waves {
        /// Clients of each wave.
        sizes: Vec<u32>,
        /// How many times.
        rounds: u32,
    },
    /// A closed load whose number of clients changes over time.
    #[serde(rename = "stages")]
    RampingClients {
        /// Clients where the first stage begins.
        start: u32,
        /// One stage after another.
        clients: Vec<Stage<u32>>,
        /// Which keys they meet on.
        keys: Keys,
    },
    /// An open load whose rate changes over time.
    #[serde(rename = "stages")]
    RampingRate {
        /// Operations per second where the first stage begins.
        start: f64,
        /// Most operations in flight; an arrival beyond is counted as dropped.
        max_clients: u32,
        /// Spacing of the arrivals.
        arrivals: Arrivals,
        /// One stage after another.
        rate: Vec<Stage<f64>>,
        /// Which keys they meet on.
        keys: Keys,
    },
}

impl Load {
    /// The most operations that can be in flight.
    pub fn clients(&self) -> u32 {
        match self {
            Load::Burst { clients, .. } => clients.iter().copied().max().unwrap_or(0),
            Load::Closed { clients, .. } => *clients,
            Load::Open { max_clients, .. } | Load::RampingRate { max_clients, .. } => *max_clients,
            Load::RampingClients { start, clients, .. } => {
                clients.iter().map(|stage| stage.target).fold(*start, u32::max)
            }
            Load::Waves { sizes, .. } => sizes.iter().copied().max().unwrap_or(0),
        }
    }
}

/// What was not there before each round of a burst (`[load] fresh`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fresh {
    /// The database: the service is started on a new one, instance after instance, and the round begins when all are ready.
    Database,
    /// The database and the service: its instances are started together, and the round begins as soon as they listen.
    Service,
}

impl Fresh {
    /// All, with their words.
    pub const ALL: [(&'static str, Fresh); 2] = [("database", Fresh::Database), ("service", Fresh::Service)];
}

/// Which keys the operations of a closed or open load meet on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keys {
    /// Each of `count` keys is equally likely.
    Uniform {
        /// How many keys.
        count: u32,
    },
    /// A few keys take most of the load.
    Zipf {
        /// How many keys.
        count: u32,
        /// Skew: 1.1 is a usual one.
        exponent: f64,
    },
}

/// Spacing of the arrivals of an open load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Evenly spaced.
    Constant,
    /// Exponentially distributed gaps.
    Poisson,
}
