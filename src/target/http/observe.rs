//! The final state of a service's documents: from its database, or through its own interface, key by key.
//!
//! It is read when no request is open any more, and read until two reads are equal.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use mongodb::Collection;
use mongodb::bson::{Bson, Document, doc};

use super::HttpTarget;
use super::answer;
use super::carry::is_own;
use super::messages;
use super::request::Prepared;
use super::variables::Subject;
use crate::history::{Action, Id, Message, Observation, Observed, OpId, Source};
use crate::scenario::{MessageSpec, ObserveHttp, ObserveMongo, Template, WorkloadKind};
use crate::strategy::create_or_get::canonical_key;
use crate::target::mongo::{Connected, PoolOptions, observed_thread};
use crate::target::{MongoUri, TargetError};

/// How long requests may stay open, and the database busy, after the last operation.
const QUIESCE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two reads that are to be equal; longer if a request was given up, whose handler may still be at work.
const PAUSE: Duration = Duration::from_millis(50);
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// How often the state is read at most until two reads are equal.
const READS: u32 = 10;
/// Requests at a time of an observation through the service.
const AT_A_TIME: usize = 16;
/// Values in one query of a database that holds more than the run's documents.
const VALUES_PER_QUERY: usize = 1000;
const STEP: &str = "reading the final state";

/// Reads the final state where the scenario says; `None` where it does not.
pub(super) async fn final_state(target: &HttpTarget) -> Result<Option<Observation>, TargetError> {
    let observe = &target.run.observe;
    if observe.mongo.is_none() && observe.http.is_none() {
        return Ok(None);
    }
    let answered = all_answered(target).await;
    let abandoned = target.core.abandoned.load(Ordering::Relaxed) > 0;
    let pause = if abandoned && !target.run.own_service { LONG_PAUSE } else { PAUSE };
    let reader = match (&observe.mongo, &observe.http) {
        (Some(mongo), _) => Reader::Mongo(Box::new(Database::open(target, mongo).await?)),
        (None, Some(http)) => Reader::Http(http),
        (None, None) => return Ok(None),
    };
    let source = if matches!(reader, Reader::Mongo(_)) { Source::Mongo } else { Source::Http };
    let mut last = reader.read(target).await?;
    for _ in 1..READS {
        tokio::time::sleep(pause).await;
        let next = reader.read(target).await?;
        let equal = next == last;
        last = next;
        if equal {
            // A request that was given up may still be at work in a service that is not the harness's to stop.
            let quiescent = answered && (!abandoned || (target.run.own_service && source == Source::Mongo));
            return Ok(Some(Observation { source, quiescent, documents: last, ..Observation::default() }));
        }
    }
    Ok(Some(Observation { source, quiescent: false, documents: last, ..Observation::default() }))
}

