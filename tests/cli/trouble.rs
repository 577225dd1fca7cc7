//! Servers that are lost, disks that are full, harnesses that are killed.

use std::process::Command;

use super::harness::{ENDLESS, Harness, Ran, SHORT, Server, scenario, wait_for_lines};

#[test]
fn a_server_lost_in_mid_run_never_holds() {
    let mut server = Server::start();
    let harness = Harness::new(&scenario("upsert-retry", true, ENDLESS));
    let args = ["run", "s.toml", "--run-id", "r", "--mongo", &server.uri.clone()];
    let child = harness.command(&args).spawn().unwrap();
    wait_for_lines(|| Some(harness.path().join("reports/r/history.jsonl")), 1000);
    server.kill();
    let ran = Ran::of(child.wait_with_output().unwrap(), args.join(" "));
    ran.expect(3, &["INCONCLUSIVE", "was lost in mid-run"]);
}

/// A service that the harness would have to start, or that it does not start at all.
const OVER_HTTP: &str = r#"
name = "over HTTP"
workload = "create-or-get"
[target.http.operations.create-or-get]
path = "/chats"
json = { key = "{{ key }}" }
outcome = { id = "$.id" }
[load.burst]
clients = 2
rounds = 2
"#;

#[test]
fn a_service_that_cannot_be_started_or_is_not_started_is_told_as_that() {
    let service =
        "[service]\ncommand = [\"node\", \"server.js\"]\ndir = \"elsewhere\"\nenv = { DB = \"{{ mongo.uri }}\" }\n";
    let harness = Harness::new(&format!("{OVER_HTTP}{service}"));
    let ran = harness.run(&["run", "s.toml"]);
    ran.expect(4, &["there is no folder `", "elsewhere` to start the process in", "correct `service.dir`"]);
    let harness =
        Harness::new(&format!("{OVER_HTTP}{}", service.replace("elsewhere", ".").replace("mongo.uri", "service.port")));
    harness.run(&["explore", "s.toml"]).expect(2, &["the `[service]` of s.toml never gets {{ mongo.uri }}"]);
    let service = service.replace("elsewhere", ".").replace("\"node\"", "\"no-such-program\"");
    let harness = Harness::new(&format!("{OVER_HTTP}{service}"));
    harness.run(&["run", "s.toml"]).expect(4, &["cannot find the program `no-such-program`", "`service.command`"]);
    let harness = Harness::new(
        &OVER_HTTP.replace("[target.http.op", "[target.http]\nbase_urls = [\"http://127.0.0.1:1\"]\n[target.http.op"),
    );
    harness
        .run(&["explore", "s.toml"])
        .expect(2, &["s.toml has no `[service]` that gets {{ mongo.uri }}", "command = [\"node\"", "--attach PORT"]);
}

#[test]
fn what_is_not_there_is_told_with_what_is_near() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    std::fs::create_dir(harness.path().join("scenarios")).unwrap();
    for name in ["bookings", "orders", "seats", "users", "votes", "wallets"] {
        std::fs::copy(harness.path().join("s.toml"), harness.path().join(format!("scenarios/{name}.toml"))).unwrap();
    }
    let ran = harness.run(&["run", "scenarios/bokings.toml"]).expect(2, &["did you mean `scenarios/bookings.toml`?"]);
    assert!(ran.stderr.contains("the 5 most similar names of 6 scenario files"), "{}", ran.shown());
    // Also where the folder is another one.
    harness.run(&["run", "scenaros/seats.toml"]).expect(2, &["did you mean `scenarios/seats.toml`?"]);
    std::fs::write(harness.path().join("broken.toml"), "name = my service\n").unwrap();
    harness.run(&["run", "broken.toml"]).expect(2, &["broken.toml:1:8", "help: put text in quotes"]);
    harness.run(&["check", "reports/none"]).expect(2, &["there is no folder reports/none", "name the folder of a run"]);
    harness.run(&["check", "scenarios"]).expect(2, &["scenarios is no folder of a run: there is no run.json in it"]);
}

