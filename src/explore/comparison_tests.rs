//! Tests of what is kept of executions: servers that do not answer, and whose a document is.

use mongodb::Client;
use mongodb::bson::doc;

use super::*;
use crate::explore::schedule::Schedule;

/// A comparison whose server takes connections and never says anything.
async fn beside_a_silent_server() -> (Comparison, tokio::net::TcpListener) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = Client::with_uri_str(format!("mongodb://{address}/?serverSelectionTimeoutMS=600000")).await.unwrap();
    let how = AsIfSerial { settings: Settings::default(), probes: false };
    (Comparison { capture: Some(Capture::of_nothing(client)), ..Comparison::new(how) }, listener)
}

#[tokio::test]
async fn an_interruption_ends_the_wait_for_what_was_written() {
    let (mut comparison, _server) = beside_a_silent_server().await;
    let stop = CancellationToken::new();
    tokio::join!(comparison.open(&stop), async { stop.cancel() });
    let execution = Execution { schedule: Schedule::default(), ..Execution::default() };
    assert_eq!(comparison.close(&execution, &stop).await, None);
    assert!(comparison.failure.is_none(), "an interruption is no failure: {:?}", comparison.failure);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_asked_once_and_never_again() {
    let (mut comparison, _server) = beside_a_silent_server().await;
    comparison.told_within = Duration::from_millis(20);
    comparison.open(&CancellationToken::new()).await;
    assert!(comparison.failure.as_ref().is_some_and(|why| why.contains("cannot be read")), "{:?}", comparison.failure);
    assert!(comparison.capture.is_none());
}

#[tokio::test]
async fn what_comes_late_is_looked_for_in_what_came_later_and_not_in_what_came_before() {
    let nowhere = Client::with_uri_str("mongodb://127.0.0.1:1").await.unwrap();
    let of = |id: i32, key: &str| ("app.log", doc! { "_id": id, "key": key });
    // Before the second execution began, something of its key was made ready.
    let (first, second, third) = ([of(1, "k-1"), of(2, "k-2")], [of(3, "k-2")], [of(4, "k-2"), of(5, "k-3")]);
    let capture = Capture::of_windows(nowhere, &[&first, &second, &third]);
    let how = AsIfSerial { settings: Settings::default(), probes: false };
    let mut comparison = Comparison { capture: Some(capture), late: true, ..Comparison::new(how) };
    for (position, key) in ["k-1", "k-2", "k-3"].into_iter().enumerate() {
        comparison.keep(position, vec![0], (position, key.into()), Vec::new());
    }
    let ids = |position: usize| {
        let window = comparison.window(position, &comparison.recorded[&position]).unwrap();
        window.written().map(|written| written.id.as_i32().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((ids(0), ids(1), ids(2)), (vec![1], vec![3, 4], vec![5]));
}

#[test]
fn a_document_holds_the_key_of_its_own_execution_alone() {
    let document = doc! { "log": [{ "of": "run-k12", "n": 1 }] };
    assert!(holds(&document, "run-k12"));
    assert!(!holds(&document, "run-k1") && !holds(&document, "run-k2"));
}

#[test]
fn where_requests_write_is_not_the_services_own_work_alone() {
    let how = AsIfSerial { settings: Settings::default(), probes: false };
    let mut comparison = Comparison::new(how);
    comparison.background = ["create app.wishes", "update app.beats"].map(str::to_owned).into();
    assert!(comparison.is_background("app.beats") && comparison.is_background("app.wishes"));
    // Made when the service started, and written by requests.
    let update = mongodb::bson::rawdoc! { "update": "wishes", "updates": [], "$db": "app" };
    let bytes = crate::explore::wire::message::tests::msg(0, &update, &[]);
    let command = crate::explore::wire::Message::parse(&bytes)
        .ok()
        .and_then(|message| crate::explore::wire::Command::parse(&message));
    let step = super::super::execution::Step {
        request: 0,
        pick: Default::default(),
        ordinal: 0,
        release: 0,
        sent: std::time::SystemTime::now(),
        command: Arc::new(command.unwrap()),
        reply: None,
        answered: None,
    };
    let at_start = ["insert app.instances", "update app.wishes"].map(str::to_owned).into();
    let execution = Execution { steps: vec![step], at_start, ..Execution::default() };
    comparison.requested.extend(sent_to(&execution));
    assert!(comparison.is_background("app.beats") && !comparison.is_background("app.wishes"));
    // Written when it is started again: what is its own is left out, and what it does for requests counts.
    assert!(!comparison.is_background("app.instances"));
    comparison.started_again(&execution);
    assert!(comparison.is_background("app.instances") && !comparison.is_background("app.wishes"));
}
