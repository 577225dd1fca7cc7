//! The lint for locks that run out: a lock document whose time is shorter than the work done under it.
//!
//! *Evidence*: a request that ran alone wrote a document with a time in the future (the lock, good until then; with a TTL
//! index, so many seconds later), sent other commands, and removed or changed the same document at the end. If that came
//! later than the time, the lock had run out while the request still worked, and another could have taken it over. Both times
//! are on this machine's clock.
//! *Soundness*: a finding is what happened in a run alone, on this machine and with this data. That the service checks the lock once
//! more before it writes (a fencing token) is not seen. The server's own removal by a TTL index is later by up to a minute.
//! *Completeness*: work that is slow on another day is not foreseen, so that a time that is just long enough is not named.
//! Locks that are not released by the request, or are not in MongoDB, are not recognised.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::execution::{Execution, Step};
use super::lint::{Indexes, namespace, shown};
use super::wire::command::{Change, Statement};
use crate::lint::LintFinding;

/// The rule's name.
const RULE: &str = "lock-ttl-too-short";

/// A lock under which a request works.
struct Held<'a> {
    step: &'a Step,
    statement: &'a Statement,
    field: &'a str,
    /// How long it is good for.
    good: Duration,
    /// Other commands under it.
    worked: bool,
}

/// Locks of a request that ran alone, and that ran out before it gave them back. One finding for each collection.
pub(super) fn lint(execution: &Execution, names: &[String], indexes: &Indexes) -> Vec<LintFinding> {
    let mut found: BTreeMap<(usize, String), String> = BTreeMap::new();
    for request in 0..names.len() {
        let mut held: Vec<Held<'_>> = Vec::new();
        for step in execution.steps.iter().filter(|step| step.request == request) {
            let of_a_lock = step.command.statements.first().and_then(|statement| {
                let position = held.iter().position(|lock| is_same(lock, step, statement))?;
                Some((held.remove(position), statement))
            });
            if let Some((lock, _)) = &of_a_lock {
                let worked = step.sent.duration_since(lock.step.sent).unwrap_or_default();
                if lock.worked && worked > lock.good {
                    found.entry((request, namespace(step))).or_insert_with(|| explain(lock, step, worked));
                }
            }
            held.iter_mut().for_each(|lock| lock.worked = true);
            held.extend(taken(step, indexes));
        }
    }
    let finding = |((request, _), explanation): ((usize, String), String)| LintFinding {
        rule: RULE.to_owned(),
        operation: names[request].clone(),
        explanation,
    };
    found.into_iter().map(finding).collect()
}

/// The lock that a command takes, or holds for longer: a time in the future, written into one document.
fn taken<'a>(step: &'a Step, indexes: &Indexes) -> Option<Held<'a>> {
    let statement = step.command.statements.first().filter(|_| step.command.batch == 1)?;
    if statement.change == Change::Delete || !step.reply.as_ref().is_some_and(|reply| reply.ok && reply.code.is_none())
    {
        return None;
    }
    let expiring = indexes.expiring.get(&namespace(step));
    let good = |(field, time): (&'a String, &i64)| {
        let after = expiring.into_iter().flatten().find(|(expiring, _)| expiring == field);
        let until = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(*time).ok()?);
        let until = until + Duration::from_secs(after.map_or(0, |(_, seconds)| *seconds));
        // A time that is past is when something happened, not until when something is good.
        let good = until.duration_since(step.sent).ok().filter(|good| !good.is_zero())?;
        Some((field.as_str(), good))
    };
    let (field, good) = statement.times.iter().filter_map(good).min_by_key(|(_, good)| *good)?;
    Some(Held { step, statement, field, good, worked: false })
}

/// Whether a command changes or removes the lock's document: it pins a field to the same value.
fn is_same(lock: &Held<'_>, step: &Step, statement: &Statement) -> bool {
    let same = |field: &str| {
        let (one, other) = (lock.statement.filter.equalities.get(field), statement.filter.equalities.get(field));
        matches!((one, other), (Some(one), Some(other)) if one.is_scalar() && one == other)
    };
    let by_id = statement.filter.equalities.contains_key("_id");
    namespace(lock.step) == namespace(step)
        && matches!(statement.change, Change::Delete | Change::Update { .. } | Change::Replace { .. })
        && if by_id { same("_id") } else { statement.filter.equalities.keys().any(|field| same(field)) }
}

fn explain(lock: &Held<'_>, step: &Step, worked: Duration) -> String {
    format!(
        "`{}` on {} takes a lock that is good for {} ms (`{}`), and the request, alone, worked under it for {} ms before \
         `{}` gave it back: from its end on another request may take it over, and both are at work. Make the time far \
         longer than the longest work, or have the write refuse a lock that is no longer held.",
        lock.step.command.name,
        shown(&namespace(step)),
        lock.good.as_millis(),
        lock.field,
        worked.as_millis(),
        step.command.name
    )
}

#[cfg(test)]
#[path = "locks_tests.rs"]
mod tests;
