//! Predict, direct, confirm: which commands of two requests conflict, and the schedules that put one between two of the
//! other. They are tried first.
//!
//! Traces come from requests that ran alone, each on its own key, so that what they would do on one key is taken from the
//! collections alone. A prediction that is wrong costs one execution.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::schedule::{Choice, Schedule};
use super::wire::{Command, Kind};

/// Schedules that are predicted at most.
pub const MAX_PREDICTED: usize = 9;

/// The commands of a request that ran alone.
pub type Trace = Vec<Arc<Command>>;

/// Schedules that realise a conflict, the likeliest harm first. `traces` has one trace per request; only the first request
/// of each class takes part with each other.
pub fn predict(traces: &[Trace], classes: &[usize]) -> Vec<Schedule> {
    let mut found = Vec::new();
    for a in 0..traces.len() {
        for b in 0..traces.len() {
            let first_pair = a != b
                && (0..traces.len()).find(|other| classes[*other] == classes[a]) == Some(a)
                && (0..traces.len()).find(|other| *other != a && classes[*other] == classes[b]) == Some(b);
            if first_pair {
                conflicts(traces, a, b, &mut found);
            }
        }
    }
    found.sort_by_key(|(harm, _)| *harm);
    let mut seen = BTreeSet::new();
    found.retain(|(_, schedule)| seen.insert(schedule.clone()));
    found.into_iter().map(|(_, schedule)| schedule).take(MAX_PREDICTED).collect()
}

/// Conflicts of a step of `a` with a step of `b`, where `a` has something to write afterwards.
fn conflicts(traces: &[Trace], a: usize, b: usize, found: &mut Vec<(usize, Schedule)>) {
    for (i, before) in traces[a].iter().enumerate() {
        let later_write = traces[a].iter().skip(i + 1).any(|later| later.kind == Kind::Write);
        for (j, between) in traces[b].iter().enumerate() {
            if !later_write || !may_conflict(before, between) {
                continue;
            }
            // A read that another's write makes stale is the usual harm; then a read of what is half written.
            let harm = match (before.kind, between.kind) {
                (Kind::Read, Kind::Write) => 0,
                (Kind::Write, Kind::Read) => 1,
                _ => 2,
            };
            let (rest_a, rest_b) = (traces[a].len() - i - 1, traces[b].len() - j - 1);
            let parts = [(a, i + 1), (b, j + 1), (a, rest_a), (b, rest_b)];
            let choices = parts.iter().flat_map(|(request, count)| vec![Choice::one(*request); *count]).collect();
            found.push((harm, Schedule(choices)));
        }
    }
}

/// Whether two commands may conflict on one key.
pub(super) fn may_conflict(a: &Command, b: &Command) -> bool {
    let writes = a.kind == Kind::Write || b.kind == Kind::Write;
    let same = (&a.database, &a.collection) == (&b.database, &b.collection);
    writes && (same || a.spans || b.spans || a.in_transaction || b.in_transaction)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{RawDocumentBuf, rawdoc};

    use super::*;
    use crate::explore::wire::Message;
    use crate::explore::wire::message::tests::msg;

    fn trace(commands: &[RawDocumentBuf]) -> Trace {
        let parse = |document| Command::parse(&Message::parse(&msg(0, document, &[])).unwrap()).unwrap();
        commands.iter().map(|document| Arc::new(parse(document))).collect()
    }

    fn texts(traces: &[Trace], classes: &[usize]) -> Vec<String> {
        predict(traces, classes).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_write_is_put_between_a_read_and_the_write_that_rests_on_it() {
        let user = rawdoc! { "find": "users", "filter": {}, "$db": "app" };
        let find = rawdoc! { "find": "chats", "filter": { "k": 1 }, "$db": "app" };
        let insert = rawdoc! { "insert": "chats", "documents": [{ "k": 1 }], "$db": "app" };
        let racy = trace(&[user.clone(), find.clone(), insert.clone()]);
        assert_eq!(texts(&[racy.clone(), racy.clone(), racy], &[0, 0, 0]), ["1 1 2 2 2 1"]);
        let atomic = trace(&[user, insert]);
        assert!(texts(&[atomic.clone(), atomic], &[0, 0]).is_empty());
    }

    #[test]
    fn operations_of_different_kinds_are_put_into_each_other() {
        let find = rawdoc! { "find": "chats", "filter": { "k": 1 }, "$db": "app" };
        let insert = rawdoc! { "insert": "chats", "documents": [{ "k": 1 }], "$db": "app" };
        let (check, act) = (trace(&[find, insert.clone()]), trace(&[insert]));
        assert_eq!(texts(&[check, act], &[0, 1]), ["1 2 1"]);
    }
}
