//! What a validated scenario says of a service over HTTP: `[target.http]`, `[service]`, `[observe.*]`, `[[invariant]]`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use serde::{Serialize, Serializer};

use super::messages::MessageSpec;
use super::prior::PriorSpec;
use super::rules::ElementsSpec;
use super::secret::SecretText;
use super::template::{JsonTemplate, Template};
use super::threads::ThreadPaths;

/// A service over HTTP (`[target.http]`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HttpSpec {
    /// Instances of the service, used in turn. Empty: those that the harness starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub base_urls: Vec<String>,
    /// A request without an answer after this is unknown. Default 5 s.
    #[serde(with = "friendly")]
    pub timeout: Duration,
    /// How a burst is let go. Default `task`.
    pub release: Release,
    /// Whether HTTP/2 is spoken from the first byte. Default false.
    pub http2: bool,
    /// How often a request without an answer is sent again. Default 0.
    pub retries: u32,
    /// Whether cookies that the service sets are sent again, per user. Default false.
    pub cookies: bool,
    /// What the warm-up of the connections asks for. Default `service.ready`, or `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<String>,
    /// Who the callers are.
    pub auth: AuthSpec,
    /// Certificates of the service.
    pub tls: TlsSpec,
    /// How messages look, in a workload that has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<MessageSpec>,
    /// How each operation is asked for.
    pub operations: BTreeMap<String, OperationSpec>,
}

/// How a burst is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// Each client sends its request when the gate opens.
    Task,
    /// All but the last byte of each request is sent before the gate opens.
    LastByte,
}

/// Who the callers are (`auth.*`).
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct AuthSpec {
    /// A log-in per user, before its first operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginSpec>,
    /// A bearer token for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Template>,
    /// Headers on every request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Template>,
}

/// A log-in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoginSpec {
    /// What is sent.
    pub request: RequestSpec,
    /// Where the answer has the bearer token; without it only cookies are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<JsonPath>,
    /// The header that carries the token, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// What stands before the token, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Who logs in.
    pub per: LoginPer,
    /// Requests before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<PriorSpec>,
}

/// Who logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginPer {
    /// Each user.
    User,
    /// One for all.
    Once,
}

/// TLS (`tls`).
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TlsSpec {
    /// Further authorities to trust, in PEM; relative to the scenario file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RequestSpec {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query.
    pub path: Template,
    /// Headers of this request alone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Template>,
    /// What it carries.
    #[serde(flatten)]
    pub body: BodySpec,
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct BodySpec {
    /// JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonTemplate>,
    /// Text as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Template>,
    /// A form, URL-encoded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub form: BTreeMap<String, Template>,
}

/// How one operation is asked for and its answer understood.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperationSpec {
    /// The request.
    #[serde(flatten)]
    pub request: RequestSpec,
    /// Where the answer has what.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outcome: BTreeMap<String, JsonPath>,
    /// What a status means.
    pub status: StatusSpec,
    /// Its share among the operations of a custom workload. Default 1.
    #[serde(skip_serializing_if = "is_one")]
    pub weight: u32,
    /// Whose keys it acts on, in a custom workload.
    #[serde(skip_serializing_if = "KeySharing::is_shared")]
    pub keys: KeySharing,
    /// Requests that come first, once per key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<PriorSpec>,
}

/// Whose keys an operation of a custom workload acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeySharing {
    /// All clients meet on the round's key.
    Shared,
    /// Each client has keys of its own.
    Private,
}

/// One value is written as itself.
fn one_or_list<T: Serialize, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    match values {
        [one] => one.serialize(serializer),
        several => several.serialize(serializer),
    }
}

/// Which port a service listens on (`service.port`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortKind {
    /// The one that it is told: `{{ service.port }}`.
    Given,
    /// The one that its processes are found to listen on.
    Found,
}

