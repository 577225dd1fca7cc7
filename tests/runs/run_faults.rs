//! Faults of a run, through the real binary: what breaks is mended, correct strategies are left alone, racy ones are found,
//! and what was lost is told as that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use onlyone::target::ClockLibrary;
use serde_json::Value;

use crate::support::{self, Ended, Running, carried_out, command, node_path, path_with_node};

/// A short load on MongoDB with a fault in the middle of it.
fn scenario(workload: &str, target: &str, load: &str, faults: &str) -> String {
    format!("name = \"t\"\nworkload = \"{workload}\"\n[target.mongo]\n{target}\n{load}\n{faults}\n")
}

const CLOSED: &str = "[load.closed]\nclients = 8\nduration = \"1500ms\"\nkeys = { uniform = { count = 60 } }";

/// Runs it, and checks that the stored run is judged alike.
#[track_caller]
fn run(text: &str, more: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    std::fs::write(&file, text).unwrap();
    let (file, out) = (file.display().to_string(), folder.path().join("out").display().to_string());
    let arguments =
        ["run", &file, "--out", &out, "--run-id", "r", "--seed", "1", "--quiet", "--ci", "none", "--format", "json"];
    let ended = Ended::of(&command(&arguments).args(more).output().unwrap());
    if ended.report.is_object() {
        let stored = format!("{out}/r");
        let again = Ended::of(&command(&["check", &stored, "--format", "json"]).output().unwrap());
        assert_eq!((again.code, &again.report["faults"]), (ended.code, &ended.report["faults"]), "{}", again.errors);
        assert_eq!(again.report["invariants"], ended.report["invariants"]);
    }
    ended
}

fn faults(ended: &Ended) -> Vec<(&str, u64)> {
    let of = |fault: &'_ Value| fault["struck"].as_u64().unwrap_or_default();
    let all = ended.report["faults"].as_array().into_iter().flatten();
    all.map(|fault| (fault["kind"].as_str().unwrap(), of(fault))).collect()
}

#[test]
fn a_killed_server_comes_back_and_what_its_journal_had_is_there() {
    let target = "strategy = \"upsert-push\"\nwrite_concern = \"journal\"";
    let ended = run(&scenario("append", target, CLOSED, "[[fault]]\nkind = \"kill-mongod\"\nat = \"500ms\""), &[]);
    assert_eq!((ended.code, ended.verdict()), (Some(0), "holds"), "{}", ended.why());
    assert_eq!(faults(&ended), [("kill-mongod", 0)]);
    assert_eq!(ended.report["faults"][0]["may_lose"], true);
}

#[test]
fn a_race_is_found_beside_a_killed_server_and_its_correct_twin_is_left_alone() {
    let burst = "[load.burst]\nclients = 8\nrounds = 400";
    let fault = "[[fault]]\nkind = \"kill-mongod\"\nat = \"200ms\"";
    for (strategy, index, expected) in [("find-then-insert", false, "violated"), ("upsert-retry", true, "")] {
        let target = format!("strategy = \"{strategy}\"\nunique_index = {index}");
        let ended = run(&scenario("create-or-get", &target, burst, fault), &[]);
        assert_eq!(faults(&ended).len(), 1, "{}", ended.why());
        match expected {
            // What the server lost may leave it inconclusive, which accuses nobody.
            "" => assert_ne!(ended.verdict(), "violated", "{}", ended.why()),
            expected => assert_eq!(ended.verdict(), expected, "{}", ended.why()),
        }
    }
}

