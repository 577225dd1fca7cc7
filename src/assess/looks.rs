//! Custom invariants in an exploration: what one execution made worse, and the sum of it, which is their result.
//!
//! An aggregation looks at the whole database, so that what is wrong stays so: an execution is to blame if more is wrong
//! after it than before. *Soundness*: bounds of a number that grows with every request are meant for a load, and so is a
//! lower bound; they are not judged, unless the number falls below a bound that it had reached. *Completeness*: an execution
//! that mends as much as it breaks is not seen.

use serde_json::Value as Json;

use crate::history::{Looks, Operation, Tally, Worsening};
use crate::report::plural;
use crate::scenario::{Expected, InvariantSpec, the_number};
use crate::target::mongo::QueryResult;
use crate::verdict::{Invariant, InvariantResult, Witness};

/// Most documents that a worsening keeps.
const MOST_DOCUMENTS: usize = 5;

/// What an execution made worse, if it did. The number of the execution is the caller's to set.
pub fn worsening(spec: &InvariantSpec, before: Option<&QueryResult>, now: &QueryResult) -> Option<Worsening> {
    if now.is_blind() {
        return None;
    }
    let what = match spec.expect {
        Expected::Empty => {
            let more =
                now.documents.checked_sub(before.map_or(0, |before| before.documents)).filter(|more| *more > 0)?;
            format!(
                "the aggregation gave {} after this execution, {more} more than before it, and must give none",
                plural(now.documents, "document")
            )
        }
        Expected::Number { min, max } => {
            let number = the_number(now.documents, now.examples.first()).ok()?;
            let earlier = before.and_then(|before| the_number(before.documents, before.examples.first()).ok());
            let rose = number > max && earlier.is_none_or(|earlier| number > earlier);
            let fell = number < min && earlier.is_some_and(|earlier| earlier >= min);
            if !rose && !fell {
                return None;
            }
            let earlier = earlier.map_or_else(String::new, |earlier| format!(", and before it {earlier}"));
            format!("the aggregation gave {number} after this execution{earlier}, and must give {}", spec.expect)
        }
    };
    let known = |document: &&Json| before.is_some_and(|before| before.examples.contains(document));
    let mut documents: Vec<Json> = now.examples.iter().filter(|document| !known(document)).cloned().collect();
    documents.truncate(MOST_DOCUMENTS);
    Some(Worsening { round: 0, what, documents })
}

/// Why an invariant is not judged in an exploration, from what it gave before and after requests that ran alone.
pub fn meant_for_a_load(spec: &InvariantSpec, before: &QueryResult, after: &QueryResult) -> Option<String> {
    let Expected::Number { max, .. } = spec.expect else { return None };
    if max.is_infinite() {
        return Some("a lower bound is meant for a load".to_owned());
    }
    let number = |result: &QueryResult| the_number(result.documents, result.examples.first()).ok();
    let (before, after) = (number(before)?, number(after)?);
    (before < after && after <= max)
        .then(|| "its number grows with every request, so that its bounds are meant for a load".to_owned())
}

/// One result for each of the user's invariants that an exploration judges: the sum of its executions.
pub(super) fn judge(
    specs: &[InvariantSpec],
    looks: &[Looks],
    last: &[QueryResult],
    operations: &[Operation],
) -> Vec<InvariantResult> {
    let judged = |spec: &InvariantSpec| {
        let name = Invariant::Custom(spec.name.as_str().into());
        let Some(looks) = looks.iter().find(|looks| looks.name == spec.name) else {
            return Some(InvariantResult::inconclusive(name, "the aggregation was not carried out"));
        };
        let violated = looks.main.violated + looks.control.violated > 0;
        if looks.unjudged.is_some() && !violated {
            return None;
        }
        let last = last.iter().find(|result| result.name == spec.name);
        if let Some(why) = last.and_then(QueryResult::blindness).filter(|_| !violated) {
            return Some(InvariantResult::inconclusive(name, why));
        }
        let result = of_tally(name, &looks.main, operations);
        Some(match looks.moving {
            0 => result,
            moving => result.weaken(format!(
                "after {moving} executions it still changed while it was looked at: give it time, `within = \"10s\"`"
            )),
        })
    };
    specs.iter().filter_map(judged).collect()
}

/// What requests that ran alone show: what they made worse needs no race.
pub(super) fn judge_control(looks: &[Looks], operations: &[Operation]) -> Vec<InvariantResult> {
    let asked = looks.iter().filter(|looks| looks.control.executions > 0);
    let judged = |looks: &Looks| of_tally(Invariant::Custom(looks.name.as_str().into()), &looks.control, operations);
    asked.filter(|looks| looks.unjudged.is_none() || looks.control.violated > 0).map(judged).collect()
}

fn of_tally(name: Invariant, tally: &Tally, operations: &[Operation]) -> InvariantResult {
    let witness = |worsening: &Worsening| {
        let operations: Vec<Operation> =
            operations.iter().filter(|operation| operation.round == worsening.round).cloned().collect();
        let key = operations.first().map_or_else(|| name.to_string(), |operation| operation.key.to_string());
        let documents = worsening.documents.clone();
        Witness { key, operations, documents, explanation: worsening.what.clone() }
    };
    let witnesses = tally.examples.iter().map(witness).collect();
    InvariantResult::new(name.clone(), tally.executions, tally.violated, witnesses)
}

#[cfg(test)]
#[path = "looks_tests.rs"]
mod tests;
