//! Scenarios that write themselves: from a curl line to a file, or to a verdict without any; what is told, and what is left of it.

// The lints look at test functions only, and these are helpers of tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::Value;

use crate::support::{Running, onlyone, reference_service, report, stderr};

const ONLYONE: &str = env!("CARGO_BIN_EXE_onlyone");

#[test]
fn a_curl_line_and_a_command_are_enough() {
    let curl = |path: &str, body: &str| {
        format!(
            "curl -X POST http://app{path} -H 'Authorization: none' -H 'Content-Type: application/json' -d '{body}'"
        )
    };
    let login = "curl http://app/login --json '{\"user\":\"ann\"}'".to_owned();
    let chat = curl("/api/user-chats/c7", "");
    for (options, code, verdict) in [
        ("--strategy append=find-then-save --no-unique-index", 1, "violated"),
        ("--strategy append=upsert-push", 0, "holds"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let said = curl("/api/conversations/morning/text", "{\"text\":\"hello\"}");
        let service = reference_service(options);
        let run = [
            "explore", "--quiet", "--format", "json", "--seed", "1", "--run-id", "one", "--curl", &login, "--curl",
            &said,
        ];
        let output = onlyone(folder.path(), &[&run[..], &["--", "sh", "-c", &service]].concat());
        let first = report(&output);
        assert_eq!((output.status.code(), &first["verdict"]), (Some(code), &verdict.into()), "{first}");
        // The scenario that it leaves does it again.
        let again = ["explore", "reports/one/scenario.toml", "--quiet", "--format", "json", "--seed", "1"];
        let output = onlyone(folder.path(), &again);
        let second = report(&output);
        assert_eq!(output.status.code(), Some(code), "{second}");
        assert_eq!(second["explore"]["total"], first["explore"]["total"]);
    }
    // It is printed, too, unless stdout is for events.
    let folder = tempfile::tempdir().unwrap();
    let service = reference_service("--strategy merge=conditional-push");
    let run = ["explore", "--save", "kept.toml", "--curl", &login, "--curl", &chat, "--", "sh", "-c", &service];
    let output = onlyone(folder.path(), &run);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let kept = std::fs::read_to_string(folder.path().join("kept.toml")).unwrap();
    assert!(shown.ends_with(&kept), "{shown}\n{}", stderr(&output));
    assert!(kept.contains("path = \"/api/user-chats/{{ key }}\""), "{kept}");
    let output = onlyone(folder.path(), &[&["explore", "--events", "ndjson"], &run[3..]].concat());
    let events = String::from_utf8_lossy(&output.stdout);
    let is_event = |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|event| event["event"].is_string());
    assert!(events.lines().count() > 2 && events.lines().all(is_event), "{events}");
}

