//! What becomes of documents that refer to what is merged.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, Document};

use super::merge::{merged, ranked};
use super::value::{equal, is_none, text};
use super::{Contents, Rules, Spec, id};

/// How a field refers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// By one value.
    One,
    /// By a document with one value of this name.
    Within(&'static str),
    /// By a list of values.
    List,
    /// By a list of documents with one value of this name each.
    Each(&'static str, Twice),
}

/// What becomes of documents of a list that refer to one thing and differ otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twice {
    Refuse,
    First,
    Both,
}

/// A field that refers.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) collection: &'static str,
    pub(crate) field: &'static str,
    pub(crate) shape: Shape,
    /// With this field it is unique; one of two documents goes, by these rules.
    pub(crate) unique_with: Option<(&'static str, Rules)>,
}

impl Reference {
    /// The path as a profile writes it.
    pub(crate) fn path(&self) -> String {
        match self.shape {
            Shape::One | Shape::List => self.field.to_owned(),
            Shape::Within(name) | Shape::Each(name, _) => format!("{}.{name}", self.field),
        }
    }
}

/// What becomes of all that refers.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) contents: Contents,
    pub(super) twins: BTreeMap<(String, String), String>,
    pub(super) redirected: BTreeMap<(String, String, String), u64>,
}

type Into = BTreeMap<String, (usize, Bson)>;

struct Referring {
    document: Document,
    /// What was redirected, by path: the ids of the merged documents.
    from: BTreeSet<(String, String)>,
    gone: Option<String>,
}

/// Redirects everything. `Err` names the groups that cannot be merged.
pub(super) fn redirected(spec: &Spec, before: &Contents, into: &Into) -> Result<Outcome, BTreeSet<usize>> {
    let mut outcome = Outcome::default();
    let mut forbidden = BTreeSet::new();
    let collections: BTreeSet<&str> = spec.references.iter().map(|reference| reference.collection).collect();
    for collection in collections {
        let references: Vec<&Reference> =
            spec.references.iter().filter(|reference| reference.collection == collection).collect();
        let mut all = Vec::new();
        for document in before.get(collection).into_iter().flatten() {
            let mut referring = Referring { document: document.clone(), from: BTreeSet::new(), gone: None };
            for reference in &references {
                if !redirect(reference, &mut referring, into) {
                    forbidden.extend(groups_of(&references, document, into));
                }
            }
            all.push(referring);
        }
        for reference in &references {
            if let Some((with, rules)) = &reference.unique_with {
                for of in unite(reference, with, rules, &mut all) {
                    let document = &before[collection][of];
                    forbidden.extend(groups_of(&references, document, into));
                }
            }
        }
        for referring in &all {
            let own = id(&referring.document);
            match &referring.gone {
                Some(beside) => {
                    outcome.twins.insert((collection.to_owned(), own), beside.clone());
                }
                None => {
                    for (path, from) in &referring.from {
                        *outcome.redirected.entry((collection.to_owned(), path.clone(), from.clone())).or_default() +=
                            1;
                    }
                }
            }
        }
        let stay = all.into_iter().filter(|referring| referring.gone.is_none());
        outcome.contents.insert(collection.to_owned(), stay.map(|referring| referring.document).collect());
    }
    if forbidden.is_empty() { Ok(outcome) } else { Err(forbidden) }
}

/// The groups of the duplicates that a document refers to.
fn groups_of(references: &[&Reference], document: &Document, into: &Into) -> BTreeSet<usize> {
    let mut groups = BTreeSet::new();
    for reference in references {
        let mut document = document.clone();
        visit(reference, &mut document, &mut |value| {
            groups.extend(into.get(&text(value)).map(|(group, _)| *group));
        });
    }
    groups
}

/// Shows every value by which a document refers.
fn visit(reference: &Reference, document: &mut Document, look: &mut dyn FnMut(&mut Bson)) {
    let Some(value) = document.get_mut(reference.field) else { return };
    match (reference.shape, value) {
        (Shape::List | Shape::One, Bson::Array(list)) => list.iter_mut().for_each(look),
        (Shape::Each(name, _) | Shape::Within(name), Bson::Array(list)) => {
            list.iter_mut().filter_map(|element| element.as_document_mut()?.get_mut(name)).for_each(look);
        }
        (Shape::Within(name) | Shape::Each(name, _), Bson::Document(inner)) => {
            inner.get_mut(name).into_iter().for_each(look);
        }
        (Shape::One | Shape::List, value) => look(value),
        _ => {}
    }
}

