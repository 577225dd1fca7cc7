//! Requests that come first, and what of their answers later requests name: `[[setup]]` once per run, `before` once per
//! key, by whoever comes first while the others wait. They are conditions of the experiment, not operations of the run.
//! Main type: [`Priors`].

mod needed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Value;
use minijinja::value::Object;
pub(super) use needed::PerKey;
use rustc_hash::FxHashMap;
use tokio::sync::OnceCell;

use super::answer::{self, Answer};
use super::http_client::HttpClient;
use super::login::Session;
use super::redactor::Redactor;
use super::request::Prepared;
use super::variables::Subject;
use crate::history::OpId;
use crate::scenario::{Capture, PriorSpec};
use crate::target::{Invocation, TargetError};

/// Captured values, by name.
type Captured = BTreeMap<String, String>;

/// What was captured so far.
#[derive(Debug, Default)]
pub(super) struct Priors {
    setup: Vec<PriorSpec>,
    /// In the order of the operations' names.
    before: Vec<PerKey>,
    /// What the set-up captured, once it is done.
    captured: OnceCell<Captured>,
    /// Cookies that the set-up was given.
    session: Session,
    by_key: Mutex<FxHashMap<Arc<str>, Arc<OnceCell<Captured>>>>,
}

impl Priors {
    /// Those of a scenario.
    pub(super) fn new(setup: Vec<PriorSpec>, before: Vec<PerKey>) -> Self {
        Priors { setup, before, ..Priors::default() }
    }

    /// Whether anything comes before the first operation of a key.
    pub(super) fn are_per_key(&self) -> bool {
        !self.before.is_empty()
    }

    /// Keys that something came before.
    pub(super) fn keys(&self) -> Vec<Arc<str>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// The cookies of the set-up.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// What the set-up captured.
    pub(super) fn of_setup(&self) -> Captured {
        self.captured.get().cloned().unwrap_or_default()
    }

    /// Variables of a request, with what was captured for its key.
    pub(super) fn with(&self, variables: Value, key: &str) -> Value {
        if self.setup.is_empty() && self.before.is_empty() {
            return variables;
        }
        let before = {
            let by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
            by_key.get(key).and_then(|cell| cell.get().cloned()).unwrap_or_default()
        };
        let setup = self.of_setup();
        minijinja::context! { setup, before, ..variables }
    }
}

/// Stands for captured values where a stored run is shown: they are not kept.
#[derive(Debug)]
struct Placeholder(&'static str);

impl Object for Placeholder {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(Value::from(format!("<{}.{key}>", self.0)))
    }
}

/// Variables with placeholders for what was captured.
pub(super) fn with_placeholders(variables: Value) -> Value {
    let setup = Value::from_object(Placeholder("setup"));
    let before = Value::from_object(Placeholder("before"));
    let login = Value::from_object(Placeholder("login"));
    minijinja::context! { ..variables, ..minijinja::context! { setup, before, login } }
}

impl HttpClient {
    /// Carries the set-up out, once.
    pub(super) async fn set_up(self: &Arc<Self>) -> Result<(), TargetError> {
        let carried_out = self.priors.captured.get_or_try_init(|| async {
            let mut captured = Captured::new();
            for (at, prior) in self.priors.setup.iter().enumerate() {
                let run = minijinja::context! { id => &*self.run_id };
                let client = minijinja::context! { id => 0, user => "user-0" };
                let variables = minijinja::context! { run, client, setup => captured.clone() };
                let answer = self.prior(prior, &variables, None, 0).await;
                let answer = answer.and_then(|answer| {
                    self.priors.session.keep(&answer.cookies, &self.redactor);
                    captured.extend(captures(prior, &answer, &self.redactor)?);
                    Ok(())
                });
                answer.map_err(|why| TargetError::Step {
                    step: format!("`[[setup]]` {}, {} {}", at + 1, prior.request.method, prior.request.path),
                    source: self.redactor.clear(&why).into(),
                })?;
            }
            Ok(captured)
        });
        carried_out.await.map(|_| ())
    }

    /// Carries out what comes before the first operation of this one's key, once.
    pub(super) async fn before(self: &Arc<Self>, operation: &Invocation) -> Result<(), String> {
        self.before_these(operation, None).await
    }

