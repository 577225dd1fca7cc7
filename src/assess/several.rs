//! Several documents of one key, where as many operations one after another leave one: nothing forbids them, and yet they
//! are what a race leaves.
//!
//! - Property: a custom workload says nothing about the number of a key's documents. If every key of the serial control has
//!   one in the end, a key of the load with more than its operations explain is in doubt.
//! - Soundness: it never accuses. A service that begins a new document when one is full is not doubted: with `n` operations
//!   of the control on one document, `m` operations fill at most `m / n` of them, rounded up.
//! - Completeness: none where the control has less than two operations on each key, where there are operations of several
//!   kinds, or where `single` says what is right.
//! - Cost: one pass over operations and documents.

use serde::{Deserialize, Serialize};

use super::Recording;
use super::gather::Facts;
use crate::checker::Evidence;
use crate::history::{Operation, Outcome, Phase};
use crate::scenario::{Scenario, WorkloadKind};

/// Fewest acknowledged operations of a key of the serial control that show that one document takes them all.
const FEWEST: usize = 2;

/// Keys that have several documents. What was found on some keys and on others can be joined.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Several {
    /// How many operations one after another leave one document; 0 where that is not known, or nothing is to be said.
    taken: u64,
    /// Keys with more documents than that explains.
    several: u64,
    /// The one with most of them.
    most: Option<(u64, std::cmp::Reverse<String>)>,
    /// All keys.
    keys: u64,
}

impl Several {
    /// Looks at the keys that are there.
    pub(super) fn of(run: &Recording<'_>, facts: &Facts, scenario: &Scenario) -> Self {
        let asked = scenario.workload == WorkloadKind::Custom && scenario.observe.single().is_none();
        // Where operations of several kinds meet, those of one may make documents and those of another none: how many of which
        // a key had decides then.
        if !asked || run.record.explore.is_some() || run.observation.is_none() || facts.names.len() > 1 {
            return Several::default();
        }
        let Some(taken) = taken_by_one(run) else { return Several::default() };
        let load = Evidence::of_phase(run.history, run.observation, Phase::Main);
        let sent = |operation: &&Operation| !matches!(operation.outcome, Outcome::Failed(_));
        let mut found = Several { taken: taken as u64, keys: load.keys().len() as u64, ..Several::default() };
        for key in load.keys() {
            let (documents, explained) = (key.documents().len(), key.operations().filter(sent).count().div_ceil(taken));
            if explained > 0 && documents > explained {
                found.several += 1;
                found.most = found.most.max(Some((documents as u64, std::cmp::Reverse(key.key.to_owned()))));
            }
        }
        found
    }

    /// Joins what was found on other keys.
    pub(super) fn join(&mut self, other: Several) {
        self.taken = self.taken.max(other.taken);
        self.several += other.several;
        self.keys += other.keys;
        self.most = self.most.take().max(other.most);
    }

    /// Why a run that found no violation does not hold, if keys have documents that operations one after another do not leave.
    pub(super) fn reason(&self) -> Option<String> {
        let Several { taken, several, keys, most } = self;
        let (most, std::cmp::Reverse(key)) = most.as_ref()?;
        Some(format!(
            "{several} of {keys} keys have several documents (`{key}` has {most}), where {taken} operations one after another \
             leave one: say whether a key may have one only, `single = true`, or more, `single = false`, in `[observe.*]`"
        ))
    }
}

