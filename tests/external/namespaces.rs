//! The container's own command as four processes in four networks, whose clocks are 300 ms apart: what machines of their own
//! differ in. The networks are namespaces of this kernel, joined by a bridge that leads nowhere else.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::scale::{Daemon, binary, in_path, scenario, wait_until};
use super::tools::{limited, succeeded};

/// Where Debian and Ubuntu put the library that moves a process's clock.
const FAKETIME: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];
/// The address of the server in the network of the bridge.
const SERVER: &str = "10.77.0.1";
const SHARDS: usize = 4;

/// Connects what comes to an address of the bridge with a port of the loopback that is behind it.
const RELAY: &str = r"
import asyncio, sys
async def pour(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
async def relay(reader, writer):
    server, client = await asyncio.open_connection('127.0.0.1', int(sys.argv[2]))
    await asyncio.gather(pour(reader, client), pour(server, writer))
async def main():
    server = await asyncio.start_server(relay, sys.argv[1], 27017)
    print('ready', flush=True)
    await server.serve_forever()
asyncio.run(main())
";

fn ip(arguments: &str) -> Command {
    let mut command = limited("ip", 20);
    command.args(arguments.split(' '));
    command
}

/// The namespaces of this process, by their names; they are gone with this value, also where not all of them could be made.
struct Namespaces {
    tag: u32,
}

impl Namespaces {
    fn name(&self, of: &str) -> String {
        format!("onlyone-{}-{of}", self.tag)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for of in ["hub", "0", "1", "2", "3"] {
            ip(&format!("netns del {}", self.name(of))).status().ok();
        }
    }
}

/// Four networks and the one of the server.
struct Networks {
    // In the order in which they are to end.
    _relay: Daemon,
    _mongo: Daemon,
    namespaces: Namespaces,
}

impl Networks {
    fn inside(&self, of: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespaces.name(of)]);
        command
    }

    fn start(folder: &Path) -> Networks {
        let namespaces = Namespaces { tag: std::process::id() };
        let hub = namespaces.name("hub");
        let done = |command: &str| succeeded(ip(command).output().unwrap());
        done(&format!("netns add {hub}"));
        done(&format!("-n {hub} link set lo up"));
        done(&format!("-n {hub} link add bridge type bridge"));
        done(&format!("-n {hub} addr add {SERVER}/24 dev bridge"));
        done(&format!("-n {hub} link set bridge up"));
        for shard in 0..SHARDS {
            let name = namespaces.name(&shard.to_string());
            done(&format!("netns add {name}"));
            done(&format!("-n {name} link add eth0 type veth peer name shard{shard} netns {hub}"));
            done(&format!("-n {hub} link set shard{shard} master bridge up"));
            done(&format!("-n {name} addr add 10.77.0.{}/24 dev eth0", shard + 2));
            done(&format!("-n {name} link set eth0 up"));
            done(&format!("-n {name} link set lo up"));
        }
        let enter = |program: &str| {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &hub, program]).env_remove("ONLYONE_MONGO_URI");
            command
        };
        let (log, relayed) = (folder.join("mongod.log"), folder.join("relay.log"));
        let mongo = Daemon::start(enter(binary()).arg("mongod"), &log);
        let port = || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let uri = text.split_whitespace().find(|word| word.starts_with("mongodb://"))?.to_owned();
            uri.trim_end_matches('/').rsplit_once(':').map(|(_, port)| port.to_owned())
        };
        wait_until("a MongoDB", || port().is_some());
        let relay = Daemon::start(enter("python3").args(["-c", RELAY, SERVER, &port().unwrap()]), &relayed);
        wait_until("a relay", || std::fs::read_to_string(&relayed).is_ok_and(|text| text.contains("ready")));
        Networks { _relay: relay, _mongo: mongo, namespaces }
    }
}

/// What the printed manifest has a container do: the arguments of its two jobs.
fn containers(folder: &Path, run: &str) -> Vec<Vec<String>> {
    let printed = limited(binary(), 60)
        .args(["manifest", "kubernetes", "four.toml", "--shards", &SHARDS.to_string(), "--name", run])
        .args(["--allow-target", SERVER])
        .current_dir(folder)
        .output();
    let printed = succeeded(printed.unwrap());
    let documents = printed.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
    let here = |word: &Value| {
        let word = word.as_str().unwrap();
        let at = folder.display();
        word.replace("/scenario/scenario.toml", &format!("{at}/four.toml"))
            .replace("/reports", &format!("{at}/reports"))
    };
    let jobs = documents.filter(|document| document["kind"] == "Job");
    let containers = jobs.map(|job| job["spec"]["template"]["spec"]["containers"][0]["args"].clone());
    containers.map(|args| args.as_array().unwrap().iter().map(here).collect()).collect()
}

