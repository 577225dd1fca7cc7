//! Scenarios that write themselves: from requests that somebody wrote down to a file that runs unchanged and finds the planted
//! race, and from a curl line to a verdict without any file.

// The lints look at test functions only, and these are helpers of tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const ONLYONE: &str = env!("CARGO_BIN_EXE_onlyone");
const RACY: &str = "--strategy create-or-get=find-then-insert --no-unique-index";

fn onlyone(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(ONLYONE);
    command.args(arguments).current_dir(folder).env_remove("ONLYONE_MONGO_URI").env_remove("DATABASE_URL");
    command.output().unwrap()
}

/// The reference service as a stranger's: a command that listens where it is told, and keeps its data where it is told.
fn service(options: &str) -> String {
    format!("exec {ONLYONE} serve --quiet --port $PORT --mongo $MONGODB_URI --database onlyone_app {options}")
}

fn report(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn root(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

/// Writes a scenario from a source, runs it unchanged, and gives what it came to.
fn written_and_run(source: [&str; 2], options: &str, command: &str) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["init", source[0], source[1], "--out", "found.toml", "--"];
    let service = service(options);
    arguments.extend(["sh", "-c", &service]);
    let output = onlyone(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = std::fs::read_to_string(folder.path().join("found.toml")).unwrap();
    assert!(text.starts_with("#:schema onlyone.schema.json\n"), "{text}");
    assert!(folder.path().join("onlyone.schema.json").exists());
    let output = onlyone(folder.path(), &[command, "found.toml", "--quiet", "--format", "json", "--seed", "1"]);
    (text, report(&output))
}

#[test]
fn a_scenario_from_an_openapi_document_or_a_browsers_recording_runs_unchanged() {
    let (openapi, har) = (root("src/service/openapi.json"), root("tests/recorded/browser-session.har"));
    for source in [["--openapi", openapi.as_str()], ["--har", har.as_str()]] {
        let (text, report) = written_and_run(source, RACY, "run");
        assert_eq!(report["verdict"], "violated", "{source:?}: {text}");
        let single =
            report["invariants"].as_array().unwrap().iter().find(|one| one["name"] == "single-document").unwrap();
        assert_eq!(single["verdict"], "violated", "{source:?}: {text}");
        assert_ne!(report["serial_control"]["verdict"], "violated", "{source:?}: a race, and no plain defect");
        for word in [
            "{{ pair.b }}",
            "{{ client.user }}",
            "token = \"$.token\"",
            "id = \"$.chat._id\"",
            "key = \"participantsKey\"",
        ] {
            assert!(text.contains(word), "{source:?} lacks {word}: {text}");
        }
        assert!(!text.contains("Bearer "), "the recorded session is not written down: {text}");
        let (text, report) = written_and_run(source, "", "run");
        assert_eq!(report["verdict"], "holds", "{source:?}: {text}\n{report}");
    }
}

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
        let service = service(options);
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
    // It is printed, too.
    let folder = tempfile::tempdir().unwrap();
    let service = service("--strategy merge=conditional-push");
    let run = ["explore", "--save", "kept.toml", "--curl", &login, "--curl", &chat, "--", "sh", "-c", &service];
    let output = onlyone(folder.path(), &run);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let kept = std::fs::read_to_string(folder.path().join("kept.toml")).unwrap();
    assert!(shown.ends_with(&kept), "{shown}\n{}", stderr(&output));
    assert!(kept.contains("path = \"/api/user-chats/{{ key }}\""), "{kept}");
}

#[test]
fn every_pair_of_the_requests_is_explored() {
    let folder = tempfile::tempdir().unwrap();
    let login = "curl http://app/login --json '{\"user\":\"ann\"}'";
    let (one, two) = (
        "curl http://app/api/conversations/morning/text --json '{\"text\":\"hello\"}'",
        "curl http://app/api/conversations/morning/voice --json '{\"text\":\"hello\"}'",
    );
    let service = service("--strategy append=find-then-save --no-unique-index");
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
    let cases: [(&[&str], i32, &[&str]); 12] = [
        (&["explore"], 2, &["SCENARIO"]),
        (&["explore", "--curl", "wget http://x", "--", "true"], 2, &["not a curl line", "hint"]),
        (&["explore", "--curl", "curl http://x -d @f", "--", "true"], 2, &["reads a file", "hint"]),
        (&["explore", "--curl", "curl http://x --json '{'", "--", "true"], 2, &["said to be JSON", "hint"]),
        (&["explore", "--curl", post], 2, &["no command starts the service", "-- node server.js"]),
        (&["explore", "--curl", post, "--fresh", "email", "--", "true"], 2, &["--fresh email", "NAME=PATH"]),
        (&["explore", "--curl", post, "--", "no-such-program"], 4, &["no-such-program", "hint"]),
        (&["explore", "--curl", post, "--", "sh", "-c", "echo sorry; exit 3"], 4, &["before it was ready", "sorry"]),
        (&["explore", "--curl", post, "--", "sh", "-c", &own], 4, &["HTTP 401", "hint"]),
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
    }
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
