//! Documents that seem to be of a key of the run and are stored under none. Main type: [`Answers`].

use std::sync::PoisonError;

use mongodb::bson::{Bson, Document, doc};
use rustc_hash::FxHashSet;

use super::super::HttpTarget;
use super::super::path;
use super::super::value::{stored_as, stored_id};
use super::Read;
use super::database::as_answered;
use super::forms::Forms;
use crate::history::{Id, SetAside};
use crate::scenario::ObserveMongo;
use crate::target::TargetError;

/// Identifiers in one query of a collection that holds more than the run's documents, and such queries at most.
const IDS_PER_QUERY: usize = 1000;
const QUERIES: usize = 100;

/// What operations were answered with.
pub(super) struct Answers<'a> {
    target: &'a HttpTarget,
}

impl<'a> Answers<'a> {
    pub(super) fn of(target: &'a HttpTarget) -> Self {
        Answers { target }
    }

    /// What is known of a document that no key of the run stands for, if it seems to be of one.
    pub(super) fn set_aside(
        &self,
        document: &Document,
        spec: &ObserveMongo,
        forms: &Forms,
    ) -> Result<Option<SetAside>, TargetError> {
        let Some(id) = path::one(document, &spec.id).and_then(stored_id) else { return Ok(None) };
        let id = as_answered(spec, id)?;
        let answered = self.target.client.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let key = answered.get(&id).cloned();
        drop(answered);
        let Some(key) = key.or_else(|| forms.in_other_letters(document)) else { return Ok(None) };
        let expected = forms.expected(&key).unwrap_or_else(|| key.to_string());
        Ok(Some(SetAside { id, key, fields: spec.key.clone(), under: forms.shown_of(document), expected }))
    }

    /// Queries for documents that operations were answered with and that were not read. What is stored of an identifier that answers
    /// write otherwise is not known.
    pub(super) fn not_among(&self, read: &Read, spec: &ObserveMongo) -> Vec<Document> {
        if spec.id_as.is_some() {
            return Vec::new();
        }
        let known: FxHashSet<&Id> = read.documents.iter().map(|document| &document.id).collect();
        let answered = self.target.client.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<&Id> = answered.keys().filter(|id| !known.contains(id)).collect();
        let query = |ids: &[&Id]| {
            let values: Vec<Bson> = ids.iter().flat_map(|id| stored_as(&id.to_string())).collect();
            doc! { &spec.id: { "$in": values } }
        };
        missing.chunks(IDS_PER_QUERY).take(QUERIES).map(query).collect()
    }
}
