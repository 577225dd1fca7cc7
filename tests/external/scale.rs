//! Engines that start many processes: Slurm, really, on one machine; and what Kubernetes says of the printed manifests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::tools::{limited, python, run, succeeded};

/// The command.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_onlyone")
}

/// Far beyond what a loaded machine needs.
const WITHIN: Duration = Duration::from_secs(120);

/// Four clients, one for each of four shards: none of them can race with itself.
pub fn scenario(strategy: &str, unique_index: bool, rounds: u32) -> String {
    format!(
        "name = \"four\"\nworkload = \"create-or-get\"\n[target.mongo]\nstrategy = \"{strategy}\"\nunique_index = {unique_index}\n\
         database = \"onlyone_test\"\n[load.burst]\nclients = 4\nrounds = {rounds}\n[limits]\noperation_deadline = \"3s\"\ndrain = \"2s\"\n"
    )
}

pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < WITHIN, "not within {WITHIN:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn in_path(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// A process that dies with this value.
pub struct Daemon(Child);

impl Daemon {
    pub fn start(command: &mut Command, log: &Path) -> Daemon {
        let log = std::fs::File::create(log).unwrap();
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Daemon(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Slurm on this machine alone: a controller, a daemon with four places, and what vouches for users. And a MongoDB.
struct Cluster {
    // In the order in which they are to end.
    _node: Daemon,
    _controller: Daemon,
    _munge: Daemon,
    _mongo: Daemon,
    mongo: String,
    folder: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        for name in ["state", "spool", "work"] {
            std::fs::create_dir(at.join(name)).unwrap();
        }
        let host = succeeded(limited("hostname", 10).arg("-s").output().unwrap()).trim().to_owned();
        std::fs::write(at.join("slurm.conf"), configuration(&host, at)).unwrap();
        let socket = at.join("munge.socket");
        std::fs::write(at.join("munge.key"), std::fs::read("/proc/sys/kernel/random/uuid").unwrap().repeat(2)).unwrap();
        succeeded(Command::new("chmod").args(["-R", "go-w"]).arg(at).output().unwrap());
        succeeded(Command::new("chmod").arg("600").arg(at.join("munge.key")).output().unwrap());
        let option = |name: &str, file: &Path| format!("--{name}={}", file.display());
        let munge = Daemon::start(
            Command::new("munged").args([
                "--foreground".to_owned(),
                "--force".to_owned(),
                option("key-file", &at.join("munge.key")),
                option("socket", &socket),
                option("pid-file", &at.join("munge.pid")),
                option("log-file", &at.join("munge.log")),
                option("seed-file", &at.join("munge.seed")),
            ]),
            &at.join("munged.log"),
        );
        wait_until("munged listens", || socket.exists());
        let with = |program: &str| {
            let mut command = Command::new(program);
            command.env("SLURM_CONF", at.join("slurm.conf"));
            command
        };
        let controller = Daemon::start(with("slurmctld").args(["-D", "-c"]), &at.join("controller.log"));
        let node = Daemon::start(with("slurmd").args(["-D", "-N", &host]), &at.join("node.log"));
        let mut mongod = Command::new(binary());
        let log = at.join("mongod.txt");
        let mongo = Daemon::start(mongod.args(["mongod"]).env_remove("ONLYONE_MONGO_URI"), &log);
        let address = || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.split_whitespace().find(|word| word.starts_with("mongodb://")).map(str::to_owned)
        };
        wait_until("a MongoDB", || address().is_some());
        let mongo_uri = address().unwrap();
        let cluster =
            Cluster { _node: node, _controller: controller, _munge: munge, _mongo: mongo, mongo: mongo_uri, folder };
        wait_until("a node that is idle", || {
            let states = cluster.command("sinfo").args(["--noheader", "--format=%T"]).output().unwrap();
            String::from_utf8_lossy(&states.stdout).trim() == "idle"
        });
        cluster
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// A command of Slurm's, where the scenario is.
    fn command(&self, program: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = limited(program, 300);
        command.env("SLURM_CONF", self.folder.path().join("slurm.conf")).current_dir(self.work());
        command.env("ONLYONE_MONGO_URI", &self.mongo);
        command.env("PATH", format!("{}:{path}", Path::new(binary()).parent().unwrap().display()));
        command
    }

    /// The printed batch script, submitted: its exit code, and the reports by the names of their folders.
    fn batch(&self, scenario: &str) -> (Option<i32>, Vec<(String, Value)>) {
        std::fs::remove_dir_all(self.work().join("reports")).ok();
        std::fs::write(self.work().join("four.toml"), scenario).unwrap();
        let printed = succeeded(
            self.command(binary()).args(["manifest", "slurm", "four.toml", "--shards", "4"]).output().unwrap(),
        );
        std::fs::write(self.work().join("run.sh"), printed).unwrap();
        let ended = self.command("sbatch").args(["--wait", "--export=ALL", "run.sh"]).output().unwrap();
        let reports = self.reports();
        assert_eq!(reports.len(), 5, "{ended:?} {}", self.logs());
        (ended.status.code(), reports)
    }

    fn reports(&self) -> Vec<(String, Value)> {
        let folders = std::fs::read_dir(self.work().join("reports")).unwrap().map(|entry| entry.unwrap());
        let read = folders.filter_map(|folder| {
            let text = std::fs::read(folder.path().join("report.json")).ok()?;
            Some((folder.file_name().to_string_lossy().into_owned(), serde_json::from_slice(&text).unwrap()))
        });
        let mut reports: Vec<(String, Value)> = read.collect();
        reports.sort_by(|one, other| one.0.cmp(&other.0));
        reports
    }

    /// What the daemons and jobs wrote, for who must find out what went wrong.
    fn logs(&self) -> String {
        let files = [self.folder.path().to_owned(), self.work()].map(|folder| std::fs::read_dir(folder).unwrap());
        let files = files.into_iter().flatten().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.map(|path| format!("\n{}\n{}", path.display(), std::fs::read_to_string(&path).unwrap())).collect()
    }
}

fn configuration(host: &str, at: &Path) -> String {
    let (at, controller, node) = (at.display(), free_port(), free_port());
    format!(
        "ClusterName=one\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\n\
         AuthInfo=socket={at}/munge.socket\nCommunicationParameters=NoCtldInAddrAny,NoInAddrAny\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nReturnToService=2\nMpiDefault=none\n\
         SlurmctldPidFile={at}/controller.pid\nSlurmdPidFile={at}/node.pid\nSlurmdSpoolDir={at}/spool\n\
         StateSaveLocation={at}/state\nSlurmctldPort={controller}\nSlurmdPort={node}\n\
         SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\nSlurmdParameters=config_overrides\n\
         NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN RealMemory=1000\n\
         PartitionName=all Nodes=ALL Default=YES State=UP\n"
    )
}

/// The process of a task of this run.
fn task(run_id: &str, rank: u32) -> Option<u32> {
    let wanted = format!("SLURM_PROCID={rank}");
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let has = |file: &str, what: &str| {
            let text = std::fs::read(entry.path().join(file)).unwrap_or_default();
            text.split(|byte| *byte == 0).any(|word| word == what.as_bytes())
        };
        (has("cmdline", run_id) && has("cmdline", "run") && has("environ", &wanted)).then_some(pid)
    })
}

