//! Indexes of the collections that were touched, read from the server itself.

use futures::TryStreamExt;
use mongodb::Client;

use super::lint::Indexes;
use crate::lint::IndexFact;

/// Reads the indexes of collections, given as database and collection. One that cannot be read is left out, and the lint
/// says nothing of it.
pub async fn read(client: &Client, namespaces: Vec<(String, String)>) -> Indexes {
    let mut indexes = Indexes::new();
    for (database, collection) in namespaces {
        let handle = client.database(&database).collection::<mongodb::bson::Document>(&collection);
        let Ok(cursor) = handle.list_indexes().await else { continue };
        let Ok(models) = cursor.try_collect::<Vec<_>>().await else { continue };
        let namespace = format!("{database}.{collection}");
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
