//! Indexes of a collection as the server lists them, and the plan that it chooses.

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;
use mongodb::{Client, Database};

use crate::lint::IndexFact;

/// Reads the indexes of a collection.
pub async fn list_indexes(client: &Client, database: &str, collection: &str) -> Result<Vec<IndexFact>, Error> {
    let command = doc! { "listIndexes": collection, "cursor": {} };
    let listed = client.database(database).run_cursor_command(command).await?;
    Ok(listed.try_collect::<Vec<Document>>().await?.iter().map(fact).collect())
}

fn fact(index: &Document) -> IndexFact {
    let keys = index.get_document("key").into_iter().flatten();
    let key = keys.map(|(field, order)| format!("{field}: {}", shown(order))).collect::<Vec<_>>().join(", ");
    let is = |option: &str| index.get_bool(option).unwrap_or(false);
    let partial = index.get_document("partialFilterExpression").ok();
    let whole = |value: &Bson| match value {
        Bson::Int32(value) => u64::try_from(*value).ok(),
        Bson::Int64(value) => u64::try_from(*value).ok(),
        Bson::Double(value) if *value >= 0.0 => Some(*value as u64),
        _ => None,
    };
    IndexFact {
        name: index.get_str("name").unwrap_or_default().to_owned(),
        // The index of `_id` is unique without saying so, and one that is about to be made unique refuses as well.
        unique: is("unique") || is("prepareUnique") || key == "_id: 1",
        sparse: is("sparse"),
        partial: partial.and_then(|filter| serde_json::to_string(filter).ok()),
        expires_after_s: index.get("expireAfterSeconds").and_then(whole),
        key,
    }
}

/// An order as people write it: `1`, whatever type of number it is stored as.
fn shown(order: &Bson) -> String {
    match order {
        Bson::Double(order) if order.fract() == 0.0 => format!("{order:.0}"),
        other => other.to_string(),
    }
}

/// The plan that the server chooses for a lookup: `IXSCAN participantsKey_1`, or `COLLSCAN`.
pub(super) async fn plan(database: &Database, collection: &str, lookup: Document) -> Result<String, Error> {
    let explain = doc! { "explain": { "find": collection, "filter": lookup }, "verbosity": "queryPlanner" };
    let answer = database.run_command(explain).await?;
    let mut stage = answer.get_document("queryPlanner").and_then(|planner| planner.get_document("winningPlan")).ok();
    // Servers from 5.0 may wrap the plan once more.
    if let Some(inner) = stage.and_then(|plan| plan.get_document("queryPlan").ok()) {
        stage = Some(inner);
    }
    while let Some(plan) = stage {
        match (plan.get_str("stage"), plan.get_str("indexName")) {
            (Ok(name), Ok(index)) => return Ok(format!("{name} {index}")),
            (Ok(name), Err(_)) if plan.get_document("inputStage").is_err() => return Ok(name.to_owned()),
            _ => stage = plan.get_document("inputStage").ok(),
        }
    }
    Ok("unknown".to_owned())
}
