//! Where shards meet: a board that all of them can write on and read, with a clock that all of them can ask.

use std::collections::BTreeMap;

use futures::future::BoxFuture;

/// Why the board cannot be used.
pub type BoardError = Box<dyn std::error::Error + Send + Sync>;

/// A board. What stands on it under a name is replaced whole, or stays as it was.
pub trait Board: Send + Sync + 'static {
    /// Whose clock it has, in words.
    fn clock(&self) -> String;

    /// The time of that clock, at least and at most, in nanoseconds. It was read in the course of the call.
    fn time(&self) -> BoxFuture<'_, Result<[i64; 2], BoardError>>;

    /// Writes a text under a name: letters, digits, `.`, `-`, `_` and `/`.
    fn put<'a>(&'a self, name: &'a str, text: String) -> BoxFuture<'a, Result<(), BoardError>>;

    /// What stands under the names that begin so, by the rest of the name.
    fn read<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<BTreeMap<String, String>, BoardError>>;

    /// Wipes out what stands under the names that begin so.
    fn wipe<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), BoardError>>;
}

/// A board in this process, for tests: its clock is ahead of everyone's by a fixed time.
#[cfg(test)]
pub(crate) mod memory {
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use futures::FutureExt;

    use super::*;

    pub(crate) struct MemoryBoard {
        texts: Mutex<BTreeMap<String, String>>,
        zero: Instant,
        ahead: i64,
        /// Every call fails from now on.
        pub(crate) broken: std::sync::atomic::AtomicBool,
    }

    impl MemoryBoard {
        pub(crate) fn new(ahead: i64) -> Self {
            // Times before the first are asked for as well.
            let zero = Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now);
            MemoryBoard { texts: Mutex::default(), zero, ahead, broken: false.into() }
        }

        /// Its time at a moment.
        pub(crate) fn exact(&self, at: Instant) -> i64 {
            i64::try_from(at.saturating_duration_since(self.zero).as_nanos()).unwrap() + self.ahead
        }

        fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> Result<T, BoardError> {
            match self.broken.load(std::sync::atomic::Ordering::Relaxed) {
                true => Err("the board is gone".into()),
                false => Ok(act(&mut self.texts.lock().unwrap())),
            }
        }
    }

    impl Board for MemoryBoard {
        fn clock(&self) -> String {
            "the test".to_owned()
        }

        fn time(&self) -> BoxFuture<'_, Result<[i64; 2], BoardError>> {
            // As coarse as a server's: milliseconds.
            let time = self.exact(Instant::now()).div_euclid(1_000_000) * 1_000_000;
            std::future::ready(self.with(|_| [time, time + 1_000_000])).boxed()
        }

        fn put<'a>(&'a self, name: &'a str, text: String) -> BoxFuture<'a, Result<(), BoardError>> {
            std::future::ready(self.with(|texts| _ = texts.insert(name.to_owned(), text))).boxed()
        }

        fn read<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<BTreeMap<String, String>, BoardError>> {
            let found = self.with(|texts| {
                let found = texts.iter().filter_map(|(name, text)| Some((name.strip_prefix(prefix)?, text)));
                found.map(|(name, text)| (name.to_owned(), text.clone())).collect()
            });
            std::future::ready(found).boxed()
        }

        fn wipe<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), BoardError>> {
            std::future::ready(self.with(|texts| texts.retain(|name, _| !name.starts_with(prefix)))).boxed()
        }
    }
}
