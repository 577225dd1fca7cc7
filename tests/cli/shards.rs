//! `onlyone run --shard`: one run from several processes, on a server and in a folder that all of them reach.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use super::harness::{Harness, Ran, Server, Service, interrupt, scenario, wait_for_lines};

/// Two clients, so that each of two shards has one, and no shard can race with itself.
const PAIRS: &str = "[load.burst]\nclients = 2\nrounds = 120\n[limits]\noperation_deadline = \"3s\"";

fn spawn(harness: &Harness, server: &Server, shard: &str, more: &[&str]) -> Child {
    let run = ["run", "s.toml", "--mongo", &server.uri, "--shard", shard, "--quiet", "--format", "json"];
    harness.command(&[&run, more].concat()).stdin(Stdio::null()).spawn().unwrap()
}

fn ended(child: Child, shard: &str) -> Ran {
    Ran::of(child.wait_with_output().unwrap(), format!("onlyone run --shard {shard}"))
}

/// All shards of a run, to their end.
fn run(harness: &Harness, server: &Server, of: u32, more: &[&str]) -> Vec<Ran> {
    let shards: Vec<String> = (0..of).map(|index| format!("{index}/{of}")).collect();
    let children: Vec<Child> = shards.iter().map(|shard| spawn(harness, server, shard, more)).collect();
    children.into_iter().zip(&shards).map(|(child, shard)| ended(child, shard)).collect()
}

fn merge(harness: &Harness) -> Ran {
    let folders: Vec<PathBuf> =
        std::fs::read_dir(harness.path().join("reports")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let folders: Vec<&str> = folders.iter().map(|folder| folder.to_str().unwrap()).collect();
    harness.run(&[&["merge", "--out", "merged", "--format", "json"], folders.as_slice()].concat())
}

/// What stands where shards met, and what a run left in its database.
fn left_over(server: &Server) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = mongodb::Client::with_uri_str(&server.uri).await.unwrap();
        let database = client.database("onlyone_test");
        let mut left = Vec::new();
        for name in database.list_collection_names().await.unwrap() {
            let collection = database.collection::<mongodb::bson::Document>(&name);
            let count = collection.count_documents(mongodb::bson::doc! {}).await.unwrap();
            left.push(format!("{name}: {count}"));
        }
        left
    })
}

#[test]
fn a_race_between_shards_that_none_of_them_sees_alone_is_found_by_the_merge() {
    let server = Server::start();
    let racy = Harness::new(&scenario("find-then-insert", false, PAIRS));
    for shard in run(&racy, &server, 2, &["--seed", "5"]) {
        let report = shard.expect(0, &[]).json();
        assert_eq!(report["verdict"], "holds", "one alone");
        assert_eq!(report["run_id"].as_str().map(str::len), Some("20260131-120000-1a2b".len()));
    }
    let merged = merge(&racy);
    let report = merged.json();
    assert_eq!(merged.code, Some(1), "{}", merged.shown());
    assert_eq!((&report["verdict"], &report["serial_control"]["verdict"]), (&"violated".into(), &"holds".into()));
    let shards = report["shards"].as_array().unwrap();
    assert_eq!(shards.len(), 2);
    for shard in shards {
        assert_eq!((&shard["state"], &shard["clients"]), (&"whole".into(), &1.into()), "{shard}");
        assert!(shard["clock_uncertainty_us"].as_f64().is_some_and(|us| us > 0.0), "{shard}");
    }
    // Everything that the run made is gone, and what the shards wrote to each other, too.
    assert_eq!(left_over(&server), ["onlyone_shards: 0"]);

    let correct = Harness::new(&scenario("upsert-retry", true, PAIRS));
    for shard in run(&correct, &server, 2, &["--seed", "5"]) {
        shard.expect(0, &[]);
    }
    let report = merge(&correct).expect(0, &[]).json();
    assert_eq!(report["operations"]["create-or-get"]["attempted"], 240);
    assert!(report["concurrency"]["effective_trials"].as_u64().unwrap() > 0, "{report}");
}

