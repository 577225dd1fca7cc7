//! The table from answers to outcomes.

use super::*;
use crate::scenario::{self, Scenario};

/// The operation of a small scenario; `more` are further keys of it.
fn operation(more: &str) -> OperationSpec {
    let text = format!(
        "name = 'a'\nworkload = 'create-or-get'\n[target.http]\nbase_urls = ['http://127.0.0.1:1']\n\
         [target.http.operations.create-or-get]\npath = '/x'\n{more}\n[load.burst]\nclients = 2\nrounds = 1\n"
    );
    let known: scenario::KnownStrategies<'_> = &|_| &[];
    let scenario: Scenario = scenario::load_text(std::path::Path::new("a.toml"), text, &[], &|_| None, known)
        .unwrap_or_else(|error| panic!("{}", error.render(false)));
    scenario.target.http().unwrap().operations["create-or-get"].clone()
}

fn answer(status: u16, body: &str) -> Result<Answer, NoAnswer> {
    let content_type = if body.starts_with('<') { "text/html" } else { "application/json" };
    Ok(Answer { status, content_type: content_type.into(), cookies: Vec::new(), location: None, body: body.into() })
}

/// `ok ID CREATED`, `failed CODE` or `unknown CODE`.
fn told(spec: &OperationSpec, action: &Action, answer: &Result<Answer, NoAnswer>) -> String {
    let code = |cause: &Cause| {
        let code =
            cause.database_error().map_or_else(|| cause.status().map(i32::from), crate::history::DatabaseError::code);
        code.map_or("-".to_owned(), |code| code.to_string())
    };
    match outcome(spec, None, action, answer, &Redactor::default()) {
        Outcome::Ok(Value::Document(Returned { id, created, .. })) => {
            let id = id.map_or("-".to_owned(), |id| id.to_string());
            format!("ok {id} {}", created.map_or("-".to_owned(), |created| created.to_string()))
        }
        Outcome::Ok(Value::Found(id)) => format!("found {}", id.map_or("-".to_owned(), |id| id.to_string())),
        Outcome::Ok(other) => format!("{other:?}"),
        Outcome::Failed(cause) => format!("failed {}", code(&cause)),
        Outcome::Unknown(cause) => format!("unknown {}", code(&cause)),
    }
}

