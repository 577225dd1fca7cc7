//! What a namespace stands for besides a collection of its own: a view reads others, and a default collation makes different
//! texts equal. Commands there conflict with more than their names say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::TryStreamExt;
use mongodb::Client;
use mongodb::results::CollectionType;

use super::explorer::Explorer;
use super::predict::Trace;
use crate::scope::Scope;

/// How long the server may take to tell.
const WITHIN: Duration = Duration::from_secs(10);

/// Namespaces, `database.collection`, whose commands may concern other places or values than they name.
async fn broad(client: &Client, databases: &BTreeSet<String>) -> Result<BTreeSet<String>, mongodb::error::Error> {
    let mut broad = BTreeSet::new();
    for database in databases {
        let collections: Vec<_> = client.database(database).list_collections().await?.try_collect().await?;
        let is_broad = |collection: &&mongodb::results::CollectionSpecification| {
            collection.collection_type != CollectionType::Collection || collection.options.collation.is_some()
        };
        broad.extend(collections.iter().filter(is_broad).map(|collection| format!("{database}.{}", collection.name)));
    }
    Ok(broad)
}

impl Explorer<'_> {
    /// Reads which namespaces are views or have a collation of their own, before the search.
    pub(super) async fn read_catalogue(&mut self, traces: &BTreeMap<usize, Trace>) {
        self.databases = traces.values().flatten().map(|command| command.database.clone()).collect();
        if let Some(broad) = self.broad_namespaces().await {
            self.proxy.widen(broad);
        }
    }

    /// Reads it again: what requests have made in the search was not known in it.
    pub(super) async fn look_at_catalogue_again(&mut self) {
        let Some(now) = self.broad_namespaces().await else { return };
        if now != self.proxy.widened() {
            self.found.complete = false;
            self.found.notes.insert(
                "requests made views, or collections with a collation: which commands conflict there was not known"
                    .to_owned(),
            );
        }
    }

    /// `None` where there is no server to ask, or it does not tell; who does not tell leaves completeness unclaimed.
    async fn broad_namespaces(&mut self) -> Option<BTreeSet<String>> {
        let client = self.server.clone()?;
        match Scope::new(WITHIN, &self.stop).wait(broad(&client, &self.databases)).await {
            Ok(Ok(broad)) => Some(broad),
            Ok(Err(_)) | Err(_) => {
                self.found.unknown_catalogue = true;
                self.found.complete = false;
                self.found
                    .notes
                    .insert("which namespaces are views could not be read: commands there may conflict".to_owned());
                None
            }
        }
    }
}
