//! Which of several processes this one is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of the processes that carry out one run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// Its number, from 0.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

/// Most shards of one run.
const MOST: u32 = 1_000;

/// Why a text names no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAShard {
    /// It is no pair of numbers.
    #[error("`{0}` is no shard: write I/N, as in 0/4, or auto")]
    Form(String),
    /// There are none, or too many.
    #[error("a run has 1 to {MOST} shards, not {0}")]
    Number(u32),
    /// The numbers begin at 0.
    #[error("there is no shard {index} of {of}: they are numbered from 0 to {}", of - 1)]
    Index {
        /// What was asked for.
        index: u32,
        /// How many there are.
        of: u32,
    },
}

impl Shard {
    /// The shard of this number.
    pub fn new(index: u32, of: u32) -> Result<Self, NotAShard> {
        match of {
            0 => Err(NotAShard::Number(of)),
            _ if of > MOST => Err(NotAShard::Number(of)),
            _ if index >= of => Err(NotAShard::Index { index, of }),
            _ => Ok(Shard { index, of }),
        }
    }

    /// Whether it carries out what has this number. Clients, arrivals and the numbers that clients get after an unknown
    /// outcome are dealt out in turn, so that a round of two clients already is one of two shards.
    pub fn owns(self, number: u64) -> bool {
        number % u64::from(self.of) == u64::from(self.index)
    }

    /// How many of so many it carries out.
    pub fn share(self, all: u64) -> u64 {
        let (index, of) = (u64::from(self.index), u64::from(self.of));
        all / of + u64::from(index < all % of)
    }

    /// Whether it does what is done once: the set-up, the serial control, the final read.
    pub fn leads(self) -> bool {
        self.index == 0
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = NotAShard;

    fn from_str(text: &str) -> Result<Self, NotAShard> {
        let numbers = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        let (index, of) = numbers.ok_or_else(|| NotAShard::Form(text.to_owned()))?;
        Shard::new(index, of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_written_as_its_number_of_all() {
        assert_eq!("1/4".parse::<Shard>().map(|shard| shard.to_string()).unwrap(), "1/4");
        for wrong in ["", "1", "4/4", "0/0", "-1/4", "1/1001", "a/b", "1/4/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
        assert!("4/4".parse::<Shard>().unwrap_err().to_string().contains("from 0 to 3"));
    }

    #[test]
    fn everything_is_carried_out_by_exactly_one() {
        for of in 1..=7 {
            let shards: Vec<Shard> = (0..of).map(|index| Shard::new(index, of).unwrap()).collect();
            for all in 0..40 {
                let owned = |shard: &Shard| (0..all).filter(|number| shard.owns(*number)).count() as u64;
                assert!(shards.iter().all(|shard| shard.share(all) == owned(shard)), "{all} among {of}");
                assert_eq!(shards.iter().map(owned).sum::<u64>(), all);
            }
        }
    }
}
