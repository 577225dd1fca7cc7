//! What becomes of the documents of one referring collection: redirected, removed beside a twin, or a reason to refuse.
//!
//! A pure function of the documents: the plan and the repair call the same one.

use mongodb::bson::{Bson, Document};
use serde_json::Value;

use super::forms::Targets;
use super::path::{Changes, redirect, references};
use super::read::Referring;
use super::twins::unite;
use crate::audit::repair::decide::id_of;
use crate::audit::repair::merging::Lost;
use crate::audit::repair::twice::Read;

/// The document beside which another one is removed.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::audit::repair) struct Twin {
    /// Its id.
    pub(in crate::audit::repair) id: Bson,
    /// The reference by which both would be one.
    pub(in crate::audit::repair) field: String,
}

/// One referring document.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::audit::repair) struct Redirection {
    pub(in crate::audit::repair) before: Document,
    pub(in crate::audit::repair) after: Document,
    /// Its references that change: field, from and to.
    pub(in crate::audit::repair) redirected: Vec<(String, Bson, Bson)>,
    /// Elements of its arrays that go, as reports show them, by field.
    pub(in crate::audit::repair) elements: Vec<(String, Value)>,
    /// What it goes beside, if it is removed.
    pub(in crate::audit::repair) twin: Option<Twin>,
    /// Values that are nowhere any more.
    pub(in crate::audit::repair) lost: Vec<Lost>,
    /// Why it cannot be written: it has a field twice.
    pub(in crate::audit::repair) twice: Option<String>,
}

impl Redirection {
    pub(in crate::audit::repair) fn id(&self) -> Bson {
        id_of(&self.before)
    }

    /// The id of the document that it goes beside, if it is removed.
    pub(in crate::audit::repair) fn beside(&self) -> Option<&Bson> {
        self.twin.as_ref().map(|twin| &twin.id)
    }

    /// Without the rest of the document, for the plan.
    pub(in crate::audit::repair) fn slim(self) -> Self {
        let only_id: Document = self.before.get("_id").map(|id| ("_id".to_owned(), id.clone())).into_iter().collect();
        Redirection { before: only_id.clone(), after: only_id, ..self }
    }

    /// The top-level fields that change, with their new values.
    pub(in crate::audit::repair) fn changed(&self) -> Document {
        let changed = self.after.iter().filter(|(field, value)| self.before.get(field) != Some(value));
        changed.map(|(field, value)| (field.clone(), value.clone())).collect()
    }
}

/// A document whose references cannot be redirected.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::audit::repair) struct Obstacle {
    /// The duplicates that it refers to: these cannot be merged.
    pub(in crate::audit::repair) duplicates: Vec<Bson>,
    /// Why, in a sentence.
    pub(in crate::audit::repair) why: String,
}

/// What becomes of the documents.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::audit::repair) struct ReferenceOutcome {
    /// Documents that change or go.
    pub(in crate::audit::repair) documents: Vec<Redirection>,
    pub(in crate::audit::repair) obstacles: Vec<Obstacle>,
}

/// Works out what becomes of documents of a referring collection. Where a unique index or `unique_with` counts, the
/// documents must be all that refer to a duplicate or to a kept one.
pub(in crate::audit::repair) fn resolve(
    referring: &Referring<'_>,
    documents: Vec<Read>,
    targets: &Targets,
    strict: bool,
) -> ReferenceOutcome {
    let mut outcome = ReferenceOutcome::default();
    let mut all: Vec<Redirection> = Vec::with_capacity(documents.len());
    for Read { document, twice, unreadable } in documents {
        if let Some(why) = twice.as_ref().filter(|_| unreadable || refers(referring, &document, targets)) {
            outcome.obstacles.push(obstacle(referring, &[&document], targets, why));
            continue;
        }
        match redirected(referring, document, targets) {
            // One that refers to a kept document: nothing can be united with it.
            Ok(redirection) => all.push(Redirection { twice, ..redirection }),
            Err(obstacle) => outcome.obstacles.push(obstacle),
        }
    }
    for reference in referring.references.iter().filter(|reference| !reference.unique_with.is_empty()) {
        if let Err((group, why)) = unite((reference, &referring.indexes), &mut all, targets) {
            let group: Vec<&Document> = group.into_iter().map(|position| &all[position].before).collect();
            outcome.obstacles.push(obstacle(referring, &group, targets, &why));
        }
    }
    for (position, why) in clashes(referring, &all) {
        outcome.obstacles.push(obstacle(referring, &[&all[position].before], targets, &why));
    }
    if strict {
        let unruled = |document: &&Redirection| document.lost.iter().any(|lost| lost.rule.is_none());
        for document in all.iter().filter(unruled) {
            let beside = document.beside().map_or_else(String::new, |twin| format!(" beside {twin}"));
            let why = format!("it would lose fields{beside} that no rule names (--strict)");
            // The one that goes may have referred to the kept document all along.
            let twin = all.iter().find(|other| Some(&other.id()) == document.beside()).map(|twin| &twin.before);
            let both: Vec<&Document> = std::iter::once(&document.before).chain(twin).collect();
            outcome.obstacles.push(obstacle(referring, &both, targets, &why));
        }
    }
    outcome.documents =
        all.into_iter().filter(|document| document.twin.is_some() || document.before != document.after).collect();
    outcome
}

