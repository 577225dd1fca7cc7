//! Runs the binary in a fresh folder with a known environment, and explains itself when something is not as expected.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with a scenario in it.
pub struct Harness {
    dir: TempDir,
    environment: Vec<(String, String)>,
}

/// What a command did.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    command: String,
}

/// Four clients, three rounds; `strategy` and `index` as given.
pub fn scenario(strategy: &str, unique_index: bool, load: &str) -> String {
    format!(
        "name = \"t\"\nworkload = \"create-or-get\"\n\
         [target.mongo]\nstrategy = \"{strategy}\"\nunique_index = {unique_index}\ndatabase = \"onlyone_test\"\n{load}\n"
    )
}

/// A load that is over at once.
pub const SHORT: &str = "[load.burst]\nclients = 8\nrounds = 10";
/// A load that nobody waits for.
pub const ENDLESS: &str = "[load.closed]\nclients = 8\nduration = \"1h\"\nkeys = { uniform = { count = 50 } }";

impl Harness {
    /// A folder with this scenario as `s.toml`.
    pub fn new(scenario: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("s.toml"), scenario).unwrap();
        Harness { dir, environment: Vec::new() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command with a clean environment: what a mongod is found by, and nothing else.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onlyone"));
        command.args(args).current_dir(self.path()).env_clear().stdin(Stdio::null());
        for name in ["PATH", "HOME", "XDG_CACHE_HOME", "ONLYONE_MONGOD", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap(), format!("onlyone {}", args.join(" ")))
    }

    /// The only run folder below `reports`.
    pub fn run_dir(&self) -> PathBuf {
        let runs: Vec<_> = std::fs::read_dir(self.path().join("reports")).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs[0].clone()
    }
}

impl Ran {
    pub fn of(output: Output, command: String) -> Self {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            command,
        }
    }

    /// Fails with everything that is known if the exit code is another one, or a text is missing from the output.
    #[track_caller]
    pub fn expect(self, code: i32, texts: &[&str]) -> Self {
        let missing: Vec<_> =
            texts.iter().filter(|text| !self.stdout.contains(**text) && !self.stderr.contains(**text)).collect();
        assert!(self.code == Some(code) && missing.is_empty(), "wanted {code}, missing {missing:?}\n{}", self.shown());
        self
    }

    pub fn shown(&self) -> String {
        let Ran { code, stdout, stderr, command } = self;
        format!("$ {command}\nexit {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}", self.shown()))
    }
}

/// `onlyone mongod` in the foreground of a child: a server that the run does not own. It dies with this value.
pub struct Server {
    child: Child,
    pub uri: String,
    /// The folder that it runs in.
    _home: Harness,
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further flags of `onlyone mongod`.
    pub fn start_with(args: &[&str]) -> Self {
        let home = Harness::new("");
        let mut child = home.command(&[&["mongod"], args].concat()).stderr(Stdio::null()).spawn().unwrap();
        let mut uri = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut uri).unwrap();
        assert!(uri.starts_with("mongodb://127.0.0.1:"), "{uri:?}");
        Server { child, uri: uri.trim().to_owned(), _home: home }
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        self.uri.trim_start_matches("mongodb://").trim_end_matches('/')
    }

    /// SIGKILL for the harness that owns it, which takes the server with it.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dead already, which is what a test wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The reference service, as a process of its own.
pub struct Service {
    child: Child,
    pub url: String,
}

impl Service {
    /// With these flags of `onlyone serve`.
    pub fn start(args: &[&str]) -> Self {
        let home = Harness::new("");
        let mut child = home.command(&[&["serve", "--quiet"], args].concat()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://127.0.0.1:"), "{url:?}");
        Service { child, url: url.trim().to_owned() }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Sends SIGINT.
pub fn interrupt(child: &Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
}

/// Waits until a file holds at least this many lines, or fails after a minute.
pub fn wait_for_lines(path: impl Fn() -> Option<PathBuf>, lines: usize) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let found = path().and_then(|path| std::fs::read_to_string(path).ok()).map_or(0, |text| text.lines().count());
        if found >= lines {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "only {found} lines after a minute");
        std::thread::yield_now();
    }
}
