//! A server, practice databases, and comparing what is in them.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use onlyone::audit::{AuditOptions, Audited, Profile, SeedSpec, Seeded, audit, seed};
use onlyone::mongod::{Mongod, Options};
use onlyone::report::FindingKind;
use onlyone::scenario::MongodSpec;

/// Rooms with a log, visits that refer to them, and how two of either become one.
const ROOMS: &str = r#"
name = "rooms"
collection = "rooms"
[key]
field = "k"
[array]
field = "log"
identity = "element"
[[references]]
collection = "visits"
field = "room"
unique_with = ["who"]
merge = { default = "fill", union = ["tags"] }
[merge]
default = "fill"
union = ["tags"]
"#;

pub(crate) fn rooms() -> Profile {
    Profile::parse(ROOMS, "rooms").unwrap()
}

pub(crate) async fn server() -> (Mongod, Client) {
    let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 0, test_commands: false })).await.unwrap();
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    (mongod, client)
}

/// A server whose commands can be made to fail: those of the first client, which goes by the name `slow`, and not those of the
/// second.
pub(crate) async fn failing_server() -> (Mongod, Client, Client) {
    let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 0, test_commands: true })).await.unwrap();
    let (slow, service) = (named(&mongod, "slow").await, named(&mongod, "service").await);
    (mongod, slow, service)
}

async fn named(mongod: &Mongod, name: &str) -> Client {
    let mut options = ClientOptions::parse(mongod.uri()).await.unwrap();
    options.app_name = Some(name.to_owned());
    Client::with_options(options).unwrap()
}

/// Makes commands of the client of this name fail, or wait.
pub(crate) async fn failing(client: &Client, name: &str, mode: impl Into<Bson>, mut data: Document) {
    data.insert("appName", name);
    let command = doc! { "configureFailPoint": "failCommand", "mode": mode.into(), "data": data };
    client.database("admin").run_command(command).await.unwrap();
}

pub(crate) async fn failing_no_more(client: &Client) {
    let command = doc! { "configureFailPoint": "failCommand", "mode": "off" };
    client.database("admin").run_command(command).await.unwrap();
}

pub(crate) fn profile(name: &str) -> Profile {
    Profile::load(name).unwrap()
}

pub(crate) async fn seeded(database: &Database, profile: &Profile, spec: SeedSpec) -> Seeded {
    seed(database, profile, &spec).await.unwrap()
}

pub(crate) async fn audited(database: &Database, profile: &Profile) -> Audited {
    audit(database, profile, &AuditOptions::default()).await.unwrap()
}

pub(crate) fn counts(audited: &Audited) -> BTreeMap<FindingKind, u64> {
    audited.findings.iter().map(|finding| (finding.kind, finding.count)).collect()
}

pub(crate) async fn all(database: &Database, collection: &str) -> Vec<Document> {
    let cursor = database.collection::<Document>(collection).find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
    cursor.try_collect().await.unwrap()
}

/// Every collection but the backups, with its documents and its indexes.
pub(crate) async fn contents(database: &Database) -> BTreeMap<String, Vec<Document>> {
    let mut contents = BTreeMap::new();
    for name in database.list_collection_names().await.unwrap() {
        if !name.starts_with("onlyone_backup_") {
            let indexes = database.run_command(doc! { "listIndexes": &name }).await.unwrap();
            let indexes = indexes.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
            let indexes = indexes.iter().map(|index| index.as_document().unwrap().clone()).collect();
            contents.insert(format!("{name}: indexes"), indexes);
            contents.insert(name.clone(), all(database, &name).await);
        }
    }
    contents
}

/// Contents to the last byte: documents are equal whatever the order of their fields.
pub(crate) fn exact(contents: &BTreeMap<String, Vec<Document>>) -> BTreeMap<&str, Vec<Vec<u8>>> {
    let bytes = |document: &Document| RawDocumentBuf::try_from(document).unwrap().into_bytes();
    contents.iter().map(|(name, documents)| (name.as_str(), documents.iter().map(bytes).collect())).collect()
}

/// The server's counters of writes, and of the inserts, updates and removals of documents.
pub(crate) async fn writes(client: &Client) -> Vec<Bson> {
    let status = client.database("admin").run_command(doc! { "serverStatus": 1 }).await.unwrap();
    let operations = status.get_document("opcounters").unwrap();
    let documents = status.get_document("metrics").unwrap().get_document("document").unwrap();
    let count =
        |from: &Document, names: &[&str]| names.iter().map(|name| from.get(name).unwrap().clone()).collect::<Vec<_>>();
    [count(operations, &["insert", "update", "delete"]), count(documents, &["inserted", "updated", "deleted"])].concat()
}
