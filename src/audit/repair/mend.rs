//! What a repair does to single documents, many at once: set their keys, clean their arrays.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use serde_json::{Value, json};

use super::decide::id_of;
use super::edit::{Edit, Written};
use super::guard::{From, rearranged, same_beginning, same_field};
use super::keys::{Setting, without_room};
use super::limits;
use super::merging::{Lost, size, value::identical};
use super::rate_limiter::at_once;
use super::refer::name;
use super::twice::Read;
use super::work::{Repair, still_changing};
use crate::audit::dedupe::repeated;
use crate::audit::error::{DUPLICATE_KEY, Result, Step};
use crate::audit::inspect::shown;
use crate::audit::key::{KeyState, state};
use crate::audit::raw::put;
use crate::audit::{ArraySpec, KeySpec, Profile};
use crate::report::ActionKind;

/// Bytes of documents that are held and written together.
const BYTES: usize = 12 * 1024 * 1024;

/// What is done to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mending {
    /// It gets the key that its participants give.
    SetKey,
    /// The repeated elements of its array go; the first of each stays.
    Deduplicate,
}

impl Mending {
    fn what_for(self) -> &'static str {
        match self {
            Mending::SetKey => "get its key",
            Mending::Deduplicate => "have its array cleaned",
        }
    }
}

/// A document's change, and what the record says of it.
pub(super) struct Mended {
    pub(super) edit: Edit,
    pub(super) action: Action,
}

/// What is said of a document that has a field twice.
pub(super) fn has_twice(id: &Bson, mending: Mending, why: &str) -> String {
    format!("document {id} does not {}: {why}", mending.what_for())
}

impl Mended {
    /// The key that is to be set, if one is.
    pub(super) fn setting(&self) -> Option<Setting> {
        self.action.setting(&self.edit.id())
    }

    /// Why it is not made: a sentence, which the plan and the repair say alike.
    pub(super) fn problem(&self, collection: &str) -> Option<String> {
        let id = self.edit.id();
        if self.edit.changed.contains_key("_id") {
            return Some(format!(
                "document {id} is left as it is: its key is part of its `_id`, which cannot be changed"
            ));
        }
        limits::of_edit(collection, &self.edit).map(|why| format!("document {id} is left as it is: {why}"))
    }
}

/// What a mending counts as.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Action {
    pub(super) kind: ActionKind,
    pub(super) count: u64,
    pub(super) detail: Value,
}

impl Action {
    /// The key that a document is to get, if it is to get one.
    pub(super) fn setting(&self, id: &Bson) -> Option<Setting> {
        let key = self.detail.get("key").and_then(Value::as_str).filter(|_| self.kind == ActionKind::SetKey)?;
        Some(Setting { id: id.clone(), key: key.to_owned() })
    }
}

impl Repair<'_> {
    /// Mends documents.
    pub(super) async fn mend(&mut self, mending: Mending, ids: &[Bson]) -> Result<()> {
        let (restless, ids): (Vec<&Bson>, Vec<&Bson>) = ids.iter().partition(|id| self.is_restless(id));
        for id in restless {
            self.left(still_changing(id, mending.what_for()));
        }
        for ids in ids.chunks(at_once(self.options.rate)) {
            self.rate_limiter.turns(ids.len()).await;
            let mut pending: Vec<Bson> = ids.iter().copied().cloned().collect();
            let mut tries = self.tries();
            while !pending.is_empty() && tries.next() {
                pending = self.try_to_mend(mending, &pending).await?;
            }
            for id in &pending {
                self.kept_changing(id, mending.what_for());
            }
            self.options.audit.progress.more(ids.len());
        }
        Ok(())
    }

    /// Reads documents and changes them. Returns those that changed meanwhile.
    async fn try_to_mend(&mut self, mending: Mending, ids: &[Bson]) -> Result<Vec<Bson>> {
        let step = format!("read `{}`", self.profile.collection);
        let collection = self.collection().clone_with_type::<RawDocumentBuf>();
        let found = collection.find(doc! { "_id": { "$in": ids } }).await;
        let mut found = found.reading(self.database.name(), &step)?;
        let (mut piece, mut bytes, mut again) = (Vec::new(), 0, Vec::new());
        while let Some(raw) = found.try_next().await.reading(self.database.name(), &step)? {
            let Read { document, twice, .. } = Read::of(&raw);
            if let Some(why) = twice {
                self.left(has_twice(&id_of(&document), mending, &why));
                continue;
            }
            let large = size(&document);
            if bytes + large > BYTES {
                again.extend(self.write_mended(std::mem::take(&mut piece)).await?);
                bytes = 0;
            }
            bytes += large;
            piece.extend(self.mended(mending, document));
        }
        again.extend(self.write_mended(piece).await?);
        Ok(again)
    }

    /// The change of a document; `None` if it needs none, or cannot be made.
    fn mended(&mut self, mending: Mending, document: Document) -> Option<Mended> {
        let mended = mended(self.profile, mending, document)?;
        match mended.problem(&self.profile.collection) {
            Some(problem) => {
                self.left(problem);
                None
            }
            None => Some(mended),
        }
    }

    async fn write_mended(&mut self, mut mended: Vec<Mended>) -> Result<Vec<Bson>> {
        let settings: Vec<Setting> = mended.iter().filter_map(Mended::setting).collect();
        let none = BTreeSet::new();
        let blocked = without_room(&self.database, self.profile, &self.indexes, &settings, &none).await?;
        for setting in settings.iter().filter(|setting| blocked.contains(&name(&setting.id))) {
            self.left(setting.sentence());
        }
        mended.retain(|mended| mended.setting().is_none() || !blocked.contains(&name(&mended.edit.id())));
        if mended.is_empty() {
            return Ok(Vec::new());
        }
        let (edits, actions): (Vec<Edit>, Vec<Action>) =
            mended.into_iter().map(|mended| (mended.edit, mended.action)).unzip();
        let collection = self.profile.collection.clone();
        let written = self.write(&collection, &edits).await?;
        let mut again = Vec::new();
        for ((edit, action), written) in edits.iter().zip(actions).zip(written) {
            let id = edit.id();
            match written {
                Written::Done => self.record.act(action),
                Written::NotDone | Written::Unknown => again.push(id),
                Written::Refused(DUPLICATE_KEY) => {
                    let key = action.detail.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
                    self.left(Setting { id, key }.sentence());
                }
                Written::Refused(code) => {
                    self.left(format!("document {id} is left as it is: the server refuses its change (code {code})"));
                }
                Written::TooLarge(why) => self.left(format!("document {id} is left as it is: {why}")),
            }
        }
        Ok(again)
    }
}

