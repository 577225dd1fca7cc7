//! Tests of the watch: how often it asks, and what it makes of the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::explore::execution::Execution;
use crate::explore::fake::Bench;
use crate::history::Phase;
use crate::target::mongo::LookedAt;

/// So many documents stand for a collection that is not there.
const NOWHERE: u64 = u64::MAX;
/// So many for no answer at all.
const NEVER: u64 = u64::MAX - 1;

/// Gives so many documents, look after look; the last answer for ever.
struct Script {
    answers: Vec<u64>,
    next: Arc<AtomicUsize>,
    patience: Duration,
}

impl Script {
    fn watch(answers: &[u64]) -> (Watch<'static>, Arc<AtomicUsize>) {
        let (patience, next) = (Duration::from_millis(300), Arc::new(AtomicUsize::new(0)));
        let mut watch = Watch::new(Script { answers: answers.to_vec(), next: Arc::clone(&next), patience });
        (watch.pause, watch.longest) = (Duration::from_millis(1), Duration::from_millis(50));
        (watch, next)
    }
}

impl OwnInvariants for Script {
    fn ask(&self) -> BoxFuture<'_, Vec<QueryResult>> {
        let at = self.next.fetch_add(1, Ordering::Relaxed).min(self.answers.len() - 1);
        let documents = self.answers[at];
        if documents == NEVER {
            return Box::pin(std::future::pending());
        }
        let missing = if documents == NOWHERE { vec!["no collection".to_owned()] } else { Vec::new() };
        let result = QueryResult {
            name: "x".into(),
            documents,
            examples: Vec::new(),
            looked_at: Some(LookedAt { documents, missing }),
            moving: false,
            error: None,
        };
        Box::pin(std::future::ready(vec![result]))
    }

    fn names(&self) -> Vec<String> {
        vec!["x".to_owned()]
    }

    fn collection(&self, _: &str) -> Option<String> {
        Some("boxes".to_owned())
    }

    fn worsenings(&self, before: &[QueryResult], now: &[QueryResult]) -> Vec<(String, Worsening)> {
        let worse = !now[0].is_blind() && now[0].documents > before[0].documents;
        let worsening = Worsening { round: 0, what: "worse".into(), documents: Vec::new() };
        worse.then(|| ("x".to_owned(), worsening)).into_iter().collect()
    }

    fn meant_for_a_load(&self, _: &[QueryResult], _: &[QueryResult]) -> Vec<(String, String)> {
        Vec::new()
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}

#[tokio::test]
async fn only_what_became_worse_and_stays_so_is_told() {
    // At the beginning; the first execution; the second, whose look finds one more that is mended at once; the third.
    let (mut watch, _) = Script::watch(&[1, 1, 2, 1, 2]);
    watch.begin().await;
    assert!(watch.look(1, After::Main).await.is_empty());
    assert!(watch.look(2, After::Main).await.is_empty(), "the work in the background mended it");
    assert_eq!(watch.look(3, After::Main).await, [Invariant::Custom("x".into())]);
    assert!(watch.look(4, After::Main).await.is_empty(), "what was wrong before is not its doing");
    let looks = &watch.looks()[0];
    assert_eq!((looks.main.executions, looks.main.violated, looks.main.examples[0].round), (4, 1, 3));
}

#[tokio::test]
async fn what_never_comes_to_rest_accuses_nobody() {
    let (mut watch, _) = Script::watch(&(0..5000).collect::<Vec<_>>());
    watch.begin().await;
    assert!(watch.look(1, After::Main).await.is_empty());
    let looks = &watch.looks()[0];
    assert_eq!((looks.moving, looks.main.violated), (1, 0));
}

#[tokio::test]
async fn work_in_the_background_is_looked_at_twice() {
    // What the first look does not see yet.
    let (mut watch, _) = Script::watch(&[0, 0, 1]);
    watch.background = true;
    watch.begin().await;
    assert_eq!(watch.look(1, After::Main).await, [Invariant::Custom("x".into())]);
}

#[tokio::test]
async fn violations_that_were_waited_for_make_later_ones_quick_and_recoveries_slow_them_again() {
    let (mut watch, asked) = Script::watch(&[0, 1]);
    watch.begin().await;
    watch.confirmed = CONFIRMED;
    assert!(!watch.look(1, After::Main).await.is_empty());
    assert_eq!(asked.load(Ordering::Relaxed), 2, "nothing is at work in the background: asked once");
    watch.background = true;
    assert_eq!(watch.patience(), watch.pause * 2);
    watch.recovery = Duration::from_millis(50);
    assert_eq!(watch.patience(), Duration::from_millis(150));
}

#[tokio::test]
async fn what_comes_after_all_executions_is_the_doing_of_the_last() {
    let (mut watch, _) = Script::watch(&[0, 0, 1]);
    watch.begin().await;
    assert!(watch.look(1, After::Main).await.is_empty());
    assert_eq!(watch.look(1, After::All).await.len(), 1);
    assert!(watch.look(1, After::All).await.is_empty());
    let looks = &watch.looks()[0];
    assert_eq!((looks.main.executions, looks.main.violated), (1, 1));
}

