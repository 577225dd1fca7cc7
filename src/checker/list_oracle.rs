//! Cross-check of the list checkers against slow definitions, on many small random histories.
//!
//! Definitions share no code with the checkers: they look at whole lists and at every pair of positions, and the order is
//! searched for among all orders. Histories are made by a model service that is correct, or has one of several bugs.

use std::sync::Arc;

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;

use super::append_order::{Order, check_with};
use super::list_model::{AppendOnly, Event, entry};
use super::lists::Lists;
use super::search::{Model, Search, linearize};
use super::*;
use crate::history::{
    Action, Appended, Cause, CodePath, Compactor, Delivered, Delivery, Element, History, Id, Message, MessagePath,
    Observation, Observed, OpId, Operation, Outcome, Phase, Returned, Role, Said, Seen, Source, Value, Via, answer_to,
};

const KEYS: u64 = 110_000;

/// A small history of one key with its final documents.
struct Case {
    operations: Vec<Operation>,
    documents: Vec<Observed>,
}

fn operation(op: u64, key: &Arc<str>, action: Action, (invoked, completed): (u64, u64), outcome: Outcome) -> Operation {
    Operation {
        id: OpId(op),
        client: 0,
        round: 0,
        phase: Phase::Main,
        key: Arc::clone(key),
        action,
        intended: invoked,
        invoked,
        connected: None,
        completed,
        attempts: 1,
        outcome,
        late: None,
    }
}

fn unknown() -> Outcome {
    Outcome::Unknown(Cause::new("timed out"))
}

fn said() -> Said {
    Said { path: MessagePath::Text, sender: 0, n: 0, text: Arc::from("hello"), answered: true }
}

/// A history of a service that appends single messages (deliveries) or pairs, with a bug now and then.
fn case(rng: &mut ChaCha8Rng, number: u64, first: u64) -> Case {
    let key: Arc<str> = Arc::from(format!("k{number}"));
    let pairs = rng.random::<bool>();
    let count = rng.random_range(2..7_u64);
    let mut moments: Vec<(u64, u64, u64)> = (0..count)
        .map(|_| {
            let mut moments = [0; 3].map(|_: u64| rng.random_range(0..count * 3));
            moments.sort_unstable();
            (moments[1], moments[0], moments[2])
        })
        .collect();
    moments.sort_unstable();
    let mut list: Vec<Element> = Vec::new();
    let mut operations = Vec::new();
    for (op, (_, invoked, completed)) in (first..).zip(moments) {
        let time = (invoked, completed);
        if rng.random_range(0..3) == 0 {
            let outcome = Outcome::Ok(Value::Messages(Seen::new(Some(Id::from([1; 12])), list.clone())));
            operations.push(operation(op, &key, Action::Read, time, outcome));
            continue;
        }
        let parts: &[Role] = if pairs { &[Role::User, Role::Bot] } else { &[Role::User] };
        let elements = parts.iter().map(|role| Element::new(Some(OpId(op)), *role));
        let content = rng.random_range(0..3) * 4;
        let delivery = Delivery { content, nth: 0, path: CodePath::ManualMerge, via: Via::Webhook };
        let action = if pairs { Action::Append(said()) } else { Action::Deliver(delivery) };
        let (value, repetition) = match pairs {
            true => (Value::Appended(Appended { session: Returned::default(), position: None }), false),
            false => {
                let there = list.iter().any(|element| content_of(&operations, *element) == Some(content));
                let applied = if rng.random_range(0..12) == 0 { there } else { !there };
                (Value::Delivered(Delivered { applied, chat_seen: None }), there)
            }
        };
        let (outcome, happens) = match rng.random_range(0..10) {
            0 => (unknown(), rng.random()),
            1 => (Outcome::Failed(Cause::http(400, "refused")), rng.random_range(0..6) == 0),
            2 => (Outcome::Failed(Cause::database(11000, "E11000")), false),
            _ => (Outcome::Ok(value), !repetition && rng.random_range(0..12) > 0),
        };
        if happens {
            list.extend(elements);
        }
        operations.push(operation(op, &key, action, time, outcome));
    }
    damage(rng, first, &mut operations, &mut list);
    let documents = documents(rng, &key, &operations, &list);
    Case { operations, documents }
}

