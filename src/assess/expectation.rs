//! What a scenario expected, whether it was met, and the exit status that follows.

use crate::report::ExpectationResult;
use crate::scenario::Expectation;
use crate::stats::ThresholdResult;
use crate::verdict::{ExitStatus, InvariantResult, Verdict};

/// Compares; `None` where the scenario expects nothing but that all holds. `conclusive` is whether the run as a whole
/// allows a verdict that holds.
pub(super) fn evaluate(
    expect: &Expectation,
    verdict: Verdict,
    results: &[InvariantResult],
    conclusive: bool,
) -> Option<ExpectationResult> {
    if expect.verdict.is_none() && expect.invariants.is_empty() {
        return None;
    }
    // A run that proves nothing cannot prove that one invariant holds.
    let weakened = |verdict: Verdict| if conclusive { verdict } else { verdict.max(Verdict::Inconclusive) };
    let mut parts: Vec<(String, Verdict, Verdict)> = Vec::new();
    parts.extend(expect.verdict.map(|expected| ("verdict".to_owned(), expected, verdict)));
    for (invariant, &expected) in &expect.invariants {
        let found = results.iter().find(|result| result.name == *invariant).map(|result| weakened(result.verdict));
        parts.push((invariant.to_string(), expected, found.unwrap_or(Verdict::Inconclusive)));
    }
    if expect.verdict.is_none() {
        let others: Vec<Verdict> = results
            .iter()
            .filter(|result| !expect.invariants.contains_key(&result.name))
            .map(|result| weakened(result.verdict))
            .collect();
        if !others.is_empty() {
            parts.push(("all other invariants".to_owned(), Verdict::Holds, Verdict::combine(others)));
        }
    }
    let met: Vec<Option<bool>> = parts.iter().map(|(_, expected, found)| is_met(*expected, *found)).collect();
    // One part that is not met settles it; otherwise one that cannot be told leaves all of it open.
    let met = if met.contains(&Some(false)) { Some(false) } else { (!met.contains(&None)).then_some(true) };
    let details =
        parts.iter().map(|(what, expected, found)| format!("{what}: expected {expected}, found {found}")).collect();
    Some(ExpectationResult { met, details })
}

fn is_met(expected: Verdict, found: Verdict) -> Option<bool> {
    match (expected, found) {
        (expected, found) if expected == found => Some(true),
        (_, Verdict::Inconclusive) => None,
        _ => Some(false),
    }
}

/// The status of a run. A violation comes before everything that follows it; thresholds count when all else is well.
pub(super) fn exit_status(
    verdict: Verdict,
    expectation: Option<&ExpectationResult>,
    thresholds: &[ThresholdResult],
    interrupted: bool,
) -> ExitStatus {
    let met = match expectation {
        Some(expectation) => expectation.met,
        None => is_met(Verdict::Holds, verdict),
    };
    match met {
        Some(false) => ExitStatus::Violated,
        None if interrupted => ExitStatus::Interrupted,
        None => ExitStatus::Inconclusive,
        Some(true) if thresholds.iter().any(ThresholdResult::is_breached) => ExitStatus::Threshold,
        Some(true) if thresholds.iter().any(|threshold| !threshold.ok) => ExitStatus::Inconclusive,
        Some(true) => ExitStatus::Holds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Invariant;
    use Verdict::{Holds, Inconclusive, Violated};

    fn results(verdicts: &[(Invariant, Verdict)]) -> Vec<InvariantResult> {
        let result = |(name, verdict): &(Invariant, Verdict)| InvariantResult {
            verdict: *verdict,
            ..InvariantResult::inconclusive(name.clone(), "")
        };
        verdicts.iter().map(result).collect()
    }

    fn status(expect: &Expectation, found: &[(Invariant, Verdict)], interrupted: bool) -> ExitStatus {
        let results = results(found);
        let verdict = Verdict::combine(results.iter().map(|result| result.verdict));
        let verdict = if interrupted { verdict.max(Inconclusive) } else { verdict };
        let expectation = evaluate(expect, verdict, &results, !interrupted);
        exit_status(verdict, expectation.as_ref(), &[], interrupted)
    }

    #[test]
    fn the_status_follows_from_expectation_and_verdict() {
        let nothing = Expectation::default();
        let violated = Expectation { verdict: Some(Violated), ..Expectation::default() };
        let leak = Expectation { invariants: [(Invariant::NoLeakedErrors, Violated)].into(), ..Expectation::default() };
        let pair = |single, leaks| [(Invariant::SingleDocument, single), (Invariant::NoLeakedErrors, leaks)];
        type Case<'a> = (&'a Expectation, [(Invariant, Verdict); 2], bool, ExitStatus);
        let cases: [Case<'_>; 14] = [
            (&nothing, pair(Holds, Holds), false, ExitStatus::Holds),
            (&nothing, pair(Violated, Holds), false, ExitStatus::Violated),
            (&nothing, pair(Inconclusive, Holds), false, ExitStatus::Inconclusive),
            (&nothing, pair(Holds, Holds), true, ExitStatus::Interrupted),
            (&nothing, pair(Violated, Holds), true, ExitStatus::Violated),
            (&violated, pair(Violated, Holds), false, ExitStatus::Holds),
            (&violated, pair(Holds, Holds), false, ExitStatus::Violated),
            (&violated, pair(Inconclusive, Holds), false, ExitStatus::Inconclusive),
            (&violated, pair(Violated, Holds), true, ExitStatus::Holds),
            (&leak, pair(Holds, Violated), false, ExitStatus::Holds),
            (&leak, pair(Holds, Holds), false, ExitStatus::Violated),
            (&leak, pair(Violated, Violated), false, ExitStatus::Violated),
            (&leak, pair(Inconclusive, Violated), false, ExitStatus::Inconclusive),
            (&leak, pair(Holds, Violated), true, ExitStatus::Interrupted),
        ];
        for (index, (expect, found, interrupted, expected)) in cases.into_iter().enumerate() {
            assert_eq!(status(expect, &found, interrupted), expected, "case {index}");
        }
    }

    #[test]
    fn a_breached_threshold_counts_only_when_all_else_is_well() {
        let breach = ThresholdResult {
            threshold: String::new(),
            observed: None,
            unit: crate::stats::Unit::Share,
            samples: 0,
            ok: false,
            too_few: false,
            reason: None,
            service_time: None,
        };
        let status = |verdict| exit_status(verdict, None, std::slice::from_ref(&breach), false);
        assert_eq!(status(Holds), ExitStatus::Threshold);
        assert_eq!(status(Violated), ExitStatus::Violated);
        assert_eq!(status(Inconclusive), ExitStatus::Inconclusive);
        // Too few samples breach nothing, and keep nothing either.
        let too_few = ThresholdResult { too_few: true, ..breach.clone() };
        assert_eq!(exit_status(Holds, None, std::slice::from_ref(&too_few), false), ExitStatus::Inconclusive);
        assert_eq!(exit_status(Violated, None, std::slice::from_ref(&too_few), false), ExitStatus::Violated);
        assert_eq!(exit_status(Holds, None, &[too_few, breach.clone()], false), ExitStatus::Threshold);
    }
}