#[tokio::test]
async fn what_is_not_there_yet_is_waited_for_and_never_counts_as_looked_at() {
    let (mut watch, asked) = Script::watch(&[0, NOWHERE, NOWHERE, 0, NOWHERE]);
    watch.begin().await;
    assert!(watch.look(1, After::Main).await.is_empty());
    assert_eq!(watch.looks()[0].main.executions, 1, "it came while it was waited for");
    watch.look(2, After::Main).await;
    watch.look(3, After::Main).await;
    let before = asked.load(Ordering::Relaxed);
    watch.look(4, After::Main).await;
    assert_eq!(asked.load(Ordering::Relaxed), before + 1, "it was waited for often enough");
    assert_eq!(watch.looks()[0].main.executions, 1);
}

/// An exploration of which one execution was looked at: what it is accused of, and what the looks say.
async fn looked_at(then: u64) -> (Vec<Invariant>, Looks) {
    let bench = Bench::silent(Duration::from_secs(1)).await;
    let (mut watch, _) = Script::watch(&[0, then]);
    watch.asked_within = Duration::from_millis(100);
    let mut explorer = bench.explorer(CancellationToken::new()).watching(watch);
    explorer.begin_watch().await;
    explorer.keep(Execution::default(), Vec::new(), Phase::Main);
    explorer.look(0, After::Main).await;
    let accused = explorer.found.custom.remove(&0).unwrap_or_default().into_iter().collect();
    (accused, explorer.watch.unwrap().looks()[0].clone())
}

#[tokio::test]
async fn a_look_takes_as_long_as_what_is_worse_must_stay_so() {
    let (accused, looks) = looked_at(1).await;
    assert_eq!((accused, looks.main.violated), (vec![Invariant::Custom("x".into())], 1));
}

#[tokio::test]
async fn a_look_that_comes_to_no_end_is_missing() {
    let (accused, looks) = looked_at(NEVER).await;
    assert_eq!((accused, looks.main.executions, looks.moving), (Vec::new(), 0, 1));
}

/// What is left of a rule that requests that meet break, and then requests one after another, and then again those that meet.
async fn of_a_rule(guessed: bool) -> (Vec<usize>, Looks, usize) {
    let bench = Bench::silent(Duration::from_secs(1)).await;
    // Each look is at one more.
    let watch = Watch::new(Script { answers: vec![0, 1, 2, 3], next: Arc::default(), patience: Duration::ZERO });
    let mut explorer = bench.explorer(CancellationToken::new()).watching(if guessed { watch.guessed() } else { watch });
    explorer.begin_watch().await;
    for (position, after) in [After::Main, After::Control, After::Main].into_iter().enumerate() {
        explorer.keep(Execution::default(), Vec::new(), Phase::Main);
        explorer.look(position, after).await;
    }
    let notes = explorer.found.notes.iter().filter(|note| note.contains("`x` was guessed")).count();
    (explorer.found.custom.keys().copied().collect(), explorer.watch.unwrap().looks()[0].clone(), notes)
}

#[tokio::test]
async fn a_rule_that_was_guessed_is_none_if_requests_one_after_another_break_it() {
    let (accused, looks, notes) = of_a_rule(false).await;
    assert_eq!((accused.len(), looks.main.violated, looks.control.violated, notes), (3, 2, 1, 0), "{looks:?}");
    let (accused, looks, notes) = of_a_rule(true).await;
    assert_eq!((accused.len(), looks.main.violated, looks.control.violated, notes), (0, 0, 0, 1), "{looks:?}");
    assert!(looks.unjudged.is_some());
}

#[tokio::test]
async fn without_a_beginning_nothing_holds() {
    let bench = Bench::silent(Duration::from_secs(1)).await;
    let (mut watch, _) = Script::watch(&[NEVER]);
    watch.asked_within = Duration::from_millis(20);
    let mut explorer = bench.explorer(CancellationToken::new()).watching(watch);
    let ended = tokio::time::timeout(Duration::from_secs(30), explorer.begin_watch()).await;
    assert!(ended.is_ok() && explorer.found.reasons[0].contains("your own invariants"), "{:?}", explorer.found.reasons);
}

#[tokio::test]
async fn a_guess_about_a_collection_that_is_filled_is_taken_back_and_a_users_own_rule_is_not() {
    let boxes: BTreeSet<String> = ["boxes".to_owned()].into();
    for (guessed, collections, taken_back) in
        [(true, &boxes, true), (false, &boxes, false), (true, &BTreeSet::from(["crates".to_owned()]), false)]
    {
        let (mut watch, _) = Script::watch(&[0, 0, 1]);
        if guessed {
            watch = watch.guessed();
        }
        watch.begin().await;
        watch.withdraw_about(collections, "it is filled");
        watch.look(1, After::Main).await;
        assert_eq!(watch.look(2, After::Main).await.is_empty(), taken_back, "{guessed} {collections:?}");
        assert_eq!(watch.withdrawn().get("x").is_some(), taken_back);
    }
}