/// The change of a document; `None` if it needs none.
pub(super) fn mended(profile: &Profile, mending: Mending, document: Document) -> Option<Mended> {
    match mending {
        Mending::SetKey => with_key(profile.key.as_ref()?, document),
        Mending::Deduplicate => {
            let spec = profile.array.as_ref()?;
            Some(cleaned(spec, &document)?.of(spec, document))
        }
    }
}

/// What setting the key of a document would be; `None` if it has the right one, or none can be made.
pub(super) fn keyed(key: &KeySpec, document: &Document) -> Option<(String, Action)> {
    key.participants.as_ref()?;
    let raw = RawDocumentBuf::try_from(document).ok()?;
    let derived = match state(key, &raw) {
        KeyState::Right(_) | KeyState::Missing(None) => return None,
        KeyState::Missing(Some(derived)) | KeyState::Wrong(derived, _) => derived,
    };
    let mut detail = json!({ "document": shown(&id_of(document)), "key": derived.text });
    if let Some(was) = crate::audit::raw::at(&raw, key.field.first()) {
        detail["was"] = shown(&crate::audit::raw::decoded(was));
    }
    Some((derived.text, Action { kind: ActionKind::SetKey, count: 1, detail }))
}

fn with_key(key: &KeySpec, document: Document) -> Option<Mended> {
    let (text, action) = keyed(key, &document)?;
    let field = key.field.first();
    let root = |field: &str| field.split('.').next().unwrap_or_default().to_owned();
    let mut changed = document.clone();
    put(&mut changed, field, text.as_str());
    let changed = doc! { root(field): changed.get(root(field)).cloned().unwrap_or(Bson::Null) };
    let fields = std::iter::once(field).chain(key.participants.iter().chain(&key.prefix).map(String::as_str));
    let same: Vec<Bson> = fields.map(root).map(|field| same_field(&field, document.get(&field))).collect();
    let set = doc! { field: { "$literal": text } };
    let condition = doc! { "$and": same }.into();
    Some(Mended { edit: Edit { before: document, changed, condition, set, taking: Vec::new() }, action })
}

/// An array without its repeated elements.
pub(super) struct Cleaned {
    kept: Vec<usize>,
    pub(super) action: Action,
}

/// What cleaning the array of a document would be; `None` if it repeats nothing. Elements that go are named where they
/// are not the same as the one that stays.
pub(super) fn cleaned(spec: &ArraySpec, document: &Document) -> Option<Cleaned> {
    let raw = RawDocumentBuf::try_from(document).ok()?;
    let elements = document.get_array(&spec.field).ok()?;
    let again = repeated(spec, raw.get_array(spec.field.as_str()).ok()?).repeated;
    if again.is_empty() {
        return None;
    }
    let id = id_of(document);
    let lost = again.iter().filter_map(|&(at, first)| {
        let (value, kept) = (elements.get(at)?, elements.get(first)?);
        let lost = || Lost {
            document: id.clone(),
            field: spec.field.clone(),
            value: value.clone(),
            kept: Some(kept.clone()),
            rule: Some("identity"),
        };
        (!identical(value, kept)).then(|| lost().shown())
    });
    let lost: Vec<Value> = lost.collect();
    let kept: Vec<usize> =
        (0..elements.len()).filter(|at| again.binary_search_by_key(at, |(at, _)| *at).is_err()).collect();
    let mut detail = json!({
        "document": shown(&id), "elements": elements.len(), "removed": again.len(), "kept": kept.len(),
    });
    if !lost.is_empty() {
        detail["lost"] = lost.into();
    }
    let action = Action { kind: ActionKind::Deduplicate, count: again.len() as u64, detail };
    Some(Cleaned { kept, action })
}

impl Cleaned {
    fn of(self, spec: &ArraySpec, document: Document) -> Mended {
        let elements = document.get_array(&spec.field).map(Vec::as_slice).unwrap_or_default();
        let after: Vec<Bson> = self.kept.iter().filter_map(|&at| elements.get(at).cloned()).collect();
        let order: Vec<From> = self.kept.into_iter().map(From::Own).collect();
        let set = doc! { &spec.field: rearranged(&spec.field, elements.len(), &order, &[]) };
        let condition = same_beginning(&spec.field, elements);
        let changed = doc! { &spec.field: after };
        let edit = Edit { before: document, changed, condition, set, taking: Vec::new() };
        Mended { edit, action: self.action }
    }
}
