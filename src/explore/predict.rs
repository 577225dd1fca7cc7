//! Predict, direct, confirm: which commands of two requests conflict, and the schedules that put one between two of the
//! other. They are tried first.
//!
//! Traces come from requests that ran alone, each on its own key, so that what they would do on one key is taken from the
//! collections alone. A prediction that is wrong costs one execution.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::schedule::{Choice, Schedule};
use super::wire::{Command, Kind};

/// Schedules of single conflicts at most.
const MAX_CONFLICTS: usize = 9;
/// Schedules in which one request has its whole course inside another, at most.
const MAX_INSIDE: usize = 6;
/// Schedules that are predicted at most.
pub const MAX_PREDICTED: usize = MAX_CONFLICTS + MAX_INSIDE;

/// The commands of a request that ran alone.
pub type Trace = Vec<Arc<Command>>;

/// Schedules that realise a conflict, the likeliest harm first. `traces` has one trace per request; only the first request
/// of each class takes part with each other.
pub fn predict(traces: &[Trace], classes: &[usize]) -> Vec<Schedule> {
    let (mut found, mut inside) = (Vec::new(), Vec::new());
    for a in 0..traces.len() {
        for b in 0..traces.len() {
            let first_pair = a != b
                && (0..traces.len()).find(|other| classes[*other] == classes[a]) == Some(a)
                && (0..traces.len()).find(|other| *other != a && classes[*other] == classes[b]) == Some(b);
            if first_pair {
                conflicts(traces, a, b, &mut found);
                insides(traces, a, b, &mut inside);
            }
        }
    }
    found.sort_by_key(|(harm, _)| *harm);
    inside.sort_by_key(|(distance, _)| *distance);
    let mut seen = BTreeSet::new();
    found.retain(|(_, schedule)| seen.insert(schedule.clone()));
    let found: Vec<Schedule> = found.into_iter().map(|(_, schedule)| schedule).take(MAX_CONFLICTS).collect();
    let mut seen: BTreeSet<Schedule> = found.iter().cloned().collect();
    inside.retain(|(_, schedule)| seen.insert(schedule.clone()));
    found.into_iter().chain(inside.into_iter().map(|(_, schedule)| schedule).take(MAX_INSIDE)).collect()
}

/// All of `b` between a read of `a` and what `a` writes afterwards: what `a` has read is stale as a whole, and what `b` leaves
/// last is overwritten. The later the read, the likelier; what comes after the last write is of no matter.
fn insides(traces: &[Trace], a: usize, b: usize, found: &mut Vec<(usize, Schedule)>) {
    let writes = |command: &Arc<Command>| command.kind == Kind::Write;
    let Some(last) = traces[a].iter().rposition(writes) else { return };
    for (i, before) in traces[a][..last].iter().enumerate() {
        if before.kind == Kind::Read && traces[b].iter().any(|between| may_conflict(before, between)) {
            let parts = [(a, i + 1), (b, traces[b].len()), (a, traces[a].len() - i - 1)];
            let choices = parts.iter().flat_map(|(request, count)| vec![Choice::one(*request); *count]).collect();
            found.push((last - i, Schedule(choices)));
        }
    }
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
    fn one_request_is_put_whole_between_the_last_read_of_another_and_its_write() {
        let add = rawdoc! { "insert": "entries", "documents": [{ "k": 1 }], "$db": "app" };
        let read = rawdoc! { "find": "entries", "filter": { "k": 1 }, "$db": "app" };
        let more = rawdoc! { "getMore": 7_i64, "collection": "entries", "$db": "app" };
        let sum = rawdoc! { "update": "totals", "updates": [{ "q": { "_id": 1 }, "u": { "$set": { "sum": 2 } } }], "$db": "app" };
        let mut course = vec![add, read];
        course.extend(vec![more; 8]);
        course.push(sum);
        let racy = trace(&course);
        let predicted = texts(&[racy.clone(), racy], &[0, 0]);
        let [before, inside] = ["1 ".repeat(10), "2 ".repeat(11)];
        assert_eq!(predicted[MAX_CONFLICTS], format!("{before}{inside}1"));
        assert_eq!(predicted.len(), MAX_PREDICTED);
    }

    #[test]
    fn operations_of_different_kinds_are_put_into_each_other() {
        let find = rawdoc! { "find": "chats", "filter": { "k": 1 }, "$db": "app" };
        let insert = rawdoc! { "insert": "chats", "documents": [{ "k": 1 }], "$db": "app" };
        let (check, act) = (trace(&[find, insert.clone()]), trace(&[insert]));
        assert_eq!(texts(&[check, act], &[0, 1]), ["1 2 1"]);
    }
}
