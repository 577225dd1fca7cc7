//! The service's collection. Main type: [`Database`].

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Document, doc};

use super::super::HttpTarget;
use super::super::http_client::is_own;
use super::super::{answer, path, value};
use super::forms::Forms;
use super::set_aside::Answers;
use super::{List, QUIESCE_TIMEOUT, Read, STEP, step};
use crate::history::{DocumentSightings, Id, Observed, OpId, Sample};
use crate::scenario::{ObserveMongo, WorkloadKind};
use crate::target::mongo::{Connected, filter_of, observed_thread, truth};
use crate::target::{MongoUri, TargetError};

/// Values in one query of a database that holds more than the run's documents.
const VALUES_PER_QUERY: usize = 1000;
/// Documents that are none of the run's and are kept as examples.
const SAMPLES: usize = 16;
/// Collections that are looked through where the scenario's has no document of the run.
const COLLECTIONS: usize = 32;

/// The service's collection.
pub(super) struct Database<'a> {
    spec: &'a ObserveMongo,
    uri: MongoUri,
    connected: Connected,
    name: String,
    collection: Collection<Document>,
    /// Which documents are looked at.
    filter: Document,
    forms: Forms,
    /// What every key of the run has in it.
    tag: String,
    /// The database is the run's own: everything in the collection is the service's.
    own: bool,
    /// Its documents are threads, in the form of the reference service.
    threads: bool,
    messages: List<'a>,
    answers: Answers<'a>,
}

impl<'a> Database<'a> {
    pub(super) async fn open(target: &'a HttpTarget, spec: &'a ObserveMongo) -> Result<Self, TargetError> {
        let run = target.run.mongo.as_ref();
        let uri = match (&spec.uri, run) {
            (Some(uri), _) => MongoUri::new(uri.expose()),
            (None, Some((uri, _))) => uri.clone(),
            (None, None) => {
                return Err(step(STEP, "no server is known: give `observe.mongo.uri`"));
            }
        };
        let name = spec.database.clone().or_else(|| run.map(|(_, name)| name.clone()));
        let name = name.ok_or_else(|| step(STEP, "no database is known"))?;
        let connected = Connected::open_reading(&uri, &target.guard).await?;
        let database = Database {
            collection: connected.client.database(&name).collection(&spec.collection),
            filter: match &spec.filter {
                Some(text) => filter_of(text).map_err(|why| step(STEP, why))?,
                None => doc! {},
            },
            forms: Forms::of(target, spec)?,
            tag: crate::workload::tag(&target.run.run_id),
            own: spec.uri.is_none() && spec.database.is_none(),
            threads: target.run.workload == WorkloadKind::Thread,
            messages: List::new(target, "observe.mongo.messages", spec.messages.as_deref()),
            answers: Answers::of(target),
            spec,
            uri,
            connected,
            name,
        };
        database.end_of_commands().await;
        let majority = truth::await_majority(&database.connected, &database.name).await;
        majority.map_err(|error| step("waiting until a majority has the last writes", database.uri.redact(error)))?;
        Ok(database)
    }

