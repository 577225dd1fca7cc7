//! What is true of the server and the collection before the first operation.

use mongodb::bson::{Bson, Document, doc};

use super::MongoTarget;
use super::indexes::{list_indexes, plan};
use crate::lint::IndexFact;
use crate::lint::before_run;
use crate::strategy::creations;
use crate::target::{Preflight, TargetError};

/// Version of the driver, as locked.
const DRIVER_VERSION: &str = "mongodb (Rust) 3.9.1";

/// Asks the server.
pub(super) async fn facts(target: &MongoTarget) -> Result<Preflight, TargetError> {
    let admin = |command: Document| target.connected.admin(command);
    let build = admin(doc! { "buildInfo": 1 }).await.map_err(target.step("asking for the server's version"))?;
    let hello = admin(doc! { "hello": 1 }).await.map_err(target.step("asking for the topology"))?;
    let mut notes: Vec<String> = target.adapter.description().blind_spot.map(str::to_owned).into_iter().collect();
    if let Some(note) = connection_limit(target).await {
        notes.push(note);
    }
    let indexes = indexes(target).await?;
    Ok(Preflight {
        lint: before_run(&creations(target.workload, &target.spec.strategy), &indexes),
        server_version: build.get_str("version").ok().map(str::to_owned),
        topology: Some(topology(&hello)),
        driver_version: Some(DRIVER_VERSION.to_owned()),
        retries: [
            ("retry_writes", target.spec.retry_writes),
            ("retry_reads", target.spec.retry_reads),
            ("adaptive", false),
        ]
        .map(|(name, on)| (name.to_owned(), on))
        .into(),
        indexes,
        lookup_plan: Some(lookup_plan(target).await?),
        notes,
        ..Preflight::default()
    })
}

fn topology(hello: &Document) -> String {
    if hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid") {
        return "sharded".to_owned();
    }
    match (hello.get_str("setName"), hello.get_array("hosts")) {
        (Ok(_), Ok(hosts)) => format!("replica set of {}", hosts.len()),
        _ => "standalone".to_owned(),
    }
}

/// A note when the server has hardly more room for connections than the run takes.
async fn connection_limit(target: &MongoTarget) -> Option<String> {
    let available = available_connections(target).await?;
    (available < 100).then(|| format!("the server has room for only {available} more connections"))
}

/// How many more connections the server takes. Not every user may ask.
async fn available_connections(target: &MongoTarget) -> Option<i64> {
    let status = target.connected.admin(doc! { "serverStatus": 1, "repl": 0, "metrics": 0, "locks": 0 }).await.ok()?;
    match status.get_document("connections").ok()?.get("available")? {
        Bson::Int32(available) => Some(i64::from(*available)),
        Bson::Int64(available) => Some(*available),
        _ => None,
    }
}

/// Files that this process needs besides its connections.
const OTHER_FILES: u64 = 48;

/// Refuses at once what can never be: more connections than this process may open files, or than the server takes.
pub(super) async fn room_for(target: &MongoTarget, wanted: u32) -> Result<(), TargetError> {
    if let Some(limit) = open_files().filter(|limit| *limit < u64::from(wanted) + OTHER_FILES) {
        return Err(too_few(wanted, &format!("this process may open {limit} files (`ulimit -n`)")));
    }
    let made = i64::from(target.connected.ready());
    if let Some(available) =
        available_connections(target).await.filter(|available| *available + made < i64::from(wanted))
    {
        return Err(too_few(wanted, &format!("the server has room for {available} more")));
    }
    Ok(())
}

/// How many files this process may open, raised as far as it may be.
fn open_files() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return Some(hard);
    }
    Some(soft)
}

/// The error when the pool cannot be what the clients need.
pub(super) fn too_few(wanted: u32, why: &str) -> TargetError {
    let source = format!(
        "{why}; raise the limit of the server (`net.maxIncomingConnections`, its `ulimit -n`) or of this process \
         (`ulimit -n`), or let fewer clients come"
    );
    TargetError::Step { step: format!("opening {wanted} connections"), source: source.into() }
}

async fn indexes(target: &MongoTarget) -> Result<Vec<IndexFact>, TargetError> {
    let collections = target.adapter.collections();
    let Some(collection) = collections.first() else { return Ok(Vec::new()) };
    let listed = list_indexes(&target.connected.client, target.database().name(), collection.name()).await;
    listed.map_err(target.step("listing the indexes"))
}

/// The plan that the server chooses for the lookup by key.
async fn lookup_plan(target: &MongoTarget) -> Result<String, TargetError> {
    let collections = target.adapter.collections();
    let Some(collection) = collections.first() else { return Ok("unknown".to_owned()) };
    let planned = plan(target.database(), collection.name(), target.adapter.lookup()).await;
    planned.map_err(target.step("explaining the lookup"))
}
