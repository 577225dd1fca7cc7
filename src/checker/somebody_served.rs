//! Somebody served: where serially somebody is served, somebody is served also when all come at once.
//!
//! - Property: on no key that is tried by operations of one kind are all of them refused, if in the serial control somebody
//!   was served on every key that this kind tried before any other was served there. Two requests that each see the other and both step back leave a key that
//!   nobody got.
//! - Assumptions: keys are fresh, and the serial control tries keys as fresh as those of the load.
//! - Soundness: only refusals that come of a conflict count: those that the scenario calls refusals, the database's word to
//!   the loser of a race, the statuses 409, 412 and 423, and a status that serially only those heard who came after
//!   somebody had been served. A key with an unknown outcome is left out: whoever is behind it may have been served.
//! - Completeness: operations that a key shares with another kind are left out where the kind is the user's own: what they
//!   are refused for may be the other's doing. A key refused for any other reason makes the result inconclusive.
//! - Cost: one pass over the operations.
//!
//! Checked: keys on which everyone was answered.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Cause, Operation, Outcome};
use crate::verdict::{Invariant, InvariantResult};

use super::facts::told;
use super::findings::{Findings, count, ms};
use super::{Budget, Checker, Evidence, KeyEvidence};

/// Statuses that tell of a conflict with another request.
const CONFLICT: [u16; 3] = [409, 412, 423];

/// Operations shown in one witness.
const SHOWN: usize = 4;

/// Keys on which nobody was served for a reason that serially nobody was told.
const UNEXPLAINED: &str = "unexplained";

/// Judges [`Invariant::SomebodyServed`].
#[derive(Debug, Clone, Copy, Default)]
pub struct SomebodyServed;

impl Checker for SomebodyServed {
    fn invariant(&self) -> Invariant {
        Invariant::SomebodyServed
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let serial = serially(evidence.control());
        let mut findings = Findings::new(self.invariant());
        for key in evidence.keys() {
            if !budget.take(1 + key.operations().len() as u64) {
                return findings.exhausted();
            }
            let Some((kind, operations)) = of_one_kind(&key) else { continue };
            let Some(kind) = serial.get(kind).filter(|kind| kind.somebody_everywhere()) else { continue };
            match kind.judge(&operations) {
                Served::Unknown => {}
                Served::Somebody => findings.checked += 1,
                Served::Nobody => {
                    findings.checked += 1;
                    let shown: Vec<&Operation> = operations.iter().copied().take(SHOWN).collect();
                    findings.add(key.key, &shown, &[], || explain(&operations, kind));
                }
                Served::Unexplained(cause) => {
                    findings.checked += 1;
                    findings.sum(UNEXPLAINED, 1);
                    findings.remark(&key, || cause.message.to_string());
                }
            }
        }
        findings
    }

    fn conclude(&self, _: &Evidence<'_>, findings: Findings) -> InvariantResult {
        if findings.checked == 0 {
            let why = "nothing to compare with: serially no such operation was served, or none was run";
            return InvariantResult::inconclusive(self.invariant(), why);
        }
        let keys = findings.summed(UNEXPLAINED);
        let last = findings.last_remark().unwrap_or_default().to_owned();
        let result = findings.into_result();
        match keys {
            0 => result,
            _ => result.weaken(format!(
                "nobody was served on {}, for a reason that serially nobody was told: {last}",
                count(usize::try_from(keys).unwrap_or(usize::MAX), "key"),
            )),
        }
    }
}

/// What the serial control shows of one kind of operation.
#[derive(Default)]
struct Serial<'a> {
    /// Keys that were tried, with whether somebody was served on them.
    keys: BTreeMap<&'a str, bool>,
    /// Statuses of those who were refused after somebody had been served.
    losers: BTreeSet<u16>,
    /// Statuses of those who were refused before.
    others: BTreeSet<u16>,
}

/// What became of those who tried a key.
enum Served<'a> {
    Somebody,
    Nobody,
    Unknown,
    Unexplained(&'a Cause),
}

fn serially(control: &[Operation]) -> BTreeMap<&str, Serial<'_>> {
    let mut kinds: BTreeMap<&str, Serial<'_>> = BTreeMap::new();
    // The kind that was served first on each key.
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    for operation in control.iter().filter(|operation| operation.action.wants_a_key()) {
        let name = operation.action.name();
        let kind = kinds.entry(name).or_default();
        if matches!(told(operation), Outcome::Ok(_)) && *first.entry(&operation.key).or_insert(name) != name {
            // What another kind left may be what this one needs: it says nothing of those who come first.
            continue;
        }
        let served = kind.keys.entry(&operation.key).or_default();
        match told(operation) {
            Outcome::Ok(_) => *served = true,
            Outcome::Failed(cause) => {
                let heard = if *served { &mut kind.losers } else { &mut kind.others };
                heard.extend(cause.status());
            }
            Outcome::Unknown(_) => {}
        }
    }
    kinds
}

/// The key's operations of the one kind that tries it, and its name.
fn of_one_kind<'a>(key: &KeyEvidence<'a>) -> Option<(&'a str, Vec<&'a Operation>)> {
    let operations: Vec<&Operation> = key.operations().filter(|operation| operation.action.wants_a_key()).collect();
    let name = operations.first()?.action.name();
    operations.iter().all(|operation| operation.action.name() == name).then_some((name, operations))
}

impl Serial<'_> {
    fn somebody_everywhere(&self) -> bool {
        !self.keys.is_empty() && self.keys.values().all(|served| *served)
    }

    fn judge<'o>(&self, operations: &[&'o Operation]) -> Served<'o> {
        let mut unexplained = None;
        let mut unknown = false;
        for operation in operations {
            match told(operation) {
                Outcome::Ok(_) => return Served::Somebody,
                Outcome::Unknown(_) => unknown = true,
                // What was not answered says nothing of the service.
                Outcome::Failed(cause) if cause.status().is_none() && cause.database_error().is_none() => {
                    unknown = true
                }
                Outcome::Failed(cause) if self.is_conflict(cause) => {}
                Outcome::Failed(cause) => unexplained = Some(cause),
            }
        }
        match (unknown, unexplained) {
            (true, _) => Served::Unknown,
            (false, Some(cause)) => Served::Unexplained(cause),
            (false, None) => Served::Nobody,
        }
    }

    fn is_conflict(&self, cause: &Cause) -> bool {
        let status = cause.status();
        let only_losers = |status: &u16| self.losers.contains(status) && !self.others.contains(status);
        cause.is_refusal()
            || cause.is_lost_race()
            || status.is_some_and(|status| CONFLICT.contains(&status) || only_losers(&status))
    }
}

fn explain(operations: &[&Operation], serial: &Serial<'_>) -> String {
    let last = operations.iter().map(|operation| operation.completed).max().unwrap_or_default();
    let who = match operations.len() {
        1 => "the one operation on the key was refused".to_owned(),
        all => format!("all {} on the key were refused", count(all, "operation")),
    };
    let keys = serial.keys.len();
    format!(
        "{who} (the last at {}), so that nobody was served; serially somebody was served on each of {}. A correct service \
         serves one of those who come at once",
        ms(last),
        count(keys, "key")
    )
}

#[cfg(test)]
#[path = "somebody_served_oracle.rs"]
mod oracle;
