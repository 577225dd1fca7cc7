//! Reads the final state through the service: one request per key, or for threads that are looked up by their participants
//! one per set that a key's threads may have. The main function is [`read`].

use std::sync::{Arc, PoisonError};

use futures::{StreamExt, TryStreamExt};

use super::super::HttpTarget;
use super::super::request::Prepared;
use super::super::variables::Subject;
use super::super::{answer, value};
use super::threads::{self, Family};
use super::{List, Read, step, subject};
use crate::history::{Action, Observed};
use crate::scenario::{ObserveHttp, RequestSpec, WorkloadKind};
use crate::target::TargetError;

/// Requests at a time.
const AT_A_TIME: usize = 16;
/// Answers that are kept as examples.
const EXAMPLES: usize = 3;
const STEP: &str = "reading the final state through the service";

/// Asks the service for each key.
pub(super) async fn read(target: &HttpTarget, spec: &ObserveHttp) -> Result<Read, TargetError> {
    let keys: Vec<Arc<str>> = {
        let keys = target.client.keys.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Everything of one key.
async fn of_key(target: &HttpTarget, spec: &ObserveHttp, key: Arc<str>) -> Result<Read, TargetError> {
    let given = target.client.known_given(&key);
    let mut read = Read::default();
    for action in questions(target, &spec.request, &key) {
        let subject = Subject { thread: given.as_deref(), ..subject(&target.run.run_id, &key, &action) };
        let answer = ask(target, spec, &key, subject).await?;
        read.answers.push(target.client.samples.exchange("observe", None, &answer, &target.client.redactor));
        let family = Family { key: &key, given: given.as_deref() };
        documents(target, spec, &answer, family, &mut read)?;
    }
    // Several questions may be answered with one thread.
    read.documents.sort_by(|a, b| a.id.cmp(&b.id));
    if target.run.workload == WorkloadKind::Thread {
        read.documents.dedup_by(|a, b| a.id == b.id);
    }
    Ok(read)
}

/// What is asked about a key: each set of participants where the request names them, else the key alone.
fn questions(target: &HttpTarget, request: &RequestSpec, key: &str) -> Vec<Action> {
    if target.run.workload != WorkloadKind::Thread {
        return vec![Action::Get];
    }
    let by_set = request.templates().iter().any(|template| template.names("thread.participants"));
    if by_set { threads::look_ups(key) } else { vec![Action::ReadThread] }
}

async fn ask(
    target: &HttpTarget,
    spec: &ObserveHttp,
    key: &str,
    subject: Subject<'_>,
) -> Result<answer::Answer, TargetError> {
    let client = &target.client;
    let variables = client.priors.with(subject.variables(), key);
    let session = client.session(&variables, 0, 0).await;
    let session = session.map_err(|no_answer| step(STEP, client.redactor.clear(no_answer.why())))?;
    let mut request = Prepared::new(&spec.request, &variables).map_err(|error| step(STEP, error))?;
    client.authorize(&mut request, session.as_deref(), &variables).map_err(|why| step(STEP, why))?;
    let answer = client.send_in_time(request, 0).await;
    answer.map_err(|no_answer| step(STEP, client.redactor.clear(no_answer.why())))
}

/// Adds the documents of an answer.
fn documents(
    target: &HttpTarget,
    spec: &ObserveHttp,
    answer: &answer::Answer,
    family: Family<'_>,
    read: &mut Read,
) -> Result<(), TargetError> {
    let key = family.key;
    if answer.status == 404 {
        return Ok(());
    }
    if answer.status != 200 {
        return Err(step(STEP, format!("HTTP {} for the key {key}", answer.status)));
    }
    let json: serde_json::Value = serde_json::from_slice(&answer.body)
        .map_err(|_| step(STEP, format!("the answer for the key {key} is not JSON")))?;
    let messages = List::new(target, "observe.http.messages", spec.messages.as_deref());
    for mut fields in answer::documents(&spec.documents, &json) {
        let id = spec.id.first(&fields).and_then(value::id_of);
        let id = id.ok_or_else(|| {
            let document = answer::excerpt(&fields.to_string());
            step(STEP, format!("a document of the key {key} has nothing at {} (`observe.http.id` says where its identifier is): {document}", spec.id))
        })?;
        let mut observed = Observed {
            id,
            key: Arc::clone(key),
            stored_key: Some(Arc::clone(key)),
            created_by: None,
            missing: Vec::new(),
            messages: messages.take(&mut fields, &mut read.seen)?,
            last_message: None,
            thread: None,
            fields,
        };
        let is_of_key = match &spec.thread {
            Some(paths) => {
                let hidden = spec.messages.is_none();
                threads::complete(&mut observed, paths, family, hidden, &mut read.seen)
                    .map_err(|why| step(STEP, why))?
            }
            None => true,
        };
        if is_of_key {
            read.documents.push(observed);
        }
    }
    Ok(())
}
