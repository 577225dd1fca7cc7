//! What of the server was used, by its own counters.

use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};

/// Whether somebody began a transaction or a change stream since the server was started: neither is to be had from a standalone
/// server. Source: `serverStatus`, `transactions.totalStarted` and `metrics.aggStageCounters`.
pub async fn used_replica_set(client: &Client) -> Result<bool, mongodb::error::Error> {
    let status = client.database("admin").run_command(doc! { "serverStatus": 1 }).await?;
    Ok(counted(&status, &["transactions", "totalStarted"])
        || counted(&status, &["metrics", "aggStageCounters", "$changeStream"]))
}

/// Whether a counter is above zero; one that a server does not keep is not.
fn counted(status: &Document, path: &[&str]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let parent = parents.iter().try_fold(status, |document, name| document.get_document(name).ok());
    match parent.and_then(|parent| parent.get(last)) {
        Some(Bson::Int64(number)) => *number > 0,
        Some(Bson::Int32(number)) => *number > 0,
        _ => false,
    }
}
