//! Creation: other indexes than the one on the key, retries, transactions, deletions and caches.

use mongodb::ClientSession;
use mongodb::bson::doc;
use mongodb::error::TRANSIENT_TRANSACTION_ERROR;
use mongodb::options::{Collation, CollationStrength, ReadPreference, ReturnDocument, SelectionCriteria};
use serde_json::json;

use super::room::{ATTEMPTS, Answer, Call, inserted, is_duplicate};
use super::table::{Form, Index, Mutant, When, crash, race, unique};
use crate::service::refusal::Refusal;

const KEY: Index = unique("chats", &["key"]);

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        faults: &["stale-read"],
        own_server: true,
        indexes: &[KEY],
        ..race(
            "C6",
            "the loser looks on a secondary alone",
            "where a secondary knows nothing, the primary does",
            &["open"],
        )
    },
    Mutant {
        indexes: &[unique("chats", &["key"]), unique("chats", &["room", "invite"])],
        ..race("C7", "any duplicate is the chat's", "the index in the error decides", &["open-ann", "open-bob"])
    },
    Mutant {
        own_server: true,
        indexes: &[Index { form: Form::CaseBlind, ..KEY }],
        ..race("C13", "query without the index's collation", "query with it, and again", &["open"])
    },
    Mutant {
        indexes: &[Index { form: Form::Where("status", "open"), ..KEY }],
        ..race("C14", "created outside of a partial index", "created inside of it", &["open"])
    },
    Mutant {
        before: true,
        indexes: &[KEY],
        ..race("C22", "identifier from a cache", "one update by the key", &["remove", "open"])
    },
    crash("C23", "a repeated creation creates again", "the operation is the identifier", &["order"]),
    Mutant {
        indexes: &[KEY],
        ..race("C24", "an aborted transaction is an error", "an aborted transaction begins again", &["open"])
    },
    Mutant {
        before: true,
        indexes: &[Index { form: Form::Where("state", "live"), when: When::Correct, ..KEY }],
        ..race("C28", "undelete and create look first", "unique among the living", &["restore", "open"])
    },
    Mutant {
        before: true,
        ..race("C29", "write to what was looked up", "write where it still is", &["remove", "write"])
    },
];

pub(super) async fn answer(id: &str, call: &Call) -> Answer {
    match id {
        "C6" => open_and_look(call).await,
        "C7" => open_with_invitation(call).await,
        "C13" => open_by_collation(call).await,
        "C14" => open_in_part(call).await,
        "C22" => cached(call).await,
        "C23" => order(call).await,
        "C24" => open_in_transaction(call).await,
        "C28" => undelete(call).await,
        _ => write_or_remove(call).await,
    }
}

/// The chat is looked up on a secondary when it is there, whoever made it. Who is not told of it makes another one.
async fn open_and_look(call: &Call) -> Answer {
    let (chats, this) = (call.in_collection("chats"), doc! { "key": &call.key });
    let made = inserted(chats.insert_one(this.clone()).await)?;
    let anywhere = SelectionCriteria::ReadPreference(ReadPreference::SecondaryPreferred { options: None });
    let mut found = chats.find_one(this.clone()).selection_criteria(anywhere).await?.is_some();
    if !found && !made && call.correct() {
        found = chats.find_one(this).await?.is_some();
    }
    if !found && !made {
        chats.insert_one(doc! { "key": format!("{}-{}", call.key, call.op) }).await?;
    }
    Ok(json!({ "open": true }))
}

