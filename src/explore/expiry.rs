//! What an exploration does not do with time: a moment that requests write and that is still to come then (a lock, a lease, an
//! invitation), and documents that the server removes by itself, are told as not tried.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::execution::{Execution, Step};
use super::explorer::Explorer;
use super::lint::{Indexes, own_name};

/// Clocks of one machine that are read one after the other differ by less.
const CLEARLY: Duration = Duration::from_secs(1);
/// Places that are named.
const NAMED: usize = 4;

impl Explorer<'_> {
    /// Tells which moments did not come in any execution.
    pub(super) fn tell_of_expiry(&mut self, indexes: &Indexes) {
        let mut places = to_come(self.found.executions.iter().map(|(execution, ..)| execution));
        places.extend(removed(indexes));
        if places.is_empty() {
            return;
        }
        let named: Vec<String> = places.iter().take(NAMED).map(|place| format!("`{place}`")).collect();
        let more = places.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        self.found.notes.insert(format!(
            "time does not pass: {}{more} may run out, and that it does was not tried; `onlyone run` with \
             `[[fault]] kind = \"clock\"` moves the service's clock, or give it a shorter time by a setting of the service",
            named.join(", ")
        ));
    }
}

/// Fields that were written with a moment that was still to come.
fn to_come<'a>(executions: impl Iterator<Item = &'a Execution>) -> BTreeSet<String> {
    executions.flat_map(|execution| &execution.steps).flat_map(of_step).collect()
}

/// Fields after whose moment the server removes a document.
fn removed(indexes: &Indexes) -> BTreeSet<String> {
    let of = |(namespace, fields): (&String, &Vec<(String, u64)>)| -> Vec<String> {
        let collection = namespace.split_once('.').map_or(namespace.as_str(), |(_, collection)| collection);
        fields.iter().map(|(field, _)| place(collection, field)).collect()
    };
    indexes.expiring.iter().flat_map(of).collect()
}

fn of_step(step: &Step) -> Vec<String> {
    let Some(collection) = &step.command.collection else { return Vec::new() };
    let (sent, statements) = (millis(step.sent + CLEARLY), &step.command.statements);
    let times = statements.iter().flat_map(|statement| &statement.times);
    times.filter(|(_, moment)| **moment > sent).map(|(field, _)| place(collection, field)).collect()
}

fn place(collection: &str, field: &str) -> String {
    format!("{}.{field}", own_name(collection))
}

fn millis(moment: SystemTime) -> i64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mongodb::bson::{DateTime, rawdoc};

    use super::*;
    use crate::explore::wire::message::tests::msg;
    use crate::explore::wire::{Command, Message};

    fn places(of: Duration) -> Vec<String> {
        let now = SystemTime::now();
        let moment = DateTime::from_system_time(now + of);
        let insert = rawdoc! { "insert": "locks", "documents": [{ "_id": 1, "expiresAt": moment }], "$db": "app" };
        let command = Command::parse(&Message::parse(&msg(0, &insert, &[])).unwrap()).unwrap();
        let step = Step {
            request: 0,
            pick: Default::default(),
            ordinal: 0,
            release: 0,
            sent: now,
            command: Arc::new(command),
            reply: None,
            answered: None,
        };
        let execution = Execution { steps: vec![step], ..Execution::default() };
        to_come([execution].iter()).into_iter().collect()
    }

    #[test]
    fn a_moment_that_is_still_to_come_is_named_and_when_something_was_written_is_not() {
        assert_eq!(places(Duration::from_secs(60)), ["locks.expiresAt"]);
        assert!(places(Duration::ZERO).is_empty() && places(Duration::from_millis(200)).is_empty());
    }

    #[test]
    fn what_the_server_removes_is_named_by_the_field_of_its_index() {
        let two = vec![("until".to_owned(), 0), ("at.made".to_owned(), 3600)];
        let expiring = [("app.locks".to_owned(), two), ("app.audit.log".to_owned(), vec![("seen".to_owned(), 60)])];
        let indexes = Indexes { expiring: expiring.into(), ..Indexes::new() };
        assert_eq!(
            removed(&indexes).into_iter().collect::<Vec<_>>(),
            ["audit.log.seen", "locks.at.made", "locks.until"]
        );
        assert!(removed(&Indexes::new()).is_empty());
    }
}
