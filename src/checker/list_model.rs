//! The sequential specification of a list that is only appended to, for the search.
//!
//! The main type is [`AppendOnly`]. It knows nothing of the fast rule, which it certifies.

use crate::history::{Element, Nanos};

use super::search::{Entry, Model};

/// A list to which elements are appended, and which reads show whole.
pub(super) struct AppendOnly;

/// One event of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The element is appended.
    Append(Element),
    /// The whole list is seen.
    Read(Vec<Element>),
}

impl Model for AppendOnly {
    type State = Vec<Element>;
    type Operation = Event;

    fn initial(&self) -> Vec<Element> {
        Vec::new()
    }

    fn step(&self, state: &Vec<Element>, event: &Event) -> Option<Vec<Element>> {
        match event {
            Event::Append(element) => {
                let mut next = state.clone();
                next.push(*element);
                Some(next)
            }
            Event::Read(list) => (state == list).then(|| state.clone()),
        }
    }
}

/// An event in its interval.
pub(super) fn entry(event: Event, invoked: Nanos, returned: Nanos, required: bool) -> Entry<Event> {
    Entry { invoked, returned, required, operation: event }
}