/// Chats of one room have invitation codes, counted up.
async fn open_with_invitation(call: &Call) -> Answer {
    let chats = call.in_collection("chats");
    let key = format!("{}-{}", call.key, call.operation);
    for _ in 0..ATTEMPTS {
        let invite = i64::try_from(chats.count_documents(doc! { "room": &call.key }).await?).unwrap_or(i64::MAX);
        match chats.insert_one(doc! { "room": &call.key, "key": &key, "invite": invite }).await {
            Ok(_) => break,
            Err(error) if is_duplicate(&error) && !(call.correct() && error.to_string().contains("invite_")) => break,
            Err(error) if is_duplicate(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let found = chats.find_one(doc! { "key": &key }).await?;
    Ok(json!({ "found": found.is_some() }))
}

/// The server does not try an upsert again whose index has a collation, whatever the query's: so the loser does.
async fn open_by_collation(call: &Call) -> Answer {
    let chats = call.in_collection("chats");
    let collation = Collation::builder().locale("en").strength(CollationStrength::Secondary).build();
    let attempts = if call.correct() { ATTEMPTS } else { 1 };
    for attempt in 1..=attempts {
        let update = doc! { "$setOnInsert": { "by": &call.op } };
        let upsert = chats.update_one(doc! { "key": &call.key }, update).upsert(true);
        let done = if call.correct() { upsert.collation(collation.clone()).await } else { upsert.await };
        match done {
            Err(error) if is_duplicate(&error) && attempt < attempts => {}
            done => {
                done?;
                break;
            }
        }
    }
    Ok(json!({ "open": true }))
}

async fn open_in_part(call: &Call) -> Answer {
    let chats = call.in_collection("chats");
    if chats.find_one(doc! { "key": &call.key }).await?.is_none() {
        let status = if call.correct() { "open" } else { "new" };
        inserted(chats.insert_one(doc! { "key": &call.key, "status": status }).await)?;
    }
    Ok(json!({ "open": true }))
}

/// The chat's messages are documents of their own where its identifier comes from a cache.
async fn cached(call: &Call) -> Answer {
    let (chats, messages) = (call.in_collection("chats"), call.in_collection("messages"));
    if call.is("remove") {
        messages.delete_many(doc! { "key": &call.key }).await?;
        chats.delete_one(doc! { "key": &call.key }).await?;
        call.memory().remove(&call.key);
        return Ok(json!({ "removed": true }));
    }
    if call.correct() && !call.is("before") {
        let update = doc! { "$push": { "messages": &call.op } };
        chats.update_one(doc! { "key": &call.key }, update).upsert(true).await?;
        return Ok(json!({ "written": true }));
    }
    if !call.memory().contains_key(&call.key) {
        chats.insert_one(doc! { "key": &call.key }).await?;
        call.memory().insert(call.key.clone(), Vec::new());
    }
    if !call.is("before") {
        messages.insert_one(doc! { "key": &call.key, "text": &call.op }).await?;
    }
    Ok(json!({ "written": true }))
}

async fn order(call: &Call) -> Answer {
    let orders = call.in_collection("orders");
    let mut order = doc! { "room": &call.key, "of": &call.op };
    if call.correct() {
        order.insert("_id", format!("{}-{}", call.key, call.op));
    }
    inserted(orders.insert_one(order).await)?;
    Ok(json!({ "ordered": true }))
}

async fn open_in_transaction(call: &Call) -> Answer {
    let mut session = call.database().client().start_session().await?;
    let attempts = if call.correct() { ATTEMPTS } else { 1 };
    for attempt in 1..=attempts {
        match open_once(call, &mut session).await {
            Ok(()) => return Ok(json!({ "open": true })),
            Err(error) => {
                session.abort_transaction().await?;
                let again = is_duplicate(&error) || error.contains_label(TRANSIENT_TRANSACTION_ERROR);
                if attempt == attempts || !again {
                    return Err(error.into());
                }
            }
        }
    }
    Err(Refusal::unavailable("too many attempts"))
}

async fn open_once(call: &Call, session: &mut ClientSession) -> mongodb::error::Result<()> {
    let chats = call.in_collection("chats");
    session.start_transaction().await?;
    if chats.find_one(doc! { "key": &call.key }).session(&mut *session).await?.is_none() {
        chats.insert_one(doc! { "key": &call.key }).session(&mut *session).await?;
    }
    session.commit_transaction().await
}

/// A chat that was removed softly is restored by one, and opened anew by the other.
async fn undelete(call: &Call) -> Answer {
    let chats = call.in_collection("chats");
    if call.is("before") {
        chats.insert_one(doc! { "key": &call.key, "state": "removed" }).await?;
        return Ok(json!({}));
    }
    if chats.find_one(doc! { "key": &call.key, "state": "live" }).await?.is_none() {
        let done = if call.is("restore") {
            let (filter, update) =
                (doc! { "key": &call.key, "state": "removed" }, doc! { "$set": { "state": "live" } });
            chats.update_one(filter, update).await.map(|_| ())
        } else {
            chats.insert_one(doc! { "key": &call.key, "state": "live" }).await.map(|_| ())
        };
        inserted(done)?;
    }
    Ok(json!({ "live": true }))
}

async fn write_or_remove(call: &Call) -> Answer {
    let (chats, messages) = (call.in_collection("chats"), call.in_collection("messages"));
    let this = doc! { "key": &call.key };
    if call.is("before") {
        chats.insert_one(this).await?;
        return Ok(json!({}));
    }
    if call.is("remove") {
        chats.delete_one(this.clone()).await?;
        messages.delete_many(this).await?;
        return Ok(json!({ "removed": true }));
    }
    if call.correct() {
        let push = doc! { "$push": { "messages": &call.op } };
        let updated = chats.find_one_and_update(this, push).return_document(ReturnDocument::After).await?;
        return Ok(json!({ "written": updated.is_some() }));
    }
    let found = chats.find_one(this).await?;
    if found.is_some() {
        messages.insert_one(doc! { "key": &call.key, "text": &call.op }).await?;
    }
    Ok(json!({ "written": found.is_some() }))
}
