//! Where shards meet: a board that all of them can write on and read, with a clock that all of them can ask.

use std::collections::BTreeMap;

use futures::future::BoxFuture;

/// Why the board cannot be used.
pub type BoardError = Box<dyn std::error::Error + Send + Sync>;

/// What a board says the time is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Whose clock it was, in words. Behind one board there may be several, of which one or another answers.
    pub clock: String,
    /// Its time, at least and at most, in nanoseconds.
    pub time: [i64; 2],
}

/// A board. What stands on it under a name is replaced whole, or stays as it was.
pub trait Board: Send + Sync + 'static {
    /// The time, as it was read in the course of the call.
    fn time(&self) -> BoxFuture<'_, Result<Told, BoardError>>;

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
        ahead: std::sync::atomic::AtomicI64,
        /// How far ahead a second clock is, which answers every other question.
        second: Option<i64>,
        asked: std::sync::atomic::AtomicU32,
        /// Every call fails from now on.
        pub(crate) broken: std::sync::atomic::AtomicBool,
    }

    impl MemoryBoard {
        pub(crate) fn new(ahead: i64) -> Self {
            // Times before the first are asked for as well.
            let zero = Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now);
            let texts = Mutex::default();
            MemoryBoard { texts, zero, ahead: ahead.into(), second: None, asked: 0.into(), broken: false.into() }
        }

        pub(crate) fn with_second(ahead: i64, second: Option<i64>) -> Self {
            MemoryBoard { second, ..MemoryBoard::new(ahead) }
        }

        /// Its time at a moment.
        pub(crate) fn exact(&self, at: Instant) -> i64 {
            i64::try_from(at.saturating_duration_since(self.zero).as_nanos()).unwrap()
                + self.ahead.load(std::sync::atomic::Ordering::Relaxed)
        }

        /// Sets the clock.
        pub(crate) fn set(&self, ahead: i64) {
            self.ahead.store(ahead, std::sync::atomic::Ordering::Relaxed);
        }

        fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> Result<T, BoardError> {
            match self.broken.load(std::sync::atomic::Ordering::Relaxed) {
                true => Err("the board is gone".into()),
                false => Ok(act(&mut self.texts.lock().unwrap())),
            }
        }
    }

    impl Board for MemoryBoard {
        fn time(&self) -> BoxFuture<'_, Result<Told, BoardError>> {
            let asked = self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let second = self.second.filter(|_| !asked.is_multiple_of(2));
            // As coarse as a server's: milliseconds.
            let time = (self.exact(Instant::now()) + second.unwrap_or(0)).div_euclid(1_000_000) * 1_000_000;
            let clock = if second.is_some() { "another" } else { "the test" }.to_owned();
            std::future::ready(self.with(|_| Told { clock, time: [time, time + 1_000_000] })).boxed()
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
