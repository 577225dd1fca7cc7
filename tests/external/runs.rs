//! Real runs, one of each kind, made once for all tests.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::tools::root;

/// A kind of run, and what its page shows.
pub struct Kind {
    /// Name of the run.
    pub id: &'static str,
    args: &'static [&'static str],
    code: i32,
    pub verdict: &'static str,
    pub charts: usize,
    pub shows: &'static [&'static str],
}

const RUN: [&str; 6] =
    ["run", "scenarios/create-or-get.toml", "--set", "load.burst.rounds=12", "--set", "load.burst.clients=24"];

pub const KINDS: &[Kind] = &[
    Kind { id: "passing", args: &[], code: 0, verdict: "holds", charts: 3, shows: &["with 95 % confidence"] },
    Kind {
        id: "violated",
        args: &["--set", "target.mongo.strategy=find-then-insert", "--set", "target.mongo.unique_index=false"],
        code: 1,
        verdict: "violated",
        charts: 2,
        shows: &["<h2>Witnesses</h2>", "class=\"lane", "<h2>Lint</h2>", "ObjectId(", "Also breaks"],
    },
    Kind {
        id: "inconclusive",
        args: &["--set", "target.mongo.pool=1"],
        code: 3,
        verdict: "inconclusive",
        charts: 3,
        shows: &["nothing concurrent was tried"],
    },
    Kind {
        id: "partial",
        args: &["--set", "load.burst.rounds=1000000"],
        code: 130,
        verdict: "inconclusive",
        charts: 3,
        shows: &["cut short", "interrupted"],
    },
    Kind {
        id: "expected",
        args: &["run", "scenarios/create-or-get-race.toml"],
        code: 0,
        verdict: "violated",
        charts: 2,
        shows: &["Expectation", "<h2>Witnesses</h2>"],
    },
    Kind {
        id: "explore",
        args: &["explore", "scenarios/explore-find-then-insert.toml"],
        code: 0,
        verdict: "violated",
        charts: 0,
        shows: &["<h2>Interleavings</h2>", "The smallest violation", "class=\"box writes\"", "all 6 of 6 explored"],
    },
    Kind {
        id: "lost",
        args: &["run", "scenarios/append-whole-array.toml"],
        code: 0,
        verdict: "violated",
        charts: 4,
        shows: &[
            "✗ missing</b>",
            "may have overwritten it",
            "<h2>Operations by key</h2>",
            "Every operation of this key",
        ],
    },
    Kind {
        id: "repair",
        args: &["repair", "--database", "onlyone_audit", "--profile", "chats"],
        code: 1,
        verdict: "violated",
        charts: 0,
        shows: &["<h2>Findings</h2>", "<h2>Actions</h2>"],
    },
    Kind {
        id: "selftest",
        args: &["selftest", "--bug", "C1", "--bug", "A1"],
        code: 0,
        verdict: "holds",
        charts: 0,
        shows: &["<h2>Planted bugs</h2>", "<h2>Correct twins</h2>", "✓ C1"],
    },
    Kind {
        id: "audit",
        args: &["audit", "--database", "onlyone_audit", "--profile", "chats"],
        code: 1,
        verdict: "violated",
        charts: 0,
        shows: &["<h2>Findings</h2>", "duplicate-key: 5"],
    },
];

/// The binary, in the folder of the repository.
pub fn onlyone(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onlyone"));
    command.args(args).current_dir(root()).env_remove("GITHUB_ACTIONS").stdin(Stdio::null());
    command
}

/// The folder with a run of each kind in it.
pub fn runs() -> &'static Path {
    static RUNS: OnceLock<PathBuf> = OnceLock::new();
    RUNS.get_or_init(|| {
        let folder = root().join("target/external/runs");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        KINDS.iter().for_each(|kind| make(kind, &folder));
        folder
    })
}

fn make(kind: &Kind, folder: &Path) {
    let own = kind.args.first().is_some_and(|first| !first.starts_with("--"));
    let mut args = if own { Vec::new() } else { RUN.to_vec() };
    args.extend(kind.args);
    let out = folder.display().to_string();
    args.extend(["--out", &out, "--run-id", kind.id]);
    let mut command = onlyone(&args);
    if !["audit", "repair"].contains(&kind.id) {
        command.arg("--quiet").args(["--seed", "1"]);
    }
    let output = match kind.id {
        "partial" => interrupted(command, &folder.join("partial/history.jsonl")),
        "audit" | "repair" => audited(command),
        _ => command.output().unwrap(),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(kind.code), "{}: {text}\n{errors}", kind.id);
}

/// Interrupts a run that has begun.
fn interrupted(mut command: Command, history: &Path) -> std::process::Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    // Long enough for a chart over time.
    while std::fs::metadata(history).map_or(0, |file| file.len()) < 1 << 20 {
        assert!(Instant::now() < deadline, "nothing is run");
        std::thread::yield_now();
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    child.wait_with_output().unwrap()
}

/// Audits a database with defects in it.
fn audited(mut command: Command) -> std::process::Output {
    let mut server = Server(onlyone(&["mongod"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut uri = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut uri).unwrap();
    let uri = uri.trim();
    let seed = ["seed", "--database", "onlyone_audit", "--profile", "chats", "--documents", "100", "--duplicates", "5"];
    let seeded = onlyone(&seed).args(["--missing-keys", "2"]).env("ONLYONE_MONGO_URI", uri).output().unwrap();
    assert!(seeded.status.success(), "{}", String::from_utf8_lossy(&seeded.stderr));
    command.env("ONLYONE_MONGO_URI", uri).output().unwrap()
}

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
