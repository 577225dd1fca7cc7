//! Paths of `outcome`, held against answers as they came; identifiers, held against those that are stored.

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;
use serde_json::Value as Json;

use super::context::{Context, answered_id, precedes, says_there_is_one, subject};
use super::{Cases, search};
use crate::history::{Action, Exchange, Id, Operation};
use crate::report::FitRow;
use crate::scenario::{JsonPath, OperationSpec, decoded, encoded};
use crate::target::http::stamp_of;

/// Paths without which an answer says nothing, or would be read as what it does not say.
const NEEDED: [&str; 3] = ["id", "messages", "applied"];
/// Paths that mostly lead to nothing, and are meant to.
const RARE: [&str; 2] = ["error", "refused"];

pub(super) fn rows(context: &Context<'_>) -> Vec<FitRow> {
    let Some(http) = context.scenario.target.http() else { return Vec::new() };
    let mut rows = Vec::new();
    for (name, spec) in &http.operations {
        for (what, path) in spec.outcome.iter().filter(|(what, _)| !RARE.contains(&what.as_str())) {
            rows.push(path_row(context, name, spec, what, path));
        }
    }
    rows.extend(id_rows(context));
    rows.extend(read_rows(context));
    rows
}

/// Whether a path leads to something in an answer that says yes.
fn path_row(context: &Context<'_>, name: &str, spec: &OperationSpec, what: &str, path: &JsonPath) -> FitRow {
    let (mut cases, mut not_required) = (Cases::default(), 0);
    for answer in context.sightings.answers.iter().filter(|answer| *answer.operation == *name) {
        let says_yes = spec.status.ok.contains(&answer.status) || spec.status.created.contains(&answer.status);
        if !says_yes || answer.cut {
            continue;
        }
        let Ok(json) = serde_json::from_str::<Json>(&answer.body) else { continue };
        match leads_somewhere(what, path, &json) {
            true => cases.count(true),
            false if tells(context, answer) => cases.count(false),
            false => not_required += 1,
        }
    }
    let setting = format!("target.http.operations.{name}.outcome.{what}");
    let row = cases.row(setting, format!("{path} leads to {} in an answer", kind_of(what)), || None);
    FitRow { optional: !NEEDED.contains(&what), not_required, ..row }
}

/// A list may be empty where a path selects its elements.
fn leads_somewhere(what: &str, path: &JsonPath, json: &Json) -> bool {
    path.first(json).is_some_and(|found| can_be(what, found)) || path.selects_elements()
}

/// What a path must lead to, in words.
fn kind_of(what: &str) -> &'static str {
    match what {
        "created" | "existing" | "applied" | "chat_seen" => "true or false",
        "position" | "created_by" => "a number",
        "messages" => "a list",
        _ => "something",
    }
}

/// Whether a value can be what it is taken for.
fn can_be(what: &str, found: &Json) -> bool {
    match what {
        "created" | "existing" | "applied" | "chat_seen" => found.is_boolean(),
        "position" => found.is_u64(),
        "created_by" => stamp_of(found).is_some(),
        "messages" => found.is_array(),
        _ => true,
    }
}

/// Whether this answer should have what the paths name: one that looks something up only if it is known to be there.
fn tells(context: &Context<'_>, answer: &Exchange) -> bool {
    let Some(operation) = answer.op.and_then(|op| context.operation(op)) else { return true };
    match operation.action {
        // A thread is read by its identifier: it is there.
        Action::Get | Action::CheckExisting(_) | Action::Read => is_known(context, operation),
        _ => true,
    }
}

/// Whether something that this operation looks up was acknowledged before it was sent.
fn is_known(context: &Context<'_>, reader: &Operation) -> bool {
    let about = subject(reader);
    let writes = |operation: &Operation| match operation.action {
        Action::CreateOrGet { .. } | Action::Append(_) | Action::Open | Action::Deliver(_) => true,
        Action::StartConversation(_) => about == subject(operation),
        _ => false,
    };
    context.of_key(&reader.key).is_some_and(|key| {
        key.operations.iter().any(|one| writes(one) && says_there_is_one(one) && precedes(one, reader))
    })
}

/// Whether what is looked up after it was acknowledged is ever found.
fn read_rows(context: &Context<'_>) -> Vec<FitRow> {
    let mut by_name: BTreeMap<&str, Cases> = BTreeMap::new();
    for operation in context.operations {
        let reads = matches!(operation.action, Action::Get | Action::CheckExisting(_) | Action::Read);
        if reads && operation.is_ok() && is_known(context, operation) {
            by_name.entry(operation.action.name()).or_default().count(says_there_is_one(operation));
        }
    }
    let row = |(name, cases): (&str, Cases)| {
        let expected = "what was acknowledged before is found";
        cases.row(format!("target.http.operations.{name}.path"), expected, || {
            Some("every answer says that there is nothing".to_owned())
        })
    };
    by_name.into_iter().map(row).collect()
}

/// Whether an answered identifier is ever that of a stored document.
fn id_rows(context: &Context<'_>) -> Vec<FitRow> {
    if !context.observed || context.documents.is_empty() {
        return Vec::new();
    }
    let stored: FxHashSet<&Id> = context.documents.iter().map(|document| &document.id).collect();
    let mut by_name: BTreeMap<&str, (Cases, Option<&Operation>)> = BTreeMap::new();
    for operation in context.operations {
        let documents = context.documents_of(&operation.key);
        let Some(id) = answered_id(operation).filter(|_| !documents.is_empty()) else { continue };
        let (cases, first) = by_name.entry(operation.action.name()).or_default();
        cases.count(stored.contains(id));
        first.get_or_insert(operation);
    }
    let row = |(name, (cases, first)): (&str, (Cases, Option<&Operation>))| {
        let setting = format!("target.http.operations.{name}.outcome.id");
        cases.row(setting, "an answered identifier is that of a stored document", || {
            first.map(|operation| where_ids_are(context, operation))
        })
    };
    by_name.into_iter().map(row).collect()
}

