//! Tests of what is accused, and when it is not: on samples, without a server.

use tokio_util::sync::CancellationToken;

use crate::explore::comparison::{AsIfSerial, Comparison, PATIENT_QUIET};
use crate::explore::execution::Execution;
use crate::explore::explorer::Explorer;
use crate::explore::fake::Bench;
use crate::explore::fault::Faults;
use crate::explore::lint::Indexes;
use crate::history::Phase;
use crate::serial::{Answer, Change, Class, Difference, Judged, Judgement, Outcome, Sample, Settings, Value};
use crate::verdict::Verdict;

fn comparison() -> Comparison {
    Comparison::new(AsIfSerial { settings: Settings::default(), probes: false })
}

fn judged(class: Class) -> Judged {
    Judged { class, without: Vec::new(), status: 0, nearest: String::new(), differences: Vec::new() }
}

/// Two requests that left so many documents.
fn sample(documents: i64) -> Sample {
    let change = |number| Change {
        collection: "members".to_owned(),
        id: Value::Int(number),
        before: None,
        after: Some(Value::Map([("n".to_owned(), Value::Int(number))].into())),
    };
    let answer = Answer { status: 200, body: Value::Null };
    let answers = [(0, answer.clone()), (1, answer)].into();
    let outcome = Outcome { answers, probes: Vec::new(), changes: (0..documents).map(change).collect() };
    Sample { order: vec![0, 1], marks: Vec::new(), outcome, touched: None }
}

/// An exploration with one execution that is unlike its serial run.
fn with_an_anomaly(bench: &Bench, stop: CancellationToken) -> Explorer<'_> {
    let mut explorer = bench.explorer(stop);
    let mut comparison = comparison();
    comparison.judge.learn(sample(1));
    comparison.put(0, sample(2));
    explorer.comparison = Some(comparison);
    let schedule = "1 2 1 2".parse().unwrap();
    explorer.keep(Execution { schedule, ..Execution::default() }, vec![0, 1], Phase::Main);
    explorer
}

#[tokio::test]
async fn what_could_not_be_confirmed_is_not_accused() {
    let bench = Bench::silent(std::time::Duration::from_secs(1)).await;
    let stop = CancellationToken::new();
    let mut explorer = with_an_anomaly(&bench, stop.clone());
    stop.cancel();
    explorer.judge_serially(&[0]).await;
    let report = explorer.as_if_serial(&[0], Vec::new()).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive, "{report:?}");
    assert!(report.inconclusive.is_some_and(|why| why.contains("not confirmed")));
}

#[tokio::test]
async fn a_round_of_which_a_request_came_to_no_end_is_no_round() {
    let bench = Bench::silent(std::time::Duration::from_millis(20)).await;
    let mut explorer = bench.explorer(CancellationToken::new());
    explorer.comparison = Some(comparison());
    assert!(!explorer.serial_round(&[0, 1]).await);
    let comparison = explorer.comparison.as_ref().unwrap();
    assert_eq!((comparison.judge.rounds(), comparison.rounds.len()), (0, 0));
}

#[tokio::test]
async fn the_report_tells_of_what_was_searched_whatever_was_judged_last() {
    let bench = Bench::silent(std::time::Duration::from_secs(1)).await;
    let mut explorer = bench.explorer(CancellationToken::new());
    let again = vec![judged(Class::Lasting); 2];
    let mut comparison = comparison();
    comparison.judgement = Some(Judgement {
        executions: again,
        serial_outcomes: 1,
        serial_runs: 8,
        not_compared: Vec::new(),
        inconclusive: None,
        notes: Vec::new(),
    });
    explorer.comparison = Some(comparison);
    for position in 0..6 {
        explorer.keep(Execution::default(), vec![0, 1], Phase::Main);
        let class = if position < 4 { Class::Lasting } else { Class::Serial };
        explorer.found.serial.insert(position, judged(class));
    }
    let report = explorer.as_if_serial(&[0, 1, 2, 3, 4, 5], Vec::new()).unwrap();
    assert!(report.sentences[0].starts_with("in 4 of 6 interleavings"), "{:?}", report.sentences);
}

#[tokio::test]
async fn nothing_is_waited_for_longer_where_nothing_is_to_be_confirmed() {
    let bench = Bench::silent(std::time::Duration::from_secs(1)).await;
    let mut explorer = bench.explorer(CancellationToken::new());
    let mut comparison = comparison();
    comparison.late = true;
    explorer.comparison = Some(comparison);
    explorer.confirm_patiently(&[]).await;
    assert!(explorer.comparison.unwrap().quiet < PATIENT_QUIET);
}

#[tokio::test]
async fn what_violates_strictly_alone_is_confirmed_strictly_alone() {
    let bench = Bench::silent(std::time::Duration::from_secs(1)).await;
    for strict in [false, true] {
        let stop = CancellationToken::new();
        let mut explorer = bench.explorer(stop.clone());
        let settings = Settings { strict, ..Settings::default() };
        let mut comparison = Comparison::new(AsIfSerial { settings, probes: false });
        comparison.late = true;
        explorer.comparison = Some(comparison);
        explorer.keep(Execution::default(), vec![0, 1], Phase::Main);
        explorer.found.serial.insert(0, judged(Class::Mixed));
        stop.cancel();
        explorer.confirm_patiently(&[0]).await;
        assert_eq!(explorer.comparison.unwrap().quiet == PATIENT_QUIET, strict);
    }
}

