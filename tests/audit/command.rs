//! The commands as users type them, and a user that may only read.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};

use crate::support::{all, contents, server, writes};

fn onlyone(uri: &str, arguments: &str) -> Output {
    let out = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_onlyone"))
        .args(arguments.split(' '))
        .env("ONLYONE_MONGO_URI", uri)
        .current_dir(out.path())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn seed_audit_repair_and_restore_end_with_the_right_codes() {
    let (mongod, client) = server().await;
    let uri = mongod.uri();
    let database = client.database("onlyone_command");
    let of = "--database onlyone_command --profile chats";
    let run = |arguments: &str| onlyone(&uri, &format!("{arguments} {of}"));
    let code = |output: &Output| output.status.code().unwrap();
    assert_eq!(code(&run("audit")), 3, "nothing to audit");
    let seeded = run("seed --documents 10 --duplicates 2 --missing-keys 10");
    assert!(text(&seeded.stdout).contains("an audit must find: duplicate-key 2"), "{seeded:?}");
    assert_eq!(code(&run("seed")), 4, "never into what is there");
    let original = contents(&database).await;
    let before = writes(&client).await;
    let found = run("audit --format json");
    assert_eq!(code(&found), 1);
    let report: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let kinds: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (finding["kind"].as_str().unwrap(), finding["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(kinds, [("duplicate-key", 2), ("missing-key", 10), ("missing-index", 1)]);
    let planned = run("repair");
    assert_eq!(code(&planned), 1);
    assert!(text(&planned.stdout).contains("nothing was written"));
    assert_eq!(writes(&client).await, before, "neither audit nor plan writes");
    assert_eq!(code(&run("repair --apply --run-id one")), 0);
    assert_eq!(code(&run("audit")), 0);
    assert_eq!(all(&database, "chats").await.len(), 8);
    assert_eq!(code(&run("repair restore one")), 0);
    assert_eq!(contents(&database).await, original);
    assert_eq!(code(&run("repair undo one")), 2);
    assert_eq!(code(&onlyone(&uri, "repair --apply --database prod --profile chats")), 4);
    assert_eq!(code(&onlyone(&uri, "audit --database onlyone_command --profile chat")), 2);
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn ten_thousand_duplicates_are_told_in_a_page() {
    let (mongod, _) = server().await;
    let of = "--database onlyone_many --profile chats --messages 1 --documents 20010 --duplicates 10000";
    assert_eq!(onlyone(&mongod.uri(), &format!("seed {of}")).status.code(), Some(0));
    let out = tempfile::tempdir().unwrap();
    let of = format!("--database onlyone_many --profile chats --out {}", out.path().display());
    let size = |run: &str, file: &str| std::fs::metadata(out.path().join(run).join(file)).unwrap().len();
    for (command, run) in [("audit", "a"), ("repair", "p")] {
        let ran = onlyone(&mongod.uri(), &format!("{command} --run-id {run} {of}"));
        let told = text(&ran.stdout);
        assert_eq!(ran.status.code(), Some(1));
        assert!(told.contains("10,000") && told.lines().count() < 110, "{} lines\n{told}", told.lines().count());
        for file in ["report.html", "junit.xml", "summary.md"] {
            assert!(size(run, file) < 60_000, "{command}: {file} has {} bytes", size(run, file));
        }
    }
    assert!(size("a", "report.json") < 60_000);
    let plan: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.path().join("p/report.json")).unwrap()).unwrap();
    assert_eq!(plan["actions"][0]["details"].as_array().unwrap().len(), 10_000, "the plan has every document");
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_repaired_is_no_backup_and_not_nothing_to_do() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_none");
    let chats =
        [1, 2].map(|id| doc! { "_id": id, "participants": ["a", "b"], "participantsKey": "a_b", "messages": id });
    database.collection("chats").insert_many(chats).await.unwrap();
    let of = "--database onlyone_none --profile chats";
    for (flag, headline) in [("", "nothing of what was found can be repaired"), (" --apply", "nothing was repaired")] {
        let ran = onlyone(&mongod.uri(), &format!("repair{flag} {of}"));
        let told = text(&ran.stdout);
        assert_eq!(ran.status.code(), Some(1), "{told}");
        assert!(told.contains(headline) && told.contains("are not merged") && !told.contains("backup:"), "{told}");
    }
    let backups = onlyone::audit::backups(&database).await.unwrap();
    assert_eq!(backups, [] as [String; 0]);
    database.collection::<Document>("chats").delete_one(doc! { "_id": 2 }).await.unwrap();
    let before = contents(&database).await;
    let unwritable = onlyone(&mongod.uri(), &format!("repair --apply --out /dev/null/reports {of}"));
    assert_eq!(unwritable.status.code(), Some(4));
    assert!(text(&unwritable.stderr).contains("cannot write reports to /dev/null/reports"), "{unwritable:?}");
    assert_eq!(contents(&database).await, before, "nothing is done that cannot be told");
    mongod.stop().await.unwrap();
}

/// A server that asks for passwords, ended when dropped.
struct Guarded(std::process::Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn a_user_with_the_read_role_can_audit_and_nothing_else() {
    let (mongod, _) = server().await;
    let directory = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let process = Command::new(&mongod.binary().path)
        .args(["--auth", "--bind_ip", "127.0.0.1", "--port", &port.to_string(), "--dbpath"])
        .arg(directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let guarded = Guarded(process);
    let open =
        Client::with_uri_str(format!("mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=60000")).await.unwrap();
    let admin = open.database("admin");
    admin.run_command(doc! { "createUser": "root", "pwd": "r00t-secret", "roles": ["root"] }).await.unwrap();
    let root = Client::with_uri_str(format!("mongodb://root:r00t-secret@127.0.0.1:{port}/")).await.unwrap();
    let roles = [doc! { "role": "read", "db": "onlyone_read" }];
    root.database("admin")
        .run_command(doc! { "createUser": "reader", "pwd": "read-secret", "roles": roles.to_vec() })
        .await
        .unwrap();
    let chats = root.database("onlyone_read").collection::<Document>("chats");
    chats.insert_one(doc! { "participants": ["a", "b"] }).await.unwrap();
    let reader = format!("mongodb://reader:read-secret@127.0.0.1:{port}/?authSource=admin");
    let before = contents(&root.database("onlyone_read")).await;
    let found = onlyone(&reader, "audit --database onlyone_read --profile chats");
    assert_eq!(found.status.code(), Some(1), "{}", text(&found.stderr));
    assert!(text(&found.stdout).contains("clusterMonitor"), "{}", text(&found.stdout));
    let planned = onlyone(&reader, "repair --database onlyone_read --profile chats");
    assert_eq!(planned.status.code(), Some(1), "{}", text(&planned.stderr));
    assert!(text(&planned.stdout).contains("set-key 1"), "{}", text(&planned.stdout));
    assert_eq!(contents(&root.database("onlyone_read")).await, before);
    let refused = onlyone(&reader, "repair --apply --database onlyone_read --profile chats");
    assert_eq!(refused.status.code(), Some(4));
    let words = text(&refused.stderr);
    assert!(words.contains("needs the role `readWrite`") && !words.contains("read-secret"), "{words}");
    assert!(words.contains("nothing was written") && !words.contains("RawDocumentBuf"), "{words}");
    let refused = onlyone(&reader, "audit --database onlyone_other --profile chats");
    assert!(matches!(refused.status.code(), Some(3 | 4)), "{refused:?}");
    assert_eq!(contents(&root.database("onlyone_read")).await, before);
    drop(guarded);
    tokio::time::timeout(Duration::from_secs(60), mongod.stop()).await.unwrap().unwrap();
}
