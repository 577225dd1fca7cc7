use super::*;
use crate::history::Faults;

const SECOND: Nanos = 1_000_000_000;
const SCENARIO: &str = "name = \"t\"\nworkload = \"create-or-get\"\n[target.mongo]\nstrategy = \"upsert-retry\"\n[load.burst]\nclients = 2\nrounds = 3\n";

fn scenario() -> Scenario {
    crate::scenario::load_text("t.toml".as_ref(), SCENARIO.to_owned(), &[], &|_| None, &crate::strategy::names).unwrap()
}

fn operation(op: u64, key: &str, at: Nanos, outcome: serde_json::Value) -> Operation {
    let line = serde_json::json!({
        "op": op, "client": op, "round": 0, "key": key, "action": { "create-or-get": { "reversed": false } },
        "intended_ns": at, "invoked_ns": at, "completed_ns": at + 1_000, "outcome": outcome,
    });
    serde_json::from_value(line).unwrap()
}

fn created(id: &str) -> serde_json::Value {
    serde_json::json!({ "ok": { "document": { "id": id, "created": true } } })
}

fn refused(code: i32) -> serde_json::Value {
    serde_json::json!({ "failed": { "code": code, "database": "unnamed", "message": "no" } })
}

/// Killed at 2 s, back at 3 s; all from 1.9 s on may be lost.
fn killed(survives: Option<&str>) -> RunRecord {
    let interval = FaultInterval {
        kind: "kill-mongod".to_owned(),
        from_ns: 2 * SECOND,
        to_ns: 3 * SECOND,
        loses_from_ns: Some(SECOND * 19 / 10),
        ..FaultInterval::default()
    };
    let faults = Faults {
        survives: survives.map(str::to_owned),
        planned: vec!["kill-mongod".to_owned()],
        intervals: vec![interval],
    };
    RunRecord { faults: Some(faults), ..RunRecord::default() }
}

/// What becomes of a result on this history, when nothing at all is read back.
fn told(record: &RunRecord, operations: Vec<Operation>, name: Invariant) -> InvariantResult {
    let history = History { operations, ..History::default() };
    let run = Recording { record, history: &history, observation: None };
    let result = judge(&history, None, Phase::Main, &[name]).remove(0);
    assert_eq!(result.verdict, Verdict::Violated, "{result:?}");
    Loss::of(&run, &scenario()).unwrap().explained(result, &run, Phase::Main)
}

#[test]
fn two_creators_around_a_kill_are_its_doing_and_two_long_before_it_are_not() {
    let two = |first, second| vec![operation(0, "k", first, created("1")), operation(1, "k", second, created("2"))];
    for (first, second, verdict) in [
        (SECOND, SECOND + 5, Verdict::Violated),
        (SECOND * 195 / 100, 4 * SECOND, Verdict::Inconclusive),
        (SECOND, 2 * SECOND, Verdict::Inconclusive),
        (4 * SECOND, 5 * SECOND, Verdict::Violated),
    ] {
        let found = told(&killed(None), two(first, second), Invariant::CreatedOnce);
        assert_eq!(found.verdict, verdict, "{first} {second}: {found:?}");
        let explained = found.reason.is_some_and(|reason| reason.contains("`kill-mongod` at 2.00 s"));
        assert_eq!(explained, verdict == Verdict::Inconclusive);
    }
}

#[test]
fn a_race_on_another_key_is_found_beside_a_loss() {
    let mut operations =
        vec![operation(0, "lost", 2 * SECOND, created("1")), operation(1, "lost", 4 * SECOND, created("2"))];
    operations.extend([operation(2, "raced", SECOND, created("3")), operation(3, "raced", SECOND, created("4"))]);
    let found = told(&killed(None), operations, Invariant::CreatedOnce);
    assert_eq!((found.verdict, found.violations), (Verdict::Violated, 1), "{found:?}");
    assert!(found.witnesses.iter().all(|witness| witness.key == "raced"), "{found:?}");
}

