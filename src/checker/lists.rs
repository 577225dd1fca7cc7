//! The lists of one key: what was written to them, and every list that a read or the final state shows.
//!
//! The main type is [`Lists`]. Reads whose elements another read continues are known by length and hash, and are looked
//! up in the list that continues them. It judges nothing.

use std::borrow::Cow;

use crate::history::{
    Action, Appended, Delivered, Element, Observed, OpId, Operation, Outcome, ReadResult, Role, Value, chain,
};

use super::KeyEvidence;
use super::facts::told;

/// What is known of a write in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// The caller was told that it is stored.
    Acknowledged,
    /// The caller was told that it is there already, from another delivery.
    Deduplicated,
    /// The service lost a race, and told the caller of the database's error.
    LostRace,
    /// It certainly had no effect.
    Failed,
    /// It may have had an effect.
    Unknown,
}

impl Write {
    /// What is known of this operation; `None` if it writes no message.
    pub(super) fn of(operation: &Operation) -> Option<Self> {
        parts(operation)?;
        Some(match told(operation) {
            Outcome::Ok(Value::Delivered(Delivered { applied: false, .. })) => Write::Deduplicated,
            Outcome::Ok(_) => Write::Acknowledged,
            Outcome::Failed(cause) if cause.is_lost_race() => Write::LostRace,
            Outcome::Failed(_) => Write::Failed,
            Outcome::Unknown(_) => Write::Unknown,
        })
    }
}

/// The parts of an operation that writes messages.
pub(crate) fn parts(operation: &Operation) -> Option<&'static [Role]> {
    match &operation.action {
        Action::Append(said) if said.answered => Some(&[Role::User, Role::Bot]),
        Action::Append(_) | Action::Deliver(_) | Action::StartConversation(_) => Some(&[Role::User]),
        Action::ExpandThread(expansion) if expansion.message => Some(&[Role::User]),
        _ => None,
    }
}

/// What a read saw, also when its answer came late.
pub(super) fn seen(operation: &Operation) -> Option<&ReadResult> {
    match told(operation) {
        Outcome::Ok(Value::Messages(seen)) => Some(seen),
        _ => None,
    }
}

/// Where a list was seen.
#[derive(Debug, Clone, Copy)]
pub(super) enum View<'a> {
    /// In the answer to a read.
    Read(&'a Operation),
    /// In the final state.
    Final(&'a Observed),
}

impl<'a> View<'a> {
    /// The read.
    pub(super) fn operation(self) -> Option<&'a Operation> {
        match self {
            View::Read(operation) => Some(operation),
            View::Final(_) => None,
        }
    }

    /// The final document.
    pub(super) fn document(self) -> Option<&'a Observed> {
        match self {
            View::Read(_) => None,
            View::Final(document) => Some(document),
        }
    }

    /// `the read op7` or `the final state`.
    pub(super) fn name(self) -> String {
        match self {
            View::Read(operation) => format!("the read {}", operation.id),
            View::Final(_) => "the final state".to_owned(),
        }
    }
}

/// A list with all its elements.
#[derive(Debug)]
pub(super) struct List<'a> {
    /// Where it was seen.
    pub(super) view: View<'a>,
    /// Its elements.
    pub(super) elements: Cow<'a, [Element]>,
}

/// Everything that is known of one key's lists.
#[derive(Debug)]
pub(super) struct Lists<'a> {
    /// The key's operations, ordered by number.
    pub(super) operations: Vec<&'a Operation>,
    ids: Vec<OpId>,
    /// Lists whose elements are known: reads that kept them, then final documents.
    pub(super) lists: Vec<List<'a>>,
    /// How many of them are reads.
    reads: usize,
}

impl<'a> Lists<'a> {
    /// The lists of a key.
    pub(super) fn of(key: &KeyEvidence<'a>) -> Self {
        let operations: Vec<&Operation> = key.operations().collect();
        let ids = operations.iter().map(|operation| operation.id).collect();
        let mut lists: Vec<List<'a>> = operations
            .iter()
            .filter_map(|operation| {
                let body = seen(operation)?.body.as_deref()?;
                Some(List { view: View::Read(operation), elements: Cow::Borrowed(body) })
            })
            .collect();
        let reads = lists.len();
        lists.extend(key.documents().map(|document| List {
            view: View::Final(document),
            elements: document.messages.iter().map(crate::history::Message::element).collect(),
        }));
        Lists { operations, ids, lists, reads }
    }

    /// The final lists.
    pub(super) fn finals(&self) -> &[List<'a>] {
        &self.lists[self.reads..]
    }

    /// The lists of reads that kept their elements.
    pub(super) fn reads(&self) -> &[List<'a>] {
        &self.lists[..self.reads]
    }

    /// Position of the operation of this key that wrote an element, if it is known and writes such a part.
    pub(super) fn writer(&self, element: Element) -> Option<usize> {
        let at = self.ids.binary_search(&element.op()?).ok()?;
        parts(self.operations[at])?.contains(&element.role()).then_some(at)
    }

    /// Position of an operation of this key.
    pub(super) fn position(&self, op: OpId) -> Option<usize> {
        self.ids.binary_search(&op).ok()
    }

    /// Which parts of each operation these lists hold: bit 0 is the user's, bit 1 the bot's.
    pub(super) fn held<'l>(&self, lists: impl IntoIterator<Item = &'l List<'a>>) -> Vec<u8>
    where
        'a: 'l,
    {
        let mut held = vec![0_u8; self.operations.len()];
        for list in lists {
            for element in &*list.elements {
                if let Some(at) = self.writer(*element) {
                    held[at] |= bit(element.role());
                }
            }
        }
        held
    }
}

/// The bit of a part.
pub(super) fn bit(role: Role) -> u8 {
    match role {
        Role::User => 1,
        Role::Bot => 2,
    }
}

/// The bits of all parts of an operation.
pub(super) fn all_bits(operation: &Operation) -> u8 {
    parts(operation).unwrap_or_default().iter().fold(0, |bits, role| bits | bit(*role))
}

/// Chained hashes of every prefix of a list, the empty one first.
pub(super) fn prefix_hashes(elements: &[Element]) -> Vec<u64> {
    let mut hashes = Vec::with_capacity(elements.len() + 1);
    hashes.push(0);
    hashes.extend(elements.iter().scan(0, |hash, element| {
        *hash = chain(*hash, *element);
        Some(*hash)
    }));
    hashes
}

/// `the message of op7`, `the answer of op7`.
pub(super) fn name(element: Element) -> String {
    match (element.op(), element.role()) {
        (None, _) => "a message without a stamp".to_owned(),
        (Some(op), Role::User) => format!("the message of {op}"),
        (Some(op), Role::Bot) => format!("the answer of {op}"),
    }
}

/// The position that an append was told, and its first message.
pub(super) fn told_position(operation: &Operation) -> Option<(u32, Element)> {
    match told(operation) {
        Outcome::Ok(Value::Appended(Appended { position: Some(position), .. })) => {
            Some((*position, Element::new(Some(operation.id), Role::User)))
        }
        _ => None,
    }
}
