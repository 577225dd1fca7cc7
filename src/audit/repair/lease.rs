//! One repair at a time: a lease on the database, with a sign of life and a token that only grows.
//!
//! The lease is one document of the collection `onlyone_backup_lease`, so that taking it is one atomic write; times are the
//! server's. A repair that lives renews it; one that died is followed at once where it ran on this machine, and after
//! [`Lease::TIME`] of silence elsewhere. Whoever takes it over gets the next token.
//!
//! What a repair that was only paused may still do when it wakes up: at most the one command that it was about to send
//! after it had checked the lease, which it does before each command that changes documents, creates or drops an index, or
//! begins or ends a journal. Such a command changes only documents that are still as they were read, and the journal
//! has what it is about to do and the backup since before the check: the successor has seen both. The other entries of the
//! journal are written without a check: each carries the token, and is never overwritten by a lower one.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mongodb::bson::{DateTime, Document, doc, oid::ObjectId};
use mongodb::options::ReturnDocument;
use mongodb::{Collection, Database};
use tokio::task::JoinHandle;

use super::machine;
use crate::audit::error::{AuditError, DUPLICATE_KEY, Result, Step, code};

const COLLECTION: &str = "onlyone_backup_lease";
const LEASE: &str = "lease";

/// Leases that this process holds, so that one that was dropped without being given back is known to be dead.
static HELD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The right to write, as long as it is renewed.
pub(super) struct Lease {
    collection: Collection<Document>,
    database: String,
    holder: String,
    token: i64,
    beat: JoinHandle<()>,
}

/// A lease that somebody else holds.
enum Other {
    /// It renews it, or says nothing yet about being dead.
    Alive(String),
    /// Its process is gone.
    Dead(Document),
    /// It runs elsewhere: only silence tells.
    Unknown(Document),
}

impl Lease {
    /// How long a holder may be silent before another takes over.
    pub(super) const TIME: Duration = Duration::from_secs(15);

    /// Takes the lease, or says who has it.
    pub(super) async fn acquire(database: &Database, what: &str) -> Result<Self> {
        let collection = database.collection::<Document>(COLLECTION);
        let holder = ObjectId::new().to_hex();
        let mut heard: Option<Document> = None;
        loop {
            let free = doc! { "$or": [{ "holder": null }, { "$expr": { "$lt": ["$expires", "$$NOW"] } }] };
            if let Some(token) = take(&collection, database.name(), free, &holder, what).await? {
                return Ok(Lease::held(collection, database, holder, token));
            }
            let found = collection.find_one(doc! { "_id": LEASE }).await;
            let Some(found) = found.reading(database.name(), "read the lease")? else {
                first(&collection, database.name()).await?;
                continue;
            };
            match other(found) {
                Other::Alive(words) => return Err(AuditError::Busy(words)),
                Other::Dead(dead) => {
                    let same = doc! { "holder": dead.get("holder"), "token": dead.get("token") };
                    if let Some(token) = take(&collection, database.name(), same, &holder, what).await? {
                        return Ok(Lease::held(collection, database, holder, token));
                    }
                }
                Other::Unknown(now) => {
                    let renewed = heard.as_ref().is_some_and(|before| before.get("beat") != now.get("beat"));
                    if renewed {
                        return Err(AuditError::Busy(words(&now)));
                    }
                    heard = Some(now);
                    tokio::time::sleep(Lease::TIME / 30).await;
                }
            }
        }
    }

    fn held(collection: Collection<Document>, database: &Database, holder: String, token: i64) -> Self {
        HELD.lock().unwrap_or_else(PoisonError::into_inner).insert(holder.clone());
        let beat = tokio::spawn(beat(collection.clone(), holder.clone(), token));
        Lease { collection, database: database.name().to_owned(), holder, token, beat }
    }

    /// The number of this holder; later ones have larger numbers.
    pub(super) fn token(&self) -> i64 {
        self.token
    }

