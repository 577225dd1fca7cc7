//! What a request does only where others have been before it: it finds the document, and goes another way. Two requests on a fresh key
//! never go that way at once. So others come first, one after another, and two meet on what they left.
//!
//! *Soundness*: every execution is one of so many requests, and is judged as such; serial runs that it is held against begin with the same
//! ones. *Completeness*: all interleavings of the two; what takes more than [`MOST_BEFORE`] requests before it is not met,
//! unless these are of one operation, and the last of a few that go the same way. *Cost*: about as
//! many executions as the two had before, for each way that is new.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::in_order;
use super::execution::Execution;
use super::explorer::Explorer;
use super::hub::shape;
use super::outcome::Exploration;
use super::pairs::{add_report, join_looks, mixed};
use super::ways::told;
use super::wire::Kind;
use crate::history::Operation;
use crate::report::{AsIfSerialReport, PairResult};
use crate::verdict::Verdict;

/// Requests that come before the two, at most.
pub const MOST_BEFORE: usize = 2;

impl Explorer<'_> {
    /// Whether some write came from one request alone in every execution in which it came that way.
    pub(super) fn comes_second(&self) -> bool {
        is_of_one_alone(self.found.executions.iter().map(|(execution, ..)| execution))
    }
}

/// A write is known by the way that led to it: what the request sent before and whether that found anything, and what it is itself.
fn is_of_one_alone<'a>(executions: impl Iterator<Item = &'a Execution>) -> bool {
    let (mut all, mut of_several) = (BTreeSet::new(), BTreeSet::new());
    for execution in executions {
        let mut by: BTreeMap<String, usize> = BTreeMap::new();
        let mut ways: BTreeMap<usize, String> = BTreeMap::new();
        for step in &execution.steps {
            let way = ways.entry(step.request).or_default();
            let sent = format!("{way}{}", shape(&step.command));
            if step.command.kind == Kind::Write && *by.entry(sent.clone()).or_insert(step.request) != step.request {
                of_several.insert(sent);
            }
            *way += &told(step);
        }
        all.extend(by.into_keys());
    }
    all.difference(&of_several).next().is_some()
}

/// An exploration that violates nothing, with one of two requests on what others left; `after` says which. `unread` was sent after the
/// final state of the first was read: what it left is in a later one.
pub fn with_established(
    mut fresh: Exploration,
    established: Exploration,
    after: &str,
    unread: &mut Vec<Operation>,
) -> Exploration {
    if let Some(why) = why_open(&established).filter(|_| !is_violated(&established)) {
        // It takes nothing away from what was explored to its end.
        if !established.as_if_serial.as_ref().is_some_and(|serial| serial.apart) {
            fresh.report.notes.push(format!("two requests {after} were not explored to the end: {why}"));
        }
        unread.extend(established.history.operations);
        return fresh;
    }
    let observation = fresh.seen_until(established.observation);
    let Exploration { mut report, mut as_if_serial, mut history, mut looks, .. } = fresh;
    let (requests, together) = (report.requests, report.together.clone());
    add_report(&mut report, established.report, after);
    (report.requests, report.together) = (requests, together);
    if let (Some(one), Some(other)) = (&mut as_if_serial, established.as_if_serial) {
        report.notes.extend(mixed(&other).map(|told| format!("two requests {after}: {told}")));
        *one = joined(std::mem::take(one), other);
    }
    history.operations.extend(established.history.operations);
    history.operations.append(unread);
    history.operations = in_order(history.operations);
    history.interrupted |= established.history.interrupted;
    join_looks(&mut looks, established.looks);
    Exploration {
        history,
        observation,
        report,
        as_if_serial,
        looks,
        queries: established.queries,
        unread: established.unread.or(fresh.unread),
        next: established.next,
        with_established: true,
        ..fresh
    }
}

fn is_violated(established: &Exploration) -> bool {
    let Exploration { report, as_if_serial, looks, .. } = established;
    report.violated > 0
        || as_if_serial.as_ref().is_some_and(|serial| serial.verdict == Verdict::Violated)
        || looks.iter().any(|looks| looks.main.violated + looks.control.violated > 0)
}

