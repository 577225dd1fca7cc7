//! What an exploration is accused of and no execution of it: the report says so.

use crate::report::{ExploreReport, SerialControl};
use crate::verdict::{InvariantResult, Verdict};

/// The exploration, with a note on each invariant that all executions together violate, and none of them.
pub(super) fn told(
    explore: ExploreReport,
    results: &[InvariantResult],
    control: Option<&SerialControl>,
) -> ExploreReport {
    let struck = explore.together.as_ref().is_some_and(|together| together.violated > 0);
    let serially = control.is_some_and(|control| control.verdict == Verdict::Violated);
    if explore.violated > 0 || struck || serially {
        return explore;
    }
    let mut explore = explore;
    let is_told = |notes: &[String], name: &str| notes.iter().any(|note| note.contains(name));
    for result in results.iter().filter(|result| result.verdict == Verdict::Violated) {
        let name = result.name.to_string();
        if !is_told(&explore.notes, &name) {
            explore.notes.push(format!(
                "{name} is violated by what all executions left together, and by none of them alone: no schedule stands for it, \
                 and the proof is all there is"
            ));
        }
    }
    explore
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::TogetherResult;
    use crate::verdict::Invariant;

    fn notes(explore: ExploreReport) -> Vec<String> {
        let violated = InvariantResult::new(Invariant::ZeroDuplicates, 3, 1, Vec::new());
        let holds = InvariantResult::new(Invariant::SameId, 3, 0, Vec::new());
        told(explore, &[violated, holds], None).notes
    }

    #[test]
    fn what_no_execution_violates_alone_is_said_to_be_of_all() {
        let said = notes(ExploreReport::default());
        assert!(
            said.len() == 1 && said[0].starts_with("zero-duplicates is violated by what all executions"),
            "{said:?}"
        );
        assert!(notes(ExploreReport { violated: 1, ..ExploreReport::default() }).is_empty());
        let together = Some(TogetherResult { attempts: 1, violated: 1, first_at: Some(1) });
        assert!(notes(ExploreReport { together, ..ExploreReport::default() }).is_empty());
        let first = vec!["the very first requests: violated: zero-duplicates".to_owned()];
        assert_eq!(notes(ExploreReport { notes: first.clone(), ..ExploreReport::default() }), first);
    }
}
