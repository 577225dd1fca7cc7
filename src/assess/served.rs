//! Keys that share something that runs out: places, a stock, a quota.
//!
//! [`Invariant::SomebodyServed`] takes keys for independent: where all are refused, they refused each other. Of keys that share what runs
//! out it cannot be told from then on: the event is full, and everybody is refused rightly.
//!
//! *Property*: a key on which nobody was served is held against a service if somebody was served on another key later, by an operation of
//! the same kind (of any, where that kind is never served in the load), or if from the load's first request on nobody was. *Assumptions*:
//! what has run out does not come back, and it did not run out with the very last request of the serial control, all of whose keys were
//! served. *Soundness*: whoever is served later was left something, and so were those who were refused before; that others look at what is
//! there says nothing of it. Of shards, later is what is later by whatever their clocks may be off. *Completeness*: a load of rounds
//! ends with one caller alone, where nobody was served in its last rounds ([`crate::driver`]). Of any other, a service whose callers refuse
//! each other on all keys but the first few is not told from one that has nothing left; the interleavings of single requests tell it
//! (`onlyone explore`). *Cost*: none, but moments of the history.

use super::gather::Facts;
use crate::history::{Nanos, Operation};
use crate::shard::ShardRecord;
use crate::verdict::{Invariant, InvariantResult, Verdict};

/// What to do where nobody is served any more.
const ADVICE: &str = "if keys share what runs out (places, a stock, a quota), have `[[setup]]` make enough of it for the serial control \
                      and the load, or explore it";

/// A result of an exploration in the light of it. Its requests come once more at the end, one after another, where the last of them were
/// all refused: whoever is served then was left something.
pub(super) fn unless_it_ran_out_on_the_way(result: InvariantResult, facts: &Facts) -> InvariantResult {
    if result.name != Invariant::SomebodyServed || result.verdict != Verdict::Violated {
        return result;
    }
    let mut refused = result.witnesses.iter().flat_map(|witness| &witness.operations);
    if refused.any(|operation| facts.served_until.left_something(operation)) {
        return result;
    }
    let why = "nobody was served on some keys, and after them on no key at all, also one after another: they refused each other, or \
               what executions share had run out";
    InvariantResult { verdict: Verdict::Inconclusive, reason: Some(why.to_owned()), ..result }
}

/// A result of a load in the light of it.
pub(super) fn unless_it_ran_out(result: InvariantResult, facts: &Facts, shards: &[ShardRecord]) -> InvariantResult {
    if result.name != Invariant::SomebodyServed || result.verdict != Verdict::Violated {
        return result;
    }
    let mut refused = result.witnesses.iter().flat_map(|witness| &witness.operations);
    if refused.any(|operation| was_left_something(operation, facts, shards)) {
        return result;
    }
    let why = format!(
        "nobody was served on {} keys, and after them on no key at all: they refused each other, or there was nothing left; {ADVICE}",
        result.violations
    );
    InvariantResult { verdict: Verdict::Inconclusive, reason: Some(why), ..result }
}

/// Whether there was something left for one that was refused.
fn was_left_something(refused: &Operation, facts: &Facts, shards: &[ShardRecord]) -> bool {
    let of_its_kind = facts.served_until.of_kind(refused.action.name());
    let in_the_load = of_its_kind.filter(|served| Some(*served) > facts.control_until);
    let last = in_the_load.or_else(|| facts.served_until.latest());
    // Everything was there for the control, and nothing for whoever came next, at once.
    last <= facts.control_until || last.is_some_and(|served| surely_before(refused.returned(), served, shards))
}

