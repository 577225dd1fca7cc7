//! What the conditions of a run rest on, counted operation by operation. Counts of some keys and of others can be joined.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::RunRecord;
use crate::history::{Action, Appended, Nanos, OpId, Operation, Outcome, Value};
use crate::scenario::{Scenario, WorkloadKind};

/// Causes that are shown.
const SHOWN: usize = 3;
/// Causes that begin alike are one: what differs further on is a key or a time.
const ALIKE: usize = 64;

/// Causes by their beginning: which operation met it first, its words, and how often it was met.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Causes(BTreeMap<String, (OpId, String, u64)>);

/// Operations of one kind.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct OfKind {
    all: u64,
    /// Unknown for no reason that was planned.
    uncertain: u64,
    unknown: Causes,
}

/// Operations of the main phase.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Counted {
    ok: u64,
    unknown: u64,
    not_ok: Causes,
    kinds: BTreeMap<String, OfKind>,
    /// Keys with a document, and those of them whose creator is unknown.
    keys: [u64; 2],
    /// What nothing took: those that no fault explains, and all.
    unreachable: u64,
    all_unreachable: Causes,
    /// When the last operation ended, and whether nothing took it.
    last: Option<(Nanos, OpId, bool)>,
    unauthenticated: Causes,
}

/// What an operation says of the document of its key.
#[derive(Default)]
struct Key {
    acknowledged: bool,
    seen: bool,
    unknown: bool,
}

impl Counted {
    /// Counts all operations that there are on some keys.
    pub(super) fn of(operations: &[Operation], record: &RunRecord, scenario: &Scenario) -> Self {
        let planned = |operation: &Operation| record.faults.as_ref().is_some_and(|faults| faults.met(operation));
        // Held against serial runs, an answer is an answer, whatever it means: what it says is compared.
        let answers_count = record.as_if_serial.is_some()
            && (scenario.workload == WorkloadKind::Custom || !scenario.judging().checkers);
        let explained = |operation: &Operation| {
            is_injected(&operation.outcome) || planned(operation) || (answers_count && has_status(&operation.outcome))
        };
        let http = scenario.target.http();
        let names = |operation: &Operation, status: u16| {
            let spec = http.and_then(|http| http.operations.get(operation.action.name()));
            spec.is_some_and(|spec| spec.status.names_as_refusal(status))
        };
        Self::with(operations, &planned, &explained, &names)
    }

