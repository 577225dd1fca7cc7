//! A curl line and the command of a service, and nothing else: the race is found, the scenario is printed, and that scenario
//! finds it again. Its correct twin holds.

use std::path::Path;
use std::process::{Command, Output};

use super::trial::{ONLYONE, node_path, python_path};

/// Runs the command in a folder, in an environment like a developer's.
fn onlyone(folder: &Path, arguments: &[&str], mode: &str) -> Output {
    carried_out(ONLYONE, folder, arguments, mode)
}

/// Runs a program like that.
fn carried_out(program: &str, folder: &Path, arguments: &[&str], mode: &str) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_remove("ONLYONE_MONGO_URI")
        .env_remove("DATABASE_URL")
        .env("MODE", mode)
        .env("NODE_PATH", node_path())
        .env("PYTHONPATH", python_path())
        .output()
        .unwrap()
}

/// Explores routes before and after their fix, and the scenario that each leaves.
fn found_and_found_again(curls: &[&str], command: &[&str]) {
    for (mode, code) in [("buggy", 1), ("fixed", 0)] {
        let folder = tempfile::tempdir().unwrap();
        let given = ["explore", "--quiet", "--seed", "1", "--run-id", "one"];
        let requests: Vec<&str> = curls.iter().flat_map(|curl| ["--curl", curl]).chain(["--"]).collect();
        let output = onlyone(folder.path(), &[&given[..], &requests, command].concat(), mode);
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{curls:?} {mode}: {shown}{errors}");
        let kept = std::fs::read_to_string(folder.path().join("reports/one/scenario.toml")).unwrap();
        assert!(shown.ends_with(&kept), "the scenario is printed: {shown}");
        assert_eq!(shown.contains("NOT as if serial"), mode == "buggy", "{shown}");
        let again = ["explore", "--quiet", "--seed", "1", "reports/one/scenario.toml"];
        let output = onlyone(folder.path(), &again, mode);
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{curls:?} {mode}, again: {shown}");
    }
}

fn services(file: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/pairs").join(file).display().to_string()
}

#[test]
fn a_curl_line_is_enough_for_an_express_service() {
    found_and_found_again(&["curl -X POST http://app/join/ann"], &["node", &services("express.js")]);
}

#[test]
fn a_curl_line_is_enough_for_a_fastapi_service() {
    let command =
        format!("exec python3 -m uvicorn app:app --app-dir {} --port $PORT --log-level warning", services(""));
    found_and_found_again(&["curl -X POST http://app/job/monday"], &["sh", "-c", &command]);
}

/// The very first request makes a document, which is safe; those who find it there lose what they write. One of the routes
/// has nothing to work on unless the other came first.
#[test]
fn requests_meet_where_something_is_there_already() {
    let app = format!("exec python3 -m uvicorn queues:app --app-dir {} --port $PORT --log-level warning", services(""));
    let command = ["sh", "-c", &app];
    let come = "curl -X PUT http://app/lines/doctor --json '{\"person\":\"ann\"}'";
    found_and_found_again(&[come, "curl -X DELETE http://app/lines/doctor/first"], &command);
}

/// What is worked on has an identifier that the first request answers with: it is none of its values, and another document
/// has these. That request meets others as well, where nothing was held before.
#[test]
fn requests_meet_on_what_another_one_answers_with() {
    let requests = [
        "curl -X POST http://app/items/lamp/hold",
        "curl -X POST http://app/holds/65a1b2c3d4e5f60718293a4b/confirm",
        "curl -X POST http://app/holds/65a1b2c3d4e5f60718293a4b/release",
    ];
    found_and_found_again(&requests, &["node", &services("holds.js")]);
}

