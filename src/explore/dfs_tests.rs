//! Tests of the exhaustive search on requests in memory: what it counts, and that reduction loses nothing.

use std::collections::BTreeSet;

use super::super::classes::Classes;
use super::super::fake::{Fake, Program, Store, find_then_insert};
use super::super::subject::Subject;
use super::*;
use crate::history::Outcome;
use futures::FutureExt;
use futures::future::BoxFuture;

struct Explored {
    executions: usize,
    redundant: usize,
    total: Option<u64>,
    outcomes: BTreeSet<usize>,
    violated: usize,
}

async fn explore(requests: usize, program: Program, reduce: bool) -> Explored {
    let (fake, mut scheduler) = Fake::new(requests, program);
    let class: Vec<usize> = (0..requests).map(|request| fake.class(request)).collect();
    let (mut dfs, mut classes) = (Dfs::new(reduce), Classes::default());
    let mut explored = Explored { executions: 0, redundant: 0, total: None, outcomes: BTreeSet::new(), violated: 0 };
    for number in 0.. {
        let execution = scheduler.execute(&fake, number, &mut dfs).await;
        assert!(execution.is_exact(), "{execution:?}");
        if dfs.is_redundant() {
            explored.redundant += 1;
        } else {
            explored.executions += 1;
            classes.add(&execution, &class);
            explored.outcomes.insert(fake.documents(number));
            explored.violated += usize::from(fake.documents(number) > 1);
        }
        if !dfs.advance() {
            break;
        }
    }
    explored.total = classes.interleavings();
    explored
}

#[tokio::test]
async fn all_interleavings_are_explored() {
    let two = explore(2, find_then_insert, false).await;
    assert_eq!((two.executions, two.violated, two.redundant), (6, 4, 0));
    let three = explore(3, find_then_insert, false).await;
    assert_eq!((three.executions, three.violated), (66, 60));
}

#[tokio::test]
async fn reduction_explores_fewer_and_counts_the_same() {
    for (requests, interleavings) in [(2, 6), (3, 66), (4, 1176)] {
        let reduced = explore(requests, find_then_insert, true).await;
        assert_eq!(reduced.total, Some(interleavings), "{requests} requests, {} executions", reduced.executions);
        assert_eq!(reduced.outcomes, (1..=requests).collect(), "{requests} requests");
        assert!(reduced.executions < 80, "{requests} requests: {} executions", reduced.executions);
    }
}

fn three_commands(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
    async move {
        store.find("session").await;
        let found = store.find(&key).await;
        match found {
            Some(by) => by,
            None => {
                store.insert("log", by).await;
                store.insert(&key, by).await
            }
        }
    }
    .boxed()
}

#[tokio::test]
async fn reduction_counts_the_same_where_many_commands_commute() {
    let all = explore(2, three_commands, false).await;
    let reduced = explore(2, three_commands, true).await;
    assert_eq!(reduced.total, Some(all.executions as u64));
    assert_eq!(reduced.outcomes, all.outcomes);
    assert!(reduced.executions * 2 < all.executions, "{} of {}", reduced.executions, all.executions);
}

/// Finds nothing, and has heard by another way of what was inserted since when it is told so.
fn late_news(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
    async move {
        match store.find(&key).await {
            Some(by) => by,
            None if store.first_of(&key).is_some() => usize::MAX,
            None => store.insert(&key, by).await,
        }
    }
    .boxed()
}

/// Executions, and what they came to: documents, and requests that failed.
async fn with_answers(park_answers: bool, reduce: bool) -> (usize, BTreeSet<(usize, usize)>) {
    let (fake, mut scheduler) = Fake::new(2, late_news);
    scheduler.park_answers = park_answers;
    let (mut dfs, mut executions, mut outcomes) = (Dfs::new(reduce), 0, BTreeSet::new());
    for number in 0.. {
        let execution = scheduler.execute(&fake, number, &mut dfs).await;
        assert!(execution.is_exact(), "{execution:?}");
        if !dfs.is_redundant() {
            executions += 1;
            let completions = execution.requests.iter().filter_map(|request| request.completion.as_ref());
            let failed = completions.filter(|completion| matches!(completion.outcome, Outcome::Failed(_))).count();
            outcomes.insert((fake.documents(number), failed));
            let releases = execution.steps.len() + execution.answers.len();
            assert_eq!(execution.schedule.0.len(), releases, "{}", execution.named());
        }
        if !dfs.advance() {
            break;
        }
    }
    (executions, outcomes)
}

#[tokio::test]
async fn answers_that_are_parked_as_well_show_what_is_heard_too_late() {
    let (few, at_once) = with_answers(false, false).await;
    assert!(at_once.iter().all(|(_, failed)| *failed == 0), "{at_once:?}");
    let (many, all) = with_answers(true, false).await;
    assert!(all.contains(&(1, 1)) && all.is_superset(&at_once), "{all:?}");
    let (reduced, same) = with_answers(true, true).await;
    assert_eq!(same, all);
    assert!(few < reduced && reduced < many, "{few} {reduced} {many}");
}

#[test]
fn a_command_in_a_collection_that_is_called_after_the_key_is_the_same_one() {
    use super::super::wire::message::tests::msg;
    use super::super::wire::{Command, Message};
    use mongodb::bson::rawdoc;
    let parked = |slot: usize, collection: &str| {
        let frame = msg(0, &rawdoc! { "insert": collection, "$db": "app" }, &[]);
        let command = Command::parse(&Message::parse(&frame).unwrap()).unwrap();
        let pick = super::super::schedule::Pick { request: 0, slot, ..super::super::schedule::Pick::default() };
        Enabled { pick, ordinal: slot, command: std::sync::Arc::new(command), is_answer: false }
    };
    for (before, now, same) in [
        (["t_k9", "logs"], ["t_k10", "logs"], true),
        (["t_k9", "logs"], ["t_k9", "logs"], true),
        (["t_k9", "logs"], ["t_x", "logs"], false),
        // Side by side in one request: another order, not another key.
        (["part1", "part2"], ["part2", "part1"], false),
        (["part1", "t_k9"], ["part1", "t_k10"], true),
    ] {
        let all = |names: [&str; 2]| [parked(0, names[0]), parked(1, names[1])];
        let (before, now) = (all(before), all(now));
        let found = before.iter().zip(&now).all(|(one, other)| is_same(one, other, &before));
        assert_eq!(found, same, "{before:?} {now:?}");
    }
}
