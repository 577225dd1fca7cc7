//! Small random histories of a service that keeps lists: correct, or with one of several bugs.

use std::sync::Arc;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use crate::history::{
    Action, Appended, Cause, CodePath, Delivered, Delivery, Element, Id, Message, MessagePath, Observed, OpId,
    Operation, Outcome, ReadResult, Returned, Role, Said, Value, Via, answer_to,
};

/// A small history of one key with its final documents.
pub(super) struct Case {
    pub(super) operations: Vec<Operation>,
    pub(super) documents: Vec<Observed>,
}

fn operation(op: u64, key: &Arc<str>, action: Action, (invoked, completed): (u64, u64), outcome: Outcome) -> Operation {
    crate::history::fixture::operation(op, Arc::clone(key), action, [invoked, completed], outcome)
}

fn unknown() -> Outcome {
    Outcome::Unknown(Cause::new("timed out"))
}

fn said() -> Said {
    Said { path: MessagePath::Text, sender: 0, n: 0, text: Arc::from("hello"), answered: true }
}

/// A history of a service that appends single messages (deliveries) or pairs, with a bug now and then.
pub(super) fn case(rng: &mut ChaCha8Rng, number: u64, first: u64) -> Case {
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
            let outcome = Outcome::Ok(Value::Messages(ReadResult::new(Some(Id::from([1; 12])), list.clone())));
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

pub(super) fn content_of(operations: &[Operation], element: Element) -> Option<u32> {
    match operations.iter().find(|operation| Some(operation.id) == element.op())?.action {
        Action::Deliver(delivery) => Some(delivery.content),
        _ => None,
    }
}

/// One defect, or none.
pub(super) fn damage(rng: &mut ChaCha8Rng, first: u64, operations: &mut [Operation], list: &mut Vec<Element>) {
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
                *seen = ReadResult::new(seen.id.clone(), body);
            }
        }
        _ => {}
    }
}

pub(super) fn documents(
    rng: &mut ChaCha8Rng,
    key: &Arc<str>,
    operations: &[Operation],
    list: &[Element],
) -> Vec<Observed> {
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