/// Two requests of which only one was answered well, and left its document.
fn refused() -> Sample {
    let mut refused = sample(1);
    refused.outcome.answers.insert(1, Answer { status: 409, body: Value::Null });
    refused
}

#[tokio::test]
async fn what_violates_strictly_alone_is_not_accused_either_where_it_could_not_be_confirmed() {
    let bench = Bench::silent(std::time::Duration::from_secs(1)).await;
    for strict in [false, true] {
        let stop = CancellationToken::new();
        let mut explorer = with_an_anomaly(&bench, stop.clone());
        let settings = Settings { strict, ..Settings::default() };
        let mut comparison = Comparison::new(AsIfSerial { settings, probes: false });
        comparison.judge.learn(sample(1));
        let mut alone = sample(1);
        alone.outcome.answers.remove(&1);
        comparison.judge.learn(Sample { order: vec![0], ..alone });
        comparison.put(0, refused());
        explorer.comparison = Some(comparison);
        stop.cancel();
        explorer.judge_serially(&[0]).await;
        assert_eq!(explorer.found.serial[&0].class, Class::Refused);
        let report = explorer.as_if_serial(&[0], Vec::new()).unwrap();
        let doubted = report.inconclusive.is_some_and(|why| why.contains("not confirmed"));
        assert_eq!(doubted, strict, "{strict}");
    }
}

#[tokio::test]
async fn an_order_that_was_chosen_is_carried_out_again_before_one_that_is_the_servers_choice() {
    let bench = Bench::silent(std::time::Duration::from_secs(1)).await;
    let mut explorer = bench.explorer(CancellationToken::new());
    for schedule in ["1+2", "1 2 1 2", "1 2 2 1"] {
        let schedule = schedule.parse().unwrap();
        explorer.keep(Execution { schedule, ..Execution::default() }, vec![0, 1], Phase::Main);
    }
    assert_eq!(explorer.found.easiest(&[0, 1, 2]), [2, 1]);
}

#[tokio::test]
async fn strictly_too_one_request_after_the_other_is_to_blame_for_nothing() {
    let bench = Bench::silent(std::time::Duration::from_secs(1)).await;
    let mut explorer = bench.explorer(CancellationToken::new());
    let settings = Settings { strict: true, ..Settings::default() };
    explorer.comparison = Some(Comparison::new(AsIfSerial { settings, probes: false }));
    for schedule in ["1 1 2 2", "1 2 1 2"] {
        let schedule = schedule.parse().unwrap();
        explorer.keep(Execution { schedule, ..Execution::default() }, vec![0, 1], Phase::Main);
    }
    let judgement = Judgement {
        executions: vec![judged(Class::Mixed); 2],
        serial_outcomes: 1,
        serial_runs: 8,
        not_compared: Vec::new(),
        inconclusive: None,
        notes: Vec::new(),
    };
    assert_eq!(explorer.blameless(&[0, 1], &judgement), [0].into());
}

#[tokio::test]
async fn what_differs_where_serial_schedules_differ_as_well_accuses_nobody_and_proves_nothing() {
    let bench = Bench::silent(std::time::Duration::from_secs(1)).await;
    let at = |places: &[&str]| {
        let of = |place: &&str| Difference { place: (*place).to_owned(), serially: "1".into(), here: "2".into() };
        Judged { differences: places.iter().map(of).collect(), ..judged(Class::Lasting) }
    };
    let mut explorer = bench.explorer(CancellationToken::new());
    explorer.comparison = Some(comparison());
    for schedule in ["1 1 2 2", "1 2 1 2", "1 2 2 1", "2 1 2 1"] {
        let schedule = schedule.parse().unwrap();
        explorer.keep(Execution { schedule, ..Execution::default() }, vec![0, 1], Phase::Main);
    }
    let executions = vec![at(&["a.port"]), at(&["a.port"]), at(&["a.port", "a.n"]), at(&[])];
    let judgement = Judgement {
        executions,
        serial_outcomes: 1,
        serial_runs: 8,
        not_compared: Vec::new(),
        inconclusive: None,
        notes: Vec::new(),
    };
    let positions = [0, 1, 2, 3];
    let blameless = explorer.blameless(&positions, &judgement);
    assert_eq!(blameless, [0].into());
    assert_eq!(explorer.noisy(&positions, &judgement, &blameless), [1].into());
    assert_eq!(explorer.noisy(&positions, &judgement, &Default::default()), [].into(), "nothing is known to be noise");
}

#[tokio::test]
async fn faults_are_not_judged_without_knowing_what_expires() {
    let bench = Bench::silent(std::time::Duration::from_secs(1)).await;
    let failure = |mut explorer: Explorer<'_>| {
        explorer.comparison = Some(comparison());
        explorer.learn_what_expires(&Indexes { unread: Some("app.locks: no".to_owned()), ..Indexes::new() });
        explorer.comparison.and_then(|comparison| comparison.failure)
    };
    let explorer = || bench.explorer(CancellationToken::new());
    assert!(failure(explorer().with_faults(Faults::default())).is_some_and(|why| why.contains("app.locks: no")));
    assert_eq!(failure(explorer()), None, "nothing is left behind where nothing happens");
}
