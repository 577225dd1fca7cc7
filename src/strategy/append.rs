//! Ways to append a user's message and its answer to a session (Express and Mongoose services, S2).
//!
//! A session is `{sessionId, language, createdAt, createdByOp, messages, lastOp}`; a message is `{opId, role, text, sender,
//! n, path, at}`. `createdByOp` stamps the operation that created the session, `opId` the one that sent the message,
//! `lastOp` is derived: the operation of the last message.

mod documents;
mod strategies;
mod written_back;

use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::UpdateModifications;

pub use super::create_or_get::document_stamp;
use documents::{appended, head, length, new_session, pair, push, returned};
pub use documents::{elements, message_role, message_stamp, missing_fields};
pub(in crate::strategy) use strategies::SET;
pub use strategies::{NAMES, STRATEGIES, Strategy};
use written_back::{version_ignored, versioned, whole_array};

use super::session::{Failure, Session, by};
use super::{document_id, stamp};
use crate::history::{Appended, OpId, ReadResult, Returned, Said};

/// Field of the key.
pub const KEY: &str = "sessionId";
/// Field of the list.
pub const MESSAGES: &str = "messages";
/// Fields that every complete session has.
pub const INSERT_FIELDS: [&str; 4] = [KEY, "language", "createdAt", "createdByOp"];

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The session.
    pub session: &'a str,
    /// The stamp.
    pub op: OpId,
    /// The user's message.
    pub said: &'a Said,
}

/// The sessions of one run.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// Where they are.
    pub sessions: Collection<Document>,
    /// Comment on every command.
    pub comment: Bson,
}

/// Most messages that `capped-push` keeps.
const CAP: i32 = 20;

impl Sessions {
    /// Appends the call's message and its answer, by this strategy.
    pub async fn append(&self, strategy: Strategy, call: Call<'_>) -> Result<Appended, Failure> {
        let mut io = Session::new(&self.sessions, &self.comment);
        let io = &mut io;
        match strategy {
            Strategy::FindThenSave => find_then_save(io, call).await,
            Strategy::SaveRetry => match find_then_save(io, call).await {
                Err(failure) if failure.is_duplicate_key_on(KEY) => found_after_all(find_then_save(io, call).await),
                result => result,
            },
            Strategy::WholeArray => whole_array(io, call).await,
            Strategy::WholeArrayVersioned => versioned(io, call).await,
            Strategy::VersionIgnored => version_ignored(io, call).await,
            Strategy::UpsertPush => upsert_push(io, call, pair(call).to_vec(), doc! {}).await,
            Strategy::UpsertSet => upsert_set(io, call).await,
            Strategy::PushSeparately => push_separately(io, call).await,
            Strategy::LengthAsSequence => length_as_sequence(io, call).await,
            Strategy::SequenceInUpdate => sequence_in_update(io, call).await,
            Strategy::PushRetry => {
                let first = upsert_push(io, call, pair(call).to_vec(), doc! {}).await;
                if reply_is_lost(call.said) { upsert_push(io, call, pair(call).to_vec(), doc! {}).await } else { first }
            }
            Strategy::PushRetryGuarded => push_guarded(io, call).await,
            Strategy::UnmatchedPush => {
                io.update_one(by(KEY, call.session), push(pair(call).to_vec())).await?;
                Ok(Appended::default())
            }
            Strategy::CappedPush => upsert_push(io, call, pair(call).to_vec(), doc! { "$slice": -CAP }).await,
            Strategy::SkipRepeats => {
                let session = create(io, call).await?;
                let text = &*call.said.text;
                let fresh = doc! { KEY: call.session, "messages.text": { "$ne": text } };
                io.update_one(fresh, push(pair(call).to_vec())).await?;
                Ok(Appended { session, position: None })
            }
            Strategy::SortByClock => upsert_push(io, call, pair(call).to_vec(), doc! { "$sort": { "at": 1 } }).await,
            Strategy::PathInFilter => path_in_filter(io, call).await,
            Strategy::LastMessageLater => last_message_later(io, call).await,
        }
    }

    /// All messages of a session.
    pub async fn read(&self, session: &str) -> Result<ReadResult, Failure> {
        let mut io = Session::new(&self.sessions, &self.comment);
        let projection = doc! { "messages.opId": 1, "messages.role": 1 };
        let found = io.find_part(by(KEY, session), projection).await?;
        Ok(match found {
            Some(document) => ReadResult::new(document_id(&document), elements(&document)),
            None => ReadResult::new(None, Vec::new()),
        })
    }
}

