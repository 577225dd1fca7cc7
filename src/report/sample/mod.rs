//! Reports of each kind, for the tests of the renderers.

mod found;

use std::collections::BTreeMap;

use super::explore::*;
use super::*;
use crate::history::{
    Action, Appended, Cause, Id, MessagePath, Nanos, OpId, Operation, Outcome, Returned, Said, Value,
};
use crate::lint::IndexFact;
use crate::stats::{
    Bucket, Concurrency, Generator, IntervalStats, Latency, Machine, OperationStats, Skew, ThresholdResult, Unit,
};
use crate::target::Preflight;
use crate::verdict::{Invariant, InvariantResult, Verdict, Witness};

pub(super) use found::{audited, explored, explored_at_length, lost, selftested};

pub(super) fn all() -> Vec<(&'static str, Report)> {
    vec![
        ("passing", passing()),
        ("violated", violated()),
        ("inconclusive", inconclusive()),
        ("breached", breached()),
        ("partial", partial()),
        ("hostile", hostile()),
        ("empty", empty()),
        ("explored", explored()),
        ("selftested", selftested()),
        ("audited", audited()),
        ("lost", lost()),
    ]
}

fn latency(count: u64, factor: u64) -> Latency {
    let at = |us: u64| us * factor;
    Latency { count, p50: at(812), p90: at(1_904), p95: at(2_300), p99: at(4_310), p99_9: at(9_120), max: at(12_047) }
}

fn distribution(total: u64, shift: f64) -> Vec<Bucket> {
    let shape = [1_u64, 4, 12, 22, 25, 18, 9, 5, 3, 1];
    let steps = [400.0, 500.0, 630.0, 800.0, 1000.0, 1250.0, 1600.0, 2000.0, 3150.0, 12_500.0];
    shape
        .iter()
        .zip(steps)
        .map(|(share, up_to)| Bucket { up_to_us: up_to * shift, count: total * share / 100 })
        .collect()
}

fn operations() -> BTreeMap<String, OperationStats> {
    let named = |pairs: [(&str, u64); 2]| pairs.map(|(name, n)| (name.to_owned(), n)).into();
    let stats = OperationStats {
        attempted: 15_000,
        ok: 15_000,
        failed: 0,
        unknown: 0,
        outcomes: named([("created", 100), ("existing", 14_900)]),
        latency_us: latency(15_000, 1),
        latency_by_outcome_us: [("created".into(), latency(100, 1)), ("existing".into(), latency(14_900, 1))].into(),
        distribution: [("created".into(), distribution(100, 1.6)), ("existing".into(), distribution(14_900, 1.0))]
            .into(),
        latency_is: "service time".into(),
    };
    [("create-or-get".to_owned(), stats)].into()
}

fn over_time() -> Vec<IntervalStats> {
    (0..12_u32)
        .map(|i| IntervalStats {
            start_s: f64::from(i) * 0.1,
            length_s: 0.1,
            answered: 1_250 + u64::from(i * 37 % 11) * 20,
            errors: 0,
            p50_us: 800 + u64::from(i * 13 % 7) * 10,
            p99_us: 4_000 + u64::from(i * 29 % 13) * 100,
            max_us: 9_000 + u64::from(i * 31 % 5) * 700,
        })
        .collect()
}