/// The race is between shards: each alone holds, and what they did together does not.
#[test]
#[ignore = "needs Slurm and munge, from Debian, and root"]
fn external_slurm_finds_the_race_between_its_tasks_and_accuses_no_correct_one() {
    if let Some(missing) = ["slurmctld", "slurmd", "srun", "munged"].into_iter().find(|program| !in_path(program)) {
        println!("skipped: {missing} is not here; apt-get install slurm-wlm munge");
        return;
    }
    let cluster = Cluster::start();
    for (strategy, index, code, verdict) in
        [("find-then-insert", false, 1, "violated"), ("upsert-retry", true, 0, "holds")]
    {
        let (ended, reports) = cluster.batch(&scenario(strategy, index, 30));
        let (merged, shards) = reports.split_first().unwrap();
        for (folder, shard) in shards {
            assert_eq!(shard["verdict"], "holds", "{strategy}: {folder} alone: {}", shard["reasons"]);
        }
        assert_eq!(merged.1["verdict"], verdict, "{strategy}: {}", merged.1["reasons"]);
        assert_eq!(merged.1["shards"].as_array().map(Vec::len), Some(4));
        assert_eq!(ended, Some(code), "{strategy}: {}", cluster.logs());
    }

    // One task dies: what is there of the others is judged, and proves nothing.
    std::fs::remove_dir_all(cluster.work().join("reports")).unwrap();
    std::fs::write(cluster.work().join("four.toml"), scenario("upsert-retry", true, 100_000)).unwrap();
    let mut step = cluster.command("srun");
    step.args(["--ntasks=4", "--kill-on-bad-exit=0"]).arg(binary());
    step.args(["run", "four.toml", "--shard", "auto", "--run-id", "killed", "--out", "reports", "--quiet"])
        .args(["--shards-within", "12s"]);
    let mut step = step.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let history = cluster.work().join("reports/killed.shard-2-of-4/history.jsonl");
    wait_until("the third shard has begun", || {
        std::fs::read_to_string(&history).is_ok_and(|text| text.lines().count() > 20)
    });
    let pid = task("killed", 2).unwrap();
    succeeded(Command::new("kill").args(["-KILL", &pid.to_string()]).output().unwrap());
    assert!(!step.wait().unwrap().success());
    let shards: Vec<String> = (0..4).map(|shard| format!("reports/killed.shard-{shard}-of-4")).collect();
    let merged =
        cluster.command(binary()).args(["merge", "--out", "reports", "--format", "json"]).args(shards).output();
    let merged = merged.unwrap();
    let report: Value = serde_json::from_slice(&merged.stdout).unwrap_or_else(|error| panic!("{error}: {merged:?}"));
    assert_eq!((&report["verdict"], merged.status.code()), (&"inconclusive".into(), Some(3)), "{}", report["reasons"]);
    assert!(report["reasons"].to_string().contains("shard 2"), "{}", report["reasons"]);
}

#[test]
#[ignore = "needs Python with venv, and packages from PyPI"]
fn external_kubernetes_takes_the_printed_manifests() {
    let folder = tempfile::tempdir().unwrap();
    let printed = succeeded(
        limited(binary(), 60)
            .args(["manifest", "kubernetes", "scenarios/create-or-get.toml", "--shards", "4"])
            .output()
            .unwrap(),
    );
    let valid = |text: &str, release: &str| {
        let file = folder.path().join("manifest.yaml");
        std::fs::write(&file, text).unwrap();
        let mut validate = python();
        validate.args(["-m", "kubernetes_validate", "--strict", "--kubernetes-version", release]).arg(&file);
        run(&mut validate, "python3-venv").status.success()
    };
    for release in ["1.37", "1.36", "1.35"] {
        assert!(valid(&printed, release), "{release}");
        // What refuses nothing would show nothing.
        assert!(!valid(&printed.replace("completions: 4", "completions: four"), release), "{release}");
        assert!(!valid(&printed.replace("backoffLimitPerIndex", "backoffLimitPerIndices"), release), "{release}");
    }
}
