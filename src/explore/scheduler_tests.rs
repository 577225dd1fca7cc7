//! Tests of the scheduler on requests in memory.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::super::fake::{Fake, Store, find_then_insert};
use super::super::policy::{Alternate, Replay, Serial, Together, Undecided, View, first};
use super::super::schedule::{Choice, Schedule};
use super::*;

fn replay(text: &str) -> Replay {
    Replay::new(text.parse::<Schedule>().unwrap())
}

#[tokio::test]
async fn a_schedule_decides_what_happens() {
    let (fake, mut scheduler) = Fake::new(2, find_then_insert);
    let cases = [
        ("1 1 2", "R1.find R1.insert R2.find", 1),
        ("2 2 1", "R2.find R2.insert R1.find", 1),
        ("1 2 1 2", "R1.find R2.find R1.insert R2.insert", 2),
        ("1 2 2 1", "R1.find R2.find R2.insert R1.insert", 2),
        ("2 1 1 2", "R2.find R1.find R1.insert R2.insert", 2),
    ];
    for (number, (schedule, named, documents)) in (0..).zip(cases) {
        let execution = scheduler.execute(&fake, number, &mut replay(schedule)).await;
        assert!(execution.is_exact(), "{execution:?}");
        assert_eq!((execution.named().as_str(), execution.schedule.to_string().as_str()), (named, schedule));
        assert_eq!(fake.documents(number), documents, "{schedule}");
        assert!(execution.requests.iter().all(|request| request.completion.is_some()));
    }
}

#[tokio::test]
async fn simple_policies_release_as_they_say() {
    let (fake, mut scheduler) = Fake::new(2, find_then_insert);
    let mut policies: [(&mut dyn Policy, &str); 3] = [
        (&mut Serial, "R1.find R1.insert R2.find"),
        (&mut Alternate::default(), "R1.find R2.find R1.insert R2.insert"),
        (&mut Together, "R1.find R2.find R2.insert+R1.insert"),
    ];
    for (number, (policy, named)) in (0..).zip(&mut policies) {
        assert_eq!(scheduler.execute(&fake, number, *policy).await.named(), *named);
    }
}

#[tokio::test]
async fn a_schedule_that_does_not_fit_is_no_execution() {
    let (fake, mut scheduler) = Fake::new(2, find_then_insert);
    for (number, schedule) in (0..).zip(["1 1 1", "3", "1 1b"]) {
        let execution = scheduler.execute(&fake, number, &mut replay(schedule)).await;
        assert!(execution.stuck.as_deref().is_some_and(|reason| reason.contains("does not fit")), "{execution:?}");
    }
    // And the next one is whole again.
    assert!(scheduler.execute(&fake, 9, &mut Serial).await.is_exact());
}

fn in_parallel(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
    async move {
        let (first, second) = tokio::join!(store.find(&key), store.find(&key));
        match first.or(second) {
            Some(by) => by,
            None => store.insert(&key, by).await,
        }
    }
    .boxed()
}

#[tokio::test]
async fn parallel_commands_of_one_request_are_choices_of_their_own() {
    let (fake, mut scheduler) = Fake::new(2, in_parallel);
    scheduler.parallel = true;
    let execution = scheduler.execute(&fake, 0, &mut replay("1b 2 1 2 1 2")).await;
    assert!(execution.is_exact() && execution.parallel, "{execution:?}");
    assert_eq!(execution.named(), "R1.find R2.find R1.find R2.find R1.insert R2.insert");
    assert_eq!(fake.documents(0), 2);
}

#[tokio::test]
async fn unexpected_parallel_commands_are_noticed() {
    let (fake, mut scheduler) = Fake::new(2, in_parallel);
    let execution = scheduler.execute(&fake, 0, &mut Alternate::default()).await;
    assert!(execution.parallel || !execution.is_exact(), "{execution:?}");
}

fn under_a_lock(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
    async move {
        let _held = store.lock.clone().lock_owned().await;
        find_then_insert(store, key, by).await
    }
    .boxed()
}

#[tokio::test]
async fn a_request_that_waits_for_another_is_woken_by_it() {
    let (fake, mut scheduler) = Fake::new(2, under_a_lock);
    let execution = scheduler.execute(&fake, 0, &mut Alternate::default()).await;
    assert!(execution.is_exact() && execution.waited, "{execution:?}");
    assert_eq!(execution.named(), "R1.find R1.insert R2.find");
    assert_eq!(fake.documents(0), 1);
}

