//! The servers that a proxy must stand in front of: those of the connection string, and those that they name.

use mongodb::Client;
use mongodb::bson::{Bson, doc};

use crate::target::MongoUri;

/// Every member of the deployment, as `host:port`. A server that names no members is the one of the connection string.
pub async fn of(client: &Client, uri: &MongoUri) -> Vec<String> {
    const LISTS: [&str; 2] = ["hosts", "passives"];
    let hello = client.database("admin").run_command(doc! { "hello": 1 }).await.unwrap_or_default();
    let named = LISTS.iter().filter_map(|list| hello.get_array(list).ok()).flatten();
    let named: Vec<String> = named.filter_map(Bson::as_str).map(str::to_owned).collect();
    if !named.is_empty() {
        return named;
    }
    uri.hosts().into_iter().map(|host| if host.contains(':') { host } else { format!("{host}:27017") }).collect()
}
