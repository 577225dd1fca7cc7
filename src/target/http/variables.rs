//! Variables of the templates: what an operation is, as names and values. [`Scope`](crate::scenario::Scope) lists them.

use minijinja::{Value, context};

use crate::history::{Action, Conversation, Delivery, Expansion, OpId, Operation};
use crate::target::Invocation;
use crate::workload::thread::{BASE, participant};
use crate::workload::{self, participants};

/// What a request is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) run_id: &'a str,
    pub(super) op: OpId,
    pub(super) client: u32,
    pub(super) key: &'a str,
    pub(super) action: &'a Action,
    /// The family's given thread, where it has one and it is known.
    pub(super) thread: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// An operation that is to be carried out.
    pub(super) fn of(run_id: &'a str, operation: &'a Invocation) -> Self {
        let Invocation { id, client, phase: _, key, action } = operation;
        Subject { run_id, op: *id, client: *client, key, action, thread: None }
    }

    /// An operation of a history.
    pub(super) fn of_record(run_id: &'a str, operation: &'a Operation) -> Self {
        let Operation { id, client, key, action, .. } = operation;
        Subject { run_id, op: *id, client: *client, key, action, thread: Some("given") }
    }

    /// The pair in the order in which this operation names it; the first is the caller.
    fn pair(&self) -> [&'a str; 2] {
        let [a, b] = participants(self.key);
        match self.action {
            Action::CreateOrGet { reversed: true } => [b, a],
            _ => [a, b],
        }
    }

    /// Names and values.
    pub(super) fn variables(&self) -> Value {
        let run = context! { id => self.run_id };
        let op = context! { id => self.op.0, name => self.action.name() };
        match self.action {
            Action::CreateOrGet { .. } | Action::Get => {
                let [a, b] = self.pair();
                // As what is stored, a key of any workload is asked for like a pair.
                context! {
                    run, op, key => self.key, key_as => forms(self.key),
                    client => context! { id => self.client, user => a },
                    pair => context! { a => a, b => b, key => self.key },
                }
            }
            Action::Append(said) => {
                let user = format!("user-{}", said.sender);
                let message =
                    context! { text => &*said.text, path => said.path.as_str(), sender => said.sender, n => said.n };
                let (client, session) = (context! { id => self.client, user }, context! { id => self.key });
                context! { run, op, key => self.key, client, session, message }
            }
            Action::CheckExisting(_)
            | Action::StartConversation(_)
            | Action::ExpandThread(_)
            | Action::ResignAdmin { .. }
            | Action::ReadThread => self.of_thread(&run, &op),
            _ => {
                let user = format!("user-{}", self.client);
                let (client, session) = (context! { id => self.client, user }, context! { id => self.key });
                let content = match self.action {
                    Action::Deliver(delivery) => content_of(*delivery),
                    _ => Value::UNDEFINED,
                };
                let (chat, key_as) = (context! { id => self.key }, forms(self.key));
                context! { run, op, key => self.key, key_as, client, session, chat, content }
            }
        }
    }

    fn of_thread(&self, run: &Value, op: &Value) -> Value {
        let first = participant(self.key, BASE[0]);
        let (caller, kind, named, text) = match self.action {
            Action::CheckExisting(conversation) | Action::StartConversation(conversation) => {
                let Conversation { kind, caller, participants } = &**conversation;
                (caller, Some(kind.as_str()), participants.as_slice(), Some("hello"))
            }
            Action::ExpandThread(expansion) => {
                let Expansion { caller, participants, message } = &**expansion;
                (caller, None, participants.as_slice(), message.then_some("welcome"))
            }
            Action::ResignAdmin { caller } => (caller, None, &[][..], None),
            _ => (&first, None, &[][..], None),
        };
        let named: Vec<String> = named.iter().map(ToString::to_string).collect();
        let thread = context! { id => self.thread, type => kind, participants => named };
        let client = context! { id => self.client, user => caller.to_string() };
        context! { run, op, key => self.key, client, thread, message => context! { text } }
    }
}

/// Other forms of a key, for fields that take no text: each key has its own, and the same each time.
fn forms(key: &str) -> Value {
    let (one, other) = (workload::fnv(0, key), workload::fnv(0x9e37_79b9_7f4a_7c15, key));
    let hex = format!("{one:016x}{other:016x}");
    let uuid = format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..]);
    let number = number_of(key);
    context! { number, digits => format!("{number:010}"), uuid, object_id => &hex[..24] }
}

