//! Carries operations out over HTTP: logs in, sends, waits, and tells what came of it. Main type: [`HttpClient`].

mod attempts;
mod sending;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use rustc_hash::{FxHashMap, FxHashSet};

pub(super) use self::sending::{Base, Pool, Transport};
use self::sending::{Open, lost};
use super::answer::{self, Answer, NoAnswer, outcome};
use super::effects::Left;
use super::fixtures::Fixtures;
use super::login::{Logins, Session};
use super::prior::Priors;
use super::redactor::Redactor;
use super::release::Releases;
use super::request::Prepared;
use super::samples::Samples;
use super::variables::Subject;
use crate::history::{Action, Id, OpId, Outcome, Phase, Value};
use crate::scenario::{HttpSpec, OperationSpec};
use crate::target::{Completion, Invocation, RawAnswer, Staged, TargetError};

/// Most requests at a time before the run.
pub(super) const AT_A_TIME: usize = 16;

/// Operations of the harness's own, before the run, have numbers from here to below twice as many: all of them are exact
/// in JSON, and no operation of a run has one.
pub(super) const OWN: u64 = 1 << 50;

/// Whether an operation is none of the run: it made something that had to be there before.
pub(super) fn is_own(op: OpId) -> bool {
    (OWN..2 * OWN).contains(&op.0)
}

/// What all operations of a run share.
#[derive(Debug)]
pub(super) struct HttpClient {
    pub(super) spec: HttpSpec,
    /// The operations of `spec`, shared by all who carry one out.
    pub(super) operations: BTreeMap<String, Arc<OperationSpec>>,
    pub(super) bases: Vec<Base>,
    pub(super) run_id: Arc<str>,
    pub(super) transport: Transport,
    pub(super) logins: Logins,
    /// Requests that come first.
    pub(super) priors: Priors,
    /// What operations leave in their keys.
    pub(super) left: Left,
    pub(super) redactor: Redactor,
    /// Answers that are kept as they came.
    pub(super) samples: Samples,
    pub(super) releases: Releases,
    /// Keys that were asked for; the final state is that of these.
    pub(super) keys: Mutex<FxHashSet<Arc<str>>>,
    /// Documents that operations on these were answered with, each with the first such key.
    pub(super) answered: Mutex<FxHashMap<Id, Arc<str>>>,
    /// Requests without an answer so far.
    pub(super) open: AtomicU64,
    /// Operations of the harness's own so far.
    pub(super) own_operations: AtomicU64,
    /// The workload is that of threads.
    pub(super) of_threads: bool,
    /// Threads that families have from the start.
    pub(super) fixtures: Fixtures,
    /// Answers are handed on as they came.
    pub(super) keeps_answers: bool,
    /// Requests that were given up: the service may still be at work on them.
    pub(super) abandoned: AtomicU64,
}

/// A request with everything that its answer needs.
struct Ready {
    op: OpId,
    key: Arc<str>,
    spec: Arc<OperationSpec>,
    action: Action,
    request: Prepared,
    session: Option<Arc<Session>>,
    base: usize,
}

impl HttpClient {
    /// Carries an operation out at once.
    pub(super) async fn apply(self: Arc<Self>, operation: Invocation) -> Completion {
        match self.ready(&operation).await {
            Ok(ready) => self.attempts(ready).await,
            Err(why) => self.not_sent(&why),
        }
    }

