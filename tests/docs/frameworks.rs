//! The helpers for other test frameworks, each on a racy and on a correct service.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{onlyone, root};

const REQUESTS: [&str; 2] = [
    r#"curl http://app/login --json '{"user":"ann"}'"#,
    r#"curl http://app/api/chats/create-or-get -H 'Authorization: none' --json '{"participantId":"bob"}'"#,
];

/// The command of the reference service, started as a stranger's would be.
fn service(racy: bool) -> String {
    let options = if racy { "--strategy create-or-get=find-then-insert --no-unique-index" } else { "" };
    let program = env!("CARGO_BIN_EXE_onlyone");
    format!("exec {program} serve --quiet --port $PORT --mongo $MONGODB_URI --database onlyone_app {options}")
}

/// Runs a command that knows where the tool is.
fn run(command: &mut Command) -> Output {
    command.env("ONLYONE", env!("CARGO_BIN_EXE_onlyone")).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_tokio_test_explores() {
    // A process of its own, because the tool's place is a variable of the environment.
    for (name, passes) in [("correct_service", true), ("racy_service", false)] {
        let name = format!("frameworks::within_a_tokio_test_{name}");
        let mut again = Command::new(std::env::current_exe().unwrap());
        let output = run(again.args(["--exact", &name, "--ignored", "--nocapture"]));
        let shown = text(&output);
        assert_eq!(output.status.success(), passes, "{shown}");
        assert!(shown.contains("running 1 test"), "{shown}");
        assert_eq!(!passes, shown.contains("violated\\n") && shown.contains("--schedule"), "{shown}");
    }
}

#[tokio::test]
#[ignore = "run by a_tokio_test_explores"]
async fn within_a_tokio_test_correct_service() {
    onlyone::explore(&REQUESTS, &["sh", "-c", &service(false)]).await.unwrap();
}

#[tokio::test]
#[ignore = "run by a_tokio_test_explores"]
async fn within_a_tokio_test_racy_service() {
    onlyone::explore(&REQUESTS, &["sh", "-c", &service(true)]).await.unwrap();
}

/// Runs an installer once, with everything in one folder.
fn installed(folder: &str, install: impl FnOnce(&Path) -> Vec<Command>) -> PathBuf {
    let folder = root().join("target/external").join(folder);
    if !folder.join("ready-1").exists() {
        std::fs::create_dir_all(&folder).unwrap();
        for mut command in install(&folder) {
            let output = command.output().unwrap();
            assert!(output.status.success(), "{command:?}\n{}", text(&output));
        }
        std::fs::write(folder.join("ready-1"), "").unwrap();
    }
    folder
}

fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// A folder with the helper and a test of each kind: one that must pass, and one that must fail with the proof.
fn project(helper: &str, test: &str, write: impl Fn(&str, &str) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(root().join("docs/examples").join(helper), folder.path().join(helper)).unwrap();
    let requests = serde_json::to_string(&REQUESTS).unwrap();
    let tests = [false, true].map(|racy| {
        write(if racy { "racy" } else { "correct" }, &serde_json::to_string(&["sh", "-c", &service(racy)]).unwrap())
    });
    std::fs::write(folder.path().join(test), tests.concat().replace("REQUESTS", &requests)).unwrap();
    folder
}

#[test]
#[ignore = "needs Python with venv, and PyPI"]
fn external_pytest_explores() {
    let venv = installed("pytest", |folder| {
        let python = folder.join("bin/python");
        let mut venv = command("python3", &["-m", "venv", "--clear"]);
        venv.arg(folder);
        vec![
            venv,
            command(python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pytest==8.4.2"]),
        ]
    });
    let write =
        |name: &str, service: &str| format!("def test_{name}(explore):\n    explore(*REQUESTS, command={service})\n\n");
    let folder = project("conftest.py", "test_chats.py", write);
    let output =
        run(command(venv.join("bin/python"), &["-m", "pytest", "-p", "no:cacheprovider"]).current_dir(folder.path()));
    let shown = text(&output);
    assert!(shown.contains("1 failed, 1 passed") && shown.contains("FAILED test_chats.py::test_racy"), "{shown}");
    assert!(shown.contains("violated") && shown.contains("--schedule"), "{shown}");
}

#[test]
#[ignore = "needs Node.js with npm, and its registry"]
fn external_jest_explores() {
    let node = installed("jest", |folder| {
        let mut npm = command("npm", &["install", "--silent", "--no-save", "jest@30.2.0", "--prefix"]);
        npm.arg(folder);
        vec![npm]
    });
    let write = |name: &str, service: &str| {
        let import = if name == "correct" { "const { explore } = require('./onlyone');\n" } else { "" };
        format!(
            "{import}test('{name}', async () => {{ await explore(REQUESTS, {{ command: {service} }}); }}, 300_000);\n"
        )
    };
    let folder = project("onlyone.js", "chats.test.js", write);
    std::fs::write(folder.path().join("package.json"), "{}").unwrap();
    let output = run(command(node.join("node_modules/.bin/jest"), &[]).current_dir(folder.path()));
    let shown = text(&output);
    assert!(shown.contains("1 failed, 1 passed") && shown.contains("● racy"), "{shown}");
    assert!(shown.contains("violated") && shown.contains("--schedule"), "{shown}");
}

#[test]
#[ignore = "needs Node.js with npm, PyPI and their registries"]
fn external_three_commands_lead_from_a_binary_to_the_proof() {
    let app = installed("express", |folder| {
        let copy = command("cp", &["-r", "docs/examples/express/."]);
        let copies = [copy].map(|mut copy| {
            copy.arg(folder).current_dir(root());
            copy
        });
        let mut npm = command("npm", &["install", "--silent"]);
        npm.current_dir(folder);
        copies.into_iter().chain([npm]).collect()
    });
    let script = root().join("docs/examples/first-proof.sh");
    let output = run(command("bash", &[]).arg(script).arg(env!("CARGO_BIN_EXE_onlyone")).arg(app));
    let shown = text(&output);
    assert!(output.status.success() && shown.contains("✗ VIOLATED"), "{shown}");
    let sum = shown.lines().last().unwrap();
    // How long it took is told and not judged: that is the machine's doing as well.
    println!("{sum}");
    assert!(sum.starts_with("3 commands, ") && sum.ends_with(" ms of waiting"), "{shown}");
}
