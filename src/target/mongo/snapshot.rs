//! All documents of a server, as they are now: what a request has changed shows in two of them.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use serde_json::Value as Json;

/// Databases of the server's own.
const OWN: [&str; 3] = ["admin", "local", "config"];
/// Most documents that are read of a collection.
const MOST: i64 = 20_000;

/// Documents by `database.collection`, then by identifier; `only` is the one database that is looked at, if not all are.
pub async fn snapshot(
    client: &Client,
    only: Option<&str>,
) -> Result<BTreeMap<String, BTreeMap<String, Json>>, mongodb::error::Error> {
    let names = match only {
        Some(name) => vec![name.to_owned()],
        None => client.list_database_names().await?,
    };
    // Views show what others store.
    let stored = doc! { "type": { "$in": ["collection", "timeseries"] } };
    let mut found = BTreeMap::new();
    for name in names.iter().filter(|name| !OWN.contains(&name.as_str())) {
        let database = client.database(name);
        for collection in database.list_collection_names().filter(stored.clone()).await? {
            if collection.starts_with("system.") {
                continue;
            }
            let documents = database.collection::<Document>(&collection).find(doc! {}).limit(MOST).await?;
            let documents: Vec<Document> = documents.try_collect().await?;
            let entry = |document: Document| {
                let json = serde_json::to_value(&document).map_err(mongodb::error::Error::custom)?;
                Ok::<_, mongodb::error::Error>((json.get("_id").map(Json::to_string).unwrap_or_default(), json))
            };
            let documents = documents.into_iter().map(entry).collect::<Result<BTreeMap<_, _>, _>>()?;
            found.insert(format!("{name}.{collection}"), documents);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mongod::{Mongod, Options};
    use crate::scenario::MongodSpec;

    #[tokio::test]
    async fn measurements_are_documents_and_what_a_view_shows_is_not_there_twice() {
        let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 0, test_commands: false })).await.unwrap();
        let client = Client::with_uri_str(mongod.uri()).await.unwrap();
        let app = client.database("app");
        app.run_command(doc! { "create": "m", "timeseries": { "timeField": "at" } }).await.unwrap();
        app.run_command(doc! { "create": "shown", "viewOn": "m", "pipeline": [] }).await.unwrap();
        let at = mongodb::bson::DateTime::from_millis(1_700_000_000_000);
        app.collection::<Document>("m").insert_one(doc! { "_id": 1, "at": at }).await.unwrap();
        let found = snapshot(&client, Some("app")).await.unwrap();
        let told: Vec<(&str, usize)> = found.iter().map(|(name, all)| (name.as_str(), all.len())).collect();
        assert_eq!(told, [("app.m", 1)]);
        mongod.stop().await.unwrap();
    }
}
