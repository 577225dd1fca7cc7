//! Log-in: once per user, before the user's first operation, however many clients act as that user. Main type: [`Logins`].

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
    /// the next.
    pub(super) async fn session<F>(
        &self,
        spec: &LoginSpec,
        variables: &Value,
        redactor: &Redactor,
        send: impl FnOnce(Prepared) -> F,
    ) -> Result<Arc<Session>, String>
    where
        F: Future<Output = Result<Answer, NoAnswer>>,
    {
        let request = Prepared::new(&spec.request, variables).map_err(|error| format!("log-in: {error}"))?;
        let user = [request.path.as_bytes(), b"\n", &request.body].concat();
        let cell = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(sessions.entry(user).or_default())
        };
        let log_in = || async move {
            let answer = send(request).await.map_err(|no_answer| match no_answer {
                NoAnswer::NotSent(why) => format!("{}, so it could not log in", redactor.clear(&why)),
                NoAnswer::Lost(why) => {
                    format!("the log-in got no answer: {}", redactor.clear(&why))
                }
            })?;
            session(spec, &answer, redactor).map(Arc::new)
        };
        cell.get_or_try_init(log_in).await.map(Arc::clone)
    }
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
