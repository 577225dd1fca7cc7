//! The profiles of which databases are made: those that are shipped, and others that use what these do not.

use std::collections::BTreeMap;

use onlyone::audit::Profile;

use crate::oracle::{Array, Keep, Key, Reference, Rule, Rules, Shape, Spec, Twice};

const CLUB: &str = r#"
name = "club"
collection = "people"
[key]
field = "mail"
ignore_case = true
where = { leftAt = null }
[[references]]
collection = "loans"
field = "person"
[[references]]
collection = "loans"
field = "seen.by"
[[references]]
collection = "circles"
field = "readers"
[[references]]
collection = "circles"
field = "roles.who"
[[references]]
collection = "circles"
field = "posts.who"
repeated = "first"
[[references]]
collection = "seats"
field = "person"
unique_with = ["room"]
merge = { fields = { visits = "sum", note = "concatenate" } }
[merge]
oldest = "joined"
newest = ["seenAt"]
union = ["tags"]
fields = { fees = "sum", phone = "fill", score = "largest", about = "concatenate", nick = "newest" }
"#;

const METERS: &str = r#"
name = "meters"
collection = "meters"
[key]
field = ["place.site", "number"]
sparse = false
required = false
[[references]]
collection = "readings"
field = "meter"
[merge]
oldest = "built"
keep = "most-fields"
default = "fill"
"#;

/// How many profiles there are.
pub(crate) const KINDS: u64 = 7;

fn rules(dated: Option<&'static str>, fields: &[(&'static str, Rule)]) -> Rules {
    Rules { dated, keep: Keep::Oldest, fields: fields.iter().copied().collect(), others: Rule::Keep }
}

fn refers(collection: &'static str, field: &'static str, shape: Shape) -> Reference {
    Reference { collection, field, shape, unique_with: None }
}

/// A profile, and what the oracle knows of it.
pub(crate) fn profile(kind: u64) -> (Profile, Spec) {
    match kind {
        0 => (Profile::load("chats").unwrap(), chats()),
        1 => (Profile::load("threads").unwrap(), threads()),
        2 => (Profile::load("conversations").unwrap(), conversations()),
        3 => (Profile::load("messages").unwrap(), messages()),
        4 => (Profile::parse(CLUB, "club").unwrap(), club()),
        5 => (Profile::parse(METERS, "meters").unwrap(), meters()),
        _ => {
            // The same people, otherwise.
            let text = CLUB.replace("[merge]\n", "[merge]\nkeep = \"newest\"\n");
            let text = text.replace("\"roles.who\"", "\"roles.who\"\nrepeated = \"both\"");
            let mut spec = club();
            spec.rules.keep = Keep::Newest;
            spec.references[3].shape = Shape::Each("who", Twice::Both);
            (Profile::parse(&text, "club").unwrap(), spec)
        }
    }
}

fn chats() -> Spec {
    Spec {
        collection: "chats",
        key: Some(Key::People { field: "participantsKey", people: "participants", prefix: None, once: false }),
        alive: None,
        array: Some(Array {
            field: "messages",
            order: Some("createdAt"),
            answers: None,
            identity: vec![vec!["_id"], vec!["messageId"]],
        }),
        rules: rules(Some("createdAt"), &[("updatedAt", Rule::Largest)]),
        references: vec![refers("messages", "chat", Shape::One)],
    }
}

fn threads() -> Spec {
    let mut member = refers("chat_participants", "thread_id", Shape::One);
    member.unique_with = Some(("user_id", rules(None, &[])));
    Spec {
        collection: "chat_threads",
        key: Some(Key::People {
            field: "participantsKey",
            people: "participants",
            prefix: Some("thread_type"),
            once: true,
        }),
        alive: None,
        array: None,
        rules: rules(Some("created_at"), &[("updated_at", Rule::Largest), ("admins", Rule::Union)]),
        references: vec![refers("chat_messages", "thread_id", Shape::One), member],
    }
}

fn conversations() -> Spec {
    Spec {
        collection: "conversations",
        key: Some(Key::Stored { fields: &["sessionId"], any_case: false, sparse: false, required: true }),
        alive: None,
        array: Some(Array {
            field: "messages",
            order: Some("timestamp"),
            answers: Some(("role", &["bot", "assistant"])),
            identity: vec![vec!["_id"], vec!["messageId"]],
        }),
        rules: rules(Some("createdAt"), &[("updatedAt", Rule::Largest)]),
        references: Vec::new(),
    }
}

fn messages() -> Spec {
    let identity =
        [&["mergeId"][..], &["batchId", "batchIndex"], &["imageId"], &["videoId"], &["imageUrl"]].map(<[_]>::to_vec);
    Spec {
        collection: "userChat",
        key: None,
        alive: None,
        array: Some(Array { field: "messages", order: None, answers: None, identity: identity.to_vec() }),
        rules: rules(None, &[]),
        references: Vec::new(),
    }
}

fn club() -> Spec {
    let mut seat = refers("seats", "person", Shape::One);
    seat.unique_with = Some(("room", rules(None, &[("visits", Rule::Sum), ("note", Rule::Concatenate)])));
    Spec {
        collection: "people",
        key: Some(Key::Stored { fields: &["mail"], any_case: true, sparse: true, required: true }),
        alive: Some("leftAt"),
        array: None,
        rules: rules(
            Some("joined"),
            &[
                ("seenAt", Rule::Largest),
                ("tags", Rule::Union),
                ("fees", Rule::Sum),
                ("phone", Rule::Fill),
                ("score", Rule::Largest),
                ("about", Rule::Concatenate),
                ("nick", Rule::Newest),
            ],
        ),
        references: vec![
            refers("loans", "person", Shape::One),
            refers("loans", "seen", Shape::Within("by")),
            refers("circles", "readers", Shape::List),
            refers("circles", "roles", Shape::Each("who", Twice::Refuse)),
            refers("circles", "posts", Shape::Each("who", Twice::First)),
            seat,
        ],
    }
}

fn meters() -> Spec {
    Spec {
        collection: "meters",
        key: Some(Key::Stored { fields: &["place.site", "number"], any_case: false, sparse: false, required: false }),
        alive: None,
        array: None,
        rules: Rules { dated: Some("built"), keep: Keep::MostFields, fields: BTreeMap::new(), others: Rule::Fill },
        references: vec![refers("readings", "meter", Shape::One)],
    }
}
