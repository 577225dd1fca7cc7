//! The final state of a service's documents: from its database, or through its own interface, key by key.
//!
//! It is read when no request is open any more, and read until two reads are equal.

mod database;
mod forms;
mod service;
mod set_aside;
mod threads;

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use self::database::Database;
pub(super) use self::forms::forms_of;
use super::variables::Subject;
use super::{HttpTarget, messages, path};
use crate::history::{Action, DocumentSightings, Exchange, Message, Observation, Observed, OpId, SetAside, Source};
use crate::scenario::{MessageSpec, ObserveHttp, WorkloadKind};
use crate::target::TargetError;

/// How long requests may stay open, and the database busy, after the last operation.
const QUIESCE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two reads that are to be equal; longer if a request was given up, whose handler may still be at work.
const PAUSE: Duration = Duration::from_millis(50);
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// How often the state is read at most until two reads are equal.
const READS: u32 = 10;
const STEP: &str = "reading the final state";

/// Reads the final state where the scenario says; `None` where it does not.
pub(super) async fn final_state(target: &HttpTarget) -> Result<Option<Observation>, TargetError> {
    let observe = &target.run.observe;
    if observe.mongo.is_none() && observe.http.is_none() {
        return Ok(None);
    }
    let answered = all_answered(target).await;
    let abandoned = target.client.abandoned.load(Ordering::Relaxed) > 0;
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
    Ok(Some(Observation {
        source,
        quiescent,
        documents: last.documents,
        set_aside: last.set_aside,
        ..Observation::default()
    }))
}

/// What one reading of the final state found.
#[derive(Default)]
struct Read {
    documents: Vec<Observed>,
    set_aside: Vec<SetAside>,
    seen: DocumentSightings,
    /// Answers that the documents were in, where they were read through the service.
    answers: Vec<Exchange>,
}

/// Waits until no request is open.
pub(super) async fn all_answered(target: &HttpTarget) -> bool {
    let deadline = Instant::now() + QUIESCE_TIMEOUT;
    while target.client.open.load(Ordering::Relaxed) > 0 {
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
        let spec = &target.client.spec;
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
            Reader::Http(http) => service::read(target, http).await,
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
