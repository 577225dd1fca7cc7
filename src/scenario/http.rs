//! What a validated scenario says of a service over HTTP: `[target.http]`, `[service]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use serde::Serialize;

use super::json_path::JsonPath;
use super::messages::MessageSpec;
use super::prior::PriorSpec;
use super::template::{JsonTemplate, Template};

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

/// Which port a service listens on (`service.port`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortKind {
    /// The one that it is told: `{{ service.port }}`.
    Given,
    /// The one that its processes are found to listen on.
    Found,
    /// None: it does its work by itself.
    None,
}

impl PortKind {
    /// All, with their words.
    pub(super) const ALL: [(&'static str, PortKind); 3] =
        [("given", PortKind::Given), ("found", PortKind::Found), ("none", PortKind::None)];

    fn is_given(&self) -> bool {
        *self == PortKind::Given
    }
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

impl StatusSpec {
    /// Whether the scenario itself says that this status is an answer, which an operation gets that had no effect: `refused` has it, or
    /// a list of `failed` of the scenario's own, which leaves out what is usual.
    pub fn names_as_refusal(&self, status: u16) -> bool {
        let usual = StatusSpec::default().failed;
        let lists = [&self.ok, &self.created, &self.refused, &self.absent, &self.failed, &self.unknown];
        let is_own = usual.iter().any(|usual| lists.iter().all(|list| !list.contains(usual)));
        self.refused.contains(&status) || (is_own && self.failed.contains(&status))
    }
}

/// The service under test (`[service]`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceSpec {
    /// Its name, by which others are told of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Program and arguments.
    pub command: Vec<Template>,
    /// Its working directory, relative to the scenario file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Its environment, besides a few harmless variables of the harness's own.
    pub env: BTreeMap<String, Template>,
    /// More of its environment, in a file; relative to its working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_file: Option<PathBuf>,
    /// Whether it gets the whole environment of the harness besides.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
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