pub(crate) fn passing() -> Report {
    let names = Invariant::NAMED.into_iter().take(7);
    Report {
        format_version: FORMAT_VERSION,
        tool: "onlyone".into(),
        version: "0.1.0".into(),
        run_id: "20261121-091500-a1b2".into(),
        scenario: "create-or-get, 150 callers, one pair".into(),
        seed: 1,
        verdict: Verdict::Holds,
        reasons: Vec::new(),
        exit_code: 0,
        expectation: None,
        partial: false,
        reproduce: "onlyone run scenarios/create-or-get.toml --seed 1".into(),
        invariants: names
            .map(|name| {
                let checked = if name == Invariant::NoLeakedErrors { 15_000 } else { 100 };
                InvariantResult::new(name, checked, 0, Vec::new())
            })
            .collect(),
        keys: Vec::new(),
        origin: None,
        serial_control: Some(SerialControl { verdict: Verdict::Holds, operations: 20, violated: Vec::new() }),
        operations: operations(),
        concurrency: Concurrency {
            clients: 150,
            keys: 100,
            peak_in_flight: 150,
            peak_in_flight_same_key: 150,
            release_skew_us: Skew { p50: 410, max: 2_210 },
            effective_trials: 100,
            race_trials: 100,
            violation_rate_upper_bound_95: Some(0.03),
        },
        throughput_per_s: 12_096.8,
        duration_s: 1.24,
        over_time: over_time(),
        stages: Vec::new(),
        thresholds: vec![ThresholdResult {
            threshold: "create-or-get.p99 < 250ms".into(),
            observed: Some(4_310.0),
            unit: Unit::Us,
            samples: 15_000,
            ok: true,
            too_few: false,
            reason: None,
            service_time: None,
        }],
        explore: None,
        as_if_serial: None,
        selftest: None,
        findings: None,
        shards: Vec::new(),
        faults: Vec::new(),
        actions: None,
        generator: Generator { cpu_s: 1.1, max_rss_bytes: 48 << 20, other_load: Some(0.012), ..Generator::default() },
        machine: Some(Machine {
            system: "linux".into(),
            architecture: "x86_64".into(),
            processors: 8,
            processor: Some("Example CPU 3000".into()),
            memory_mib: Some(16_000),
        }),
        preflight: Preflight {
            too_few_connections: None,
            server_version: Some("6.0.5".into()),
            topology: Some("standalone".into()),
            driver_version: Some("3.9.1".into()),
            retries: [("retry_reads".into(), false), ("retry_writes".into(), false)].into(),
            connections_ready: Some(150),
            indexes: vec![
                IndexFact {
                    name: "_id_".into(),
                    key: "_id: 1".into(),
                    unique: true,
                    sparse: false,
                    ..IndexFact::default()
                },
                IndexFact {
                    name: "participantsKey_1".into(),
                    key: "participantsKey: 1".into(),
                    unique: true,
                    sparse: true,
                    ..IndexFact::default()
                },
            ],
            lookup_plan: Some("IXSCAN participantsKey_1".into()),
            observed_key: None,
            lint: Vec::new(),
            notes: Vec::new(),
        },
    }
}

pub(super) fn operation(id: u64, times: [Nanos; 3], outcome: Outcome) -> Operation {
    Operation {
        client: u32::try_from(id % 150).unwrap(),
        round: 3,
        connected: Some(times[1]),
        ..crate::history::fixture::operation(
            id,
            "u17:u42",
            Action::CreateOrGet { reversed: id % 2 == 1 },
            [times[0], times[2]],
            outcome,
        )
    }
}

pub(super) fn created(id: &str) -> Outcome {
    Outcome::Ok(Value::Document(Returned { id: Some(Id::parse(id)), created: Some(true), ..Returned::default() }))
}

pub(super) fn existing(id: &str) -> Outcome {
    Outcome::Ok(Value::Document(Returned { id: Some(Id::parse(id)), created: Some(false), ..Returned::default() }))
}

fn document(id: &str, op: u64) -> serde_json::Value {
    serde_json::json!({ "_id": id, "participants": ["u17", "u42"], "participantsKey": "u17:u42", "type": "private",
        "createdAt": "2026-11-21T09:15:01.412Z", "createdByOp": op, "messages": [], "lastMessageAt": null })
}

fn witness() -> Witness {
    const IDS: [&str; 2] = ["65a1b2c3d4e5f60718293a4b", "65a1b2c3d4e5f60718293c9d"];
    Witness {
        key: "u17:u42".into(),
        operations: vec![
            operation(451, [1_204_100_000, 1_204_400_000, 1_207_900_000], created(IDS[0])),
            operation(466, [1_204_300_000, 1_205_600_000, 1_209_200_000], created(IDS[1])),
        ],
        documents: vec![document(IDS[0], 451), document(IDS[1], 466)],
        explanation: "Two documents stand for the pair u17:u42. op451 and op466 both say that they created it, while \
                      each was in flight: one of them must have found the document of the other."
            .into(),
    }
}

pub(super) fn witness_operations() -> Vec<Operation> {
    witness().operations
}