#[test]
fn where_the_write_concern_survives_only_what_is_gone_is_evidence() {
    let acknowledged = serde_json::json!({ "ok": { "appended": { "session": { "id": "d", "created": false } } } });
    let unknown = serde_json::json!({ "unknown": { "message": "lost" } });
    for (survives, outcome, verdict) in [
        (Some("j: true"), &acknowledged, Verdict::Violated),
        // Somebody read it, and it was in memory alone.
        (Some("j: true"), &unknown, Verdict::Inconclusive),
        (None, &acknowledged, Verdict::Inconclusive),
    ] {
        let (history, observation) = a_message_that_was_read_and_is_gone(outcome);
        let record = killed(survives);
        let run = Recording { record: &record, history: &history, observation: Some(&observation) };
        let lost = judge(&history, Some(&observation), Phase::Main, &[Invariant::NoLostMessages]).remove(0);
        assert_eq!(lost.verdict, Verdict::Violated, "{lost:?}");
        let loss = Loss::of(&run, &scenario()).unwrap();
        assert_eq!(loss.explained(lost, &run, Phase::Main).verdict, verdict, "{survives:?} {outcome}");
        let read = InvariantResult::new(Invariant::SameId, 5, 1, Vec::new());
        assert_eq!(loss.explained(read, &run, Phase::Main).verdict, Verdict::Inconclusive);
        let bursts = InvariantResult::new(Invariant::AsIfSerial, 5, 1, Vec::new());
        assert_eq!(loss.explained(bursts, &run, Phase::Main).verdict, Verdict::Violated, "they were over before");
    }
}

/// A message, appended with this outcome just before the kill and read by another at once; the document is there without it.
fn a_message_that_was_read_and_is_gone(outcome: &serde_json::Value) -> (History, Observation) {
    let line = |op: u64, at: Nanos, action: serde_json::Value, outcome: &serde_json::Value| -> Operation {
        serde_json::from_value(serde_json::json!({
            "op": op, "client": op, "round": 0, "key": "k", "action": action,
            "intended_ns": at, "invoked_ns": at, "completed_ns": at + 1_000, "outcome": outcome,
        }))
        .unwrap()
    };
    let append = serde_json::json!({ "append": { "path": "text", "sender": 1, "n": 0, "text": "hello" } });
    let seen = serde_json::json!({ "ok": { "messages": { "id": "d", "length": 2, "hash": 0, "body": "0u 0b" } } });
    let operations = vec![
        line(0, SECOND * 195 / 100, append, outcome),
        line(1, SECOND * 196 / 100, serde_json::json!("read"), &seen),
    ];
    let observation = serde_json::from_value(serde_json::json!({
        "source": "memory", "quiescent": true,
        "documents": [{ "id": "d", "key": "k", "stored_key": "k", "messages": [], "fields": { "_id": "d" } }],
    }));
    (History { operations, ..History::default() }, observation.unwrap())
}

#[test]
fn only_a_strike_that_takes_the_primary_explains_another_one() {
    let of = |term| {
        Some(Identity {
            address: "127.0.0.1:1".into(),
            process: Some("a".into()),
            term: Some(term),
            rollbacks: Some(0),
        })
    };
    let striking = |target: &str| {
        let text =
            format!("{SCENARIO}[mongod]\nreplica_set = 3\n[[fault]]\nkind = \"kill-mongod\"\nat = \"1s\"\n{target}\n")
                .replace("clients = 2\nrounds = 3", "clients = 2\nrounds = 3000");
        crate::scenario::load_text("t.toml".as_ref(), text, &[], &|_| None, &crate::strategy::names).unwrap()
    };
    for (target, after, explains) in
        [("", 2, true), ("", 3, false), ("target = \"primary\"", 2, true), ("target = \"secondary\"", 2, false)]
    {
        let record = RunRecord { server_before: of(1), server_after: of(after), ..killed(None) };
        assert_eq!(explain_the_server(&record, &striking(target)), explains, "{target} {after}");
    }
    // Where the terms around each strike are known: an undecided election takes a term of its own, and one between strikes is an accident.
    for (terms, after, explains) in [
        (vec![[1, 3]], 3, true),
        (vec![[1, 2]], 3, false),
        (vec![[2, 3]], 3, false),
        (vec![[1, 3], [3, 4]], 4, true),
        (vec![[1, 2], [3, 4]], 4, false),
        (vec![[1, 1]], 1, true),
    ] {
        let mut record = RunRecord { server_before: of(1), server_after: of(after), ..killed(None) };
        let faults = record.faults.get_or_insert_default();
        let one = faults.intervals.remove(0);
        faults.intervals.extend(terms.iter().map(|terms| FaultInterval { terms: Some(*terms), ..one.clone() }));
        assert_eq!(explain_the_server(&record, &striking("")), explains, "{terms:?} {after}");
    }
}

