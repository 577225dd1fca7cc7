//! The final state: read when nothing of the run is in flight any more, and read twice.

use std::time::{Duration, Instant};

use mongodb::bson::{Bson, doc};

use super::{MongoTarget, ReadError, truth};
use crate::history::{Observation, Observed, Source};
use crate::target::TargetError;

/// How long operations in flight may take to end once they were told to.
const QUIESCE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the state is read at most until two reads are equal.
const READS: u32 = 10;

/// Ends what is in flight and reads until two reads in a row are equal.
pub(super) async fn final_state(target: &MongoTarget) -> Result<Observation, TargetError> {
    let ended = end_in_flight(target).await?;
    let majority = truth::await_majority(&target.connected, target.database().name()).await;
    majority.map_err(target.step("waiting until a majority has the last writes"))?;
    let mut last = documents(target).await?;
    for _ in 1..READS {
        let next = documents(target).await?;
        let equal = next == last;
        last = next;
        if equal {
            return Ok(Observation {
                source: Source::Mongo,
                quiescent: ended,
                documents: last,
                ..Observation::default()
            });
        }
    }
    Ok(Observation { source: Source::Mongo, quiescent: false, documents: last, ..Observation::default() })
}

/// Ends the run's operations that are still in the server; whether none is left. A user without the right to ask gets
/// no answer, and then quiescence rests on the two equal reads alone.
async fn end_in_flight(target: &MongoTarget) -> Result<bool, TargetError> {
    let deadline = Instant::now() + QUIESCE_TIMEOUT;
    loop {
        let question = doc! { "currentOp": 1, "command.comment": target.run_database.comment() };
        let Ok(answer) = target.connected.admin(question).await else { return Ok(true) };
        let running = answer.get_array("inprog").map(|operations| operations.as_slice()).unwrap_or_default();
        let ids: Vec<Bson> = running
            .iter()
            .filter_map(Bson::as_document)
            .filter_map(|operation| operation.get("opid"))
            .cloned()
            .collect();
        if ids.is_empty() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        for id in ids {
            let kill = doc! { "killOp": 1, "op": id };
            target.connected.admin(kill).await.map_err(target.step("ending an operation in flight"))?;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn documents(target: &MongoTarget) -> Result<Vec<Observed>, TargetError> {
    const STEP: &str = "reading the final state";
    let mut documents = target.adapter.observe().await.map_err(|error| match error {
        ReadError::Driver(error) => target.step(STEP)(error),
        ReadError::Document(reason) => TargetError::Step { step: STEP.to_owned(), source: reason.into() },
    })?;
    documents.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
    Ok(documents)
}
