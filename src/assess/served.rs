//! Keys that share something that runs out: places, a stock, a quota.
//!
//! [`Invariant::SomebodyServed`] takes keys for independent: where all are refused, they refused each other. Of keys that share what runs
//! out it cannot be told from then on: the event is full, and everybody is refused rightly.
//!
//! *Property*: a key on which nobody was served is held against a service if somebody was served on another key later, or if from the
//! load's first request on nobody was. *Assumptions*: what has run out does not come back, and it did not run out with the very last request
//! of the serial control, all of whose keys were served. *Soundness*: whoever is served later was left something, and so were those who
//! were refused before. *Completeness*: a service whose callers refuse each other on all keys but the first few is not told from one that
//! has nothing left; the interleavings of single requests tell it (`onlyone explore`). *Cost*: none, but moments of the history.

use super::gather::Facts;
use crate::history::Action;
use crate::verdict::{Invariant, InvariantResult, Verdict};

/// What to do where nobody is served any more.
const ADVICE: &str = "if keys share what runs out (places, a stock, a quota), have `[[setup]]` make enough of it for the serial control \
                      and the load, or explore it";

/// Whether an operation wants something that only so many can have.
pub(super) fn seeks(action: &Action) -> bool {
    matches!(action, Action::CreateOrGet { .. } | Action::Append(_) | Action::Custom(_))
}

/// A result in the light of it. An exploration carries each of its executions out on keys of its own, and holds them against serial runs.
pub(super) fn unless_it_ran_out(result: InvariantResult, facts: &Facts) -> InvariantResult {
    if result.name != Invariant::SomebodyServed || result.verdict != Verdict::Violated {
        return result;
    }
    // Everything was there for the control, and nothing for whoever came next, at once.
    if facts.served_until <= facts.control_until {
        return result;
    }
    let before_somebody = |answered: u64| facts.served_until.is_some_and(|served| answered < served);
    let mut refused = result.witnesses.iter().flat_map(|witness| &witness.operations);
    if refused.any(|operation| before_somebody(operation.returned())) {
        return result;
    }
    let why = format!(
        "nobody was served on {} keys, and after them on no key at all: they refused each other, or there was nothing left; {ADVICE}",
        result.violations
    );
    InvariantResult { verdict: Verdict::Inconclusive, reason: Some(why), ..result }
}

/// Why a load proves nothing in which everybody was refused: what can go wrong takes one who is served.
pub(super) fn nobody_after_the_control(facts: &Facts) -> Option<String> {
    let begun = facts.control_until?;
    let is_later = |moment: Option<u64>| moment.is_some_and(|moment| moment > begun);
    (is_later(facts.refused_until) && !is_later(facts.done_until))
        .then(|| format!("after the serial control everybody was refused, so that nothing could go wrong: {ADVICE}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture::operation;
    use crate::history::{Cause, History, Operation, Outcome, Phase, Returned, Value};

    /// Operations one after another, one for each letter: `c` served in the serial control, `s` served, `r` refused, `u` unknown.
    fn history(letters: &str) -> History {
        let one = |(at, letter): (usize, char)| {
            let outcome = match letter {
                'r' => Outcome::Failed(Cause::http(409, "full")),
                'u' => Outcome::Unknown(Cause::new("no answer")),
                _ => Outcome::Ok(Value::Document(Returned::default())),
            };
            let at = at as u64;
            let phase = if letter == 'c' { Phase::Control } else { Phase::Main };
            let key = format!("k{at}");
            Operation { phase, ..operation(at, key, Action::Custom("take".into()), [at * 10, at * 10 + 5], outcome) }
        };
        History { operations: letters.chars().enumerate().map(one).collect(), ..History::default() }
    }

    #[test]
    fn who_is_refused_counts_against_a_service_only_while_others_are_served() {
        for (letters, verdict) in [
            ("csrs", Verdict::Violated),
            ("cr", Verdict::Violated),
            ("scrr", Verdict::Violated),
            ("csrr", Verdict::Inconclusive),
            ("crsr", Verdict::Violated),
            ("css", Verdict::Holds),
        ] {
            let history = history(letters);
            let judged = crate::checker::judge(&history, None, Phase::Main, &[Invariant::SomebodyServed]).remove(0);
            let told = unless_it_ran_out(judged, &Facts::of(&history));
            assert_eq!(told.verdict, verdict, "{letters}: {told:?}");
            assert_eq!(told.reason.is_some_and(|why| why.contains("nothing left")), verdict == Verdict::Inconclusive);
        }
    }

    #[test]
    fn a_load_in_which_everybody_is_refused_proves_nothing() {
        for (letters, vacuous) in
            [("scrr", true), ("crr", true), ("crs", false), ("sr", false), ("cru", false), ("c", false)]
        {
            assert_eq!(nobody_after_the_control(&Facts::of(&history(letters))).is_some(), vacuous, "{letters}");
        }
    }
}
