//! What each invariant means.

use super::Text;
use crate::verdict::Invariant;

/// What an invariant means, where a violation usually comes from, and what mends it.
pub fn of(invariant: &Invariant) -> Text {
    match invariant {
        Invariant::SingleDocument
        | Invariant::ZeroDuplicates
        | Invariant::SameId
        | Invariant::CreatedOnce
        | Invariant::CreateOrGetLinearizable
        | Invariant::SomebodyServed
        | Invariant::NoLeakedErrors
        | Invariant::InsertFieldsIntact => one_document(invariant),
        Invariant::NoLostMessages
        | Invariant::NoDuplicateMessages
        | Invariant::NoPhantomMessages
        | Invariant::AppendOrder
        | Invariant::PairAdjacent
        | Invariant::MergeOnce
        | Invariant::NoFalseDedupe
        | Invariant::PayloadIntact => messages(invariant),
        Invariant::MembersExact
        | Invariant::OneThreadPerSet
        | Invariant::AdminsOnly
        | Invariant::DerivedFieldsExact => threads(invariant),
        Invariant::NoLostElements
        | Invariant::NoDuplicateElements
        | Invariant::NoPhantomElements
        | Invariant::ElementOrder => elements(invariant),
        Invariant::AsIfSerial => Text {
            meaning: "What concurrent requests answer and leave behind is what some order of the same requests, one after another, gives.",
            cause: "A decision that rests on what was read before another request wrote.",
            fix: "The witness shows what differs from the nearest order; where a lint is shown, it names the commands to join into one.",
        },
        Invariant::Custom(name) => match of_a_command(name) {
            Some((meaning, cause, fix)) => Text { meaning, cause, fix },
            None => Text {
                meaning: "An aggregation of your own, from `[[invariant]]` in the scenario, has the result that you expect.",
                cause: "What your query describes.",
                fix: "The witness shows the documents that the query returned and the requests that named them.",
            },
        },
    }
}

/// The rules that `audit`, `repair` and `selftest` name themselves: meaning, usual cause and fix.
fn of_a_command(name: &str) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match name {
        "unique-index" => (
            "The key of the profile has a unique index.",
            "The index was never created, or its creation failed because there were duplicates already.",
            "`onlyone repair` merges the duplicates and creates the index.",
        ),
        "key-present" => (
            "Every document has the key of the profile.",
            "Documents that are older than the key, or a write path that does not set it.",
            "`onlyone repair` sets the key from the fields that it is made of; set it in the same command as the insert.",
        ),
        "key-matches-participants" => (
            "The stored key is the one that its fields give.",
            "The key was computed from an unsorted or an outdated list, or the list changed and the key did not.",
            "`onlyone repair` sets the key again; write list and key in one command.",
        ),
        "no-orphans" => (
            "Every reference names a document that exists.",
            "The document was deleted, or merged without its references.",
            "Redirect the references in the same repair, or delete them with the document.",
        ),
        "planted-bugs-caught" => (
            "Every planted bug is caught within its budget of rounds.",
            "A checker that lost a case, or a machine on which the race never strikes.",
            "`onlyone selftest --bug ID` tries one bug again.",
        ),
        "correct-twins-pass" => (
            "No correct twin of a planted bug is accused.",
            "A checker that accuses wrongly.",
            "Do not trust a violation by this version; the witness shows what was taken for one.",
        ),
        _ => return None,
    })
}

fn one_document(invariant: &Invariant) -> Text {
    let (meaning, cause, fix) = match invariant {
        Invariant::SingleDocument => (
            "A key has at most one document in the end, and exactly one if a creation was acknowledged.",
            "Find-then-insert or an upsert without a unique index: two requests find nothing, and both insert.",
            "A unique index on the key, one atomic upsert, and code 11000 handled by reading the document that won.",
        ),
        Invariant::ZeroDuplicates => (
            "No two documents in the end have the same stored key, whatever operation made them.",
            "No unique index on the key, or one that does not cover the duplicate (partial, sparse, another collation).",
            "Find existing duplicates with `onlyone audit`, merge them with `onlyone repair`, then create the unique index.",
        ),
        Invariant::SameId => (
            "All answers for one key name the same document.",
            "Two documents were created, or a request returned an identifier that it generated and did not store.",
            "Return the document that the database returned (`returnDocument: \"after\"`), never the one built in memory.",
        ),
        Invariant::CreatedOnce => (
            "At most one operation per key says that it created the document, and it is the one that the document names.",
            "Two documents were created, or a request guesses that it created what it found.",
            "Take the flag from the command's reply (`upsertedId`, `lastErrorObject.updatedExisting`).",
        ),
        Invariant::CreateOrGetLinearizable => (
            "The answers for one key fit an order in which the document is created once and found ever after.",
            "A read that misses what was already answered: a lagging secondary, a stale cache, a second document.",
            "Read from the primary, or with a causally consistent session; see also `single-document`.",
        ),
        Invariant::SomebodyServed => (
            "Where a request alone is served, several at once serve at least one of them.",
            "Each request finds the other one's document and takes its own back: all of them are refused.",
            "Let the unique index decide who wins; do not count after the insert.",
        ),
        Invariant::NoLeakedErrors => (
            "No error that only the loser of a race gets (E11000, WriteConflict, SnapshotUnavailable, LockTimeout, VersionError) reaches a caller.",
            "The unique index does its work, and the service passes the database's refusal on as an error.",
            "Catch the error and return the document that won, or answer with a refusal and list it in `status.refused`.",
        ),
        _ => (
            "Fields written on insert are all there, and nobody overwrote them.",
            "`$set` where `$setOnInsert` is meant, or a document that is filled by a second command.",
            "Write what belongs to the creation with `$setOnInsert`, in the command that creates the document.",
        ),
    };
    Text { meaning, cause, fix }
}

