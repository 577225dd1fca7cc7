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

/// The commands of a request that ran alone.
pub type Trace = Vec<Arc<Command>>;

/// A schedule that may do harm.
struct Predicted {
    /// The smaller, the likelier.
    rank: usize,
    /// By what each request does alone.
    plain: Schedule,
    /// As it is carried out: what does not fit there is left out.
    carried_out: Schedule,
}

/// Schedules that realise a conflict, the likeliest harm first. `traces` has one trace per request; only the first request
/// of each class takes part with each other.
pub fn predict(traces: &[Trace], classes: &[usize]) -> Vec<Schedule> {
    let (mut conflicting, mut inside) = (Vec::new(), Vec::new());
    for a in 0..traces.len() {
        for b in 0..traces.len() {
            let first_pair = a != b
                && (0..traces.len()).find(|other| classes[*other] == classes[a]) == Some(a)
                && (0..traces.len()).find(|other| *other != a && classes[*other] == classes[b]) == Some(b);
            if first_pair {
                conflicting.extend(conflicts(traces, a, b));
                inside.extend(insides(traces, a, b));
            }
        }
    }
    let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
    for (mut predicted, most) in [(conflicting, MAX_CONFLICTS), (inside, MAX_INSIDE)] {
        predicted.sort_by_key(|one| one.rank);
        let fresh = predicted.into_iter().filter(|one| seen.insert(one.plain.clone()));
        all.extend(fresh.map(|one| one.carried_out).take(most));
    }
    all
}

/// Requests, each with the number of its commands that come next.
fn schedule(parts: &[(usize, usize)]) -> Schedule {
    Schedule(parts.iter().flat_map(|(request, count)| vec![Choice::one(*request); *count]).collect())
}

/// Conflicts of a step of `a` with a step of `b`, where `a` has something to write afterwards.
fn conflicts(traces: &[Trace], a: usize, b: usize) -> Vec<Predicted> {
    let mut found = Vec::new();
    for (i, before) in traces[a].iter().enumerate() {
        let later_write = traces[a].iter().skip(i + 1).any(|later| later.kind == Kind::Write);
        for (j, between) in traces[b].iter().enumerate() {
            if !later_write || !may_conflict(before, between) {
                continue;
            }
            // A read that another's write makes stale is the usual harm; then a read of what is half written.
            let rank = match (before.kind, between.kind) {
                (Kind::Read, Kind::Write) => 0,
                (Kind::Write, Kind::Read) => 1,
                _ => 2,
            };
            let (rest_a, rest_b) = (traces[a].len() - i - 1, traces[b].len() - j - 1);
            let plain = schedule(&[(a, i + 1), (b, j + 1), (a, rest_a), (b, rest_b)]);
            found.push(Predicted { rank, carried_out: plain.clone(), plain });
        }
    }
    found
}

/// All of `b` between a read of `a` and what `a` writes afterwards: what `a` has read is stale as a whole, and what `b` leaves
/// last is overwritten. The later the read, the likelier; what comes after the last write is of no matter.
fn insides(traces: &[Trace], a: usize, b: usize) -> Vec<Predicted> {
    let Some(last) = traces[a].iter().rposition(|command| command.kind == Kind::Write) else { return Vec::new() };
    let meets =
        |before: &Command| before.kind == Kind::Read && traces[b].iter().any(|between| may_conflict(before, between));
    let reads = traces[a][..last].iter().enumerate().filter(|(_, before)| meets(before));
    let put_into = |(i, _)| {
        let rest = traces[a].len() - i - 1;
        let of_b = |count| schedule(&[(a, i + 1), (b, count), (a, rest)]);
        // What `a` has written before may give `b` more to read than it had alone.
        Predicted { rank: last - i, plain: of_b(traces[b].len()), carried_out: of_b(2 * traces[b].len()) }
    };
    reads.map(put_into).collect()
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
        // The second one finds more to read than it did alone.
        let [before, inside] = ["1 ".repeat(10), "2 ".repeat(2 * 11)];
        assert_eq!(predicted[MAX_CONFLICTS], format!("{before}{inside}1"));
        assert_eq!(predicted.len(), MAX_CONFLICTS + MAX_INSIDE);
    }

    #[test]
    fn operations_of_different_kinds_are_put_into_each_other() {
        let find = rawdoc! { "find": "chats", "filter": { "k": 1 }, "$db": "app" };
        let insert = rawdoc! { "insert": "chats", "documents": [{ "k": 1 }], "$db": "app" };
        let (check, act) = (trace(&[find, insert.clone()]), trace(&[insert]));
        assert_eq!(texts(&[check, act], &[0, 1]), ["1 2 1"]);
    }
}