#[test]
fn a_request_that_was_asked_for_and_cannot_be_sent_leaves_it_inconclusive() {
    let folder = tempfile::tempdir().unwrap();
    let hold = "curl -X POST http://app/items/lamp/hold";
    let nowhere = "curl -X POST http://app/nowhere";
    let service = services("holds.js");
    let given = ["explore", "--quiet", "--curl", hold, "--curl", nowhere, "--", "node", &service];
    let output = onlyone(folder.path(), &given, "fixed");
    let shown = String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(3), "{shown}");
    assert!(shown.contains("not explored: POST /nowhere: it was answered with HTTP 404"), "{shown}");
}

/// The others are explored all the same.
#[test]
fn an_answer_without_end_ends_no_trials() {
    let folder = tempfile::tempdir().unwrap();
    let hold = "curl -X POST http://app/items/lamp/hold";
    let service = services("holds.js");
    let given = ["explore", "--quiet", "--curl", "curl http://app/events", "--curl", hold, "--", "node", &service];
    let output = onlyone(folder.path(), &given, "fixed");
    let shown = String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(3), "{shown}");
    assert!(shown.contains("not explored: GET /events: no answer came to its end"), "{shown}");
    assert!(shown.contains("as if serial: all"), "{shown}");
}

/// In fifty attempts something comes that comes once in ten times, and in a few serial runs it does not.
#[test]
fn what_is_drawn_by_lot_seldom_is_no_race_and_a_race_beside_it_is_found() {
    found_and_found_again(&["curl -X PUT http://app/visitors/ann"], &["node", &services("lots.js")]);
}

/// Whether two requests have one document or two is a lot as well; that one document is made of them was guessed in trials.
#[test]
fn a_document_that_is_drawn_by_lot_accuses_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let service = services("lots.js");
    for requests in [["--curl", "curl -X POST http://app/counters/home/hits"]; 3] {
        let given = [&["explore", "--quiet"], &requests[..], &["--", "node", &service]].concat();
        let output = onlyone(folder.path(), &given, "fixed");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{shown}");
    }
}

/// The answer is a `Location` without a body: one of two callers is led to what is not there.
#[test]
fn where_an_answer_leads_is_compared() {
    found_and_found_again(&["curl -i -X POST http://app/carts/blue/checkout"], &["node", &services("located.js")]);
}

/// What the second request works on is named in the first one's `Location` alone.
#[test]
fn requests_meet_on_what_another_one_leads_to() {
    let requests = [
        "curl -X POST http://app/baskets --json '{\"owner\":\"ann\"}'",
        "curl -X POST http://app/baskets/65a1b2c3d4e5f60718293a4b/lines",
    ];
    found_and_found_again(&requests, &["node", &services("located.js")]);
}

/// The last request needs what the one before it does, and finds nothing before it.
#[test]
fn requests_meet_in_the_state_that_they_need() {
    let of = |route: &str| format!("curl -X POST http://app/jobs/65a1b2c3d4e5f60718293a4b/{route}");
    let requests = ["curl -X POST http://app/jobs", &of("claim"), &of("close")];
    found_and_found_again(&requests, &["node", &services("states.js")]);
}

/// What the last request works on is made of what the first one made.
#[test]
fn requests_meet_on_what_several_make_one_after_the_other() {
    let board = "http://app/boards/65a1b2c3d4e5f60718293a4b";
    let list = format!("{board}/lists/75a1b2c3d4e5f60718293a4b");
    let requests = ["http://app/boards", &format!("{board}/lists"), &format!("{list}/archive")];
    let requests = requests.map(|url| format!("curl -X POST {url}"));
    found_and_found_again(&requests.each_ref().map(String::as_str), &["node", &services("states.js")]);
}

/// The request sends several commands at once, but only where the other one has been before.
#[test]
fn what_is_sent_side_by_side_by_one_request_alone_is_its_own() {
    let requests = ["curl -X PUT http://app/carts/blue", "curl -X POST http://app/carts/blue/order"];
    found_and_found_again(&requests, &["node", &services("states.js")]);
}