/// The reference service, and a scenario that loads it and looks into its database.
fn service(server: &Server, database: &str, options: &[&str]) -> (Service, Harness) {
    let service = Service::start(&[&["--mongo", &server.uri, "--database", database], options].concat());
    let scenario = format!(
        r#"name = "t"
workload = "create-or-get"
[target.http]
base_urls = ["{url}"]
release = "last-byte"
auth.login = {{ request = {{ path = "/login", json = {{ user = "{{{{ client.user }}}}" }} }}, token = "$.token" }}
[target.http.operations.create-or-get]
path = "/api/chats/create-or-get"
headers = {{ X-Op-Id = "{{{{ op.id }}}}" }}
json = {{ participantId = "{{{{ pair.b }}}}" }}
outcome = {{ id = "$.chat._id", created = "$.created", created_by = "$.chat.createdByOp" }}
[observe.mongo]
uri = "{uri}"
database = "{database}"
collection = "chats"
key = "participantsKey"
stamp = "createdByOp"
[load.burst]
clients = 2
rounds = 240
"#,
        url = service.url,
        uri = server.uri,
    );
    (service, Harness::new(&scenario))
}

/// Shards of a load over HTTP meet where they are told, log in each for its own clients, and only the first looks.
#[test]
fn a_race_between_shards_is_found_over_http_and_a_correct_service_is_not_accused() {
    let server = Server::start();
    let racy = ["--strategy", "create-or-get=find-then-insert", "--no-unique-index"];
    for (database, options, code, verdict) in
        [("onlyone_racy", &racy[..], 1, "violated"), ("onlyone_correct", &[][..], 0, "holds")]
    {
        let (_service, harness) = service(&server, database, options);
        let folder = harness.path().join("meet");
        for rendezvous in [server.uri.as_str(), folder.to_str().unwrap()] {
            std::fs::remove_dir_all(harness.path().join("reports")).ok();
            for shard in run(&harness, &server, 2, &["--rendezvous", rendezvous]) {
                assert_eq!(shard.expect(0, &[]).json()["verdict"], "holds", "one alone");
            }
            let merged = merge(&harness);
            let report = merged.json();
            assert_eq!(report["operations"]["create-or-get"]["attempted"], 480, "{rendezvous}");
            // By the clock of a folder few operations overlap for certain, and on a busy machine none. By that of a MongoDB some do.
            let only_reason = match report["reasons"].as_array().map(Vec::as_slice) {
                Some([only]) => only.to_string(),
                _ => String::new(),
            };
            let by_folder = rendezvous != server.uri;
            let uncertain = by_folder && verdict == "holds" && only_reason.contains("ever overlapped");
            let (code, verdict) = if uncertain { (3, "inconclusive") } else { (code, verdict) };
            assert_eq!((merged.code, &report["verdict"]), (Some(code), &verdict.into()), "{}", merged.shown());
        }
    }
}

#[test]
fn clients_and_operations_are_those_of_all_shards_together() {
    let server = Server::start();
    let closed = "[load.closed]\nclients = 5\nduration = \"30s\"\noperations = 200\nkeys = { uniform = { count = 8 } }";
    let open = "[load.open]\nrate = 200\nduration = \"1s\"\nmax_clients = 40\narrivals = \"constant\"\nkeys = { uniform = { count = 8 } }";
    // Arrivals that are five milliseconds apart do not overlap for certain by a folder's clock, which is coarser than that.
    let staged = "[load.stages]\nmax_clients = 40\narrivals = \"constant\"\nkeys = { uniform = { count = 8 } }\n\
        rate = [{ target = 160, duration = \"1s\" }, { target = 160, duration = \"750ms\" }]";
    let either = &["holds", "inconclusive"][..];
    for (load, verdicts, stages) in
        [(closed, &["holds"][..], &[][..]), (open, either, &[]), (staged, either, &[80, 120])]
    {
        let harness = Harness::new(&scenario("upsert-retry", true, load));
        let folder = harness.path().join("meet");
        for shard in
            run(&harness, &server, 3, &["--seed", "5", "--run-id", "r", "--rendezvous", folder.to_str().unwrap()])
        {
            shard.expect(0, &[]);
        }
        assert_eq!(
            std::fs::read_dir(&folder).unwrap().count(),
            0,
            "what the shards wrote to each other is still there"
        );
        let report = merge(&harness).json();
        let kinds = report["operations"].as_object().unwrap().values();
        let attempted: u64 = kinds.map(|kind| kind["attempted"].as_u64().unwrap()).sum();
        // Arrivals that found every client busy are counted, and not sent.
        assert_eq!(attempted + report["generator"]["dropped_arrivals"].as_u64().unwrap(), 200, "{load}");
        assert!(verdicts.contains(&report["verdict"].as_str().unwrap()), "{load}: {report}");
        let clients = report["shards"].as_array().unwrap().iter().map(|shard| shard["clients"].as_u64().unwrap());
        assert_eq!(clients.sum::<u64>(), report["concurrency"]["clients"].as_u64().unwrap(), "{load}");
        // Each arrival is in the stage in which it was due, whichever shard sent it.
        let of_stages = report["stages"].as_array().into_iter().flatten();
        let due = |stage: &serde_json::Value| {
            stage["attempted"].as_u64().unwrap() + stage["dropped_arrivals"].as_u64().unwrap()
        };
        assert_eq!(of_stages.map(due).collect::<Vec<_>>(), stages, "{load}");
        let page = std::fs::read_to_string(harness.path().join("merged/r/report.html")).unwrap();
        assert_eq!(page.contains("<h2>Stages</h2>"), !stages.is_empty(), "{load}");
        // The same keys in all of them, and no number twice: merging refuses that.
        assert_eq!(report["concurrency"]["keys"], 8, "{load}");
    }
}

