//! Referring documents that would be two of one reference after a merge: one stays, the others go, and the plan says so.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document};

use super::forms::{Targets, name};
use super::outcome::{Redirection, Twin};
use super::path::{references, values};
use crate::audit::repair::merging::{Lost, Outcome, Rules, merged, ranked};
use crate::audit::{MergeSpec, Reference};

/// Makes one of the documents that refer to one document and have equal `unique_with` fields, where redirecting brought
/// them together. What goes is marked. `Err` names the documents, and says in a sentence why it cannot be done.
pub(super) fn unite(
    (reference, indexes): (&Reference, &[Document]),
    documents: &mut [Redirection],
    targets: &Targets,
) -> Result<(), (Vec<usize>, String)> {
    let mut groups: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
    for (position, document) in documents.iter().enumerate().filter(|(_, document)| document.twin.is_none()) {
        for owner in
            references(&document.after, &reference.field, targets).into_iter().filter(|owner| **owner != Bson::Null)
        {
            let with = reference.unique_with.iter().map(|field| {
                let mut names: Vec<String> = values(&document.after, field).into_iter().map(name).collect();
                if names.is_empty() {
                    // Missing and null are one, as they are to a unique index.
                    names.push(name(&Bson::Null));
                }
                names.sort_unstable();
                names.join(" ")
            });
            let key = std::iter::once(targets.meaning(owner)).chain(with).collect();
            let group = groups.entry(key).or_default();
            if group.last() != Some(&position) {
                group.push(position);
            }
        }
    }
    let of_field = |document: &Redirection| document.redirected.iter().any(|(field, _, _)| *field == reference.field);
    for group in groups.into_values().filter(|group| group.len() > 1) {
        if group.iter().any(|&position| of_field(&documents[position])) {
            unite_group((reference, indexes), documents, &group).map_err(|why| (group, why))?;
        }
    }
    Ok(())
}

fn unite_group(
    (reference, indexes): (&Reference, &[Document]),
    documents: &mut [Redirection],
    group: &[usize],
) -> Result<(), String> {
    let odd = |&position: &usize| Some((documents[position].id(), documents[position].twice.as_ref()?));
    if let Some((id, why)) = group.iter().find_map(odd) {
        return Err(format!("it would be one with document {id}, which is left as it is: {why}"));
    }
    let of_many = |&&position: &&usize| values(&documents[position].after, &reference.field).len() > 1;
    if group.iter().any(|position| of_many(&position)) {
        return Err("it refers to several documents, so that it cannot be removed for one".to_owned());
    }
    let with = |kept: usize| -> Result<(usize, Vec<usize>, Outcome), String> {
        let others: Vec<usize> = group.iter().copied().filter(|&position| position != kept).collect();
        let theirs: Vec<Document> = others.iter().map(|&position| documents[position].after.clone()).collect();
        let outcome = united((reference, indexes), &documents[kept].after, theirs)?;
        Ok((kept, others, outcome))
    };
    let kept = first(reference, documents, group);
    let (kept, others, outcome) = with(kept).or_else(|why| {
        let all: Vec<usize> =
            std::iter::once(kept).chain(group.iter().copied().filter(|&position| position != kept)).collect();
        let afters: Vec<Document> = all.iter().map(|&position| documents[position].after.clone()).collect();
        let livelier = Rules::of_reference(reference, indexes).livelier(&afters).map(|(kept, _)| kept);
        let at =
            livelier.and_then(|kept| all.iter().copied().find(|&at| documents[at].after.get("_id") == kept.get("_id")));
        at.map_or(Err(why), with)
    })?;
    let id = documents[kept].id();
    documents[kept].after = outcome.result(&documents[kept].after);
    // What the one that stays loses is said with the first that goes: it need not be redirected itself.
    let mut lost: Vec<Lost> = outcome.lost.iter().filter(|lost| lost.document == id).cloned().collect();
    for position in others {
        let gone = &mut documents[position];
        let own = gone.id();
        gone.lost.append(&mut lost);
        gone.lost.extend(outcome.lost.iter().filter(|lost| lost.document == own).cloned());
        gone.lost.extend(gone.redirected.iter().map(|(field, from, to)| Lost {
            document: own.clone(),
            field: field.clone(),
            value: from.clone(),
            kept: Some(to.clone()),
            rule: Some("reference"),
        }));
        gone.twin = Some(Twin { id: id.clone(), field: reference.field.clone() });
    }
    Ok(())
}

/// What a document takes over from those that go beside it.
pub(in crate::audit::repair) fn united(
    (reference, indexes): (&Reference, &[Document]),
    kept: &Document,
    others: Vec<Document>,
) -> Result<Outcome, String> {
    let others = ranked(others, &MergeSpec { keep: crate::audit::Keep::Oldest, ..reference.merge.clone() });
    merged(&Rules::of_reference(reference, indexes), kept, &others)
}

/// The one that stays: as `merge` says; where it says nothing, the one that referred to the kept document already, then
/// the oldest.
fn first(reference: &Reference, documents: &[Redirection], group: &[usize]) -> usize {
    let mut candidates: Vec<usize> = group.to_vec();
    if reference.merge.keep == crate::audit::Keep::Oldest && reference.merge.oldest.is_none() {
        let already: Vec<usize> =
            candidates.iter().copied().filter(|&position| documents[position].redirected.is_empty()).collect();
        if !already.is_empty() {
            candidates = already;
        }
    }
    let all: Vec<Document> = candidates.iter().map(|&position| documents[position].after.clone()).collect();
    let best = ranked(all, &reference.merge).first().and_then(|document| document.get("_id").cloned());
    let is_best = |&position: &usize| Some(documents[position].id()) == best;
    candidates.iter().copied().find(is_best).or_else(|| candidates.first().copied()).unwrap_or(0)
}
