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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Report, Terminal, html, sample, summary, terminal};

    fn shards(uncertain: [Option<f64>; 3]) -> Vec<ShardReport> {
        let states = [ShardState::Whole, ShardState::Whole, ShardState::Died, ShardState::Missing];
        let uncertain = uncertain.into_iter().chain([None]);
        (0..)
            .zip(states.into_iter().zip(uncertain))
            .map(|(index, (state, clock_uncertainty_us)): (u32, _)| ShardReport {
                shard: format!("{index}/4"),
                state,
                clients: 2,
                operations: 4_321,
                clock_uncertainty_us,
                clock: "the <server>".into(),
                final_state: index == 0,
            })
            .collect()
    }

    #[test]
    fn every_report_says_how_many_shards_there_are_and_how_far_times_may_be_off() {
        let report = Report { shards: shards([Some(210.0), Some(2_290.0), Some(1.0)]), ..sample::passing() };
        let wide = Terminal { colour: false, width: 100, directory: None };
        let page = html(&report).unwrap();
        for (name, text) in [("terminal", terminal(&report, wide)), ("summary", summary(&report)), ("page", page)] {
            let text = text.replace("&#x2f;", "/").replace('\n', " ");
            for part in ["4 shards, 2 of them whole", "± 2.29 ms", "0/4", "3/4", "died", "missing", "4,321"] {
                assert!(text.contains(part), "{name}: no {part} in {text}");
            }
            assert!(!text.contains("<server>"), "{name}");
        }
    }

    #[test]
    fn a_clock_of_which_nothing_is_known_is_told_and_one_clock_has_no_doubt() {
        for (uncertain, part) in [
            ([Some(1.0), None, Some(2.0)], "Of some clocks nothing is known"),
            ([Some(0.0); 3], "All times are of one clock"),
            ([Some(0.0), Some(0.0), Some(150.0)], "Times are certain to ± 150 µs"),
        ] {
            let said = sentence(&shards(uncertain));
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(sentence(&shards([None; 3])[..1]), "1 shard");
    }

    #[test]
    fn a_run_of_one_process_has_no_shards_to_show() {
        let report = sample::passing();
        let wide = Terminal { colour: false, width: 100, directory: None };
        assert!(!terminal(&report, wide).contains("Shards") && !html(&report).unwrap().contains("id=\"shards\""));
    }

    #[test]
    fn of_very_many_shards_those_that_are_not_whole_are_shown() {
        let mut all: Vec<ShardReport> = std::iter::repeat_n(shards([Some(1.0); 3]).remove(0), 40).collect();
        all[37].state = ShardState::Died;
        all[37].shard = "37/40".into();
        let wide = Terminal { colour: false, width: 100, directory: None };
        let text = terminal(&Report { shards: all, ..sample::passing() }, wide);
        assert!(text.contains("37/40") && text.contains("24 more shards in report.json"), "{text}");
    }
}
