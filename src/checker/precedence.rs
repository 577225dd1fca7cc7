//! Whether moments can be given to events so that all "must come before" between them hold.
//!
//! The main type is [`Precedence`]: events with closed intervals, and edges "this one before that one" (or at the same
//! moment). Each event's earliest moment is the latest invocation among itself and all that must come before it; there is
//! an order if and only if the edges have no cycle and no event's earliest moment lies beyond its end. It is linear in
//! events and edges, and gives the chain of events that has no room.

use crate::history::{Nanos, Operation};

/// Number of an event, as [`Precedence::event`] gave it.
pub(super) type Event = usize;

/// Events and what must come before what. `R` says why.
#[derive(Debug)]
pub(super) struct Precedence<'a, R> {
    events: Vec<Interval<'a>>,
    edges: Vec<(Event, Event, R)>,
}

#[derive(Debug, Clone, Copy)]
struct Interval<'a> {
    invoked: Nanos,
    returned: Nanos,
    operation: Option<&'a Operation>,
}

/// Why there is no order: each step must come before the next, and the last cannot come after the first.
#[derive(Debug)]
pub(super) struct Conflict<'a, R> {
    /// The operations in it, without events that are none.
    pub(super) operations: Vec<&'a Operation>,
    /// The reasons along the chain.
    pub(super) reasons: Vec<R>,
    /// The first event, which was invoked after the last had returned; absent if the chain is a circle.
    pub(super) ends: Option<(Option<&'a Operation>, Option<&'a Operation>)>,
}

impl<'a, R: Copy> Precedence<'a, R> {
    pub(super) fn new() -> Self {
        Precedence { events: Vec::new(), edges: Vec::new() }
    }

    /// An operation's effect, within its interval.
    pub(super) fn event(&mut self, operation: &'a Operation) -> Event {
        self.add(Interval { invoked: operation.invoked, returned: operation.returned(), operation: Some(operation) })
    }

    /// Something that happened at an unknown moment, not before this one.
    pub(super) fn not_before(&mut self, invoked: Nanos) -> Event {
        self.add(Interval { invoked, returned: Nanos::MAX, operation: None })
    }

    fn add(&mut self, interval: Interval<'a>) -> Event {
        self.events.push(interval);
        self.events.len() - 1
    }

    /// One event comes before another, or at the same moment.
    pub(super) fn before(&mut self, one: Event, other: Event, reason: R) {
        if one != other {
            self.edges.push((one, other, reason));
        }
    }

    /// Why there is no order; `None` if there is one.
    pub(super) fn conflict(&self) -> Option<Conflict<'a, R>> {
        let mut outgoing: Vec<Vec<usize>> = vec![Vec::new(); self.events.len()];
        let mut waiting = vec![0_usize; self.events.len()];
        for (index, &(from, to, _)) in self.edges.iter().enumerate() {
            outgoing[from].push(index);
            waiting[to] += 1;
        }
        let mut earliest: Vec<Nanos> = self.events.iter().map(|event| event.invoked).collect();
        // The edge that each event's earliest moment came along.
        let mut along: Vec<Option<usize>> = vec![None; self.events.len()];
        let mut ready: Vec<Event> = (0..self.events.len()).filter(|&event| waiting[event] == 0).collect();
        let mut done = 0;
        while let Some(event) = ready.pop() {
            done += 1;
            if earliest[event] > self.events[event].returned {
                return Some(self.chain(event, &along));
            }
            for &edge in &outgoing[event] {
                let to = self.edges[edge].1;
                if earliest[event] > earliest[to] {
                    earliest[to] = earliest[event];
                    along[to] = Some(edge);
                }
                waiting[to] -= 1;
                if waiting[to] == 0 {
                    ready.push(to);
                }
            }
        }
        (done < self.events.len()).then(|| self.circle(&waiting))
    }

    /// The edges that led to an event whose earliest moment is too late.
    fn chain(&self, last: Event, along: &[Option<usize>]) -> Conflict<'a, R> {
        let mut edges = Vec::new();
        let mut first = last;
        while let Some(edge) = along[first] {
            edges.push(edge);
            first = self.edges[edge].0;
        }
        edges.reverse();
        let ends = Some((self.events[first].operation, self.events[last].operation));
        self.describe(&edges, ends)
    }

    /// A circle among the events that wait for each other.
    fn circle(&self, waiting: &[usize]) -> Conflict<'a, R> {
        let mut incoming: Vec<Option<usize>> = vec![None; self.events.len()];
        for (index, &(from, to, _)) in self.edges.iter().enumerate() {
            if waiting[from] > 0 && waiting[to] > 0 {
                incoming[to].get_or_insert(index);
            }
        }
        // Whoever waits has somebody before it that waits: going back must come around.
        let mut seen = vec![false; self.events.len()];
        let mut event = waiting.iter().position(|&count| count > 0).unwrap_or_default();
        while !std::mem::replace(&mut seen[event], true) {
            if let Some(edge) = incoming[event] {
                event = self.edges[edge].0;
            }
        }
        let (start, mut edges) = (event, Vec::new());
        while let Some(edge) = incoming[event] {
            edges.push(edge);
            event = self.edges[edge].0;
            if event == start {
                break;
            }
        }
        edges.reverse();
        self.describe(&edges, None)
    }

    fn describe(
        &self,
        edges: &[usize],
        ends: Option<(Option<&'a Operation>, Option<&'a Operation>)>,
    ) -> Conflict<'a, R> {
        let events = edges.iter().flat_map(|&edge| [self.edges[edge].0, self.edges[edge].1]);
        let mut operations: Vec<&Operation> = events.filter_map(|event| self.events[event].operation).collect();
        operations.sort_unstable_by_key(|operation| operation.id);
        operations.dedup_by_key(|operation| operation.id);
        let reasons = edges.iter().map(|&edge| self.edges[edge].2).collect();
        Conflict { operations, reasons, ends }
    }
}
