//! Several documents of one key, where as many operations one after another leave one: nothing forbids them, and yet they
//! are what a race leaves.
//!
//! - Property: a custom workload says nothing about the number of a key's documents. If every key of the serial control has
//!   one in the end, a key of the load with more than its operations explain is in doubt.
//! - Soundness: it never accuses. A service that begins a new document when one is full is not doubted: with `n` operations
//!   of the control on one document, `m` operations fill at most `m / n` of them, rounded up.
//! - Completeness: none where the control has less than two operations on each key, or `single` says what is right.
//! - Cost: one pass over operations and documents.

use rustc_hash::FxHashMap;

use super::Recording;
use crate::history::{Operation, Outcome, Phase};
use crate::scenario::{Scenario, WorkloadKind};

/// Fewest acknowledged operations of a key of the serial control that show that one document takes them all.
const FEWEST: u64 = 2;

/// Why a run that found no violation does not hold, if keys have documents that operations one after another do not leave.
pub(super) fn documents(run: &Recording<'_>, scenario: &Scenario) -> Option<String> {
    let asked = scenario.workload == WorkloadKind::Custom && scenario.observe.single().is_none();
    if !asked || run.record.explore.is_some() {
        return None;
    }
    let stored = stored(run)?;
    let of = |key: &str| stored.get(key).copied().unwrap_or(0);
    let control = operations(run, Phase::Control);
    let serially: Vec<_> = control.iter().filter(|(_, sent)| sent.acknowledged >= FEWEST).collect();
    let one_each = !serially.is_empty() && control.keys().all(|key| of(key) <= 1);
    if !one_each || serially.iter().any(|(key, _)| of(key) != 1) {
        return None;
    }
    let taken = serially.iter().map(|(_, sent)| sent.acknowledged).max()?;
    let load = operations(run, Phase::Main);
    let mut several: Vec<(u64, &str)> = load
        .iter()
        .map(|(key, sent)| (of(key), *key, sent.all.div_ceil(taken).max(1)))
        .filter_map(|(found, key, explained)| (found > explained).then_some((found, key)))
        .collect();
    several.sort_unstable_by(|(most, key), (other, than)| (other, key).cmp(&(most, than)));
    let (most, key) = several.first()?;
    Some(format!(
        "{} of {} keys have several documents (`{key}` has {most}), where {taken} operations one after another leave one: say \
         whether a key may have one only, `single = true`, or more, `single = false`, in `[observe.*]`",
        several.len(),
        load.len()
    ))
}

/// How many documents each key has.
fn stored<'a>(run: &Recording<'a>) -> Option<FxHashMap<&'a str, u64>> {
    let mut stored = FxHashMap::default();
    for document in &run.observation?.documents {
        *stored.entry(&*document.key).or_default() += 1;
    }
    Some(stored)
}

/// Operations of one key.
#[derive(Default)]
struct Sent {
    acknowledged: u64,
    all: u64,
}

fn operations<'a>(run: &Recording<'a>, phase: Phase) -> FxHashMap<&'a str, Sent> {
    let mut sent: FxHashMap<&str, Sent> = FxHashMap::default();
    let effective = |operation: &&Operation| !matches!(operation.outcome, Outcome::Failed(_));
    for operation in run.history.phase(phase).iter().filter(effective) {
        let of_key = sent.entry(&operation.key).or_default();
        of_key.all += 1;
        of_key.acknowledged += u64::from(operation.is_ok());
    }
    sent
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::assess::RunRecord;
    use crate::history::fixture::operation;
    use crate::history::{Action, History, Observation, Observed, Returned, Value};
    use crate::scenario::{KnownStrategies, load_text};

    /// What is said of keys: how many operations each had in the control (`true`) or the load, and how many documents.
    fn said(single: &str, keys: &[(bool, u64, u64)]) -> Option<String> {
        let text = format!(
            "name = 'a'\nworkload = 'custom'\n[target.http]\nbase_urls = ['http://127.0.0.1:1']\n\
             [target.http.operations.add]\npath = '/x'\n[load.burst]\nclients = 2\nrounds = 2\n\
             [observe.http]\npath = '/x'\ndocuments = '$[*]'\n{single}\n"
        );
        let known: KnownStrategies<'_> = &|_| &[];
        let scenario = load_text(Path::new("a.toml"), text, &[], &|_| None, known).unwrap();
        let (mut history, mut observation) = (History::default(), Observation::default());
        for (number, (control, sent, documents)) in (0..).zip(keys) {
            let phase = if *control { Phase::Control } else { Phase::Main };
            let key: Arc<str> = format!("k{number}").into();
            let add = |index| {
                let outcome = Outcome::Ok(Value::Document(Returned::default()));
                let at = 1000 * number + 10 * index;
                let add = operation(at, Arc::clone(&key), Action::Custom("add".into()), [at, at + 1], outcome);
                Operation { phase, ..add }
            };
            history.operations.extend((0..*sent).map(add));
            let document = |index: u64| {
                let line = json!({ "id": format!("{key}-{index}"), "key": *key, "fields": {} });
                serde_json::from_value::<Observed>(line).unwrap()
            };
            observation.documents.extend((0..*documents).map(document));
        }
        history.operations.sort_by_key(|operation| operation.phase == Phase::Main);
        let record = RunRecord::default();
        documents(&Recording { record: &record, history: &history, observation: Some(&observation) }, &scenario)
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
        ] {
            assert_eq!(said("", &keys).is_some(), doubted, "{keys:?}");
        }
        let keys = [one, (false, 2, 2), (false, 8, 5), (false, 2, 1)];
        let said_of = said("", &keys).unwrap();
        assert!(
            said_of.starts_with("2 of 3 keys have several documents (`k2` has 5), where 4 operations"),
            "{said_of}"
        );
        assert_eq!((said("single = true", &keys), said("single = false", &keys)), (None, None));
    }
}
