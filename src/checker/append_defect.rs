//! Why the lists of a key fit no order: the defects of `append-order`, their proofs and their words.

use crate::history::{Element, Nanos, Observed, Operation};

use super::findings::ms;
use super::list_model::{self, entry};
use super::lists::{List, Lists, View, Write, name};
use super::search::Entry;

/// One event at its slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a> {
    pub(super) slot: usize,
    pub(super) invoked: Nanos,
    pub(super) returned: Nanos,
    pub(super) who: Who<'a>,
}

/// What an event is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who<'a> {
    /// A message of the longest list is appended.
    Element(&'a Operation, Element),
    /// An acknowledged message that no list shows is appended.
    Unseen(&'a Operation, Element),
    /// A list of so many messages is seen.
    View(View<'a>, usize),
}

impl<'a> Who<'a> {
    fn element(self) -> Option<Element> {
        match self {
            Who::Element(_, element) | Who::Unseen(_, element) => Some(element),
            Who::View(..) => None,
        }
    }

    fn operation(self) -> Option<&'a Operation> {
        match self {
            Who::Element(operation, _) | Who::Unseen(operation, _) => Some(operation),
            Who::View(view, _) => view.operation(),
        }
    }
}

/// Why there is no order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Defect<'a, 'l> {
    /// A list is no prefix of the longest.
    Incompatible { list: &'l List<'a>, longest: &'l List<'a> },
    /// `earlier` must come first, but was invoked after `later` had returned.
    Order { earlier: Event<'a>, later: Event<'a>, longest: Option<&'l List<'a>> },
}

