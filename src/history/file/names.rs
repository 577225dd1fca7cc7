//! Keys that operations share: [`Names`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashSet;

/// Keys that are there once, however many operations have them.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<FxHashSet<Arc<str>>>);

impl Names {
    fn known(&self) -> MutexGuard<'_, FxHashSet<Arc<str>>> {
        // The set is whole after every statement, so that a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that stand for all that are equal.
    pub(super) fn shared(&self, keys: Vec<Arc<str>>) -> Vec<Arc<str>> {
        let mut known = self.known();
        keys.into_iter().map(|key| one_for_all(&mut known, key)).collect()
    }

    /// The one that stands for all that are equal.
    pub(super) fn shared_one(&self, key: Arc<str>) -> Arc<str> {
        one_for_all(&mut self.known(), key)
    }
}

fn one_for_all(known: &mut FxHashSet<Arc<str>>, key: Arc<str>) -> Arc<str> {
    if let Some(known) = known.get(&key) {
        return Arc::clone(known);
    }
    known.insert(Arc::clone(&key));
    key
}
