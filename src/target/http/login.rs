//! Log-in: once per user, before the user's first operation, however many clients act as that user. Main type: [`Logins`].
//!
//! Who the user is follows from the whole request that logs in: its method, path, headers and body.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Value;
use rustc_hash::FxHashMap;
use tokio::sync::OnceCell;

use super::answer::{Answer, NoAnswer};
use super::prior::{captures, with_placeholders};
use super::redactor::Redactor;
use super::request::Prepared;
use crate::scenario::{LoginPer, LoginSpec};

/// What a log-in gave.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The header that carries the token, and its value.
    token: Option<(Arc<str>, Arc<str>)>,
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
    pub(super) fn of_client(&self, client: u32, first: &Session) -> Arc<Session> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = sessions
            .entry(client.to_be_bytes().to_vec())
            .or_insert_with(|| Arc::new(OnceCell::new_with(Some(Arc::new(Session::beginning_with(first))))));
        cell.get().map(Arc::clone).unwrap_or_default()
    }

    /// The user's session. Of those that ask at once, one logs in and the others wait for it; after a log-in that failed,
    /// the next one tries again. `general` is what the headers of every request say for this user: they may be all that names the user.
    /// It has the cookies of `beginning`, to begin with.
    pub(super) async fn session<F>(
        &self,
        spec: &LoginSpec,
        variables: &Value,
        general: &[String],
        beginning: &Session,
        redactor: &Redactor,
        send: impl Fn(Prepared) -> F,
    ) -> Result<Arc<Session>, NoAnswer>
    where
        F: Future<Output = Result<Answer, NoAnswer>>,
    {
        // Who logs in is told apart by the request without what is captured for it.
        let own = match spec.before.is_empty() {
            true => variables.clone(),
            false => with_placeholders(variables.clone()),
        };
        let request = Prepared::new(&spec.request, &own).map_err(|error| format!("log-in: {error}"))?;
        let user = match spec.per {
            LoginPer::User => whole(&request, general),
            LoginPer::Once => b"once".to_vec(),
        };
        let cell = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(sessions.entry(user).or_default())
        };
        let log_in = || async move {
            let session = Session::beginning_with(beginning);
            let request = first(spec, variables, request, &session, redactor, &send).await?;
            let answer = send(request).await.map_err(|no_answer| {
                let why = redactor.clear(no_answer.why());
                match no_answer {
                    NoAnswer::Unreachable(_) => NoAnswer::Unreachable(format!("{why}, so it could not log in")),
                    NoAnswer::NotSent(_) => NoAnswer::NotSent(format!("{why}, so it could not log in")),
                    NoAnswer::Lost(_) => NoAnswer::Lost(format!("the log-in got no answer: {why}")),
                    NoAnswer::TimedOut(_) => NoAnswer::TimedOut(format!("the log-in got no answer: {why}")),
                }
            })?;
            Ok(Arc::new(logged_in(spec, &answer, session, redactor)?))
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

/// Carries out what comes before the log-in; its request, which names what was captured and has the cookies so far. The user
/// is known by the request as it is without that.
async fn first<F>(
    spec: &LoginSpec,
    variables: &Value,
    mut request: Prepared,
    session: &Session,
    redactor: &Redactor,
    send: &impl Fn(Prepared) -> F,
) -> Result<Prepared, NoAnswer>
where
    F: Future<Output = Result<Answer, NoAnswer>>,
{
    let mut captured = BTreeMap::new();
    let wrong = |why: String| NoAnswer::NotSent(format!("what comes before the log-in: {}", redactor.clear(&why)));
    for prior in &spec.before {
        let variables = minijinja::context! { login => captured.clone(), ..variables.clone() };
        let mut before = Prepared::new(&prior.request, &variables).map_err(|error| wrong(error.to_string()))?;
        session.add_cookies(&mut before).map_err(wrong)?;
        let answer = send(before).await.map_err(|no_answer| wrong(no_answer.why().to_owned()))?;
        let done =
            prior.accept.contains(&answer.status) || (prior.accept.is_empty() && (200..400).contains(&answer.status));
        if !done {
            return Err(wrong(format!("HTTP {}", answer.status)));
        }
        session.keep(&answer.cookies, redactor);
        captured.extend(captures(prior, &answer, redactor).map_err(wrong)?);
    }
    if !spec.before.is_empty() {
        let variables = minijinja::context! { login => captured, ..variables.clone() };
        request = Prepared::new(&spec.request, &variables).map_err(|error| wrong(error.to_string()))?;
    }
    session.add_cookies(&mut request).map_err(wrong)?;
    Ok(request)
}

/// The session that an answer gives. The body is not quoted: it may hold what must not be shown.
fn logged_in(spec: &LoginSpec, answer: &Answer, session: Session, redactor: &Redactor) -> Result<Session, String> {
    // A log-in by a form mostly sends its caller to another page.
    let most = if spec.token.is_none() { 400 } else { 300 };
    if !(200..most).contains(&answer.status) {
        return Err(format!("the log-in was answered with HTTP {}", answer.status));
    }
    session.keep(&answer.cookies, redactor);
    let Some(path) = &spec.token else { return Ok(session) };
    let json: serde_json::Value = serde_json::from_slice(&answer.body)
        .map_err(|_| format!("the answer to the log-in (HTTP {}) is not JSON", answer.status))?;
    let token = path.first(&json).and_then(serde_json::Value::as_str);
    let token: Arc<str> =
        token.map(Arc::from).ok_or_else(|| format!("the answer to the log-in has no token at {path}"))?;
    redactor.learn(Arc::clone(&token));
    let value = match spec.scheme.as_deref().filter(|scheme| !scheme.is_empty()) {
        Some(scheme) => Arc::from(format!("{scheme} {token}")),
        None => token,
    };
    let header = spec.header.as_deref().unwrap_or("authorization");
    Ok(Session { token: Some((Arc::from(header), value)), ..session })
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

    /// The header that carries the token, and its value.
    pub(super) fn token(&self) -> Option<(&str, &str)> {
        self.token.as_ref().map(|(header, value)| (&**header, &**value))
    }

    /// Cookies like those of another session, to begin with.
    pub(super) fn beginning_with(other: &Session) -> Self {
        let cookies = other.cookies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Session { token: None, cookies: Mutex::new(cookies) }
    }

    fn add_cookies(&self, request: &mut Prepared) -> Result<(), String> {
        match self.cookie() {
            Some(cookies) => request.header("cookie", cookies).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// The value of the header `cookie`.
    pub(super) fn cookie(&self) -> Option<String> {
        let cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}
