//! Appending: places that move, acknowledgements that come too early, repetitions, and what a process remembers.

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use serde_json::json;

use super::room::{Answer, Call};
use super::table::{Mutant, Rule, crash, race};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        before: true,
        ..race("A3", "edits at the place that was read", "edits the element by its name", &["edit", "remove-first"])
    },
    Mutant {
        before: true,
        faults: &["lost-answer"],
        redeliver: true,
        retry_writes: false,
        ..race("A5", "pushes again when sent again", "pushes if it is not there", &["send"])
    },
    Mutant {
        before: true,
        faults: &["crash"],
        ..race("A6", "answers before it writes", "answers when it has written", &["send"])
    },
    Mutant { before: true, ..crash("A15", "counts in a second update", "counts in the same update", &["send"]) },
    Mutant {
        before: true,
        rule: Some(Rule {
            collection: "sessions",
            pipeline: r#"[{"$unwind": "$messages"},
                {"$group": {"_id": {"key": "$key", "by": "$messages.by"}, "n": {"$push": "$messages.n"}}},
                {"$match": {"n": [2, 1]}}]"#,
        }),
        ..race("A17", "one sender's messages go out together", "one sender's messages go out in turn", &["send-two"])
    },
    Mutant {
        before: true,
        ..race("A18", "a buffer that is emptied after it was written", "a buffer that is taken before", &["send"])
    },
    Mutant {
        before: true,
        ..race(
            "A22",
            "removes at the place that was read",
            "removes the element by its name",
            &["remove-first", "remove-second"],
        )
    },
    Mutant {
        before: true,
        ..race("A24", "shows memory and database one after the other", "shows each message once", &["send", "read"])
    },
];

pub(super) async fn answer(id: &str, call: &Call) -> Answer {
    if call.is("before") {
        let messages: Vec<Bson> = match id {
            "A3" | "A22" => ["one", "two", "three"].map(|name| doc! { "name": name, "text": "" }.into()).to_vec(),
            _ => Vec::new(),
        };
        call.in_collection("sessions").insert_one(doc! { "key": &call.key, "messages": messages, "count": 0 }).await?;
        return Ok(json!({}));
    }
    match id {
        "A3" if call.is("edit") => edit(call).await,
        "A3" => remove(call, "one", true).await,
        "A22" if call.is("remove-first") => remove(call, "one", call.correct()).await,
        "A22" => remove(call, "two", call.correct()).await,
        "A5" => send_again(call).await,
        "A6" => send_late(call).await,
        "A15" => send_counted(call).await,
        "A17" => send_two(call).await,
        "A18" => send_buffered(call).await,
        _ if call.is("read") => read_merged(call).await,
        _ => send_cached(call).await,
    }
}

/// Where a message stands.
async fn place(call: &Call, name: &str) -> mongodb::error::Result<Option<usize>> {
    let found = call.in_collection("sessions").find_one(doc! { "key": &call.key }).await?;
    let messages = found.as_ref().and_then(|found| found.get_array("messages").ok());
    let is_it = |message: &Bson| {
        message.as_document().is_some_and(|message| message.get_str("name").is_ok_and(|it| it == name))
    };
    Ok(messages.and_then(|messages| messages.iter().position(is_it)))
}

async fn edit(call: &Call) -> Answer {
    let sessions = call.in_collection("sessions");
    let (filter, field) = match place(call, "three").await? {
        None => return Ok(json!({ "edited": false })),
        Some(_) if call.correct() => {
            (doc! { "key": &call.key, "messages.name": "three" }, "messages.$.text".to_owned())
        }
        Some(at) => (doc! { "key": &call.key }, format!("messages.{at}.text")),
    };
    let updated = sessions.update_one(filter, doc! { "$set": { field: "edited" } }).await?;
    Ok(json!({ "edited": updated.matched_count == 1 }))
}

async fn remove(call: &Call, name: &str, by_name: bool) -> Answer {
    let (sessions, this) = (call.in_collection("sessions"), doc! { "key": &call.key });
    if by_name {
        sessions.update_one(this, doc! { "$pull": { "messages": { "name": name } } }).await?;
    } else if let Some(at) = place(call, name).await? {
        sessions.update_one(this.clone(), doc! { "$unset": { format!("messages.{at}"): "" } }).await?;
        sessions.update_one(this, doc! { "$pull": { "messages": null } }).await?;
    }
    Ok(json!({ "removed": true }))
}

