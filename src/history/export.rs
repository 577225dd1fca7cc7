//! A history in the form of other checkers: Elle (EDN or JSON) and Porcupine (JSON). Main function: [`export`].
//!
//! Only the concurrent phase is exported. For Elle a key is a register that holds the identifier of its document: to create
//! it is to read nothing and write the identifier, to get it is to read the identifier. `docs/exports.md` says what the
//! other checkers can and cannot find in it. Nothing is judged here.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{Action, History, Nanos, Observation, OpId, Operation, Outcome, Phase, Value};

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

/// One step of a transaction: `[:r key value]` or `[:w key value]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    function: &'static str,
    key: String,
    value: Option<String>,
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
        let value = |step: &Step| step.value.as_deref().map_or("nil".to_owned(), quoted);
        let steps: Vec<String> = self
            .steps
            .iter()
            .map(|step| format!("[:{} {} {}]", step.function, quoted(&step.key), value(step)))
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
    let mut order: Vec<(Nanos, bool, &Operation)> = operations
        .iter()
        .flat_map(|operation| [(operation.invoked, false, operation), (operation.completed, true, operation)])
        .collect();
    order.sort_by_key(|(time, completed, operation)| (*time, *completed, operation.id));
    own_order(&mut order);
    order.into_iter().enumerate().map(move |(index, (time, completed, operation))| {
        let (kind, steps) = match (completed, &operation.outcome) {
            (false, _) => ("invoke", intended(operation)),
            (true, Outcome::Ok(value)) => ("ok", steps(operation, value)),
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

fn step(operation: &Operation, function: &'static str, value: Option<String>) -> Step {
    Step { function, key: operation.key.to_string(), value }
}

/// What is known of a transaction before its answer.
fn intended(operation: &Operation) -> Vec<Step> {
    vec![step(operation, "r", None)]
}

/// What an answer says.
fn steps(operation: &Operation, value: &Value) -> Vec<Step> {
    match value {
        Value::Document(returned) => {
            // An answer without an identifier says nothing of the register.
            let Some(id) = returned.id.as_ref().map(ToString::to_string) else { return Vec::new() };
            let own = returned.created.unwrap_or(returned.created_by == Some(operation.id));
            match own {
                true => vec![step(operation, "r", None), step(operation, "w", Some(id))],
                false => vec![step(operation, "r", Some(id))],
            }
        }
        Value::Found(found) => vec![step(operation, "r", found.as_ref().map(ToString::to_string))],
        // Other workloads have no register; their steps are of a list.
        _ => Vec::new(),
    }
}

/// What an operation of unknown outcome may have written: the document that carries its stamp, or one nobody has seen.
fn possible(operation: &Operation, created: &BTreeMap<OpId, String>) -> Vec<Step> {
    match operation.action {
        Action::CreateOrGet { .. } => {
            let written = created.get(&operation.id).cloned().unwrap_or_else(|| operation.id.to_string());
            vec![step(operation, "r", None), step(operation, "w", Some(written))]
        }
        _ => intended(operation),
    }
}

#[cfg(test)]
mod tests;
