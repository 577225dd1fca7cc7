//! The final state: read when nothing of the run is in flight any more, and read twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};

use super::MongoTarget;
use crate::history::{Observation, Observed, Source};
use crate::strategy::create_or_get::{KEY, canonical_key, document_id, document_stamp, missing_fields};
use crate::target::TargetError;

/// How long operations in flight may take to end once they were told to.
const QUIESCE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the state is read at most until two reads are equal.
const READS: u32 = 10;

/// Ends what is in flight and reads until two reads in a row are equal.
pub(super) async fn final_state(target: &MongoTarget) -> Result<Observation, TargetError> {
    let ended = end_in_flight(target).await?;
    let mut last = documents(target).await?;
    for _ in 1..READS {
        let next = documents(target).await?;
        let equal = next == last;
        last = next;
        if equal {
            return Ok(Observation { source: Source::Mongo, quiescent: ended, documents: last });
        }
    }
    Ok(Observation { source: Source::Mongo, quiescent: false, documents: last })
}

/// Ends the run's operations that are still in the server; whether none is left. A user without the right to ask gets
/// no answer, and then quiescence rests on the two equal reads alone.
async fn end_in_flight(target: &MongoTarget) -> Result<bool, TargetError> {
    let deadline = Instant::now() + QUIESCE_TIMEOUT;
    loop {
        let question = doc! { "currentOp": 1, "command.comment": target.chats.comment.clone() };
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
    let failed = || target.step("reading the final state");
    let mut cursor =
        target.chats.chats.find(doc! {}).sort(doc! { "_id": 1 }).batch_size(1000).await.map_err(failed())?;
    let mut documents = Vec::new();
    while let Some(document) = cursor.try_next().await.map_err(failed())? {
        documents.push(observed(&document).map_err(|reason| TargetError::Step {
            step: "reading the final state".to_owned(),
            source: reason.into(),
        })?);
    }
    documents.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
    Ok(documents)
}

/// A chat as checkers see it. Its canonical key comes from its participants where it has them.
fn observed(document: &Document) -> Result<Observed, String> {
    let stored: Option<Arc<str>> = document.get_str(KEY).ok().map(Arc::from);
    let participants: Vec<&str> = document
        .get_array("participants")
        .map(|names| names.iter().filter_map(Bson::as_str).collect())
        .unwrap_or_default();
    let key = match (participants.as_slice(), &stored) {
        ([a, b], _) => canonical_key([a, b]),
        (_, Some(stored)) => stored.split_once('_').map_or(stored.to_string(), |(a, b)| canonical_key([a, b])),
        (_, None) => String::new(),
    };
    Ok(Observed {
        id: document_id(document).ok_or("a document has no _id")?,
        key: Arc::from(key),
        stored_key: stored,
        created_by: document_stamp(document),
        missing: missing_fields(document),
        fields: serde_json::to_value(document).map_err(|error| format!("a document cannot be shown: {error}"))?,
    })
}