/// Two are served one too many only where two were served before.
#[test]
fn two_meet_where_one_is_left() {
    found_and_found_again(&["curl -X POST http://app/parties/blue/guests"], &["node", &services("states.js")]);
}

/// What was looked for and made is a collection, whose name has the key in it.
#[test]
fn requests_meet_on_a_collection_that_is_called_after_their_key() {
    let opens = "curl -X POST http://app/tenants --json '{\"name\":\"Acme Ltd\",\"plan\":\"small\"}'";
    found_and_found_again(&[opens], &["node", &services("stores.js")]);
}

/// The service answers without waiting for its write, which is none of the next request's, and nobody else's.
#[test]
fn writes_that_nobody_waits_for_are_those_of_their_request() {
    found_and_found_again(&["curl -X POST http://app/pages/home/visits"], &["node", &services("stores.js")]);
}

/// Two at once begin two buckets, and one after the other fill the same: no value is lost.
#[test]
fn documents_that_are_filled_until_they_are_full_accuse_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let adds = "curl http://app/sensors/s1/values --json '{\"value\":21.5}'";
    let service = services("stores.js");
    let output = onlyone(folder.path(), &["explore", "--quiet", "--curl", adds, "--", "node", &service], "fixed");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{shown}");
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("documents that are filled until they are full"), "{shown}");
    assert!(shown.contains("is no rule of this service: its documents are filled"), "{shown}");
}

/// Two who are logged in as two users do not meet on what is each one's own; whoever clicks twice does.
#[test]
fn who_is_logged_in_races_with_himself_for_what_is_his_own() {
    let requests = [
        "curl http://app/login --json '{\"username\":\"ann\",\"password\":\"secret\"}'",
        "curl -X POST http://app/me/points -H 'Authorization: Bearer dG9rZW4tb2YtYW5u'",
        "curl -X POST http://app/posts/p1/likes -H 'Authorization: Bearer dG9rZW4tb2YtYW5u'",
    ];
    found_and_found_again(&requests, &["node", &services("stores.js")]);
}

/// The list is there before the two that move a song: orders in which it comes later explain nothing, in the exploration and in its replay.
#[test]
fn what_is_found_after_another_request_is_found_again_by_its_command() {
    let folder = tempfile::tempdir().unwrap();
    let (makes, moves) = ("curl -X PUT http://app/playlists/mix", "curl -X POST http://app/playlists/mix/songs/b/top");
    let service = services("stores.js");
    let given = ["explore", "--quiet", "--seed", "1", "--curl", makes, "--curl", moves, "--", "node", &service];
    let output = onlyone(folder.path(), &given, "buggy");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    let replay =
        shown.lines().find_map(|line| line.strip_prefix("replay        onlyone ")).unwrap_or_else(|| panic!("{shown}"));
    assert!(replay.contains(" --in-turn 1"), "{replay}");
    // Without the second command of a request the schedule does not fit.
    for (mode, expected) in [("buggy", &[1][..]), ("fixed", &[0, 3])] {
        let line = format!("exec {ONLYONE} {replay} --quiet");
        let output = carried_out("sh", folder.path(), &["-c", &line], mode);
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code().is_some_and(|code| expected.contains(&code)), "{mode}: {shown}");
    }
}

/// A word in the place of a telephone number is refused: another number is made.
#[test]
fn what_must_be_a_number_in_writing_is_another_one_each_time() {
    let signs_up = "curl http://app/phones --json '{\"phone\":\"+41 79 555-0123\"}'";
    found_and_found_again(&[signs_up], &["node", &services("located.js")]);
}

/// The value stands in a text that is neither JSON nor a form.
#[test]
fn a_value_within_xml_is_another_one_each_time() {
    let adds = "curl http://app/books -H 'content-type: application/xml' \
                -d '<book lang=\"de\"><isbn>978-3-1614-8410-0</isbn><title>Der Turm</title></book>'";
    found_and_found_again(&[adds], &["node", &services("located.js")]);
}
