//! The shards of a run, in reports.

use serde::{Deserialize, Serialize};

use super::format::{count, micros, plural};
use crate::shard::ShardState;

/// One shard of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ShardReport {
    /// Which of how many, as in `0/4`.
    pub shard: String,
    /// What of it is there.
    pub state: ShardState,
    /// Its clients.
    pub clients: u32,
    /// Its operations, those of the serial control among them.
    pub operations: u64,
    /// How far its times may be off, either way; absent where nothing is known of its clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_uncertainty_us: Option<f64>,
    /// Whose clock it was held against.
    #[serde(default)]
    pub clock: String,
    /// Whether it read the final state.
    #[serde(default)]
    pub final_state: bool,
}

impl ShardReport {
    /// How far its times may be off, in words.
    pub(super) fn uncertainty(&self) -> String {
        match (self.state, self.clock_uncertainty_us) {
            (ShardState::Missing, _) => "–".to_owned(),
            (_, Some(us)) => format!("± {}", micros(us)),
            (_, None) => "not known".to_owned(),
        }
    }

    /// What it did beside its own operations.
    pub(super) fn also(&self) -> &'static str {
        if self.final_state { "final state" } else { "" }
    }
}

/// All shards in one sentence: how many, of what state, and how far times may be off.
pub(super) fn sentence(shards: &[ShardReport]) -> String {
    let whole = shards.iter().filter(|shard| shard.state == ShardState::Whole).count();
    let mut text = plural(shards.len() as u64, "shard");
    if whole < shards.len() {
        text.push_str(&format!(", {} of them whole", count(whole as u64)));
    }
    let there = || shards.iter().filter(|shard| shard.state != ShardState::Missing);
    if shards.len() < 2 || there().count() == 0 {
        return text;
    }
    let widest = there().map(|shard| shard.clock_uncertainty_us).reduce(|one, other| Some(one?.max(other?))).flatten();
    text.push_str(&match widest {
        Some(us) if us > 0.0 => format!(
            ". Times are certain to ± {}: operations of different shards on one key are ordered only where that leaves no doubt",
            micros(us)
        ),
        Some(_) => ". All times are of one clock".to_owned(),
        None => ". Of some clocks nothing is known: operations of different shards on one key are not ordered by time".to_owned(),
    });
    text
}