fn content_of(operations: &[Operation], element: Element) -> Option<u32> {
    match operations.iter().find(|operation| Some(operation.id) == element.op())?.action {
        Action::Deliver(delivery) => Some(delivery.content),
        _ => None,
    }
}

/// One defect, or none.
fn damage(rng: &mut ChaCha8Rng, first: u64, operations: &mut [Operation], list: &mut Vec<Element>) {
    let at = rng.random_range(0..operations.len());
    match rng.random_range(0..12) {
        0 => list.shuffle(rng),
        1 if !list.is_empty() => {
            list.remove(rng.random_range(0..list.len()));
        }
        2 if !list.is_empty() => list.push(list[rng.random_range(0..list.len())]),
        3 => list.push(Element::new(Some(OpId(first + rng.random_range(0..9))), Role::Bot)),
        4 => operations[at].invoked = operations[at].completed,
        5 | 6 => {
            if let Outcome::Ok(Value::Messages(seen)) = &mut operations[at].outcome {
                let mut body = seen.body.clone().unwrap_or_default().into_vec();
                match rng.random_range(0..3) {
                    0 => body.shuffle(rng),
                    1 => {
                        body.pop();
                    }
                    _ => body.clone_from(list),
                }
                *seen = Seen::new(seen.id.clone(), body);
            }
        }
        _ => {}
    }
}

fn documents(rng: &mut ChaCha8Rng, key: &Arc<str>, operations: &[Operation], list: &[Element]) -> Vec<Observed> {
    let message = |element: &Element, rng: &mut ChaCha8Rng| {
        let writer = operations.iter().find(|operation| Some(operation.id) == element.op());
        let (text, identity) = match writer.map(|writer| &writer.action) {
            Some(Action::Deliver(delivery)) => (delivery.payload(), Some(Arc::from(delivery.identity()))),
            _ if element.role() == Role::Bot => (answer_to("hello"), None),
            _ => ("hello".to_owned(), None),
        };
        let text = if rng.random_range(0..40) == 0 { "changed".to_owned() } else { text };
        Message {
            op: element.op(),
            role: element.role(),
            text: Arc::from(text),
            sender: Some(0),
            n: Some(0),
            sequence: None,
            identity,
        }
    };
    let document = |number: u8, elements: &[Element], rng: &mut ChaCha8Rng| Observed {
        id: Id::from([number; 12]),
        key: Arc::clone(key),
        stored_key: Some(Arc::clone(key)),
        created_by: None,
        missing: Vec::new(),
        messages: elements.iter().map(|element| message(element, rng)).collect(),
        last_message: None,
        thread: None,
        fields: serde_json::Value::Null,
    };
    match rng.random_range(0..14) {
        0 if list.is_empty() => Vec::new(),
        1 if !list.is_empty() => {
            let cut = rng.random_range(0..list.len());
            vec![document(1, &list[..cut], rng), document(2, &list[cut..], rng)]
        }
        _ => vec![document(1, list, rng)],
    }
}

impl Case {
    fn lists(&self) -> Vec<Vec<Element>> {
        self.reads().into_iter().chain(self.finals()).collect()
    }

    fn reads(&self) -> Vec<Vec<Element>> {
        let body = |operation: &Operation| match &operation.outcome {
            Outcome::Ok(Value::Messages(seen)) => seen.body.as_ref().map(|body| body.to_vec()),
            _ => None,
        };
        self.operations.iter().filter_map(body).collect()
    }

    fn finals(&self) -> Vec<Vec<Element>> {
        self.documents.iter().map(|document| document.messages.iter().map(Message::element).collect()).collect()
    }