    fn with(
        operations: &[Operation],
        planned: &dyn Fn(&Operation) -> bool,
        explained: &dyn Fn(&Operation) -> bool,
        names: &dyn Fn(&Operation, u16) -> bool,
    ) -> Self {
        let mut counted = Counted::default();
        // There are few, and each operation has one of them.
        let mut kinds: Vec<(&str, OfKind)> = Vec::new();
        for operation in operations {
            let name = operation.action.name();
            let known = kinds.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                kinds.push((name, OfKind::default()));
                kinds.len() - 1
            });
            let kind = &mut kinds[known].1;
            kind.all += 1;
            if operation.is_ok() {
                counted.ok += 1;
                counted.ends(operation, false);
                continue;
            }
            counted.not_ok.meet(operation);
            if operation.is_unknown() {
                counted.unknown += 1;
                kind.unknown.meet(operation);
                kind.uncertain += u64::from(!explained(operation));
            }
            counted.failed(operation, planned, names);
        }
        counted.kinds = kinds.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
        counted.keys = unknown_creators(operations, planned);
        counted
    }

    /// `names` tells a status that the scenario itself has as an answer to the operation.
    fn failed(
        &mut self,
        operation: &Operation,
        planned: &dyn Fn(&Operation) -> bool,
        names: &dyn Fn(&Operation, u16) -> bool,
    ) {
        let mut lost = false;
        if let Outcome::Failed(cause) = &operation.outcome {
            if cause.is_unreachable() {
                lost = !planned(operation);
                self.unreachable += u64::from(lost);
                self.all_unreachable.meet(operation);
            }
            if cause.is_unauthenticated() && !cause.status().is_some_and(|status| names(operation, status)) {
                self.unauthenticated.meet(operation);
            }
        }
        self.ends(operation, lost);
    }

    fn ends(&mut self, operation: &Operation, lost: bool) {
        self.last = self.last.max(Some((operation.completed, operation.id, lost)));
    }

    /// Joins what was counted on other keys.
    pub(super) fn join(&mut self, other: Counted) {
        self.ok += other.ok;
        self.unknown += other.unknown;
        self.not_ok.join(other.not_ok);
        for (name, of_kind) in other.kinds {
            let kind = self.kinds.entry(name).or_default();
            kind.all += of_kind.all;
            kind.uncertain += of_kind.uncertain;
            kind.unknown.join(of_kind.unknown);
        }
        self.keys = [self.keys[0] + other.keys[0], self.keys[1] + other.keys[1]];
        self.unreachable += other.unreachable;
        self.all_unreachable.join(other.all_unreachable);
        self.last = self.last.max(other.last);
        self.unauthenticated.join(other.unauthenticated);
    }

    /// How many there are.
    pub(super) fn operations(&self) -> u64 {
        self.kinds.values().map(|kind| kind.all).sum()
    }

    /// How many have an unknown outcome.
    pub(super) fn unknown(&self) -> u64 {
        self.unknown
    }

    /// That none succeeded, and why.
    pub(super) fn none_succeeded(&self) -> Option<String> {
        (self.ok == 0).then(|| format!("no operation succeeded{}", self.not_ok.most_frequent()))
    }

    /// Judged for all operations together and for each kind: what hits a rare kind alone is not noise.
    pub(super) fn too_many_unknown(&self, limit: f64) -> Vec<String> {
        let mut all = OfKind::default();
        for kind in self.kinds.values() {
            all.all += kind.all;
            all.uncertain += kind.uncertain;
            all.unknown.join(kind.unknown.clone());
        }
        let mut reasons: Vec<String> = all.unknown_among("operations", limit).into_iter().collect();
        if self.kinds.len() > 1 {
            let among = |(name, kind): (&String, &OfKind)| kind.unknown_among(&format!("`{name}`"), limit);
            reasons.extend(self.kinds.iter().filter_map(among));
        }
        reasons
    }

    /// That too many keys have a document whose creator is unknown.
    pub(super) fn unknown_creators(&self, limit: f64) -> Option<String> {
        let [seen, unknown] = self.keys;
        let share = ratio(unknown, seen);
        // One creation whose answer was lost is an accident on any number of keys.
        (unknown > 1 && share > limit).then(|| {
            let (share, limit) = (share * 100.0, limit * 100.0);
            format!(
                "of {seen} keys with a document {unknown} ({share:.1} %) have an unknown creator, at most {limit} % are \
                 allowed: whoever created it was not told so"
            )
        })
    }

    /// Operations that nothing took tell nothing, and a run whose last one was such a one had lost its service.
    pub(super) fn unreachable(&self, limit: f64) -> Option<String> {
        let (all, such) = (self.operations(), self.unreachable);
        let lost = if self.last?.2 {
            "the service was gone when the run ended"
        } else if ratio(such, all) > limit {
            "the service did not take all operations"
        } else {
            return None;
        };
        let why = self.all_unreachable.most_frequent();
        Some(format!("{lost}: {such} of {all} operations could not be sent{why}"))
    }

    /// Callers that the service does not know never came as far as a race.
    pub(super) fn unauthenticated(&self, limit: f64) -> Option<String> {
        let (all, such) = (self.operations(), self.unauthenticated.all());
        (ratio(such, all) > limit).then(|| {
            let why = self.unauthenticated.most_frequent();
            format!("the service did not know its callers: {such} of {all} operations were refused with 401{why}")
        })
    }
}

impl OfKind {
    fn unknown_among(&self, what: &str, limit: f64) -> Option<String> {
        let (unknown, all) = (self.uncertain, self.all);
        let share = ratio(unknown, all);
        (share > limit).then(|| {
            let (share, limit) = (share * 100.0, limit * 100.0);
            let (why, remedy) = (self.unknown.most_frequent(), self.unknown.remedy().unwrap_or_default());
            format!(
                "{unknown} of {all} {what} ({share:.1} %) have an unknown outcome, at most {limit} % are allowed{why}{remedy}"
            )
        })
    }
}

impl Causes {
    fn meet(&mut self, operation: &Operation) {
        if let Outcome::Unknown(cause) | Outcome::Failed(cause) = &operation.outcome {
            let beginning = cause.message.chars().take(ALIKE).collect();
            let of_alike = self.0.entry(beginning).or_insert_with(|| (operation.id, cause.message.to_string(), 0));
            of_alike.2 += 1;
        }
    }