fn with_work_afterwards(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
    async move {
        let found = store.find(&key).await;
        let later = store.clone();
        tokio::spawn(async move { later.insert("log", by).await });
        found.unwrap_or(by)
    }
    .boxed()
}

#[tokio::test]
async fn work_after_the_answer_is_reported_and_passes() {
    let (fake, mut scheduler) = Fake::new(2, with_work_afterwards);
    for number in 0..2 {
        let execution = scheduler.execute(&fake, number, &mut Serial).await;
        assert!(execution.stuck.is_none(), "{execution:?}");
    }
    scheduler.listen(Duration::from_millis(20)).await;
    assert_eq!(fake.store.count("log"), 4);
}

fn never_ends(_store: Store, _key: String, _by: usize) -> BoxFuture<'static, usize> {
    futures::future::pending().boxed()
}

fn never_stops(store: Store, key: String, _by: usize) -> BoxFuture<'static, usize> {
    async move {
        loop {
            store.find(&key).await;
        }
    }
    .boxed()
}

/// An instance that never comes up.
struct Hanging;

impl Subject for Hanging {
    fn requests(&self) -> usize {
        1
    }

    fn starts(&self) -> usize {
        1
    }

    fn class(&self, request: usize) -> usize {
        request
    }

    fn start(&self, _execution: u32, _request: usize) -> BoxFuture<'static, crate::target::Completion> {
        std::future::pending().boxed()
    }
}

#[tokio::test]
async fn the_time_that_is_told_of_a_start_is_the_one_for_which_it_was_waited_for() {
    let (_, mut scheduler) = Fake::new(1, find_then_insert);
    scheduler.timing.start = Duration::from_millis(250);
    let execution = scheduler.execute(&Hanging, 0, &mut Serial).await;
    assert_eq!(execution.stuck.as_deref(), Some("S1 neither sends a command nor ends for 0.25 s"));
}

#[tokio::test]
async fn what_hangs_or_runs_for_ever_is_given_up() {
    let (fake, mut scheduler) = Fake::new(1, never_ends);
    scheduler.timing.deadline = Duration::from_millis(50);
    let execution = scheduler.execute(&fake, 0, &mut Serial).await;
    assert!(execution.stuck.as_deref().is_some_and(|reason| reason.contains("neither sends")), "{execution:?}");

    let (fake, mut scheduler) = Fake::new(1, never_stops);
    let execution = scheduler.execute(&fake, 0, &mut Serial).await;
    assert!(execution.stuck.as_deref().is_some_and(|reason| reason.contains("do not come to an end")), "{execution:?}");
}

fn in_parallel_and_once_more(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
    async move {
        let late = async {
            if key == "k7" {
                store.find(&key).await;
            }
        };
        let (first, second, ()) = tokio::join!(store.find(&key), store.find(&key), late);
        match first.or(second) {
            Some(by) => by,
            None => store.insert(&key, by).await,
        }
    }
    .boxed()
}

#[tokio::test]
async fn a_silence_that_was_heard_before_is_not_waited_for() {
    let (fake, mut scheduler) = Fake::new(2, in_parallel_and_once_more);
    scheduler.parallel = true;
    let schedule = "1b 2 1 2 1 2";
    let named = "R1.find R2.find R1.find R2.find R1.insert R2.insert";
    for number in 0..2 {
        assert_eq!(scheduler.execute(&fake, number, &mut replay(schedule)).await.named(), named);
    }
    // From here on a silence would outlast the test.
    scheduler.timing.quiet = Duration::from_secs(3600);
    for number in 2..5 {
        let mut policy = replay(schedule);
        let exploring = scheduler.execute(&fake, number, &mut policy);
        let execution = tokio::time::timeout(Duration::from_secs(60), exploring).await;
        let execution = execution.expect("no silence is waited for");
        assert!(execution.is_exact() && execution.named() == named, "{execution:?}");
    }
    // A request that sends more than it ever did is noticed, and nothing is concluded from its execution.
    scheduler.timing.quiet = Duration::from_millis(20);
    let execution = scheduler.execute(&fake, 7, &mut Serial).await;
    assert!(!execution.is_exact(), "{execution:?}");
    // Then silences are waited for again.
    let execution = scheduler.execute(&fake, 8, &mut replay(schedule)).await;
    assert!(execution.is_exact(), "{execution:?}");
}

async fn until_found(store: &Store, key: &str) -> usize {
    loop {
        if let Some(by) = store.find(key).await {
            return by;
        }
    }
}