/// Whether the caller loses the reply to this operation's first push. Who says what decides, so that the same requests do the same
/// again, whatever the numbers of their operations.
fn reply_is_lost(said: &Said) -> bool {
    said.sender.wrapping_add(said.n) % 8 == 1
}

async fn find_then_save(io: &mut Session<'_>, call: Call<'_>) -> Result<Appended, Failure> {
    match io.find_part(by(KEY, call.session), head()).await? {
        Some(found) => {
            let id = found.get("_id").cloned();
            io.update_one(doc! { "_id": id }, push(pair(call).to_vec())).await?;
            Ok(appended(&found, call.op, false))
        }
        None => {
            let mut session = new_session(call);
            session.insert("_id", ObjectId::new());
            session.insert(MESSAGES, pair(call).to_vec());
            io.insert_one(&session).await?;
            Ok(appended(&session, call.op, false))
        }
    }
}

fn found_after_all(result: Result<Appended, Failure>) -> Result<Appended, Failure> {
    result.map(|appended| Appended { session: Returned { duplicate_key: true, ..appended.session }, ..appended })
}

/// Creates the session without a message, if there is none.
async fn create(io: &mut Session<'_>, call: Call<'_>) -> Result<Returned, Failure> {
    let mut fields = new_session(call);
    fields.remove(KEY);
    fields.insert(MESSAGES, Bson::Array(Vec::new()));
    let update = doc! { "$setOnInsert": fields };
    let found = upsert(io, call, update).await?;
    Ok(returned(&found, call.op))
}

/// Inserts the session with the call's messages in it; none where another caller was faster.
async fn insert_whole(io: &mut Session<'_>, call: Call<'_>, more: Document) -> Result<Option<Returned>, Failure> {
    let mut session = new_session(call);
    session.extend(doc! { "_id": ObjectId::new(), MESSAGES: pair(call).to_vec(), "lastOp": stamp(call.op) });
    session.extend(more);
    match io.insert_one(&session).await {
        Err(failure) if failure.is_duplicate_key_on(KEY) => Ok(None),
        inserted => inserted.map(|()| Some(returned(&session, call.op))),
    }
}

/// One upsert that pushes the messages. `modifiers` are those of `$push`. The server tries a lost race again by itself;
/// where it does not, the second upsert finds the session.
async fn upsert_push(
    io: &mut Session<'_>,
    call: Call<'_>,
    messages: Vec<Document>,
    modifiers: Document,
) -> Result<Appended, Failure> {
    let plain = modifiers.is_empty();
    let mut fields = new_session(call);
    fields.remove(KEY);
    let mut each = doc! { "$each": messages };
    each.extend(modifiers);
    let update = doc! { "$setOnInsert": fields, "$push": { MESSAGES: each }, "$set": { "lastOp": stamp(call.op) } };
    match io.upsert_part(by(KEY, call.session), update.clone(), head()).await {
        Err(failure) if failure.is_duplicate_key_on(KEY) => {
            let again = io.upsert_part(by(KEY, call.session), update, head()).await;
            found_after_all(again.map(|found| appended(&found, call.op, plain)))
        }
        result => result.map(|found| appended(&found, call.op, plain)),
    }
}

/// An upsert by the key; whoever lost the race to insert finds the session the next time.
async fn upsert(
    io: &mut Session<'_>,
    call: Call<'_>,
    update: impl Into<UpdateModifications> + Clone,
) -> Result<Document, Failure> {
    match io.upsert_part(by(KEY, call.session), update.clone(), head()).await {
        Err(failure) if failure.is_duplicate_key_on(KEY) => io.upsert_part(by(KEY, call.session), update, head()).await,
        result => result,
    }
}

async fn upsert_set(io: &mut Session<'_>, call: Call<'_>) -> Result<Appended, Failure> {
    let mut fields = new_session(call);
    fields.remove(KEY);
    fields.insert("lastOp", stamp(call.op));
    let update = doc! { "$set": fields, "$push": { MESSAGES: { "$each": pair(call).to_vec() } } };
    let found = upsert(io, call, update).await?;
    Ok(appended(&found, call.op, true))
}

async fn push_separately(io: &mut Session<'_>, call: Call<'_>) -> Result<Appended, Failure> {
    let [user, bot] = pair(call);
    let first = upsert_push(io, call, vec![user], doc! {}).await?;
    match io.update_one(by(KEY, call.session), push(vec![bot])).await? {
        0 => Err(io.give_up("the session is gone")),
        _ => Ok(Appended { position: None, ..first }),
    }
}

