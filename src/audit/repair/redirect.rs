//! Documents that refer to a removed duplicate are pointed at the one that was kept, many at once.

use futures::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Bson, RawDocumentBuf, doc};

use super::edit::{Edit, Written};
use super::guard::same_field;
use super::rate_limiter::at_once;
use super::refer::{Redirection, ReferenceOutcome, Referring, Targets, refers, resolve, targets};
use super::twice::Read;
use super::work::Repair;
use crate::audit::error::{Result, Step};

impl Repair<'_> {
    /// Redirects everything that refers to merged documents.
    pub(super) async fn redirect(&mut self, merged: &[(Bson, Bson)], referring: &[Referring<'_>]) -> Result<()> {
        if merged.is_empty() || referring.is_empty() {
            return Ok(());
        }
        let targets = targets(&self.database, &self.profile.collection, merged).await?;
        let mut keepers: Vec<Bson> = Vec::new();
        for (_, keeper) in merged {
            if keepers.last() != Some(keeper) {
                keepers.push(keeper.clone());
            }
        }
        for referring in referring {
            let mut tries = self.tries();
            // A service that goes on referring to them is not chased: the next sweep finds what came meanwhile.
            while tries.next() && self.redirect_in(referring, &targets, &keepers).await? {}
        }
        Ok(())
    }

    /// Redirects what refers in one collection. True if some documents changed meanwhile and must be read again.
    async fn redirect_in(&mut self, referring: &Referring<'_>, targets: &Targets, keepers: &[Bson]) -> Result<bool> {
        let database = self.database.clone();
        let mut pieces = referring.open(&database, targets, keepers, at_once(self.options.rate)).await?;
        let mut again = false;
        loop {
            let piece = pieces.next().await?;
            if piece.is_empty() {
                return Ok(again);
            }
            let ReferenceOutcome { documents, obstacles } = resolve(referring, piece, targets, false);
            for obstacle in obstacles {
                self.left(obstacle.why);
            }
            let (gone, mut stay): (Vec<Redirection>, Vec<Redirection>) =
                documents.into_iter().partition(|document| document.twin.is_some());
            // First what makes room in a unique index.
            again |= self.unite(referring, targets, gone, &mut stay).await?;
            for stay in stay.chunks(at_once(self.options.rate)) {
                self.rate_limiter.turns(stay.len()).await;
                again |= self.redirect_all(referring.collection, stay).await?;
            }
        }
    }

    async fn redirect_all(&mut self, collection: &str, documents: &[Redirection]) -> Result<bool> {
        let edits: Vec<Edit> = documents.iter().map(edit).collect();
        let written = self.write(collection, &edits).await?;
        let mut again = false;
        for (document, written) in documents.iter().zip(written) {
            match written {
                Written::Done => self.record.redirected(collection, document),
                Written::NotDone | Written::Unknown => again = true,
                Written::Refused(_) | Written::TooLarge(_) => {
                    let (id, why) = (document.id(), written.refusal().unwrap_or_default());
                    self.left(format!("document {id} of `{collection}` cannot be redirected: {why}"));
                }
            }
        }
        Ok(again)
    }
}

/// Whether anything refers to one of the merged documents.
pub(super) async fn are_referred_to(
    database: &Database,
    targets: &Targets,
    referring: &[Referring<'_>],
) -> Result<bool> {
    for referring in referring {
        let collection = database.collection::<RawDocumentBuf>(referring.collection);
        let step = format!("read `{}`", referring.collection);
        let found = collection.find(referring.filter(targets.forms())).await;
        let mut found = found.reading(database.name(), &step)?;
        // A query finds DBRefs to other collections as well. Of what cannot be read nobody knows: it is looked at and said.
        while let Some(raw) = found.try_next().await.reading(database.name(), &step)? {
            let Read { document, unreadable, .. } = Read::of(&raw);
            if unreadable || refers(referring, &document, targets) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The change of a referring document: the fields that hold references become what was worked out, if they are still what
/// was read.
pub(super) fn edit(document: &Redirection) -> Edit {
    let changed = document.changed();
    let condition: Vec<Bson> = changed.keys().map(|field| same_field(field, document.before.get(field))).collect();
    let set = changed.iter().map(|(field, value)| (field.clone(), doc! { "$literal": value }.into())).collect();
    let condition = doc! { "$and": condition }.into();
    Edit { before: document.before.clone(), changed, condition, set, taking: Vec::new() }
}
