//! A table: what was seen, and which settings it shows to be wrong.

use serde_json::{Value as Json, json};

use super::fit;
use crate::history::{
    Action, Cause, DocumentSightings, Exchange, History, Observation, Observed, OpId, Operation, Outcome, Sample,
    Sightings, Source,
};
use crate::report::Fit;
use crate::scenario::{Scenario, load_text};

const DESK: &str = r#"
name = "one desk for two"
workload = "create-or-get"
[target.http]
base_urls = ["http://127.0.0.1:9"]
[target.http.operations.create-or-get]
path = "/desk"
json = { with = "{{ pair.b }}" }
outcome = { id = "$.desk.id", created = "$.fresh", created_by = "$.desk.by" }
[observe.mongo]
uri = "mongodb://127.0.0.1:9"
database = "onlyone_x"
collection = "desks"
key = "couple"
[load.burst]
clients = 2
rounds = 1
"#;

fn scenario() -> Scenario {
    load_text("desk.toml".as_ref(), DESK.to_owned(), &[], &|_| None, &crate::strategy::names).unwrap()
}

/// An answered create-or-get; one after another.
fn answer(op: u64, key: &str, id: &str, created: bool) -> Operation {
    let returned = json!({ "document": { "id": id, "created": created } });
    serde_json::from_value(json!({
        "op": op, "client": 0, "round": 0, "phase": "control", "key": key,
        "action": { "create-or-get": { "reversed": op % 2 == 1 } }, "intended_ns": 10 * op, "invoked_ns": 10 * op,
        "completed_ns": 10 * op + 5, "outcome": { "ok": returned },
    }))
    .unwrap()
}

fn document(id: &str, key: &str, fields: Json) -> Observed {
    serde_json::from_value(json!({ "id": id, "key": key, "stored_key": key, "fields": fields })).unwrap()
}

fn exchange(op: u64, body: &Json) -> Exchange {
    let operation = "create-or-get".into();
    Exchange { operation, op: Some(OpId(op)), status: 200, body: body.to_string(), cut: false }
}

/// What was seen of a correct service, ready to be spoilt.
struct Seen {
    operations: Vec<Operation>,
    documents: Vec<Observed>,
    sightings: Sightings,
}

impl Seen {
    fn correct() -> Self {
        let operations = vec![
            answer(1, "p_q", "d1", true),
            answer(2, "p_q", "d1", false),
            answer(3, "r_s", "d2", true),
            answer(4, "r_s", "d2", false),
        ];
        let fields = |id: &str, key: &str| json!({ "_id": id, "couple": key });
        let documents = vec![document("d1", "p_q", fields("d1", "p_q")), document("d2", "r_s", fields("d2", "r_s"))];
        let body = json!({ "desk": { "id": "d1", "by": 1 }, "fresh": true });
        let answers = vec![exchange(1, &body), exchange(2, &body)];
        let mut of_documents = DocumentSightings::default();
        for _ in 0..2 {
            of_documents.count("observe.mongo.key", "couple", true);
        }
        Seen { operations, documents, sightings: Sightings { answers, documents: of_documents } }
    }

    fn fit(self) -> Fit {
        let history = History { operations: self.operations, ..History::default() };
        let observation =
            Observation { source: Source::Mongo, quiescent: true, documents: self.documents, ..Observation::default() };
        fit(&scenario(), "r", &history, Some(&observation), &self.sightings)
    }
}

/// The settings that are shown to be wrong.
fn wrong(fit: &Fit) -> Vec<&str> {
    fit.rows.iter().filter(|row| row.never()).map(|row| row.setting.as_str()).collect()
}

