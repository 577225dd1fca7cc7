//! The list of a session that is read as a whole, and written back with the messages at its end.

use mongodb::bson::{Bson, Document, doc};

use super::documents::{pair, returned};
use super::{Call, KEY, MESSAGES, create, insert_whole};
use crate::history::Appended;
use crate::strategy::session::{Failure, Session, by};
use crate::strategy::stamp;

/// How often a version conflict is met before a call gives up.
const VERSION_TRIES: u32 = 1000;

pub(super) async fn whole_array(io: &mut Session<'_>, call: Call<'_>) -> Result<Appended, Failure> {
    let session = create(io, call).await?;
    let Some(found) = io.find_one(by(KEY, call.session)).await? else {
        return Err(io.give_up("the session is gone"));
    };
    let mut messages = found.get_array(MESSAGES).cloned().unwrap_or_default();
    let position = u32::try_from(messages.len()).ok();
    messages.extend(pair(call).map(Bson::Document));
    io.update_one(by(KEY, call.session), doc! { "$set": { MESSAGES: messages, "lastOp": stamp(call.op) } }).await?;
    Ok(Appended { session, position })
}

pub(super) async fn versioned(io: &mut Session<'_>, call: Call<'_>) -> Result<Appended, Failure> {
    for _ in 0..VERSION_TRIES {
        let Some(found) = io.find_one(by(KEY, call.session)).await? else {
            if let Some(session) = insert_whole(io, call, doc! { "version": 1 }).await? {
                return Ok(Appended { session, position: Some(0) });
            }
            continue;
        };
        if let (true, position) = replace_list(io, call, &found).await? {
            return Ok(Appended { session: returned(&found, call.op), position });
        }
    }
    Err(io.give_up("the version changed under every try"))
}

pub(super) async fn version_ignored(io: &mut Session<'_>, call: Call<'_>) -> Result<Appended, Failure> {
    let session = create(io, call).await?;
    let Some(found) = io.find_one(by(KEY, call.session)).await? else {
        return Err(io.give_up("the session is gone"));
    };
    // The bug: a conflict goes unmentioned.
    let (_, position) = replace_list(io, call, &found).await?;
    Ok(Appended { session, position })
}

/// Writes the whole list of a session that was read, with the call's messages at its end, if its version is still the same;
/// whether it was, and where the messages are.
async fn replace_list(io: &mut Session<'_>, call: Call<'_>, found: &Document) -> Result<(bool, Option<u32>), Failure> {
    let version = found.get("version").cloned().unwrap_or(Bson::Null);
    let mut messages = found.get_array(MESSAGES).cloned().unwrap_or_default();
    let position = u32::try_from(messages.len()).ok();
    messages.extend(pair(call).map(Bson::Document));
    let unchanged = doc! { KEY: call.session, "version": version };
    let next = doc! {
        "$set": { MESSAGES: messages, "lastOp": stamp(call.op) },
        "$inc": { "version": 1 },
    };
    Ok((io.update_one(unchanged, next).await? == 1, position))
}