#[test]
fn an_election_is_told_with_its_terms() {
    let of = |process: &str, term| Identity {
        address: "127.0.0.1:1".into(),
        process: Some(process.into()),
        term: Some(term),
        rollbacks: Some(1),
    };
    let elsewhere = Identity { address: "127.0.0.1:2".into(), ..of("b", 3) };
    for (after, change) in
        [(of("b", 3), "process a → b, term 1 → 3: a rollback"), (elsewhere, ":2, term 1 → 3: a rollback")]
    {
        let record = RunRecord { server_before: Some(of("a", 1)), server_after: Some(after), ..killed(None) };
        let two = vec![operation(0, "k", 2 * SECOND, created("1")), operation(1, "k", 4 * SECOND, created("2"))];
        let reason = told(&record, two, Invariant::CreatedOnce).reason.unwrap_or_default();
        assert!(reason.contains(change), "{reason}");
    }
}

#[test]
fn an_error_that_was_injected_is_no_leak_and_any_other_is() {
    let fails = FaultInterval {
        kind: "fail-command".into(),
        from_ns: SECOND,
        to_ns: 2 * SECOND,
        code: Some(112),
        ..Default::default()
    };
    let faults = Some(Faults { intervals: vec![fails], ..Faults::default() });
    let record = RunRecord { faults, ..RunRecord::default() };
    for (code, at, leaks) in [(112, SECOND, false), (112, 9 * SECOND, true), (11000, SECOND, true)] {
        let history = History { operations: vec![operation(0, "k", at, refused(code))], ..History::default() };
        let masked = masked(Cow::Borrowed(&history), &record);
        let result = judge(&masked, None, Phase::Main, &[Invariant::NoLeakedErrors]).remove(0);
        assert_eq!(result.verdict == Verdict::Violated, leaks, "{code} at {at}: {result:?}");
    }
}

#[test]
fn a_fault_that_never_happened_or_was_not_mended_leaves_the_run_inconclusive() {
    let record = killed(None);
    let ok = [operation(0, "k", 1, created("1"))];
    assert_eq!(reasons(&record, 0, ok.len() as u64), Vec::<String>::new());
    let with = |change: &dyn Fn(&mut Faults)| {
        let mut record = killed(None);
        record.faults.as_mut().map(change).unwrap();
        reasons(&record, 0, ok.len() as u64).join("; ")
    };
    assert!(with(&|faults| faults.intervals.clear()).contains("never happened"));
    assert!(with(&|faults| faults.intervals[0].error = Some("gone".into())).contains("to its end: gone"));
    assert!(with(&|faults| faults.intervals[0].struck = Some(0)).contains("met nothing"));
    assert_eq!(with(&|faults| faults.intervals[0].struck = Some(1)), "");
    let unknown = serde_json::json!({ "unknown": { "message": "lost" } });
    let most = [operation(0, "k", 1, unknown), operation(1, "k", 1, created("1"))];
    assert!(reasons(&record, 1, most.len() as u64).is_empty());
    assert!(reasons(&record, 1, 1).join("").contains("too little to judge"));
}

#[test]
fn who_met_the_fault_is_counted() {
    let record = killed(None);
    let unknown = serde_json::json!({ "unknown": { "message": "lost" } });
    let operations = vec![operation(0, "k", 1, created("1")), operation(1, "k", 2 * SECOND, unknown)];
    let shown = shown(&record, &History { operations, ..History::default() });
    assert_eq!((shown.len(), shown[0].operations, shown[0].unknown, shown[0].may_lose), (1, 1, 1, true));
    assert!((shown[0].from_s - 2.0).abs() < 1e-9 && (shown[0].to_s - 3.0).abs() < 1e-9);
}