    /// The same where no others than these operations come on the key: what none of them needs is not there then.
    async fn before_these(
        self: &Arc<Self>,
        operation: &Invocation,
        all: Option<&BTreeSet<&str>>,
    ) -> Result<(), String> {
        if self.priors.before.is_empty() {
            return Ok(());
        }
        let cell = {
            let mut by_key = self.priors.by_key.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(by_key.entry(Arc::clone(&operation.key)).or_default())
        };
        cell.get_or_try_init(|| self.before_key(operation, all)).await.map(|_| ())
    }

    /// Logs everybody in who carries one of these operations out, and does what comes before it.
    pub(super) async fn preliminaries(self: &Arc<Self>, operations: &[Invocation]) -> Result<(), TargetError> {
        let failed = |why: String| TargetError::Step {
            step: "doing what comes before the requests".to_owned(),
            source: self.redactor.clear(&why).into(),
        };
        let mut meeting: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for operation in operations {
            meeting.entry(&operation.key).or_default().insert(operation.action.name());
        }
        for operations in operations.chunks(super::http_client::AT_A_TIME) {
            let meeting = &meeting;
            let each = operations.iter().map(|operation| async move {
                self.before_these(operation, meeting.get(&*operation.key)).await?;
                let variables = Subject::of(&self.run_id, operation).variables();
                let variables = self.priors.with(variables, &operation.key);
                let session = self.session(&variables, operation.client, 0).await;
                session.map(|_| ()).map_err(|no_answer| no_answer.why().to_owned())
            });
            futures::future::try_join_all(each).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn before_key(
        self: &Arc<Self>,
        operation: &Invocation,
        all: Option<&BTreeSet<&str>>,
    ) -> Result<Captured, String> {
        let mut captured = Captured::new();
        for prior in PerKey::needed(&self.priors.before, all) {
            let id = OpId(super::http_client::OWN + self.own_operations.fetch_add(1, Ordering::Relaxed));
            let own = Invocation { id, ..operation.clone() };
            let setup = self.priors.of_setup();
            let subject = Subject::of(&self.run_id, &own).variables();
            let variables = minijinja::context! { setup, before => captured.clone(), ..subject };
            let session = self.session(&variables, operation.client, 0).await;
            let session = session.map_err(|no_answer| no_answer.why().to_owned())?;
            let answer = self.prior(prior, &variables, session.as_deref(), 0).await.and_then(|answer| {
                if let (Some(session), true) = (&session, self.spec.cookies) {
                    session.keep(&answer.cookies, &self.redactor);
                }
                captured.extend(captures(prior, &answer, &self.redactor)?);
                Ok(())
            });
            answer.map_err(|why| {
                format!("what comes before its first operation, {} {}: {why}", prior.request.method, prior.request.path)
            })?;
        }
        Ok(captured)
    }

    /// Sends one of them; its answer, if it counts as done.
    async fn prior(
        self: &Arc<Self>,
        prior: &PriorSpec,
        variables: &Value,
        session: Option<&Session>,
        base: usize,
    ) -> Result<Answer, String> {
        let mut request = Prepared::new(&prior.request, variables).map_err(|error| error.to_string())?;
        match session {
            // Of the set-up's own requests some may have to tell who everybody is.
            None => self.authorize_so_far(&mut request, variables)?,
            Some(_) => self.authorize(&mut request, session, variables)?,
        }
        let answer = self.send_in_time(request, base).await;
        let answer = answer.map_err(|no_answer| self.redactor.clear(no_answer.why()))?;
        let done = match prior.accept.is_empty() {
            true => (200..400).contains(&answer.status),
            false => prior.accept.contains(&answer.status),
        };
        if done {
            return Ok(answer);
        }
        let body = super::answer::excerpt(&String::from_utf8_lossy(&answer.body));
        Err(self.redactor.clear(&format!("HTTP {}: {body}", answer.status)))
    }

    /// Adds who is asking, as far as that is known before the set-up is done.
    fn authorize_so_far(&self, request: &mut Prepared, variables: &Value) -> Result<(), String> {
        let mut add = |name: &str, value: String| request.header(name, value).map_err(|error| error.to_string());
        for (name, value) in &self.spec.auth.headers {
            if let Ok(value) = value.render(variables) {
                add(name, value)?;
            }
        }
        if let Some(Ok(token)) = self.spec.auth.bearer.as_ref().map(|bearer| bearer.render(variables)) {
            add("authorization", format!("Bearer {token}"))?;
        }
        if let Some(cookies) = self.priors.session.cookie() {
            add("cookie", cookies)?;
        }
        add("accept", "*/*".to_owned())
    }
}

/// What an answer gives to later requests. A value is not quoted: it may be a credential.
pub(super) fn captures(prior: &PriorSpec, answer: &Answer, redactor: &Redactor) -> Result<Captured, String> {
    let mut captured = Captured::new();
    for (name, capture) in &prior.capture {
        let value = captured_value(capture, answer)
            .ok_or_else(|| format!("the answer (HTTP {}) has no `{name}` at {capture}", answer.status))?;
        if crate::scenario::names_a_secret(name) {
            redactor.learn(Arc::from(value.as_str()));
        }
        captured.insert(name.clone(), value);
    }
    Ok(captured)
}

fn captured_value(capture: &Capture, answer: &Answer) -> Option<String> {
    match capture {
        Capture::Path(path) => {
            let json: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
            match path.first(&json)? {
                serde_json::Value::String(text) => Some(text.clone()),
                other => super::value::id_of(other).map(|id| id.to_string()).or_else(|| Some(other.to_string())),
            }
        }
        Capture::Cookie(wanted) => answer.cookies.iter().find_map(|set| {
            let (name, value) = set.split(';').next()?.split_once('=')?;
            (name.trim() == wanted).then(|| value.trim().to_owned())
        }),
        Capture::Field(name) => field_of_page(&String::from_utf8_lossy(&answer.body), name),
        Capture::Location => answer.location.clone(),
        Capture::Part(number) => answer::parts(answer.location.as_deref()?).nth(number - 1).map(str::to_owned),
    }
}

/// The value of the field of a form, or the content of a `meta`, with this name.
fn field_of_page(page: &str, name: &str) -> Option<String> {
    page.split('<').find_map(|tag| {
        let tag = tag.split('>').next()?;
        let element = tag.split_whitespace().next()?.to_ascii_lowercase();
        let attribute = match element.as_str() {
            "input" | "button" => "value",
            "meta" => "content",
            _ => return None,
        };
        (attribute_of(tag, "name")? == name).then(|| attribute_of(tag, attribute)).flatten()
    })
}

/// The value of an attribute, in quotes of either kind or none.
fn attribute_of(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let start = lower
        .match_indices(&format!("{name}="))
        .find(|(at, _)| lower[..*at].ends_with(|letter: char| letter.is_whitespace()))?;
    let rest = &tag[start.0 + name.len() + 1..];
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest[1..].split(quote).next()?,
        _ => rest.split(|letter: char| letter.is_whitespace() || letter == '/').next()?,
    };
    Some(
        value
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::JsonPath;

    #[test]
    fn values_are_captured_wherever_an_answer_has_them() {
        let answer = Answer {
            status: 200,
            cookies: vec!["sid=s1; Path=/".into(), "csrf = c2".into()],
            body: br#"{ "token": "t1", "id": 7, "_id": { "$oid": "f0f0f0f0f0f0f0f0f0f0f0f0" } }"#.to_vec(),
            location: Some("/posts/9?new#top".into()),
            ..Answer::default()
        };
        let page = Answer {
            body: br#"<html><meta content='m&amp;1' name="csrf-token"><INPUT type=hidden name=_csrf value="h1"/>"#
                .to_vec(),
            ..answer.clone()
        };
        let path = |text| Capture::Path(JsonPath::compile(text).unwrap());
        let cases = [
            (&answer, path("$.token"), Some("t1")),
            (&answer, path("$.id"), Some("7")),
            (&answer, path("$._id"), Some("f0f0f0f0f0f0f0f0f0f0f0f0")),
            (&answer, path("$.none"), None),
            (&answer, Capture::Cookie("csrf".into()), Some("c2")),
            (&answer, Capture::Cookie("s".into()), None),
            (&answer, Capture::Location, Some("/posts/9?new#top")),
            (&answer, Capture::Part(2), Some("9")),
            (&answer, Capture::Part(3), None),
            (&page, Capture::Field("_csrf".into()), Some("h1")),
            (&page, Capture::Field("csrf-token".into()), Some("m&1")),
            (&page, path("$.token"), None),
        ];
        for (answer, capture, expected) in cases {
            assert_eq!(captured_value(&capture, answer).as_deref(), expected, "{capture}");
        }
    }
}
