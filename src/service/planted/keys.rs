//! Keys: other spellings, delimiters, an index on each participant, identifiers that clients choose.

use mongodb::bson::doc;
use serde_json::json;

use super::room::{Answer, Call, inserted};
use super::table::{Form, Index, Mutant, Rule, When, race, unique};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        indexes: &[unique("chats", &["name"])],
        rule: Some(Rule {
            collection: "chats",
            pipeline: r#"[{"$group": {"_id": {"$toLower": "$name"}, "n": {"$sum": 1}}}, {"$match": {"n": {"$gt": 1}}}]"#,
        }),
        ..race(
            "C11",
            "keyed by the name as it is spelled",
            "keyed by the name in lower case",
            &["open-ann", "open-ANN"],
        )
    },
    Mutant {
        indexes: &[unique("groups", &["key"])],
        rule: Some(Rule {
            collection: "groups",
            pipeline: r#"[{"$unwind": "$messages"}, {"$match": {"$expr": {"$ne": ["$messages.to", "$members"]}}}]"#,
        }),
        ..race(
            "C12",
            "names joined by a character that names have",
            "names kept apart",
            &["to-a:b-and-c", "to-a-and-b:c"],
        )
    },
    Mutant {
        indexes: &[
            Index { collection: "chats", fields: &["members"], form: Form::Whole, when: When::Buggy },
            Index { collection: "chats", fields: &["pair"], form: Form::Whole, when: When::Correct },
        ],
        rule: Some(Rule {
            collection: "invitations",
            pipeline: r#"[{"$lookup": {"from": "chats", "localField": "pair", "foreignField": "pair", "as": "chats"}}, {"$match": {"chats": []}}]"#,
        }),
        ..race("C16", "unique index on each participant", "unique index on the pair", &["with-bob", "with-cy"])
    },
    Mutant {
        instances: 2,
        rule: Some(Rule {
            collection: "messages",
            pipeline: r#"[{"$group": {"_id": "$message", "n": {"$sum": 1}}}, {"$match": {"n": {"$gt": 1}}}]"#,
        }),
        ..race("G14", "identifiers checked in one process's memory", "identifiers checked by the database", &["send"])
    },
];

pub(super) async fn answer(id: &str, call: &Call) -> Answer {
    match id {
        "C11" => open(call).await,
        "C12" => group(call).await,
        "C16" => invite(call).await,
        _ => send(call).await,
    }
}

async fn open(call: &Call) -> Answer {
    let name = format!("{}-{}", call.key, call.operation);
    let name = if call.correct() { name.to_lowercase() } else { name };
    let chats = call.in_collection("chats");
    inserted(chats.insert_one(doc! { "name": name }).await)?;
    Ok(json!({ "open": true }))
}

async fn group(call: &Call) -> Answer {
    let members = if call.is("to-a:b-and-c") { ["a:b", "c"] } else { ["a", "b:c"] };
    let joined = if call.correct() { format!("{members:?}") } else { members.join(":") };
    let key = format!("{}-{joined}", call.key);
    let groups = call.in_collection("groups");
    inserted(groups.insert_one(doc! { "key": &key, "members": members.to_vec(), "messages": [] }).await)?;
    let message = doc! { "to": members.to_vec(), "text": &call.op };
    groups.update_one(doc! { "key": key }, doc! { "$push": { "messages": message } }).await?;
    Ok(json!({ "sent": true }))
}

async fn invite(call: &Call) -> Answer {
    let (ann, other) = (format!("{}-ann", call.key), format!("{}-{}", call.key, call.operation));
    let pair = format!("{ann}+{other}");
    call.in_collection("invitations").insert_one(doc! { "pair": &pair, "by": &call.op }).await?;
    let chats = call.in_collection("chats");
    inserted(chats.insert_one(doc! { "pair": pair, "members": [ann, other] }).await)?;
    Ok(json!({ "open": true }))
}

/// Both requests send one message, whose identifier their client chose.
async fn send(call: &Call) -> Answer {
    let messages = call.in_collection("messages");
    let mut message = doc! { "message": &call.key };
    if call.correct() {
        message.insert("_id", &call.key);
        inserted(messages.insert_one(message).await)?;
    } else if !call.memory().contains_key(&call.key) {
        call.memory().insert(call.key.clone(), Vec::new());
        messages.insert_one(message).await?;
    }
    Ok(json!({ "sent": true }))
}