impl PortKind {
    /// All, with their words.
    pub(super) const ALL: [(&'static str, PortKind); 2] = [("given", PortKind::Given), ("found", PortKind::Found)];

    fn is_given(&self) -> bool {
        *self == PortKind::Given
    }
}

fn is_not(flag: &bool) -> bool {
    !*flag
}

fn is_one(weight: &u32) -> bool {
    *weight == 1
}

impl KeySharing {
    fn is_shared(&self) -> bool {
        *self == KeySharing::Shared
    }
}

/// What a status means. A status in none of the lists is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusSpec {
    /// It happened.
    pub ok: Vec<u16>,
    /// It happened, and this operation created the document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub created: Vec<u16>,
    /// It was rightly refused: what the loser of a unique create is told. It had no effect, and is no error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<u16>,
    /// Of a read: there is nothing. Default 404, unless another list has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<u16>,
    /// It certainly had no effect.
    pub failed: Vec<u16>,
    /// It may have had one.
    pub unknown: Vec<u16>,
}

impl StatusSpec {
    /// Of a route that only creates: who is served has created, and 409 refuses, unless the scenario says otherwise.
    pub(super) fn of_unique(mut self) -> Self {
        if self.created.is_empty() {
            self.created = std::mem::take(&mut self.ok);
        }
        let lists = [&self.ok, &self.created, &self.absent, &self.failed, &self.unknown];
        if self.refused.is_empty() && !lists.iter().any(|list| list.contains(&409)) {
            self.refused.push(409);
        }
        self
    }
}

impl Default for StatusSpec {
    fn default() -> Self {
        StatusSpec {
            ok: vec![200, 201],
            created: Vec::new(),
            refused: Vec::new(),
            absent: Vec::new(),
            failed: vec![400, 401, 403, 404, 422],
            unknown: vec![408, 429, 500, 502, 503, 504],
        }
    }
}

/// The service under test (`[service]`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceSpec {
    /// Program and arguments.
    pub command: Vec<Template>,
    /// Its working directory, relative to the scenario file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Its environment, besides a few harmless variables of the harness's own.
    pub env: BTreeMap<String, Template>,
    /// Whether it gets the whole environment of the harness besides.
    #[serde(skip_serializing_if = "is_not")]
    pub inherit: bool,
    /// Which port it listens on.
    #[serde(skip_serializing_if = "PortKind::is_given")]
    pub port: PortKind,
    /// Path that is asked for until it answers 2xx; `None` is any answer at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// How long that may take. Default 30 s.
    #[serde(with = "friendly")]
    pub ready_timeout: Duration,
    /// How many processes. Default 1.
    pub instances: u32,
}

/// Where the final state is read (`[observe]`).
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ObserveSpec {
    /// From the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mongo: Option<ObserveMongo>,
    /// Through the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<ObserveHttp>,
}

/// Reads the final state from the database (`[observe.mongo]`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObserveMongo {
    /// The server; `None` is the run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<SecretText>,
    /// The database; `None` is the run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The collection.
    pub collection: String,
    /// The paths of the fields that hold the key, mostly one.
    #[serde(serialize_with = "one_or_list")]
    pub key: Vec<String>,
    /// What each of the key's fields holds, in their order; empty where it is the key itself.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "one_or_list")]
    pub stored: Vec<Template>,
    /// The path of what identifies a document. Default `_id`.
    pub id: String,
    /// The path of the number of the creating operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
    /// The path of the messages, where documents have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<String>,
    /// Paths that every complete document has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub insert_fields: Vec<String>,
    /// What operations leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elements: Option<ElementsSpec>,
}

/// Reads the final state through the service (`[observe.http]`), one request per key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObserveHttp {
    /// The request.
    #[serde(flatten)]
    pub request: RequestSpec,
    /// Where the answer has the documents.
    pub documents: JsonPath,
    /// Where each of them has its identifier. Default `$._id`.
    pub id: JsonPath,
    /// The field that holds the messages, where documents have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<String>,
    /// What operations leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elements: Option<ElementsSpec>,
    /// Where a thread has what, in the workload of threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<ThreadPaths>,
}

impl ObserveHttp {
    /// Whether it shows messages of threads, one by one or as a number.
    pub fn shows_messages(&self) -> bool {
        self.messages.is_some() || self.counts_messages()
    }

    /// Whether it shows how many messages a thread has.
    pub fn counts_messages(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| thread.message_count.is_some())
    }
}

impl ObserveSpec {
    /// What operations leave, wherever that is read.
    pub fn elements(&self) -> Option<&ElementsSpec> {
        let mongo = self.mongo.as_ref().and_then(|mongo| mongo.elements.as_ref());
        mongo.or_else(|| self.http.as_ref().and_then(|http| http.elements.as_ref()))
    }
}

/// A user's own invariant (`[[invariant]]`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InvariantSpec {
    /// Its name, after `custom:`.
    pub name: String,
    /// The database; `None` is that of the observation, or the run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The collection.
    pub collection: Template,
    /// The aggregation, as JSON.
    pub pipeline: Template,
    /// What must come of it.
    pub expect: Expected,
    /// How long work done in the background may take until it is met. Default none.
    #[serde(with = "friendly", skip_serializing_if = "Duration::is_zero")]
    pub within: Duration,
}

