//! Times that may be off: what is judged is a violation whatever the truth is, what overlaps did so in every truth.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::checker::{Evidence, judge};
use crate::history::fixture::operation;
use crate::history::{Action, Id, Outcome, Returned, Value};
use crate::shard::{Clock, Mark};
use crate::stats::{Conditions, concurrency};
use crate::verdict::Verdict;

/// Two shards, whose times are off by up to this much either way.
fn shards(off: i64) -> Vec<ShardRecord> {
    let mark = Mark { at_ns: 0, least_ns: -off, most_ns: off };
    let clock = Clock { reference: "a server".into(), drift_ppm: 0, marks: vec![mark] };
    let record = |index| ShardRecord {
        shard: Shard { index, of: 2 },
        meeting: String::new(),
        clients: 1,
        clock: clock.clone(),
        observed_at_ns: None,
        operations: None,
        state: ShardState::Whole,
    };
    vec![record(0), record(1)]
}

/// An operation of a client on a key: it finds nothing, or the document.
fn get(op: u64, key: &str, client: u32, [invoked, completed]: [Nanos; 2], found: bool) -> Operation {
    let id = found.then(|| Id::Text("one".into()));
    Operation { client, ..operation(op, key, Action::Get, [invoked, completed], Outcome::Ok(Value::Found(id))) }
}

fn created(op: u64, key: &str, client: u32, times: [Nanos; 2]) -> Operation {
    let answer = Returned { id: Some(Id::Text("one".into())), created: Some(true), ..Returned::default() };
    let action = Action::CreateOrGet { reversed: false };
    Operation { client, ..operation(op, key, action, times, Outcome::Ok(Value::Document(answer))) }
}

fn history(operations: Vec<Operation>) -> History {
    History { operations, ..History::default() }
}

fn linearizable(history: &History) -> Verdict {
    judge(history, None, Phase::Main, &[Invariant::CreateOrGetLinearizable])[0].verdict
}

#[test]
fn what_is_only_out_of_order_by_a_doubtful_clock_is_no_violation() {
    // Created by 200, and looked for in vain from 300 on.
    let of = |client| history(vec![created(0, "k", 0, [100, 200]), get(1, "k", client, [300, 400], false)]);
    for (client, off, verdict) in [
        (1, 0, Verdict::Violated),
        (1, 49, Verdict::Violated),
        (1, 50, Verdict::Holds),
        (1, 1_000, Verdict::Holds),
        // A shard's own clock leaves no doubt.
        (2, 1_000, Verdict::Violated),
    ] {
        assert_eq!(linearizable(&doubted(&of(client), &shards(off))), verdict, "client {client}, off by {off}");
    }
    let unknown = |mut shards: Vec<ShardRecord>| {
        shards[1].clock.marks.clear();
        shards
    };
    assert_eq!(linearizable(&doubted(&of(1), &unknown(shards(0)))), Verdict::Holds, "nothing is known of one clock");
}

/// On how many keys operations could race, as it is counted.
fn race_trials(recorded: &History, shards: &[ShardRecord]) -> u64 {
    let views = overlapping(recorded, shards);
    let views: Vec<Evidence<'_>> = views.iter().map(|view| Evidence::of_phase(view, None, Phase::Main)).collect();
    let conditions = Conditions { clients: 2, burst: false, connections: None, violated: false };
    concurrency(&views, &late(recorded, shards), conditions).race_trials
}

#[test]
fn who_began_after_another_shard_had_answered_takes_no_part_in_a_race() {
    // The first shard has made it by 120; both of the second begin later.
    let recorded =
        history(vec![created(0, "k", 0, [100, 120]), created(1, "k", 1, [130, 190]), created(2, "k", 1, [140, 200])]);
    assert_eq!(race_trials(&recorded, &shards(0)), 0);
    assert_eq!(race_trials(&recorded, &shards(4)), 0);
    let sooner =
        history(vec![created(0, "k", 0, [100, 150]), created(1, "k", 1, [130, 190]), created(2, "k", 1, [140, 200])]);
    assert_eq!(race_trials(&sooner, &shards(4)), 1);
}