/// Whether an answer came before a moment, on whatever shards they were.
fn surely_before(answered: Nanos, moment: Nanos, shards: &[ShardRecord]) -> bool {
    if shards.len() < 2 {
        return answered < moment;
    }
    let clocks = || shards.iter().filter(|shard| shard.operations.is_some()).map(|shard| &shard.clock);
    let latest = clocks().map(|clock| clock.latest(answered)).max();
    latest.unwrap_or(answered) < clocks().map(|clock| clock.earliest(moment)).min().unwrap_or(moment)
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
    use crate::history::{Action, Cause, History, Late, Outcome, Phase, Returned, Value};
    use crate::shard::{Clock, Mark, Shard};

    /// Operations one after another, one for each letter: `c` served in the serial control, `s` served, `l` served by a late answer, `r`
    /// refused, `u` unknown, `o` one of another kind served.
    fn history(letters: &str) -> History {
        let one = |(at, letter): (usize, char)| {
            let served = Outcome::Ok(Value::Document(Returned::default()));
            let outcome = match letter {
                'r' => Outcome::Failed(Cause::http(409, "full")),
                'u' | 'l' => Outcome::Unknown(Cause::new("no answer")),
                _ => served.clone(),
            };
            let at = at as u64;
            let phase = if letter == 'c' { Phase::Control } else { Phase::Main };
            let late = (letter == 'l').then(|| Box::new(Late { completed: at * 10 + 9, outcome: served }));
            let kind = if letter == 'o' { "look" } else { "take" };
            let action = Action::Custom(kind.into());
            Operation { phase, late, ..operation(at, format!("k{at}"), action, [at * 10, at * 10 + 5], outcome) }
        };
        let mut operations: Vec<Operation> = letters.chars().enumerate().map(one).collect();
        // As numbers go: what comes before the serial control has higher ones.
        operations.sort_by_key(|operation| operation.phase.is_main());
        History { operations, ..History::default() }
    }

    /// What is said of somebody who is served, and in the light of this.
    fn judged(letters: &str, in_its_light: impl Fn(InvariantResult, &Facts) -> InvariantResult) -> InvariantResult {
        let history = history(letters);
        let judged = crate::checker::judge(&history, None, Phase::Main, &[Invariant::SomebodyServed]).remove(0);
        in_its_light(judged, &Facts::of(&history))
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
            // That others look at what is there says nothing of what is left.
            ("csrro", Verdict::Inconclusive),
            ("csrso", Verdict::Violated),
            ("cro", Verdict::Violated),
            ("clrr", Verdict::Inconclusive),
        ] {
            let told = judged(letters, |result, facts| unless_it_ran_out(result, facts, &[]));
            assert_eq!(told.verdict, verdict, "{letters}: {told:?}");
            assert_eq!(told.reason.is_some_and(|why| why.contains("nothing left")), verdict == Verdict::Inconclusive);
        }
    }

    #[test]
    fn in_an_exploration_only_who_is_served_later_shows_that_something_was_left() {
        for (letters, verdict) in [
            ("csrs", Verdict::Violated),
            ("cr", Verdict::Inconclusive),
            ("csrr", Verdict::Inconclusive),
            ("csrro", Verdict::Inconclusive),
            // Of a kind that is never served, it counts that others are.
            ("cro", Verdict::Violated),
            ("cor", Verdict::Inconclusive),
            ("css", Verdict::Holds),
        ] {
            assert_eq!(judged(letters, unless_it_ran_out_on_the_way).verdict, verdict, "{letters}");
        }
    }

    #[test]
    fn of_shards_only_what_is_later_by_all_clocks_is_later() {
        let shard = |index| {
            let clock = Clock { marks: vec![Mark { at_ns: 0, least_ns: -10, most_ns: 10 }], ..Clock::default() };
            ShardRecord { clock, operations: Some(1), ..ShardRecord::missing(Shard { index, of: 3 }) }
        };
        // Of one that is missing nothing is compared.
        let shards = [shard(0), shard(1), ShardRecord::missing(Shard { index: 2, of: 3 })];
        assert!(surely_before(5, 26, &shards) && !surely_before(5, 25, &shards));
        assert!(surely_before(5, 6, &[]) && !surely_before(5, 5, &[]));
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
