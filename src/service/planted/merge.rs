//! Merging: trust in an index, markers elsewhere, sessions that move into each other, coalescing, transactions.

use mongodb::ClientSession;
use mongodb::bson::{Bson, doc};
use mongodb::error::TRANSIENT_TRANSACTION_ERROR;
use serde_json::json;

use super::room::{ATTEMPTS, Answer, Call, inserted};
use super::table::{Mutant, crash, race, unique};
use crate::service::refusal::Refusal;

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        before: true,
        indexes: &[unique("chats", &["messages"])],
        ..race("M9", "a unique index is to keep an array free of duplicates", "the update's filter does", &["merge"])
    },
    Mutant { before: true, ..crash("M12", "marked as done, then done", "done and marked by one update", &["merge"]) },
    Mutant {
        before: true,
        ..race("M13", "copies, then deletes, while others write", "takes away, then adds", &["move", "send"])
    },
    Mutant {
        before: true,
        ..race(
            "M14",
            "each looks whether the other is live",
            "one document says who was merged",
            &["a-into-b", "b-into-a"],
        )
    },
    Mutant {
        before: true,
        ..race("M15", "writes back the last message", "writes it back if it is what was read", &["say"])
    },
    Mutant {
        before: true,
        ..race(
            "M17",
            "a transaction begins again with what it had",
            "a transaction begins again with nothing",
            &["merge"],
        )
    },
];

pub(super) async fn answer(id: &str, call: &Call) -> Answer {
    if call.is("before") {
        return before(id, call).await;
    }
    match id {
        "M9" => merge_by_index(call).await,
        "M12" => merge_with_marker(call).await,
        "M13" => move_or_send(call).await,
        "M14" => merge_two(call).await,
        "M15" => say(call).await,
        _ => merge_in_transaction(call).await,
    }
}

async fn before(id: &str, call: &Call) -> Answer {
    let chats = call.in_collection("chats");
    let chat = |name: &str, messages: &[&str]| doc! { "key": &call.key, "name": name, "messages": messages };
    match id {
        "M9" => chats.insert_one(chat("a", &[&format!("{}-first", call.key)])).await.map(|_| ())?,
        "M13" => chats.insert_many([chat("a", &["x", "y"]), chat("b", &[])]).await.map(|_| ())?,
        "M14" => {
            let live = |name: &str| doc! { "key": &call.key, "name": name, "into": null };
            chats.insert_many([live("a"), live("b"), live("pair")]).await.map(|_| ())?;
        }
        "M15" => chats.insert_one(doc! { "key": &call.key, "last": "hello" }).await.map(|_| ())?,
        _ => chats.insert_one(chat("a", &[])).await.map(|_| ())?,
    }
    Ok(json!({}))
}

/// Both deliver one content.
async fn merge_by_index(call: &Call) -> Answer {
    let (chats, push) = (call.in_collection("chats"), doc! { "$push": { "messages": &call.key } });
    let (this, there) = (doc! { "key": &call.key }, doc! { "key": &call.key, "messages": &call.key });
    if call.correct() {
        chats.update_one(doc! { "key": &call.key, "messages": { "$ne": &call.key } }, push).await?;
    } else if chats.find_one(there).await?.is_none() {
        inserted(chats.update_one(this, push).await)?;
    }
    Ok(json!({ "merged": true }))
}

async fn merge_with_marker(call: &Call) -> Answer {
    let (chats, push) = (call.in_collection("chats"), doc! { "$push": { "messages": &call.op } });
    if call.correct() {
        chats.update_one(doc! { "key": &call.key, "messages": { "$ne": &call.op } }, push).await?;
    } else {
        let marker = doc! { "_id": format!("{}-{}", call.key, call.op) };
        if inserted(call.in_collection("done").insert_one(marker).await)? {
            chats.update_one(doc! { "key": &call.key }, push).await?;
        }
    }
    Ok(json!({ "merged": true }))
}

async fn move_or_send(call: &Call) -> Answer {
    let chats = call.in_collection("chats");
    let named = |name: &str| doc! { "key": &call.key, "name": name };
    // Sorted, so that it does not count who came first.
    let push = |texts: Vec<Bson>| doc! { "$push": { "messages": { "$each": texts, "$sort": 1 } } };
    if call.is("send") {
        let sent = push(vec![Bson::from(&call.op)]);
        if chats.update_one(named("a"), sent.clone()).await?.matched_count == 0 {
            chats.update_one(named("b"), sent).await?;
        }
        return Ok(json!({ "sent": true }));
    }
    let found = match call.correct() {
        true => chats.find_one_and_delete(named("a")).await?,
        false => chats.find_one(named("a")).await?,
    };
    let texts = found.as_ref().and_then(|found| found.get_array("messages").ok()).cloned();
    if let Some(texts) = texts {
        chats.update_one(named("b"), push(texts)).await?;
    }
    if !call.correct() {
        chats.delete_one(named("a")).await?;
    }
    Ok(json!({ "moved": true }))
}

async fn merge_two(call: &Call) -> Answer {
    let chats = call.in_collection("chats");
    let (from, into) = if call.is("a-into-b") { ("a", "b") } else { ("b", "a") };
    let live = |name: &str| doc! { "key": &call.key, "name": name, "into": null };
    let merged = doc! { "$set": { "into": into } };
    let free = match call.correct() {
        true => chats.update_one(live("pair"), merged.clone()).await?.matched_count == 1,
        false => chats.find_one(live(from)).await?.is_some() && chats.find_one(live(into)).await?.is_some(),
    };
    if free {
        chats.update_one(live(from), merged).await?;
    }
    Ok(json!({ "merged": free }))
}

/// What one author says in a row is one message.
async fn say(call: &Call) -> Answer {
    let chats = call.in_collection("chats");
    for _ in 0..ATTEMPTS {
        let found = chats.find_one(doc! { "key": &call.key }).await?;
        let last = found.as_ref().and_then(|found| found.get_str("last").ok()).unwrap_or_default();
        let mut filter = doc! { "key": &call.key };
        if call.correct() {
            filter.insert("last", last);
        }
        let set = doc! { "$set": { "last": format!("{last} again") } };
        if chats.update_one(filter, set).await?.matched_count == 1 {
            return Ok(json!({ "said": true }));
        }
    }
    Err(Refusal::unavailable("too many attempts"))
}

async fn merge_in_transaction(call: &Call) -> Answer {
    let mut session = call.database().client().start_session().await?;
    let mut messages = Vec::new();
    for _ in 0..ATTEMPTS {
        if call.correct() {
            messages.clear();
        }
        match merge_once(call, &mut session, &mut messages).await {
            Ok(()) => return Ok(json!({ "merged": true })),
            Err(error) => {
                session.abort_transaction().await?;
                if !error.contains_label(TRANSIENT_TRANSACTION_ERROR) {
                    return Err(error.into());
                }
            }
        }
    }
    Err(Refusal::unavailable("too many attempts"))
}

async fn merge_once(call: &Call, session: &mut ClientSession, messages: &mut Vec<Bson>) -> mongodb::error::Result<()> {
    let (chats, this) = (call.in_collection("chats"), doc! { "key": &call.key });
    session.start_transaction().await?;
    let found = chats.find_one(this.clone()).session(&mut *session).await?;
    messages.extend(found.iter().filter_map(|found| found.get_array("messages").ok()).flatten().cloned());
    messages.push(Bson::from(&call.op));
    chats.update_one(this, doc! { "$set": { "messages": &*messages } }).session(&mut *session).await?;
    session.commit_transaction().await
}
