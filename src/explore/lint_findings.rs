//! What the lint finds in an exploration: in all of its executions, and what of that can be the cause of a violation.

use std::collections::BTreeSet;

use super::execution::{Execution, Step};
use super::explorer::Explorer;
use super::lint::{self, Indexes};
use super::locks;
use crate::report::LintFinding;

impl Explorer<'_> {
    /// What is dangerous in what requests send, in any of the executions.
    pub(super) fn lint(&self, indexes: &Indexes) -> Vec<LintFinding> {
        let names = self.names();
        let all = self.found.executions.iter().flat_map(|(execution, ..)| lint::lint(execution, &names, indexes));
        let all: BTreeSet<_> = all.collect();
        // Only of a request that ran alone is it its own work that takes the time.
        let alone = self.found.executions.iter().filter(|(_, requests, phase)| !phase.is_main() && requests.len() == 1);
        let mut of_locks: Vec<LintFinding> = Vec::new();
        for finding in alone.flat_map(|(execution, ..)| locks::lint(execution, &names, indexes)) {
            let is_same = |other: &LintFinding| (&other.rule, &other.operation) == (&finding.rule, &finding.operation);
            if !of_locks.iter().any(is_same) {
                of_locks.push(finding);
            }
        }
        let pushes = lint::pushes(self.found.executions.iter().map(|(execution, ..)| execution), &names);
        all.into_iter().chain(pushes).chain(of_locks).collect()
    }

    /// Findings that can be the cause of what an execution violates: not those of what requests send in other executions alone, and of a
    /// read and a write after it only those of a request that others came between.
    pub(super) fn possible_causes(
        &self,
        execution: &Execution,
        indexes: &Indexes,
        findings: &[LintFinding],
    ) -> Vec<LintFinding> {
        let names = self.names();
        let parted = |request: usize| {
            let own = |step: &Step| step.request == request;
            let (first, last) = (execution.steps.iter().position(own), execution.steps.iter().rposition(own));
            first.zip(last).is_some_and(|(first, last)| !execution.steps[first..last].iter().all(own))
        };
        let steps = execution.steps.iter().filter(|step| parted(step.request)).cloned().collect();
        let of_parted = lint::lint(&Execution { steps, ..execution.clone() }, &names, indexes);
        let here = lint::lint(execution, &names, indexes);
        let here = here.into_iter().filter(|finding| !lint::is_of_two(&finding.rule) || of_parted.contains(finding));
        let here: BTreeSet<LintFinding> = here.collect();
        let all = self.found.executions.iter().flat_map(|(execution, ..)| lint::lint(execution, &names, indexes));
        let elsewhere: BTreeSet<LintFinding> = all.filter(|finding| !here.contains(finding)).collect();
        findings.iter().filter(|finding| !elsewhere.contains(finding)).cloned().collect()
    }
}