fn messages(invariant: &Invariant) -> Text {
    let (meaning, cause, fix) = match invariant {
        Invariant::NoLostMessages => (
            "Every acknowledged message is there in the end.",
            "Read, change in memory, write the whole array back: the slower request erases the faster one's message.",
            "`$push` in one atomic update; check `matchedCount`; handle code 11000 by trying again.",
        ),
        Invariant::NoDuplicateMessages => (
            "No message is there twice.",
            "A retry after a lost answer, or two deliveries of one message, without an operation id in the filter.",
            "Push under the condition that the message's id is not there yet: `{ \"messages.id\": { $ne: id } }`.",
        ),
        Invariant::NoPhantomMessages => (
            "Nothing is there that no operation wrote, or that only a refused operation wrote.",
            "An error after the write: the caller is told that nothing happened.",
            "Answer from what the database acknowledged; make the write the last step that can fail.",
        ),
        Invariant::AppendOrder => (
            "Messages keep one order, and that order respects real time.",
            "Sequence numbers computed from a length that was read before, or sorting by clocks that tie.",
            "Compute the number in the update itself, and order by position.",
        ),
        Invariant::PairAdjacent => (
            "A user's message and its answer stand next to each other, in order.",
            "Two separate pushes: another pair lands in between.",
            "Push both in one command: `$push: { messages: { $each: [question, answer] } }`.",
        ),
        Invariant::MergeOnce => (
            "A merge id is applied at most once.",
            "Looked up first and pushed afterwards; a wrong path in the condition; a lock in one process's memory.",
            "One `updateOne` with `{ \"messages.mergeId\": { $ne: id } }` in its filter.",
        ),
        Invariant::NoFalseDedupe => (
            "A message is not dropped as a duplicate of another.",
            "`matchedCount === 0` is read as \"already merged\" although the chat is missing, or ids of the wrong field are compared.",
            "Tell \"missing\" from \"already there\" by a second read, and compare the id that identifies the message.",
        ),
        _ => (
            "What is stored is what its writer sent.",
            "An edit by array index while the array changes, or the loser of a race overwriting the winner's content.",
            "Address elements by their id (`arrayFilters`), and never overwrite what another request wrote.",
        ),
    };
    Text { meaning, cause, fix }
}

fn elements(invariant: &Invariant) -> Text {
    let (meaning, cause, fix) = match invariant {
        Invariant::NoLostElements => (
            "What an acknowledged operation must leave in its key (`observe.mongo.elements`) is there in the end.",
            "Read, change in memory, write back: the slower request erases what the faster one left.",
            "Add the element with one atomic update (`$push`, `$addToSet`, an insert).",
        ),
        Invariant::NoDuplicateElements => (
            "What an operation leaves is there no more often than the scenario allows.",
            "A retry or a second delivery without a condition, or a look-up before the write.",
            "`$addToSet`, a condition on the element in the update's filter, or a unique index.",
        ),
        Invariant::NoPhantomElements => (
            "Nothing is there that no operation left, or that only a refused operation left.",
            "An error after the write: the caller is told that nothing happened.",
            "Make the write the last step that can fail, or undo it in the same transaction.",
        ),
        _ => (
            "What operations left stands in an order that respects real time.",
            "Positions computed from a list that was read before, or sorting by clocks that tie.",
            "Append in the database (`$push`), and order by position.",
        ),
    };
    Text { meaning, cause, fix }
}

fn threads(invariant: &Invariant) -> Text {
    let (meaning, cause, fix) = match invariant {
        Invariant::MembersExact => (
            "A thread's members are exactly those that were added.",
            "Members written back as a whole array, `$push` instead of `$addToSet`, or a key computed from an old list.",
            "`$addToSet` with `$each`, and the key derived in the same update.",
        ),
        Invariant::OneThreadPerSet => (
            "One set of participants has one thread.",
            "Looked up first, then created; participants in an order that depends on the caller.",
            "Sort the participants into a key, put a unique index on it, and create with an upsert.",
        ),
        Invariant::AdminsOnly => (
            "Only a thread's admins change it.",
            "The caller's rights are looked up before the write, and another request takes them away in between.",
            "Put the right into the write's filter: `{ _id: id, admins: caller }`.",
        ),
        _ => (
            "Counters and other fields that follow from the content agree with it.",
            "A second update that is lost, repeated, or lands in another order than the first.",
            "Change the counter in the update that changes what it counts.",
        ),
    };
    Text { meaning, cause, fix }
}
