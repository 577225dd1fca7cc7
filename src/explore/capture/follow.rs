//! Follows the oplog, and takes in what each of its entries makes of the documents that are known.

use futures::TryStreamExt;
use mongodb::bson::{Document, Timestamp, doc};
use mongodb::results::CollectionSpecification;

use super::oplog::{self, Entry};
use super::window::{Identity, identity};
use super::{Capture, CaptureError, buckets};

impl Capture {
    /// From the last entry that was taken in to the end.
    pub(super) async fn read_on(&mut self) -> Result<(), CaptureError> {
        let oplog = self.client.database("local").collection::<Document>("oplog.rs");
        let mut entries = oplog.find(doc! { "ts": { "$gt": self.read_to } }).batch_size(5000).await?;
        while let Some(entry) = entries.try_next().await? {
            let Ok(at) = entry.get_timestamp("ts") else { continue };
            self.read_to = at;
            for entry in oplog::entries(&entry)? {
                if self.databases.contains(entry.database()) {
                    self.know_series(entry.namespace()).await?;
                    self.take(at, entry)?;
                }
            }
        }
        self.filled = self.windows.len().saturating_sub(1);
        Ok(())
    }

    fn take(&mut self, at: Timestamp, entry: Entry<'_>) -> Result<(), CaptureError> {
        let first = self.filled;
        let window = self.windows[first..].iter().position(|window| window.holds(at)).map(|position| first + position);
        match entry {
            Entry::Drop { database, collection } => {
                let namespace = format!("{database}.{collection}");
                self.end(window, |other| other == namespace)?;
            }
            Entry::DropAll { database } => {
                self.end(window, |other| other.strip_prefix(database).is_some_and(|rest| rest.starts_with('.')))?;
            }
            Entry::Rename { from, to } => self.rename(window, from, to)?,
            Entry::Insert { .. } | Entry::Update { .. } | Entry::Delete { .. } => {
                let (namespace, id) = (entry.namespace().to_owned(), entry.id()?);
                let identity = identity(&namespace, &id);
                let before = self.known.remove(&identity).map(|(_, document)| document);
                let after = entry.apply(before.clone())?;
                if let Some(after) = &after {
                    self.known.insert(identity.clone(), (id.clone(), after.clone()));
                }
                match buckets::series_of(&namespace) {
                    Some(series) => self.record_measurements(window, &series, before.as_ref(), after.as_ref())?,
                    None => self.record(window, &identity, id, before, after),
                }
            }
        }
        Ok(())
    }

    /// Collections end, and all that is in them.
    fn end(&mut self, window: Option<usize>, is_it: impl Fn(&str) -> bool) -> Result<(), CaptureError> {
        let gone: Vec<Identity> = self.known.keys().filter(|(namespace, _)| is_it(namespace)).cloned().collect();
        for identity in gone {
            let Some((id, before)) = self.known.remove(&identity) else { continue };
            match buckets::series_of(&identity.0) {
                Some(series) => self.record_measurements(window, &series, Some(&before), None)?,
                None => self.record(window, &identity, id, Some(before), None),
            }
        }
        Ok(())
    }

    /// A collection becomes another one: what `$out` has made is a collection of the server's own until it is whole.
    fn rename(&mut self, window: Option<usize>, from: &str, to: &str) -> Result<(), CaptureError> {
        self.end(window, |other| other == to)?;
        let moved: Vec<Identity> = self.known.keys().filter(|(namespace, _)| namespace == from).cloned().collect();
        for old in moved {
            let Some((id, document)) = self.known.remove(&old) else { continue };
            self.record(window, &old, id.clone(), Some(document.clone()), None);
            let new = identity(to, &id);
            self.known.insert(new.clone(), (id.clone(), document.clone()));
            self.record(window, &new, id, None, Some(document));
        }
        // Nothing was ever seen under a name that nobody chose.
        if let Some(window) = window.and_then(|number| self.windows.get_mut(number)).filter(|_| is_passing(from)) {
            window.changes.remove(from);
            window.written.retain(|(namespace, _), _| namespace != from);
        }
        Ok(())
    }

    fn record_measurements(
        &mut self,
        window: Option<usize>,
        series: &str,
        before: Option<&Document>,
        after: Option<&Document>,
    ) -> Result<(), CaptureError> {
        let meta = self.metas.get(series).map_or("meta", String::as_str);
        for measured in buckets::written(series, meta, before, after)? {
            let identity = identity(series, &measured.id);
            self.record(window, &identity, measured.id, measured.before, measured.after);
        }
        Ok(())
    }

    /// Asks what the measurements in buckets of this namespace have in common, once.
    async fn know_series(&mut self, namespace: &str) -> Result<(), CaptureError> {
        let Some(series) = buckets::series_of(namespace).filter(|series| !self.metas.contains_key(series)) else {
            return Ok(());
        };
        let Some((database, collection)) = series.split_once('.') else { return Ok(()) };
        let listed = self.client.database(database).list_collections().filter(doc! { "name": collection }).await?;
        let listed: Vec<CollectionSpecification> = listed.try_collect().await?;
        let meta = listed.into_iter().find_map(|one| one.options.timeseries?.meta_field);
        self.metas.insert(series, meta.unwrap_or_else(|| "meta".to_owned()));
        Ok(())
    }
}

/// Whether the server has made a collection for itself alone, until it is another one or none.
fn is_passing(namespace: &str) -> bool {
    namespace.split_once('.').is_some_and(|(_, collection)| collection.starts_with("tmp."))
}