/// Why not all of it is known.
fn why_open(established: &Exploration) -> Option<String> {
    let Exploration { report, as_if_serial, .. } = established;
    let inconclusive = as_if_serial.as_ref().filter(|serial| serial.verdict == Verdict::Inconclusive);
    let serially = |serial: &AsIfSerialReport| {
        serial.inconclusive.clone().unwrap_or_else(|| "nothing was judged as if serial".to_owned())
    };
    let doubt = report.doubts.first().cloned();
    doubt.or_else(|| (!report.complete).then(|| "it came to no end".to_owned())).or_else(|| inconclusive.map(serially))
}

/// Both judged against serial runs: the first violates nothing.
fn joined(mut fresh: AsIfSerialReport, established: AsIfSerialReport) -> AsIfSerialReport {
    if established.verdict == Verdict::Violated {
        mark(&mut fresh.pairs, &established);
    }
    // Requests that do not meet on a fresh key may meet on what others left.
    let (mut whole, other) = match (established.verdict, fresh.apart) {
        (Verdict::Violated, _) | (Verdict::Holds, true) => (established, fresh),
        _ => (fresh, established),
    };
    if whole.pairs.is_empty() {
        whole.pairs = other.pairs;
    }
    whole.judged += other.judged;
    whole.serial_runs += other.serial_runs;
    whole.serial_outcomes += other.serial_outcomes;
    for (class, count) in other.classes {
        *whole.classes.entry(class).or_default() += count;
    }
    whole.not_compared.extend(other.not_compared);
    whole.not_compared.sort();
    whole.not_compared.dedup();
    whole.notes.extend(other.notes);
    whole
}

