//! What survives a server that is killed, or that loses an election: [`DurableMark`], and [`why_writes_survive`].
//!
//! A server acknowledges a write, unless it is asked for more, when it has it in memory. Its journal follows within a tenth of a
//! second or so, the other members of a set when they come to it. So before a fault that may lose something the harness writes a
//! mark that is acknowledged only when a majority has it in its journals: all that was acknowledged before the mark was sent is
//! durable with it, because journals and oplogs lose nothing but their ends.

use std::time::{Duration, Instant};

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;

use crate::mongod::Mongod;
use crate::scenario::{MongodSpec, WriteConcern};

/// How long that may take before the load: a set that has just been started, on a machine that is busy.
const PREPARED_WITHIN: Duration = Duration::from_secs(30);
/// Where the marks are.
const DATABASE: &str = "onlyone_faults";

/// A way to have everything made durable.
pub(super) struct DurableMark {
    client: Client,
}

impl DurableMark {
    /// For the embedded server; `within` is how long a mark may take.
    pub(super) async fn open(mongod: &Mongod, within: Duration) -> Result<Self, mongodb::error::Error> {
        let mut options = ClientOptions::parse(mongod.uri()).await?;
        options.app_name = Some("onlyone-faults".to_owned());
        options.server_selection_timeout = Some(within);
        options.max_pool_size = Some(1);
        Ok(DurableMark { client: Client::with_options(options)? })
    }

    /// When the mark was sent, if it was acknowledged in time.
    pub(super) async fn set(&self, within: Duration) -> Option<Instant> {
        let sent = Instant::now();
        let one = doc! { "q": { "_id": "mark" }, "u": { "$inc": { "times": 1 } }, "upsert": true };
        let command = doc! { "update": "marks", "updates": [one], "writeConcern": { "w": "majority", "j": true } };
        let database = self.client.database(DATABASE);
        let answer = tokio::time::timeout(within, database.run_command(command)).await;
        answer.ok()?.ok().filter(|answer| !answer.contains_key("writeConcernError")).map(|_| sent)
    }
}

/// Has all be made durable that is there before the load, above all its indexes: a unique index that is lost with its server lets the
/// most correct strategy store twice. Whether that was possible.
pub async fn make_durable(mongod: &Mongod) -> bool {
    match DurableMark::open(mongod, PREPARED_WITHIN).await {
        Ok(mark) => mark.set(PREPARED_WITHIN).await.is_some(),
        Err(_) => false,
    }
}

/// Why what the direct target's server acknowledges survives a kill or an election, if it does: the write concern by which it is
/// acknowledged.
pub async fn why_writes_survive(
    mongod: &Mongod,
    spec: MongodSpec,
    concern: Option<WriteConcern>,
) -> Option<&'static str> {
    match (concern, spec.replica_set) {
        (Some(WriteConcern::Journal), 0 | 1) => Some("j: true"),
        (Some(WriteConcern::Majority), 1..) => Some("w: majority"),
        (None, 1..) => is_majority_the_default(mongod).await.then_some("w: majority, the server's default"),
        _ => None,
    }
}

/// Servers before 5.0 have another default, and do not tell it.
async fn is_majority_the_default(mongod: &Mongod) -> bool {
    let Some(member) = mongod.members().first() else { return false };
    let asked = member.admin("tell its write concern", doc! { "getDefaultRWConcern": 1 }).await;
    let of = |answer: &Document| {
        let concern = answer.get_document("defaultWriteConcern").ok()?;
        concern.get_str("w").ok().map(|w| w == "majority")
    };
    asked.ok().as_ref().and_then(of).unwrap_or(false)
}
