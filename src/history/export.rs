//! A history in the form of other checkers: Elle (EDN or JSON) and Porcupine (JSON). Main function: [`export`].
//!
//! Only the concurrent phase is exported. For Elle a key is a register that holds the identifier of its document: to create
//! it is to read nothing and write the identifier, to get it is to read the identifier. `docs/exports.md` says what the
//! other checkers can and cannot find in it. Nothing is judged here.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::messages::chain;
use super::{Action, Element, History, Nanos, Observation, OpId, Operation, Outcome, Phase, Role, Value};

/// Form of an exported history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// EDN, one event per line.
    ElleEdn,
    /// A JSON array of the same events.
    ElleJson,
    /// A JSON array in the shape of Porcupine's `[]Operation`.
    PorcupineJson,
}

/// Whether Elle has a form for what this history did: there is one for create-or-get, and for appends to a list.
pub fn elle_has_a_form(history: &History) -> bool {
    let known =
        |action: &Action| matches!(action, Action::CreateOrGet { .. } | Action::Get | Action::Append(_) | Action::Read);
    history.phase(Phase::Main).iter().all(|operation| known(&operation.action))
}

/// Writes the concurrent phase. The observation tells which document an operation of unknown outcome has created.
pub fn export(history: &History, observation: Option<&Observation>, form: Form, out: &mut dyn Write) -> io::Result<()> {
    let operations = history.phase(Phase::Main);
    match form {
        Form::PorcupineJson => array(out, porcupine(operations)),
        Form::ElleJson => array(out, events(operations, observation).map(|event| event.json())),
        Form::ElleEdn => events(operations, observation).try_for_each(|event| writeln!(out, "{}", event.edn())),
    }
}

fn array(out: &mut dyn Write, items: impl Iterator<Item = impl Serialize>) -> io::Result<()> {
    let mut before = "[\n";
    for item in items {
        out.write_all(before.as_bytes())?;
        serde_json::to_writer(&mut *out, &item)?;
        before = ",\n";
    }
    out.write_all(if before == "[\n" { b"[]\n" } else { b"\n]\n" })
}

/// Operations with the fields of Porcupine's type. One that may still happen returns after all others.
fn porcupine(operations: &[Operation]) -> impl Iterator<Item = Json> {
    let never = operations.iter().map(|operation| operation.completed).max().unwrap_or(0).saturating_add(1);
    operations.iter().map(move |operation| {
        let (status, answer) = match &operation.outcome {
            Outcome::Ok(value) => ("ok", json!(value)),
            Outcome::Failed(cause) => ("failed", json!(cause)),
            Outcome::Unknown(cause) => ("unknown", json!(cause)),
        };
        json!({
            "ClientId": operation.client,
            "Input": { "op": operation.id, "key": operation.key, "action": operation.action },
            "Call": operation.invoked,
            "Output": { "status": status, "answer": answer },
            "Return": if operation.is_unknown() { never } else { operation.completed },
        })
    })
}

/// One step of a transaction: `[:r key value]`, `[:w key value]` or `[:append key value]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    function: &'static str,
    key: String,
    value: Json,
}

/// One line of an Elle history.
#[derive(Debug)]
struct Event {
    index: usize,
    kind: &'static str,
    process: u32,
    time: Nanos,
    steps: Vec<Step>,
}

impl Event {
    fn json(&self) -> Json {
        let steps: Vec<Json> = self.steps.iter().map(|step| json!([step.function, step.key, step.value])).collect();
        json!({ "index": self.index, "type": self.kind, "process": self.process, "f": "txn", "value": steps, "time": self.time })
    }

    fn edn(&self) -> String {
        let steps: Vec<String> = self
            .steps
            .iter()
            .map(|step| format!("[:{} {} {}]", step.function, quoted(&step.key), edn(&step.value)))
            .collect();
        format!(
            "{{:index {}, :type :{}, :process {}, :f :txn, :value [{}], :time {}}}",
            self.index,
            self.kind,
            self.process,
            steps.join(" "),
            self.time
        )
    }
}

/// A value of EDN.
fn edn(value: &Json) -> String {
    match value {
        Json::Null => "nil".to_owned(),
        Json::String(text) => quoted(text),
        Json::Array(items) => format!("[{}]", items.iter().map(edn).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}

/// A string of EDN.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Invocations and completions in the order of time. Elle takes an order in the list for an order in real time, so at one
/// and the same time invocations come first: that two operations overlapped is the claim that never accuses wrongly.
fn events<'a>(
    operations: &'a [Operation],
    observation: Option<&'a Observation>,
) -> impl Iterator<Item = Event> + use<'a> {
    let documents = observation.iter().flat_map(|observation| &observation.documents);
    let created: BTreeMap<OpId, String> =
        documents.filter_map(|document| Some((document.created_by?, document.id.to_string()))).collect();
    let lists = Lists::of(operations);
    let mut order: Vec<(Nanos, bool, &Operation)> = operations
        .iter()
        .flat_map(|operation| [(operation.invoked, false, operation), (operation.completed, true, operation)])
        .collect();
    order.sort_by_key(|(time, completed, operation)| (*time, *completed, operation.id));
    own_order(&mut order);
    order.into_iter().enumerate().map(move |(index, (time, completed, operation))| {
        let (kind, steps) = match (completed, &operation.outcome) {
            (false, _) => ("invoke", intended(operation)),
            (true, Outcome::Ok(value)) => ("ok", steps(operation, value, &lists)),
            (true, Outcome::Failed(_)) => ("fail", intended(operation)),
            (true, Outcome::Unknown(_)) => ("info", possible(operation, &created)),
        };
        Event { index, kind, process: operation.client, time, steps }
    })
}