/// Random histories of two shards with true times, recorded with clocks that are off: what is violated as judged must be
/// violated in truth, and what overlaps for certain must overlap in truth.
#[test]
fn no_clock_within_its_bounds_makes_a_violation_or_an_overlap() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let (mut violated, mut overlapped, mut raced) = (0, 0, 0);
    for _ in 0..3_000 {
        let off = random.random_range(0..30_i64);
        let errors = [random.random_range(-off..=off), random.random_range(-off..=off)];
        let truth: Vec<Operation> = (0..4)
            .map(|op| {
                let invoked = random.random_range(100..200);
                let times = [invoked, invoked + random.random_range(1..60)];
                let client = random.random_range(0..2);
                match random.random_range(0..3) {
                    0 => created(op, "k", client, times),
                    _ => get(op, "k", client, times, random.random()),
                }
            })
            .collect();
        let read = |operation: &Operation| {
            let error = -errors[operation.client as usize % 2];
            let at = |at: Nanos| at.saturating_add_signed(error);
            Operation { invoked: at(operation.invoked), completed: at(operation.completed), ..operation.clone() }
        };
        let recorded = history(truth.iter().map(read).collect());
        let truth = history(truth);
        if linearizable(&doubted(&recorded, &shards(off))) == Verdict::Violated {
            violated += 1;
            assert_eq!(linearizable(&truth), Verdict::Violated, "off by {errors:?}: {recorded:#?}");
        }
        let (measured, exact) = (race_trials(&recorded, &shards(off)), race_trials(&truth, &[]));
        raced += measured;
        assert!(measured <= exact, "off by {errors:?}: a race that there was not in {recorded:#?}");
        let certain = overlapping(&recorded, &shards(off)).remove(0);
        for (number, one) in certain.operations.iter().enumerate() {
            for other in &certain.operations[number + 1..] {
                let overlap = |one: &Operation, other: &Operation| {
                    one.invoked.max(other.invoked) < one.completed.min(other.completed)
                };
                let exact =
                    |operation: &Operation| truth.operations.iter().find(|exact| exact.id == operation.id).unwrap();
                if overlap(one, other) {
                    overlapped += 1;
                    assert!(overlap(exact(one), exact(other)), "off by {errors:?}: {one:?} {other:?}");
                }
            }
        }
    }
    assert!(violated > 100 && overlapped > 100 && raced > 100, "{violated} {overlapped} {raced}");
}

#[test]
fn the_first_view_has_what_is_certain_and_each_shard_its_own_times() {
    let recorded = history(vec![
        created(0, "k", 0, [100, 200]),
        get(1, "k", 1, [150, 250], true),
        get(2, "own", 1, [0, 9], false),
    ]);
    let views = overlapping(&recorded, &shards(20));
    let times = |view: &History| view.operations.iter().map(|one| (one.invoked, one.completed)).collect::<Vec<_>>();
    assert_eq!(times(&views[0]), [(120, 180), (170, 230), (0, 9)], "a key of one shard has the times of its clock");
    assert_eq!((times(&views[1]), times(&views[2])), (vec![(100, 200)], vec![(150, 250), (0, 9)]));
    let views = overlapping(&recorded, &shards(60));
    assert_eq!(times(&views[0]), [(0, 9)], "what may have ended before it began was certainly in flight at no time");
}

#[test]
fn shards_that_are_not_there_are_named() {
    let mut all = shards(0);
    assert_eq!(reasons(&all), Vec::<String>::new());
    all[1].state = ShardState::Died;
    assert!(reasons(&all)[0].starts_with("shard 1 of 2 died"), "{:?}", reasons(&all));
    all.iter_mut().for_each(|shard| shard.state = ShardState::Missing);
    assert!(reasons(&all)[0].starts_with("shards 0, 1 of 2 are missing"), "{:?}", reasons(&all));
}
