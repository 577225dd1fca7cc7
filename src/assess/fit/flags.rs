//! Flags and stamps of creation: a flag that is always the same, or a stamp that names something else, is no evidence.

use std::collections::BTreeMap;

use super::Cases;
use super::context::{Context, OfKey, answered_id, precedes, subject, value};
use crate::history::{Action, Appended, Cause, CauseKind, OpId, Operation, Outcome, Returned, Value};
use crate::report::FitRow;
use crate::workload::thread::Class;

pub(super) fn rows(context: &Context<'_>) -> Vec<FitRow> {
    let mut rows = created_rows(context);
    rows.extend(answered_stamps(context));
    rows.extend(stored_stamps(context));
    rows.extend(caller(context));
    rows
}

/// Whether the operation says that it created something, be it without a name.
fn created(operation: &Operation) -> Option<bool> {
    if let Outcome::Unknown(Cause { kind: CauseKind::Unnamed { created, .. }, .. }) = &operation.outcome {
        return *created;
    }
    match value(operation)? {
        Value::Document(returned) | Value::Appended(Appended { session: returned, .. }) => returned.created,
        Value::Thread(answer) => answer.created,
        _ => None,
    }
}

/// A key that is fresh in the run: whoever comes first creates.
fn is_fresh(operation: &Operation) -> bool {
    match operation.action {
        Action::CreateOrGet { .. } | Action::Append(_) => true,
        Action::StartConversation(_) => !Class::of_family(&operation.key).is_some_and(Class::has_given_thread),
        _ => false,
    }
}

/// What came before an operation.
enum Before<'a> {
    /// Nothing, certainly.
    Nothing,
    /// This one, about the same thing, was answered before it.
    One(&'a Operation),
    /// It is not known which of them was first.
    Open,
}

fn before<'a>(key: &OfKey<'a>, operation: &Operation) -> Before<'a> {
    let about = subject(operation);
    let mut others = key.operations.iter().copied().filter(|other| other.id != operation.id && subject(other) == about);
    if let Some(one) = others.clone().find(|other| created(other).is_some() && precedes(other, operation)) {
        return Before::One(one);
    }
    if others.any(|other| other.invoked <= operation.completed) { Before::Open } else { Before::Nothing }
}

/// The first on a fresh key creates, a later one does not: each at least once. What an operation of the user's own creates
/// is known to the user alone: there may be one for each caller.
fn created_rows(context: &Context<'_>) -> Vec<FitRow> {
    let mut first: BTreeMap<&str, Cases> = BTreeMap::new();
    let mut later: BTreeMap<&str, Cases> = BTreeMap::new();
    for key in context.keys() {
        let telling =
            |operation: &&&Operation| created(operation).is_some() && !matches!(operation.action, Action::Custom(_));
        for operation in key.operations.iter().filter(telling) {
            let name = operation.action.name();
            let flag = created(operation) == Some(true);
            match before(key, operation) {
                // Whoever is told no name is told nothing of what was made: the checkers have a word on that.
                Before::Nothing if is_fresh(operation) && value(operation).is_some() => {
                    first.entry(name).or_default().count(flag);
                }
                Before::One(one) => later.entry(name).or_default().count(!flag || is_another(key, one, operation)),
                Before::Nothing | Before::Open => {}
            }
        }
    }
    let setting = |name: &str| format!("target.http.operations.{name}: created");
    let first = first.into_iter().map(|(name, cases)| {
        cases.row(setting(name), "the first on a fresh key says that it created", || {
            Some("each says that it was there already".to_owned())
        })
    });
    let later = later.into_iter().map(|(name, cases)| {
        cases.row(setting(name), "a later one on the same key says that it was there already", || {
            Some("each says that it created".to_owned())
        })
    });
    first.chain(later).collect()
}

/// Whether a second creation is a true one: of another document than the first.
fn is_another(key: &OfKey<'_>, one: &Operation, other: &Operation) -> bool {
    match (answered_id(one), answered_id(other)) {
        (Some(one), Some(other)) => one != other,
        _ => key.documents.len() > 1,
    }
}

/// Stamps in answers are those of operations on the key.
fn answered_stamps(context: &Context<'_>) -> Vec<FitRow> {
    let mut by_name: BTreeMap<&str, (Cases, Option<OpId>)> = BTreeMap::new();
    for operation in context.operations {
        let Some(Value::Document(Returned { created_by: Some(stamp), .. })) = value(operation) else { continue };
        let (cases, example) = by_name.entry(operation.action.name()).or_default();
        cases.count(context.is_stamp_on(*stamp, &operation.key));
        example.get_or_insert(*stamp);
    }
    let row = |(name, (cases, example)): (&str, (Cases, Option<OpId>))| {
        let setting = format!("target.http.operations.{name}.outcome.created_by");
        cases.row(setting, "it names an operation on the key", || foreign_stamp(example))
    };
    by_name.into_iter().map(row).collect()
}

/// Stamps in documents are those of operations on the key.
fn stored_stamps(context: &Context<'_>) -> Option<FitRow> {
    let setting = context.scenario.observe.mongo.as_ref()?.stamp.as_ref()?;
    let mut cases = Cases::default();
    let mut example = None;
    for document in context.documents {
        let Some(stamp) = document.created_by else { continue };
        cases.count(context.is_stamp_on(stamp, &document.key));
        example.get_or_insert(stamp);
    }
    Some(
        cases.row("observe.mongo.stamp", format!("`{setting}` names an operation on the key"), || {
            foreign_stamp(example)
        }),
    )
}

fn foreign_stamp(example: Option<OpId>) -> Option<String> {
    example.map(|stamp| format!("it holds `{}`, which is none", stamp.0))
}

/// The caller is where the service looks for it. If each order of a pair has documents of its own, and only the other one of
/// the two is ever in them, then the service never learned who asks.
fn caller(context: &Context<'_>) -> Option<FitRow> {
    let mut cases = Cases::default();
    for key in context.keys() {
        let orders = |wanted: bool| {
            key.operations.iter().any(|operation| {
                matches!(operation.action, Action::CreateOrGet { reversed } if reversed == wanted) && operation.is_ok()
            })
        };
        let Some(operation) = key.operations.first() else { continue };
        if !(orders(false) && orders(true)) || key.documents.is_empty() {
            continue;
        }
        let [a, b] = crate::workload::participants(&operation.key);
        let named = |name: &str| key.documents.iter().any(|document| super::search::mentions(&document.fields, name));
        if !named(a) && !named(b) {
            // It knows its users by other names.
            continue;
        }
        let together = key.documents.iter().any(|document| {
            super::search::mentions(&document.fields, a) && super::search::mentions(&document.fields, b)
        });
        cases.count(together || key.documents.len() == 1);
    }
    (cases.looked_at > 0).then(|| {
        cases.row("target.http: who asks", "a document of a pair names both, whoever of them asked", || {
            Some(
                "only the one who is asked for is named: see `auth`, and where the request has `{{ client.user }}`"
                    .to_owned(),
            )
        })
    })
}