    fn elements(&self, operation: &Operation) -> Vec<Element> {
        match operation.action {
            Action::Append(_) => [Role::User, Role::Bot].map(|role| Element::new(Some(operation.id), role)).to_vec(),
            Action::Deliver(_) => vec![Element::new(Some(operation.id), Role::User)],
            _ => Vec::new(),
        }
    }

    fn writers(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().filter(|operation| !self.elements(operation).is_empty())
    }

    fn known(&self, element: Element) -> bool {
        self.writers().any(|writer| self.elements(writer).contains(&element))
    }

    fn failed(operation: &Operation) -> bool {
        matches!(&operation.outcome, Outcome::Failed(cause) if cause.status() == Some(400))
    }

    fn lost(&self) -> bool {
        let there = |element: &Element| self.finals().concat().contains(element);
        let content_there = |operation: &Operation| match operation.action {
            Action::Deliver(delivery) => self
                .finals()
                .concat()
                .iter()
                .any(|element| content_of(&self.operations, *element) == Some(delivery.content)),
            _ => false,
        };
        self.writers().any(|writer| {
            let told = match &writer.outcome {
                Outcome::Ok(Value::Delivered(delivered)) => delivered.applied,
                Outcome::Ok(_) => true,
                Outcome::Failed(cause) => cause.is_duplicate_key(),
                Outcome::Unknown(_) => false,
            };
            let gone = |element: &Element| !there(element) && (told || self.reads().concat().contains(element));
            self.elements(writer).iter().any(gone) && !content_there(writer)
        })
    }

    fn duplicate(&self) -> bool {
        let twice = |list: &[Element]| {
            list.iter().enumerate().any(|(at, element)| self.known(*element) && list[..at].contains(element))
        };
        self.reads().iter().any(|list| twice(list)) || twice(&self.finals().concat())
    }

    fn phantom(&self) -> bool {
        let failed = |element: &Element| {
            self.writers().any(|writer| Self::failed(writer) && self.elements(writer).contains(element))
        };
        self.lists().concat().iter().any(|element| !self.known(*element) || failed(element))
    }

    fn split(&self) -> bool {
        self.lists().iter().any(|list| {
            list.iter().enumerate().any(|(at, element)| {
                let pair = self
                    .writers()
                    .any(|writer| matches!(writer.action, Action::Append(_)) && Some(writer.id) == element.op());
                let next = match element.role() {
                    Role::User => list.get(at + 1),
                    Role::Bot => at.checked_sub(1).and_then(|before| list.get(before)),
                };
                pair && next.is_none_or(|next| next.op() != element.op() || next.role() == element.role())
            })
        })
    }

    fn changed(&self) -> bool {
        self.documents
            .iter()
            .flat_map(|document| &document.messages)
            .any(|message| self.known(message.element()) && &*message.text == "changed")
    }

    fn merged_twice(&self) -> bool {
        let contents = |list: &[Element]| -> Vec<u32> {
            list.iter().filter_map(|element| content_of(&self.operations, *element)).collect()
        };
        let twice = |list: &[Element]| {
            let contents = contents(&list.iter().copied().filter(|element| self.known(*element)).collect::<Vec<_>>());
            (0..contents.len()).any(|at| contents[..at].contains(&contents[at]))
        };
        let applied: Vec<u32> = self
            .writers()
            .filter(|writer| matches!(&writer.outcome, Outcome::Ok(Value::Delivered(answer)) if answer.applied))
            .filter_map(|writer| content_of(&self.operations, Element::new(Some(writer.id), Role::User)))
            .collect();
        self.reads().iter().any(|list| twice(list))
            || twice(&self.finals().concat())
            || (0..applied.len()).any(|at| applied[..at].contains(&applied[at]))
    }

