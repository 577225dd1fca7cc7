//! An audit beside the plain `$group` aggregation that looks for duplicates by hand, on the same data in the same run.
//!
//! Seeds chats without messages (1 in 1000 is a duplicate, there is no index), then in turn: the aggregation as it is
//! meant to be run (`allowDiskUse`), the same in memory (the server's limit raised), and the program itself, whose
//! memory is what its own report says. Once more with messages, embedded and apart: these an audit checks as well, the
//! aggregation does not. `cargo bench --bench audit -- --chats N --with-messages N --turns N`.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, reason = "a benchmark")]

use std::process::Command;
use std::time::Instant;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use onlyone::audit::{Profile, SeedSpec, seed};
use onlyone::mongod::{Mongod, Options};
use onlyone::report::{FindingKind, from_json};
use onlyone::scenario::MongodSpec;

/// Messages of each chat, embedded and as many apart, where there are any.
const MESSAGES: u64 = 5;

fn argument(name: &str, default: u64) -> u64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().map_or(default, |value| value.parse().unwrap())
}

async fn filled(client: &Client, name: &str, chats: u64, messages: u64) -> (Database, u64) {
    let database = client.database(name);
    let duplicates = chats / 1000;
    let spec = SeedSpec { documents: chats, duplicates, messages, ..SeedSpec::default() };
    let begun = Instant::now();
    seed(&database, &Profile::load("chats").unwrap(), &spec).await.unwrap();
    println!("{name}: {chats} chats with {messages} messages each, seeded in {:.0} s", begun.elapsed().as_secs_f64());
    (database, duplicates)
}

/// The duplicate check that is run by hand.
async fn group(database: &Database) -> (f64, u64) {
    let pipeline = [
        doc! { "$group": { "_id": "$participantsKey", "count": { "$sum": 1 } } },
        doc! { "$match": { "count": { "$gt": 1 } } },
    ];
    let begun = Instant::now();
    let cursor = database.collection::<Document>("chats").aggregate(pipeline).allow_disk_use(true).await.unwrap();
    let found: Vec<Document> = cursor.try_collect().await.unwrap();
    (begun.elapsed().as_secs_f64(), found.len() as u64)
}

/// Sets the server's memory limit of one `$group`, which has two names, as the query engines are two.
async fn limit_group(client: &Client, megabytes: i64) {
    for name in [
        "internalDocumentSourceGroupMaxMemoryBytes",
        "internalQuerySlotBasedExecutionHashAggApproxMemoryUseInBytesBeforeSpill",
    ] {
        let set = doc! { "setParameter": 1, name: megabytes << 20 };
        client.database("admin").run_command(set).await.unwrap();
    }
}

/// The audit as a process of its own: seconds, megabytes and duplicates.
fn audit(uri: &str, database: &Database) -> (f64, f64, u64) {
    let reports = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_onlyone"));
    command.args(["audit", "--mongo", uri, "--database", database.name(), "--profile", "chats", "--format", "json"]);
    let begun = Instant::now();
    let output = command.arg("--out").arg(reports.path()).output().unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let report = from_json(&output.stdout).unwrap();
    let duplicates = report.findings.unwrap().into_iter().find(|found| found.kind == FindingKind::DuplicateKey);
    (seconds, report.generator.max_rss_bytes as f64 / 1e6, duplicates.unwrap().count)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Medians of the aggregation, the aggregation in memory and the audit; and the most memory of an audit.
async fn compare(mongod: &Mongod, client: &Client, (database, duplicates): (Database, u64), turns: u64) -> [f64; 4] {
    let (mut by_hand, mut in_memory, mut audits, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0_f64);
    for turn in 0..turns {
        let (seconds, found) = group(&database).await;
        assert_eq!(found, duplicates);
        by_hand.push(seconds);
        limit_group(client, 4096).await;
        in_memory.push(group(&database).await.0);
        limit_group(client, 100).await;
        let (audited, memory, found) = audit(&mongod.uri(), &database);
        assert_eq!(found, duplicates);
        audits.push(audited);
        peak = peak.max(memory);
        println!(
            "  turn {turn}: $group {:.2} s, in memory {:.2} s, audit {audited:.2} s with {memory:.0} MB",
            by_hand[by_hand.len() - 1],
            in_memory[in_memory.len() - 1]
        );
    }
    [median(&mut by_hand), median(&mut in_memory), median(&mut audits), peak]
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (chats, talking, turns) =
            (argument("--chats", 1_000_000), argument("--with-messages", 1_000_000), argument("--turns", 3));
        let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 0, test_commands: false })).await.unwrap();
        let client = Client::with_uri_str(mongod.uri()).await.unwrap();
        let bare = filled(&client, "onlyone_bare", chats, 0).await;
        let [by_hand, in_memory, audited, peak] = compare(&mongod, &client, bare, turns).await;
        println!("medians: $group {by_hand:.2} s, in memory {in_memory:.2} s, audit {audited:.2} s");
        let full = filled(&client, "onlyone_full", talking, MESSAGES).await;
        let [by_hand_full, in_memory_full, audited_full, peak_full] = compare(&mongod, &client, full, turns).await;
        println!("medians: $group {by_hand_full:.2} s, in memory {in_memory_full:.2} s, audit {audited_full:.2} s");
        mongod.stop().await.unwrap();
        println!(
            "messages_ratio={:.2} messages_max_rss_mb={peak_full:.0} in_memory_ratio={:.2} audit_ratio={:.2} \
             audit_max_rss_mb={peak:.0}",
            audited_full / by_hand_full,
            audited / in_memory,
            audited / by_hand,
        );
    });
}