/// The merged report, and its exit code.
fn run(networks: &Networks, folder: &Path, faketime: &str, run: &str) -> (Option<i32>, Value) {
    let [shards, merge] = <[Vec<String>; 2]>::try_from(containers(folder, run)).unwrap();
    // The clock that is furthest ahead begins: who begins later says that it began earlier.
    let children: Vec<_> = (0..SHARDS)
        .rev()
        .map(|shard| {
            let mut command = networks.inside(&shard.to_string());
            command.args(["timeout", "120"]).arg(binary()).args(&shards).current_dir(folder);
            command.env("JOB_COMPLETION_INDEX", shard.to_string()).env("ONLYONE_SHARDS", SHARDS.to_string());
            command.env("ONLYONE_MONGO_URI", format!("mongodb://{SERVER}:27017/"));
            command.env("LD_PRELOAD", faketime).env("FAKETIME", format!("+{}.{}", shard * 3 / 10, shard * 3 % 10));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            (shard, command.spawn().unwrap())
        })
        .collect();
    for (shard, child) in children {
        let ended = child.wait_with_output().unwrap();
        let file = folder.join(format!("reports/{run}.shard-{shard}-of-{SHARDS}/report.json"));
        let why = std::fs::read(file).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let why = why.map(|report| format!("{} {}", report["reasons"], report["invariants"]));
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(0), "shard {shard}: {said} {why:?}");
    }
    let began = |shard: usize| {
        let file = folder.join(format!("reports/{run}.shard-{shard}-of-{SHARDS}/run.json"));
        let record: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        record["started_at"].as_str().unwrap().to_owned()
    };
    assert!(began(0) < began(SHARDS - 1), "the clocks are not apart: {} and {}", began(0), began(SHARDS - 1));
    let merged = limited(binary(), 60).args(merge).args(["--format", "json"]).current_dir(folder).output().unwrap();
    let report = serde_json::from_slice(&merged.stdout).unwrap_or_else(|error| panic!("{error}: {merged:?}"));
    (merged.status.code(), report)
}

/// How often each of the two is run: the gate looks once; `ONLYONE_NAMESPACE_RUNS=50` is the campaign of `docs/scale.md`.
fn times() -> usize {
    std::env::var("ONLYONE_NAMESPACE_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(1)
}

#[test]
#[ignore = "needs root, network namespaces and libfaketime"]
fn external_four_networks_with_clocks_apart_find_the_race_and_accuse_no_correct_one() {
    let Some(faketime) = FAKETIME.into_iter().find(|library| Path::new(library).exists()) else {
        return println!("skipped: libfaketime is not here; apt-get install faketime");
    };
    // One that an earlier process was killed with must not let this one pass for ever.
    let probe = format!("onlyone-{}-probe", std::process::id());
    if !in_path("ip") || !ip(&format!("netns add {probe}")).status().is_ok_and(|status| status.success()) {
        return println!("skipped: network namespaces cannot be made here; they need root and iproute2");
    }
    succeeded(ip(&format!("netns del {probe}")).output().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let networks = Networks::start(folder.path());
    for (strategy, index, code, verdict) in
        [("find-then-insert", false, 1, "violated"), ("upsert-retry", true, 0, "holds")]
    {
        std::fs::write(folder.path().join("four.toml"), scenario(strategy, index, 30)).unwrap();
        let mut seen = std::collections::BTreeMap::<String, usize>::new();
        for number in 0..times() {
            let (ended, report) = run(&networks, folder.path(), faketime, &format!("{strategy}-{number}"));
            assert_eq!(ended, Some(code), "{strategy}, run {number}: {} {}", report["verdict"], report["reasons"]);
            *seen.entry(report["verdict"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(seen, [(verdict.to_owned(), times())].into(), "{strategy}");
        println!("{strategy}: {seen:?}");
    }
}
