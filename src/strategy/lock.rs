//! Locks around a racy body, as services use them: in the memory of one process, and in a collection with a TTL.

use std::sync::Arc;
use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{Bson, DateTime, Document, doc};
use rustc_hash::FxHashMap;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::session::{Failure, Session};

/// One lock per key in this process. Other processes do not know of them: that is their bug.
#[derive(Debug, Clone, Default)]
pub struct MemoryLocks {
    locks: Arc<std::sync::Mutex<FxHashMap<String, Arc<Mutex<()>>>>>,
}

impl MemoryLocks {
    /// Waits for the key's lock.
    pub async fn lock(&self, key: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            // Forget locks that nobody holds or waits for, once in a while, so that the map does not grow for ever.
            if locks.len() >= 4096 {
                locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            }
            Arc::clone(locks.entry(key.to_owned()).or_default())
        };
        lock.lock_owned().await
    }
}

/// Runs a body under a lock document `{_id: key, expiresAt}`; whoever inserts it holds the lock.
///
/// A lock whose time has run out is taken over, as a service does that must survive a crashed holder: a body that takes
/// longer than the TTL is no longer alone.
pub(super) struct CollectionLock<'a> {
    /// Where the lock documents are.
    pub locks: &'a Collection<Document>,
    /// Comment of the run.
    pub comment: &'a Bson,
    /// How long a lock is good for.
    pub ttl: Duration,
}

impl CollectionLock<'_> {
    /// How often an acquisition is tried: at 1 ms to 20 ms apart, about twenty seconds.
    const TRIES: u32 = 1000;

    /// Waits for the lock; the value returned is the holder's mark, needed to release it.
    pub(super) async fn acquire(&self, key: &str, holder: i64) -> Result<(), Failure> {
        let mut session = Session::new(self.locks, self.comment);
        for attempt in 0..Self::TRIES {
            let now = DateTime::now();
            let expires = DateTime::from_millis(
                now.timestamp_millis() + i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX / 2),
            );
            let lock = doc! { "_id": key, "holder": holder, "expiresAt": expires };
            match session.insert_one(&lock).await {
                Ok(()) => return Ok(()),
                Err(failure) if failure.is_duplicate_key_on("_id") => {}
                Err(failure) => return Err(before_work(failure)),
            }
            let expired = doc! { "_id": key, "expiresAt": { "$lt": now } };
            let taken = session.update_one(expired, doc! { "$set": { "holder": holder, "expiresAt": expires } }).await;
            if taken.map_err(before_work)? == 1 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(u64::from(attempt.clamp(1, 20)))).await;
        }
        Err(before_work(session.give_up("the lock was never free")))
    }

    /// Gives the lock back, if it is still this holder's.
    pub(super) async fn release(&self, key: &str, holder: i64) -> Result<(), Failure> {
        let result = self.locks.delete_one(doc! { "_id": key, "holder": holder }).comment(self.comment.clone()).await;
        result.map(|_| ()).map_err(|error| Failure {
            reason: super::session::Reason::Driver(Box::new(error)),
            in_write: false,
            after_write: true,
        })
    }
}

/// A failure of the lock itself: nothing of what is judged was written.
fn before_work(failure: Failure) -> Failure {
    Failure { in_write: false, after_write: false, ..failure }
}