#[test]
fn the_way_to_a_server_breaks_whoever_started_it_and_what_was_applied_is_resolved() {
    let server = Running::start(&["mongod"]);
    // Once a connection is lost, the driver looks for its server for half a second.
    let text = "[[fault]]\nkind = \"delay\"\nat = \"100ms\"\nfor = \"200ms\"\ndelay = \"10ms\"\n\
        [[fault]]\nkind = \"lost-answer\"\nat = \"400ms\"\nfor = \"400ms\"\nprobability = \"20%\"\n\
        [[fault]]\nkind = \"reset-connections\"\nat = \"1200ms\"\n";
    let ended = run(&scenario("append", "strategy = \"upsert-push\"", CLOSED, text), &["--mongo", &server.url]);
    assert_eq!((ended.code, ended.verdict()), (Some(0), "holds"), "{}", ended.why());
    let found = faults(&ended);
    assert_eq!(found.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["delay", "lost-answer", "reset-connections"]);
    assert!(found.iter().all(|(_, struck)| *struck > 0), "{found:?}");
    assert!(ended.report["faults"][1]["unknown"].as_u64() > Some(0), "{found:?}");
}

#[test]
fn an_error_that_the_server_was_made_to_answer_with_is_held_against_nobody() {
    let text = "[[fault]]\nkind = \"fail-command\"\nat = \"200ms\"\nfor = \"300ms\"\ncode = 112\ncommands = [\"insert\", \"findAndModify\"]";
    let ended = run(&scenario("create-or-get", "strategy = \"upsert-retry\"", CLOSED, text), &[]);
    assert_eq!(
        (ended.code, ended.verdict()),
        (Some(0), "holds"),
        "an injected error was held against it: {}",
        ended.why()
    );
    assert!(faults(&ended)[0].1 > 0, "{}", ended.why());
}

#[test]
fn faults_that_strike_a_server_which_somebody_else_started_are_refused() {
    let named = ["--mongo", "mongodb://127.0.0.1:1", "--shard", "0/2"];
    for (kind, more) in [("pause-mongod", &named[..2]), ("reset-connections", &named)] {
        let fault = format!("[[fault]]\nkind = \"{kind}\"\nat = \"200ms\"");
        let ended = run(&scenario("append", "strategy = \"upsert-push\"", CLOSED, &fault), more);
        assert_eq!(ended.code, Some(2), "{}", ended.errors);
        assert!(ended.errors.contains(kind), "{}", ended.errors);
    }
}

#[test]
fn a_fault_that_never_happened_leaves_the_run_inconclusive() {
    let burst = "[load.burst]\nclients = 2\nrounds = 3";
    let fault = "[[fault]]\nkind = \"pause-mongod\"\nat = \"1h\"";
    let ended = run(&scenario("create-or-get", "strategy = \"upsert-retry\"", burst, fault), &[]);
    assert_eq!((ended.code, ended.verdict()), (Some(3), "inconclusive"), "{}", ended.why());
    assert!(ended.report["reasons"].to_string().contains("`pause-mongod` never happened"), "{}", ended.why());
}

/// A set of three whose primary is cut off long enough for the others to elect one of themselves.
/// It comes soon after the unique index was made, which is not to be lost with it.
const PARTITION: &str = "[limits]\nserial_control = 0\n[mongod]\nreplica_set = 3\n\
    [[fault]]\nkind = \"partition\"\nat = \"200ms\"\nfor = \"2500ms\"";
const LONG: &str = "[load.closed]\nclients = 4\nduration = \"2500ms\"\nkeys = { uniform = { count = 60 } }";

