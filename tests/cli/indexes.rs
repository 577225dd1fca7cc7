//! What a run over HTTP tells of the indexes behind its service.

use std::process::{Command, Stdio};

use mongodb::Client;
use mongodb::bson::{Document, doc};
use onlyone::mongod::{Mongod, Options};
use onlyone::scenario::MongodSpec;
use serde_json::Value;

use super::harness::{Harness, Ran, Server};

/// The reference service, whose strategy holds with an index as without one: a single process that locks.
const SCENARIO: &str = r#"name = "indexes"
workload = "create-or-get"
[target.http]
auth.login = { request = { path = "/login", json = { user = "{{ client.user }}" } }, token = "$.token" }
[target.http.operations.create-or-get]
path = "/api/chats/create-or-get"
headers = { X-Op-Id = "{{ op.id }}" }
json = { participantId = "{{ pair.b }}" }
outcome = { id = "$.chat._id", created = "$.created" }
[service]
command = ["{{ onlyone }}", "serve", "--port", "{{ service.port }}", "--database", "{{ mongo.database }}",
    "--strategy", "create-or-get=lock-collection", "--no-unique-index"]
env = { ONLYONE_MONGO_URI = "{{ mongo.uri }}" }
ready = "/health"
instances = 1
[observe.mongo]
collection = "chats"
key = "participantsKey"
[load.burst]
clients = 4
rounds = 3
"#;

fn on<T>(uri: &str, work: impl AsyncFnOnce(Client) -> T) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(async { work(Client::with_uri_str(uri).await.unwrap()).await })
}

/// A run's name, the index, what is set, the unique index, and what is said of it. An index is named where nothing refuses.
type Indexed<'a> = (&'a str, Document, &'a [&'a str], Option<&'a str>, &'a str);

/// Runs with this index in the database of the run's service.
fn with_index(server: &Server, run: &str, index: Option<Document>, sets: &[&str]) -> (Harness, Ran) {
    if let Some(index) = index {
        let create = doc! { "createIndexes": "chats", "indexes": [index] };
        let database = format!("onlyone_{run}");
        on(&server.uri, async |client: Client| client.database(&database).run_command(create).await.unwrap());
    }
    let harness = Harness::new(SCENARIO);
    let given = ["run", "s.toml", "--mongo", &server.uri, "--run-id", run, "--quiet", "--format", "json"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
    let ran = harness.run(&[&given[..], &sets].concat()).expect(0, &[]);
    (harness, ran)
}

fn key(ran: &Ran) -> Value {
    ran.json()["preflight"]["observed_key"].clone()
}

fn says(key: &Value) -> &str {
    key["says"].as_str().unwrap_or_default()
}

#[test]
fn a_missing_index_is_told_with_the_command_that_creates_it_and_accuses_nobody() {
    let server = Server::start();
    let (harness, ran) = with_index(&server, "none", None, &[]);
    let (report, key) = (ran.json(), key(&ran));
    assert_eq!(report["verdict"], "holds");
    assert_eq!(key["collection"], "onlyone_none.chats");
    assert!(!says(&key).contains("createIndex"), "the command stands alone: {key}");
    assert_eq!(key["create"], "db.chats.createIndex({ participantsKey: 1 }, { unique: true })");
    assert!(key["unique"].is_null() && says(&key).starts_with("No unique index is on participantsKey"), "{key}");
    assert!(key["explore"].as_str().unwrap().contains("`onlyone explore s.toml`"), "{key}");
    assert_eq!(report["preflight"]["lookup_plan"], "COLLSCAN");
    // The same is in every report.
    let folder = harness.run_dir();
    let kept = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    for (file, command) in [("summary.md", "createIndex"), ("report.html", "createIndex")] {
        assert!(kept(file).contains(command) && kept(file).contains("onlyone explore s.toml"), "{file}");
    }
    let again =
        harness.run(&["report", folder.to_str().unwrap()]).expect(0, &["Key", "No unique index is on participantsKey"]);
    assert!(again.stdout.contains("Indexes       none but _id · the lookup uses COLLSCAN"), "{}", again.shown());
}

#[test]
fn an_index_is_told_as_what_it_is_to_the_key() {
    let server = Server::start();
    let pair = doc! { "participantsKey": 1 };
    let both =
        ["observe.mongo.key=[\"participantsKey\", \"status\"]", "observe.mongo.stored=[\"{{ key }}\", \"active\"]"];
    let on_both = doc! { "participantsKey": 1, "status": 1 };
    let active = doc! { "status": "active" };
    let partial = doc! { "key": on_both.clone(), "name": "active", "unique": true, "partialFilterExpression": active };
    let there = doc! { "participantsKey": { "$exists": true } };
    let there = doc! { "key": on_both.clone(), "name": "there", "unique": true, "partialFilterExpression": there };
    let cases: [Indexed<'_>; 8] = [
        ("plain", doc! { "key": pair.clone(), "name": "by-pair" }, &[], None, "is not unique"),
        (
            "whole",
            doc! { "key": { "participantsKey": 1, "createdAt": 1 }, "name": "by-all", "unique": true },
            &[],
            None,
            "only together with other fields: it refuses a second document only if",
        ),
        (
            "compound",
            doc! { "key": on_both, "name": "by-both", "unique": true },
            &both,
            Some("by-both"),
            "makes participantsKey, status unique: the database refuses a second document",
        ),
        ("there", there, &both, Some("there"), "among the documents that are looked at"),
        ("partial", partial.clone(), &both, None, "is only for documents with {\"status\":\"active\"}"),
        (
            "where",
            partial,
            &[both[0], both[1], "observe.mongo.where='{ \"status\": \"active\" }'"],
            Some("active"),
            "among the documents that are looked at",
        ),
        (
            "other",
            doc! { "key": { "hash": 1 }, "name": "by-hash", "unique": true, "sparse": true },
            &[],
            None,
            "`by-hash` is unique on other fields",
        ),
        (
            "expires",
            doc! { "key": { "createdAt": 1 }, "name": "ttl", "expireAfterSeconds": 3600 },
            &[],
            None,
            "No unique index",
        ),
    ];
    for (run, index, sets, unique, said) in cases {
        let (_, ran) = with_index(&server, run, Some(index), sets);
        let (report, key) = (ran.json(), key(&ran));
        assert_eq!((&report["verdict"], key["unique"].as_str()), (&Value::from("holds"), unique), "{run}: {key}");
        assert!(says(&key).contains(said), "{run}: {key}");
        let nothing_refuses = says(&key).contains("nothing in the database refuses");
        assert_eq!(key["create"].is_string(), nothing_refuses, "{run}: {key}");
        let expires = report["preflight"]["notes"].to_string().contains("3600 s after the time in `createdAt`");
        assert_eq!(expires, run == "expires", "{run}: {}", report["preflight"]["notes"]);
    }
    // Each command that is named works on the server as it is.
    on(&server.uri, async |client: Client| {
        let database = client.database("onlyone_commands");
        let create = |index: Document| doc! { "createIndexes": "chats", "indexes": [index] };
        let plain = |name: &str| create(doc! { "key": pair.clone(), "name": name });
        database.run_command(plain("by-pair")).await.unwrap();
        let unique = |name: &str| create(doc! { "key": pair.clone(), "name": name, "unique": true });
        database.run_command(unique("participantsKey_1")).await.unwrap();
        let drop = |name: &str| doc! { "dropIndexes": "chats", "index": name };
        for name in ["by-pair", "participantsKey_1"] {
            database.run_command(drop(name)).await.unwrap();
        }
        // One of the same name is in the way, and stays beside the one that is named.
        database.run_command(plain("participantsKey_1")).await.unwrap();
        assert!(database.run_command(unique("participantsKey_1")).await.is_err(), "it needs no name of its own");
        database.run_command(unique("participantsKey_1_unique")).await.unwrap();
        let filter = doc! { "closedAt": null, "n": { "$exists": true, "$gte": 1, "$type": "int" } };
        let partial = doc! { "key": { "k": 1 }, "name": "k_1", "unique": true, "partialFilterExpression": filter };
        database.run_command(create(partial)).await.unwrap();
        let absent = doc! { "deletedAt": { "$exists": false } };
        let partial = doc! { "key": { "j": 1 }, "name": "j_1", "unique": true, "partialFilterExpression": absent };
        assert!(database.run_command(create(partial)).await.is_err(), "the server knows that now");
    });
}

#[test]
fn each_thread_of_a_family_has_a_key_of_its_own() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/http-thread.toml");
    let harness = Harness::new(&std::fs::read_to_string(path).unwrap());
    let small = ["--set", "load.burst.clients=4", "--set", "load.burst.rounds=12", "--seed", "1"];
    let ran = harness.run(&[&["run", "s.toml", "--quiet", "--format", "json"], &small[..]].concat()).expect(0, &[]);
    let key = key(&ran);
    assert_eq!(key["unique"], "participantsKey_1", "{key}");
    assert!(says(&key).contains("makes participantsKey unique"), "{key}");
}