fn polling(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
    async move {
        // Whoever is second to write the lock waits until the first has written the result.
        if store.insert(&format!("{key}-lock"), by).await == by && store.first_of(&format!("{key}-lock")) == Some(by) {
            return store.insert(&key, by).await;
        }
        until_found(&store, &key).await
    }
    .boxed()
}

#[tokio::test]
async fn polls_are_left_out_while_another_can_go_on() {
    let (fake, mut scheduler) = Fake::new(2, polling);
    // Once the second asks, it would be asked for ever.
    let execution = scheduler.execute(&fake, 0, &mut LastFirst).await;
    assert!(execution.is_exact(), "{execution:?}");
    assert_eq!(execution.polls.into_keys().collect::<Vec<_>>(), [0], "{}", execution.schedule);
    assert_eq!(fake.documents(0), 1);
}

/// The first request that can move, but the second begins: a search that would starve the other.
struct LastFirst;

impl Policy for LastFirst {
    fn choose(&mut self, view: &View<'_>) -> Result<Choice, Undecided> {
        let begun = view.lanes[1].past != 0;
        let request = if begun { 0 } else { 1 };
        let chosen = view.enabled.iter().find(|enabled| enabled.pick.request == request);
        first(view).map(|fallback| chosen.map_or(fallback, |enabled| Choice(vec![enabled.pick])))
    }
}

#[tokio::test]
async fn a_request_of_which_an_answer_is_parked_is_at_rest() {
    let (fake, mut scheduler) = Fake::new(2, in_parallel);
    (scheduler.parallel, scheduler.park_answers) = (true, true);
    // One of its two answers is delivered, and nothing comes of that until the other is.
    let mut policy = replay("1 1 1 2 2 1 1 1 2 2");
    let execution = scheduler.execute(&fake, 0, &mut policy).await;
    assert!(execution.stuck.is_none() && !execution.waited, "it waits for nobody: {execution:?}");
}

fn writes_or_polls(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
    async move {
        if by == 0 {
            for _ in 0..3 {
                store.find(&format!("{key}-else")).await;
            }
            return store.insert(&key, by).await;
        }
        until_found(&store, &key).await
    }
    .boxed()
}

#[tokio::test]
async fn a_write_counts_for_who_polls_before_its_answer_is_delivered() {
    let (fake, mut scheduler) = Fake::new(2, writes_or_polls);
    scheduler.park_answers = true;
    // Two polls that find nothing; the write, of which nobody hears yet; then the poll that finds it.
    let mut policy = replay("2 2 2 2 1 1 1 1 1 1 1 2 2 1");
    let execution = scheduler.execute(&fake, 0, &mut policy).await;
    assert!(execution.stuck.is_none(), "{}: {:?}", execution.named(), execution.stuck);
    assert!(execution.named().ends_with("R1.insert R2.find R2.find↩ R1.insert↩"), "{}", execution.named());
}

/// Everything that is parked.
struct AllAtOnce;

impl Policy for AllAtOnce {
    fn choose(&mut self, view: &View<'_>) -> Result<Choice, Undecided> {
        Ok(Choice(view.enabled.iter().map(|enabled| enabled.pick).collect()))
    }
}

#[tokio::test]
async fn answers_that_are_delivered_together_are_all_named() {
    let (fake, mut scheduler) = Fake::new(2, find_then_insert);
    scheduler.park_answers = true;
    let execution = scheduler.execute(&fake, 0, &mut AllAtOnce).await;
    assert_eq!(execution.answers.len(), execution.steps.len(), "{execution:?}");
    assert_eq!(execution.named().matches('↩').count(), 4, "{}", execution.named());
}

/// Answers while its write is on its way.
fn insert_unheard(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
    async move {
        let _: Option<usize> = store.find(&key).await;
        tokio::spawn(async move {
            // The answer is a step ahead.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            store.insert(&key, by).await
        });
        by
    }
    .boxed()
}

#[tokio::test]
async fn a_write_that_its_requests_answer_overtakes_is_its_own_where_that_is_known() {
    for overtakes in [false, true] {
        let (fake, mut scheduler) = Fake::new(2, insert_unheard);
        scheduler.overtakes = overtakes;
        let execution = scheduler.execute(&fake, 0, &mut Serial).await;
        let inserts = execution.steps.iter().filter(|step| step.command.name == "insert").count();
        assert_eq!(inserts, if overtakes { 2 } else { 0 }, "{execution:?}");
    }
}
