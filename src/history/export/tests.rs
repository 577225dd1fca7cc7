//! Exports are read back, and give the history that they were made from.

use super::*;
use crate::history::{Cause, Id, Observed, Returned};

fn operation(id: u64, client: u32, times: [Nanos; 2], action: Action, outcome: Outcome) -> Operation {
    Operation {
        client,
        ..crate::history::fixture::operation(id, "a \"b\"_\\c\n", action, [times[0], times[1]], outcome)
    }
}

fn document(id: &str, created: Option<bool>) -> Outcome {
    Outcome::Ok(Value::Document(Returned { id: Some(Id::parse(id)), created, ..Returned::default() }))
}

/// One operation of each kind; two of them meet at one time, and one client goes on at the time of its last answer.
fn history() -> History {
    let ask = || Action::CreateOrGet { reversed: false };
    let unknown = || Outcome::Unknown(Cause::new("no answer"));
    let mut control = operation(0, 9, [0, 1], ask(), document("c", Some(true)));
    control.phase = Phase::Control;
    let operations = vec![
        control,
        operation(1, 0, [10, 20], ask(), document("x", Some(true))),
        operation(2, 1, [10, 20], ask(), document("x", Some(false))),
        operation(3, 0, [20, 30], Action::Get, Outcome::Ok(Value::Found(Some(Id::parse("x"))))),
        operation(4, 2, [20, 25], Action::Get, Outcome::Ok(Value::Found(None))),
        operation(5, 3, [22, 40], ask(), Outcome::Failed(Cause::database(11_000, "E11000"))),
        operation(6, 4, [22, 50], ask(), unknown()),
        operation(7, 5, [22, 50], ask(), unknown()),
        operation(8, 1, [60, 60], ask(), Outcome::Ok(Value::Document(Returned::default()))),
    ];
    History { operations, ..History::default() }
}

fn observation() -> Observation {
    let seen = Observed {
        id: Id::parse("y"),
        key: "k".into(),
        stored_key: None,
        created_by: Some(OpId(6)),
        messages: Vec::new(),
        last_message: None,
        thread: None,
        missing: Vec::new(),
        fields: Json::Null,
    };
    Observation { documents: vec![seen], ..Observation::default() }
}