    /// Renews the lease before a write. An error if somebody else took over: then nothing may be written.
    pub(super) async fn check(&self) -> Result<()> {
        let renewed = renew(&self.collection, &self.holder, self.token).await;
        match renewed.writing(&self.database, "renew the lease")? {
            true => Ok(()),
            false => Err(AuditError::LeaseLost),
        }
    }

    /// Gives it back.
    pub(super) async fn release(self) -> Result<()> {
        self.beat.abort();
        let own = doc! { "_id": LEASE, "holder": &self.holder, "token": self.token };
        let released = self.collection.update_one(own, doc! { "$set": { "holder": null, "ended": DateTime::now() } });
        released.await.writing(&self.database, "give the lease back").map(drop)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.beat.abort();
        HELD.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.holder);
    }
}

/// Makes the lease that nobody has yet.
async fn first(collection: &Collection<Document>, database: &str) -> Result<()> {
    match collection.insert_one(doc! { "_id": LEASE, "holder": null, "token": 0_i64 }).await {
        Ok(_) => Ok(()),
        Err(error) if code(&error) == Some(DUPLICATE_KEY) => Ok(()),
        Err(error) => Err(error).writing(database, "make the lease"),
    }
}

/// Takes the lease where it is as `free` says.
async fn take(
    collection: &Collection<Document>,
    database: &str,
    free: Document,
    holder: &str,
    what: &str,
) -> Result<Option<i64>> {
    let mut filter = doc! { "_id": LEASE };
    filter.extend(free);
    let set = doc! { "$set": {
        "holder": holder, "token": { "$add": [{ "$ifNull": ["$token", 0_i64] }, 1_i64] }, "what": { "$literal": what },
        "process": { "$literal": machine::process() }, "beat": "$$NOW", "expires": expiry(),
    } };
    let taken = collection.find_one_and_update(filter, vec![set]).return_document(ReturnDocument::After).await;
    Ok(taken.writing(database, "take the lease")?.and_then(|lease| lease.get_i64("token").ok()))
}

fn expiry() -> Document {
    doc! { "$add": ["$$NOW", i64::try_from(Lease::TIME.as_millis()).unwrap_or(i64::MAX)] }
}

async fn renew(collection: &Collection<Document>, holder: &str, token: i64) -> mongodb::error::Result<bool> {
    let own = doc! { "_id": LEASE, "holder": holder, "token": token };
    let set = doc! { "$set": { "beat": "$$NOW", "expires": expiry() } };
    Ok(collection.update_one(own, vec![set]).await?.matched_count == 1)
}

/// Renews the lease until it is lost. A renewal that fails is tried again: what counts is checked before each write.
async fn beat(collection: Collection<Document>, holder: String, token: i64) {
    loop {
        tokio::time::sleep(Lease::TIME / 5).await;
        if matches!(renew(&collection, &holder, token).await, Ok(false)) {
            return;
        }
    }
}

fn other(lease: Document) -> Other {
    let process = lease.get_document("process").cloned().unwrap_or_default();
    let held = || {
        let holder = lease.get_str("holder").unwrap_or_default();
        HELD.lock().unwrap_or_else(PoisonError::into_inner).contains(holder)
    };
    match machine::lives(&process, held) {
        Some(true) => Other::Alive(words(&lease)),
        Some(false) => Other::Dead(lease),
        None => Other::Unknown(lease),
    }
}

/// Who holds a lease, in a sentence.
fn words(lease: &Document) -> String {
    let process = lease.get_document("process").cloned().unwrap_or_default();
    let (host, pid) = (process.get_str("host").unwrap_or("?"), process.get_i64("pid").unwrap_or(0));
    let what = lease.get_str("what").unwrap_or("a repair");
    let beat = lease.get_datetime("beat").ok().and_then(|beat| beat.try_to_rfc3339_string().ok()).unwrap_or_default();
    format!(
        "{what} is at work on this database (process {pid} on `{host}`, last sign of life {beat}): wait until it has ended"
    )
}
