//! Undoing what a repair made of documents, many at once, each only if it is still as it was read.

use std::collections::BTreeMap;

use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

use super::bulk::{self, Reply};
use super::decide::id_of;
use super::edit::documents;
use super::guard::{From, rearranged, same_document, same_field};
use super::journal::{After, Touched};
use super::lease::Lease;
use super::limits;
use super::merging::size;
use super::merging::value::{bytes, identical, identical_documents};
use super::refer::name;
use super::restore::Restored;
use super::undo::undone;
use crate::audit::error::{DUPLICATE_KEY, Result};

/// Documents put back together.
const AT_ONCE: usize = 500;

/// Bytes of them.
const BYTES: usize = 12 * 1024 * 1024;

/// How often documents that others keep changing are tried.
const TRIES: u32 = 100;

/// A document, as it was read and as it is to be.
struct Change<'a> {
    touched: &'a Touched,
    now: Option<Document>,
    wanted: Document,
}

/// What came of writing.
#[derive(Default)]
struct Written<'a> {
    restored: u64,
    /// They changed meanwhile.
    again: Vec<&'a Touched>,
    /// A unique index has another document with their key.
    waiting: Vec<&'a Touched>,
    /// The server refuses them: why, a sentence each.
    refused: Vec<String>,
}

/// Cuts documents into pieces of one collection and of bounded size.
pub(super) fn pieces<'p, 'a>(all: &'p [&'a Touched]) -> Vec<&'p [&'a Touched]> {
    let mut pieces = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (position, touched) in all.iter().enumerate() {
        let size = size(&touched.before);
        let full = position - begin == AT_ONCE || bytes + size > BYTES;
        if position > begin && (full || touched.collection != all[begin].collection) {
            pieces.push(&all[begin..position]);
            (begin, bytes) = (position, 0);
        }
        bytes += size;
    }
    if begin < all.len() {
        pieces.push(&all[begin..]);
    }
    pieces
}

/// Undoes what the repair made of documents of one collection. Returns those for which a unique index has no room yet.
pub(super) async fn undo<'a>(
    database: &Database,
    lease: &Lease,
    piece: &[&'a Touched],
    restored: &mut Restored,
) -> Result<Vec<&'a Touched>> {
    let Some(collection) = piece.first().map(|touched| touched.collection.as_str()) else { return Ok(Vec::new()) };
    let mut pending = piece.to_vec();
    let mut waiting = Vec::new();
    for _ in 0..TRIES {
        if pending.is_empty() {
            return Ok(waiting);
        }
        let ids: Vec<Bson> = pending.iter().map(|touched| id_of(&touched.before)).collect();
        let mut found = documents(database, collection, &ids).await?;
        let (mut missing, mut changed) = (Vec::new(), Vec::new());
        for touched in pending {
            let id = id_of(&touched.before);
            let now = found.remove(&name(&id));
            match wanted(touched, now.as_ref()) {
                Ok(None) => restored.untouched += 1,
                Ok(Some(wanted)) if now.is_none() => missing.push(Change { touched, now, wanted }),
                Ok(Some(wanted)) => changed.push(Change { touched, now, wanted }),
                Err(reason) => restored.left.push(format!("document {id} of `{collection}` {reason}")),
            }
        }
        let inserted = insert((database, lease), collection, missing).await?;
        let replaced = replace((database, lease), collection, changed).await?;
        restored.restored += inserted.restored + replaced.restored;
        restored.left.extend(inserted.refused.into_iter().chain(replaced.refused));
        waiting.extend([inserted.waiting, replaced.waiting].concat());
        pending = [inserted.again, replaced.again].concat();
    }
    for touched in pending {
        restored.left.push(format!("document {} of `{collection}` kept changing", id_of(&touched.before)));
    }
    Ok(waiting)
}

/// What the document is to be; `None` if nothing is to be done.
fn wanted(touched: &Touched, now: Option<&Document>) -> Result<Option<Document>, &'static str> {
    match (now, &touched.after) {
        (Some(now), _) if identical_documents(now, &touched.before) => Ok(None),
        (_, None) => Ok(None),
        (None, Some(After::Removed)) => Ok(Some(touched.before.clone())),
        (None, Some(After::Changed(_))) => Err("is gone since"),
        // It was about to be removed and was not, or it was put back: it has what the repair changed before. Whatever else
        // it has is as the service has it.
        (Some(now), Some(After::Removed)) => match &touched.earlier {
            Some(earlier) => without(touched, earlier, now),
            None => Ok(None),
        },
        (Some(now), Some(After::Changed(changed))) => without(touched, changed, now),
    }
}

/// The document without what the repair changed; `None` if nothing of it is left.
fn without(touched: &Touched, changed: &Document, now: &Document) -> Result<Option<Document>, &'static str> {
    let wanted = undone(&touched.before, changed, now)?;
    Ok(Some(wanted).filter(|wanted| !identical_documents(wanted, now)))
}