impl<'a> Defect<'a, '_> {
    /// The operations and documents that prove it.
    pub(super) fn witness(&self, lists: &Lists<'a>) -> (Vec<&'a Operation>, Vec<&'a Observed>) {
        let (mut operations, mut documents) = (Vec::new(), Vec::new());
        match self {
            Defect::Incompatible { list, longest } => {
                operations.extend([list.view, longest.view].iter().filter_map(|view| view.operation()));
                documents.extend([list.view, longest.view].iter().filter_map(|view| view.document()));
            }
            Defect::Order { earlier, later, longest } => {
                operations.extend([earlier.who, later.who].iter().filter_map(|who| who.operation()));
                for who in [earlier.who, later.who] {
                    documents.extend(if let Who::View(view, _) = who { view.document() } else { None });
                }
                // That one message stands before the other, or happened at all, may be known from a list only.
                let told = |who: Who<'_>| who.operation().and_then(Write::of) == Some(Write::Acknowledged);
                let both = earlier.who.element().is_some() && later.who.element().is_some();
                let untold = [earlier.who, later.who].into_iter().any(|who| who.element().is_some() && !told(who));
                if let Some(longest) = longest.filter(|_| both || untold) {
                    operations.extend(longest.view.operation());
                    documents.extend(longest.view.document());
                }
                operations
                    .extend(self.between().and_then(|element| lists.writer(element)).map(|at| lists.operations[at]));
            }
        }
        operations.sort_unstable_by_key(|operation| operation.id);
        operations.dedup_by_key(|operation| operation.id);
        (operations, documents)
    }

    /// Of two reads, the first message that only the longer one shows.
    fn between(&self) -> Option<Element> {
        match self {
            Defect::Order {
                earlier: Event { who: Who::View(_, length), .. },
                later: Event { who: Who::View(..), .. },
                longest,
            } => longest.and_then(|list| list.elements.get(*length)).copied(),
            _ => None,
        }
    }

    /// The events that decide the matter, for the second opinion: every list reduced to the one or two messages in
    /// question. What is impossible for a part of the messages is impossible for all.
    pub(super) fn certificate(&self, lists: &Lists<'a>, longest: Option<&List<'a>>) -> Vec<Entry<list_model::Event>> {
        match self {
            Defect::Incompatible { list, longest } => {
                let differ = list.elements.iter().zip(&*longest.elements).find(|(one, other)| one != other);
                let Some((one, other)) = differ else { return Vec::new() };
                let read = |list: &List<'_>| {
                    entry(list_model::Event::Read(reduced(&list.elements, &[*one, *other])), 0, Nanos::MAX, true)
                };
                let append = |element: Element| entry(list_model::Event::Append(element), 0, Nanos::MAX, false);
                vec![read(list), read(longest), append(*one), append(*other)]
            }
            Defect::Order { earlier, later, .. } => {
                let mut elements: Vec<Element> =
                    [earlier.who, later.who].iter().filter_map(|who| who.element()).collect();
                elements.extend(self.between());
                let list = longest.map_or(&[][..], |list| &list.elements);
                let mut entries: Vec<Entry<list_model::Event>> = elements
                    .iter()
                    .filter_map(|element| lists.writer(*element).map(|at| (*element, lists.operations[at])))
                    .map(|(element, writer)| {
                        // What the longest list shows has happened, whatever its caller was told.
                        let required = Write::of(writer) == Some(Write::Acknowledged) || list.contains(&element);
                        entry(list_model::Event::Append(element), writer.invoked, writer.returned(), required)
                    })
                    .collect();
                for event in [earlier, later] {
                    if let Who::View(_, length) = event.who {
                        let shown = reduced(&list[..length.min(list.len())], &elements);
                        entries.push(entry(list_model::Event::Read(shown), event.invoked, event.returned, true));
                    }
                }
                if let (Some(_), Some(_), Some(longest)) = (earlier.who.element(), later.who.element(), longest) {
                    let (from, to) = match longest.view {
                        View::Read(operation) => (operation.invoked, operation.returned()),
                        View::Final(_) => (0, Nanos::MAX),
                    };
                    entries.push(entry(list_model::Event::Read(reduced(list, &elements)), from, to, true));
                }
                entries
            }
        }
    }

    /// The defect in words.
    pub(super) fn explain(&self, lists: &Lists<'a>) -> String {
        match self {
            Defect::Incompatible { list, longest } => {
                let pairs = list.elements.iter().zip(&*longest.elements);
                let at = pairs.clone().take_while(|(one, other)| one == other).count();
                let place =
                    |list: &List<'_>| list.elements.get(at).map_or("nothing".to_owned(), |element| name(*element));
                format!(
                    "at position {at} {} shows {} and {} shows {}; messages keep one order and stay where they are",
                    list.view.name(),
                    place(list),
                    longest.view.name(),
                    place(longest)
                )
            }
            Defect::Order { earlier, later, .. } => self.order(earlier, later, lists),
        }
    }

    fn order(&self, earlier: &Event<'a>, later: &Event<'a>, lists: &Lists<'a>) -> String {
        let (told, asked) = (ms(later.returned), ms(earlier.invoked));
        match (later.who, earlier.who) {
            (Who::Element(op, element) | Who::Unseen(op, element), Who::View(view, _)) => {
                let when = view.operation().map(|_| format!(", invoked later at {asked},")).unwrap_or_default();
                format!(
                    "{} was acknowledged at {told} ({}), yet {}{when} does not show it; what was acknowledged must be seen \
                     ever after",
                    name(element),
                    op.id,
                    view.name()
                )
            }
            (Who::View(view, _), Who::Element(op, element) | Who::Unseen(op, element)) => format!(
                "{} had returned at {told} and shows {}, or what comes after it, before {} was invoked at {asked}; nothing \
                 can be seen before it is sent",
                view.name(),
                name(element),
                op.id
            ),
            (Who::View(seen, more), Who::View(view, fewer)) => {
                let lacking = self.between().map_or("a message".to_owned(), name);
                format!(
                    "{} had returned at {told} with {more} messages, {} followed with only {fewer} and lacks {lacking}; what \
                     was seen once must be seen ever after",
                    seen.name(),
                    view.name()
                )
            }
            (
                Who::Element(first, element) | Who::Unseen(first, element),
                Who::Element(second, other) | Who::Unseen(second, other),
            ) => {
                let where_ = if lists.lists.iter().any(|list| list.elements.contains(&element)) {
                    "stands after it"
                } else {
                    "is in no list that shows it"
                };
                format!(
                    "{} was acknowledged at {told}, before {} was invoked at {asked} with {}, yet {} {where_}; messages keep \
                     the order in which they were acknowledged",
                    first.id,
                    second.id,
                    name(other),
                    name(element)
                )
            }
        }
    }
}

/// A list without all but these elements.
fn reduced(list: &[Element], kept: &[Element]) -> Vec<Element> {
    list.iter().copied().filter(|element| kept.contains(element)).collect()
}