    fn join(&mut self, other: Causes) {
        for (beginning, (op, message, count)) in other.0 {
            let of_alike = self.0.entry(beginning).or_insert_with(|| (op, message.clone(), 0));
            of_alike.2 += count;
            // The words are those of whoever met it first.
            if op < of_alike.0 {
                (of_alike.0, of_alike.1) = (op, message);
            }
        }
    }

    fn all(&self) -> u64 {
        self.0.values().map(|(.., count)| count).sum()
    }

    /// What to write where a status is met most often that the scenario does not speak of.
    fn remedy(&self) -> Option<String> {
        let (_, message, _) = self.0.values().max_by_key(|(.., count)| *count)?;
        let status = message.strip_prefix("HTTP ")?.split(|letter: char| !letter.is_ascii_digit()).next()?;
        let meaning = match status.parse::<u16>().ok()? {
            200..400 => "ok",
            400..500 => "refused",
            // A gateway says so, too, of what has arrived.
            503 => return Some(". Where HTTP 503 has no effect, say so: `status = { refused = [503] }`".to_owned()),
            _ => return None,
        };
        Some(format!(
            ". The scenario does not say what HTTP {status} means: the operation's `status`, as in `status = {{ {meaning} = [{status}] }}`"
        ))
    }

    /// The causes met most often, most frequent first.
    fn most_frequent(&self) -> String {
        let mut causes: Vec<(&str, u64)> = self.0.values().map(|(_, message, count)| (&**message, *count)).collect();
        causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let shown: Vec<String> =
            causes.iter().take(SHOWN).map(|(message, count)| format!("{message} ({count} times)")).collect();
        if shown.is_empty() { String::new() } else { format!(": {}", shown.join("; ")) }
    }
}

/// Keys with a document, and those on which the one operation that may have created it is unknown. There is one creator among
/// many callers, so that a creation which always goes wrong is a small share of all operations.
fn unknown_creators(operations: &[Operation], planned: &dyn Fn(&Operation) -> bool) -> [u64; 2] {
    let mut keys: FxHashMap<&str, Key> = FxHashMap::default();
    for operation in operations {
        let key = keys.entry(&operation.key).or_default();
        let creates = matches!(operation.action, Action::CreateOrGet { .. } | Action::Append(_) | Action::Open);
        match &operation.outcome {
            Outcome::Ok(Value::Document(answer) | Value::Appended(Appended { session: answer, .. })) => {
                key.acknowledged |= answer.created != Some(false);
                key.seen = true;
            }
            Outcome::Ok(Value::Found(Some(_))) => key.seen = true,
            Outcome::Unknown(cause)
                if creates && operation.late.is_none() && !cause.is_injected() && !planned(operation) =>
            {
                key.unknown = true
            }
            _ => {}
        }
    }
    let seen = keys.values().filter(|key| key.seen).count();
    let unknown = keys.values().filter(|key| key.seen && key.unknown && !key.acknowledged).count();
    [seen as u64, unknown as u64]
}

/// Whether the outcome is unknown because the harness wanted it so.
fn is_injected(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown(cause) if cause.is_injected())
}

/// Whether the service answered, although it is not known what that says of the operation. An error of its own is no answer.
fn has_status(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown(cause) if cause.status().is_some_and(|status| status < 500))
}

