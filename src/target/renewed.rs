//! [`Renewed`]: a target that is another one from time to time, on another database, with all that was seen so far.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Completion, Invocation, Preflight, Staged, Target, TargetError};
use crate::history::{DocumentSightings, Observation, Sightings};

/// Hands operations to the target of the moment, and shows the final state of all that there were.
pub struct Renewed {
    current: Mutex<Arc<dyn Target>>,
    past: Mutex<Past>,
}

/// What was seen of targets that are gone.
#[derive(Default)]
struct Past {
    observation: Option<Observation>,
    sightings: Option<Sightings>,
    notes: Vec<String>,
    /// The target of the moment is one of them: it is gone, and no other has come yet.
    is_last: bool,
}

impl Renewed {
    /// Begins with this target.
    pub fn new(first: Arc<dyn Target>) -> Self {
        Renewed { current: Mutex::new(first), past: Mutex::default() }
    }

    /// The target of the moment.
    pub fn current(&self) -> Arc<dyn Target> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another target in the place of the one of the moment, of which this was the final state.
    pub fn replace(&self, next: Arc<dyn Target>, observation: Option<Observation>) {
        self.retire(observation);
        self.renew(next);
    }

    /// The target of the moment is gone, and this was its final state. It is not asked any more.
    pub fn retire(&self, observation: Option<Observation>) {
        let last = self.current();
        let mut past = self.past();
        if past.is_last {
            return;
        }
        past.is_last = true;
        past.observation = together(past.observation.take(), observation);
        past.sightings = seen_together(past.sightings.take(), last.sightings());
        past.notes.extend(last.notes());
    }

    /// Goes on with this target, in the place of one that is gone.
    pub fn renew(&self, next: Arc<dyn Target>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = next;
        self.past().is_last = false;
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The target of the moment, if it is not gone.
    fn present(&self) -> Option<Arc<dyn Target>> {
        (!self.past().is_last).then(|| self.current())
    }
}

/// Two final states as one.
fn together(past: Option<Observation>, last: Option<Observation>) -> Option<Observation> {
    let (past, mut last) = match (past, last) {
        (Some(past), Some(last)) => (past, last),
        (past, last) => return past.or(last),
    };
    last.quiescent &= past.quiescent;
    last.documents.extend(past.documents);
    last.set_aside.extend(past.set_aside);
    last.vanished.extend(past.vanished);
    last.set_aside.sort_by(|one, other| one.id.cmp(&other.id));
    last.documents.sort_by(|one, other| (&one.key, &one.id).cmp(&(&other.key, &other.id)));
    Some(last)
}

fn seen_together(past: Option<Sightings>, last: Option<Sightings>) -> Option<Sightings> {
    let (mut past, last) = match (past, last) {
        (Some(past), Some(last)) => (past, last),
        (past, last) => return past.or(last),
    };
    past.answers.extend(last.answers);
    let DocumentSightings { fields, others, samples, expected_key } = last.documents;
    for field in fields {
        let same =
            |known: &&mut crate::history::FieldSighting| known.setting == field.setting && known.path == field.path;
        match past.documents.fields.iter_mut().find(same) {
            Some(known) => {
                known.looked_at += field.looked_at;
                known.found += field.found;
            }
            None => past.documents.fields.push(field),
        }
    }
    past.documents.others += others;
    past.documents.samples.extend(samples);
    past.documents.expected_key = past.documents.expected_key.or(expected_key);
    Some(past)
}

impl Target for Renewed {
    fn prepare(&self, clients: u32) -> BoxFuture<'_, Result<Preflight, TargetError>> {
        async move { self.current().prepare(clients).await }.boxed()
    }

    fn seed<'a>(&'a self, keys: &'a [Arc<str>]) -> BoxFuture<'a, Result<(), TargetError>> {
        async move { self.current().seed(keys).await }.boxed()
    }

    fn captured(&self) -> BTreeMap<String, String> {
        self.current().captured()
    }