#[test]
fn a_shard_that_is_killed_or_interrupted_ends_the_others_and_leaves_no_verdict_that_holds() {
    let server = Server::start();
    let long = PAIRS.replace("rounds = 120", "rounds = 100000");
    for kill in [true, false] {
        let harness = Harness::new(&scenario("upsert-retry", true, &long));
        let first = spawn(&harness, &server, "0/2", &["--run-id", "r"]);
        let mut second = spawn(&harness, &server, "1/2", &["--run-id", "r"]);
        let history = harness.path().join("reports/r.shard-1-of-2/history.jsonl");
        wait_for_lines(|| history.exists().then(|| history.clone()), 20);
        if kill {
            second.kill().unwrap();
            second.wait().unwrap();
        } else {
            interrupt(&second);
            ended(second, "1/2").expect(130, &[]);
        }
        let first = ended(first, "0/2").expect(3, &[]);
        let told = if kill { "shard 1 did not come within" } else { "shard 1 left: it was interrupted" };
        assert!(first.json()["reasons"].to_string().contains(told), "{}", first.shown());
        let merged = merge(&harness);
        assert_eq!(
            (merged.code, merged.json()["verdict"].as_str()),
            (Some(3), Some("inconclusive")),
            "{}",
            merged.shown()
        );
        let state = if kill { "died" } else { "interrupted" };
        assert_eq!(merged.json()["shards"][1]["state"], state, "{}", merged.shown());
    }
}

#[test]
fn what_shards_cannot_carry_out_together_is_refused() {
    let harness = Harness::new(&scenario("upsert-retry", true, PAIRS));
    let refused = |args: &[&str], texts: &[&str]| {
        harness.run(&[&["run", "s.toml"], args].concat()).expect(2, texts);
    };
    refused(&["--shard", "2/2"], &["there is no shard 2 of 2", "from 0 to 1"]);
    refused(&["--shard", "one"], &["write I/N"]);
    refused(&["--shard", "0/2"], &["each shard would start a MongoDB of its own", "--mongo"]);
    let nowhere = "mongodb://127.0.0.1:1/";
    refused(&["--shard", "0/3", "--mongo", nowhere], &["the load has 2 clients, too few for 3 shards"]);
    refused(&["s.toml", "--shard", "0/2", "--mongo", nowhere], &["one scenario together", "2 are named"]);
    refused(&["--shard", "auto", "--mongo", nowhere], &["does not say which shard", "SLURM_PROCID"]);
    refused(&["--shard", "0/2", "--probe"], &["--probe"]);
    refused(&["--meet", "somewhere"], &["--rendezvous means nothing without --shard"]);
    refused(&["--shards-within", "1s"], &["--shards-within means nothing without --shard"]);
    // A variable is there for those runs that have shards.
    let told = Harness::new(&scenario("upsert-retry", true, PAIRS)).env("ONLYONE_RUN_RENDEZVOUS", "somewhere");
    told.run(&["run", "s.toml", "--dry-run"]).expect(0, &[]);
    assert!(!harness.path().join("reports").exists());

    let server = Server::start();
    let slurm = Harness::new(&scenario("upsert-retry", true, PAIRS)).env("SLURM_PROCID", "1").env("SLURM_NTASKS", "2");
    let alone = spawn(&slurm, &server, "auto", &["--shards-within", "300ms"]);
    ended(alone, "auto").expect(4, &["shard 0 did not come within 300ms", "--shards-within"]);
    let one = spawn(&harness, &server, "0/2", &["--run-id", "r"]);
    let other = spawn(&harness, &server, "1/2", &["--run-id", "r", "--set", "load.burst.rounds=5"]);
    for (child, shard) in [(one, "0/2"), (other, "1/2")] {
        ended(child, shard).expect(2, &["shard 1 is not of this run", "its scenario"]);
    }
    assert!(!harness.path().join("reports").exists());
}