#[test]
fn what_a_primary_that_is_cut_off_had_alone_is_told_as_a_rollback_with_its_term() {
    let target = "strategy = \"upsert-push\"\nwrite_concern = \"memory\"";
    let ended = run(&scenario("append", target, LONG, PARTITION), &[]);
    // It acknowledged writes for a second, which are gone.
    assert_eq!((ended.code, ended.verdict()), (Some(3), "inconclusive"), "{}", ended.why());
    assert!(ended.report["faults"][0]["met"].to_string().contains("the primary"), "{}", ended.why());
    let lost = ended.report["invariants"].as_array().unwrap().iter().find(|one| one["name"] == "no-lost-messages");
    let why = lost.unwrap()["reason"].as_str().unwrap();
    let (change, term) = why.split_once(", term 1 → ").unwrap_or_else(|| panic!("{why}"));
    let failed_over = "the replica set failed over: primary 127.0.0.1:";
    // An election in which nobody has a majority takes a term of its own.
    let (term, rest) = term.split_once(": ").unwrap_or((term, ""));
    assert!(term.parse::<u64>().is_ok_and(|term| term >= 2), "{why}");
    let planned = "what was acknowledged before it was durable may have been lost, which is not the service's race: \
                   `partition` at ";
    if change.starts_with(planned) {
        assert!(change.contains(&format!(" s; {failed_over}")), "{why}");
        assert_eq!(
            rest,
            "a rollback, of what the old primary alone had. Nothing is violated on keys that this did not touch"
        );
    } else {
        // On a busy machine there may be one election more than there are faults, and that one has a cause of its own.
        let accident = format!("acknowledged data may have been lost, which is not the service's race: {failed_over}");
        assert!(change.starts_with(&accident), "{why}");
        assert_eq!(rest, "", "{why}");
    }
}

#[test]
fn a_slow_disk_makes_who_waits_for_the_journal_late_and_loses_nothing() {
    let target = "strategy = \"upsert-push\"\nwrite_concern = \"journal\"";
    let fault = "[[fault]]\nkind = \"slow-disk\"\nat = \"200ms\"\nfor = \"1s\"\ndelay = \"300ms\"";
    let ended = run(&scenario("append", target, CLOSED, fault), &[]);
    assert_eq!((ended.code, ended.verdict()), (Some(0), "holds"), "{}", ended.why());
    assert!(faults(&ended)[0].1 > 0, "{}", ended.why());
    // Who is held back once is held back for a tenth of a second.
    let latest = ended.report["operations"]["append"]["latency_us"]["max"].as_u64();
    assert!(latest > Some(50_000), "{latest:?}");
}

/// Two instances of `tests/services/moments`, one of which has its clock moved.
#[test]
fn a_lock_by_the_services_own_clock_breaks_when_that_is_moved_and_one_by_the_databases_holds() {
    if ClockLibrary::find().is_none() {
        println!("skipped: libfaketime is not installed");
        return;
    }
    for (mode, expected) in [("racy", (Some(1), "violated")), ("", (Some(0), "holds"))] {
        let fault = "[[fault]]\nkind = \"clock\"\nat = \"100ms\"\nby = \"+5m\"\nfor = \"1m\"";
        let ended = tickets(mode, "clients = 2\nrounds = 150", fault);
        assert_eq!((ended.code, ended.verdict()), expected, "{mode}: {}", ended.why());
        assert_eq!(faults_of(&ended, "clock"), 1);
    }
}

/// What an office makes at its start, two instances make at once, if they start together.
#[test]
fn what_is_made_at_a_start_is_raced_for_when_instances_start_together_on_a_new_database() {
    let (violated, holds) = ((Some(1), "violated"), (Some(0), "holds"));
    for (mode, fresh, rounds, expected) in
        [("racy", "service", 3, violated), ("", "service", 3, holds), ("racy", "database", 2, holds)]
    {
        let flags = ["--set", &format!("load.fresh={fresh}")];
        let ended = tickets_with(mode, &format!("clients = 2\nrounds = {rounds}"), "", &flags);
        assert_eq!((ended.code, ended.verdict()), expected, "{mode} {fresh}: {}", ended.why());
        // The first round of all comes before the others.
        let told = format!("each of {} rounds", rounds - 1);
        let notes = ended.report["preflight"]["notes"].to_string();
        assert!(notes.contains(&told), "{told}: {notes}");
    }
}

