//! Documents that grow and move: limits of size, failed parts of a bulk write, buckets, archives, outboxes.

use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use serde_json::json;

use super::room::{ATTEMPTS, Answer, Call, inserted, is_duplicate_key};
use super::table::{Form, Index, Mutant, Rule, When, crash, race, unique};
use crate::service::refusal::Refusal;
use crate::strategy::server_answer;

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        before: true,
        indexes: &[unique("sessions", &["key", "n"])],
        rule: Some(Rule {
            collection: "sent",
            pipeline: r#"[{"$lookup": {"from": "sessions", "localField": "text", "foreignField": "texts", "pipeline": [{"$project": {"_id": 1}}], "as": "sessions"}}, {"$match": {"sessions": []}}]"#,
        }),
        ..race("A8", "a document that is full is no error", "a document that is full is followed by another", &["send"])
    },
    Mutant {
        indexes: &[unique("messages", &["key", "n"])],
        ..race("A11", "parts of a bulk write may fail", "parts that failed are written again", &["send-two"])
    },
    Mutant {
        before: true,
        indexes: &[Index { collection: "buckets", fields: &["key", "n"], form: Form::Whole, when: When::Correct }],
        ..race("A20", "looks for room, then opens a bucket", "fills a bucket or opens the next, once", &["send"])
    },
    Mutant { before: true, ..race("A21", "copies, then deletes", "takes away, then keeps", &["archive", "send"]) },
    Mutant {
        before: true,
        alone: true,
        ..crash("A23", "publishes again after a crash", "an event is published under its name", &["relay"])
    },
];

pub(super) async fn answer(id: &str, call: &Call) -> Answer {
    match id {
        "A8" => send_long(call).await,
        "A11" => send_two(call).await,
        "A20" => send_into_bucket(call).await,
        "A21" => archive_or_send(call).await,
        _ => relay(call).await,
    }
}

/// Two messages of this length are too long for one document.
const LONG: usize = 9 * 1024 * 1024;

async fn send_long(call: &Call) -> Answer {
    let sessions = call.in_collection("sessions");
    if call.is("before") {
        sessions.insert_one(doc! { "key": &call.key, "n": 0, "texts": [] }).await?;
        return Ok(json!({}));
    }
    let text = format!("{}-{}", call.key, call.op);
    let push = doc! { "$push": { "texts": &text, "long": "x".repeat(LONG) } };
    let pushed = sessions.update_one(doc! { "key": &call.key, "n": 0 }, push.clone()).await;
    match pushed {
        Err(error) if is_too_large(&error) => {
            if call.correct() {
                let next = doc! { "key": &call.key, "n": 1 };
                sessions.update_one(next, push).upsert(true).await?;
            }
        }
        pushed => drop(pushed?),
    }
    call.in_collection("sent").insert_one(doc! { "text": text }).await?;
    Ok(json!({ "sent": true }))
}

fn is_too_large(error: &Error) -> bool {
    matches!(server_answer(error), Some((10334 | 17419 | 17420, _)))
}

/// Messages are numbered from how many there are.
async fn send_two(call: &Call) -> Answer {
    let messages = call.in_collection("messages");
    let mut left = vec![format!("{}-a", call.op), format!("{}-b", call.op)];
    for _ in 0..ATTEMPTS {
        let count = messages.count_documents(doc! { "key": &call.key }).await?;
        let first = i64::try_from(count).unwrap_or(i64::MAX);
        let numbered = left.iter().zip(first..).map(|(text, n)| doc! { "key": &call.key, "n": n, "text": text });
        let numbered: Vec<Document> = numbered.collect();
        let failed = match messages.insert_many(numbered).ordered(false).await {
            Ok(_) => Vec::new(),
            Err(error) => duplicates(error)?,
        };
        left = left.into_iter().enumerate().filter(|(at, _)| failed.contains(at)).map(|(_, text)| text).collect();
        if left.is_empty() || !call.correct() {
            return Ok(json!({ "sent": 2 }));
        }
    }
    Err(Refusal::unavailable("too many attempts"))
}

/// Positions of the documents that were there already; an error that says anything else stays one.
fn duplicates(error: Error) -> mongodb::error::Result<Vec<usize>> {
    let ErrorKind::InsertMany(many) = error.kind.as_ref() else { return Err(error) };
    let failed = many.write_errors.as_deref().unwrap_or_default();
    if many.write_concern_error.is_some() || !failed.iter().all(|failed| is_duplicate_key(failed.code)) {
        return Err(error);
    }
    Ok(failed.iter().map(|failed| failed.index).collect())
}

/// Messages in a bucket.
const FULL: i32 = 2;

async fn send_into_bucket(call: &Call) -> Answer {
    let buckets = call.in_collection("buckets");
    if call.is("before") {
        buckets.insert_one(doc! { "key": &call.key, "n": 1, "count": FULL, "texts": ["a", "b"] }).await?;
        return Ok(json!({}));
    }
    for _ in 0..ATTEMPTS {
        let last = buckets.find_one(doc! { "key": &call.key }).sort(doc! { "n": -1 }).await?;
        let n = last.as_ref().and_then(|last| last.get_i32("n").ok()).unwrap_or_default();
        let this = doc! { "key": &call.key, "n": n, "count": { "$lt": FULL } };
        let push = doc! { "$push": { "texts": &call.op }, "$inc": { "count": 1 } };
        if buckets.update_one(this, push).await?.matched_count == 1 {
            return Ok(json!({ "sent": true }));
        }
        let next = doc! { "key": &call.key, "n": n + 1, "count": 1, "texts": [&call.op] };
        if inserted(buckets.insert_one(next).await)? {
            return Ok(json!({ "sent": true }));
        }
    }
    Err(Refusal::unavailable("too many attempts"))
}

async fn archive_or_send(call: &Call) -> Answer {
    let (live, archive) = (call.in_collection("live"), call.in_collection("archive"));
    let this = doc! { "key": &call.key };
    if call.is("before") {
        live.insert_one(doc! { "key": &call.key, "texts": ["old"] }).await?;
    } else if call.is("send") {
        let push = doc! { "$push": { "texts": &call.op } };
        if live.update_one(this, push).await?.matched_count == 0 {
            live.insert_one(doc! { "key": &call.key, "texts": [&call.op] }).await?;
        }
    } else if call.correct() {
        if let Some(taken) = live.find_one_and_delete(this).await? {
            archive.insert_one(taken).await?;
        }
    } else if let Some(found) = live.find_one(this.clone()).await? {
        archive.insert_one(found).await?;
        live.delete_one(this).await?;
    }
    Ok(json!({ "done": true }))
}

async fn relay(call: &Call) -> Answer {
    let (outbox, published) = (call.in_collection("outbox"), call.in_collection("published"));
    if call.is("before") {
        outbox.insert_one(doc! { "event": &call.key, "sent": false }).await?;
        return Ok(json!({}));
    }
    if outbox.find_one(doc! { "event": &call.key, "sent": false }).await?.is_some() {
        let mut event = doc! { "event": &call.key };
        if call.correct() {
            event.insert("_id", &call.key);
        }
        inserted(published.insert_one(event).await)?;
        outbox.update_one(doc! { "event": &call.key }, doc! { "$set": { "sent": true } }).await?;
    }
    Ok(json!({ "relayed": true }))
}
