//! A violation that was found is not masked by what goes wrong afterwards: files and a stdout that cannot be written, a server
//! that is lost.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::harness::{Harness, Ran, SHORT, Server, scenario};

/// Runs a command whose stdout is full.
fn full(harness: &Harness, args: &[&str]) -> Ran {
    let stdout = OpenOptions::new().write(true).open("/dev/full").unwrap();
    Ran::of(harness.command(args).stdout(stdout).output().unwrap(), format!("onlyone {}", args.join(" ")))
}

fn racy() -> Harness {
    Harness::new(&scenario("find-then-insert", false, SHORT))
}

#[test]
fn a_result_that_cannot_be_shown_is_told_and_masks_no_violation() {
    let harness = racy();
    let told = ["cannot write to stdout"];
    full(&harness, &["run", "s.toml", "--quiet", "--run-id", "r"]).expect(1, &told);
    assert!(harness.path().join("reports/r/junit.xml").is_file());
    full(&harness, &["run", "s.toml", "s.toml", "--quiet"]).expect(1, &told);
    full(&harness, &["explore", "s.toml", "--quiet", "--run-id", "e"]).expect(1, &told);
    for run in ["reports/r", "reports/e"] {
        full(&harness, &["check", run]).expect(1, &told);
        full(&harness, &["report", run]).expect(1, &told);
    }
    let sound = Harness::new(&scenario("upsert-retry", true, SHORT));
    full(&sound, &["run", "s.toml", "--quiet"]).expect(4, &told);
}

#[test]
fn files_that_cannot_be_written_are_told_and_mask_no_violation() {
    let harness = racy();
    let several = ["run", "s.toml", "s.toml", "--quiet"];
    std::fs::create_dir_all(harness.path().join("reports/junit-all.xml")).unwrap();
    let ran =
        harness.run(&several).expect(1, &["cannot write reports/junit-all.xml", "2 scenarios: 0 as expected, 2 not"]);
    assert!(!ran.stdout.contains("JUnit         reports/junit-all.xml"), "{}", ran.shown());
    // Neither is what was found out of a stored run.
    harness.run(&["run", "s.toml", "--quiet", "--run-id", "r"]).expect(1, &[]);
    let sound = ["--set", "target.mongo.strategy=upsert-retry", "--set", "target.mongo.unique_index=true"];
    harness.run(&[&["run", "s.toml", "--quiet", "--run-id", "sound"], &sound[..]].concat()).expect(0, &[]);
    let compared = ["compare", "reports/sound", "reports/r", "--force", "--out", "s.toml"];
    harness.run(&compared).expect(1, &["cannot create s.toml/compare-"]);
    let html = harness.path().join("reports/r/report.html");
    std::fs::remove_file(&html).unwrap();
    std::fs::create_dir(&html).unwrap();
    harness.run(&["report", "reports/r"]).expect(1, &["cannot write reports/r/report.html", "VIOLATED"]);
}

/// A database with defects, and the words that name it.
fn seeded(server: &Server) -> (Harness, [&'static str; 4]) {
    let of = ["--database", "onlyone_unmasked", "--profile", "chats"];
    let uri = format!("{}?serverSelectionTimeoutMS=2000", server.uri);
    let harness = Harness::new("").env("ONLYONE_MONGO_URI", &uri);
    harness.run(&[&["seed", "--documents", "4", "--duplicates", "1"], &of[..]].concat()).expect(0, &[]);
    (harness, of)
}

#[test]
fn an_audit_that_cannot_be_reported_is_told_and_masks_no_violation() {
    let server = Server::start();
    let (harness, of) = seeded(&server);
    let of = |words: &'static [&'static str]| [words, &of[..]].concat();
    harness.run(&of(&["audit", "--out", "/dev/null"])).expect(1, &["cannot create /dev/null", "VIOLATED"]);
    for args in [of(&["audit"]), of(&["repair", "--run-id", "plan"])] {
        full(&harness, &args).expect(1, &["cannot write to stdout"]);
    }
    assert!(harness.path().join("reports/plan/report.json").is_file());
    // What is repaired holds; that it could not be shown is told.
    full(&harness, &of(&["repair", "--apply", "--run-id", "done"])).expect(4, &["cannot write to stdout"]);
    full(&harness, &of(&["repair", "restore", "done"])).expect(4, &["cannot write to stdout"]);
}

#[test]
fn a_server_lost_while_an_audit_is_repeated_masks_no_violation() {
    let mut server = Server::start();
    let (harness, of) = seeded(&server);
    let args = [&["audit", "--watch", "100ms"], &of[..]].concat();
    let mut child = harness.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.by_ref().any(|line| line.contains("VIOLATED")));
    server.kill();
    let rest = std::thread::spawn(move || lines.count());
    Ran::of(child.wait_with_output().unwrap(), args.join(" ")).expect(1, &["error:"]);
    rest.join().unwrap();
}
