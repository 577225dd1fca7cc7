//! Synthetic append histories: sessions of 1000 operations each, 15 % of them reads.

use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use onlyone::checker::judge;
use onlyone::history::{
    Action, Appended, Compactor, Element, History, Id, Message, MessagePath, Observation, Observed, OpId, Operation,
    Outcome, Phase, ReadResult, Returned, Role, Said, Source, Value, answer_to,
};
use onlyone::verdict::{Invariant, Verdict};

const SESSION: u64 = 1000;

const INVARIANTS: [Invariant; 8] = [
    Invariant::SingleDocument,
    Invariant::NoLostMessages,
    Invariant::NoDuplicateMessages,
    Invariant::NoPhantomMessages,
    Invariant::AppendOrder,
    Invariant::PairAdjacent,
    Invariant::PayloadIntact,
    Invariant::NoLeakedErrors,
];

/// Judges a history of so many operations; returns operations per second.
pub(crate) fn measure(operations: u64) -> anyhow::Result<f64> {
    let before = resident();
    let (history, observation) = synthetic(operations);
    let grown = resident().saturating_sub(before);
    println!("{operations} appends and reads, {} bytes each in memory", grown / operations);
    let start = Instant::now();
    let results = judge(&history, Some(&observation), Phase::Main, &INVARIANTS);
    let whole = start.elapsed();
    for result in &results {
        ensure!(result.verdict == Verdict::Holds, "{} must hold: {:?}", result.name, result.reason);
    }
    let grown = resident().saturating_sub(before);
    println!(
        "  judge, all together {:>9.1} ms, {} bytes each at the end",
        whole.as_secs_f64() * 1000.0,
        grown / operations
    );
    Ok(operations as f64 / whole.as_secs_f64())
}

/// Resident memory of the process, in bytes; 0 where it cannot be told.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn synthetic(operations: u64) -> (History, Observation) {
    let mut history = History::default();
    history.operations.reserve_exact(usize::try_from(operations).unwrap_or_default());
    let mut compactor = Compactor::default();
    let (text, answer): (Arc<str>, Arc<str>) = (Arc::from("hello"), Arc::from(answer_to("hello")));
    let mut documents = Vec::new();
    let mut list: Vec<Element> = Vec::new();
    let mut key: Arc<str> = Arc::from("");
    for op in 0..operations {
        if op % SESSION == 0 {
            key = Arc::from(format!("session-{}", op / SESSION));
        }
        let mut bytes = [0; 12];
        bytes[4..].copy_from_slice(&(op / SESSION).to_be_bytes());
        let id = Id::from(bytes);
        let (action, value) = if op % 20 < 3 && op % SESSION > 0 {
            (Action::Read, Value::Messages(ReadResult::new(Some(id.clone()), list.clone())))
        } else {
            list.extend([Role::User, Role::Bot].map(|role| Element::new(Some(OpId(op)), role)));
            let session = Returned { id: Some(id.clone()), created: Some(op % SESSION == 0), ..Returned::default() };
            let said = Said { path: MessagePath::Text, sender: 0, n: 0, text: text.clone(), answered: true };
            (Action::Append(said), Value::Appended(Appended { session, position: u32::try_from(list.len() - 2).ok() }))
        };
        compactor.push(&mut history.operations, operation(op, &key, action, value));
        if op % SESSION == SESSION - 1 || op == operations - 1 {
            documents.push(document(&key, id, &list, [&text, &answer]));
            list.clear();
        }
    }
    (history, Observation { source: Source::Memory, quiescent: true, documents, ..Observation::default() })
}

fn operation(op: u64, key: &Arc<str>, action: Action, value: Value) -> Operation {
    Operation {
        id: OpId(op),
        client: 0,
        round: 0,
        phase: Phase::Main,
        key: key.clone(),
        action,
        intended: op * 100,
        invoked: op * 100,
        connected: None,
        completed: op * 100 + 90,
        attempts: 1,
        outcome: Outcome::Ok(value),
        late: None,
    }
}

fn document(key: &Arc<str>, id: Id, list: &[Element], [text, answer]: [&Arc<str>; 2]) -> Observed {
    let message = |element: &Element| Message {
        op: element.op(),
        role: element.role(),
        text: if element.role() == Role::User { text.clone() } else { answer.clone() },
        sender: Some(0),
        n: Some(0),
        sequence: None,
        identity: None,
    };
    Observed {
        id,
        key: key.clone(),
        stored_key: Some(key.clone()),
        created_by: list.first().and_then(|element| element.op()),
        missing: Vec::new(),
        messages: list.iter().map(message).collect(),
        last_message: None,
        thread: None,
        fields: serde_json::Value::Null,
    }
}
