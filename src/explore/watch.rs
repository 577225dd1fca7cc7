//! The user's own invariants, looked at after each execution: [`Watch`].
//!
//! They look at the whole database, so that one that is violated stays so. What an execution did is told by what was added:
//! it is to blame if more is wrong after it than before. *Completeness*: an aggregation that gives one document whatever the
//! number of defects (a total, a single bound) blames the first execution alone.

use futures::future::BoxFuture;

use crate::verdict::Invariant;

/// How much is wrong, by invariant.
pub type Wrong = Vec<(Invariant, u64)>;

/// Asks how much is wrong.
pub type Look<'a> = Box<dyn Fn() -> BoxFuture<'a, Wrong> + Send + Sync + 'a>;

/// What was wrong when last looked at.
pub struct Watch<'a> {
    ask: Look<'a>,
    before: Wrong,
}

impl<'a> Watch<'a> {
    /// Looks in this way.
    pub fn new(ask: Look<'a>) -> Self {
        Watch { ask, before: Wrong::new() }
    }

    /// What is wrong now is nobody's doing.
    pub(super) async fn begin(&mut self) {
        self.before = (self.ask)().await;
    }

    /// What has become worse since.
    pub(super) async fn look(&mut self) -> Vec<Invariant> {
        let now = (self.ask)().await;
        let before =
            |name: &Invariant| self.before.iter().find(|(other, _)| other == name).map_or(0, |(_, wrong)| *wrong);
        let worse = now.iter().filter(|(name, wrong)| *wrong > before(name)).map(|(name, _)| name.clone()).collect();
        self.before = now;
        worse
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn only_what_became_worse_is_told() {
        let answers: [&[(&str, u64)]; 5] =
            [&[("a", 1)], &[("a", 1), ("b", 0)], &[("a", 2), ("b", 0)], &[("a", 1), ("b", 1)], &[("a", 2), ("b", 1)]];
        let next = AtomicUsize::new(0);
        let ask: Look<'_> = Box::new(|| {
            let answer = answers[next.fetch_add(1, Ordering::Relaxed)];
            let named = |(name, wrong): &(&str, u64)| (Invariant::Custom((*name).into()), *wrong);
            Box::pin(std::future::ready(answer.iter().map(named).collect()))
        });
        let mut watch = Watch::new(ask);
        watch.begin().await;
        for expected in [&[][..], &["a"], &["b"], &["a"]] {
            let expected: Vec<Invariant> = expected.iter().map(|name| Invariant::Custom((*name).into())).collect();
            assert_eq!(watch.look().await, expected);
        }
    }
}