/// Says of the two that met on what others left that they do so, whatever they do on a fresh key.
fn mark(pairs: &mut [PairResult], established: &AsIfSerialReport) {
    let [before @ .., one, other] = established.operations.as_slice() else { return };
    let is_theirs = |pair: &&mut PairResult| match pair.operations.as_slice() {
        [first, second] => (first, second) == (one, other) || (first, second) == (other, one),
        _ => false,
    };
    for pair in pairs.iter_mut().filter(is_theirs) {
        pair.verdict = Verdict::Violated;
        pair.apart = false;
        pair.in_words = format!("after {}: {}", before.join(", then "), established.in_words);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use mongodb::bson::{RawDocumentBuf, rawdoc};

    use super::super::execution::{Execution, Step};
    use super::super::schedule::Pick;
    use super::super::wire::message::tests::msg;
    use super::super::wire::{Command, Message, Reply};
    use super::*;
    use crate::history::fixture::observed;
    use crate::history::{Earlier, Id, Looks, Observation, Tally};
    use crate::report::ExploreReport;

    fn step(request: usize, command: &RawDocumentBuf) -> Step {
        let command = Command::parse(&Message::parse(&msg(0, command, &[])).unwrap()).unwrap();
        let (sent, command) = (SystemTime::now(), Arc::new(command));
        Step {
            request,
            pick: Pick { request, slot: 0, delivery: 0, fault: None, is_start: false },
            ordinal: 0,
            release: 0,
            sent,
            command,
            reply: None,
            answered: None,
        }
    }

    /// With how many documents each of them found.
    fn execution_of(steps: &[(usize, &RawDocumentBuf, usize)]) -> Execution {
        let step = |(request, command, found): &(usize, &RawDocumentBuf, usize)| {
            let reply = Reply { returned: Some(*found), ..Reply::default() };
            Step { reply: Some(reply), ..step(*request, command) }
        };
        Execution { steps: steps.iter().map(step).collect(), ..Execution::default() }
    }

    fn execution(steps: &[(usize, &RawDocumentBuf)]) -> Execution {
        Execution {
            steps: steps.iter().map(|(request, command)| step(*request, command)).collect(),
            ..Execution::default()
        }
    }

    #[test]
    fn a_write_comes_second_if_no_two_requests_wrote_it_in_one_execution() {
        let insert = |key: i32| rawdoc! { "insert": "c", "documents": [{ "k": key }], "$db": "d" };
        let update = |key: i32| {
            let change = rawdoc! { "q": { "k": key }, "u": { "$set": { "n": key } } };
            rawdoc! { "update": "c", "updates": [change], "$db": "d" }
        };
        let find = rawdoc! { "find": "c", "filter": { "k": 1 }, "$db": "d" };
        let (one, other) =
            (execution(&[(0, &insert(1)), (1, &insert(1))]), execution(&[(0, &insert(2)), (1, &update(2))]));
        let both = execution(&[(0, &update(3)), (1, &update(3))]);
        for (executions, expected) in [
            (vec![&one], false),
            (vec![&one, &other], true),
            (vec![&one, &other, &both], false),
            // One that writes it twice is still one.
            (vec![&one, &execution(&[(1, &update(4)), (1, &update(4))])], true),
            (vec![&one, &execution(&[(0, &find)])], false),
            (vec![&one, &execution_of(&[(0, &find, 0), (0, &insert(6), 1), (1, &find, 1), (1, &insert(6), 1)])], true),
            (vec![&one, &execution_of(&[(0, &find, 0), (0, &insert(6), 1), (1, &find, 0), (1, &insert(6), 1)])], false),
            // The same write, which comes by another way.
            (vec![&one, &execution(&[(0, &insert(5)), (1, &find), (1, &insert(5))])], true),
            (vec![], false),
        ] {
            assert_eq!(is_of_one_alone(executions.into_iter()), expected);
        }
    }

    fn exploration(explored: u64, violated: u64) -> Exploration {
        let report = ExploreReport {
            explored,
            total: Some(explored),
            complete: true,
            violated,
            requests: 2,
            ..ExploreReport::default()
        };
        Exploration { report, ..Exploration::default() }
    }

    #[test]
    fn what_vanished_of_the_first_exploration_is_known_of_both() {
        let state = |keys: &[&str]| {
            let documents = keys.iter().map(|key| observed(Id::Text((*key).into()), *key)).collect();
            Observation { documents, ..Observation::default() }
        };
        // It was there in the first and in its final state, and goes while the second is on.
        let earlier = Earlier { state: state(&["a"]), keys: ["a".into()].into() };
        let fresh = Exploration { observation: Some(state(&["a"])), earlier: Some(earlier), ..exploration(6, 0) };
        let later = |keys: &[&str]| Exploration { observation: Some(state(keys)), ..exploration(4, 0) };
        let whole = with_established(fresh, later(&["b"]), "after a", &mut Vec::new()).observation.unwrap();
        assert_eq!(whole.vanished.iter().map(|vanished| &*vanished.key).collect::<Vec<_>>(), ["a"]);
        // It went in the first.
        let earlier = Earlier { state: state(&["a"]), keys: ["a".into()].into() };
        let fresh = Exploration { observation: Some(state(&[]).since(&earlier)), ..exploration(6, 0) };
        assert_eq!(
            with_established(fresh, later(&["b"]), "after a", &mut Vec::new()).observation.unwrap().vanished.len(),
            1
        );
    }

    #[test]
    fn what_was_sent_after_the_final_state_counts_once_a_later_one_is_read() {
        let get = |op: u64| {
            let found = crate::history::Outcome::Ok(crate::history::Value::Found(None));
            crate::history::fixture::operation(op, "k", crate::history::Action::Get, [op, op + 1], found)
        };
        let of = |operations: &[u64], doubt: Option<&str>| {
            let mut one = exploration(4, 0);
            one.history.operations = operations.iter().map(|op| get(*op)).collect();
            one.report.doubts.extend(doubt.map(str::to_owned));
            one
        };
        let mut unread = vec![get(3)];
        let whole = with_established(of(&[1], None), of(&[4], Some("open")), "after a", &mut unread);
        assert_eq!((whole.history.operations.len(), unread.len()), (1, 2), "its state was not read again");
        let whole = with_established(whole, of(&[5], None), "after b", &mut unread);
        let told: Vec<u64> = whole.history.operations.iter().map(|operation| operation.id.0).collect();
        assert_eq!((told, unread.len()), (vec![1, 3, 4, 5], 0));
    }

    #[test]
    fn a_race_of_two_on_what_others_left_is_marked_as_theirs() {
        let pair = |one: &str, other: &str| PairResult {
            operations: vec![one.to_owned(), other.to_owned()],
            verdict: Verdict::Holds,
            complete: true,
            apart: true,
            ..PairResult::default()
        };
        let mut fresh = exploration(6, 0);
        let pairs = vec![pair("open", "open"), pair("open", "top"), pair("drop", "top"), pair("top", "top")];
        fresh.as_if_serial = Some(AsIfSerialReport { verdict: Verdict::Holds, pairs, ..AsIfSerialReport::default() });
        let mut established = exploration(4, 2);
        let operations = ["open", "top", "drop"].map(str::to_owned).to_vec();
        established.as_if_serial = Some(AsIfSerialReport {
            verdict: Verdict::Violated,
            operations,
            in_words: "one is lost".to_owned(),
            ..AsIfSerialReport::default()
        });
        let whole = with_established(fresh, established, "after open", &mut Vec::new());
        let pairs = whole.as_if_serial.unwrap().pairs;
        let marks: Vec<&str> = pairs.iter().map(PairResult::mark).collect();
        assert_eq!(marks, [PairResult::APART, PairResult::APART, PairResult::RACE, PairResult::APART]);
        assert_eq!(pairs[2].in_words, "after open: one is lost");
    }

    #[test]
    fn what_comes_to_no_end_takes_nothing_away_unless_it_violates() {
        let report = |established: Exploration| {
            let whole = with_established(exploration(6, 0), established, "after a", &mut Vec::new());
            let report = whole.report;
            (report.explored, report.violated, report.complete, report.requests, report.notes.join("; "))
        };
        let (explored, violated, complete, requests, _) = report(exploration(4, 0));
        assert_eq!((explored, violated, complete, requests), (10, 0, true, 2));
        let doubted = |violated| {
            let mut one = exploration(4, violated);
            one.report.doubts.push("who knows".to_owned());
            one
        };
        let (explored, violated, complete, _, notes) = report(doubted(0));
        assert_eq!((explored, violated, complete), (6, 0, true));
        assert!(notes.contains("not explored to the end: who knows"), "{notes}");
        assert_eq!(report(doubted(1)).1, 1);
        let mut endless = exploration(4, 0);
        endless.report.complete = false;
        assert_eq!(report(endless).0, 6);
        // What the user's own invariants saw counts, too.
        let mut seen = doubted(0);
        let main = Tally { violated: 1, ..Tally::default() };
        seen.looks.push(Looks { name: "mine".to_owned(), main, ..Looks::default() });
        assert_eq!(report(seen).0, 10);
        let serial = |verdict| {
            let serial = AsIfSerialReport { verdict, judged: 3, ..AsIfSerialReport::default() };
            Exploration { as_if_serial: Some(serial), ..exploration(4, 0) }
        };
        let judged = |verdict| {
            let whole = with_established(serial(Verdict::Holds), serial(verdict), "after a", &mut Vec::new())
                .as_if_serial
                .unwrap();
            (whole.verdict, whole.judged)
        };
        assert_eq!(judged(Verdict::Holds), (Verdict::Holds, 6));
        assert_eq!(judged(Verdict::Violated), (Verdict::Violated, 6));
        assert_eq!(judged(Verdict::Inconclusive), (Verdict::Holds, 3));
        let mut unclear = serial(Verdict::Holds);
        let one = unclear.as_if_serial.as_mut().unwrap();
        one.classes.insert("mixed".to_owned(), 2);
        one.not_compared.push("a.b".to_owned());
        let whole = with_established(serial(Verdict::Holds), unclear, "after a", &mut Vec::new());
        assert_eq!(whole.as_if_serial.unwrap().not_compared, ["a.b"]);
        assert!(whole.report.notes.iter().any(|note| note.starts_with("two requests after a: in 2 of 3 each answer")));
    }
}