/// A share of all; of none it is 0.
#[expect(clippy::cast_precision_loss, reason = "a share does not need more than 52 bits")]
pub(super) fn ratio(count: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { count as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Cause, Transport, Value};

    fn operations(outcomes: Vec<Outcome>) -> Vec<Operation> {
        let operation = |(number, outcome): (u64, Outcome)| {
            let line = serde_json::json!({
                "op": number, "client": 0, "round": 0, "key": "k", "action": "get", "intended_ns": number,
                "invoked_ns": number, "completed_ns": number + 1, "outcome": outcome,
            });
            serde_json::from_value::<Operation>(line).unwrap()
        };
        (0..).zip(outcomes).map(operation).collect()
    }

    #[test]
    fn a_status_that_the_scenario_does_not_speak_of_has_a_remedy() {
        let remedy = |status: u16| {
            let mut causes = Causes::default();
            let unknown = Outcome::Unknown(Cause::http(status, format!("HTTP {status}: said")));
            operations(vec![unknown]).iter().for_each(|operation| causes.meet(operation));
            causes.remedy().unwrap_or_default()
        };
        assert!(remedy(204).contains("`status = { ok = [204] }`"), "{}", remedy(204));
        assert!(remedy(409).contains("`status = { refused = [409] }`"), "{}", remedy(409));
        assert!(remedy(503).contains("`status = { refused = [503] }`"), "{}", remedy(503));
        assert_eq!(remedy(500), "");
        let mut kind = OfKind { all: 2, uncertain: 2, ..OfKind::default() };
        let unlisted = || Outcome::Unknown(Cause::http(204, "HTTP 204"));
        operations(vec![unlisted(), unlisted()]).iter().for_each(|operation| kind.unknown.meet(operation));
        let told = kind.unknown_among("operations", 0.05).unwrap();
        assert!(told.ends_with("HTTP 204 (2 times). The scenario does not say what HTTP 204 means: the operation's `status`, as in `status = { ok = [204] }`"), "{told}");
    }

    /// Callers that are not known, by the status lists of the operation.
    fn told_by(status: &str, outcomes: Vec<Outcome>) -> Option<String> {
        let text = format!(
            "name = 'a'\nworkload = 'custom'\n[target.http]\nbase_urls = ['http://127.0.0.1:1']\n[target.http.operations.get]\n\
             path = '/x'\n{status}\n[[invariant]]\nname = 'once'\nat_most = 1\n[load.burst]\nclients = 2\nrounds = 1\n"
        );
        let known = &crate::strategy::names;
        let scenario = crate::scenario::load_text("a.toml".as_ref(), text, &[], &|_| None, known)
            .unwrap_or_else(|error| panic!("{}", error.render(false)));
        Counted::of(&operations(outcomes), &RunRecord::default(), &scenario).unauthenticated(0.3)
    }

    #[test]
    fn who_is_told_what_the_scenario_names_is_known() {
        let outcomes = || vec![Outcome::Ok(Value::Found(None)), Outcome::Failed(Cause::http(401, "used already"))];
        for (status, told) in [
            ("", true),
            ("status = { ok = [204] }", true),
            ("status = { failed = [400, 401, 403, 404, 422] }", true),
            ("status = { failed = [401] }", false),
            ("status = { ok = [200], refused = [401] }", false),
            ("status = { refused = [409] }", true),
        ] {
            let reason = told_by(status, outcomes());
            assert_eq!(reason.is_some(), told, "{status}: {reason:?}");
        }
    }

    #[test]
    fn callers_that_the_service_does_not_know_prove_nothing() {
        let refused = |status| Outcome::Failed(Cause::http(status, "says the service"));
        let ok = || Outcome::Ok(Value::Found(None));
        for (outcomes, told) in [
            (vec![ok(), ok(), refused(401)], true),
            (vec![ok(), ok(), ok(), refused(401)], false),
            (vec![ok(), refused(403), refused(404)], false),
        ] {
            let reason = told_by("", outcomes);
            assert_eq!(reason.is_some(), told, "{reason:?}");
        }
    }

    #[test]
    fn operations_that_nothing_took_are_counted_and_the_last_one_tells_that_all_is_lost() {
        let gone = || Outcome::Failed(Cause::transport(Transport::Unreachable, "cannot connect: Connection refused"));
        let refused = || Outcome::Failed(Cause::http(400, "cannot connect: says the service"));
        let ok = || Outcome::Ok(Value::Found(None));
        let cases: [(Vec<Outcome>, Option<&str>); 5] = [
            (vec![ok(), ok(), refused()], None),
            (vec![ok(), gone(), ok(), ok()], None),
            (
                vec![ok(), gone(), gone(), ok()],
                Some("did not take all operations: 2 of 4 operations could not be sent"),
            ),
            (vec![ok(), ok(), ok(), gone()], Some("was gone when the run ended: 1 of 4 operations could not be sent")),
            (vec![gone()], Some("Connection refused (1 times)")),
        ];
        for (outcomes, told) in cases {
            let reason = Counted::with(&operations(outcomes), &|_| false, &|_| false, &|_, _| false).unreachable(0.3);
            match told {
                None => assert_eq!(reason, None),
                Some(told) => assert!(reason.as_ref().is_some_and(|reason| reason.contains(told)), "{reason:?}"),
            }
        }
    }
}