/// Pushes; the control if it is not there, so that a repetition changes nothing.
async fn send_again(call: &Call) -> Answer {
    let mut filter = doc! { "key": &call.key };
    if call.correct() {
        filter.insert("messages", doc! { "$ne": &call.op });
    }
    call.in_collection("sessions").update_one(filter, doc! { "$push": { "messages": &call.op } }).await?;
    Ok(json!({ "sent": true }))
}

async fn send_late(call: &Call) -> Answer {
    let (sessions, this) = (call.in_collection("sessions"), doc! { "key": &call.key });
    let found = sessions.find_one(this.clone()).await?;
    let push = doc! { "$addToSet": { "messages": &call.op } };
    if call.correct() {
        sessions.update_one(this, push).await?;
    } else {
        // The bug: nobody waits for it, and nobody learns of its end.
        tokio::spawn(async move { sessions.update_one(this, push).await.map(|_| ()) });
    }
    Ok(json!({ "sent": found.is_some() }))
}

async fn send_counted(call: &Call) -> Answer {
    let (sessions, count) = (call.in_collection("sessions"), doc! { "count": 1 });
    let fresh = doc! { "key": &call.key, "messages": { "$ne": &call.op } };
    let push = doc! { "messages": &call.op };
    if call.correct() {
        sessions.update_one(fresh, doc! { "$push": push, "$inc": count }).await?;
    } else if sessions.update_one(fresh, doc! { "$push": push }).await?.matched_count == 1 {
        sessions.update_one(doc! { "key": &call.key }, doc! { "$inc": count }).await?;
    }
    Ok(json!({ "sent": true }))
}

async fn send_two(call: &Call) -> Answer {
    let sessions = call.in_collection("sessions");
    let push = async |n: i32| {
        let message = doc! { "by": &call.op, "n": n };
        sessions.update_one(doc! { "key": &call.key }, doc! { "$push": { "messages": message } }).await.map(|_| ())
    };
    if call.correct() {
        push(1).await?;
        push(2).await?;
    } else {
        futures::try_join!(push(1), push(2))?;
    }
    Ok(json!({ "sent": 2 }))
}

/// Messages wait in a buffer of the process until somebody writes it.
async fn send_buffered(call: &Call) -> Answer {
    let waiting = {
        let mut memory = call.memory();
        let buffer = memory.entry(call.key.clone()).or_default();
        buffer.push(call.op.clone());
        if call.correct() { std::mem::take(buffer) } else { buffer.clone() }
    };
    let documents = waiting.iter().map(|text| doc! { "key": &call.key, "text": text });
    call.in_collection("messages").insert_many(documents).await?;
    count(call).await?;
    if !call.correct() {
        call.memory().remove(&call.key);
    }
    Ok(json!({ "sent": true }))
}

/// Counts a request of the session: a second command, between whose first and last others may come.
async fn count(call: &Call) -> mongodb::error::Result<()> {
    let (this, count) = (doc! { "key": &call.key }, doc! { "$inc": { "count": 1 } });
    call.in_collection("sessions").update_one(this, count).await.map(|_| ())
}

async fn send_cached(call: &Call) -> Answer {
    call.memory().entry(call.key.clone()).or_default().push(call.op.clone());
    call.in_collection("messages").insert_one(doc! { "key": &call.key, "text": &call.op }).await?;
    count(call).await?;
    call.memory().remove(&call.key);
    Ok(json!({ "sent": true }))
}

async fn read_merged(call: &Call) -> Answer {
    let mut texts = call.memory().get(&call.key).cloned().unwrap_or_default();
    let found = call.in_collection("messages").find(doc! { "key": &call.key }).await?;
    let stored: Vec<Document> = found.try_collect().await?;
    for text in stored.iter().filter_map(|message| message.get_str("text").ok()) {
        if !call.correct() || !texts.iter().any(|known| known == text) {
            texts.push(text.to_owned());
        }
    }
    Ok(json!({ "messages": texts }))
}
