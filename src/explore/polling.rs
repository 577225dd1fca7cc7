//! Requests that poll: who asks again and again until somebody else has done something.
//!
//! A poll that would change nothing and be told the same leads back to where it came from. It is left out while another
//! request can go on, until one has written where the polls look; otherwise there would be no end of interleavings.
//! *Soundness*: it takes two equal rounds without any effect, and more of them than the request sends when it is alone, to be
//! taken for polling. *Completeness*: a request that gives up after many rounds, or after a time, is not followed that far.

use std::sync::Arc;

use super::conflict::may_touch;
use super::wire::command::Change;
use super::wire::{Command, Reply};

/// Commands of one round at most.
const LONGEST_ROUND: usize = 8;

/// A command of a request and what it was told.
#[derive(Debug)]
pub(super) struct Told {
    /// What it asked for.
    pub(super) command: Arc<Command>,
    /// What it was told, in a few words; other documents are another answer.
    pub(super) answer: String,
    /// It may have changed data.
    pub(super) changed: bool,
    /// How many changes there had been when it was released.
    pub(super) since: usize,
}

/// A change to the data: by whom, and by what command.
#[derive(Debug)]
pub(super) struct Changed {
    /// The request.
    pub(super) request: usize,
    /// The command.
    pub(super) command: Arc<Command>,
}

/// What a request was told, as far as two answers are compared: as many documents are not the same documents.
pub(super) fn answer(reply: &Reply) -> String {
    match reply.returned {
        Some(1..) => format!("{} {:x}", reply.summary(), reply.signature),
        _ => reply.summary(),
    }
}

/// Whether what a request has parked is one poll more. `alone` is what it sends when it is alone.
pub(super) fn polls(
    request: usize,
    own: &[Told],
    parked: &Command,
    alone: &[Arc<Command>],
    changes: &[Changed],
) -> bool {
    let same_place = |other: &Command| (&other.name, &other.collection) == (&parked.name, &parked.collection);
    let usual = alone.iter().filter(|command| same_place(command)).count();
    if own.iter().filter(|told| is_like(&told.command, parked)).count() < usual.max(2) {
        return false;
    }
    (1..=LONGEST_ROUND.min(own.len() / 2)).any(|length| {
        let (before, last) = own[own.len() - 2 * length..].split_at(length);
        let same = |(one, other): (&Told, &Told)| {
            is_like(&one.command, &other.command)
                && one.answer == other.answer
                && !(one.changed || other.changed || goes_on(one) || goes_on(other))
        };
        let untouched = |change: &Changed| {
            change.request == request || !last.iter().any(|told| may_touch(&change.command, &told.command))
        };
        is_like(&last[0].command, parked)
            && before.iter().zip(last).all(same)
            && changes.iter().skip(before[0].since).all(untouched)
    })
}

/// Whether a cursor was read on: that leads further, however alike two batches are. Only an empty one, of a cursor that waits for
/// what is to come, is a poll.
fn goes_on(told: &Told) -> bool {
    told.command.name == "getMore" && told.answer != "none"
}

/// Whether two commands ask for the same, but for times and for identifiers that are made anew.
fn is_like(one: &Command, other: &Command) -> bool {
    (&one.name, &one.database, &one.collection) == (&other.name, &other.database, &other.collection)
        && one.statements.len() == other.statements.len()
        && one.statements.iter().zip(&other.statements).all(|(one, other)| {
            let (left, right) = (&one.filter.equalities, &other.filter.equalities);
            left.len() == right.len()
                && left.iter().zip(right).all(|((field, a), (other, b))| field == other && a.is_like(b))
                && one.filter.others == other.filter.others
                && changes_alike(&one.change, &other.change)
        })
}