    /// Logs in and fills the templates in; what is left is to send the request.
    pub(super) async fn make_ready(self: Arc<Self>, operation: Invocation) -> BoxFuture<'static, Completion> {
        match self.ready(&operation).await {
            Ok(ready) => async move { self.attempts(ready).await }.boxed(),
            Err(why) => futures::future::ready(self.not_sent(&why)).boxed(),
        }
    }

    /// Does what can be done ahead of the release: logs in, fills the templates in, and for a release by the last byte
    /// sends all but that.
    pub(super) async fn stage(self: Arc<Self>, operation: Invocation) -> Staged {
        let ready = match self.ready(&operation).await {
            Ok(ready) => ready,
            Err(why) => {
                let completion = self.not_sent(&why);
                return Staged { sent: None, finish: futures::future::ready(completion).boxed() };
            }
        };
        match &self.transport {
            Transport::Client(_) => Staged { sent: None, finish: async move { self.attempts(ready).await }.boxed() },
            Transport::Raw(_) => self.park(ready).await,
        }
    }

    fn not_sent(&self, why: &NoAnswer) -> Completion {
        // It was its log-in, or what it needs, that got no answer: the operation itself was not sent.
        let outcome = match why.outcome(&self.redactor) {
            Outcome::Unknown(cause) => Outcome::Failed(cause),
            outcome => outcome,
        };
        Completion { outcome, connected: None, attempts: 1, answer: None }
    }

    async fn ready(self: &Arc<Self>, operation: &Invocation) -> Result<Ready, NoAnswer> {
        self.before(operation).await?;
        let given = self.given(operation).await?;
        self.request_of(operation, given.as_deref()).await
    }

    /// The request of an operation, with its user's session.
    async fn request_of(self: &Arc<Self>, operation: &Invocation, given: Option<&str>) -> Result<Ready, NoAnswer> {
        let name = operation.action.name();
        let spec = self.operations.get(name).ok_or_else(|| format!("the scenario has no operation `{name}`"))?;
        let base = usize::try_from(operation.id.0).unwrap_or_default() % self.bases.len();
        self.remember(&operation.key);
        let variables = Subject { thread: given, ..Subject::of(&self.run_id, operation) }.variables();
        let variables = self.priors.with(variables, &operation.key);
        let session = self.session(&variables, operation.client, base).await?;
        let mut request = Prepared::new(&spec.request, &variables).map_err(|error| error.to_string())?;
        self.authorize(&mut request, session.as_deref(), &variables)?;
        self.left.note((&operation.key, operation.id, name), spec, &variables)?;
        Ok(Ready {
            op: operation.id,
            key: Arc::clone(&operation.key),
            spec: Arc::clone(spec),
            action: operation.action.clone(),
            request,
            session,
            base,
        })
    }

    /// Carries out an operation that belongs to no run; its value.
    pub(super) async fn beforehand(self: &Arc<Self>, key: &Arc<str>, action: Action) -> Result<Value, String> {
        let id = OpId(OWN + self.own_operations.fetch_add(1, Ordering::Relaxed));
        let operation = Invocation { id, client: 0, phase: Phase::Control, key: Arc::clone(key), action };
        let ready = self.request_of(&operation, None).await.map_err(|no_answer| no_answer.why().to_owned())?;
        let answer = self.send_in_time(ready.request.clone(), ready.base).await;
        match self.completion(&ready, &answer, None).outcome {
            Outcome::Ok(value) => Ok(value),
            Outcome::Failed(cause) | Outcome::Unknown(cause) => Err(cause.message.to_string()),
        }
    }

    /// Creates the documents of these keys, by the operation that opens one.
    pub(super) async fn seed(self: &Arc<Self>, keys: &[Arc<str>]) -> Result<(), TargetError> {
        for keys in keys.chunks(AT_A_TIME) {
            let opened = futures::future::try_join_all(keys.iter().map(|key| self.beforehand(key, Action::Open)));
            let failed = |why: String| TargetError::Step {
                step: "creating what is there before the run".to_owned(),
                source: why.into(),
            };
            opened.await.map_err(failed)?;
        }
        Ok(())
    }

    fn remember(&self, key: &Arc<str>) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.contains(key) {
            keys.insert(Arc::clone(key));
        }
    }

    fn remember_answered(&self, id: &Id, key: &Arc<str>) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if !answered.contains_key(id) {
            answered.insert(id.clone(), Arc::clone(key));
        }
    }

    /// The session of the user that this request is made by.
    pub(super) async fn session(
        self: &Arc<Self>,
        variables: &minijinja::Value,
        client: u32,
        base: usize,
    ) -> Result<Option<Arc<Session>>, NoAnswer> {
        if let Some(login) = &self.spec.auth.login {
            let send = |mut request: Prepared| async move {
                self.general_headers(&mut request, variables)?;
                self.send_in_time(request, base).await
            };
            let general: Vec<String> = self
                .spec
                .auth
                .headers
                .values()
                .map(|value| value.render(variables))
                .collect::<Result<_, _>>()
                .map_err(|error| error.to_string())?;
            let none = Session::default();
            let beginning = if self.spec.cookies { self.priors.session() } else { &none };
            let session = self.logins.session(login, variables, &general, beginning, &self.redactor, send).await;
            return session.map(Some);
        }
        Ok(self.spec.cookies.then(|| self.logins.of_client(client, self.priors.session())))
    }

    /// Adds who is asking.
    pub(super) fn authorize(
        &self,
        request: &mut Prepared,
        session: Option<&Session>,
        variables: &minijinja::Value,
    ) -> Result<(), String> {
        self.general_headers(request, variables)?;
        let bearer = self.spec.auth.bearer.as_ref().map(|bearer| bearer.render(variables));
        let bearer = bearer.transpose().map_err(|error| error.to_string())?.map(|token| format!("Bearer {token}"));
        // What the request says itself comes first.
        let token = session.and_then(Session::token).map(|(name, value)| (name, value.to_owned()));
        let token = bearer.map(|value| ("authorization", value)).or(token);
        let token = token.filter(|(name, _)| *name == "cookie" || !request.has(name));
        let cookie = session.and_then(Session::cookie).map(|value| ("cookie", value));
        for (name, value) in token.into_iter().chain(cookie) {
            request.header(name, value).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn general_headers(&self, request: &mut Prepared, variables: &minijinja::Value) -> Result<(), String> {
        for (name, value) in &self.spec.auth.headers {
            // Two headers of one name would reach the service as one, with both values.
            if request.has(name) {
                continue;
            }
            let value = value.render(variables).map_err(|error| error.to_string())?;
            request.header(name, value).map_err(|error| error.to_string())?;
        }
        if !request.has("accept") {
            request.header("accept", "application/json".to_owned()).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Sends all but the last byte; the rest of the operation waits for the release.
    async fn park(self: Arc<Self>, ready: Ready) -> Staged {
        let connection = match self.connection(ready.base).await {
            Ok(connection) => connection,
            Err(no_answer) => {
                let completion = self.completion(&ready, &Err(no_answer), None);
                return Staged { sent: None, finish: futures::future::ready(completion).boxed() };
            }
        };
        let bytes = self.wire(&ready.request, ready.base);
        let Some((last, rest)) = bytes.split_last() else {
            return Staged { sent: None, finish: async move { self.attempts(ready).await }.boxed() };
        };
        let sent = Instant::now();
        let open = Open::new(&self);
        if let Err(error) = connection.write(rest).await {
            let completion = self.completion(&ready, &Err(lost(&error)), None);
            return Staged { sent: Some(sent), finish: futures::future::ready(completion).boxed() };
        }
        let parked = self.releases.park(connection.stream(), *last);
        let finish = async move {
            let released = self.releases.release(&parked).await;
            let answer = match &released {
                Ok(_) if self.spec.retries > 0 => {
                    let reading = self.read(connection, &ready.request, ready.base);
                    tokio::time::timeout(self.spec.timeout, reading).await.unwrap_or_else(|_| Err(self.timed_out()))
                }
                // Nothing sends it again: the operation's own deadline is not later than this time-out.
                Ok(_) => self.read(connection, &ready.request, ready.base).await,
                // What was said before the request was complete still is an answer.
                Err(error) => self.read(connection, &ready.request, ready.base).await.map_err(|_| lost(error)),
            };
            if answer.is_ok() {
                open.done();
            }
            let first = self.completion(&ready, &answer, released.ok());
            match first.outcome {
                Outcome::Unknown(cause) if self.spec.retries > 0 => self.again(ready, cause, 1, first.connected).await,
                _ => first,
            }
        };
        Staged { sent: Some(sent), finish: finish.boxed() }
    }

    fn timed_out(&self) -> NoAnswer {
        NoAnswer::TimedOut(format!("no answer within {:?}, which is `target.http.timeout`", self.spec.timeout))
    }

    /// The answer itself, for those who compare answers.
    fn without_secrets(&self, answer: &Answer) -> Arc<RawAnswer> {
        let body = self.redactor.clear(&String::from_utf8_lossy(&answer.body)).into_bytes();
        let location = answer.location.as_deref().map(|location| self.redactor.clear(answer::own_location(location)));
        Arc::new(RawAnswer { status: answer.status, body, location })
    }

    fn completion(&self, ready: &Ready, answer: &Result<Answer, NoAnswer>, connected: Option<Instant>) -> Completion {
        if let (Ok(answer), Some(session), true) = (answer, &ready.session, self.spec.cookies) {
            session.keep(&answer.cookies, &self.redactor);
        }
        if let (Ok(answer), false) = (answer, is_own(ready.op)) {
            self.samples.keep(ready.action.name(), ready.op, answer, &self.redactor);
        }
        let outcome = outcome(&ready.spec, self.spec.messages.as_ref(), &ready.action, answer, &self.redactor);
        if let Outcome::Ok(value) = &outcome
            && let Some(id) = value.id()
        {
            self.remember_answered(id, &ready.key);
        }
        let raw = answer.as_ref().ok().filter(|_| self.keeps_answers).map(|answer| self.without_secrets(answer));
        Completion { outcome, connected, attempts: 1, answer: raw }
    }
}
