//! Indexes of the collections that were touched, read from the server itself.

use futures::TryStreamExt;
use mongodb::Client;
use mongodb::error::ErrorKind;

use super::cause::chain;
use super::lint::Indexes;
use crate::lint::IndexFact;

/// What a server says of a collection that is not there, and of a view: neither has indexes.
const NO_INDEXES: [i32; 2] = [26, 166];

/// Reads the indexes of collections, given as database and collection. One that cannot be read is left out, with the reason,
/// and the lint says nothing of it.
pub async fn read(client: &Client, namespaces: Vec<(String, String)>) -> Indexes {
    let mut indexes = Indexes::new();
    for (database, collection) in namespaces {
        let handle = client.database(&database).collection::<mongodb::bson::Document>(&collection);
        let namespace = format!("{database}.{collection}");
        let reading = async { handle.list_indexes().await?.try_collect::<Vec<_>>().await };
        let models = match reading.await {
            Ok(models) => models,
            Err(error) => {
                if !matches!(&*error.kind, ErrorKind::Command(told) if NO_INDEXES.contains(&told.code)) {
                    indexes.unread.get_or_insert(format!("{namespace}: {}", chain(&error)));
                }
                continue;
            }
        };
        let expiring: Vec<(String, u64)> = models
            .iter()
            .filter_map(|model| {
                let after = model.options.as_ref()?.expire_after?;
                Some((model.keys.keys().next()?.clone(), after.as_secs()))
            })
            .collect();
        if !expiring.is_empty() {
            indexes.expiring.insert(namespace.clone(), expiring);
        }
        let facts = models.iter().map(|model| {
            let options = model.options.as_ref();
            let key =
                model.keys.iter().map(|(field, order)| format!("{field}: {order}")).collect::<Vec<_>>().join(", ");
            IndexFact {
                name: options.and_then(|options| options.name.clone()).unwrap_or_else(|| key.clone()),
                // The index of `_id` is unique without saying so.
                unique: options.and_then(|options| options.unique).unwrap_or(false) || key.starts_with("_id:"),
                sparse: options.and_then(|options| options.sparse).unwrap_or(false),
                key,
            }
        });
        indexes.facts.insert(namespace, facts.collect());
    }
    indexes
}