/// What is expected of a table's row, and how its evidence is spoilt.
type Case = (&'static str, &'static [&'static str], fn(&mut Seen));

const ID: &str = "target.http.operations.create-or-get.outcome.id";
const STATUS: &str = "target.http.operations.create-or-get.status";
const CREATED: &str = "target.http.operations.create-or-get: created";

fn failed(operation: &mut Operation, status: u16) {
    operation.outcome = Outcome::Failed(Cause::http(status, "said to be no"));
}

fn with_flags(seen: &mut Seen, flags: [bool; 4]) {
    let ids = ["d1", "d1", "d2", "d2"];
    let keys = ["p_q", "p_q", "r_s", "r_s"];
    seen.operations = (0..4).map(|at| answer(at as u64 + 1, keys[at], ids[at], flags[at])).collect();
}

#[test]
fn what_fits_in_no_case_is_the_scenarios_fault_and_what_fits_in_some_is_not() {
    let cases: [Case; 17] = [
        ("a correct service", &[], |_| {}),
        ("the key is nowhere", &["observe.mongo.key"], |seen| seen.documents.clear()),
        ("one document was lost", &[], |seen| drop(seen.documents.pop())),
        ("a key has two documents", &[], |seen| seen.documents.push(document("d3", "p_q", json!({})))),
        ("identifiers of something else", &[ID], |seen| {
            seen.operations = vec![answer(1, "p_q", "u1", true), answer(3, "r_s", "u2", true)];
        }),
        ("one identifier leads nowhere", &[], |seen| seen.operations[1] = answer(2, "p_q", "u1", false)),
        ("a flag that is always true", &[CREATED], |seen| with_flags(seen, [true; 4])),
        ("a flag that is always false", &[CREATED], |seen| with_flags(seen, [false; 4])),
        ("a flag that says the contrary", &[CREATED, CREATED], |seen| with_flags(seen, [false, true, false, true])),
        ("one creation too many", &[], |seen| with_flags(seen, [true, true, true, false])),
        ("a service that always creates says so", &[], |seen| {
            seen.operations[1] = answer(2, "p_q", "d3", true);
            seen.operations[3] = answer(4, "r_s", "d4", true);
        }),
        ("operations of the user's own, which may create one for each caller", &[], |seen| {
            with_flags(seen, [true; 4]);
            for operation in &mut seen.operations {
                operation.action = Action::Custom("vote".into());
            }
        }),
        ("success that is said to be a failure", &[STATUS, STATUS], |seen| {
            seen.operations.iter_mut().for_each(|operation| failed(operation, 200));
            seen.documents[0].created_by = Some(OpId(1));
            seen.operations.truncate(1);
        }),
        ("creations that are said to be failures", &[STATUS], |seen| {
            failed(&mut seen.operations[0], 201);
            seen.documents[0].created_by = Some(OpId(1));
        }),
        ("one refusal of several that left something", &[], |seen| {
            seen.operations.iter_mut().skip(1).for_each(|operation| failed(operation, 200));
            seen.documents[1].created_by = Some(OpId(3));
        }),
        ("a path without which nothing is said", &[ID], |seen| {
            seen.sightings.answers = vec![exchange(1, &json!({ "id": "d1" })), exchange(2, &json!({ "id": "d1" }))];
        }),
        ("a field that no document has", &["observe.mongo.insert_fields"], |seen| {
            seen.sightings.documents.count("observe.mongo.insert_fields", "made", false);
        }),
    ];
    for (what, expected, spoil) in cases {
        let mut seen = Seen::correct();
        spoil(&mut seen);
        let fit = seen.fit();
        assert_eq!(wrong(&fit), expected, "{what}: {:?}", fit.misfit());
        assert_eq!(fit.misfit().is_some(), !expected.is_empty(), "{what}");
    }
}

#[test]
fn what_only_adds_to_the_evidence_is_told_and_accuses_nobody() {
    let mut seen = Seen::correct();
    let body = json!({ "desk": { "id": "d1" }, "fresh": true });
    seen.sightings.answers = vec![exchange(1, &body), exchange(2, &body)];
    let fit = seen.fit();
    assert_eq!(fit.misfit(), None);
    assert!(matches!(fit.unseen().as_slice(), [one] if one.contains("outcome.created_by")), "{:?}", fit.unseen());
}

#[test]
fn where_the_value_really_is_is_told_beside_an_answer_and_a_document() {
    let mut seen = Seen::correct();
    let fields = seen.documents[0].fields.clone();
    seen.documents.clear();
    seen.sightings.documents.samples = vec![Sample { collection: "tables".to_owned(), fields }];
    let misfit = seen.fit().misfit().unwrap();
    for part in ["`couple` in `tables` holds it: `p_q`", "POST /desk", "A document: tables"] {
        assert!(misfit.contains(part), "{part}: {misfit}");
    }
    let mut seen = Seen::correct();
    seen.operations = vec![answer(1, "p_q", "x-d1234567", true)];
    seen.documents = vec![document("d1234567", "p_q", json!({ "_id": "d1234567", "ref": "x-d1234567" }))];
    let misfit = seen.fit().misfit().unwrap();
    assert!(misfit.contains("`ref` of the document holds what was answered; one is part of the other"), "{misfit}");
}

#[test]
fn a_caller_who_is_in_no_document_was_never_told() {
    let two = |key: &str, a: &str, b: &str| {
        vec![
            document(&format!("{a}1"), key, json!({ "with": b })),
            document(&format!("{b}1"), key, json!({ "with": a })),
        ]
    };
    let mut seen = Seen::correct();
    seen.documents = [two("p_q", "p", "q"), two("r_s", "r", "s")].concat();
    seen.operations = vec![answer(1, "p_q", "p1", true), answer(2, "p_q", "q1", true)];
    assert_eq!(wrong(&seen.fit()), ["target.http: who asks"]);
    let mut seen = Seen::correct();
    seen.documents.push(document("d3", "p_q", json!({ "couple": "p_q" })));
    assert!(wrong(&seen.fit()).is_empty(), "a pair with two documents that name both is the service's fault");
}
