//! What the service, or the server, removes by itself: documents that nobody has lost. They are read while they are there, and looked for
//! later, when nothing has been done with their keys in between.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::explorer::Explorer;
use super::policy::Serial;
use crate::checker::is_wrong;
use crate::history::{Earlier, Observation, Operation, Phase};
use crate::scope::Scope;

/// How long one reading may take.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// A document that stays for so long, or as long as all took so far, is not one that is removed in time.
const LIVES: Duration = Duration::from_secs(10);
/// Between two looks at it.
const BETWEEN: Duration = Duration::from_millis(100);

impl Explorer<'_> {
    /// Reads what the executions so far have left. What cannot be read now is read at the end.
    pub(super) async fn look_early(&mut self) {
        if self.afresh.is_some() || self.plan.invariants.is_empty() {
            return;
        }
        let all = (0..self.found.executions.len()).flat_map(|position| self.operations(position));
        let keys: BTreeSet<Arc<str>> = all.map(|operation| operation.key).collect();
        self.pass();
        let state = self.documents_of_now().await;
        self.hold();
        self.found.early = state.map(|state| Earlier { state, keys });
    }

    /// Where documents of requests that ran alone are missing in the end, has one more run alone, and looks whether what it leaves is
    /// removed as well. Whether that is so.
    pub(super) async fn see_what_vanishes(&mut self, observation: Option<&Observation>) -> bool {
        if self.afresh.is_some()
            || self.is_over()
            || !observation.is_some_and(|observation| self.lacks_some(observation))
        {
            return false;
        }
        let longest = self.start.elapsed().min(LIVES);
        self.hold();
        let position = self.execute_surely(&[0], Phase::Main, &mut Serial).await;
        self.pass();
        let keys: BTreeSet<Arc<str>> = self.operations(position).into_iter().map(|operation| operation.key).collect();
        let is_there = |state: &Observation| state.documents.iter().any(|document| keys.contains(&document.key));
        let begin = Instant::now();
        let Some(state) = self.documents_of_now().await.filter(is_there) else { return false };
        while begin.elapsed() < longest && !self.stop.is_cancelled() {
            tokio::time::sleep(BETWEEN).await;
            match self.documents_of_now().await {
                None => return false,
                Some(now) if !is_there(&now) => {
                    self.found.early = Some(Earlier { state, keys });
                    return true;
                }
                Some(_) => {}
            }
        }
        false
    }

    async fn documents_of_now(&self) -> Option<Observation> {
        let target = Arc::clone(&self.target);
        Scope::new(READ_WITHIN, &self.stop).wait(target.observe()).await.ok()?.ok()?
    }

    /// Whether something is wrong with this, and nothing is there that a request alone left, although it was served.
    fn lacks_some(&self, observation: &Observation) -> bool {
        let executions = self.found.executions.iter().enumerate();
        let alone = executions.filter(|(_, (_, _, phase))| !phase.is_main());
        let mut served = alone.flat_map(|(position, _)| self.operations(position)).filter(Operation::is_ok);
        let is_there = |key: &str| observation.documents.iter().any(|document| *document.key == *key);
        observation.vanished.is_empty()
            && served.any(|operation| !is_there(&operation.key))
            && is_wrong(&self.history(), observation, &self.plan.invariants)
    }
}