/// How many operations of the serial control left one document, if each of its keys has one.
fn taken_by_one(run: &Recording<'_>) -> Option<usize> {
    let control = Evidence::of_phase(run.history, run.observation, Phase::Control);
    let mut taken = 0;
    for key in control.keys() {
        let acknowledged = key.operations().filter(|operation| operation.is_ok()).count();
        let shows = acknowledged >= FEWEST;
        match key.documents().len() {
            1 if shows => taken = taken.max(acknowledged),
            0 | 1 if !shows => {}
            _ => return None,
        }
    }
    (taken > 0).then_some(taken)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::assess::RunRecord;
    use crate::history::fixture::operation;
    use crate::history::{Action, Cause, History, Observation, Observed, Returned, Source, Value};
    use crate::scenario::{KnownStrategies, load_text};

    /// What is said of keys: how many operations each had in the control (`true`) or the load, and how many documents.
    fn said(single: &str, several: bool, keys: &[(bool, u64, u64)]) -> Option<String> {
        let text = format!(
            "name = 'a'\nworkload = 'custom'\n[target.http]\nbase_urls = ['http://127.0.0.1:1']\n\
             [target.http.operations.add]\npath = '/x'\n[load.burst]\nclients = 2\nrounds = 2\n\
             [observe.http]\npath = '/x'\ndocuments = '$[*]'\n{single}\n"
        );
        let known: KnownStrategies<'_> = &|_| &[];
        let scenario = load_text(Path::new("a.toml"), text, &[], &|_| None, known).unwrap();
        let mut history = History::default();
        let mut observation = Observation { source: Source::Http, ..Observation::default() };
        for (number, (control, sent, documents)) in (0..).zip(keys) {
            let name = if several && number == 0 { "look" } else { "add" };
            let phase = if *control { Phase::Control } else { Phase::Main };
            let key: Arc<str> = format!("k{number}").into();
            let add = |index| {
                // Of those above a hundred the first are refused.
                let outcome = match sent / 100 > index {
                    true => Outcome::Failed(Cause::http(409, "full")),
                    false => Outcome::Ok(Value::Document(Returned::default())),
                };
                let at = 1000 * number + 10 * index;
                let add = operation(at, Arc::clone(&key), Action::Custom(name.into()), [at, at + 1], outcome);
                Operation { phase, ..add }
            };
            history.operations.extend((0..*sent % 100 + *sent / 100).map(add));
            let document = |index: u64| {
                let line = json!({ "id": format!("{key}-{index}"), "key": *key, "fields": {} });
                serde_json::from_value::<Observed>(line).unwrap()
            };
            observation.documents.extend((0..*documents).map(document));
        }
        history.operations.sort_by_key(|operation| operation.phase == Phase::Main);
        let record = RunRecord::default();
        let run = Recording { record: &record, history: &history, observation: Some(&observation) };
        Several::of(&run, &Facts::of(&history), &scenario).reason()
    }

    #[test]
    fn more_documents_than_operations_one_after_another_leave_are_a_doubt() {
        let one = (true, 4, 1);
        for (keys, doubted) in [
            (vec![one, (false, 2, 1), (false, 8, 1)], false),
            (vec![one, (false, 2, 2)], true),
            (vec![one, (false, 8, 8), (false, 8, 3)], true),
            // A document that takes four, as the control shows, is full after four.
            (vec![one, (false, 8, 2), (false, 9, 3)], false),
            (vec![one, (true, 4, 2), (false, 2, 2)], false),
            (vec![(true, 4, 4), (false, 2, 2)], false),
            (vec![(true, 1, 1), (false, 2, 2)], false),
            (vec![(true, 4, 0), (false, 2, 2)], false),
            (vec![(false, 2, 2)], false),
            // Two were refused: of four, two went into one document, and two more explain no second one.
            (vec![(true, 202, 1), (false, 2, 2)], true),
            (vec![one, (false, 102, 2)], true),
        ] {
            assert_eq!(said("", false, &keys).is_some(), doubted, "{keys:?}");
        }
        let keys = [one, (false, 2, 2), (false, 8, 5), (false, 2, 1)];
        let said_of = said("", false, &keys).unwrap();
        assert!(
            said_of.starts_with("2 of 3 keys have several documents (`k2` has 5), where 4 operations"),
            "{said_of}"
        );
        assert_eq!((said("single = true", false, &keys), said("single = false", false, &keys)), (None, None));
        assert_eq!(said("", true, &keys), None, "operations of two kinds");
    }
}