/// A number below 2^31, of ten digits at most. Keys of a run are numbered: of one run no two numbers are the same while there
/// are fewer than 40,000 keys, or, where clients have keys of their own, fewer than 4,000 for each of fewer than 1,000 clients.
fn number_of(key: &str) -> u64 {
    let (family, last) = split_number(key);
    let of_family =
        |family: &str| family.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    // The key of a client: `r…-k3-7` is key 3 of client 7.
    if let (Some((family, Some(number))), Some(client)) = (family.strip_suffix('-').map(split_number), last) {
        let own = (number % 4_000) * 1_000 + client % 1_000;
        return (of_family(family) % 500) * 4_000_000 + own + 1;
    }
    let own = last.unwrap_or_else(|| workload::fnv(0, key));
    (of_family(family) % 50_000) * 40_000 + own % 40_000 + 1
}

/// A text and the number at its end.
fn split_number(text: &str) -> (&str, Option<u64>) {
    let digits = text.len() - text.bytes().rev().take_while(u8::is_ascii_digit).count();
    (&text[..digits], text[digits..].parse().ok())
}

/// What a delivery carries; identifiers that its content does not have are null.
fn content_of(delivery: Delivery) -> Value {
    let (batch_id, batch_index) = delivery.batch().unzip();
    context! {
        merge_id => delivery.merge_id(), batch_id, batch_index, image_id => delivery.image_id(),
        video_id => delivery.video_id(), url => delivery.payload(), path => delivery.path.as_str(),
        via => delivery.via.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::history::{CodePath, MessagePath, Said, ThreadKind, Via};
    use crate::scenario::{Scope, WorkloadKind};

    #[test]
    fn every_key_of_a_run_has_a_number_of_its_own() {
        for run in ["r1", "r2"] {
            let tag = workload::tag(run);
            let first = crate::history::FIRST_USE;
            let number = number_of(&format!("{tag}-u{first}"));
            assert!((0..39_000).all(|execution| number_of(&format!("{tag}-u{execution}")) != number));
            let shared = (0..40_000).map(|key| format!("{tag}-k{key}"));
            let own = (0..4_000).flat_map(|key| (0..5).map(move |client| (key, client)));
            let private = own.map(|(key, client)| format!("{tag}-k{key}-{client}"));
            for keys in [shared.collect::<Vec<_>>(), private.collect()] {
                let numbers: std::collections::BTreeSet<u64> = keys.iter().map(|key| number_of(key)).collect();
                assert_eq!(numbers.len(), keys.len());
                assert!(numbers.iter().all(|number| (1..1 << 31).contains(number)));
            }
        }
    }

    #[test]
    fn every_variable_that_a_scenario_may_name_has_a_value() {
        let delivery = Delivery { content: 1, nth: 0, path: CodePath::Generated, via: Via::Polling };
        let caller = Arc::from("p.a");
        let conversation = Conversation { kind: ThreadKind::Group, caller, participants: Vec::new() };
        let cases = [
            (WorkloadKind::CreateOrGet, Action::CreateOrGet { reversed: true }),
            (WorkloadKind::CreateOrGet, Action::Get),
            (WorkloadKind::Custom, Action::Custom(Arc::from("x"))),
            (
                WorkloadKind::Append,
                Action::Append(Said { path: MessagePath::Text, sender: 1, n: 2, text: Arc::from("x"), answered: true }),
            ),
            (WorkloadKind::Merge, Action::Deliver(delivery)),
            (WorkloadKind::Thread, Action::StartConversation(Box::new(conversation))),
        ];
        for (kind, action) in cases {
            let subject = Subject { run_id: "r", op: OpId(3), client: 4, key: "p_q", action: &action, thread: None };
            for name in Scope::Request(kind).variables() {
                let found = name.split('.').try_fold(subject.variables(), |value, part| value.get_attr(part)).unwrap();
                assert!(!found.is_undefined(), "{name} of {action:?}");
            }
        }
    }

    #[test]
    fn the_caller_comes_first_in_its_own_naming() {
        let action = Action::CreateOrGet { reversed: true };
        let subject = Subject { run_id: "r", op: OpId(3), client: 4, key: "p_q", action: &action, thread: None };
        let user = subject.variables().get_attr("client").unwrap().get_attr("user").unwrap();
        assert_eq!((subject.pair(), user.to_string().as_str()), (["q", "p"], "q"));
    }
}
