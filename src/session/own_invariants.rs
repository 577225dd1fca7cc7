//! The user's own invariants in an exploration: asked of the run's database, judged by `assess`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::assess::{meant_for_a_load, worsening};
use crate::explore::watch::OwnInvariants;
use crate::history::Worsening;
use crate::scenario::InvariantSpec;
use crate::target::Target;
use crate::target::mongo::{Queries, QueryResult};

/// What is not as expected must stay as it is for so long, also where the invariant gives no time of its own.
const UNMET_FOR: Duration = Duration::from_secs(1);

/// A scenario's own invariants, ready to be carried out again and again.
pub(crate) struct Asked<'a> {
    pub(crate) queries: Queries,
    pub(crate) specs: &'a [InvariantSpec],
    /// Where the set-up is done, which may be done anew.
    pub(crate) target: Arc<dyn Target>,
}

impl OwnInvariants for Asked<'_> {
    fn ask(&self) -> BoxFuture<'_, Vec<QueryResult>> {
        Box::pin(async {
            self.queries.capture(self.target.captured());
            self.queries.run(self.specs).await
        })
    }

    fn names(&self) -> Vec<String> {
        self.specs.iter().map(|spec| spec.name.clone()).collect()
    }

    fn collection(&self, name: &str) -> Option<String> {
        self.specs.iter().find(|spec| spec.name == name).map(|spec| spec.collection.to_string())
    }

    fn worsenings(&self, before: &[QueryResult], now: &[QueryResult]) -> Vec<(String, Worsening)> {
        let judged = |spec: &InvariantSpec| {
            let worse = worsening(spec, named(before, spec), named(now, spec)?)?;
            Some((spec.name.clone(), worse))
        };
        self.specs.iter().filter_map(judged).collect()
    }

    fn meant_for_a_load(&self, before: &[QueryResult], after: &[QueryResult]) -> Vec<(String, String)> {
        let judged = |spec: &InvariantSpec| {
            let why = meant_for_a_load(spec, named(before, spec)?, named(after, spec)?)?;
            Some((spec.name.clone(), why))
        };
        self.specs.iter().filter_map(judged).collect()
    }

    fn patience(&self) -> Duration {
        self.specs.iter().map(|spec| spec.within).max().unwrap_or_default().max(UNMET_FOR)
    }
}

fn named<'r>(results: &'r [QueryResult], spec: &InvariantSpec) -> Option<&'r QueryResult> {
    results.iter().find(|result| result.name == spec.name)
}