/// Documents that a service shows itself are read before it is started on another database.
#[test]
fn what_is_read_over_http_is_read_while_the_round_s_service_runs() {
    let text = std::fs::read_to_string(support::project().join("scenarios/http-create-or-get.toml")).unwrap();
    let served = text.split("[observe.mongo]").next().unwrap();
    let observed =
        "[observe.http]\npath = \"/api/chats?participantsKey={{ key }}\"\ndocuments = \"$.chats[*]\"\nid = \"$._id\"";
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), format!("{served}{observed}\n[load.burst]\nclients = 4\nrounds = 3\n")).unwrap();
    let ended = carried_out("run", file.path(), &["--set", "load.fresh=service"], &[]);
    assert_eq!((ended.code, ended.verdict()), (Some(0), "holds"), "{}", ended.why());
    let results = ended.report["invariants"].as_array().unwrap();
    let single = results.iter().find(|result| result["name"] == "single-document").unwrap();
    assert_eq!(single["checked"], 3, "the documents of each round are judged: {single}");
}

/// Runs the ticket office of `tests/services/moments` with this burst and these tables.
fn tickets(mode: &str, burst: &str, more: &str) -> Ended {
    tickets_with(mode, burst, more, &[])
}

fn tickets_with(mode: &str, burst: &str, more: &str, flags: &[&str]) -> Ended {
    let folder = support::project().join("tests/services/moments");
    let text = std::fs::read_to_string(folder.join("tickets.toml")).unwrap();
    let text = text.split("[load.burst]").next().unwrap().replace("[service]", &format!("[service]\ndir = {folder:?}"));
    let (packages, programs) = (node_path(), path_with_node());
    let environment = [("MODE", mode), ("NODE_PATH", packages.to_str().unwrap()), ("PATH", programs.to_str().unwrap())];
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), format!("{text}[load.burst]\n{burst}\n{more}\n")).unwrap();
    carried_out("run", file.path(), flags, &environment)
}

/// A service of the harness's own, of two instances, on its own server.
fn over_http(faults: &str) -> String {
    let text = std::fs::read_to_string(support::project().join("scenarios/http-append.toml")).unwrap();
    let load = text.split("[load.burst]").next().unwrap();
    format!("{load}{CLOSED}\n{faults}\n")
}

/// `cargo test --test runs run_faults -- --ignored`: half a minute.
#[test]
#[ignore = "takes long: services and replica sets"]
fn a_service_that_is_killed_comes_back_and_nothing_acknowledged_is_lost() {
    for target in ["one", "all"] {
        let faults = format!("[[fault]]\nkind = \"kill-service\"\nat = \"400ms\"\ntarget = \"{target}\"");
        let ended = run(&over_http(&faults), &[]);
        assert_eq!((ended.code, ended.verdict()), (Some(0), "holds"), "{target}: {}", ended.why());
        assert_eq!(faults_of(&ended, "kill-service"), 1);
    }
    let faults = "[[fault]]\nkind = \"lost-answer\"\nat = \"200ms\"\nprobability = \"10%\"";
    let ended = run(&over_http(faults), &[]);
    assert_eq!((ended.code, ended.verdict()), (Some(0), "holds"), "{}", ended.why());
}

#[test]
#[ignore = "takes long: services and replica sets"]
fn a_failover_loses_nothing_that_a_majority_has() {
    for (kind, more) in
        [("step-down", ""), ("kill-mongod", "for = \"500ms\""), ("restart-mongod", ""), ("partition", "for = \"2s\"")]
    {
        let faults = format!("[mongod]\nreplica_set = 3\n[[fault]]\nkind = \"{kind}\"\nat = \"200ms\"\n{more}");
        let ended = run(&scenario("append", "strategy = \"upsert-push\"", LONG, &faults), &[]);
        assert_eq!((ended.code, ended.verdict()), (Some(0), "holds"), "{kind}: {}", ended.why());
        assert_eq!(faults_of(&ended, kind), 1);
    }
}

fn faults_of(ended: &Ended, kind: &str) -> usize {
    faults(ended).iter().filter(|(other, _)| *other == kind).count()
}