async fn length_as_sequence(io: &mut Session<'_>, call: Call<'_>) -> Result<Appended, Failure> {
    let found = io.find_part(by(KEY, call.session), head()).await?;
    let next = found.as_ref().and_then(length).unwrap_or(0) + 1;
    let [mut user, mut bot] = pair(call);
    user.insert("seq", next);
    bot.insert("seq", next + 1);
    upsert_push(io, call, vec![user, bot], doc! {}).await
}

async fn sequence_in_update(io: &mut Session<'_>, call: Call<'_>) -> Result<Appended, Failure> {
    let before = doc! { "$ifNull": ["$messages", Bson::Array(Vec::new())] };
    let numbered = pair(call).into_iter().zip(1..).map(|(message, offset)| {
        let next = doc! { "$add": [{ "$size": before.clone() }, offset] };
        doc! { "$mergeObjects": [{ "$literal": message }, { "seq": next }] }
    });
    let mut stage = doc! {
        MESSAGES: { "$concatArrays": [before.clone(), numbered.collect::<Vec<_>>()] },
        "lastOp": stamp(call.op),
    };
    for (field, value) in new_session(call).into_iter().filter(|(field, _)| field != KEY) {
        let kept = format!("${field}");
        stage.insert(field, doc! { "$ifNull": [kept, { "$literal": value }] });
    }
    let update = vec![doc! { "$set": stage }];
    let found = upsert(io, call, update).await?;
    Ok(appended(&found, call.op, true))
}

async fn push_guarded(io: &mut Session<'_>, call: Call<'_>) -> Result<Appended, Failure> {
    let first = push_once(io, call).await?;
    // Nothing is pushed again: the first one was applied.
    if reply_is_lost(call.said) { push_once(io, call).await } else { Ok(first) }
}

/// Pushes the messages unless they are there already; a session that is not there is inserted with them in it.
async fn push_once(io: &mut Session<'_>, call: Call<'_>) -> Result<Appended, Failure> {
    // Whoever is not the first to insert finds the session the next time.
    for _ in 0..2 {
        let Some(found) = io.find_part(by(KEY, call.session), head()).await? else {
            if let Some(session) = insert_whole(io, call, doc! {}).await? {
                return Ok(Appended { session, position: None });
            }
            continue;
        };
        let absent = doc! { KEY: call.session, "messages.opId": { "$ne": stamp(call.op) } };
        io.update_one(absent, push(pair(call).to_vec())).await?;
        return Ok(Appended { session: returned(&found, call.op), position: None });
    }
    Err(io.give_up("the session is gone"))
}

async fn path_in_filter(io: &mut Session<'_>, call: Call<'_>) -> Result<Appended, Failure> {
    let filter = doc! { KEY: call.session, "path": call.said.path.as_str() };
    let mut fields = new_session(call);
    fields.remove(KEY);
    let update = doc! {
        "$setOnInsert": fields,
        "$push": { MESSAGES: { "$each": pair(call).to_vec() } },
        "$set": { "lastOp": stamp(call.op) },
    };
    io.upsert_part(filter, update, head()).await.map(|found| appended(&found, call.op, true))
}

async fn last_message_later(io: &mut Session<'_>, call: Call<'_>) -> Result<Appended, Failure> {
    let mut fields = new_session(call);
    fields.remove(KEY);
    let update = doc! { "$setOnInsert": fields, "$push": { MESSAGES: { "$each": pair(call).to_vec() } } };
    let found = upsert(io, call, update).await?;
    io.update_one(by(KEY, call.session), doc! { "$set": { "lastOp": stamp(call.op) } }).await?;
    Ok(appended(&found, call.op, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{MessagePath, Said};

    #[test]
    fn replies_are_lost_to_one_in_eight_and_to_the_same_requests_again() {
        let said =
            |sender: u32, n: u32| Said { path: MessagePath::Text, sender, n, text: "hello".into(), answered: true };
        let lost = |sender: u32| (0..16).filter(|n| reply_is_lost(&said(sender, *n))).count();
        assert!((0..20).all(|sender| lost(sender) == 2));
        assert!(reply_is_lost(&said(1, 0)) && !reply_is_lost(&said(0, 0)), "of two requests the second one");
    }
}