#[test]
fn answers_of_the_other_workloads_are_read() {
    let word = str::to_owned;
    let (op, role, bot, text) = (word("opId"), word("role"), word("bot"), word("text"));
    let messages =
        MessageSpec { op, role, bot, text, sender: word("sender"), n: word("n"), answers: true, repeats: false };
    let mut spec = operation("");
    let paths =
        [("id", "$.id"), ("messages", "$.list"), ("applied", "$.applied"), ("members", "$.who"), ("added", "$.new")];
    spec.outcome = paths.map(|(name, path)| (name.to_owned(), JsonPath::compile(path).unwrap())).into();
    spec.status.absent = vec![404];
    let said = |status, action: &Action, body: &str| match outcome(
        &spec,
        Some(&messages),
        action,
        &answer(status, body),
        &Redactor::default(),
    ) {
        Outcome::Ok(Value::Messages(seen)) => {
            format!("read {}", seen.body.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        }
        Outcome::Ok(Value::Delivered(delivered)) => format!("applied {}", delivered.applied),
        Outcome::Ok(Value::Thread(thread)) => format!("thread {:?} {:?}", thread.members, thread.added),
        Outcome::Ok(Value::Found(id)) => format!("found {id:?}"),
        Outcome::Ok(other) => format!("{other:?}"),
        Outcome::Failed(cause) => format!("failed {}", cause.message),
        Outcome::Unknown(cause) => format!("unknown {}", cause.message),
    };
    let delivery = crate::history::Delivery {
        content: 0,
        nth: 0,
        path: crate::history::CodePath::ManualMerge,
        via: crate::history::Via::Webhook,
    };
    let deliver = Action::Deliver(delivery);
    let cases = [
        (200, &Action::Read, r#"{"id":"x","list":[{"opId":1},{"opId":1,"role":"bot"}]}"#, "read 1u 1b"),
        (200, &Action::Read, r#"{"id":"x","list":[]}"#, "read "),
        (404, &Action::Read, "{}", "read "),
        // A message that names nobody is not a message that nobody sent.
        (200, &Action::Read, r#"{"id":"x","list":[{"text":"hello"}]}"#, "names no operation"),
        (200, &Action::Read, r#"{"id":"x"}"#, "no messages at $.list"),
        (200, &deliver, r#"{"applied":false}"#, "applied false"),
        (200, &deliver, r#"{"applied":"yes"}"#, "does not tell"),
        (404, &deliver, "{}", "failed HTTP 404"),
        (
            200,
            &Action::ReadThread,
            r#"{"id":"x","who":["a","b"],"new":["b"]}"#,
            r#"thread Some(["a", "b"]) Some(["b"])"#,
        ),
        (200, &Action::ReadThread, r#"{"id":"x","who":[1]}"#, "something else than names"),
        (404, &Action::ReadThread, "", "found None"),
    ];
    for (status, action, body, expected) in cases {
        let found = said(status, action, body);
        assert!(found.contains(expected), "{body}: {found}");
    }
}

#[test]
fn every_answer_has_its_outcome() {
    let spec = operation("outcome = { id = '$.chat._id', created = '$.created', error = '$.error' }");
    let create = Action::CreateOrGet { reversed: false };
    let cases = [
        (200, r#"{"chat":{"_id":"x"},"created":true}"#, "ok x true"),
        (201, r#"{"chat":{"_id":"x"},"created":false}"#, "ok x false"),
        (200, r#"{"chat":{"_id":{"$oid":"x"}}}"#, "ok x -"),
        (200, r#"{"chat":{"_id":7}}"#, "ok 7 -"),
        // It says yes and does not show what it did.
        (200, r#"{"chat":null}"#, "unknown 200"),
        (200, r#"{"error":"no"}"#, "unknown 200"),
        (200, r#"{"error":{"code":11000},"chat":{"_id":"x"}}"#, "unknown 200"),
        // It says yes, and passes the database's error on all the same.
        (200, r#"{"success":false,"message":"E11000 duplicate key error"}"#, "unknown 11000"),
        (200, r#"{"data":{"open":null},"errors":[{"message":"E11000 duplicate key"}]}"#, "unknown 11000"),
        (200, r#"{"chat":{"_id":"x","topic":"E11000 explained"},"created":false}"#, "ok x false"),
        (200, "E11000 duplicate key", "unknown 11000"),
        (200, r#"{"error":false,"chat":{"_id":"x"}}"#, "ok x -"),
        (200, "<!doctype html><h1>Welcome", "unknown 200"),
        (200, "", "unknown 200"),
        (200, r#"{"chat":{"_id":"x""#, "unknown 200"),
        // Only the table makes a failure.
        (400, r#"{"message":"bad"}"#, "failed 400"),
        (404, "", "failed 404"),
        (409, r#"{"message":"E11000 duplicate key error"}"#, "unknown 11000"),
        // A number alone may be the application's own.
        (422, r#"{"err":{"code":11000}}"#, "failed 422"),
        (422, r#"{"err":{"code":11000,"codeName":"DuplicateKey"}}"#, "failed 11000"),
        (418, "", "unknown 418"),
        (500, r#"{"message":"E11000 duplicate key error collection"}"#, "unknown 11000"),
        (500, r#"{"errors":[{"code":112}]}"#, "unknown 500"),
        (500, r#"{"errors":[{"codeName":"WriteConflict","code":112}]}"#, "unknown 112"),
        (500, r#"{"code":500}"#, "unknown 500"),
        (503, "", "unknown 503"),
        (302, "", "unknown 302"),
        (204, "", "unknown 204"),
    ];
    for (status, body, expected) in cases {
        assert_eq!(told(&spec, &create, &answer(status, body)), expected, "{status} {body}");
    }
    assert_eq!(told(&spec, &create, &Err(NoAnswer::NotSent("refused".into()))), "failed -");
    assert_eq!(told(&spec, &create, &Err(NoAnswer::Lost("reset".into()))), "unknown -");
    assert_eq!(told(&spec, &Action::Get, &answer(200, r#"{"chat":{"_id":"x"}}"#)), "found x");
}

#[test]
fn a_table_of_the_users_own_is_followed() {
    let spec = operation("outcome = { id = '$.id', existing = '$.old' }\nstatus = { created = [201], failed = [409] }");
    let create = Action::CreateOrGet { reversed: false };
    let cases = [
        (201, r#"{"id":"x"}"#, "ok x true"),
        (200, r#"{"id":"x"}"#, "ok x false"),
        (200, r#"{"id":"x","old":false}"#, "ok x true"),
        (409, "", "failed 409"),
        (400, "", "unknown 400"),
    ];
    for (status, body, expected) in cases {
        assert_eq!(told(&spec, &create, &answer(status, body)), expected, "{status} {body}");
    }
    // A refusal is no error, whatever it quotes, and its body may say so where the status does not.
    let spec = operation("outcome = { id = '$.id', refused = '$.taken' }\nstatus = { ok = [200], refused = [409] }");
    for (status, body) in
        [(409, r#"{"error":"E11000 duplicate key"}"#), (200, r#"{"taken":true}"#), (422, r#"{"taken":"yes"}"#)]
    {
        let found = outcome(&spec, None, &create, &answer(status, body), &Redactor::default());
        assert!(
            matches!(&found, Outcome::Failed(cause) if cause.is_refusal() && !cause.is_lost_race()),
            "{body}: {found:?}"
        );
    }
    assert_eq!(told(&spec, &create, &answer(200, r#"{"id":"x","taken":false}"#)), "ok x -");
    let silent = operation("status = { ok = [202] }");
    assert_eq!(told(&silent, &create, &answer(202, "queued")), "ok - -");
}

#[test]
fn a_yes_without_a_name_is_told_from_a_no_and_from_what_cannot_be_read() {
    let spec = operation("outcome = { id = '$.chat._id', created = '$.created' }");
    let create = Action::CreateOrGet { reversed: false };
    for (body, unnamed) in [
        (r#"{"chat":null}"#, true),
        (r#"{"success":true}"#, true),
        (r#"{"created":false}"#, true),
        (r#"{"success":false}"#, false),
        (r#"{"error":"try later"}"#, false),
        ("<!doctype html>", false),
        (r#"{"chat":"#, false),
        // As with 204 and 303: a status, and nothing else.
        ("", true),
    ] {
        let found = outcome(&spec, None, &create, &answer(200, body), &Redactor::default());
        assert!(matches!(&found, Outcome::Unknown(cause) if cause.is_unnamed() == unnamed), "{body}: {found:?}");
    }
    let elsewhere = operation("outcome = { created = '$.created' }");
    let found = outcome(&elsewhere, None, &create, &answer(200, r#"{"created":true}"#), &Redactor::default());
    assert!(
        matches!(&found, Outcome::Ok(Value::Document(Returned { nameless: true, .. }))),
        "not looked for: {found:?}"
    );
    let read = outcome(&spec, None, &Action::Get, &answer(200, ""), &Redactor::default());
    assert!(matches!(&read, Outcome::Unknown(cause) if !cause.is_unnamed()), "a read has something to say: {read:?}");
}

#[test]
fn the_scenarios_own_meaning_of_404_comes_before_the_built_in_one() {
    let read = |status: &str| {
        let get = format!("[target.http.operations.get]\npath = '/x'\noutcome = {{ id = '$.id' }}\n{status}");
        let text = format!(
            "name = 'a'\nworkload = 'create-or-get'\n[target.http]\nbase_urls = ['http://127.0.0.1:1']\n\
             [target.http.operations.create-or-get]\npath = '/x'\n{get}\n[load.burst]\nclients = 2\nrounds = 1\n"
        );
        let known: scenario::KnownStrategies<'_> = &|_| &[];
        let scenario = scenario::load_text(std::path::Path::new("a.toml"), text, &[], &|_| None, known)
            .unwrap_or_else(|error| panic!("{}", error.render(false)));
        scenario.target.http().unwrap().operations["get"].clone()
    };
    for (status, code, expected) in [
        ("", 404, "found -"),
        ("status = { failed = [404] }", 404, "failed 404"),
        ("status = { unknown = [404] }", 404, "unknown 404"),
        ("status = { absent = [410] }", 410, "found -"),
        ("status = { absent = [410] }", 404, "failed 404"),
    ] {
        assert_eq!(told(&read(status), &Action::Get, &answer(code, "")), expected, "{status} {code}");
    }
}

#[test]
fn causes_are_one_line_without_secrets() {
    let spec = operation("outcome = { id = '$.id' }");
    let redactor = Redactor::new(vec!["tok-123".into()]);
    let create = Action::CreateOrGet { reversed: false };
    let found = outcome(&spec, None, &create, &answer(500, "no\n token tok-123 <b>"), &redactor);
    let Outcome::Unknown(cause) = found else { panic!("{found:?}") };
    assert_eq!(&*cause.message, "HTTP 500: no token *** <b>");
}

#[test]
fn a_body_that_is_not_one_json_value_is_called_what_it_is() {
    let of = |body: &[u8]| {
        let answer = Answer { status: 200, content_type: "text/x".into(), body: body.to_vec(), ..Answer::default() };
        why_not_json(&answer)
    };
    assert_eq!(of(b"hello"), "the body is not JSON (text/x)");
    assert_eq!(of(b"{\"a\":1}\nhello"), "the body is not JSON (text/x)");
    assert!(of(b"{\"a\":1}\n\n{\"a\":2}\n").starts_with("the body is several lines of JSON (text/x)"));
    assert!(of(&[0x1f, 0x8b, 8, 0]).starts_with("the body is compressed (gzip)"));
}

#[test]
fn a_location_is_taken_from_its_path_on() {
    for (location, own, parts) in [
        ("/posts/9?new#top", "/posts/9?new#top", &["posts", "9"][..]),
        ("http://127.0.0.1:8080/posts/9", "/posts/9", &["posts", "9"]),
        ("https://shop.example", "/", &[]),
        ("https://shop.example?new", "?new", &[]),
        ("/login?next=http://shop.example/cart", "/login?next=http://shop.example/cart", &["login"]),
        ("posts/9", "posts/9", &["posts", "9"]),
        ("", "", &[]),
    ] {
        assert_eq!(super::own_location(location), own, "{location}");
        assert_eq!(super::parts(location).collect::<Vec<_>>(), parts, "{location}");
    }
}