    fn false_dedupe(&self) -> bool {
        self.writers().any(|writer| {
            let Outcome::Ok(Value::Delivered(Delivered { applied: false, .. })) = writer.outcome else { return false };
            let content = content_of(&self.operations, Element::new(Some(writer.id), Role::User));
            let same = |element: &Element| content_of(&self.operations, *element) == content && self.known(*element);
            let there: Vec<Element> = self.finals().concat().into_iter().filter(same).collect();
            let in_time = self.writers().any(|other| {
                let element = Element::new(Some(other.id), Role::User);
                let may = match &other.outcome {
                    Outcome::Ok(Value::Delivered(delivered)) => delivered.applied || there.contains(&element),
                    Outcome::Unknown(_) => true,
                    _ => there.contains(&element),
                };
                content_of(&self.operations, element) == content && may && other.invoked <= writer.completed
            });
            there.is_empty() || !in_time
        })
    }

    /// Whether any order of the single messages explains every list; `None` where the rule does not apply.
    fn ordered(&self) -> Option<bool> {
        if self.phantom() || self.duplicate() || self.documents.len() > 1 {
            return None;
        }
        let end = self.operations.iter().map(|operation| operation.completed).max().unwrap_or(0) + 1;
        let mut entries = Vec::new();
        for operation in &self.operations {
            if let Outcome::Ok(Value::Messages(seen)) = &operation.outcome {
                let body = seen.body.clone().unwrap_or_default().into_vec();
                entries.push(entry(Event::Read(body), operation.invoked, operation.completed, true));
            }
            for element in self.elements(operation) {
                let (required, returned) = match &operation.outcome {
                    Outcome::Ok(Value::Delivered(Delivered { applied: false, .. })) => {
                        // Taken for a repetition: its message appears only by mistake, and then at any time it was open.
                        (false, operation.completed)
                    }
                    Outcome::Ok(_) => (true, operation.completed),
                    Outcome::Failed(cause) if cause.status() == Some(400) => continue,
                    Outcome::Failed(_) => (false, operation.completed),
                    Outcome::Unknown(_) => (false, u64::MAX),
                };
                entries.push(entry(Event::Append(element), operation.invoked, returned, required));
            }
        }
        if let Some(last) = self.finals().first() {
            entries.push(entry(Event::Read(last.clone()), end, u64::MAX, true));
        }
        // Some list must be the longest: whatever comes before it was seen is a beginning of it.
        let longest = self.lists().into_iter().max_by_key(Vec::len).unwrap_or_default();
        Some(linearize(&Towards(longest), &entries, &mut Budget::default()) == Search::Linearizable)
    }
}

/// The append-only list, without the ways that cannot lead to a list that was seen.
struct Towards(Vec<Element>);

impl Model for Towards {
    type State = Vec<Element>;
    type Operation = Event;

    fn initial(&self) -> Vec<Element> {
        Vec::new()
    }

    fn step(&self, state: &Vec<Element>, event: &Event) -> Option<Vec<Element>> {
        let next = AppendOnly.step(state, event)?;
        match self.0.get(state.len()) {
            Some(due) if next.len() > state.len() && next.last() != Some(due) => None,
            // Beyond the longest list nothing is seen: the order there is of no account.
            _ => Some(if next.len() > self.0.len() {
                self.0.iter().copied().chain([Element::UNKNOWN]).collect()
            } else {
                next
            }),
        }
    }
}

/// Many cases as one history, as the recorder keeps it.
fn histories(seed: u64, keys: u64) -> (Vec<Case>, History, Observation) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut compactor = Compactor::default();
    let (mut cases, mut operations, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..keys {
        let case = case(&mut rng, number, operations.len() as u64);
        for operation in &case.operations {
            compactor.push(&mut operations, operation.clone());
        }
        documents.extend(case.documents.iter().cloned());
        cases.push(case);
    }
    let observation = Observation { source: Source::Memory, quiescent: true, documents, ..Observation::default() };
    (cases, History { operations, ..History::default() }, observation)
}

