//! Documents: whether they are where the scenario says, have the fields that it names, and are told apart by the key.

use rustc_hash::{FxHashMap, FxHashSet};

use super::context::{Context, OfKey, says_there_is_one, value};
use super::{Cases, search};
use crate::history::{Id, Operation, Value};
use crate::report::FitRow;
use crate::scenario::WorkloadKind;

pub(super) fn rows(context: &Context<'_>) -> Vec<FitRow> {
    if !context.observed {
        return Vec::new();
    }
    let mut rows = fields(context);
    rows.extend(keys(context));
    rows.extend(empty(context));
    rows.extend(apart(context));
    rows
}

/// A collection of which no operation is known to leave documents, and that holds none of the run's: nothing that the scenario
/// says of them was looked at. It may be so meant, where what counts lies elsewhere.
fn empty(context: &Context<'_>) -> Option<FitRow> {
    let mongo = context.scenario.observe.mongo.as_ref().filter(|_| context.documents.is_empty())?;
    if context.operations.iter().any(|operation| leaves_one(context, operation)) {
        return None;
    }
    let mut cases = Cases::default();
    let counts = |operation: &&Operation| operation.is_ok() && (context.counts_control || operation.phase.is_main());
    let answered = context.keys().into_iter().filter(|key| key.operations.iter().any(&counts));
    answered.for_each(|_| cases.count(false));
    let paths = mongo.key.iter().chain([&mongo.id]).chain(&mongo.stamp).chain(&mongo.insert_fields);
    let named: Vec<String> = paths.map(|path| format!("`{path}`")).collect();
    let expected = format!("a key of the run has a document in `{}`, with {}", mongo.collection, named.join(", "));
    (cases.looked_at > 0).then(|| FitRow { optional: true, ..cases.row("observe.mongo.collection", expected, || None) })
}

/// Whether an answer to this says that its key has a document.
fn leaves_one(context: &Context<'_>, operation: &Operation) -> bool {
    // What other operations of the user's own leave is known to the user alone.
    let creates =
        context.scenario.workload == WorkloadKind::Unique && matches!(value(operation), Some(Value::Document(_)));
    creates || says_there_is_one(operation)
}

/// Fields that no document has.
fn fields(context: &Context<'_>) -> Vec<FitRow> {
    let rows = context.sightings.documents.fields.iter().map(|field| {
        let cases = Cases { looked_at: field.looked_at, fitting: field.found };
        cases.row(&field.setting, format!("documents have `{}`", field.path), || None)
    });
    rows.collect()
}

/// A key of the run whose document is acknowledged is found in one.
fn keys(context: &Context<'_>) -> Option<FitRow> {
    let (setting, expected) = match (&context.scenario.observe.mongo, &context.scenario.observe.http) {
        (Some(mongo), _) => {
            let example = context.sightings.documents.expected_key.as_ref();
            let example = example.map(|form| format!(", as `{form}`")).unwrap_or_default();
            let key = mongo.key.join("`, `");
            (
                "observe.mongo.key",
                format!("`{key}` of a document in `{}` holds a key of the run{example}", mongo.collection),
            )
        }
        (None, Some(http)) => ("observe.http.documents", format!("{} leads to documents of a key", http.documents)),
        (None, None) => return None,
    };
    let mut cases = Cases::default();
    for key in context.keys() {
        if key.operations.iter().any(|operation| leaves_one(context, operation)) {
            let was_there = || key.operations.first().is_some_and(|operation| context.has_vanished(&operation.key));
            cases.count(!key.documents.is_empty() || was_there());
        }
    }
    Some(cases.row(setting, expected, || Some(where_keys_are(context))))
}

/// Where the documents that were read, here or elsewhere, have a key of the run or a part of it.
fn where_keys_are(context: &Context<'_>) -> String {
    let samples = &context.sightings.documents.samples;
    let expected = context.sightings.documents.expected_key.as_deref();
    let mut texts: Vec<&str> = expected.into_iter().collect();
    for operation in context.operations {
        texts.push(&operation.key);
        texts.extend(crate::workload::participants(&operation.key).into_iter().filter(|part| !part.is_empty()));
    }
    texts.sort_unstable();
    texts.dedup();
    let own = context.scenario.observe.mongo.as_ref().map(|mongo| mongo.collection.as_str());
    let found = samples.iter().find_map(|sample| Some((sample, search::find(&sample.fields, &texts)?)));
    match found {
        Some((sample, place)) => {
            let field = match own == Some(sample.collection.as_str()) {
                true => format!("`{}`", place.path),
                false => format!("`{}` in `{}`", place.path, sample.collection),
            };
            let whole = if place.whole { "holds it" } else { "holds it as a part" };
            let moved = match own == Some(sample.collection.as_str()) {
                true => "",
                false => {
                    " (if the service moves documents there in time, give them a longer life here by a setting of it)"
                }
            };
            format!("{field} {whole}: `{}`{moved}", place.holds)
        }
        None if samples.is_empty() => "no document is there".to_owned(),
        None => "none of the documents that are there mentions the run".to_owned(),
    }
}

/// A service that is asked for the documents of a key tells them apart from those of others.
fn apart(context: &Context<'_>) -> Option<FitRow> {
    context.scenario.observe.http.as_ref()?;
    let keys: Vec<&OfKey<'_>> = context.keys().into_iter().filter(|key| !key.documents.is_empty()).collect();
    let mut holders: FxHashMap<&Id, FxHashSet<&str>> = FxHashMap::default();
    for document in context.documents {
        holders.entry(&document.id).or_default().insert(&document.key);
    }
    let mut cases = Cases::default();
    for key in keys.iter().filter(|_| keys.len() > 1) {
        cases.count(key.documents.iter().any(|document| holders.get(&document.id).is_some_and(|keys| keys.len() == 1)));
    }
    Some(cases.row("observe.http.path", "the documents of a key are not those of other keys", || {
        Some("every key was answered with documents of others: does the service take the key from there?".to_owned())
    }))
}
