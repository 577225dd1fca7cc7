//! Searches on a real MongoDB.

use mongodb::Client;
use mongodb::bson::{Document, doc};
use onlyone::explore::members;
use onlyone::explore::proxy::Proxy;
use onlyone::explore::search::Search;
use onlyone::mongod::{Mongod, Options};
use onlyone::scenario::MongodSpec;
use onlyone::target::MongoUri;
use onlyone::verdict::Verdict;

use crate::support::{Case, server};

#[tokio::test(flavor = "multi_thread")]
async fn every_interleaving_is_explored_and_judged() {
    let mongod = server(0).await;
    // Strategy, unique index, requests, interleavings, how many of them violate what.
    type Row = (&'static str, bool, u32, u64, u64, &'static str, &'static [&'static str]);
    let table: [Row; 9] = [
        ("find-then-insert", false, 2, 6, 4, "single-document", &["check-then-act"]),
        ("find-then-insert", true, 2, 6, 4, "no-leaked-errors", &["check-then-act"]),
        ("create-then-fill", true, 2, 16, 6, "insert-fields-intact", &["check-then-act"]),
        ("upsert-set", true, 2, 2, 2, "insert-fields-intact", &[]),
        ("local-id", true, 2, 2, 2, "same-id", &[]),
        ("insert-first", true, 2, 2, 0, "", &[]),
        ("upsert-retry", true, 2, 2, 0, "", &[]),
        ("find-then-insert", false, 3, 66, 60, "single-document", &["check-then-act"]),
        ("find-then-insert", false, 4, 1176, 1152, "single-document", &["check-then-act"]),
    ];
    for (number, (strategy, index, requests, total, violated, invariant, lint)) in table.into_iter().enumerate() {
        let explored = Case::new(strategy, index, requests).explore(&mongod, &format!("t{number}")).await;
        let report = &explored.report;
        let name = format!("{strategy}, index {index}, {requests} requests: {report:?}");
        assert!(report.complete && report.doubts.is_empty(), "{name}");
        assert_eq!(report.total, Some(total), "{name}");
        assert_eq!(report.lint.iter().map(|finding| finding.rule.as_str()).collect::<Vec<_>>(), lint, "{name}");
        if requests == 2 {
            assert_eq!((report.explored, report.violated), (total, violated), "{name}");
        } else {
            assert_eq!(report.violated_interleavings, Some(violated), "{name}");
            assert!(report.reduced && report.explored < total / 4, "{name}");
        }
        let Some(smallest) = &report.smallest else {
            assert_eq!(violated, 0, "{name}");
            continue;
        };
        assert!(smallest.reproduced && smallest.requests == 2, "{name}");
        assert!(report.first_violation_at.is_some_and(|first| first <= 10), "{name}");
        let named = |result: &onlyone::report::ScheduleResult| {
            result.invariants.iter().any(|found| found.to_string() == invariant)
        };
        assert!(report.schedules.iter().filter(|result| result.verdict == Verdict::Violated).all(named), "{name}");
    }
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn upserts_released_together_race_in_the_server() {
    let mongod = server(0).await;
    let explored = Case::new("upsert", false, 2).explore(&mongod, "together").await;
    let report = &explored.report;
    assert_eq!((report.explored, report.total, report.violated), (2, Some(2), 0), "{report:?}");
    assert_eq!(report.lint[0].rule, "upsert-without-unique-index");
    let together = report.together.as_ref().unwrap();
    // The race is the server's choice. When it does not strike, the lint keeps the verdict from holding.
    assert_eq!(together.violated == 0, !report.doubts.is_empty(), "{report:?}");
    let explored = Case::new("upsert-retry", true, 2).explore(&mongod, "indexed").await;
    assert_eq!(explored.report.together.unwrap().violated, 0);
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn upserts_that_are_made_to_meet_race_for_certain() {
    let spec = MongodSpec { replica_set: 0, test_commands: true };
    let mongod = Mongod::start(&Options::new(spec)).await.unwrap();
    for (strategy, index, violated) in [("upsert", false, true), ("upsert", true, false)] {
        let explored = Case::new(strategy, index, 2).explore(&mongod, &format!("meeting-{index}")).await;
        let report = &explored.report;
        let together = report.together.as_ref().unwrap();
        let expected = if violated { together.attempts } else { 0 };
        assert_eq!(together.violated, expected, "{report:?}");
        assert!(together.attempts > 0 && report.notes.iter().any(|note| note.contains("made to meet")) == violated);
    }
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_carried_out_twice_are_compared() {
    let mongod = server(0).await;
    let explored = Case { twice: true, ..Case::new("find-then-insert", false, 2) }.explore(&mongod, "twice").await;
    let report = &explored.report;
    assert_eq!((report.explored, report.violated, report.complete), (6, 4, true), "{report:?}");
    let repeated = report.repeated.unwrap();
    assert!(repeated.times >= 6 && repeated.same == repeated.times, "{report:?}");
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_poll_for_a_lock_are_explored_to_the_end() {
    let mongod = server(0).await;
    let explored = Case::new("lock-collection", true, 2).explore(&mongod, "polls").await;
    let report = &explored.report;
    assert!(report.complete && report.violated == 0 && report.doubts.is_empty(), "{report:?}");
    assert!(report.notes.iter().any(|note| note.contains("a request polls (insert ")), "{report:?}");
    assert!(report.schedules.iter().all(|one| one.verdict == Verdict::Holds), "{report:?}");
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_replays_the_same_violation_every_time() {
    let mongod = server(0).await;
    let replay = Search::Replay { schedule: "1 2 1 2".parse().unwrap(), times: 100 };
    let explored = Case { search: replay, ..Case::new("find-then-insert", false, 2) }.explore(&mongod, "replay").await;
    let repeated = explored.report.repeated.unwrap();
    assert_eq!((repeated.times, repeated.same), (100, 100));
    assert_eq!((explored.report.explored, explored.report.violated), (1, 1));
    let misfit = Search::Replay { schedule: "1 1 1".parse().unwrap(), times: 1 };
    let explored = Case { search: misfit, ..Case::new("find-then-insert", false, 2) }.explore(&mongod, "misfit").await;
    assert!(explored.report.doubts.iter().any(|doubt| doubt.contains("does not fit")), "{:?}", explored.report);
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_by_chance_find_the_race_and_say_how_sure_they_are() {
    let mongod = server(0).await;
    for (run, search) in [("pct", Search::Pct { depth: 2 }), ("random", Search::Random)] {
        let explored = Case { search, ..Case::new("find-then-insert", false, 2) }.explore(&mongod, run).await;
        let report = &explored.report;
        assert!(report.violated > 0 && !report.complete && report.total.is_none(), "{report:?}");
        assert_eq!(report.bound.as_deref().is_some_and(|bound| bound.contains("1/8")), run == "pct", "{report:?}");
    }
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_set_is_explored_through_the_proxy_alone() {
    let mongod = server(3).await;
    let explored = Case::new("find-then-insert", false, 2).explore(&mongod, "members").await;
    assert_eq!((explored.report.explored, explored.report.violated), (6, 4), "{:?}", explored.report);

    // A driver that knows the proxy alone finds all members there, and transactions, cursors and sessions work.
    let uri = MongoUri::new(mongod.uri());
    let direct = Client::with_uri_str(mongod.uri()).await.unwrap();
    let servers = members::of(&direct, &uri).await;
    assert_eq!(servers.len(), 3);
    let proxy = Proxy::start(&servers).await.unwrap();
    let through = proxy.uri(&mongod.uri()).unwrap();
    let client = Client::with_uri_str(format!("{through}&readPreference=secondaryPreferred")).await.unwrap();
    let documents = client.database("onlyone_explore").collection::<Document>("documents");
    documents.insert_many((0..5000).map(|number| doc! { "n": number })).await.unwrap();
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    documents.insert_one(doc! { "n": -1 }).session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();
    let mut cursor = documents.find(doc! { "n": { "$gte": 0 } }).batch_size(100).await.unwrap();
    while cursor.advance().await.unwrap() {}
    assert!(proxy.complaints().is_empty(), "{:?}", proxy.complaints());
    proxy.stop().await;
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_parked_are_choices_of_their_own() {
    let mongod = server(0).await;
    let parked = |strategy| Case { park_answers: true, ..Case::new(strategy, true, 2) };
    let explored = parked("find-then-insert").explore(&mongod, "parked").await;
    let report = &explored.report;
    // Each request has four choices: 60 of their 70 orders have both look before either inserts, and race. In the others who
    // comes second finds the chat and is done, so that only the first one's last answer goes here or there: three ways each.
    assert!(report.complete && report.doubts.is_empty(), "{report:?}");
    assert_eq!((report.explored, report.violated), (66, 60), "{report:?}");
    assert!(
        report.schedules.iter().any(|one| one.schedule.starts_with("R1.find R2.find R1.find↩ R1.insert")),
        "{report:?}"
    );
    assert!(report.smallest.as_ref().is_some_and(|smallest| smallest.reproduced), "{report:?}");

    let explored = parked("insert-first").explore(&mongod, "parked-correct").await;
    let report = &explored.report;
    assert!(report.complete && report.violated == 0 && report.explored > 2, "{report:?}");
    mongod.stop().await.unwrap();
}