#[test]
fn every_pair_of_the_requests_is_explored() {
    let folder = tempfile::tempdir().unwrap();
    let login = "curl http://app/login --json '{\"user\":\"ann\"}'";
    let (one, two) = (
        "curl http://app/api/conversations/morning/text --json '{\"text\":\"hello\"}'",
        "curl http://app/api/conversations/morning/voice --json '{\"text\":\"hello\"}'",
    );
    let service = reference_service("--strategy append=find-then-save --no-unique-index");
    let curls = ["--curl", login, "--curl", one, "--curl", two, "--", "sh", "-c", &service];
    let output = onlyone(folder.path(), &[&["explore", "--quiet", "--run-id", "p"], &curls[..]].concat());
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{shown}{}", stderr(&output));
    assert!(shown.contains("3 of 3 choices of operations have an interleaving"), "{shown}");
    assert!(shown.contains("pairs = true"), "the scenario is printed: {shown}");
    let rows: Vec<usize> = shown
        .lines()
        .filter(|line| line.contains("  ●  ●") || line.ends_with(" ●"))
        .map(|l| l.matches('●').count())
        .collect();
    assert_eq!(rows, [1, 2], "{shown}");
    let page = std::fs::read_to_string(folder.path().join("reports/p/report.html")).unwrap();
    assert!(page.contains("Operation against operation") && page.matches("<td>●").count() >= 4, "{page}");
    let record = std::fs::read_to_string(folder.path().join("reports/p/run.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let pairs = record["as_if_serial"]["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 3);
    for pair in pairs {
        assert_eq!(pair["verdict"], "violated", "{pair:#}");
        assert!(pair["replay"].as_str().unwrap().contains("--operations"), "{pair:#}");
        assert!(!pair["in_words"].as_str().unwrap().is_empty(), "{pair:#}");
    }
    // Its history is read again.
    let checked = onlyone(folder.path(), &["check", "reports/p"]);
    assert_eq!(checked.status.code(), Some(1), "{}", stderr(&checked));
    // A cell's proof, carried out again: the operations and the schedule are enough.
    let names: Vec<&str> =
        pairs[0]["operations"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let (names, choices) = (names.join(","), pairs[0]["choices"].as_str().unwrap());
    let again = [
        "explore",
        "reports/p/scenario.toml",
        "--operations",
        &names,
        "--schedule",
        choices,
        "--quiet",
        "--format",
        "json",
    ];
    let output = onlyone(folder.path(), &again);
    let second = report(&output);
    assert_eq!((output.status.code(), &second["as_if_serial"]["verdict"]), (Some(1), &"violated".into()), "{second:#}");
    // Also where the operations were named, a proof names its own and no others.
    let all = pairs[1]["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect::<Vec<_>>()
        .join(",");
    let named = ["explore", "reports/p/scenario.toml", "--pairs", "--operations", &all, "--max-schedules", "60"];
    let named = report(&onlyone(folder.path(), &[&named[..], &["--quiet", "--format", "json"]].concat()));
    let replays: Vec<&str> = named["as_if_serial"]["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|pair| pair["replay"].as_str())
        .filter(|replay| !replay.is_empty())
        .collect();
    assert!(
        !replays.is_empty() && replays.iter().all(|replay| replay.matches("--operations").count() == 1),
        "{named:#}"
    );
    // Three at a time, within a budget that ends before all of them.
    let three = [
        "explore",
        "reports/p/scenario.toml",
        "--requests",
        "3",
        "--max-schedules",
        "40",
        "--quiet",
        "--format",
        "json",
    ];
    let output = onlyone(folder.path(), &three);
    let third = report(&output);
    assert_eq!(output.status.code(), Some(1), "{third:#}");
    assert_eq!(third["as_if_serial"]["pairs"].as_array().unwrap().len(), 4, "two operations, three requests");
    assert!(third["as_if_serial"]["pairs"][0]["operations"].as_array().unwrap().len() == 3);
    assert_eq!(third["explore"]["complete"], false);
}

#[test]
fn a_port_that_the_service_chose_itself_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let command = format!("exec {ONLYONE} serve --quiet --port 0 --mongo $STORE --database onlyone_app");
    let login = "curl http://app/login --json '{\"user\":\"ann\"}'";
    let chat = "curl -X POST http://app/api/user-chats/c7";
    let run = ["init", "--env", "STORE", "--curl", login, "--curl", chat, "--", "sh", "-c", &command];
    let output = onlyone(folder.path(), &run);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(text.contains("STORE = \"{{ mongo.uri }}\"") && text.contains("collection = \"userChats\""), "{text}");
}

#[test]
fn what_cannot_be_done_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("no.har"), "{}").unwrap();
    let post = "curl -X POST http://app/api/user-chats/c7";
    let own = format!("exec {ONLYONE} serve --quiet --port $PORT --database onlyone_app");
    std::fs::write(folder.path().join("there.toml"), "mine").unwrap();
    let starts = ["--", "sh", "-c", "touch started; exit 3"];
    let fresh = |value| [&["explore", "--curl", post, "--fresh", value][..], &starts].concat();
    let pinned = [&["init", "--curl", post, "--fresh", "id=:9"][..], &starts].concat();
    let (email, empty) = (fresh("email=$.email"), fresh("q=?q"));
    let written = [&["init", "--curl", post, "--out", "there.toml"][..], &starts].concat();
    let cases: [(&[&str], i32, &[&str]); 16] = [
        (&["explore"], 2, &["SCENARIO"]),
        (&["explore", "--curl", "wget http://x", "--", "true"], 2, &["not a curl line", "hint"]),
        (&["explore", "--curl", "curl http://x -d @f", "--", "true"], 2, &["reads a file", "hint"]),
        (&["explore", "--curl", "curl http://x --json '{'", "--", "true"], 2, &["said to be JSON", "hint"]),
        (&["explore", "--curl", post], 2, &["no command starts the service", "-- node server.js"]),
        (&["explore", "--curl", post, "--fresh", "email", "--", "true"], 2, &["--fresh email", "NAME=PATH"]),
        (&["explore", "--curl", post, "--", "no-such-program"], 4, &["no-such-program", "hint"]),
        (&["explore", "--curl", post, "--", "sh", "-c", "echo sorry; exit 3"], 4, &["before it was ready", "sorry"]),
        (&["explore", "--curl", post, "--", "sh", "-c", &own], 4, &["HTTP 401", "hint"]),
        (&email, 2, &["`--fresh email=$.email`", "no request", "hint"]),
        (&empty, 2, &["`--fresh q=?q`", "no request"]),
        (&pinned, 2, &["`--fresh id=:9`", "no request"]),
        (&written, 2, &["there.toml exists already", "--force"]),
        (&["init", "--har", "no.har", "--", "true"], 2, &["log.entries", "hint"]),
        (&["init", "--openapi", "missing.json"], 2, &["cannot read missing.json"]),
        (&["init", "--curl", "curl -X POST http://127.0.0.1:9/x"], 4, &["could not be tried", "refused"]),
    ];
    for (arguments, code, words) in cases {
        let output = onlyone(folder.path(), arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?} lacks {word}: {said}");
        }
        assert!(!folder.path().join("started").exists(), "{arguments:?}: nothing was sent, and nothing started");
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("there.toml")).unwrap(), "mine");
}

