//! Log-in: once per user, before the user's first operation, however many clients act as that user. Main type: [`Logins`].
//!
//! Who the user is follows from the whole request that logs in: its method, path, headers and body.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Value;
use rustc_hash::FxHashMap;
use tokio::sync::OnceCell;

use super::answer::{Answer, NoAnswer};
use super::request::{Prepared, Redactor};
use crate::scenario::LoginSpec;

/// What a log-in gave.
#[derive(Debug, Default)]
pub(super) struct Session {
    bearer: Option<Arc<str>>,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// A log-in that is made once, by whoever comes first.
type Pending = Arc<OnceCell<Arc<Session>>>;

/// The sessions of all users, by the log-in's own request: same request, same user.
#[derive(Debug, Default)]
pub(super) struct Logins {
    sessions: Mutex<FxHashMap<Vec<u8>, Pending>>,
}

impl Logins {
    /// The session of a client that does not log in; it has cookies only.
    pub(super) fn of_client(&self, client: u32) -> Arc<Session> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = sessions
            .entry(client.to_be_bytes().to_vec())
            .or_insert_with(|| Arc::new(OnceCell::new_with(Some(Arc::default()))));
        cell.get().map(Arc::clone).unwrap_or_default()
    }

    /// The user's session. One of all that ask logs in, the others wait for it; a log-in that failed is tried again by
    /// the next. `general` is what the headers of every request say for this user: they may be all that names the user.
    pub(super) async fn session<F>(
        &self,
        spec: &LoginSpec,
        variables: &Value,
        general: &[String],
        redactor: &Redactor,
        send: impl FnOnce(Prepared) -> F,
    ) -> Result<Arc<Session>, NoAnswer>
    where
        F: Future<Output = Result<Answer, NoAnswer>>,
    {
        let request = Prepared::new(&spec.request, variables).map_err(|error| format!("log-in: {error}"))?;
        let user = whole(&request, general);
        let cell = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(sessions.entry(user).or_default())
        };
        let log_in = || async move {
            let answer = send(request).await.map_err(|no_answer| {
                let why = redactor.clear(no_answer.why());
                match no_answer {
                    NoAnswer::Unreachable(_) => NoAnswer::Unreachable(format!("{why}, so it could not log in")),
                    NoAnswer::NotSent(_) => NoAnswer::NotSent(format!("{why}, so it could not log in")),
                    NoAnswer::Lost(_) => NoAnswer::Lost(format!("the log-in got no answer: {why}")),
                    NoAnswer::TimedOut(_) => NoAnswer::TimedOut(format!("the log-in got no answer: {why}")),
                }
            })?;
            Ok(Arc::new(session(spec, &answer, redactor)?))
        };
        cell.get_or_try_init(log_in).await.map(Arc::clone)
    }
}

/// The whole of a log-in's request, each part apart from the next: two that differ anywhere log two users in.
fn whole(request: &Prepared, general: &[String]) -> Vec<u8> {
    let mut whole = Vec::new();
    let headers = request.headers.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    let parts = [request.method, request.path.as_str()].into_iter().chain(headers);
    let parts = parts.chain(general.iter().map(String::as_str)).map(str::as_bytes);
    for part in parts.chain([request.body.as_slice()]) {
        whole.extend_from_slice(&part.len().to_be_bytes());
        whole.extend_from_slice(part);
    }
    whole
}

/// The session that an answer gives. The body is not quoted: it may hold what must not be shown.
fn session(spec: &LoginSpec, answer: &Answer, redactor: &Redactor) -> Result<Session, String> {
    if !(200..300).contains(&answer.status) {
        return Err(format!("the log-in was answered with HTTP {}", answer.status));
    }
    let session = Session::default();
    session.keep(&answer.cookies, redactor);
    let Some(path) = &spec.token else { return Ok(session) };
    let json: serde_json::Value = serde_json::from_slice(&answer.body)
        .map_err(|_| format!("the answer to the log-in (HTTP {}) is not JSON", answer.status))?;
    let token = path.first(&json).and_then(serde_json::Value::as_str);
    let token: Arc<str> =
        token.map(Arc::from).ok_or_else(|| format!("the answer to the log-in has no token at {path}"))?;
    redactor.learn(Arc::clone(&token));
    Ok(Session { bearer: Some(token), ..session })
}

impl Session {
    /// Takes in the cookies of an answer. Attributes are left out: a run has one service and no pages.
    pub(super) fn keep(&self, set_cookies: &[String], redactor: &Redactor) {
        let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        for set in set_cookies {
            let pair = set.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                redactor.learn(Arc::from(value.trim()));
                cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }

    /// The value of the header `authorization`.
    pub(super) fn authorization(&self) -> Option<String> {
        self.bearer.as_ref().map(|token| format!("Bearer {token}"))
    }

    /// The value of the header `cookie`.
    pub(super) fn cookie(&self) -> Option<String> {
        let cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}
