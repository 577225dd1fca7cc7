//! A table: what was seen, and which settings it shows to be wrong.

use serde_json::{Value as Json, json};

use super::fit;
use crate::history::{
    Action, Cause, CauseKind, DocumentSightings, Exchange, History, KeyPart, Observation, Observed, OpId, Operation,
    Outcome, Sample, Sightings, Source, Value,
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
    let cases: [Case; 19] = [
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
        ("success that is said to be a failure", &[STATUS; 3], |seen| {
            seen.operations.iter_mut().for_each(|operation| failed(operation, 200));
            seen.documents[0].created_by = Some(OpId(1));
            seen.operations.truncate(1);
        }),
        ("creations that are said to be failures", &[STATUS], |seen| {
            failed(&mut seen.operations[0], 201);
            seen.documents[0].created_by = Some(OpId(1));
        }),
        ("whoever comes first is said to be refused, and was told yes", &[STATUS], |seen| {
            failed(&mut seen.operations[0], 201);
            failed(&mut seen.operations[2], 201);
        }),
        ("one who came first was refused by a status of success", &[], |seen| failed(&mut seen.operations[0], 201)),
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
fn what_no_answer_had_to_have_is_told_as_not_seen() {
    let get = |body: &Json| {
        let text = DESK.replace(
            "[observe.mongo]",
            "[target.http.operations.get]\npath = \"/desk\"\noutcome = { id = \"$.id\" }\n[observe.mongo]",
        );
        let scenario = load_text("desk.toml".as_ref(), text, &[], &|_| None, &crate::strategy::names).unwrap();
        let mut seen = Seen::correct();
        let mut early = answer(9, "p_q", "d1", false);
        (early.action, early.invoked, early.outcome) = (Action::Get, 1, Outcome::Ok(Value::Found(None)));
        seen.operations.push(early);
        seen.sightings.answers.push(Exchange { operation: "get".into(), op: Some(OpId(9)), ..exchange(9, body) });
        let history = History { operations: seen.operations, ..History::default() };
        let fit = fit(&scenario, "r", &history, None, &seen.sightings);
        assert_eq!(fit.misfit(), None);
        fit.unseen()
    };
    let unseen = get(&json!({ "none": true }));
    assert!(
        matches!(unseen.as_slice(), [one] if one.contains("get.outcome.id") && one.contains("did not have to")),
        "{unseen:?}"
    );
    assert_eq!(get(&json!({ "id": "d1" })), Vec::<String>::new());
}

/// A pair that is named in two places, answered by one identifier for each operation.
fn of_two_places(json: &str, ids: [&str; 4]) -> Fit {
    let text = DESK.replace(r#"{ with = "{{ pair.b }}" }"#, json);
    let scenario = load_text("desk.toml".as_ref(), text, &[], &|_| None, &crate::strategy::names).unwrap();
    let operations = (1..).zip(ids).map(|(op, id)| answer(op, "p_q", id, op == 1)).collect();
    let mut documents = vec![document(ids[0], "p_q", json!({}))];
    documents.extend((ids[1] != ids[0]).then(|| document(ids[1], "p_q", json!({}))));
    let observation = Observation { documents, ..Observation::default() };
    fit(&scenario, "r", &History { operations, ..History::default() }, Some(&observation), &Sightings::default())
}

#[test]
fn each_order_of_a_pair_with_a_document_of_its_own_may_be_another_thing() {
    const ORDERS: &str = "target.http.operations.create-or-get: pair.a, pair.b";
    let places = r#"{ owner = "{{ pair.a }}", guest = "{{ pair.b }}" }"#;
    let list = r#"{ members = ["{{ pair.a }}", "{{ pair.b }}"] }"#;
    let session = r#"{ with = "{{ pair.b }}" }"#;
    let (own, one, wild) = (["d1", "d2", "d1", "d2"], ["d1"; 4], ["d1", "d2", "d3", "d4"]);
    assert!(wrong(&of_two_places(places, own)).contains(&ORDERS), "{:?}", of_two_places(places, own));
    let twice = |forms: [&str; 2]| {
        let mut seen = Seen::correct();
        seen.operations = vec![answer(1, "p_q", "d1", true), answer(2, "p_q", "d2", true)];
        let of = |id: &str, form: &str| Observed { stored_key: Some(form.into()), ..document(id, "p_q", json!({})) };
        seen.documents = vec![of("d1", forms[0]), of("d2", forms[1])];
        let text = DESK.replace(r#"{ with = "{{ pair.b }}" }"#, places);
        let scenario = load_text("desk.toml".as_ref(), text, &[], &|_| None, &crate::strategy::names).unwrap();
        let history = History { operations: seen.operations, ..History::default() };
        let observation = Observation { documents: seen.documents, ..Observation::default() };
        wrong(&fit(&scenario, "r", &history, Some(&observation), &Sightings::default())).contains(&ORDERS)
    };
    assert!(twice(["p q", "q p"]), "asked for once each, and stored in two forms");
    assert!(!twice(["p q", "p q"]), "two documents of one form are the service's fault");
    for (json, ids) in [(places, one), (places, wild), (list, own), (session, own)] {
        let fit = of_two_places(json, ids);
        assert!(!wrong(&fit).contains(&ORDERS), "{json} {ids:?}: {fit:?}");
    }
}

#[test]
fn a_creation_without_a_name_has_its_flag_all_the_same() {
    let mut seen = Seen::correct();
    for operation in [1, 3] {
        let kind = CauseKind::Unnamed { status: 303, created: Some(true) };
        seen.operations[operation].outcome = Outcome::Unknown(Cause { kind, message: "no identifier".into() });
    }
    assert_eq!(wrong(&seen.fit()), [CREATED]);
    let mut seen = Seen::correct();
    for operation in [0, 2] {
        let kind = CauseKind::Unnamed { status: 200, created: Some(false) };
        seen.operations[operation].outcome = Outcome::Unknown(Cause { kind, message: "no identifier".into() });
    }
    assert_eq!(wrong(&seen.fit()), Vec::<&str>::new(), "a creator who is told no name is the service's fault");
}

#[test]
fn what_is_said_to_be_created_on_a_key_of_a_route_that_only_creates_must_be_found_once() {
    let text = DESK.replace("create-or-get", "create").replacen("\"create\"", "\"unique\"", 1);
    let text = text.replace("{{ pair.b }}", "{{ key }}").replace(r#", created_by = "$.desk.by""#, "");
    let scenario = load_text("desk.toml".as_ref(), text, &[], &|_| None, &crate::strategy::names).unwrap();
    let of = |documents: Vec<Observed>| {
        let mut operation = answer(1, "u1", "d1", true);
        operation.action = Action::Custom("create".into());
        let history = History { operations: vec![operation], ..History::default() };
        let observation = Observation { documents, ..Observation::default() };
        fit(&scenario, "r", &history, Some(&observation), &Sightings::default())
    };
    assert_eq!(wrong(&of(Vec::new())), ["observe.mongo.key"]);
    assert_eq!(wrong(&of(vec![document("d1", "u1", json!({}))])), Vec::<&str>::new());
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
    assert!(
        misfit.contains("`ref` of the document holds what was answered (`observe.mongo.id = \"ref\"` says so)"),
        "{misfit}"
    );
    assert!(!misfit.contains("id_as"), "{misfit}");
    let mut seen = Seen::correct();
    seen.operations = vec![answer(1, "p_q", "x-d1234567", true)];
    seen.documents = vec![document("d1234567", "p_q", json!({ "_id": "d1234567" }))];
    let misfit = seen.fit().misfit().unwrap();
    assert!(
        misfit.contains("answers name it `id_as = \"x-{{ id }}\"` (to be written in `[observe.mongo]`)"),
        "{misfit}"
    );
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

#[test]
fn a_collection_that_stays_empty_is_told_where_what_counts_lies_elsewhere() {
    let text = r#"
name = "votes"
workload = "custom"
[target.http]
base_urls = ["http://127.0.0.1:9"]
[target.http.operations.vote]
path = "/stalls/{{ key }}/votes"
[observe.mongo]
uri = "mongodb://127.0.0.1:9"
database = "onlyone_x"
collection = "stalls"
key = "name"
stamp = "by"
elements = { collection = "votes", key = "stall", in = "by", is = "{{ client.user }}", count = "set" }
[load.burst]
clients = 2
rounds = 1
"#;
    let scenario = load_text("votes.toml".as_ref(), text.to_owned(), &[], &|_| None, &crate::strategy::names).unwrap();
    let seen_by = |part: Option<KeyPart>, ok: bool, documents: Vec<Observed>| {
        let mut vote = answer(1, "k", "d1", true);
        vote.action = Action::Custom("vote".into());
        if !ok {
            vote.outcome = Outcome::Unknown(Cause::new("no answer"));
        }
        let history = History { operations: vec![vote], part, ..History::default() };
        let observation = Observation { documents, ..Observation::default() };
        let fit = fit(&scenario, "r", &history, Some(&observation), &Sightings::default());
        assert_eq!(fit.misfit(), None, "it may be so meant");
        fit.unseen()
    };
    let seen = |ok, documents| seen_by(None, ok, documents);
    let told = seen(true, Vec::new());
    assert!(
        matches!(told.as_slice(), [one] if one.contains("`stalls`, with `name`, `_id`, `by`, in none of 1 cases")),
        "{told:?}"
    );
    assert_eq!(seen(true, vec![document("d1", "k", json!({ "name": "k" }))]), Vec::<String>::new());
    assert_eq!(seen(false, Vec::new()), Vec::<String>::new());
    // The vote is one of the serial control, which every part has: one of them counts it.
    let by_part: Vec<_> = KeyPart::all(3).map(|part| seen_by(Some(part), true, Vec::new())).collect();
    assert_eq!(by_part, [told, Vec::new(), Vec::new()]);
}
