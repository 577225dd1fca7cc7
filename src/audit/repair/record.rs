//! What a repair did or would do, by kind, with every document: the plan and the repair write the same record.

use std::collections::BTreeMap;

use mongodb::bson::Bson;
use serde_json::{Value, json};

use super::decide::Decision;
use super::mend::Action;
use super::merging::Lost;
use super::refer::{Redirection, name};
use crate::audit::inspect::shown;
use crate::report::{ActionKind, RepairAction};

/// Counts and details of actions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Record {
    counts: BTreeMap<ActionKind, u64>,
    details: BTreeMap<ActionKind, Vec<Value>>,
    /// By collection, field, name of the duplicate.
    redirects: BTreeMap<(String, String, String), Redirects>,
}

/// Documents that referred to one duplicate.
#[derive(Debug, Clone, PartialEq)]
struct Redirects {
    from: Bson,
    to: Bson,
    documents: u64,
    /// Elements and values that are nowhere any more.
    lost: Vec<Value>,
}

impl Record {
    /// Counts what was done to a single document.
    pub(super) fn act(&mut self, action: Action) {
        self.add(action.kind, action.count, action.detail);
    }

    /// Counts an action, with its detail.
    pub(super) fn add(&mut self, kind: ActionKind, count: u64, detail: Value) {
        if count > 0 {
            *self.counts.entry(kind).or_default() += count;
            self.details.entry(kind).or_default().push(detail);
        }
    }

    /// How many actions there were.
    pub(super) fn counts(&self) -> BTreeMap<ActionKind, u64> {
        let mut counts = self.counts.clone();
        let redirected: u64 = self.redirects.values().map(|redirects| redirects.documents).sum();
        if redirected > 0 {
            counts.insert(ActionKind::Redirect, redirected);
        }
        counts
    }

    /// A document is removed: of the audited collection, or of a referring one beside its twin.
    pub(super) fn removed(&mut self, collection: Option<&str>, id: &Bson, twin: Option<&Bson>, lost: &[Lost]) {
        let detail = match collection {
            None => json!({ "document": shown(id) }),
            Some(collection) => json!({
                "collection": collection, "document": shown(id), "beside": twin.map(shown),
                "lost": lost.iter().map(Lost::shown).collect::<Vec<_>>(),
            }),
        };
        self.add(ActionKind::Remove, 1, detail);
    }

    /// A document that was removed is back.
    pub(super) fn back(&mut self, collection: Option<&str>, id: &Bson) {
        let is = |detail: &Value| {
            detail["document"] == shown(id) && detail.get("collection").and_then(Value::as_str) == collection
        };
        let Some(details) = self.details.get_mut(&ActionKind::Remove) else { return };
        let Some(position) = details.iter().position(is) else { return };
        details.remove(position);
        let left = details.len() as u64;
        self.counts.insert(ActionKind::Remove, left);
        self.counts.retain(|_, count| *count > 0);
    }

    /// Duplicates are merged into a document; `lost` is what is in no document any more.
    pub(super) fn merged(&mut self, key: &str, keeper: &Bson, duplicates: &[Bson], lost: &[Lost]) {
        let mut own: Vec<Value> = lost.iter().filter(|lost| lost.document == *keeper).map(Lost::shown).collect();
        for duplicate in duplicates {
            let theirs = lost.iter().filter(|lost| lost.document == *duplicate).map(Lost::shown);
            let lost: Vec<Value> = std::mem::take(&mut own).into_iter().chain(theirs).collect();
            let mut detail = json!({ "key": key, "document": shown(duplicate), "into": shown(keeper) });
            if !lost.is_empty() {
                detail["lost"] = lost.into();
            }
            self.add(ActionKind::Merge, 1, detail);
        }
    }

    /// References of a document are redirected.
    pub(super) fn redirected(&mut self, collection: &str, document: &Redirection) {
        for (field, from, to) in &document.redirected {
            let key = (collection.to_owned(), field.clone(), name(from));
            let new = || Redirects { from: from.clone(), to: to.clone(), documents: 0, lost: Vec::new() };
            let entry = self.redirects.entry(key).or_insert_with(new);
            entry.documents += 1;
        }
        let notable = document
            .elements
            .iter()
            .map(|(field, element)| json!({ "document": shown(&document.id()), "field": field, "removed": element }));
        let lost = document.lost.iter().map(Lost::shown);
        let notable: Vec<Value> = notable.chain(lost).collect();
        if let (false, Some((field, from, _))) = (notable.is_empty(), document.redirected.first()) {
            let key = (collection.to_owned(), field.clone(), name(from));
            if let Some(entry) = self.redirects.get_mut(&key) {
                entry.lost.extend(notable);
            }
        }
    }

    /// Everything that a decision would do.
    pub(super) fn planned(&mut self, decision: &Decision) {
        for merge in &decision.merges {
            let duplicates: Vec<Bson> = merge.pairs().map(|(duplicate, _)| duplicate).collect();
            self.merged(&merge.key, &merge.keeper(), &duplicates, &merge.outcome.lost);
            for duplicate in &duplicates {
                self.removed(None, duplicate, None, &[]);
            }
        }
        for (collection, documents) in &decision.redirections {
            for document in documents {
                match document.beside() {
                    Some(twin) => self.removed(Some(collection), &document.id(), Some(twin), &document.lost),
                    None => self.redirected(collection, document),
                }
            }
        }
    }

    /// The actions by kind, for a report.
    pub(super) fn actions(&self) -> Vec<RepairAction> {
        let counts = self.counts();
        let redirects = self.redirects.iter().map(|((collection, field, _), redirects)| {
            let Redirects { from, to, documents, lost } = redirects;
            let mut detail = json!({
                "collection": collection, "field": field, "from": shown(from), "to": shown(to), "documents": documents,
            });
            if !lost.is_empty() {
                detail["lost"] = lost.clone().into();
            }
            detail
        });
        let redirects: Vec<Value> = redirects.collect();
        [
            ActionKind::Merge,
            ActionKind::Remove,
            ActionKind::Redirect,
            ActionKind::SetKey,
            ActionKind::Deduplicate,
            ActionKind::CreateIndex,
        ]
        .into_iter()
        .filter_map(|kind| {
            let details = match kind {
                ActionKind::Redirect => redirects.clone(),
                _ => self.details.get(&kind).cloned().unwrap_or_default(),
            };
            // A plan and what was done are alike, whatever came first.
            let mut details = details;
            details.sort_by_cached_key(Value::to_string);
            Some(RepairAction { kind, count: *counts.get(&kind)?, details })
        })
        .collect()
    }
}