    fn was_killed(&self) {
        self.current().was_killed();
    }

    fn has_preliminaries(&self) -> bool {
        self.current().has_preliminaries()
    }

    fn preliminaries<'a>(&'a self, operations: &'a [Invocation]) -> BoxFuture<'a, Result<(), TargetError>> {
        async move { self.current().preliminaries(operations).await }.boxed()
    }

    fn apply(&self, operation: Invocation) -> BoxFuture<'static, Completion> {
        self.current().apply(operation)
    }

    fn make_ready(&self, operation: Invocation) -> BoxFuture<'static, BoxFuture<'static, Completion>> {
        self.current().make_ready(operation)
    }

    fn stages(&self) -> bool {
        self.current().stages()
    }

    fn stage(&self, operation: Invocation) -> BoxFuture<'static, Staged> {
        self.current().stage(operation)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.past().notes.clone();
        notes.extend(self.present().iter().flat_map(|present| present.notes()));
        notes.sort();
        notes.dedup();
        notes
    }

    fn sightings(&self) -> Option<Sightings> {
        let past = self.past().sightings.clone();
        seen_together(past, self.present().and_then(|present| present.sightings()))
    }

    fn observe(&self) -> BoxFuture<'_, Result<Option<Observation>, TargetError>> {
        async move {
            let last = match self.present() {
                Some(present) => present.observe().await?,
                None => None,
            };
            Ok(together(self.past().observation.clone(), last))
        }
        .boxed()
    }

    fn tear_down(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        async move { self.current().tear_down().await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture::observed;
    use crate::history::{FieldSighting, Id};
    use crate::target::memory::{Lie, MemoryTarget};

    fn observation(key: &str, id: u8) -> Observation {
        let document = observed(Id::parse(&id.to_string()), key);
        Observation { quiescent: id != 3, documents: vec![document], ..Observation::default() }
    }

    #[test]
    fn final_states_are_put_together_in_the_order_of_keys() {
        let both = together(Some(observation("b", 1)), Some(observation("a", 2))).unwrap();
        assert_eq!(both.documents.iter().map(|document| &*document.key).collect::<Vec<_>>(), ["a", "b"]);
        assert!(both.quiescent);
        assert!(!together(Some(both), Some(observation("c", 3))).unwrap().quiescent, "one was not at rest");
        assert_eq!(together(None, Some(observation("a", 2))), Some(observation("a", 2)));
    }

    #[tokio::test]
    async fn a_target_that_is_gone_is_asked_no_more_and_what_it_left_is_there() {
        let own = || Arc::new(MemoryTarget::new(Lie::Honest)) as Arc<dyn Target>;
        let renewed = Renewed::new(own());
        renewed.retire(Some(observation("a", 1)));
        assert_eq!(renewed.observe().await.unwrap(), Some(observation("a", 1)));
        renewed.retire(Some(observation("b", 2)));
        assert_eq!(renewed.observe().await.unwrap(), Some(observation("a", 1)), "it is gone already");
        renewed.renew(own());
        assert!(renewed.observe().await.unwrap().is_some_and(|both| both.documents.len() == 1), "the new one is asked");
    }

    #[test]
    fn what_documents_have_is_counted_over_all_of_them() {
        let seen = |path: &str, found| {
            let field = FieldSighting { setting: "s".to_owned(), path: path.to_owned(), looked_at: 2, found };
            let documents = DocumentSightings { fields: vec![field], others: 1, ..DocumentSightings::default() };
            Some(Sightings { documents, ..Sightings::default() })
        };
        let all = seen_together(seen_together(seen("a", 1), seen("b", 0)), seen("a", 2)).unwrap().documents;
        assert_eq!(
            all.fields.iter().map(|field| (&*field.path, field.looked_at, field.found)).collect::<Vec<_>>(),
            [("a", 4, 3), ("b", 2, 0)]
        );
        assert_eq!(all.others, 3);
    }
}