/// Redirects one field of a document. False if it would refer to one thing twice, which nobody has allowed.
fn redirect(reference: &Reference, referring: &mut Referring, into: &Into) -> bool {
    let were_once = once(reference, &referring.document);
    let path = reference.path();
    let (mut any, mut formless) = (false, false);
    visit(reference, &mut referring.document, &mut |value| {
        if let Some((_, keeper)) = into.get(&text(value)) {
            referring.from.insert((path.clone(), text(value)));
            match if value.as_str().is_some() { as_text(keeper) } else { Some(keeper.clone()) } {
                Some(written) => *value = written,
                None => formless = true,
            }
            any = true;
        }
    });
    if formless {
        return false;
    }
    let twice = match reference.shape {
        Shape::List => Twice::First,
        Shape::Each(_, twice) => twice,
        Shape::One | Shape::Within(_) => return true,
    };
    if !any || !were_once {
        return true;
    }
    let Ok(list) = referring.document.get_array_mut(reference.field) else { return true };
    let mut at = 0;
    while at < list.len() {
        let meant = |element: &Bson| means(reference, element);
        let earlier = list[..at].iter().find(|other| meant(other).is_some() && meant(other) == meant(&list[at]));
        match earlier {
            Some(earlier) if matches!(reference.shape, Shape::List) || equal(earlier, &list[at]) => {
                list.remove(at);
            }
            Some(_) if twice == Twice::Refuse => return false,
            Some(_) if twice == Twice::First => {
                list.remove(at);
            }
            _ => at += 1,
        }
    }
    true
}

/// An id as the text by which something refers to it.
pub(crate) fn as_text(id: &Bson) -> Option<Bson> {
    match id {
        Bson::ObjectId(id) => Some(id.to_hex().into()),
        Bson::Int32(number) => Some(number.to_string().into()),
        Bson::Int64(number) => Some(number.to_string().into()),
        Bson::String(_) => Some(id.clone()),
        _ => None,
    }
}

/// What an element of a list refers to.
fn means(reference: &Reference, element: &Bson) -> Option<String> {
    let value = match reference.shape {
        Shape::Each(name, _) => element.as_document()?.get(name)?,
        _ => element,
    };
    (!is_none(Some(value))).then(|| text(value))
}

fn once(reference: &Reference, document: &Document) -> bool {
    let Ok(list) = document.get_array(reference.field) else { return true };
    let names: Vec<String> = list.iter().filter_map(|element| means(reference, element)).collect();
    names.iter().collect::<BTreeSet<_>>().len() == names.len()
}

/// Makes one of documents that redirecting made equal. Returns the positions of those of which that cannot be.
fn unite(reference: &Reference, with: &str, rules: &Rules, all: &mut [Referring]) -> Vec<usize> {
    let mut refused = Vec::new();
    let mut done: BTreeSet<usize> = BTreeSet::new();
    let key = |document: &Document| {
        let owner = document.get(reference.field).filter(|owner| !is_none(Some(owner))).map(text)?;
        Some((owner, document.get(with).cloned().unwrap_or(Bson::Null)))
    };
    for first in 0..all.len() {
        let Some((owner, other)) = key(&all[first].document).filter(|_| !done.contains(&first)) else { continue };
        let same =
            |at: &usize| key(&all[*at].document).is_some_and(|(theirs, with)| theirs == owner && equal(&with, &other));
        let group: Vec<usize> = (first..all.len()).filter(same).collect();
        done.extend(&group);
        let path = reference.path();
        let moved = |at: &&usize| all[**at].from.iter().any(|(of, _)| *of == path);
        if group.len() < 2 || !group.iter().any(|at| moved(&at)) {
            continue;
        }
        // Where no rule says otherwise, what referred to the kept document already stays.
        let already: Vec<usize> = group.iter().copied().filter(|at| all[*at].from.is_empty()).collect();
        let candidates = if already.is_empty() || rules.dated.is_some() || rules.keep != super::Keep::Oldest {
            &group
        } else {
            &already
        };
        let documents: Vec<Document> = candidates.iter().map(|at| all[*at].document.clone()).collect();
        let kept = id(&ranked(rules, &documents)[0]);
        let (kept, others): (Vec<usize>, Vec<usize>) = group.iter().partition(|at| id(&all[**at].document) == kept);
        let kept = kept[0];
        let theirs: Vec<Document> = others.iter().map(|at| all[*at].document.clone()).collect();
        let by_age = Rules { keep: super::Keep::Oldest, ..rules.clone() };
        let united = [vec![all[kept].document.clone()], ranked(&by_age, &theirs)].concat();
        match merged(rules, None, &united) {
            None => refused.extend(group),
            Some(document) => {
                let own = id(&document);
                all[kept].document = document;
                others.iter().for_each(|at| all[*at].gone = Some(own.clone()));
            }
        }
    }
    refused
}
