//! What an execution has stored so far: looked at after each release, past the proxy. Main type: [`StoredView`].
//!
//! It shows what is committed, in the collections that requests are known to write. It decides nothing; where it cannot be
//! told, nothing is shown.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use mongodb::Client;
use mongodb::bson::{Document, doc};

use crate::report::shell;

/// Documents of one collection that are looked at, the newest first.
const MOST: i64 = 500;
/// Documents shown after one release.
const MOST_SHOWN: usize = 12;
/// Characters shown of a document.
const LONGEST: usize = 400;

/// Namespace and identifier.
type Identity = (String, String);

/// Looks at what one execution stores.
#[derive(Debug)]
pub(super) struct StoredView {
    client: Client,
    /// Databases and collections.
    namespaces: BTreeSet<(String, String)>,
    before: BTreeMap<Identity, Document>,
    /// After each release: the documents that are new or changed since the beginning. Nothing once it could not be read.
    seen: Option<Vec<Vec<String>>>,
}

impl StoredView {
    /// An execution is about to begin.
    pub(super) async fn begin(client: Client, namespaces: BTreeSet<(String, String)>) -> Self {
        let mut view = StoredView { client, namespaces, before: BTreeMap::new(), seen: None };
        if let Ok(before) = view.read().await {
            view.before = before;
            view.seen = Some(Vec::new());
        }
        view
    }

    /// The execution begins anew, on what is there now.
    pub(super) async fn begin_again(&mut self) {
        let read = self.read().await;
        self.seen = read.as_ref().ok().map(|_| Vec::new());
        self.before = read.unwrap_or_default();
    }

    /// A release has been answered.
    pub(super) async fn look(&mut self) {
        let Some(mut seen) = self.seen.take() else { return };
        if let Ok(now) = self.read().await {
            let fresh = now.into_iter().filter(|(identity, document)| self.before.get(identity) != Some(document));
            seen.push(fresh.take(MOST_SHOWN).map(|((namespace, _), document)| text(&namespace, &document)).collect());
            self.seen = Some(seen);
        }
    }

    /// What was there after each release, if it could be read every time.
    pub(super) fn into_seen(self) -> Vec<Vec<String>> {
        self.seen.unwrap_or_default()
    }

    async fn read(&self) -> mongodb::error::Result<BTreeMap<Identity, Document>> {
        let mut documents = BTreeMap::new();
        for (database, collection) in &self.namespaces {
            let handle = self.client.database(database).collection::<Document>(collection);
            let mut found = handle.find(doc! {}).sort(doc! { "$natural": -1 }).limit(MOST).await?;
            while let Some(document) = found.try_next().await? {
                let id = document.get("_id").map(ToString::to_string).unwrap_or_default();
                documents.insert((collection.clone(), id), document);
            }
        }
        Ok(documents)
    }
}

fn text(collection: &str, document: &Document) -> String {
    // What JSON has no form for is shown as the driver writes it.
    let shown = serde_json::to_value(document).map_or_else(|_| document.to_string(), |json| shell(&json));
    let text = format!("{}: {shown}", super::lint::own_name(collection));
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
