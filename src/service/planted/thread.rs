//! Threads and groups: counts, memberships, receipts, caps, and pointers to the last message.

use mongodb::bson::doc;
use mongodb::options::ReturnDocument;
use serde_json::json;

use super::room::{Answer, Call, inserted};
use super::table::{Mutant, crash, race, unique};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        before: true,
        ..crash("G6", "counts a reply again when it comes again", "counts what it adds", &["reply"])
    },
    Mutant {
        indexes: &[unique("groups", &["key"])],
        ..race("G9", "a member is kept, the group an error", "a group that is there is none", &["invite"])
    },
    Mutant {
        before: true,
        ..race("G10", "a reply to a thread that is gone", "a reply only where the thread is", &["remove", "reply"])
    },
    Mutant {
        indexes: &[unique("receipts", &["key"])],
        ..race("G11", "a second receipt is an error", "a second receipt is an update", &["read"])
    },
    Mutant { before: true, ..race("G12", "counts members, then adds one", "adds one where there is room", &["join"]) },
    Mutant { before: true, ..race("G13", "the last to write is the last message", "the highest number is", &["send"]) },
];

pub(super) async fn answer(id: &str, call: &Call) -> Answer {
    if call.is("before") {
        let thread = doc! { "key": &call.key, "replies": [], "count": 0, "members": ["ann"], "last": 0 };
        call.in_collection("threads").insert_one(thread).await?;
        return Ok(json!({}));
    }
    match id {
        "G6" => reply_counted(call).await,
        "G9" => invite(call).await,
        "G10" => reply_or_remove(call).await,
        "G11" => read(call).await,
        "G12" => join(call).await,
        _ => send(call).await,
    }
}

async fn reply_counted(call: &Call) -> Answer {
    let threads = call.in_collection("threads");
    let (this, count) = (doc! { "key": &call.key }, doc! { "count": 1 });
    let fresh = doc! { "key": &call.key, "replies": { "$ne": &call.op } };
    if call.correct() {
        threads.update_one(fresh, doc! { "$push": { "replies": &call.op }, "$inc": count }).await?;
    } else {
        threads.update_one(fresh, doc! { "$push": { "replies": &call.op } }).await?;
        threads.update_one(this, doc! { "$inc": count }).await?;
    }
    Ok(json!({ "replied": true }))
}

async fn invite(call: &Call) -> Answer {
    let groups = call.in_collection("groups");
    let found = groups.find_one(doc! { "key": &call.key }).await?;
    call.in_collection("members").insert_one(doc! { "key": &call.key, "member": &call.op }).await?;
    if found.is_none() {
        let created = groups.insert_one(doc! { "key": &call.key }).await;
        if call.correct() {
            inserted(created)?;
        } else {
            created?;
        }
    }
    Ok(json!({ "invited": true }))
}

async fn reply_or_remove(call: &Call) -> Answer {
    let (threads, replies) = (call.in_collection("threads"), call.in_collection("replies"));
    let this = doc! { "key": &call.key };
    if call.is("remove") {
        replies.delete_many(this.clone()).await?;
        threads.delete_one(this).await?;
        return Ok(json!({ "removed": true }));
    }
    let replied = if call.correct() {
        threads.update_one(this, doc! { "$push": { "replies": &call.op } }).await?.matched_count == 1
    } else {
        let found = threads.find_one(this).await?.is_some();
        if found {
            replies.insert_one(doc! { "key": &call.key, "text": &call.op }).await?;
        }
        found
    };
    Ok(json!({ "replied": replied }))
}

async fn read(call: &Call) -> Answer {
    let (receipts, this) = (call.in_collection("receipts"), doc! { "key": &call.key });
    let there = receipts.find_one(this.clone()).await?.is_some();
    let fresh = match there {
        true => false,
        false => {
            let written = receipts.insert_one(doc! { "key": &call.key, "reads": 1 }).await;
            if call.correct() { inserted(written)? } else { written.map(|_| true)? }
        }
    };
    if !fresh {
        receipts.update_one(this, doc! { "$inc": { "reads": 1 } }).await?;
    }
    Ok(json!({ "read": true }))
}

/// Members that a thread has room for.
const ROOM: usize = 2;

async fn join(call: &Call) -> Answer {
    let (threads, mut this) = (call.in_collection("threads"), doc! { "key": &call.key });
    let found = threads.find_one(this.clone()).await?;
    let members = found.as_ref().and_then(|found| found.get_array("members").ok()).map_or(0, Vec::len);
    if members >= ROOM {
        return Ok(json!({ "joined": false }));
    }
    if call.correct() {
        this.insert(format!("members.{}", ROOM - 1), doc! { "$exists": false });
    }
    let joined = threads.update_one(this, doc! { "$push": { "members": &call.op } }).await?;
    Ok(json!({ "joined": joined.matched_count == 1 }))
}

async fn send(call: &Call) -> Answer {
    let (threads, this) = (call.in_collection("threads"), doc! { "key": &call.key });
    let counted = threads.find_one_and_update(this.clone(), doc! { "$inc": { "count": 1 } });
    let counted = counted.return_document(ReturnDocument::After).await?;
    let n = counted.as_ref().and_then(|thread| thread.get_i32("count").ok()).unwrap_or_default();
    call.in_collection("replies").insert_one(doc! { "key": &call.key, "n": n }).await?;
    let last = doc! { "last": n };
    threads
        .update_one(
            this,
            if call.correct() {
                doc! { "$max": last }
            } else {
                doc! { "$set": last }
            },
        )
        .await?;
    Ok(json!({ "sent": true }))
}
