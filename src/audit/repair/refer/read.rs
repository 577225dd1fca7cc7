//! Reading the documents that refer to others, in pieces of bounded size.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::{Cursor, Database};

use super::UniqueIndex;
use super::forms::{Targets, all_forms, name};
use crate::audit::error::{Result, Step};
use crate::audit::repair::twice::Read;
use crate::audit::{Profile, Reference};

/// A referring collection: what of it refers, and what must stay unique.
#[derive(Debug, Clone)]
pub(in crate::audit::repair) struct Referring<'a> {
    pub(in crate::audit::repair) collection: &'a str,
    pub(in crate::audit::repair) references: Vec<&'a Reference>,
    pub(in crate::audit::repair) unique: Vec<UniqueIndex>,
    /// Fields of references that no index begins with.
    pub(in crate::audit::repair) unindexed: Vec<&'a str>,
    /// What the server lists of its indexes.
    pub(in crate::audit::repair) indexes: Vec<Document>,
}

/// Documents that a plan looks at together where nothing must be unique.
pub(in crate::audit::repair) const PIECE: usize = 1_000;

/// The code of a collection that is not there.
const NAMESPACE_NOT_FOUND: i32 = 26;

/// The referring collections of a profile, with their indexes.
pub(in crate::audit::repair) async fn references_of<'a>(
    database: &Database,
    profile: &'a Profile,
) -> Result<Vec<Referring<'a>>> {
    let mut all: Vec<Referring<'a>> = Vec::new();
    for reference in &profile.references {
        match all.iter_mut().find(|known| known.collection == reference.collection) {
            Some(known) => known.references.push(reference),
            None => all.push(Referring {
                collection: &reference.collection,
                references: vec![reference],
                unique: Vec::new(),
                unindexed: Vec::new(),
                indexes: Vec::new(),
            }),
        }
    }
    for referring in &mut all {
        let listed = indexes(database, referring.collection).await?;
        let fields: Vec<&str> = referring.references.iter().map(|reference| reference.field.as_str()).collect();
        referring.unique = listed.iter().filter_map(|index| UniqueIndex::of(index, &fields)).collect();
        let leads = |field: &str| {
            let first = |index: &Document| index.get_document("key").ok()?.keys().next().cloned();
            let usable = |index: &Document| !index.contains_key("partialFilterExpression");
            listed.iter().any(|index| usable(index) && first(index).as_deref() == Some(field))
        };
        // A collection that is not there has no index, and needs none.
        referring.unindexed = fields.into_iter().filter(|field| !listed.is_empty() && !leads(field)).collect();
        referring.indexes = listed;
    }
    Ok(all)
}

/// The indexes of a collection, as the server lists them; none if there is no such collection.
pub(in crate::audit::repair) async fn indexes(database: &Database, collection: &str) -> Result<Vec<Document>> {
    let listed = match database.run_cursor_command(doc! { "listIndexes": collection }).await {
        Ok(cursor) => cursor.try_collect().await,
        Err(error) if crate::audit::error::code(&error) == Some(NAMESPACE_NOT_FOUND) => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    listed.reading(database.name(), &format!("list the indexes of `{collection}`"))
}

impl Referring<'_> {
    /// Whether documents must be looked at together, those that refer to kept documents too.
    pub(in crate::audit::repair) fn is_joint(&self) -> bool {
        !self.unique.is_empty() || self.references.iter().any(|reference| !reference.unique_with.is_empty())
    }

    /// Opens the documents that refer to what the targets redirect; to the kept ones as well where that counts. They come
    /// in pieces of this size, or all together where they must be looked at together; no more than a piece is read ahead,
    /// so that the server does not take the reader for gone while a piece is worked on.
    pub(in crate::audit::repair) async fn open(
        &self,
        database: &Database,
        targets: &Targets,
        keepers: &[Bson],
        piece: usize,
    ) -> Result<Pieces> {
        let mut forms = targets.forms().to_vec();
        if self.is_joint() {
            forms.extend(all_forms(keepers));
        }
        let filter = self.filter(&forms);
        let step = format!("read `{}`", self.collection);
        let collection = database.collection::<RawDocumentBuf>(self.collection);
        let size = if self.is_joint() { usize::MAX } else { piece };
        let batch = u32::try_from(size.min(PIECE)).unwrap_or(u32::MAX);
        let cursor = collection.find(filter).batch_size(batch).await.reading(database.name(), &step)?;
        Ok(Pieces { cursor, size, database: database.name().to_owned(), step })
    }

    /// The filter of documents that refer to one of these forms.
    pub(in crate::audit::repair) fn filter(&self, forms: &[Bson]) -> Document {
        let by_field = |reference: &&Reference| doc! { &reference.field: { "$in": forms } };
        match self.references.as_slice() {
            [reference] => by_field(reference),
            references => doc! { "$or": references.iter().map(by_field).collect::<Vec<_>>() },
        }
    }
}

/// Referring documents, read piece by piece.
pub(in crate::audit::repair) struct Pieces {
    cursor: Cursor<RawDocumentBuf>,
    size: usize,
    database: String,
    step: String,
}

impl Pieces {
    /// The next piece; empty at the end.
    pub(in crate::audit::repair) async fn next(&mut self) -> Result<Vec<Read>> {
        let mut piece = Vec::new();
        while piece.len() < self.size {
            match self.cursor.try_next().await.reading(&self.database, &self.step)? {
                Some(raw) => piece.push(Read::of(&raw)),
                None => break,
            }
        }
        Ok(piece)
    }
}

/// The targets of merges. A text that is itself the id of a document refers to that document.
pub(in crate::audit::repair) async fn targets(
    database: &Database,
    collection: &str,
    merges: &[(Bson, Bson)],
) -> Result<Targets> {
    let ids: Vec<&Bson> = merges.iter().flat_map(|(duplicate, keeper)| [duplicate, keeper]).collect();
    let own: BTreeSet<String> = ids.iter().map(|id| name(id)).collect();
    let mut taken: Vec<Bson> = ids.iter().copied().cloned().collect();
    let others: Vec<Bson> = all_forms(ids).into_iter().filter(|form| !own.contains(&name(form))).collect();
    if !others.is_empty() {
        let step = format!("look for ids in `{collection}`");
        let documents = database.collection::<Document>(collection);
        let found = documents.find(doc! { "_id": { "$in": others } }).projection(doc! { "_id": 1 }).await;
        let found: Vec<Document> =
            found.reading(database.name(), &step)?.try_collect().await.reading(database.name(), &step)?;
        taken.extend(found.into_iter().filter_map(|document| document.get("_id").cloned()));
    }
    let targets = Targets::new(merges.iter().map(|(duplicate, keeper)| (duplicate, keeper)), &taken);
    Ok(targets.of(database.name(), collection))
}
