//! [`Lag`]: a secondary that is held behind by its own fail point, while an execution is under way.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, Timestamp, doc};
use mongodb::options::{ClientOptions, ServerAddress};

use crate::explore::cause::chain;
use crate::explore::proxy::Proxy;

/// Where a member stops applying what the primary has written.
const STOPPED: &str = "rsSyncApplyStop";
/// Between two looks at how far the member is.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a member may take to catch up and to stand still, and for each answer.
const WITHIN: Duration = Duration::from_secs(20);

/// A secondary of a replica set. The other members go on, so that a majority acknowledges what is written.
#[derive(Debug)]
pub struct Lag {
    primary: Client,
    lagging: Client,
    /// What it does now, for people.
    step: Mutex<&'static str>,
}

impl Lag {
    /// Chooses a secondary among the servers of this proxy, and has it know of that: reads that a secondary may answer go to the primary from
    /// now on, unless they are to be stale.
    pub async fn prepare(proxy: &Proxy) -> Result<Lag, String> {
        let (mut primary, mut secondaries) = (None, Vec::new());
        for member in proxy.servers() {
            let client = alone(&member)?;
            let hello = asked(&client, doc! { "hello": 1 }).await?;
            let is = |what: &str| hello.get_bool(what).unwrap_or(false);
            if is("isWritablePrimary") {
                primary = Some((client, member));
            } else if is("secondary") {
                secondaries.push((client, member));
            }
        }
        for (client, _) in &secondaries {
            // Whoever followed the one that is held behind would be behind as well, and no majority would have what is written.
            let Some((_, primary)) = &primary else { break };
            asked(client, doc! { "replSetSyncFrom": primary }).await?;
        }
        match (primary, secondaries.pop()) {
            (Some((primary, to)), Some((lagging, behind))) => {
                proxy.route(to, behind);
                Ok(Lag { primary, lagging, step: Mutex::new("nothing was asked yet") })
            }
            _ => Err("the replica set has no primary and secondary now".to_owned()),
        }
    }

    /// Lets it catch up, and holds it there. When this has ended it applies nothing any more.
    pub(in crate::explore) async fn hold(&self) -> Result<(), String> {
        let held = async {
            self.does("a note in the primary's oplog");
            let written = self.note().await?;
            self.does("catching up");
            while applied(&asked(&self.lagging, doc! { "hello": 1 }).await?).is_none_or(|applied| applied < written) {
                tokio::time::sleep(PAUSE).await;
            }
            self.does("standing still");
            let set = asked(&self.lagging, doc! { "configureFailPoint": STOPPED, "mode": "alwaysOn" }).await?;
            let before = set.get_i64("count").or_else(|_| set.get_i32("count").map(i64::from)).unwrap_or_default();
            // It waits for something to apply, and looks at its fail point after that.
            self.note().await?;
            let within = i64::try_from(WITHIN.as_millis()).unwrap_or(i64::MAX);
            let stands = doc! { "waitForFailPoint": STOPPED, "timesEntered": before + 1, "maxTimeMS": within };
            asked(&self.lagging, stands).await
        };
        let late = |_| Err(format!("{} took longer than {} s", self.step(), WITHIN.as_secs()));
        let held = tokio::time::timeout(WITHIN, held).await.unwrap_or_else(late);
        held.map(|_| ()).map_err(|why| format!("no secondary could be held behind: {why}"))
    }

    fn does(&self, step: &'static str) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    fn step(&self) -> &'static str {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets it go on.
    pub(in crate::explore) async fn release(&self) -> Result<(), String> {
        let off = asked(&self.lagging, doc! { "configureFailPoint": STOPPED, "mode": "off" }).await;
        off.map(|_| ()).map_err(|why| format!("the secondary that was held behind is not let go: {why}"))
    }

    /// An error where another member has been elected: reads that were to go to the primary went to who led before.
    pub(in crate::explore) async fn leads(&self) -> Result<(), String> {
        let hello = asked(&self.primary, doc! { "hello": 1 }).await?;
        match hello.get_bool("isWritablePrimary") {
            Ok(true) => Ok(()),
            _ => {
                Err("the replica set has elected another primary: reads may have been stale that were not to be"
                    .to_owned())
            }
        }
    }

    /// Writes something that changes no document; when that was.
    async fn note(&self) -> Result<Timestamp, String> {
        let noted = asked(&self.primary, doc! { "appendOplogNote": 1, "data": { "onlyone": "lag" } }).await?;
        noted.get_timestamp("operationTime").map_err(|_| "the primary does not say when it wrote".to_owned())
    }
}

/// A connection to one member alone.
fn alone(member: &str) -> Result<Client, String> {
    let address = ServerAddress::parse(member).map_err(|error| chain(&error))?;
    let options = ClientOptions::builder().hosts(vec![address]).direct_connection(true);
    Client::with_options(options.build()).map_err(|error| chain(&error))
}

async fn asked(client: &Client, command: Document) -> Result<Document, String> {
    let admin = client.database("admin");
    match tokio::time::timeout(WITHIN, admin.run_command(command).into_future()).await {
        Ok(answer) => answer.map_err(|error| chain(&error)),
        Err(_) => Err(format!("no answer within {} s", WITHIN.as_secs())),
    }
}

/// Up to when a member has applied what was written.
fn applied(hello: &Document) -> Option<Timestamp> {
    hello.get_document("lastWrite").ok()?.get_document("opTime").ok()?.get_timestamp("ts").ok()
}
