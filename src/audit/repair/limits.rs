//! What the server takes at most, counted before anything is written: documents, entries of the journal, and the
//! statements that change documents. What it would not take is not begun.

use mongodb::bson::{Bson, Document, doc};

use super::decide::id_of;
use super::edit::Edit;
use super::guard::same_document;
use super::journal::{After, Journal, MergeState, TwinEntry, merge_entry, twin_entry};
use super::merging::size;
use super::put_back;
use super::touch::{Touch, entries_after, entry_before};
use crate::report::count;

/// Bytes of the largest document that the server stores.
pub(super) const DOCUMENT: usize = 16 * 1024 * 1024;

/// Bytes of the largest statement: a command may have 16 kB more than a document, which the rest of it needs.
const STATEMENT: usize = DOCUMENT;

/// Bytes that are held twice, in five forms and with the position of each element, and are far below the limits even so.
const SMALL: usize = 1024 * 1024;

/// Whether a statement fits into a command.
pub(super) fn is_statement(statement: &Document) -> bool {
    size(statement) <= STATEMENT
}

/// Whether a change fits into a command.
pub(super) fn fits(edit: &Edit) -> bool {
    is_small(edit) || is_statement(&edit.statement())
}

fn is_small(edit: &Edit) -> bool {
    size(&edit.before) + size(&edit.changed) < SMALL
}

/// A sentence for what is too large, with both sizes.
fn over(what: &str, bytes: usize, limit: usize) -> Option<String> {
    (bytes > limit)
        .then(|| format!("{what} would have {} bytes, and the server takes {}", grouped(bytes), grouped(limit)))
}

/// Bytes, as texts name them.
pub(super) fn grouped(bytes: usize) -> String {
    count(bytes as u64)
}

fn of_entry(entry: &Document, of: &Bson) -> Option<String> {
    let what = format!("the backup of document {of}");
    let statement = Journal::statement(id_of(entry), entry.clone().into(), i64::MAX);
    over(&what, size(entry), DOCUMENT).or_else(|| over(&what, size(&statement), STATEMENT))
}

/// Why the server would not take a change, or what is noted of it before, or what undoes it.
pub(super) fn of_edit(collection: &str, edit: &Edit) -> Option<String> {
    if is_small(edit) {
        return None;
    }
    let id = edit.id();
    let touch = Touch { now: &edit.before, after: After::Changed(edit.changed.clone()), taking: &edit.taking };
    let (after, read) = entries_after(collection, None, &touch);
    let of_entries = || {
        let before = entry_before(collection, &id, edit.before.clone());
        [Some(before), Some(after), read].into_iter().flatten().find_map(|entry| of_entry(&entry, &id))
    };
    let result = edit.result();
    over(&format!("document {id}"), size(&result), DOCUMENT)
        .or_else(of_entries)
        .or_else(|| over(&format!("the command that changes document {id}"), size(&edit.statement()), STATEMENT))
        .or_else(|| {
            let undoing = size(&put_back::statement(&result, &edit.before));
            over(&format!("the command that undoes the change of document {id}"), undoing, STATEMENT)
        })
}

/// Why the server would not take the removal of a duplicate, or what is noted of it before.
pub(super) fn of_removal(collection: &str, duplicate: &Document, keeper: &Bson) -> Option<String> {
    of_removed(collection, duplicate, || merge_entry(duplicate, keeper, MergeState::Removing))
}

/// The same of a referring document that goes beside another.
pub(super) fn of_twin(twin: &TwinEntry) -> Option<String> {
    of_removed(&twin.collection, &twin.twin, || twin_entry(twin, MergeState::Removing))
}

fn of_removed(collection: &str, document: &Document, entry: impl FnOnce() -> Document) -> Option<String> {
    if size(document) < SMALL {
        return None;
    }
    let id = id_of(document);
    let removal = doc! { "q": same_document(document), "limit": 1 };
    of_entry(&entry(), &id)
        .or_else(|| of_entry(&entry_before(collection, &id, document.clone()), &id))
        .or_else(|| over(&format!("the command that removes document {id}"), size(&removal), STATEMENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_told_with_both_sizes() {
        let document = |bytes: usize| doc! { "_id": 1, "m": "x".repeat(bytes) };
        let all = DOCUMENT - 200;
        assert_eq!(of_removal("c", &document(all - 100), &2.into()), None);
        let told = of_removal("c", &document(all + 150), &2.into()).unwrap();
        assert!(told.starts_with("the backup of document 1 would have 16,77"), "{told}");
        assert!(told.ends_with("and the server takes 16,777,216"), "{told}");
    }
}