#[test]
fn a_program_that_is_no_mongod_is_told_as_what_it_is() {
    let cases = [
        ("/bin/true", "is not a working mongod"),
        ("/etc/passwd", "it is not an executable file"),
        ("/tmp", "it is a folder"),
        ("/nothing/there", "cannot find the program"),
    ];
    for (path, told) in cases {
        let harness = Harness::new(&scenario("upsert-retry", true, SHORT)).env("ONLYONE_MONGOD", path);
        harness.run(&["run", "s.toml"]).expect(4, &[told, "set ONLYONE_MONGOD to the full path of a mongod"]);
    }
}

#[test]
fn a_full_disk_is_told_and_masks_no_violation() {
    let server = Server::start();
    // Files of at most so many blocks of 512 bytes: the history does not fit. The server, which must write, is another process.
    let cases = [
        ("run", 32, "upsert-retry", true, 4),
        ("run", 32, "upsert-set", true, 1),
        ("explore", 4, "upsert-retry", true, 4),
        ("explore", 4, "find-then-insert", false, 1),
    ];
    for (verb, blocks, strategy, index, code) in cases {
        let harness = Harness::new(&scenario(strategy, index, "[load.burst]\nclients = 8\nrounds = 200"));
        let command = harness.command(&[verb, "s.toml", "--mongo", &server.uri]);
        let script = format!(r#"trap "" XFSZ; ulimit -f {blocks}; exec "$0" "$@""#);
        let mut limited = Command::new("/bin/sh");
        limited.arg("-c").arg(script).arg(command.get_program()).args(command.get_args()).current_dir(harness.path());
        limited.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        let ran = Ran::of(limited.output().unwrap(), format!("limited {verb} of {strategy}"));
        ran.expect(code, &["cannot write", "history.jsonl"]);
    }
}

#[test]
fn nothing_survives_a_killed_harness() {
    let harness = Harness::new(&scenario("upsert-retry", true, ENDLESS));
    let mut child = harness.command(&["run", "s.toml", "--run-id", "r"]).spawn().unwrap();
    wait_for_lines(|| Some(harness.path().join("reports/r/history.jsonl")), 100);
    let servers = descendants(child.id());
    assert!(servers.iter().any(|(_, name)| name == "mongod"), "{servers:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while servers.iter().any(|(pid, _)| std::path::Path::new(&format!("/proc/{pid}")).exists()) {
        assert!(std::time::Instant::now() < deadline, "{servers:?} survived");
        std::thread::yield_now();
    }
    // And what was recorded is there: a torn history is partial, not lost.
    std::fs::write(harness.path().join("reports/r/run.json"), "{").unwrap();
    harness.run(&["check", "reports/r"]).expect(2, &["run.json is damaged"]);
}

/// Process numbers and names of all descendants.
fn descendants(root: u32) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for entry in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
            let Some((head, tail)) = stat.rsplit_once(") ") else { continue };
            if tail.split_whitespace().nth(1) == Some(&parent.to_string()) {
                let name = head.split_once('(').map(|(_, name)| name.to_owned()).unwrap_or_default();
                found.push((pid, name));
                parents.push(pid);
            }
        }
    }
    found
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let run = |strategy, index| {
        let harness = Harness::new(&scenario(strategy, index, SHORT));
        let child = harness.command(&["run", "s.toml"]).spawn().unwrap();
        (harness, child)
    };
    let (_first_dir, first) = run("upsert-retry", true);
    let (_second_dir, second) = run("find-then-insert", false);
    Ran::of(first.wait_with_output().unwrap(), "first".to_owned()).expect(0, &["HOLDS"]);
    Ran::of(second.wait_with_output().unwrap(), "second".to_owned()).expect(1, &["VIOLATED"]);
}
