//! The commands that carry an exploration out again.

use super::One;
use super::asked::search;
use super::faults;
use crate::explore::search::Search;
use crate::scenario::JudgeKind;
use crate::session::reproduce::{quoted, set_words, variables};

impl One<'_> {
    /// The command for these operations, without what says how to explore; none are those of the scenario.
    pub(super) fn command(&self, operations: &[String]) -> String {
        let common = &self.args.common;
        let mut words = variables(self.scenario);
        words.extend(["onlyone explore".to_owned(), quoted(&self.scenario.file.display().to_string())]);
        words.extend(common.overrides.iter().map(|set| set_words(set)));
        let judge = JudgeKind::ALL.iter().find(|(_, kind)| self.args.judge == Some(*kind));
        words.extend(judge.map(|(name, _)| format!("--judge {name}")));
        words.extend(self.args.strict.then(|| "--strict".to_owned()));
        words.extend(faults::words(self.args));
        if !operations.is_empty() {
            words.push(format!("--operations {}", operations.join(",")));
        }
        if common.mongo != "embedded" {
            words.push("--mongo \"$ONLYONE_MONGO_URI\"".to_owned());
        }
        words.extend(common.allow_target.iter().map(|host| format!("--allow-target {}", quoted(host))));
        words.extend(common.allow_database.iter().map(|name| format!("--allow-database {}", quoted(name))));
        words.join(" ")
    }

    /// The command that carries out the same again.
    pub(super) fn reproduce(&self, requests: Option<u32>) -> String {
        let mut words = vec![self.command(&self.args.operations)];
        words.extend(requests.map(|requests| format!("--requests {requests}")));
        words.push(format!("--seed {}", self.seed));
        words.extend(self.args.pairs.then(|| "--pairs".to_owned()));
        if self.args.twice {
            words.push("--twice".to_owned());
        }
        match search(self.args, self.scenario) {
            Search::Replay { schedule, times } => {
                words.push(format!("--schedule \"{schedule}\""));
                words.extend(self.args.in_turn.map(|first| format!("--in-turn {first}")));
                words.push(format!("--times {times}"));
            }
            Search::Exhaustive => {}
            Search::Pct { depth } => words.push(format!("--search pct --depth {depth}")),
            Search::Random => words.push("--search random".to_owned()),
            Search::Stress => words.push("--search stress".to_owned()),
        }
        words.join(" ")
    }
}
