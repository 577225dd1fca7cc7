//! The serial control: the same operations one after another. What is violated there needs no race.

use super::Recording;
use crate::checker::judge;
use crate::history::Phase;
use crate::report::SerialControl;
use crate::verdict::{Invariant, InvariantResult, Verdict};

/// The results of the serial control, with those of the user's own invariants, and what the report says of them; `None` where
/// nothing was run serially. `doubted` takes back what the control accuses of, and grants, where it says less: the scenario
/// describes another service, or the server lost data.
pub(super) fn judged(
    run: &Recording<'_>,
    invariants: &[Invariant],
    own: Vec<InvariantResult>,
    doubted: impl Fn(InvariantResult) -> InvariantResult,
) -> Option<(SerialControl, Vec<InvariantResult>)> {
    let operations = run.history.phase(Phase::Control).len() as u64;
    if operations == 0 {
        return None;
    }
    // Who is served serially is what others are held against.
    let invariants: Vec<Invariant> =
        invariants.iter().filter(|invariant| **invariant != Invariant::SomebodyServed).cloned().collect();
    let results = judge(run.history, run.observation, Phase::Control, &invariants);
    let results: Vec<InvariantResult> = results.into_iter().chain(own).map(doubted).collect();
    let violated = results.iter().filter(|result| result.verdict == Verdict::Violated);
    let told = SerialControl {
        verdict: Verdict::combine(results.iter().map(|result| result.verdict)),
        operations,
        violated: violated.map(|result| result.name.clone()).collect(),
    };
    Some((told, results))
}

/// Results of the load with what the serial control proves: an invariant that is violated there does not hold, even where
/// the load did not happen to show it.
pub(super) fn used(results: Vec<InvariantResult>, serially: &[InvariantResult]) -> Vec<InvariantResult> {
    let merged = |result: InvariantResult| {
        let serial = serially.iter().find(|serial| serial.name == result.name && serial.verdict == Verdict::Violated);
        match serial {
            Some(serial) if result.verdict != Verdict::Violated => InvariantResult {
                verdict: Verdict::Violated,
                checked: result.checked + serial.checked,
                violations: serial.violations,
                witnesses: serial.witnesses.clone(),
                reason: Some(
                    "violated in the serial control, one operation after another: no race between operations"
                        .to_owned(),
                ),
                ..result
            },
            _ => result,
        }
    };
    results.into_iter().map(merged).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_violated_serially_does_not_hold() {
        let result =
            |checked, violations| InvariantResult::new(Invariant::AppendOrder, checked, violations, Vec::new());
        for (load, serial, expected) in [
            (result(5, 0), result(2, 1), (Verdict::Violated, 7, 1)),
            (result(0, 0), result(2, 1), (Verdict::Violated, 2, 1)),
            (result(5, 3), result(2, 1), (Verdict::Violated, 5, 3)),
            (result(5, 0), result(2, 0), (Verdict::Holds, 5, 0)),
        ] {
            let merged = used(vec![load], &[serial]).remove(0);
            assert_eq!((merged.verdict, merged.checked, merged.violations), expected);
        }
    }
}
