//! The history of each key that a violation names: every operation of it, what is stored, and what is missing there.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Recording;
use crate::checker::{parts, told};
use crate::history::{
    Action, Element, ElementCount, History, KeyElements, Message, Nanos, Observation, OpId, Operation, Outcome, Role,
    Source, Value, answer_to,
};
use crate::report::{KeyHistory, MissingElement, SentRequest, StoredElement, StoredList};
use crate::scenario::Scenario;
use crate::target::http::describe;
use crate::verdict::{InvariantResult, Verdict, Witness};

/// Keys that are told of.
const MOST_KEYS: usize = 8;
/// Operations of one key.
const MOST_OPERATIONS: usize = 200;
/// Elements of one list.
const MOST_ELEMENTS: usize = 200;
/// Missing elements of one key.
const MOST_MISSING: usize = 50;
/// Operations that may have overwritten one element.
const MOST_IN_FLIGHT: usize = 3;

/// The keys of a run's violations, with the requests that were sent.
pub(super) fn of_violations(results: &[InvariantResult], run: &Recording<'_>, scenario: &Scenario) -> Vec<KeyHistory> {
    let request = |operation: &Operation| describe(scenario, &run.record.run_id, operation);
    histories(results, run.history, run.observation, request)
}

/// The keys of the violations, the first of each invariant before the second of any.
fn histories(
    results: &[InvariantResult],
    history: &History,
    observation: Option<&Observation>,
    request: impl Fn(&Operation) -> Option<String>,
) -> Vec<KeyHistory> {
    let violated: Vec<&InvariantResult> = results.iter().filter(|result| result.verdict == Verdict::Violated).collect();
    let mut named: FxHashMap<&str, Vec<&Witness>> = FxHashMap::default();
    let mut keys: Vec<&str> = Vec::new();
    for rank in 0..InvariantResult::MAX_WITNESSES {
        for witness in violated.iter().filter_map(|result| result.witnesses.get(rank)) {
            let known = named.contains_key(witness.key.as_str());
            if !witness.operations.is_empty() && (known || keys.len() < MOST_KEYS) {
                named.entry(&witness.key).or_default().push(witness);
                if !known {
                    keys.push(&witness.key);
                }
            }
        }
    }
    let mut operations: FxHashMap<&str, Vec<&Operation>> = FxHashMap::default();
    for operation in history.operations.iter().filter(|operation| named.contains_key(&*operation.key)) {
        operations.entry(&operation.key).or_default().push(operation);
    }
    let of = |key: &str| Some(key_history(key, operations.get(key)?, &named[key], observation, &request));
    keys.into_iter().filter_map(of).collect()
}

fn key_history(
    key: &str,
    all: &[&Operation],
    witnesses: &[&Witness],
    observation: Option<&Observation>,
    request: impl Fn(&Operation) -> Option<String>,
) -> KeyHistory {
    let stored = Stored::of(key, all, observation);
    let proving: Vec<&Operation> = witnesses.iter().flat_map(|witness| &witness.operations).collect();
    let missing = stored.missing(all, &proving);
    let mut wanted: FxHashSet<OpId> = proving.iter().map(|operation| operation.id).collect();
    wanted.extend(
        missing.iter().filter(|one| wanted.contains(&one.op)).flat_map(|one| one.in_flight.clone()).collect::<Vec<_>>(),
    );
    let lists = stored.lists.into_iter().map(|list| window(list, &wanted)).collect();
    let operations = around(all, &wanted, proving.first().map_or(0, |operation| operation.invoked));
    let requests = operations
        .iter()
        .filter_map(|operation| Some(SentRequest { op: operation.id, request: request(operation)? }))
        .collect();
    KeyHistory {
        key: key.to_owned(),
        left_out: (all.len() - operations.len()) as u64,
        operations,
        requests,
        lists,
        missing,
    }
}

