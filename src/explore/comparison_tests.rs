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

#[test]
fn a_document_holds_the_key_of_its_own_execution_alone() {
    let document = doc! { "log": [{ "of": "run-k12", "n": 1 }] };
    assert!(holds(&document, "run-k12"));
    assert!(!holds(&document, "run-k1") && !holds(&document, "run-k2"));
}