    /// Waits until no command on the database is running. A user without the right to ask gets no answer.
    async fn end_of_commands(&self) {
        let deadline = Instant::now() + QUIESCE_TIMEOUT;
        while Instant::now() < deadline {
            if truth::is_idle(&self.connected, &self.name).await.unwrap_or(true) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Reads the documents of the run, and how far the others are like them.
    pub(super) async fn read(&self) -> Result<Read, TargetError> {
        let mut read = Read::default();
        read.seen.expected_key = self.forms.example();
        let queries = if self.own { vec![doc! {}] } else { self.forms.queries(VALUES_PER_QUERY) };
        for query in queries {
            self.query(query, &mut read).await?;
        }
        // In a database of the run's own every document was read.
        let unread = if self.own { Vec::new() } else { self.answers.not_among(&read, self.spec) };
        for query in unread {
            self.query(query, &mut read).await?;
        }
        // Two queries may find one document.
        read.documents.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
        read.set_aside.sort_by(|a, b| a.id.cmp(&b.id));
        if !self.own {
            read.documents.dedup_by(|a, b| a.fields.get("_id") == b.fields.get("_id"));
            read.set_aside.dedup();
        }
        Ok(read)
    }

    async fn query(&self, filter: Document, read: &mut Read) -> Result<(), TargetError> {
        let failed = |error| step(STEP, self.uri.redact(error));
        let filter = if self.filter.is_empty() {
            filter
        } else {
            doc! { "$and": [&self.filter, filter] }
        };
        let mut cursor = self.collection.find(filter).batch_size(1000).await.map_err(failed)?;
        while let Some(document) = cursor.try_next().await.map_err(failed)? {
            match self.observed(&document, &mut read.seen)? {
                Some(observed) => read.documents.push(observed),
                None => {
                    let set_aside = self.answers.set_aside(&document, self.spec, &self.forms)?;
                    let is_told = set_aside.is_some() || self.forms.is_prepared(&document);
                    read.seen.others += u64::from(!is_told);
                    read.set_aside.extend(set_aside);
                    self.other(&document, &mut read.seen)?;
                }
            }
        }
        Ok(())
    }

    /// The document, if it is one of the run's.
    fn observed(&self, document: &Document, seen: &mut DocumentSightings) -> Result<Option<Observed>, TargetError> {
        for field in &self.spec.key {
            seen.count("observe.mongo.key", field, path::at(document, field) != path::Found::Nothing);
        }
        if self.threads {
            self.count_fields(document, seen);
            return self.thread(document);
        }
        let Some((stored, key)) = self.forms.of_document(document) else { return Ok(None) };
        let mut fields = serde_json::to_value(document).map_err(|error| step(STEP, error))?;
        let id = path::one(document, &self.spec.id).and_then(value::stored_id);
        seen.count("observe.mongo.id", &self.spec.id, id.is_some());
        // Every document has this one: it is shown, and compared with no answer that names what is not there.
        let id = id.or_else(|| document.get("_id").and_then(value::stored_id));
        let id = id.map(|id| as_answered(self.spec, id)).transpose()?;
        let messages = self.messages.take(&mut fields, seen)?;
        let missing = self.spec.insert_fields.iter().filter(|field| {
            let is_missing = path::at(document, field) == path::Found::Nothing;
            seen.count("observe.mongo.insert_fields", field, !is_missing);
            is_missing
        });
        let missing = missing.map(|field| field.as_str().into()).collect();
        let stamp = self.spec.stamp.as_ref().and_then(|stamp| {
            let found = path::one(document, stamp).and_then(value::stored_text);
            let found = found.and_then(|text| answer::stamp_of(&serde_json::Value::String(text)));
            seen.count("observe.mongo.stamp", stamp, found.is_some());
            found
        });
        Ok(Some(Observed {
            id: id.ok_or_else(|| step(STEP, "a document has no identifier"))?,
            key,
            stored_key: Some(stored.into()),
            created_by: stamp.filter(|op| !is_own(*op)),
            missing,
            messages,
            last_message: None,
            thread: None,
            fields,
        }))
    }

    /// A thread has a form of its own, in which these are not looked for: they must be there all the same.
    fn count_fields(&self, document: &Document, seen: &mut DocumentSightings) {
        let fields = self.spec.insert_fields.iter().map(|field| ("observe.mongo.insert_fields", field));
        let stamp = self.spec.stamp.iter().map(|field| ("observe.mongo.stamp", field));
        for (setting, field) in fields.chain(stamp).chain([("observe.mongo.id", &self.spec.id)]) {
            seen.count(setting, field, path::at(document, field) != path::Found::Nothing);
        }
    }

    /// The document as a thread, if it is one of a family of the run.
    fn thread(&self, document: &Document) -> Result<Option<Observed>, TargetError> {
        let Ok(mut thread) = observed_thread(document) else { return Ok(None) };
        let Some(key) = self.forms.named(&thread.key) else { return Ok(None) };
        thread.key = key;
        thread.id = as_answered(self.spec, thread.id)?;
        without_own_stamps(&mut thread);
        Ok(Some(thread))
    }

    /// Takes note of a document that is none of the run's. Those that mention it are the better examples.
    fn other(&self, document: &Document, seen: &mut DocumentSightings) -> Result<(), TargetError> {
        let enough = seen.samples.len() >= SAMPLES;
        let mentions = |fields: &serde_json::Value| fields.to_string().contains(&self.tag);
        if enough && seen.samples.iter().all(|sample| mentions(&sample.fields)) {
            return Ok(());
        }
        let fields = serde_json::to_value(document).map_err(|error| step(STEP, error))?;
        if enough {
            let at = seen.samples.iter().position(|sample| !mentions(&sample.fields)).filter(|_| mentions(&fields));
            if let Some(at) = at {
                seen.samples[at].fields = fields;
            }
        } else {
            seen.samples.push(Sample { collection: self.spec.collection.clone(), fields });
        }
        Ok(())
    }

    /// Where the run's keys are, if the collection has none of them: the youngest documents of each collection. What
    /// cannot be read is not looked at: this only helps to find a mistake in the scenario.
    pub(super) async fn elsewhere(&self, seen: &mut DocumentSightings) {
        if self.forms.is_empty() || seen.samples.iter().any(|sample| sample.fields.to_string().contains(&self.tag)) {
            return;
        }
        let database = self.connected.client.database(&self.name);
        let Ok(names) = database.list_collection_names().await else { return };
        for name in names.into_iter().filter(|name| !name.starts_with("system.")).take(COLLECTIONS) {
            let collection = database.collection::<Document>(&name);
            let youngest = collection.find(doc! {}).sort(doc! { "_id": -1 });
            let Ok(cursor) = youngest.limit(i64::try_from(SAMPLES).unwrap_or(i64::MAX)).await else { continue };
            let documents: Vec<Document> = cursor.try_collect().await.unwrap_or_default();
            let shown = documents.iter().filter_map(|document| serde_json::to_value(document).ok());
            let of_run = shown.filter(|fields| fields.to_string().contains(&self.tag)).take(2);
            seen.samples.extend(of_run.map(|fields| Sample { collection: name.clone(), fields }));
        }
    }
}

/// What answers call a document.
pub(super) fn as_answered(spec: &ObserveMongo, id: Id) -> Result<Id, TargetError> {
    let Some(template) = &spec.id_as else { return Ok(id) };
    let text = template.render(&minijinja::context! { id => id.to_string() });
    text.map(|text| Id::parse(&text)).map_err(|error| step("reading `observe.mongo.id_as`", error))
}

/// What was there before the run was made by none of its operations.
fn without_own_stamps(thread: &mut Observed) {
    let of_run = |op: &OpId| !is_own(*op);
    thread.created_by = thread.created_by.filter(of_run);
    if let Some(state) = &mut thread.thread {
        for member in &mut state.members {
            member.added_by = member.added_by.filter(of_run);
        }
        if let Some(changes) = &mut state.changes {
            changes.retain(of_run);
        }
    }
}
