//! What is read is the truth: from the primary, as a majority has it, whatever the connection string prefers. A secondary may
//! lag behind, and what a majority does not have may yet be rolled back. Main type: [`Identity`], of the server that is read.

use std::time::{Duration, Instant};

use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;
use mongodb::options::{ReadConcern, ReadPreference, SelectionCriteria};
use serde::{Deserialize, Serialize};

use super::Connected;
use crate::target::{Guard, MongoUri, TargetError};

/// How long a majority may take to have the last writes, in milliseconds.
const MAJORITY_WITHIN_MS: i64 = 10_000;
/// How long a new primary is waited for.
pub(super) const PRIMARY_WITHIN: Duration = Duration::from_secs(15);
/// How long nothing may be at work, and how long that is waited for.
const IDLE_FOR: Duration = Duration::from_millis(200);
const IDLE_WITHIN: Duration = Duration::from_secs(3);
/// Between two looks at what is at work.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The command is unknown, or the user may not ask it.
const UNASKABLE: [i32; 4] = [13, 59, 76, 8000];

/// The primary.
pub(in crate::target) fn primary() -> SelectionCriteria {
    SelectionCriteria::ReadPreference(ReadPreference::Primary)
}

/// What a majority has.
pub(in crate::target) fn majority() -> ReadConcern {
    ReadConcern::majority()
}

/// Waits until a majority has everything that was written so far. A server without replication tells no time, and has
/// nothing to wait for.
pub(in crate::target) async fn await_majority(connected: &Connected, database: &str) -> Result<(), Error> {
    let ping = doc! { "ping": 1 };
    let answer = connected.client.database("admin").run_command(ping).selection_criteria(primary()).await?;
    let Some(Bson::Timestamp(now)) = answer.get("operationTime").cloned() else { return Ok(()) };
    let read = doc! {
        "find": "onlyone", "limit": 1, "singleBatch": true, "maxTimeMS": MAJORITY_WITHIN_MS,
        "readConcern": { "level": "majority", "afterClusterTime": now },
    };
    connected.client.database(database).run_command(read).selection_criteria(primary()).await.map(|_| ())
}

/// Whether no command on a database is running.
pub(in crate::target) async fn is_idle(connected: &Connected, database: &str) -> Result<bool, Error> {
    // A cursor that waits for more, as that of a change stream does, is never done and writes nothing.
    let waits = doc! { "$ne": "getmore" };
    let on_database = doc! { "$regex": format!("^{database}\\.") };
    let question = doc! { "currentOp": 1, "active": true, "ns": on_database, "op": waits };
    Ok(connected.admin(question).await?.get_array("inprog").is_ok_and(Vec::is_empty))
}

/// Waits until nothing has been at work on a database for a moment; what never rests is not waited for long.
pub async fn await_idle(uri: &MongoUri, guard: &Guard, database: &str) -> Result<(), TargetError> {
    await_idle_for(IDLE_FOR, uri, guard, database).await
}

