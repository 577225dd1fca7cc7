//! Indexes of the collections that were touched, read from the server itself.

use mongodb::Client;
use mongodb::error::ErrorKind;

use super::cause::chain;
use super::lint::Indexes;
use crate::target::mongo::list_indexes;

/// What a server says of a collection that is not there, and of a view: neither has indexes.
const NO_INDEXES: [i32; 2] = [26, 166];

/// Reads the indexes of collections, given as database and collection. One that cannot be read is left out, with the reason,
/// and the lint says nothing of it.
pub async fn read(client: &Client, namespaces: Vec<(String, String)>) -> Indexes {
    let mut indexes = Indexes::new();
    for (database, collection) in namespaces {
        let namespace = format!("{database}.{collection}");
        let facts = match list_indexes(client, &database, &collection).await {
            Ok(facts) => facts,
            Err(error) => {
                if !matches!(&*error.kind, ErrorKind::Command(told) if NO_INDEXES.contains(&told.code)) {
                    indexes.unread.get_or_insert(format!("{namespace}: {}", chain(&error)));
                }
                continue;
            }
        };
        let expiring: Vec<(String, u64)> =
            facts.iter().filter_map(|index| Some((index.first_field()?.to_owned(), index.expires_after_s?))).collect();
        if !expiring.is_empty() {
            indexes.expiring.insert(namespace.clone(), expiring);
        }
        indexes.facts.insert(namespace, facts);
    }
    indexes
}