/// What must come of an aggregation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expected {
    /// No document.
    Empty,
    /// One document with one number, within these bounds.
    Number {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
}

impl Expected {
    /// Whether an aggregation that gave so many documents, the first of which is this one, is as expected. What cannot be
    /// told is not.
    pub fn is_met(&self, documents: u64, first: Option<&serde_json::Value>) -> bool {
        match self {
            Expected::Empty => documents == 0,
            Expected::Number { min, max } => {
                the_number(documents, first).is_ok_and(|number| (*min..=*max).contains(&number))
            }
        }
    }
}

/// The one number of the one document of an aggregation; no document counts as 0, which is what `$count` and `$group` give
/// of nothing.
pub fn the_number(documents: u64, first: Option<&serde_json::Value>) -> Result<f64, String> {
    let document = match (documents, first) {
        (0, _) => return Ok(0.0),
        (1, Some(document)) => document,
        (found, _) => return Err(format!("the aggregation must give one document, and gave {found}")),
    };
    let fields = document.as_object().into_iter().flatten();
    let numbers: Vec<f64> = fields.filter(|(name, _)| *name != "_id").filter_map(|(_, value)| value.as_f64()).collect();
    match numbers.as_slice() {
        [number] => Ok(*number),
        numbers => Err(format!("the document must have one number besides `_id`, and has {}", numbers.len())),
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Empty => f.write_str("empty"),
            Expected::Number { min, max } if min == max => write!(f, "the number {min}"),
            Expected::Number { min, max: f64::INFINITY } => write!(f, "a number of at least {min}"),
            Expected::Number { min: f64::NEG_INFINITY, max } => write!(f, "a number of at most {max}"),
            Expected::Number { min, max } => write!(f, "a number from {min} to {max}"),
        }
    }
}

impl Serialize for Expected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Expected::Empty => serializer.serialize_str("empty"),
            Expected::Number { min, max } => serializer.collect_map([("min", min), ("max", max)]),
        }
    }
}

/// A JSONPath (RFC 9535), compiled.
#[derive(Clone)]
pub struct JsonPath {
    text: Arc<str>,
    compiled: Arc<serde_json_path::JsonPath>,
}

impl JsonPath {
    /// Compiles a path; the error has the byte at which it goes wrong.
    pub fn compile(text: &str) -> Result<Self, (usize, String)> {
        let compiled = serde_json_path::JsonPath::parse(text)
            .map_err(|error| (error.position().saturating_sub(1).min(text.len()), error.message().to_owned()))?;
        Ok(JsonPath { text: Arc::from(text), compiled: Arc::new(compiled) })
    }

    /// The first value that it selects, other than null.
    pub fn first<'a>(&self, value: &'a serde_json::Value) -> Option<&'a serde_json::Value> {
        self.compiled.query(value).into_iter().find(|found| !found.is_null())
    }

    /// Everything that it selects.
    pub fn all<'a>(&self, value: &'a serde_json::Value) -> Vec<&'a serde_json::Value> {
        self.compiled.query(value).all()
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for JsonPath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for JsonPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl RequestSpec {
    /// Every template in it.
    pub fn templates(&self) -> Vec<&Template> {
        let BodySpec { json, body, form } = &self.body;
        let mut templates = vec![&self.path];
        templates.extend(self.headers.values().chain(body).chain(form.values()));
        templates.extend(json.iter().flat_map(JsonTemplate::templates));
        templates
    }
}

impl HttpSpec {
    /// Every secret that the scenario has for the service. Outputs are cleared of them.
    pub fn secrets(&self) -> Vec<Arc<str>> {
        let AuthSpec { login, bearer, headers } = &self.auth;
        let mut templates: Vec<&Template> = bearer.iter().chain(headers.values()).collect();
        templates.extend(login.iter().flat_map(|login| login.request.templates()));
        let before = login.iter().flat_map(|login| &login.before);
        let before = before.chain(self.operations.values().flat_map(|operation| &operation.before));
        templates.extend(before.flat_map(|prior| prior.request.templates()));
        templates.extend(self.operations.values().flat_map(|operation| operation.request.templates()));
        let mut secrets: Vec<Arc<str>> =
            templates.into_iter().flat_map(|template| template.text().secrets()).cloned().collect();
        secrets.sort();
        secrets.dedup();
        secrets
    }
}
