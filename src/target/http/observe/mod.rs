//! The final state of a service's documents: from its database, or through its own interface, key by key.
//!
//! It is read when no request is open any more, and read until two reads are equal.

mod database;
mod forms;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};

use self::database::Database;
pub(super) use self::forms::forms_of;
use super::answer;
use super::request::Prepared;
use super::variables::Subject;
use super::{HttpTarget, messages, path, value};
use crate::history::{Action, DocumentSightings, Exchange, Message, Observation, Observed, OpId, Source};
use crate::scenario::{MessageSpec, ObserveHttp, WorkloadKind};
use crate::target::TargetError;

/// How long requests may stay open, and the database busy, after the last operation.
const QUIESCE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two reads that are to be equal; longer if a request was given up, whose handler may still be at work.
const PAUSE: Duration = Duration::from_millis(50);
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// How often the state is read at most until two reads are equal.
const READS: u32 = 10;
/// Requests at a time of an observation through the service.
const AT_A_TIME: usize = 16;
/// Answers of an observation through the service that are kept as examples.
const EXAMPLES: usize = 3;
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
    let mut equal = false;
    for _ in 1..READS {
        tokio::time::sleep(pause).await;
        let next = reader.read(target).await?;
        equal = next.documents == last.documents;
        last = next;
        if equal {
            break;
        }
    }
    if let (Reader::Mongo(database), true) = (&reader, last.documents.is_empty()) {
        database.elsewhere(&mut last.seen).await;
    }
    *target.observed.lock().unwrap_or_else(PoisonError::into_inner) = (last.answers, last.seen);
    // A request that was given up may still be at work in a service that is not the harness's to stop.
    let quiescent = equal && answered && (!abandoned || (target.run.own_service && source == Source::Mongo));
    Ok(Some(Observation { source, quiescent, documents: last.documents, ..Observation::default() }))
}

/// What one reading of the final state found.
#[derive(Default)]
struct Read {
    documents: Vec<Observed>,
    seen: DocumentSightings,
    /// Answers that the documents were in, where they were read through the service.
    answers: Vec<Exchange>,
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
    /// The setting that names the field.
    setting: &'static str,
    field: Option<&'a str>,
    spec: Option<&'a MessageSpec>,
    /// Their messages are delivered contents.
    delivered: bool,
}

impl<'a> List<'a> {
    fn new(target: &'a HttpTarget, setting: &'static str, field: Option<&'a str>) -> Self {
        let spec = &target.core.spec;
        let delivered = target.run.workload == WorkloadKind::Merge;
        List { setting, field, spec: spec.messages.as_ref(), delivered }
    }

    /// Takes the messages out of a document: what is left is shown by a witness, with their number. A document without
    /// the field has none yet.
    fn take(&self, fields: &mut serde_json::Value, seen: &mut DocumentSightings) -> Result<Vec<Message>, TargetError> {
        let (Some(field), Some(spec)) = (self.field, self.spec) else {
            return Ok(Vec::new());
        };
        let list = path::take_list(fields, field);
        seen.count(self.setting, field, list.is_some());
        let list = list.unwrap_or_default();
        if let Some(object) = fields.as_object_mut() {
            object.insert("messageCount".to_owned(), list.len().into());
        }
        let messages = list.iter().map(|one| messages::message(spec, one, self.delivered));
        messages.collect::<Result<_, _>>().map_err(|error| step(STEP, error))
    }
}

/// Where documents are read.
enum Reader<'a> {
    Mongo(Box<Database<'a>>),
    Http(&'a ObserveHttp),
}

impl Reader<'_> {
    async fn read(&self, target: &HttpTarget) -> Result<Read, TargetError> {
        match self {
            Reader::Mongo(database) => database.read().await,
            Reader::Http(http) => through_service(target, http).await,
        }
    }
}

fn step(step: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TargetError {
    TargetError::Step { step: step.to_owned(), source: source.into() }
}

/// What a key is filled in with.
fn subject<'a>(run_id: &'a str, key: &'a str, action: &'a Action) -> Subject<'a> {
    Subject { run_id, op: OpId(0), client: 0, key, action, thread: None }
}

/// Asks the service for each key.
async fn through_service(target: &HttpTarget, spec: &ObserveHttp) -> Result<Read, TargetError> {
    let keys: Vec<Arc<str>> = {
        let keys = target.core.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().cloned().collect()
    };
    let asked = keys.into_iter().map(|key| async move { of_key(target, spec, key).await });
    let found: Vec<Read> = futures::stream::iter(asked).buffer_unordered(AT_A_TIME).try_collect().await?;
    let mut all = Read::default();
    for read in found {
        all.documents.extend(read.documents);
        all.answers.extend(read.answers);
        for field in read.seen.fields {
            for at in 0..field.looked_at {
                all.seen.count(&field.setting, &field.path, at < field.found);
            }
        }
    }
    all.documents.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
    all.answers.sort_by(|a, b| a.body.cmp(&b.body));
    all.answers.truncate(EXAMPLES);
    Ok(all)
}

async fn of_key(target: &HttpTarget, spec: &ObserveHttp, key: Arc<str>) -> Result<Read, TargetError> {
    const STEP: &str = "reading the final state through the service";
    let action = Action::Get;
    let variables = target.core.priors.with(subject(&target.run.run_id, &key, &action).variables(), &key);
    let core = &target.core;
    let session = core.session(&variables, 0, 0).await;
    let session = session.map_err(|no_answer| step(STEP, core.redactor.clear(no_answer.why())))?;
    let mut request = Prepared::new(&spec.request, &variables).map_err(|error| step(STEP, error))?;
    core.authorize(&mut request, session.as_deref(), &variables).map_err(|why| step(STEP, why))?;
    let answer =
        core.send_in_time(request, 0).await.map_err(|no_answer| step(STEP, core.redactor.clear(no_answer.why())))?;
    let mut read =
        Read { answers: vec![core.samples.exchange("observe", None, &answer, &core.redactor)], ..Read::default() };
    if answer.status == 404 {
        return Ok(read);
    }
    if answer.status != 200 {
        return Err(step(STEP, format!("HTTP {} for the key {key}", answer.status)));
    }
    let json: serde_json::Value = serde_json::from_slice(&answer.body)
        .map_err(|_| step(STEP, format!("the answer for the key {key} is not JSON")))?;
    let messages = List::new(target, "observe.http.messages", spec.messages.as_deref());
    for mut fields in answer::documents(&spec.documents, &json) {
        let list = messages.take(&mut fields, &mut read.seen)?;
        let id = spec.id.first(&fields).and_then(value::id_of);
        let id = id.ok_or_else(|| {
            let document = answer::excerpt(&fields.to_string());
            step(STEP, format!("a document of the key {key} has nothing at {}: {document}", spec.id))
        })?;
        read.documents.push(Observed {
            id,
            key: Arc::clone(&key),
            stored_key: Some(Arc::clone(&key)),
            created_by: None,
            missing: Vec::new(),
            messages: list,
            last_message: None,
            thread: None,
            fields,
        });
    }
    Ok(read)
}