pub(super) fn violated() -> Report {
    let mut report = passing();
    report.verdict = Verdict::Violated;
    report.exit_code = 1;
    report.scenario = "find-then-insert without the unique index".into();
    for (index, violations) in [(0, 97), (2, 97), (3, 97)] {
        let name = report.invariants[index].name.clone();
        report.invariants[index] = InvariantResult::new(name, 100, violations, vec![witness(), witness()]);
    }
    let leaked = Outcome::Failed(Cause::database(11_000, "E11000 duplicate key error index: participantsKey_1"));
    let given_up = Outcome::Unknown(Cause::new("no answer within 10 s"));
    let times = [1_204_100_000, 1_204_100_000, 1_206_000_000];
    report.invariants[5] = InvariantResult::new(
        Invariant::NoLeakedErrors,
        15_000,
        1,
        vec![Witness {
            key: "u17:u42".into(),
            operations: vec![operation(460, times, leaked), operation(470, times, given_up)],
            documents: Vec::new(),
            explanation: "A duplicate-key error reached the caller.".into(),
        }],
    );
    report.concurrency.violation_rate_upper_bound_95 = None;
    report.thresholds.clear();
    report.preflight.indexes.truncate(1);
    report.preflight.lookup_plan = Some("COLLSCAN".into());
    report.reproduce = "onlyone run scenarios/create-or-get.toml --set target.mongo.strategy=find-then-insert --set \
                        target.mongo.unique_index=false --seed 1"
        .into();
    report
}

pub(super) fn inconclusive() -> Report {
    let mut report = passing();
    report.verdict = Verdict::Inconclusive;
    report.exit_code = 3;
    report.reasons = vec!["on 0 keys two operations overlapped; at least 1 is needed".into()];
    for result in &mut report.invariants {
        *result = result.clone().weaken("no two operations overlapped");
    }
    report.concurrency =
        Concurrency { clients: 1, keys: 100, peak_in_flight: 1, peak_in_flight_same_key: 1, ..Default::default() };
    report.preflight.notes = vec!["one connection: no two operations can reach the server together".into()];
    report
}

pub(super) fn breached() -> Report {
    let mut report = passing();
    report.exit_code = 5;
    report.thresholds[0].ok = false;
    report.thresholds[0].threshold = "create-or-get.p99 < 4ms".into();
    report.thresholds.push(ThresholdResult {
        threshold: "create-or-get.p99.9 < 250ms".into(),
        observed: None,
        unit: Unit::Us,
        samples: 800,
        ok: false,
        too_few: false,
        reason: Some("too few samples: 800, needs 10,000".into()),
        service_time: None,
    });
    report.thresholds.push(ThresholdResult {
        threshold: "error_rate < 0.01%".into(),
        observed: Some(0.0),
        unit: Unit::Share,
        samples: 15_000,
        ok: true,
        too_few: false,
        reason: None,
        service_time: None,
    });
    report
}

pub(super) fn partial() -> Report {
    let mut report = violated();
    report.partial = true;
    report.serial_control = Some(SerialControl {
        verdict: Verdict::Violated,
        operations: 20,
        violated: vec![Invariant::SingleDocument, Invariant::SameId],
    });
    report.expectation =
        Some(ExpectationResult { met: Some(true), details: vec!["verdict: expected violated, found violated".into()] });
    report
}

/// Foreign text of the worst kind, everywhere.
pub(super) fn hostile() -> Report {
    let mut report = violated();
    let nasty = "\u{1b}[2J\u{0}\r\n]]></x><script>alert(1)</script> | ``` \u{202e}\u{ffff} 名前 🦀";
    report.scenario = nasty.into();
    report.reasons = vec![nasty.into()];
    report.invariants[0].name = Invariant::Custom(nasty.into());
    for witness in report.invariants.iter_mut().flat_map(|result| &mut result.witnesses) {
        witness.key = nasty.into();
        witness.explanation = nasty.into();
        witness.documents.push(serde_json::json!({ nasty: nasty }));
        witness.operations[0].outcome = Outcome::Failed(Cause::new(nasty));
    }
    report.preflight.notes = vec![nasty.into()];
    report.reproduce = nasty.into();
    report
}

pub(super) fn empty() -> Report {
    let mut report = inconclusive();
    report.reasons.clear();
    report.invariants.clear();
    report.operations.clear();
    report.concurrency = Concurrency::default();
    report.preflight = Preflight::default();
    report.thresholds.clear();
    report.serial_control = None;
    report.over_time.clear();
    (report.duration_s, report.throughput_per_s) = (0.0, 0.0);
    report
}
