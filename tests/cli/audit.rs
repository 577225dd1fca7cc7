//! `seed`, `audit`, `repair` and `repair restore` against servers that the command does not own.

use std::io::{BufRead, BufReader};

use futures::TryStreamExt;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use serde_json::Value;

use super::harness::{Harness, Ran, Server, interrupt};

/// A profile of a user's own, with everything that a profile can say about a key.
const ROOMS: &str = r#"
name = "rooms"
collection = "rooms"
[key]
field = "meta.key"
participants = "members"
member = "userId"
prefix = ["type"]
separator = ":"
distinct = true
[array]
field = "lines"
order = "at"
identity = [["lineId"]]
[[references]]
collection = "reactions"
field = "room"
[merge]
oldest = "openedAt"
newest = ["touchedAt"]
"#;

/// A server, a folder whose commands find it by the environment, and a client of the test's own.
struct Practice {
    server: Server,
    harness: Harness,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Practice {
    fn with(args: &[&str]) -> Self {
        let server = Server::start_with(args);
        let harness = Harness::new("").env("ONLYONE_MONGO_URI", &server.uri);
        std::fs::write(harness.path().join("rooms.toml"), ROOMS).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let client = runtime.block_on(Client::with_uri_str(&server.uri)).unwrap();
        Practice { server, harness, client, runtime }
    }

    fn start() -> Self {
        Self::with(&[])
    }

    fn run(&self, command: &str) -> Ran {
        self.harness.run(&command.split(' ').collect::<Vec<_>>())
    }

    fn command(&self, database: &str, command: Document) -> Document {
        self.runtime.block_on(async { self.client.database(database).run_command(command).await }).unwrap()
    }

    fn all(&self, database: &str, collection: &str) -> Vec<Document> {
        let collection = self.client.database(database).collection::<Document>(collection);
        self.runtime
            .block_on(async { collection.find(doc! {}).sort(doc! { "_id": 1 }).await?.try_collect().await })
            .unwrap()
    }

    /// The server's own counts of inserts, updates and deletes.
    fn writes(&self) -> Vec<Bson> {
        let status = self.command("admin", doc! { "serverStatus": 1 });
        let counters = status.get_document("opcounters").unwrap();
        ["insert", "update", "delete"].map(|name| counters.get(name).unwrap().clone()).to_vec()
    }
}

/// Count of each kind of finding or action.
fn kinds(report: &Value, list: &str) -> Vec<(String, u64)> {
    let entries = report[list].as_array().unwrap();
    entries.iter().map(|entry| (entry["kind"].as_str().unwrap().to_owned(), entry["count"].as_u64().unwrap())).collect()
}

fn owned(kinds: &[(&str, u64)]) -> Vec<(String, u64)> {
    kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

#[test]
fn a_database_is_seeded_audited_planned_repaired_and_restored() {
    let practice = Practice::start();
    for (database, profile, collections) in
        [("onlyone_chats", "chats", ["chats", "messages"]), ("onlyone_rooms", "rooms.toml", ["rooms", "reactions"])]
    {
        let of = format!("--database {database} --profile {profile}");
        let run = |command: &str| practice.run(&format!("{command} {of}"));
        let contents = || collections.map(|collection| practice.all(database, collection));
        run("seed --documents 12 --duplicates 3 --missing-keys 4 --wrong-keys 2 --repeats 5")
            .expect(0, &["an audit must find: duplicate-key 3", "missing-key 4", "wrong-key 2", "duplicate-element 5"]);
        run("seed").expect(4, &["holds documents already", "seed an empty collection"]);
        let original = contents();
        let before = practice.writes();

        let found = run("audit --format json").expect(1, &[]).json();
        let expected = [
            ("duplicate-key", 3),
            ("missing-key", 4),
            ("wrong-key", 2),
            ("missing-index", 1),
            ("duplicate-element", 5),
        ];
        assert_eq!(kinds(&found, "findings"), owned(&expected), "{profile}");
        assert_eq!((found["verdict"].as_str(), found["exit_code"].as_u64()), (Some("violated"), Some(1)));
        let planned = run("repair --run-id plan").expect(1, &["plan (nothing was written", "merge 3", "set-key"]);
        assert!(!planned.stdout.contains("done:"), "{}", planned.shown());
        for file in ["report.json", "report.html", "junit.xml", "summary.md"] {
            assert!(practice.harness.path().join("reports/plan").join(file).is_file(), "{file}");
            std::fs::remove_file(practice.harness.path().join("reports/plan").join(file)).unwrap();
        }
        std::fs::remove_dir(practice.harness.path().join("reports/plan")).unwrap();
        assert_eq!(practice.writes(), before, "neither the audit nor the plan writes");

        std::fs::create_dir_all(practice.harness.path().join("reports/taken")).unwrap();
        run("repair --apply --run-id taken").expect(2, &["taken exists", "give another --run-id"]);
        assert_eq!(practice.writes(), before, "nor does a repair that cannot be reported");
        let id = format!("{database}-1");
        run(&format!("repair --apply --rate 200 --run-id {id}")).expect(
            0,
            &["done:", "merge 3", "deduplicate 5", "create-index 1", &format!("onlyone_backup_{id}"), "HOLDS"],
        );
        run("audit").expect(0, &["HOLDS", "unique sparse", "IXSCAN"]);
        let mended = contents();
        assert_eq!(mended[0].len(), 9);
        let before = practice.writes();
        run("repair --apply").expect(0, &["nothing to do", "HOLDS"]);
        assert_eq!((contents() == mended, practice.writes()), (true, before), "a second repair does nothing");

        run(&format!("repair restore {id}"))
            .expect(0, &["documents restored", "the indexes that the repair created were dropped"]);
        assert!(contents() == original, "{profile}: not what it was");
        run(&format!("repair restore {id}")).expect(0, &["0 documents restored"]);
        assert_eq!(kinds(&run("audit --format json").json(), "findings"), owned(&expected), "{profile}");
    }
}

#[test]
fn what_cannot_be_audited_or_repaired_is_told_and_left_alone() {
    let practice = Practice::start();
    practice.run("seed --database onlyone_wrong --profile chats --documents 3 --duplicates 1").expect(0, &[]);
    practice.command("onlyone_wrong", doc! { "create": "seen", "viewOn": "chats", "pipeline": [] });
    practice.command("onlyone_wrong", doc! { "create": "timed", "timeseries": { "timeField": "t" } });
    practice.command("onlyone_wrong", doc! { "create": "ring", "capped": true, "size": 100_000 });
    practice.command("onlyone_wrong", doc! { "insert": "ring", "documents": [{ "participants": ["a", "b"] }] });
    std::fs::write(practice.harness.path().join("bad.toml"), "name = 'x'\ncollection = 'c'\n[key]\nfeild = 'k'\n")
        .unwrap();
    let before = practice.writes();
    let table: [(&str, i32, &[&str]); 16] = [
        ("audit --database onlyone_none --profile chats", 3, &["has no collection `chats`", "is the name right?"]),
        ("audit --database onlyone_wrong --profile threads", 3, &["has no collection", "it has chats"]),
        ("repair --database onlyone_none --profile chats", 4, &["has no collection `chats`", "is the name right?"]),
        ("repair --apply --database onlyone_none --profile chats", 4, &["has no collection `chats`"]),
        ("audit --database onlyone_wrong --collection seen --profile chats", 4, &["`seen` is a view on `chats`"]),
        ("repair --apply --database onlyone_wrong --collection seen --profile chats", 4, &["a view on `chats`"]),
        ("audit --database onlyone_wrong --collection timed --profile chats", 4, &["a time-series collection"]),
        (
            "audit --database onlyone_wrong --collection ring --profile chats",
            1,
            &["custom:key-present", "VIOLATED", "--collection ring"],
        ),
        ("repair --apply --database onlyone_wrong --collection ring --profile chats", 4, &["a capped collection"]),
        ("audit --database onlyone_wrong --profile chat", 2, &["there is no profile `chat`", "chats, conversations"]),
        ("audit --database onlyone_wrong --profile no.toml", 2, &["cannot read the profile no.toml"]),
        ("audit --database onlyone_wrong --profile bad.toml", 2, &["bad.toml is not a profile", "feild"]),
        ("repair --rate 0 --database onlyone_wrong --profile chats", 2, &["--rate must be a number above 0"]),
        (
            "repair restore nothing --database onlyone_wrong --profile chats",
            2,
            &["has no backup `onlyone_backup_nothing`"],
        ),
        ("repair --apply --database shop --profile chats", 4, &["shop", "--allow-database"]),
        (
            "seed --documents 2 --duplicates 2 --database onlyone_new --profile chats",
            2,
            &["2 duplicates need more than 2"],
        ),
    ];
    for (command, code, texts) in table {
        practice.run(command).expect(code, texts);
    }
    assert_eq!(practice.writes(), before);
    let unreachable = "mongodb://user:hunter22@127.0.0.1:1/?serverSelectionTimeoutMS=200";
    let args = ["audit", "--mongo", unreachable, "--database", "onlyone_x", "--profile", "chats"];
    let ran = practice.harness.run(&args).expect(4, &["127.0.0.1:1"]);
    assert!(!ran.shown().replace(unreachable, "").replace(&args.join(" "), "").contains("hunter22"), "{}", ran.shown());
}

#[test]
fn watching_prints_what_changed_until_interrupted() {
    let practice = Practice::start();
    let of = ["--database", "onlyone_watched", "--profile", "chats"];
    practice.run(&format!("seed --documents 4 --duplicates 0 {}", of.join(" "))).expect(0, &[]);
    practice.run(&format!("repair --apply {}", of.join(" "))).expect(0, &["create-index 1", "HOLDS"]);
    let args = [&["audit", "--watch", "200ms", "--run-id", "watched"][..], &of].concat();
    let mut child = practice.harness.command(&args).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with("Reproduce")).collect();
    assert!(first.iter().any(|line| line.contains("HOLDS")), "{first:?}");
    // Sparse: what has no key is not kept out.
    let unkeyed = doc! { "_id": "x", "participants": ["user-0000000", "user-0000001"] };
    practice.command("onlyone_watched", doc! { "insert": "chats", "documents": [unkeyed] });
    let changes: Vec<String> =
        lines.by_ref().skip_while(|line| !line.contains(" -> ")).take_while(|line| !line.contains("verdict")).collect();
    let kinds: Vec<&str> = changes.iter().filter_map(|line| line.split_once(' ')).map(|(_, change)| change).collect();
    assert_eq!(kinds, ["duplicate-key: 0 -> 1", "missing-key: 0 -> 1"]);
    practice.command("onlyone_watched", doc! { "delete": "chats", "deletes": [{ "q": { "_id": "x" }, "limit": 1 }] });
    assert!(lines.by_ref().any(|line| line.ends_with("verdict: violated -> holds")));
    interrupt(&child);
    assert_eq!(lines.count(), 0, "nothing more changed");
    assert_eq!(child.wait().unwrap().code(), Some(1), "the worst that was seen decides");
}

#[test]
fn a_replica_set_is_audited_on_a_secondary_and_repaired_on_the_primary() {
    let practice = Practice::with(&["--replica-set", "3"]);
    let of = "--database onlyone_set --profile chats";
    practice.run(&format!("seed --documents 40 --duplicates 7 {of}")).expect(0, &[]);
    let hello = practice.command("admin", doc! { "hello": 1 });
    let hosts: Vec<&str> = hello.get_array("hosts").unwrap().iter().map(|host| host.as_str().unwrap()).collect();
    let primary = hello.get_str("primary").unwrap();
    assert_eq!(hosts.len(), 3);
    // Each member tells which reads of the audit it answered.
    let members: Vec<(bool, Client)> = hosts
        .iter()
        .map(|host| {
            let uri = format!("mongodb://{host}/?directConnection=true&readPreference=nearest");
            (*host == primary, practice.runtime.block_on(Client::with_uri_str(uri)).unwrap())
        })
        .collect();
    for (_, member) in &members {
        let database = member.database("onlyone_set");
        practice.runtime.block_on(async { database.run_command(doc! { "profile": 2 }).await }).unwrap();
    }
    let reads = |on_primary: bool| -> u64 {
        let of = members.iter().filter(|(is_primary, _)| *is_primary == on_primary);
        of.map(|(_, member)| {
            let answered = member.database("onlyone_set").collection::<Document>("system.profile");
            let filter = doc! { "appName": "onlyone", "op": "query" };
            practice.runtime.block_on(async { answered.count_documents(filter).await }).unwrap()
        })
        .sum()
    };
    // What was seeded reaches the secondaries in its own time.
    while members.iter().any(|(_, member)| {
        let chats = member.database("onlyone_set").collection::<Document>("messages");
        practice.runtime.block_on(async { chats.count_documents(doc! {}).await }).unwrap() < 80
    }) {
        std::thread::yield_now();
    }
    let report = practice.run(&format!("audit --secondary --format json {of}")).expect(1, &[]).json();
    assert_eq!(kinds(&report, "findings"), owned(&[("duplicate-key", 7), ("missing-index", 1)]));
    assert!(reads(true) == 0 && reads(false) > 0, "{} on the primary, {} on secondaries", reads(true), reads(false));
    let by_uri = format!("{}&readPreference=secondaryPreferred", practice.server.uri);
    let run = |command: &str| {
        let line = format!("{command} {of} --mongo {by_uri}");
        practice.harness.run(&line.split(' ').collect::<Vec<_>>())
    };
    let before = reads(false);
    run("audit").expect(1, &["VIOLATED"]);
    assert!(reads(true) == 0 && reads(false) > before, "the connection string decides as well");
    // A repair reads what it writes, whatever the connection string prefers.
    run("repair --apply --run-id s").expect(0, &["merge 7", "create-index 1", "HOLDS"]);
    practice.run(&format!("audit {of}")).expect(0, &["HOLDS"]);
    assert!(reads(true) > 0);
    run("repair restore s").expect(0, &["documents restored", "the indexes that the repair created were dropped"]);
    practice.run(&format!("audit {of}")).expect(1, &["VIOLATED"]);
}