/// The operations that are wanted, and as many others as there is room for, those nearest in time.
fn around(all: &[&Operation], wanted: &FxHashSet<OpId>, moment: Nanos) -> Vec<Operation> {
    let mut ranked: Vec<&Operation> = all.to_vec();
    ranked.sort_by_key(|operation| (!wanted.contains(&operation.id), operation.invoked.abs_diff(moment), operation.id));
    ranked.truncate(MOST_OPERATIONS);
    ranked.sort_by_key(|operation| (operation.invoked, operation.id));
    ranked.into_iter().cloned().collect()
}

/// The part of a list that shows what is wanted.
fn window(list: StoredList, wanted: &FxHashSet<OpId>) -> StoredList {
    let of_interest = |element: &StoredElement| element.repeated || element.op.is_some_and(|op| wanted.contains(&op));
    let length = list.elements.len();
    let at = list.elements.iter().position(of_interest).unwrap_or(0);
    let from = at.saturating_sub(MOST_ELEMENTS / 2).min(length.saturating_sub(MOST_ELEMENTS));
    let to = (from + MOST_ELEMENTS).min(length);
    let elements = list.elements.into_iter().skip(from).take(to - from).collect();
    StoredList { name: list.name, before: from as u64, elements, after: (length - to) as u64 }
}

/// What is stored under a key, and what its operations should have left there.
#[derive(Default)]
struct Stored {
    lists: Vec<StoredList>,
    /// Operations of which something is stored.
    there: FxHashSet<OpId>,
    /// What each operation leaves, and whether it is there.
    left: FxHashMap<OpId, Vec<(String, bool)>>,
}

impl Stored {
    fn of(key: &str, all: &[&Operation], observation: Option<&Observation>) -> Self {
        let Some(observation) = observation.filter(|observation| observation.source != Source::None) else {
            return Stored::default();
        };
        let elements = observation.effects.elements.as_ref();
        match elements.and_then(|elements| Some((elements.count, elements.keys.get(key)?))) {
            Some((count, of_key)) => Self::of_elements(count, of_key, all),
            _ if all.iter().any(|operation| parts(operation).is_some()) => Self::of_messages(key, all, observation),
            _ => Stored::default(),
        }
    }

    fn of_messages(key: &str, all: &[&Operation], observation: &Observation) -> Self {
        let documents = observation.documents.iter().filter(|document| &*document.key == key);
        let (mut seen, mut identities) = (FxHashSet::default(), FxHashSet::<&str>::default());
        let mut lists = Vec::new();
        for document in documents {
            let element = |message: &Message| StoredElement {
                text: message.identity.as_ref().unwrap_or(&message.text).to_string(),
                op: message.op,
                repeated: false,
            };
            let mut elements: Vec<StoredElement> = document.messages.iter().map(element).collect();
            for (element, message) in elements.iter_mut().zip(&document.messages) {
                let again = message.op.is_some() && !seen.insert(message.element());
                let delivered = message.identity.as_deref().is_some_and(|identity| !identities.insert(identity));
                element.repeated = again || delivered;
            }
            lists.push(StoredList { name: document.id.to_string(), elements, ..StoredList::default() });
        }
        let left = all.iter().filter_map(|operation| {
            let left = parts(operation)?.iter().map(|role| {
                let there = match &operation.action {
                    Action::Deliver(delivery) => identities.contains(&*delivery.identity()),
                    _ => seen.contains(&Element::new(Some(operation.id), *role)),
                };
                (text_of(operation, *role), there)
            });
            Some((operation.id, left.collect()))
        });
        let left = left.collect();
        let there = seen.iter().filter_map(|element| element.op()).collect();
        Stored { lists, there, left }
    }

