//! Runs for tests, true or impossible, of every workload.

use std::path::Path;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value as Json, json};

use super::RunRecord;
use crate::history::{History, Observation, Observed, Operation, Source};
use crate::scenario::{KnownStrategies, load_text, resolved_toml};

pub(crate) const WORKLOADS: [&str; 5] = ["create-or-get", "append", "merge", "thread", "custom"];
const KEYS: u64 = 9;

pub(crate) fn record(workload: &str, bursts: bool) -> RunRecord {
    let load = match bursts {
        true => "[load.burst]\nclients = 4\nrounds = 9",
        false => "[load.open]\nrate = 100\nduration = '1s'\nmax_clients = 4",
    };
    let (target, operation) = match workload {
        "create-or-get" => ("[target.mongo]\nstrategy = 'upsert-retry'", "create-or-get"),
        "append" => ("[target.mongo]\nstrategy = 'upsert-push'", "append"),
        "merge" => ("[target.mongo]\nstrategy = 'conditional-push'", "deliver"),
        "thread" => ("[target.mongo]\nstrategy = 'keyed-upsert'", "start-conversation"),
        _ => (
            "[target.http]\nbase_urls = ['http://127.0.0.1:1']\n[target.http.operations.add]\nmethod = 'POST'\npath = '/x'\n\
             outcome = { id = '$.id' }\n[observe.http]\npath = '/x'\ndocuments = '$[*]'",
            "add",
        ),
    };
    let text = format!(
        "name = 'a'\nworkload = '{workload}'\n{target}\n{load}\n[expect]\nthresholds = ['{operation}.p99 < 1ms']"
    );
    let known: KnownStrategies<'_> = &crate::strategy::names;
    let scenario = load_text(Path::new("a.toml"), text, &[], &|_| None, known)
        .unwrap_or_else(|error| panic!("{workload}: {}", error.render(false)));
    let scenario = resolved_toml(&scenario).unwrap();
    RunRecord { run_id: "r1".into(), scenario_file: "a.toml".into(), scenario, ..RunRecord::default() }
}

fn key(rng: &mut ChaCha8Rng) -> String {
    format!("r1-k{}", rng.random_range(0..KEYS))
}

fn id(rng: &mut ChaCha8Rng) -> String {
    format!("65a1b2c3d4e5f60718293a{:02x}", rng.random_range(0..20))
}

/// A number of an operation, mostly of one that there is.
fn op(rng: &mut ChaCha8Rng) -> u64 {
    rng.random_range(0..95)
}

fn action(workload: &str, rng: &mut ChaCha8Rng, key: &str) -> Json {
    let conversation = json!({ "kind": "group", "caller": format!("{key}.a"), "participants": [format!("{key}.b"), format!("{key}.c")] });
    let actions = match workload {
        "create-or-get" => vec![json!({ "create-or-get": { "reversed": rng.random::<bool>() } }), json!("get")],
        "append" => vec![json!({ "append": { "sender": 1, "n": rng.random_range(0..3), "text": "t" } }), json!("read")],
        "merge" => vec![
            json!("open"),
            json!("read"),
            json!({ "deliver": { "content": rng.random_range(0..3), "kind": "image", "path": "image-handler", "via": "first" } }),
        ],
        "thread" => vec![
            json!({ "start-conversation": conversation }),
            json!({ "check-existing": conversation }),
            json!("read-thread"),
        ],
        _ => vec![json!({ "custom": "add" })],
    };
    actions[rng.random_range(0..actions.len())].clone()
}

fn value(rng: &mut ChaCha8Rng) -> Json {
    let returned = json!({ "id": id(rng), "created": rng.random::<bool>(), "created_by": op(rng) });
    let list = format!("{}u {}b {}u", op(rng), op(rng), op(rng));
    let values = [
        json!({ "document": returned }),
        json!({ "document": { "id": null } }),
        json!({ "found": null }),
        json!({ "found": id(rng) }),
        json!({ "appended": { "session": returned, "position": rng.random_range(0..4) } }),
        json!({ "messages": { "id": id(rng), "length": 3, "hash": 7, "body": list } }),
        json!({ "delivered": { "applied": rng.random::<bool>() } }),
    ];
    values[rng.random_range(0..values.len())].clone()
}

fn outcome(rng: &mut ChaCha8Rng, wild: bool) -> Json {
    match rng.random_range(0..if wild { 8 } else { 5 }) {
        5 => json!({ "failed": { "message": "E11000 duplicate key", "code": 11000 } }),
        6 => json!({ "unknown": { "message": format!("no answer {}", rng.random_range(0..3)) } }),
        7 => json!({ "failed": { "message": "refused" } }),
        _ => json!({ "ok": value(rng) }),
    }
}

/// A line that is an operation of this version; one that is not is drawn again.
fn operation(workload: &str, number: u64, rng: &mut ChaCha8Rng, wild: bool) -> Operation {
    loop {
        let control = number < 6;
        let key = if control { format!("r1-c{}", number / 3) } else { key(rng) };
        let at = number * 1_000 + rng.random_range(0..3_000);
        let line = json!({
            "op": number, "client": rng.random_range(0..4), "round": rng.random_range(0..9), "key": key,
            "phase": if control { "control" } else { "main" }, "action": action(workload, rng, &key), "intended_ns": at,
            "invoked_ns": at, "completed_ns": at + rng.random_range(0..9_000_000), "outcome": outcome(rng, wild),
        });
        if let Ok(operation) = serde_json::from_value(line) {
            return operation;
        }
    }
}

fn document(rng: &mut ChaCha8Rng, number: u64) -> Observed {
    let key = if number < 2 { format!("r1-c{number}") } else { format!("r1-k{}", rng.random_range(0..KEYS + 2)) };
    let message = |rng: &mut ChaCha8Rng| json!({ "op": op(rng), "role": "user", "text": "t" });
    let messages: Vec<Json> = (0..rng.random_range(0..4)).map(|_| message(rng)).collect();
    let stored = match rng.random_range(0..6) {
        0 => "shared".to_owned(),
        // That of another key.
        1 => format!("r1-k{}", rng.random_range(0..KEYS)),
        _ => key.clone(),
    };
    let line = json!({ "id": id(rng), "key": key, "stored_key": stored, "created_by": op(rng), "messages": messages, "fields": { "n": number } });
    serde_json::from_value(line).unwrap()
}

pub(crate) fn recorded(workload: &str, seed: u64) -> (History, Option<Observation>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let wild = !seed.is_multiple_of(3);
    let history = History {
        operations: (0..90).map(|number| operation(workload, number, &mut rng, wild)).collect(),
        partial: seed % 5 == 4,
        ..History::default()
    };
    let mut documents: Vec<Observed> = (0..14).map(|number| document(&mut rng, number)).collect();
    documents.sort_by(|one, other| (&one.key, &one.id).cmp(&(&other.key, &other.id)));
    let observation =
        Observation { source: Source::Memory, quiescent: seed % 7 != 6, documents, ..Observation::default() };
    (history, (seed % 4 != 3).then_some(observation))
}