/// A client's own operations stay one after another, also where the clock shows one time for the end and the next start.
fn own_order(order: &mut [(Nanos, bool, &Operation)]) {
    let mut start = 0;
    while start < order.len() {
        let end = start + order[start..].iter().take_while(|event| event.0 == order[start].0).count();
        let same = &mut order[start..end];
        let ends: std::collections::BTreeSet<u32> =
            same.iter().filter(|event| event.1 && event.2.invoked < event.0).map(|event| event.2.client).collect();
        // What ends here and began before; then what begins here; then what begins and ends here.
        same.sort_by_key(|(time, completed, operation)| {
            let own = ends.contains(&operation.client);
            let rank = match (completed, own && operation.invoked < *time) {
                (true, true) => 1,
                (false, _) if own => 2,
                (false, _) => 0,
                (true, false) => 3,
            };
            (rank, operation.id)
        });
        start = end;
    }
}

fn step(operation: &Operation, function: &'static str, value: impl Into<Json>) -> Step {
    Step { function, key: operation.key.to_string(), value: value.into() }
}

/// What is known of a transaction before its answer.
fn intended(operation: &Operation) -> Vec<Step> {
    match operation.action {
        Action::Append(_) => appended(operation),
        _ => vec![step(operation, "r", Json::Null)],
    }
}

/// The two messages of an append, by their numbers.
fn appended(operation: &Operation) -> Vec<Step> {
    [Role::User, Role::Bot].map(|role| step(operation, "append", number(Element::new(Some(operation.id), role)))).into()
}

/// The number of a message: twice that of its operation, and one more for the answer; -1 for one that nobody stamped.
fn number(element: Element) -> i64 {
    let op = element.op().and_then(|op| i64::try_from(op.0).ok());
    op.map_or(-1, |op| op * 2 + i64::from(element.role() == Role::Bot))
}

/// Whole lists per key. A history keeps the elements of a read only where no longer read of the key begins with them.
struct Lists<'a>(BTreeMap<&'a str, Vec<&'a [Element]>>);

impl<'a> Lists<'a> {
    fn of(operations: &'a [Operation]) -> Self {
        let mut lists = BTreeMap::<&str, Vec<&[Element]>>::new();
        for operation in operations {
            if let Some(Value::Messages(seen)) = operation.value()
                && let Some(body) = &seen.body
            {
                lists.entry(&operation.key).or_default().push(body);
            }
        }
        Lists(lists)
    }

    /// The beginning of a list that has this length and hash.
    fn find(&self, key: &str, length: u32, hash: u64) -> Option<&'a [Element]> {
        let begins = |list: &&'a [Element]| list.get(..usize::try_from(length).ok()?);
        let hashed = |list: &&'a [Element]| list.iter().fold(0, |hash, element| chain(hash, *element)) == hash;
        if length == 0 {
            return Some(&[]);
        }
        self.0.get(key)?.iter().filter_map(begins).find(hashed)
    }
}

/// What an answer says.
fn steps(operation: &Operation, value: &Value, lists: &Lists<'_>) -> Vec<Step> {
    match value {
        Value::Document(returned) => {
            // An answer without an identifier says nothing of the register.
            let Some(id) = returned.id.as_ref().map(ToString::to_string) else { return Vec::new() };
            let own = returned.created.unwrap_or(returned.created_by == Some(operation.id));
            match own {
                true => vec![step(operation, "r", Json::Null), step(operation, "w", id)],
                false => vec![step(operation, "r", id)],
            }
        }
        Value::Found(found) => vec![step(operation, "r", found.as_ref().map(ToString::to_string))],
        Value::Appended(_) => appended(operation),
        Value::Messages(seen) => {
            let list = seen.body.as_deref().or_else(|| lists.find(&operation.key, seen.length, seen.hash));
            list.map(|list| step(operation, "r", list.iter().copied().map(number).collect::<Vec<_>>()))
                .into_iter()
                .collect()
        }
        // No form: `elle_has_a_form` says so beforehand.
        _ => Vec::new(),
    }
}

/// What an operation of unknown outcome may have written: the document that carries its stamp, or one nobody has seen.
fn possible(operation: &Operation, created: &BTreeMap<OpId, String>) -> Vec<Step> {
    if !matches!(operation.action, Action::CreateOrGet { .. }) {
        return intended(operation);
    }
    let written = created.get(&operation.id).cloned().unwrap_or_else(|| operation.id.to_string());
    vec![step(operation, "r", Json::Null), step(operation, "w", written)]
}

#[cfg(test)]
mod tests;