/// Whether the definition finds a violation; `None` where the rule does not apply.
type Definition = fn(&Case) -> Option<bool>;

/// Every checker beside its definition.
const RULES: [(&dyn Checker, Definition); 8] = [
    (&NoLostMessages, |case| Some(case.lost())),
    (&NoDuplicateMessages, |case| Some(case.duplicate())),
    (&NoPhantomMessages, |case| Some(case.phantom())),
    (&PairAdjacent, |case| Some(case.split())),
    (&PayloadIntact, |case| Some(case.changed())),
    (&MergeOnce, |case| Some(case.merged_twice())),
    (&NoFalseDedupe, |case| Some(case.false_dedupe())),
    (&AppendOrder, |case| case.ordered().map(|fits| !fits)),
];

/// Compares every checker with its definition on one history; what was expected of each.
fn compare(case: &Case) -> [Option<bool>; RULES.len()] {
    let mut compactor = Compactor::default();
    let mut history = History::default();
    for operation in &case.operations {
        compactor.push(&mut history.operations, operation.clone());
    }
    let observation = Observation {
        source: Source::Memory,
        quiescent: true,
        documents: case.documents.clone(),
        ..Observation::default()
    };
    let evidence = Evidence::of_phase(&history, Some(&observation), Phase::Main);
    RULES.map(|(checker, definition)| {
        let expected = definition(case)?;
        let result = checker.check(&evidence, &mut Budget::default());
        let shown = || format!("{}: {result:?}\n{:#?}\n{:#?}", checker.invariant(), case.operations, case.documents);
        assert_eq!(result.violations > 0, expected, "{}", shown());
        assert!(result.reason.as_deref().is_none_or(|reason| !reason.contains("harness")), "{}", shown());
        Some(expected)
    })
}

#[test]
fn the_checkers_agree_with_their_definitions() {
    const CHUNK: u64 = 1000;
    let of_chunk = |seed: u64| {
        let mut counts = [[0_u64; 2]; RULES.len()];
        let (cases, _, _) = histories(seed, CHUNK);
        for case in &cases {
            for (count, expected) in counts.iter_mut().zip(compare(case)) {
                expected.into_iter().for_each(|violated| count[usize::from(violated)] += 1);
            }
        }
        counts
    };
    let counts: Vec<_> = (0..KEYS / CHUNK).into_par_iter().map(of_chunk).collect();
    for (rule, (checker, _)) in RULES.iter().enumerate() {
        let sum = |verdict: usize| counts.iter().map(|counts| counts[rule][verdict]).sum::<u64>();
        assert!(
            sum(0) > KEYS / 100 && sum(1) > KEYS / 100,
            "{}: {} hold, {} are violated",
            checker.invariant(),
            sum(0),
            sum(1)
        );
    }
}

#[test]
fn violations_of_many_keys_add_up() {
    let (cases, history, observation) = histories(3, 2000);
    let evidence = Evidence::of_phase(&history, Some(&observation), Phase::Main);
    for (checker, definition) in RULES {
        let keys = cases.iter().filter(|case| definition(case) == Some(true)).count() as u64;
        let result = checker.check(&evidence, &mut Budget::default());
        assert!(result.violations >= keys, "{}: {} in {keys} keys", checker.invariant(), result.violations);
    }
}

#[test]
fn a_second_opinion_that_disagrees_is_never_silent() {
    let (_, history, observation) = histories(2, 300);
    let evidence = Evidence::of_phase(&history, Some(&observation), Phase::Main);
    assert!((0..300).any(|index| !Order::of(&Lists::of(&evidence.key(index))).fits()));
    let result = check_with(&evidence, &mut Budget::default(), |_, _| Search::Linearizable);
    assert!(result.reason.is_some_and(|reason| reason.starts_with("harness error: on key `k")));
    let result = check_with(&evidence, &mut Budget::default(), |_, _| Search::Exhausted);
    assert_eq!(result.verdict, crate::verdict::Verdict::Inconclusive);
}