#[test]
fn a_service_that_was_tried_before_is_tried_with_other_values() {
    let service = Running::start(&["serve", "--port", "0"]);
    let folder = tempfile::tempdir().unwrap();
    let login = format!("curl {}/login --json '{{\"user\":\"ann\"}}'", service.url);
    let chat = format!("curl {}/api/chats/create-or-get --json '{{\"participantId\":\"bob\"}}'", service.url);
    for _ in 0..2 {
        let output = onlyone(folder.path(), &["init", "--curl", &login, "--curl", &chat]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(text.contains("workload = \"create-or-get\"") && text.contains("created = [201]"), "{text}");
    }
}

/// The databases of a server; it makes `config` when it gets to it.
fn databases(uri: &str) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = mongodb::Client::with_uri_str(uri).await.unwrap();
        let mut names = client.list_database_names().await.unwrap();
        names.retain(|name| name != "config");
        names
    })
}

#[test]
fn what_trials_make_on_a_server_that_stays_is_removed() {
    let server = Running::start(&["mongod"]);
    let folder = tempfile::tempdir().unwrap();
    let before = databases(&server.url);
    let service = r#"exec "$0" serve --quiet --port $PORT --mongo $MONGODB_URI --database "$(echo $MONGODB_URI | sed 's,.*/\([^?]*\).*,\1,')""#;
    let login = "curl http://app/login --json '{\"user\":\"ann\"}'";
    let chat = "curl -X POST http://app/api/user-chats/c7";
    let run = ["init", "--mongo", &server.url, "--curl", login, "--curl", chat, "--", "sh", "-c", service, ONLYONE];
    for _ in 0..2 {
        let output = onlyone(folder.path(), &run);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(text.contains("collection = \"userChats\"") && !text.contains("onlyone_init"), "{text}");
        assert_eq!(databases(&server.url), before);
    }
    // A service that does not come up has stored something before.
    let fails = r#""$0" seed --mongo "$MONGODB_URI" --database "$(echo $MONGODB_URI | sed 's,.*/\([^?]*\).*,\1,')" --profile chats --format json > seeded; exit 3"#;
    let run = ["init", "--mongo", &server.url, "--curl", chat, "--", "sh", "-c", fails, ONLYONE];
    let output = onlyone(folder.path(), &run);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("before it was ready"), "{}", stderr(&output));
    let seeded = std::fs::read_to_string(folder.path().join("seeded")).unwrap();
    assert!(seeded.contains("\"chats\":10"), "it stored something: {seeded}{}", stderr(&output));
    assert_eq!(databases(&server.url), before);
}

#[test]
fn what_went_wrong_first_is_said() {
    let server = Running::start(&["mongod"]);
    let folder = tempfile::tempdir().unwrap();
    // It takes its database down, and answers when that is gone: it cannot be read, and what was made cannot be removed.
    let port = server.url.rsplit(':').next().unwrap().trim_end_matches('/');
    let service = format!(
        "import http.server, os, signal, socket\n\
         def gone():\n    \
             try:\n        socket.create_connection(('127.0.0.1', {port})).close()\n    \
             except OSError:\n        return True\n\
         class Handler(http.server.BaseHTTPRequestHandler):\n    \
             def do_GET(self):\n        self.send_response(200); self.end_headers()\n    \
             def do_POST(self):\n        os.kill({}, signal.SIGTERM)\n        \
                 while not gone(): pass\n        self.do_GET()\n\
         http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()\n",
        server.child.id()
    );
    let post = "curl -X POST http://app/x";
    let run = ["init", "--mongo", &server.url, "--curl", post, "--", "python3", "-c", &service];
    let output = onlyone(folder.path(), &run);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("the service could not be tried: its database cannot be read"), "{said}");
}

#[test]
fn a_service_that_does_not_use_its_database_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    // It has a server of its own, and never comes to the one that it was given.
    let command = format!("exec {ONLYONE} serve --quiet --port $PORT --mongo embedded --database onlyone_app");
    let login = "curl http://app/login --json '{\"user\":\"ann\"}'";
    let chat = "curl -X POST http://app/api/user-chats/c7";
    let output = onlyone(folder.path(), &["explore", "--curl", login, "--curl", chat, "--", "sh", "-c", &command]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("did not connect to the server that it was given") && said.contains("--env NAME"), "{said}");
}