/// One document with its references redirected, whatever stands beside it.
pub(in crate::audit::repair) fn redirected(
    referring: &Referring<'_>,
    before: Document,
    targets: &Targets,
) -> Result<Redirection, Obstacle> {
    let mut document = Redirection {
        after: before.clone(),
        before,
        redirected: Vec::new(),
        elements: Vec::new(),
        twin: None,
        lost: Vec::new(),
        twice: None,
    };
    for reference in &referring.references {
        let mut changes = Changes::default();
        redirect(&mut document.after, &reference.field, targets, reference.repeated, &mut changes)
            .map_err(|why| obstacle(referring, &[&document.before], targets, &why))?;
        let field = &reference.field;
        let mut redirected: Vec<(String, Bson, Bson)> = Vec::new();
        for (from, to) in changes.redirected {
            if !redirected.iter().any(|(_, known, _)| *known == from) {
                redirected.push((field.clone(), from, to));
            }
        }
        document.redirected.extend(redirected);
        document.elements.extend(changes.removed.into_iter().map(|element| (field.clone(), element)));
        if document.after.get("_id") != document.before.get("_id") {
            let why = format!("`{field}` is part of its `_id`, which cannot be changed");
            return Err(obstacle(referring, &[&document.before], targets, &why));
        }
    }
    Ok(document)
}

/// The first of the documents is named; all duplicates that one of them refers to are not merged.
pub(in crate::audit::repair) fn obstacle(
    referring: &Referring<'_>,
    documents: &[&Document],
    targets: &Targets,
    why: &str,
) -> Obstacle {
    let fields = |document: &&'_ Document| {
        let fields = referring.references.iter().flat_map(|reference| references(document, &reference.field, targets));
        fields.cloned().collect::<Vec<Bson>>()
    };
    let mut duplicates: Vec<Bson> = Vec::new();
    for value in documents.iter().flat_map(fields) {
        if let Some(duplicate) = targets.duplicate(&value).filter(|duplicate| !duplicates.contains(duplicate)) {
            duplicates.push(duplicate.clone());
        }
    }
    let id = documents.first().and_then(|document| document.get("_id")).cloned().unwrap_or(Bson::Null);
    let why = format!("document {id} of `{}` cannot be redirected: {why}", referring.collection);
    Obstacle { duplicates, why }
}

/// Whether a document refers to what the targets redirect.
pub(in crate::audit::repair) fn refers(referring: &Referring<'_>, document: &Document, targets: &Targets) -> bool {
    let mut values = referring.references.iter().flat_map(|reference| references(document, &reference.field, targets));
    values.any(|value| targets.duplicate(value).is_some())
}

/// Documents that a unique index would not let in once they are redirected, with the reason.
fn clashes(referring: &Referring<'_>, all: &[Redirection]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for index in &referring.unique {
        let staying = all.iter().enumerate().filter(|(_, document)| document.twin.is_none());
        for (earlier, later) in index.clashes(staying.map(|(position, document)| (position, &document.after))) {
            let Some(position) = [later, earlier].into_iter().find(|&at| !all[at].redirected.is_empty()) else {
                continue;
            };
            let other = all[if position == later { earlier } else { later }].id();
            let field = all[position].redirected.first().map_or("", |(field, _, _)| field.as_str());
            found.push((position, format!("it would be beside {other}, and {}", index.sentence(field))));
        }
    }
    found
}