/// Waits until no request is open.
pub(super) async fn all_answered(target: &HttpTarget) -> bool {
    let deadline = Instant::now() + QUIESCE_TIMEOUT;
    while target.core.open.load(Ordering::Relaxed) > 0 {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

/// The messages of documents, where these hold any.
struct List<'a> {
    field: Option<&'a str>,
    spec: Option<&'a MessageSpec>,
    /// Their messages are delivered contents.
    delivered: bool,
}

impl<'a> List<'a> {
    fn new(target: &'a HttpTarget, field: Option<&'a str>) -> Self {
        let spec = &target.core.spec;
        List { field, spec: spec.messages.as_ref(), delivered: target.run.workload == WorkloadKind::Merge }
    }

    /// Takes the messages out of a document: what is left is shown by a witness, with their number.
    fn take(&self, fields: &mut serde_json::Value) -> Result<Vec<Message>, TargetError> {
        let (Some(field), Some(spec), Some(object)) = (self.field, self.spec, fields.as_object_mut()) else {
            return Ok(Vec::new());
        };
        let list = match take_nested(object, field) {
            Some(serde_json::Value::Array(list)) => list,
            _ => return Err(step(STEP, format!("a document has no list of messages in `{field}`"))),
        };
        object.insert("messageCount".to_owned(), list.len().into());
        let messages = list.iter().map(|one| messages::message(spec, one, self.delivered));
        messages.collect::<Result<_, _>>().map_err(|error| step(STEP, error))
    }
}

/// Takes the value at a dotted field out of a document.
fn take_nested(mut object: &mut serde_json::Map<String, serde_json::Value>, field: &str) -> Option<serde_json::Value> {
    let mut rest = field;
    loop {
        // A name that has a dot in it is found as it is written.
        match rest.split_once('.').filter(|_| !object.contains_key(rest)) {
            None => return object.remove(rest),
            Some((name, inner)) => {
                object = object.get_mut(name)?.as_object_mut()?;
                rest = inner;
            }
        }
    }
}

/// Where documents are read.
enum Reader<'a> {
    Mongo(Box<Database<'a>>),
    Http(&'a ObserveHttp),
}

impl Reader<'_> {
    async fn read(&self, target: &HttpTarget) -> Result<Vec<Observed>, TargetError> {
        let mut documents = match self {
            Reader::Mongo(database) => database.documents().await?,
            Reader::Http(http) => through_service(target, http).await?,
        };
        documents.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
        Ok(documents)
    }
}

fn step(step: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TargetError {
    TargetError::Step { step: step.to_owned(), source: source.into() }
}

/// The service's collection.
struct Database<'a> {
    spec: &'a ObserveMongo,
    uri: MongoUri,
    connected: Connected,
    name: String,
    collection: Collection<Document>,
    /// The key that each stored form stands for.
    keys: BTreeMap<String, Arc<str>>,
    /// The database is the run's own: everything in the collection is the run's.
    own: bool,
    /// Its documents are threads, in the form of the reference service.
    threads: bool,
    messages: List<'a>,
}

impl<'a> Database<'a> {
    async fn open(target: &'a HttpTarget, spec: &'a ObserveMongo) -> Result<Self, TargetError> {
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
        let own = spec.uri.is_none() && spec.database.is_none();
        let pool = PoolOptions { connections: 1, retry_writes: false, retry_reads: true };
        let connected = Connected::open(&uri, &target.guard, pool).await?;
        let collection = connected.client.database(&name).collection(&spec.collection);
        let keys = forms_of(target, spec.stored.as_ref())?;
        let messages = List::new(target, spec.messages.as_deref());
        let threads = target.run.workload == WorkloadKind::Thread;
        let database = Database { spec, uri, connected, name, collection, keys, own, threads, messages };
        database.end_of_commands().await;
        Ok(database)
    }

    /// Waits until no command on the database is running. A user without the right to ask gets no answer.
    async fn end_of_commands(&self) {
        let deadline = Instant::now() + QUIESCE_TIMEOUT;
        let pattern = format!("^{}\\.", self.name);
        while Instant::now() < deadline {
            let question = doc! { "currentOp": 1, "active": true, "ns": { "$regex": &pattern } };
            let Ok(answer) = self.connected.admin(question).await else { return };
            if answer.get_array("inprog").is_ok_and(Vec::is_empty) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn documents(&self) -> Result<Vec<Observed>, TargetError> {
        let mut documents = Vec::new();
        if self.own {
            self.query(doc! {}, &mut documents).await?;
        } else {
            let forms: Vec<&String> = self.keys.keys().collect();
            for forms in forms.chunks(VALUES_PER_QUERY) {
                let values: Vec<Bson> = forms.iter().map(|form| Bson::String((*form).clone())).collect();
                self.query(doc! { &self.spec.key: { "$in": values } }, &mut documents).await?;
            }
        }
        if documents.is_empty() && !self.keys.is_empty() {
            let (collection, key) = (&self.spec.collection, &self.spec.key);
            // No document at all is far more often a wrong name than a service that keeps nothing.
            return Err(step(
                STEP,
                format!(
                    "no document of the run is in {}.{collection}: see `observe.mongo` (collection, key `{key}`, stored)",
                    self.name
                ),
            ));
        }
        Ok(documents)
    }

    async fn query(&self, filter: Document, documents: &mut Vec<Observed>) -> Result<(), TargetError> {
        let failed = |error| step(STEP, self.uri.redact(error));
        let mut cursor = self.collection.find(filter).batch_size(1000).await.map_err(failed)?;
        while let Some(document) = cursor.try_next().await.map_err(failed)? {
            documents.push(self.observed(&document)?);
        }
        Ok(())
    }

    fn observed(&self, document: &Document) -> Result<Observed, TargetError> {
        if self.threads {
            let mut thread = observed_thread(document).map_err(|error| step(STEP, error))?;
            without_own_stamps(&mut thread);
            return Ok(thread);
        }
        let stored = stored_key(document.get(&self.spec.key));
        let key = match &stored {
            Some(stored) => self.keys.get(stored).cloned().unwrap_or_else(|| Arc::from(stored.as_str())),
            None => Arc::from(""),
        };
        let mut fields = serde_json::to_value(document).map_err(|error| step(STEP, error))?;
        let id = fields.get(&self.spec.id).and_then(answer::id_of);
        let messages = self.messages.take(&mut fields)?;
        let missing = self.spec.insert_fields.iter().filter(|field| !document.contains_key(field));
        let stamp = self.spec.stamp.as_ref().and_then(|stamp| fields.get(stamp));
        Ok(Observed {
            id: id.ok_or_else(|| step(STEP, format!("a document has no identifier in `{}`", self.spec.id)))?,
            key,
            stored_key: stored.map(Arc::from),
            created_by: stamp.and_then(answer::stamp_of).filter(|op| !is_own(*op)),
            missing: missing.map(|field| Arc::from(field.as_str())).collect(),
            messages,
            last_message: None,
            thread: None,
            fields,
        })
    }
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

/// The key as it is stored; a list of participants is a pair like its sorted names joined.
fn stored_key(value: Option<&Bson>) -> Option<String> {
    match value? {
        Bson::String(text) => Some(text.clone()),
        Bson::ObjectId(id) => Some(id.to_hex()),
        Bson::Array(items) => {
            let mut names: Vec<&str> = items.iter().filter_map(Bson::as_str).collect();
            names.sort_unstable();
            Some(names.join("_"))
        }
        Bson::Null => None,
        other => Some(other.to_string()),
    }
}

/// Every form in which a key of the run may be stored: as the scenario says, or as it is, in either order of a pair.
pub(super) fn forms_of(
    target: &HttpTarget,
    stored: Option<&Template>,
) -> Result<BTreeMap<String, Arc<str>>, TargetError> {
    let keys = target.core.keys.lock().unwrap_or_else(PoisonError::into_inner);
    let mut forms = BTreeMap::new();
    for key in keys.iter() {
        match stored {
            Some(template) => {
                for reversed in [false, true] {
                    let action = Action::CreateOrGet { reversed };
                    let subject = subject(&target.run.run_id, key, &action);
                    let form = template.render(&subject.variables());
                    forms.insert(form.map_err(|error| step(STEP, error))?, Arc::clone(key));
                }
            }
            None => {
                if let Some((a, b)) = key.split_once('_').filter(|(a, b)| canonical_key([a, b]) == **key) {
                    forms.insert(format!("{b}_{a}"), Arc::clone(key));
                }
                forms.insert(key.to_string(), Arc::clone(key));
            }
        }
    }
    Ok(forms)
}

fn subject<'a>(run_id: &'a str, key: &'a str, action: &'a Action) -> Subject<'a> {
    Subject { run_id, op: OpId(0), client: 0, key, action, thread: None }
}

/// Asks the service for each key.
async fn through_service(target: &HttpTarget, spec: &ObserveHttp) -> Result<Vec<Observed>, TargetError> {
    let keys: Vec<Arc<str>> = {
        let keys = target.core.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().cloned().collect()
    };
    let asked = keys.into_iter().map(|key| async move { of_key(target, spec, key).await });
    let found: Vec<Vec<Observed>> = futures::stream::iter(asked).buffer_unordered(AT_A_TIME).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn of_key(target: &HttpTarget, spec: &ObserveHttp, key: Arc<str>) -> Result<Vec<Observed>, TargetError> {
    const STEP: &str = "reading the final state through the service";
    let action = Action::Get;
    let variables = subject(&target.run.run_id, &key, &action).variables();
    let core = &target.core;
    let session = core.session(&variables, 0, 0).await;
    let session = session.map_err(|no_answer| step(STEP, core.redactor.clear(no_answer.why())))?;
    let mut request = Prepared::new(&spec.request, &variables).map_err(|error| step(STEP, error))?;
    core.authorize(&mut request, session.as_deref(), &variables).map_err(|why| step(STEP, why))?;
    let answer =
        core.send_in_time(request, 0).await.map_err(|no_answer| step(STEP, core.redactor.clear(no_answer.why())))?;
    if answer.status == 404 {
        return Ok(Vec::new());
    }
    if answer.status != 200 {
        return Err(step(STEP, format!("HTTP {} for the key {key}", answer.status)));
    }
    let json: serde_json::Value = serde_json::from_slice(&answer.body)
        .map_err(|_| step(STEP, format!("the answer for the key {key} is not JSON")))?;
    let messages = List::new(target, spec.messages.as_deref());
    let observed = |mut fields: serde_json::Value| {
        let list = messages.take(&mut fields)?;
        let id: Option<Id> = spec.id.first(&fields).and_then(answer::id_of);
        let id = id.ok_or_else(|| step(STEP, format!("a document of the key {key} has nothing at {}", spec.id)))?;
        Ok(Observed {
            id,
            key: Arc::clone(&key),
            stored_key: Some(Arc::clone(&key)),
            created_by: None,
            missing: Vec::new(),
            messages: list,
            last_message: None,
            thread: None,
            fields,
        })
    };
    answer::documents(&spec.documents, &json).into_iter().map(observed).collect()
}
