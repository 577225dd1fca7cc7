//! What each rule about lists demands, by definition: whole lists, every pair of positions, all orders.

use super::cases::{Case, content_of};
use crate::checker::Budget;
use crate::checker::list_model::{AppendOnly, Event, entry};
use crate::checker::search::{Model, Search, linearize};
use crate::history::{Action, Delivered, Element, Message, Operation, Outcome, Role, Value};

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

    pub(super) fn lost(&self) -> bool {
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

    pub(super) fn duplicate(&self) -> bool {
        let twice = |list: &[Element]| {
            list.iter().enumerate().any(|(at, element)| self.known(*element) && list[..at].contains(element))
        };
        self.reads().iter().any(|list| twice(list)) || twice(&self.finals().concat())
    }

    pub(super) fn phantom(&self) -> bool {
        let failed = |element: &Element| {
            self.writers().any(|writer| Self::failed(writer) && self.elements(writer).contains(element))
        };
        self.lists().concat().iter().any(|element| !self.known(*element) || failed(element))
    }

    pub(super) fn split(&self) -> bool {
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

    pub(super) fn changed(&self) -> bool {
        self.documents
            .iter()
            .flat_map(|document| &document.messages)
            .any(|message| self.known(message.element()) && &*message.text == "changed")
    }

    pub(super) fn merged_twice(&self) -> bool {
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

    pub(super) fn false_dedupe(&self) -> bool {
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
    pub(super) fn ordered(&self) -> Option<bool> {
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
