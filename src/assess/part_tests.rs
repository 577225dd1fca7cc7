//! Whatever a history says, true or impossible: the parts of its keys, judged apart, give the report of the whole.

use std::path::Path;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value as Json, json};

use super::*;
use crate::assess::assess;
use crate::history::{Observed, Phase, Source, named_elsewhere};
use crate::scenario::{KnownStrategies, load_text, resolved_toml};

const WORKLOADS: [&str; 5] = ["create-or-get", "append", "merge", "thread", "custom"];
const KEYS: u64 = 9;

fn record(workload: &str, bursts: bool) -> RunRecord {
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

fn recorded(workload: &str, seed: u64) -> (History, Option<Observation>) {
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

/// What one part has of a history.
fn of_part(history: &History, observation: Option<&Observation>, part: KeyPart) -> History {
    let own = |operation: &&Operation| operation.phase == Phase::Control || part.has(&operation.key);
    let operations: Vec<Operation> = history.operations.iter().filter(own).cloned().collect();
    let documents = observation.map_or(&[][..], |observation| &observation.documents);
    let named = named_elsewhere(part, &operations, documents);
    let context = history.operations.iter().filter(|operation| named.contains(&operation.id)).cloned().collect();
    History { part: Some(part), context, ..history.with_operations(operations) }
}

fn parts(record: &RunRecord, history: &History, observation: Option<&Observation>, of: u32) -> Vec<Part> {
    let judged = |part| {
        let own = of_part(history, observation, part);
        let part = judge_part(Recording { record, history: &own, observation }, Facts::of(history)).unwrap();
        serde_json::from_str(&serde_json::to_string(&part).unwrap()).unwrap()
    };
    KeyPart::all(of).map(judged).collect()
}

fn joined(parts: Vec<Part>) -> Result<(Report, LatencyStats), PartError> {
    let mut parts = parts.into_iter();
    let (mut joined, moments) = Joined::new(parts.next().ok_or(PartError::Nothing)?)?;
    let mut all = vec![moments];
    for part in parts {
        all.push(joined.add(part)?);
    }
    let starts = all.iter().map(|one| one.starts.as_slice()).collect();
    let peak = Moments::peak(starts, all.iter().map(|one| one.ends.as_slice()).collect()).unwrap();
    joined.conclude(peak).map(|(report, stats, _)| (report, stats))
}

#[test]
fn parts_of_the_keys_give_the_report_of_the_whole() {
    let mut violated = 0;
    for (workload, seed) in WORKLOADS.into_iter().flat_map(|workload| (0..5_u64).map(move |seed| (workload, seed))) {
        let record = record(workload, seed.is_multiple_of(2));
        let (history, observation) = recorded(workload, seed);
        let run = Recording { record: &record, history: &history, observation: observation.as_ref() };
        let (whole, stats) = assess(run).unwrap();
        violated += whole.invariants.iter().filter(|result| result.verdict == Verdict::Violated).count();
        for of in [1, 2, 3, 7] {
            let of_load = |part: &KeyPart| history.phase(Phase::Main).iter().any(|operation| part.has(&operation.key));
            let used = KeyPart::all(of).filter(of_load).count();
            assert!(used > 1 || of == 1, "all keys are in one of {of} parts, and the others have nothing to be joined");
            let mut parts = parts(&record, &history, observation.as_ref(), of);
            if seed % 2 == 1 {
                parts.reverse();
            }
            let (report, sums) = joined(parts).unwrap_or_else(|error| panic!("{workload} {seed} of {of}: {error}"));
            let text = |report: &Report| serde_json::to_string_pretty(report).unwrap();
            let (found, expected) = (text(&report), text(&whole));
            let differ = found.lines().zip(expected.lines()).find(|(one, other)| one != other);
            assert!(found == expected, "{workload} {seed} of {of}: {differ:?}");
            assert_eq!(sums.sums(), stats.sums(), "{workload} {seed} of {of}");
        }
    }
    assert!(violated > 40, "only {violated} violations were met");
}

#[test]
fn parts_that_make_no_whole_are_refused() {
    let record = record("create-or-get", true);
    let (history, observation) = recorded("create-or-get", 1);
    let all = |of| parts(&record, &history, observation.as_ref(), of);
    let refused = |parts: Vec<Part>| joined(parts).map(|_| ()).unwrap_err().to_string();
    assert_eq!(refused(Vec::new()), "no part was named");
    assert_eq!(refused(all(3).split_off(1)), "of 3 parts one is missing: 0");
    assert_eq!(refused(all(5).split_off(3)), "of 5 parts some are missing: 0, 1, 2");
    let mut twice = all(2);
    twice.push(twice[1].clone());
    assert_eq!(refused(twice), "part 1/2 is there twice");
    let mixed = all(2).into_iter().take(1).chain(all(3)).collect();
    assert_eq!(refused(mixed), "parts 0/2 and 0/3 are not of one run: the number of parts differs");
    let mut foreign = all(2);
    foreign[1].record.run_id = "r2".into();
    assert_eq!(refused(foreign), "parts 0/2 and 1/2 are not of one run: the run id differs");
    let mut fewer = all(2);
    fewer.iter_mut().for_each(|part| drop(part.looked.pop()));
    assert_eq!(refused(fewer), "part 0/2 is damaged: it was judged by other invariants than those of its run");
    let mut later = all(2);
    later[1].facts.operations += 1;
    assert_eq!(refused(later), "parts 0/2 and 1/2 are not of one run: the history differs");
    let unread = parts(&record, &history, None, 2).split_off(1);
    let unread = all(2).into_iter().take(1).chain(unread).collect();
    assert_eq!(refused(unread), "parts 0/2 and 1/2 are not of one run: the final state differs");
    let mut older = all(2);
    older[1].version = "0.0.1".into();
    assert_eq!(refused(older), "parts 0/2 and 1/2 are not of one run: the version of onlyone that judged it differs");
    let mut fewer = all(2);
    fewer[1].looked.pop();
    assert_eq!(refused(fewer), "parts 0/2 and 1/2 are not of one run: the number of invariants differs");
}

#[test]
fn what_is_not_told_key_by_key_is_judged_as_a_whole() {
    let why = |record: &RunRecord| indivisible(record, None).unwrap();
    let plain = record("create-or-get", true);
    assert_eq!(why(&plain), None);
    let explored = RunRecord { explore: Some(crate::report::ExploreReport::default()), ..plain };
    assert!(why(&explored).is_some_and(|why| why.contains("explored")));
}