/// Where the document has what was answered, and the answer what is stored.
fn where_ids_are(context: &Context<'_>, operation: &Operation) -> String {
    let answered = answered_id(operation).map(ToString::to_string).unwrap_or_default();
    let documents = context.documents_of(&operation.key);
    let stored = documents.first().map(|document| document.id.to_string()).unwrap_or_default();
    let mut text = format!("answered `{answered}`, stored `{stored}`");
    let in_document = documents.iter().find_map(|document| search::find(&document.fields, &[&answered]));
    let of_operation = |answer: &&Exchange| answer.op == Some(operation.id);
    let body = context.sightings.answers.iter().find(of_operation);
    let body = body.and_then(|answer| serde_json::from_str::<Json>(&answer.body).ok());
    let in_answer = body.and_then(|body| search::find(&body, &[&stored]));
    let relation = |place: &search::Place| if place.whole { "holds" } else { "has in a text" };
    if let Some(place) = &in_document {
        text.push_str(&format!("; `{}` of the document {} what was answered", place.path, relation(place)));
        let observe = &context.scenario.observe;
        let observed = observe.mongo.as_ref().map(|_| ("mongo", "")).or(observe.http.as_ref().map(|_| ("http", "$.")));
        if let Some((where_read, root)) = observed.filter(|_| place.whole) {
            text.push_str(&format!(" (`observe.{where_read}.id = \"{root}{}\"` says so)", place.path));
        }
    }
    if let Some(place) = in_answer {
        text.push_str(&format!("; `$.{}` of the answer {} what is stored", place.path, relation(&place)));
        if place.whole {
            text.push_str(&format!(" (`outcome.id = \"$.{}\"` says so)", place.path));
        }
    }
    let is_a_field = in_document.as_ref().is_some_and(|place| place.whole);
    if let Some(template) = written_as(&answered, &stored).filter(|_| !is_a_field) {
        match &context.scenario.observe.mongo {
            Some(mongo) if mongo.id_as.is_none() => text
                .push_str(&format!("; answers name it `id_as = \"{template}\"` (to be written in `[observe.mongo]`)")),
            _ => text.push_str("; one is made of the other"),
        }
    }
    text
}

/// How an answer names a document, as a template of what is stored, where one is a part of the other, also in base64.
fn written_as(answered: &str, stored: &str) -> Option<String> {
    let is_plain = |text: &str| !text.contains(['"', '\\', '{', '}', '\'']) && !text.contains(char::is_control);
    if answered.len() < 6 || stored.len() < 6 || answered == stored || !is_plain(answered) || !is_plain(stored) {
        return None;
    }
    if let Some((before, after)) = answered.split_once(stored) {
        return Some(format!("{before}{{{{ id }}}}{after}"));
    }
    if let Some(text) = decoded(answered).filter(|text| is_plain(text) && encoded(text) == answered)
        && let Some((before, after)) = text.split_once(stored)
    {
        let parts = [format!("'{before}'"), "id".to_owned(), format!("'{after}'")];
        let parts: Vec<String> = parts.into_iter().filter(|part| part != "''").collect();
        return Some(format!("{{{{ ({})|b64encode }}}}", parts.join(" ~ ")));
    }
    let (before, after) = stored.split_once(answered)?;
    let rest = [before, after].into_iter().filter(|rest| !rest.is_empty());
    let replaced: String = rest.map(|rest| format!("|replace('{rest}', '')")).collect();
    let left = stored.replace(before, "").replace(after, "");
    (left == answered).then(|| format!("{{{{ id{replaced} }}}}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{can_be, written_as};

    #[test]
    fn what_answers_make_of_an_identifier_is_named_as_a_template() {
        let id = "65a1b2c3d4e5f60718293a4b";
        let cases = [
            ("ch_65a1b2c3d4e5f60718293a4b", id, Some("ch_{{ id }}")),
            ("/charges/65a1b2c3d4e5f60718293a4b/now", id, Some("/charges/{{ id }}/now")),
            ("UG9zdDo2NWExYjJjM2Q0ZTVmNjA3MTgyOTNhNGI=", id, Some("{{ ('Post:' ~ id)|b64encode }}")),
            (id, "charge:65a1b2c3d4e5f60718293a4b", Some("{{ id|replace('charge:', '') }}")),
            (id, "75a1b2c3d4e5f60718293a4b", None),
            (id, id, None),
            ("c7", "c", None),
        ];
        for (answered, stored, template) in cases {
            assert_eq!(written_as(answered, stored).as_deref(), template, "{answered} of {stored}");
        }
    }

    #[test]
    fn what_a_path_leads_to_is_of_the_kind_that_it_is_taken_for() {
        let cases = [
            ("messages", json!([]), true),
            ("messages", json!("6b09fb07"), false),
            ("created", json!(true), true),
            ("created", json!("yes"), false),
            ("position", json!(0), true),
            ("position", json!(-1), false),
            ("id", json!("6b09fb07"), true),
        ];
        for (what, found, expected) in cases {
            assert_eq!(can_be(what, &found), expected, "{what}: {found}");
        }
    }
}