fn exported(form: Form) -> String {
    let mut bytes = Vec::new();
    export(&history(), Some(&observation()), form, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Reads an EDN event line into the JSON of the same event: the two notations differ in their punctuation only.
fn edn_to_json(line: &str) -> Json {
    let (mut json, mut letters, mut in_text) = (String::new(), line.chars().peekable(), false);
    while let Some(c) = letters.next() {
        match c {
            '\\' if in_text => json.extend([c, letters.next().unwrap()]),
            '"' => {
                in_text = !in_text;
                json.push(c);
            }
            c if in_text => json.push(c),
            ':' => {
                let word: String = std::iter::from_fn(|| letters.next_if(char::is_ascii_alphabetic)).collect();
                let key = ["index", "type", "process", "f", "value", "time"].contains(&word.as_str());
                json.push_str(&format!("\"{word}\"{}", if key { ":" } else { "" }));
            }
            'n' => {
                assert_eq!(letters.by_ref().take(2).collect::<String>(), "il");
                json.push_str("null");
            }
            c => json.push(c),
        }
    }
    // Blanks separate the elements of a vector.
    let json = json.replace("] [", "], [").replace("\" \"", "\", \"").replace("\" null", "\", null");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

#[test]
fn elle_in_edn_and_in_json_are_the_same_events() {
    let from_edn: Vec<Json> = exported(Form::ElleEdn).lines().map(edn_to_json).collect();
    let from_json: Vec<Json> = serde_json::from_str(&exported(Form::ElleJson)).unwrap();
    assert_eq!(from_edn, from_json);
    assert_eq!(from_json.len(), 16, "the control is left out");
}

#[test]
fn elle_events_give_the_operations_back() {
    let events: Vec<Json> = serde_json::from_str(&exported(Form::ElleJson)).unwrap();
    let mut open = BTreeMap::new();
    let mut found = Vec::new();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["index"], index);
        let process = event["process"].as_u64().unwrap();
        if event["type"] == "invoke" {
            assert!(open.insert(process, event["time"].as_u64().unwrap()).is_none(), "{process} has two at once");
        } else {
            let invoked = open.remove(&process).unwrap();
            found.push((process, invoked, event["time"].as_u64().unwrap(), event["type"].as_str().unwrap().to_owned()));
        }
    }
    found.sort();
    let mut expected: Vec<_> = history()
        .phase(Phase::Main)
        .iter()
        .map(|operation| {
            let kind = match operation.outcome {
                Outcome::Ok(_) => "ok",
                Outcome::Failed(_) => "fail",
                Outcome::Unknown(_) => "info",
            };
            (u64::from(operation.client), operation.invoked, operation.completed, kind.to_owned())
        })
        .collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn each_answer_is_what_it_says_of_the_register() {
    let events: Vec<Json> = serde_json::from_str(&exported(Form::ElleJson)).unwrap();
    let key = "a \"b\"_\\c\n";
    let ended = |process: u64, time: u64| {
        let mut found = events
            .iter()
            .filter(|event| event["type"] != "invoke" && event["process"] == process && event["time"] == time);
        found.next().unwrap()["value"].clone()
    };
    assert_eq!(ended(0, 20), json!([["r", key, null], ["w", key, "x"]]), "created");
    assert_eq!(ended(1, 20), json!([["r", key, "x"]]), "existing");
    assert_eq!(ended(0, 30), json!([["r", key, "x"]]), "found");
    assert_eq!(ended(2, 25), json!([["r", key, null]]), "absent");
    assert_eq!(ended(4, 50), json!([["r", key, null], ["w", key, "y"]]), "unknown, its document was found");
    assert_eq!(ended(5, 50), json!([["r", key, null], ["w", key, "op7"]]), "unknown, and no document");
    assert_eq!(ended(1, 60), json!([]), "no identifier");
}

#[test]
fn operations_that_meet_at_one_time_overlap() {
    let events: Vec<Json> = serde_json::from_str(&exported(Form::ElleJson)).unwrap();
    let at = |process: u64, kind: &str, time: u64| {
        let wanted = |event: &Json| event["process"] == process && event["type"] == kind && event["time"] == time;
        events.iter().position(wanted).unwrap()
    };
    assert!(at(2, "invoke", 20) < at(1, "ok", 20), "another client: no order is claimed");
    assert!(at(0, "ok", 20) < at(0, "invoke", 20), "its own client: one after the other");
}

#[test]
fn porcupine_operations_give_the_history_back() {
    let found: Vec<Json> = serde_json::from_str(&exported(Form::PorcupineJson)).unwrap();
    let history = history();
    assert_eq!(found.len(), 8);
    for (json, operation) in found.iter().zip(history.phase(Phase::Main)) {
        assert_eq!(json["ClientId"], operation.client);
        assert_eq!(json["Call"], operation.invoked);
        assert_eq!(serde_json::from_value::<Action>(json["Input"]["action"].clone()).unwrap(), operation.action);
        let answer = json["Output"]["answer"].clone();
        let outcome = match json["Output"]["status"].as_str().unwrap() {
            "ok" => Outcome::Ok(serde_json::from_value(answer).unwrap()),
            "failed" => Outcome::Failed(serde_json::from_value(answer).unwrap()),
            _ => Outcome::Unknown(serde_json::from_value(answer).unwrap()),
        };
        assert_eq!(outcome, operation.outcome);
        assert_eq!(json["Return"], if operation.is_unknown() { 61 } else { operation.completed });
    }
}

#[test]
fn a_session_is_a_list_and_a_shortened_read_is_made_whole() {
    let said = Action::Append(crate::history::Said {
        path: crate::history::MessagePath::Text,
        sender: 0,
        n: 0,
        text: "hello".into(),
        answered: true,
    });
    let element = |op, role| Element::new(Some(OpId(op)), role);
    let list: Vec<Element> =
        [(1, Role::User), (1, Role::Bot), (2, Role::User), (2, Role::Bot)].map(|(op, role)| element(op, role)).into();
    let whole = crate::history::ReadResult::new(None, list.clone());
    let short = crate::history::ReadResult { body: None, ..crate::history::ReadResult::new(None, list[..2].to_vec()) };
    let unknown = Outcome::Unknown(Cause::new("no answer"));
    let operations = vec![
        operation(1, 0, [0, 9], said.clone(), Outcome::Ok(Value::Appended(Default::default()))),
        operation(2, 1, [0, 9], said, unknown),
        operation(3, 2, [10, 11], Action::Read, Outcome::Ok(Value::Messages(short))),
        operation(4, 3, [12, 13], Action::Read, Outcome::Ok(Value::Messages(whole))),
    ];
    let history = History { operations, ..History::default() };
    assert!(elle_has_a_form(&history));
    let mut bytes = Vec::new();
    export(&history, None, Form::ElleJson, &mut bytes).unwrap();
    let events: Vec<Json> = serde_json::from_slice(&bytes).unwrap();
    let key = "a \"b\"_\\c\n";
    let ended: Vec<&Json> =
        events.iter().filter(|event| event["type"] != "invoke").map(|event| &event["value"]).collect();
    assert_eq!(*ended[0], json!([["append", key, 2], ["append", key, 3]]));
    assert_eq!(*ended[1], json!([["append", key, 4], ["append", key, 5]]), "what may have happened");
    assert_eq!(*ended[2], json!([["r", key, [2, 3]]]));
    assert_eq!(*ended[3], json!([["r", key, [2, 3, 4, 5]]]));
}

#[test]
fn nothing_is_still_valid() {
    for (form, text) in [(Form::ElleEdn, ""), (Form::ElleJson, "[]\n"), (Form::PorcupineJson, "[]\n")] {
        let mut bytes = Vec::new();
        export(&History::default(), None, form, &mut bytes).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
    }
}