async fn insert<'a>(
    (database, lease): (&Database, &Lease),
    collection: &str,
    changes: Vec<Change<'a>>,
) -> Result<Written<'a>> {
    let wanted: Vec<Document> = changes.iter().map(|change| change.wanted.clone()).collect();
    let reply = bulk::insert_again(database, lease, collection, &wanted).await?;
    let refused = refused(&reply, &changes, |message| message.contains("index: _id_ "));
    Ok(Written { restored: reply.matched, ..refused })
}

async fn replace<'a>(
    (database, lease): (&Database, &Lease),
    collection: &str,
    changes: Vec<Change<'a>>,
) -> Result<Written<'a>> {
    let statement_of = |change: &Change<'_>| change.now.as_ref().map(|now| statement(now, &change.wanted));
    let (mut fitting, mut statements, mut too_large) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        match statement_of(&change) {
            Some(statement) if limits::is_statement(&statement) => {
                statements.push(statement);
                fitting.push(change);
            }
            _ => too_large.push(format!(
                "document {} of `{collection}`: what it is and what it was are too large for one command",
                id_of(&change.wanted)
            )),
        }
    }
    let changes = fitting;
    let reply = bulk::replace_again(database, lease, collection, &statements).await?;
    let mut written = refused(&reply, &changes, |_| false);
    written.refused.extend(too_large);
    written.restored = reply.matched;
    if reply.matched + (reply.refused.len() as u64) < changes.len() as u64 {
        let ids: Vec<Bson> = changes.iter().map(|change| id_of(&change.wanted)).collect();
        let now = documents(database, collection, &ids).await?;
        let refused = |position: &usize| reply.refused.iter().any(|(refused, _, _)| refused == position);
        let missed = changes.iter().enumerate().filter(|(position, change)| {
            let now = now.get(&name(&id_of(&change.wanted)));
            !refused(position) && !now.is_some_and(|now| identical_documents(now, &change.wanted))
        });
        written.again.extend(missed.map(|(_, change)| change.touched));
    }
    Ok(written)
}

/// The statement that makes a document what it is to be: whole and only if it is as it was read; or, where the two are too
/// large for one command, the fields that differ, only if these are, and of arrays the positions of what is there already.
pub(super) fn statement(now: &Document, wanted: &Document) -> Document {
    let whole = doc! { "q": same_document(now), "u": wanted };
    let is_path = |name: &String| name.contains('.') || name.starts_with('$');
    if limits::is_statement(&whole) || now.keys().chain(wanted.keys()).any(is_path) {
        return whole;
    }
    let (mut set, mut unset, mut conditions) = (Document::new(), Vec::new(), Vec::new());
    for (field, value) in wanted {
        let found = now.get(field);
        if found.is_some_and(|found| identical(found, value)) {
            continue;
        }
        conditions.push(same_field(field, found));
        let changed = match (found, value) {
            (Some(Bson::Array(found)), Bson::Array(wanted)) => from_what_is_there(field, found, wanted),
            _ => doc! { "$literal": value }.into(),
        };
        set.insert(field, changed);
    }
    for field in now.keys().filter(|field| !wanted.contains_key(*field)) {
        conditions.push(same_field(field, now.get(field)));
        unset.push(field.clone());
    }
    let mut stages = Vec::new();
    if !set.is_empty() {
        stages.push(doc! { "$set": set });
    }
    if !unset.is_empty() {
        stages.push(doc! { "$unset": unset });
    }
    doc! { "q": { "_id": id_of(now), "$expr": { "$and": conditions } }, "u": stages }
}

/// An expression: an array made of the elements of the one that is there, and of those that it lacks.
fn from_what_is_there(field: &str, found: &[Bson], wanted: &[Bson]) -> Bson {
    let there: BTreeMap<Vec<u8>, usize> =
        found.iter().enumerate().filter_map(|(at, element)| Some((bytes(element)?, at))).collect();
    let mut lacking = Vec::new();
    let mut order = Vec::with_capacity(wanted.len());
    for element in wanted {
        let from = match bytes(element).and_then(|bytes| there.get(&bytes)) {
            Some(at) => From::Own(*at),
            None => {
                lacking.push(element.clone());
                From::Other(lacking.len() - 1)
            }
        };
        order.push(from);
    }
    rearranged(field, found.len(), &order, &lacking)
}

/// The documents that the server refused. Where a unique index did, one that `again` recognises came into being meanwhile.
fn refused<'a>(reply: &Reply, changes: &[Change<'a>], again: impl Fn(&str) -> bool) -> Written<'a> {
    let mut written = Written::default();
    for (position, code, message) in &reply.refused {
        let Some(Change { touched, .. }) = changes.get(*position) else { continue };
        match *code {
            DUPLICATE_KEY if again(message) => written.again.push(touched),
            DUPLICATE_KEY => written.waiting.push(touched),
            code => written.refused.push(format!(
                "document {} of `{}`: the server refuses what it was: {message} (code {code})",
                id_of(&touched.before),
                touched.collection
            )),
        }
    }
    written
}