/// A server that asks for passwords, ended when dropped.
struct Guarded(std::process::Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn who_may_not_list_indexes_is_told_so_and_judged_as_ever() {
    let binary = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 0, test_commands: false })).await.unwrap();
        let path = mongod.binary().path.clone();
        mongod.stop().await.unwrap();
        path
    });
    let directory = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let process = Command::new(binary)
        .args(["--auth", "--bind_ip", "127.0.0.1", "--port", &port.to_string(), "--dbpath"])
        .arg(directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let _guarded = Guarded(process);
    let open = format!("mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=60000");
    on(&open, async |client: Client| {
        let user = doc! { "createUser": "root", "pwd": "r00t-secret", "roles": ["root"] };
        client.database("admin").run_command(user).await.unwrap();
    });
    let root = format!("mongodb://root:r00t-secret@127.0.0.1:{port}/?authSource=admin");
    on(&root, async |client: Client| {
        let admin = client.database("admin");
        let resource = doc! { "db": "onlyone_closed", "collection": "" };
        let only_find = vec![doc! { "resource": resource, "actions": ["find"] }];
        let none: Vec<Document> = Vec::new();
        admin.run_command(doc! { "createRole": "looks", "privileges": only_find, "roles": none }).await.unwrap();
        admin.run_command(doc! { "createUser": "eye", "pwd": "eye-secret", "roles": ["looks"] }).await.unwrap();
    });
    let harness = Harness::new(SCENARIO);
    let eye = format!("observe.mongo.uri=\"mongodb://eye:eye-secret@127.0.0.1:{port}/?authSource=admin\"");
    let given = ["run", "s.toml", "--mongo", &root, "--run-id", "closed", "--quiet", "--format", "json"];
    let observed = ["--set", &eye, "--set", "observe.mongo.database=\"onlyone_closed\""];
    let ran = harness.run(&[&given[..], &observed].concat()).expect(0, &[]);
    let notes = ran.json()["preflight"]["notes"].to_string();
    assert_eq!((&ran.json()["verdict"], key(&ran).is_null()), (&Value::from("holds"), true), "{notes}");
    let told = "the indexes of onlyone_closed.chats could not be read (the user has no right to list them)";
    assert!(notes.contains(told) && !notes.contains("eye-secret"), "{notes}");
}