/// Waits until nothing has been at work on a database for so long, which may be no time at all: then one look in which nothing
/// is suffices.
pub async fn await_idle_for(
    idle_for: Duration,
    uri: &MongoUri,
    guard: &Guard,
    database: &str,
) -> Result<(), TargetError> {
    let connected = Connected::open_reading(uri, guard).await?;
    let (begin, mut since) = (Instant::now(), None);
    while begin.elapsed() < IDLE_WITHIN {
        let idle = is_idle(&connected, database).await.map_err(|error| TargetError::Step {
            step: "asking the server what it is at".to_owned(),
            source: uri.redact(error),
        })?;
        since = if idle { since.or_else(|| Some(Instant::now())) } else { None };
        if since.is_some_and(|since| since.elapsed() >= idle_for) {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Which server answers: another process, or another election, and what it had acknowledged may be gone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// Its address.
    pub address: String,
    /// Its process, which is another one after a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The term of its election, in a replica set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<i64>,
    /// How often its data was rolled back, in a replica set whose user may ask that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollbacks: Option<i64>,
}

impl Identity {
    /// Asks the primary who it is. Routers of a sharded cluster have none.
    pub async fn of(uri: &MongoUri, guard: &Guard) -> Result<Option<Self>, TargetError> {
        let connected = Connected::open_reading(uri, guard).await?;
        Self::ask(&connected).await.map_err(|error| TargetError::Step {
            step: "asking the server who it is".to_owned(),
            source: uri.redact(error),
        })
    }

    async fn ask(connected: &Connected) -> Result<Option<Self>, Error> {
        let hello = connected.admin(doc! { "hello": 1 }).await?;
        if hello.get_str("msg").is_ok_and(|message| message == "isdbgrid") {
            return Ok(None);
        }
        let in_a_set = hello.contains_key("setName");
        let rollbacks = match in_a_set {
            true => rollbacks(connected).await?,
            false => None,
        };
        Ok(Some(Identity { rollbacks, ..Self::told(&hello) }))
    }

    /// What a `hello` says.
    pub(crate) fn told(hello: &Document) -> Self {
        let process = hello.get_document("topologyVersion").ok();
        let process = process.and_then(|version| version.get_object_id("processId").ok());
        // The term stands in the last eight bytes of the election's identifier.
        let term = hello
            .get_object_id("electionId")
            .ok()
            .map(|election| election.bytes()[4..].iter().fold(0_i64, |term, byte| (term << 8) | i64::from(*byte)));
        Identity {
            address: hello.get_str("me").or_else(|_| hello.get_str("primary")).unwrap_or_default().to_owned(),
            process: process.map(|process| process.to_hex()),
            term,
            rollbacks: None,
        }
    }

    /// What happened to the server between this and a later look, in words.
    pub fn change(&self, later: &Self) -> Option<String> {
        let both = |one: &Option<i64>, other: &Option<i64>| one.zip(*other).filter(|(one, other)| one != other);
        if self.address != later.address {
            let term = both(&self.term, &later.term)
                .map_or_else(String::new, |(one, other)| format!(", term {one} → {other}"));
            return Some(format!("the replica set failed over: primary {} → {}{term}", self.address, later.address));
        }
        if let Some((one, other)) =
            self.process.as_ref().zip(later.process.as_ref()).filter(|(one, other)| one != other)
        {
            return Some(format!("the server was restarted: process {one} → {other}"));
        }
        if let Some((one, other)) = both(&self.rollbacks, &later.rollbacks) {
            return Some(format!("the server rolled back its data: rollback {one} → {other}"));
        }
        both(&self.term, &later.term).map(|(one, other)| format!("the primary was elected anew: term {one} → {other}"))
    }
}

/// How often data was rolled back.
async fn rollbacks(connected: &Connected) -> Result<Option<i64>, Error> {
    match connected.admin(doc! { "replSetGetRBID": 1 }).await {
        Ok(answer) => Ok(answer.get_i32("rbid").ok().map(i64::from)),
        Err(error) if matches!(&*error.kind, mongodb::error::ErrorKind::Command(command) if UNASKABLE.contains(&command.code)) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::oid::ObjectId;

    use super::*;

    fn hello(address: &str, process: u8, term: Option<u8>) -> Document {
        let mut hello =
            doc! { "topologyVersion": { "processId": ObjectId::from_bytes([process; 12]), "counter": 1_i64 } };
        if let Some(term) = term {
            let election = ObjectId::from_bytes([0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, term]);
            hello.extend(doc! { "setName": "rs", "me": address, "electionId": election });
        }
        hello
    }

    #[test]
    fn another_process_another_primary_and_another_term_are_changes() {
        let of = |address, process, term| Identity::told(&hello(address, process, term));
        let rolled = |rollbacks| Identity { rollbacks: Some(rollbacks), ..of("a:1", 1, Some(2)) };
        for (before, after, expected) in [
            (of("a:1", 1, Some(2)), of("a:1", 1, Some(2)), None),
            (of("a:1", 1, Some(2)), of("b:1", 2, Some(3)), Some("failed over: primary a:1 → b:1, term 2 → 3")),
            (of("a:1", 1, Some(2)), of("a:1", 1, Some(4)), Some("elected anew: term 2 → 4")),
            (of("a:1", 1, Some(2)), of("a:1", 9, Some(4)), Some("restarted: process 0101")),
            (of("", 1, None), of("", 1, None), None),
            (of("", 1, None), of("", 2, None), Some("restarted")),
            (rolled(1), rolled(2), Some("rolled back")),
        ] {
            let found = before.change(&after);
            assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
            assert!(expected.is_none_or(|expected| found.as_ref().unwrap().contains(expected)), "{found:?}");
        }
    }
}