    fn of_elements<'a>(count: ElementCount, of_key: &'a KeyElements, all: &[&Operation]) -> Self {
        let mut owners: FxHashMap<&str, Vec<OpId>> = FxHashMap::default();
        for (op, text) in &of_key.left {
            owners.entry(text).or_default().push(*op);
        }
        // What is there is first of those who were told so: a refused one may have left nothing.
        let due: FxHashSet<OpId> =
            all.iter().filter(|operation| is_due(operation)).map(|operation| operation.id).collect();
        for owners in owners.values_mut() {
            owners.sort_by_key(|op| !due.contains(op));
        }
        let mut found: FxHashMap<&str, usize> = FxHashMap::default();
        let several = of_key.found.len() > 1;
        let list = |(number, texts): (usize, &'a Vec<std::sync::Arc<str>>)| {
            let name = if several { format!("list {}", number + 1) } else { String::new() };
            let elements = texts.iter().map(|text| {
                let owners = owners.get(&**text).map_or(&[][..], Vec::as_slice);
                let nth = found.entry(text).or_default();
                *nth += 1;
                let most = match count {
                    ElementCount::AtLeastOnce => usize::MAX,
                    ElementCount::Set => 1,
                    ElementCount::ExactlyOnce | ElementCount::AtMostOnce => owners.len().max(1),
                };
                let op = owners.get(*nth - 1).or(owners.last()).copied();
                StoredElement { text: text.to_string(), op, repeated: *nth > most }
            });
            StoredList { name, elements: elements.collect(), ..StoredList::default() }
        };
        let lists: Vec<StoredList> = of_key.found.iter().enumerate().map(list).collect();
        let once = count == ElementCount::Set;
        let left = of_key.left.iter().map(|(op, text)| {
            let rank = owners[&**text].iter().position(|other| other == op).unwrap_or(0);
            let times = found.get(&**text).copied().unwrap_or(0);
            let promised = count != ElementCount::AtMostOnce;
            (*op, vec![(text.to_string(), !promised || times > if once { 0 } else { rank })])
        });
        let left: FxHashMap<_, _> = left.collect();
        let there = lists.iter().flat_map(|list| &list.elements).filter_map(|element| element.op).collect();
        Stored { lists, there, left }
    }

    /// What was acknowledged and is not there; what the proof names comes first.
    fn missing(&self, all: &[&Operation], proving: &[&Operation]) -> Vec<MissingElement> {
        if self.lists.is_empty() && self.left.is_empty() {
            return Vec::new();
        }
        let mut owing: Vec<&&Operation> = all.iter().filter(|operation| is_due(operation)).collect();
        owing.sort_by_key(|operation| (!proving.iter().any(|other| other.id == operation.id), operation.id));
        let missing = owing.into_iter().flat_map(|operation| {
            let left = self.left.get(&operation.id).into_iter().flatten();
            left.filter(|(_, there)| !there).map(move |(text, _)| MissingElement {
                text: text.clone(),
                op: operation.id,
                in_flight: self.in_flight(operation, all),
                refused: !operation.is_ok(),
            })
        });
        missing.take(MOST_MISSING).collect()
    }

    fn in_flight(&self, operation: &Operation, all: &[&Operation]) -> Vec<OpId> {
        let overlaps = |other: &&&Operation| {
            other.id != operation.id
                && self.there.contains(&other.id)
                && other.invoked < operation.completed
                && other.returned() > operation.invoked
        };
        let mut others: Vec<&&Operation> = all.iter().filter(overlaps).collect();
        others.sort_by_key(|other| (other.completed < operation.completed, other.completed, other.id));
        others.into_iter().take(MOST_IN_FLIGHT).map(|other| other.id).collect()
    }
}

/// Whether what the operation was to leave must be there.
fn is_due(operation: &Operation) -> bool {
    match told(operation) {
        Outcome::Ok(Value::Delivered(delivered)) => delivered.applied,
        Outcome::Ok(_) => true,
        Outcome::Failed(cause) => cause.is_lost_race(),
        Outcome::Unknown(_) => false,
    }
}

/// What an operation wrote, in words.
fn text_of(operation: &Operation, role: Role) -> String {
    match (&operation.action, role) {
        (Action::Append(said), Role::User) => said.text.to_string(),
        (Action::Append(said), Role::Bot) => answer_to(&said.text),
        (Action::Deliver(delivery), _) => delivery.identity().to_string(),
        (action, _) => format!("the message of {}", action.name()),
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
