//! Pairs in both orders: whether `(a, b)` and `(b, a)` are one thing for the service.
//!
//! A request that names both of a pair in places of their own, as the owner and the guest, may mean two things by the two
//! orders. If each order has a document of its own wherever that can be told, the scenario is in doubt, not the service. Who
//! asks by a session of theirs, or names both in one list, means the pair whatever the order.

use std::collections::BTreeSet;

use super::Cases;
use super::context::{Context, OfKey, answered_id};
use crate::history::{Action, Id};
use crate::report::FitRow;
use crate::scenario::{JsonTemplate, OperationSpec, Template};

/// The operation that names pairs.
const CREATE: &str = "create-or-get";

pub(super) fn rows(context: &Context<'_>) -> Option<FitRow> {
    let spec = context.scenario.target.http()?.operations.get(CREATE)?;
    if !names_both_apart(spec) {
        return None;
    }
    let mut cases = Cases::default();
    for key in context.keys() {
        if let Some(one) = is_one_for_both_orders(key) {
            cases.count(one);
        }
    }
    (cases.looked_at > 0).then(|| {
        cases.row(
            "target.http.operations.create-or-get: pair.a, pair.b",
            "both orders of a pair are one document",
            || {
                Some(
                    "each order has one of its own: where `(a, b)` and `(b, a)` are two things, name them by `{{ key }}`; \
                     where they are one, the service does not put the names in order"
                        .to_owned(),
                )
            },
        )
    })
}

/// Whether both orders of a pair were answered with one document; nothing where one of them was not.
fn is_one_for_both_orders(key: &OfKey<'_>) -> Option<bool> {
    let ids = |wanted: bool| -> Vec<&Id> {
        let of_order = key
            .operations
            .iter()
            .filter(|operation| matches!(operation.action, Action::CreateOrGet { reversed } if reversed == wanted));
        of_order.filter_map(|operation| answered_id(operation)).collect()
    };
    let (one, other) = (ids(false), ids(true));
    if one.is_empty() || other.is_empty() {
        return None;
    }
    let once = one.len() + other.len() == 2;
    let (one, other): (BTreeSet<&Id>, BTreeSet<&Id>) = (one.into_iter().collect(), other.into_iter().collect());
    let each_has_its_own = one.len() == 1 && other.len() == 1 && one != other;
    Some(!each_has_its_own || (once && !are_stored_apart(key)))
}

/// Whether each order has one document, under a key of its own. Where each order was asked for only once, its answers cannot
/// tell whether the next one would name the same document.
fn are_stored_apart(key: &OfKey<'_>) -> bool {
    let forms: BTreeSet<&str> = key.documents.iter().filter_map(|document| document.stored_key.as_deref()).collect();
    forms.len() > 1 && forms.len() == key.documents.len()
}

/// Whether a request names both of a pair, each in a place of its own.
fn names_both_apart(spec: &OperationSpec) -> bool {
    let request = &spec.request;
    let body = &request.body;
    let mut texts = vec![&request.path];
    texts.extend(&body.body);
    texts.extend(body.form.values());
    let of_json = body.json.as_ref().map_or((false, false), outside_of_lists);
    texts.into_iter().map(names).fold(of_json, either) == (true, true)
}

/// Whether a template names the caller, and the other one of the pair.
fn names(template: &Template) -> (bool, bool) {
    (template.names("pair.a") || template.names("client.user"), template.names("pair.b"))
}

fn either(one: (bool, bool), other: (bool, bool)) -> (bool, bool) {
    (one.0 || other.0, one.1 || other.1)
}

/// Who is named in JSON, apart from lists that name both.
fn outside_of_lists(json: &JsonTemplate) -> (bool, bool) {
    match json {
        JsonTemplate::Plain(_) => (false, false),
        JsonTemplate::Text(template) => names(template),
        JsonTemplate::List(items) => match items.iter().map(outside_of_lists).fold((false, false), either) {
            (true, true) => (false, false),
            named => named,
        },
        JsonTemplate::Object(entries) => {
            let named = entries.iter().map(|(name, value)| either(names(name), outside_of_lists(value)));
            named.fold((false, false), either)
        }
    }
}