fn changes_alike(one: &Change, other: &Change) -> bool {
    match (one, other) {
        (Change::Update { fields, .. }, Change::Update { fields: others, .. }) => fields == others,
        (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{DateTime, RawDocumentBuf, rawdoc};

    use super::super::wire::Message;
    use super::super::wire::message::tests::msg;
    use super::*;

    fn command(document: &RawDocumentBuf) -> Arc<Command> {
        Arc::new(Command::parse(&Message::parse(&msg(0, document, &[])).unwrap()).unwrap())
    }

    fn lock(at: i64) -> Arc<Command> {
        let lock = rawdoc! { "_id": "l", "holder": 2_i64, "expiresAt": DateTime::from_millis(at) };
        command(&rawdoc! { "insert": "locks", "documents": [lock], "$db": "app" })
    }

    fn take_over(at: i64) -> Arc<Command> {
        let expired = rawdoc! { "_id": "l", "expiresAt": { "$lt": DateTime::from_millis(at) } };
        let update = rawdoc! { "q": expired, "u": { "$set": { "holder": 2_i64 } } };
        command(&rawdoc! { "update": "locks", "updates": [update], "$db": "app" })
    }

    fn told(command: Arc<Command>, answer: &str, since: usize) -> Told {
        Told { changed: answer == "n = 1", command, answer: answer.to_owned(), since }
    }

    fn rounds(count: i64, since: usize) -> Vec<Told> {
        let round = |at| [told(lock(at), "E11000", since), told(take_over(at), "changed 0", since)];
        (0..count).flat_map(round).collect()
    }

    fn change(request: usize, collection: &str) -> Changed {
        let update = rawdoc! { "q": { "k": 1 }, "u": { "$push": { "m": 1 } } };
        Changed { request, command: command(&rawdoc! { "update": collection, "updates": [update], "$db": "app" }) }
    }

    #[test]
    fn a_third_round_without_any_effect_is_polling() {
        let alone = [lock(0)];
        assert!(polls(1, &rounds(2, 0), &lock(9), &alone, &[]));
        assert!(!polls(1, &rounds(1, 0), &lock(9), &alone, &[]), "one round");
        assert!(!polls(1, &rounds(2, 0), &take_over(9), &alone, &[]), "in the middle of a round");
        assert!(!polls(1, &rounds(2, 0), &lock(9), &[lock(0), lock(0), lock(0)], &[]), "it always sends three");
        let mut different = rounds(2, 0);
        different[1].answer = "changed 1".to_owned();
        assert!(!polls(1, &different, &lock(9), &alone, &[]), "it was told something else");
        let mut effective = rounds(2, 0);
        effective[3].changed = true;
        assert!(!polls(1, &effective, &lock(9), &alone, &[]), "it changed something");
    }

    #[test]
    fn who_reads_a_cursor_to_its_end_does_not_poll() {
        let more = || command(&rawdoc! { "getMore": 7_i64, "collection": "chats", "batchSize": 2, "$db": "app" });
        let batches = |answer: &str| vec![told(more(), answer, 0), told(more(), answer, 0), told(more(), answer, 0)];
        assert!(!polls(1, &batches("2 documents a"), &more(), &[more()], &[]), "equal batches");
        assert!(polls(1, &batches("none"), &more(), &[more()], &[]), "it waits for what is to come");
        let page = || command(&rawdoc! { "find": "chats", "filter": { "k": 1 }, "$db": "app" });
        let two = |signature: u64| answer(&Reply { ok: true, returned: Some(2), signature, ..Reply::default() });
        let pages = |second: u64| vec![told(page(), &two(1), 0), told(page(), &two(second), 0)];
        assert!(!polls(1, &pages(2), &page(), &[], &[]), "other documents");
        assert!(polls(1, &pages(1), &page(), &[], &[]));
    }

    #[test]
    fn a_write_of_another_where_the_polls_look_ends_the_wait() {
        let alone = [lock(0)];
        for (changes, since, expected) in [
            (vec![change(0, "locks")], 0, false),
            (vec![change(0, "locks")], 1, true),
            (vec![change(0, "chats")], 0, true),
            (vec![change(1, "locks")], 0, true),
        ] {
            assert_eq!(polls(1, &rounds(2, since), &lock(9), &alone, &changes), expected, "{changes:?} {since}");
        }
    }
}
