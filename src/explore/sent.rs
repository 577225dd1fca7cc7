//! What the commands of an execution wrote, and when, as far as they tell it themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::UNIX_EPOCH;

use mongodb::bson::Timestamp;

use super::capture::Written;
use super::conflict::may_meet;
use super::execution::{Execution, Step};
use super::wire::{Kind, Reply};

/// Collections that the commands of an execution's requests wrote to.
pub(super) fn sent_to(execution: &Execution) -> impl Iterator<Item = String> {
    let writes = execution.steps.iter().filter(|step| step.command.kind == Kind::Write);
    writes.filter_map(|step| Some(format!("{}.{}", step.command.database, step.command.collection.as_ref()?)))
}

/// Collections that an execution wrote to.
pub(super) fn written_to(execution: &Execution) -> BTreeSet<String> {
    let named = sent_to(execution);
    let late = execution.strays.iter().filter_map(|stray| stray.split_once(' ').map(|(_, name)| name.to_owned()));
    named.chain(late).collect()
}

/// When the last command of an execution was carried out, as the server told in its answers; not known where something came
/// besides them, or an answer was lost.
pub(super) fn last_told(execution: &Execution) -> Option<Timestamp> {
    let told = |step: &Step| step.reply.as_ref()?.operation_time;
    let times: Option<Vec<(u32, u32)>> = execution.steps.iter().map(told).collect();
    let (time, increment) = times?.into_iter().max()?;
    // What a service does when it is started again is told to nobody here, nor what passes when an execution is broken off:
    // the next one would be taken to have written it.
    let is_told = execution.strays.is_empty() && !execution.restarted && execution.stuck.is_none();
    is_told.then_some(Timestamp { time, increment })
}

/// How many documents the commands of an execution changed, by namespace; nothing where that cannot be told.
pub(super) fn changes_sent(execution: &Execution) -> Option<BTreeMap<String, u64>> {
    // What a service does when it is started again passes.
    if execution.restarted {
        return None;
    }
    let mut sent: BTreeMap<String, u64> = BTreeMap::new();
    for step in execution.steps.iter().filter(|step| step.command.kind == Kind::Write) {
        if step.command.name == "commitTransaction" {
            continue;
        }
        if step.command.spans {
            return None;
        }
        let namespace = format!("{}.{}", step.command.database, step.command.collection.as_deref().unwrap_or_default());
        let count = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
        let changed = step
            .reply
            .as_ref()
            .map(|Reply { matched, modified, upserted, .. }| count(*matched).max(count(*modified)) + *upserted as u64);
        // A command whose answer was lost may have changed all that it names.
        *sent.entry(namespace).or_default() += changed?;
    }
    Some(sent)
}

/// When a document of an execution was last written, in milliseconds since 1970: when the last command was answered that may
/// have written it and changed something; a moment that the server put into it is not after that. Where none is known to have,
/// when the last command of all came.
pub(super) fn written_at(execution: &Execution, written: &Written) -> i64 {
    let sides = || [written.before.as_ref(), written.after.as_ref()].into_iter().flatten();
    let wrote = |step: &&Step| {
        step.command.kind == Kind::Write
            && step.reply.as_ref().is_some_and(|reply| !reply.changed_nothing())
            && sides().any(|document| may_meet(&step.command, &written.namespace, document))
    };
    let own = execution.steps.iter().filter(wrote).filter_map(|step| step.answered).max();
    let last = own.or_else(|| execution.steps.iter().map(|step| step.sent).max());
    let since = last.and_then(|last| last.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use mongodb::bson::{Bson, RawDocumentBuf, doc, rawdoc};

    use super::super::wire::message::tests::msg;
    use super::super::wire::{Command, Message};
    use super::*;

    /// A command that was sent and answered at these moments, in milliseconds since 1970.
    fn step(command: &RawDocumentBuf, reply: Reply, (sent, answered): (u64, Option<u64>)) -> Step {
        let command = Command::parse(&Message::parse(&msg(0, command, &[])).unwrap()).unwrap();
        let at = |moment| SystemTime::UNIX_EPOCH + Duration::from_millis(moment);
        Step {
            request: 0,
            pick: Default::default(),
            ordinal: 0,
            release: 0,
            sent: at(sent),
            command: Arc::new(command),
            reply: Some(reply),
            answered: answered.map(at),
        }
    }

    #[test]
    fn a_document_was_written_when_the_last_command_was_answered_that_changed_it() {
        let written = |id: i32| Written {
            namespace: "app.chats".to_owned(),
            id: Bson::Int32(id),
            before: None,
            after: Some(doc! { "_id": id }),
        };
        let insert = |id: i32| rawdoc! { "insert": "chats", "documents": [{ "_id": id }], "$db": "app" };
        let update = |id: i32| {
            rawdoc! { "update": "chats", "updates": [{ "q": { "_id": id }, "u": { "$set": { "a": 1 } } }], "$db": "app" }
        };
        let find = rawdoc! { "find": "chats", "filter": {}, "$db": "app" };
        let changed = |matched| Reply { ok: true, matched: Some(matched), ..Reply::default() };
        let steps = vec![
            step(&insert(1), changed(1), (10, Some(20))),
            step(&update(1), changed(1), (30, Some(40))),
            step(&update(1), changed(0), (50, Some(60))),
            step(&insert(2), changed(1), (70, Some(80))),
            step(&find, changed(1), (90, Some(100))),
        ];
        let execution = Execution { steps, ..Execution::default() };
        assert_eq!([1, 2].map(|id| written_at(&execution, &written(id))), [40, 80]);
        assert_eq!(written_at(&execution, &written(3)), 90, "nobody is known to have");
    }

    #[test]
    fn what_an_execution_that_is_broken_off_lets_pass_is_its_own() {
        let insert = rawdoc! { "insert": "chats", "documents": [{ "_id": 1 }], "$db": "app" };
        let step = step(&insert, Reply { operation_time: Some((7, 1)), ..Reply::default() }, (10, None));
        let whole = Execution { steps: vec![step], ..Execution::default() };
        assert_eq!(last_told(&whole), Some(Timestamp { time: 7, increment: 1 }));
        let broken_off = Execution { stuck: Some("other commands are parked".to_owned()), ..whole };
        assert_eq!(last_told(&broken_off), None, "what it had parked passes after its last step");
    }
}
