//! The sections on a service over HTTP as they are written. As in `file`, keys that must be there are optional here.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::file_request::{Request, Texts, table_with_request};
use super::messages::Messages;
use super::prior::{OneOrMany, Prior};
use super::values::{Count, DurationText};

/// `[target.http]`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Http {
    /// Where the service is; several: instances of one service, used in turn.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) base_urls: Vec<Spanned<String>>,
    /// An operation without an answer after this is unknown.
    #[schemars(with = "Option<DurationText>")]
    pub(super) timeout: Option<Spanned<DurationText>>,
    /// How a burst is let go: `task` or `last-byte`.
    #[schemars(with = "Option<String>")]
    pub(super) release: Option<Spanned<String>>,
    /// Whether HTTP/2 is spoken.
    #[schemars(with = "Option<bool>")]
    pub(super) http2: Option<Spanned<bool>>,
    /// How often an operation is sent again.
    #[schemars(with = "Option<Count>")]
    pub(super) retries: Option<Spanned<Count>>,
    /// Whether each client keeps cookies.
    #[serde(default)]
    pub(super) cookies: bool,
    /// Path asked for once per connection before the run.
    #[schemars(with = "Option<String>")]
    pub(super) warm_up: Option<Spanned<String>>,
    /// How clients identify themselves.
    #[serde(default)]
    pub(super) auth: Auth,
    /// Settings of TLS.
    #[serde(default)]
    pub(super) tls: Tls,
    /// How messages look in answers and documents.
    #[schemars(with = "Option<Messages>")]
    pub(super) messages: Option<Spanned<Messages>>,
    /// The requests, by name of the operation.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Operation>")]
    pub(super) operations: BTreeMap<Spanned<String>, Spanned<Operation>>,
}

/// `auth`
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Auth {
    /// A request before the run that gives each client its token.
    #[schemars(with = "Option<Login>")]
    pub(super) login: Option<Spanned<Login>>,
    /// Token of all clients.
    #[schemars(with = "Option<String>")]
    pub(super) bearer: Option<Spanned<String>>,
    /// Headers, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) headers: Texts,
}

/// `auth.login`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Login {
    /// The request.
    #[schemars(with = "Option<Request>")]
    pub(super) request: Option<Spanned<Request>>,
    /// JSONPath of the token in the answer.
    #[schemars(with = "Option<String>")]
    pub(super) token: Option<Spanned<String>>,
    /// The header that carries the token; by default `authorization`.
    #[schemars(with = "Option<String>")]
    pub(super) header: Option<Spanned<String>>,
    /// What stands before the token; by default `Bearer`.
    #[schemars(with = "Option<String>")]
    pub(super) scheme: Option<Spanned<String>>,
    /// Who logs in: each `user`, or one for all, `once`.
    #[schemars(with = "Option<String>")]
    pub(super) per: Option<Spanned<String>>,
    /// Requests before the log-in, such as one that fetches a token against forgery.
    #[schemars(with = "Option<OneOrMany<Prior>>")]
    pub(super) before: Option<Spanned<OneOrMany<Prior>>>,
}

/// `tls`
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Tls {
    /// File of a certificate authority to trust.
    #[schemars(with = "Option<String>")]
    pub(super) ca: Option<Spanned<String>>,
}

table_with_request! {
    /// `[target.http.operations.NAME]`: a request, and how its answer is understood.
    #[serde(deny_unknown_fields, expecting = "a table")]
    Operation {
        /// JSONPaths of what the answer says.
        #[serde(default)]
        #[schemars(with = "BTreeMap<String, String>")]
        outcome: Texts,
        /// How statuses are understood.
        #[serde(default)]
        status: Status,
        /// How often it is chosen, relative to the others.
        #[schemars(with = "Option<Count>")]
        weight: Option<Spanned<Count>>,
        /// What its keys are.
        #[schemars(with = "Option<String>")]
        keys: Option<Spanned<String>>,
        /// Requests that come first, once per key.
        #[schemars(with = "Option<OneOrMany<Prior>>")]
        before: Option<Spanned<OneOrMany<Prior>>>,
    }
}

/// `status`
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table of lists, such as `{ ok = [200, 201] }`")]
pub(super) struct Status {
    /// It happened.
    #[schemars(with = "Option<Vec<Count>>")]
    pub(super) ok: Option<Vec<Spanned<Count>>>,
    /// It happened and created.
    #[schemars(with = "Option<Vec<Count>>")]
    pub(super) created: Option<Vec<Spanned<Count>>>,
    /// It was rightly refused: what the loser of a unique create is told. No effect, and no error.
    #[schemars(with = "Option<Vec<Count>>")]
    pub(super) refused: Option<Vec<Spanned<Count>>>,
    /// Of a read: there is nothing.
    #[schemars(with = "Option<Vec<Count>>")]
    pub(super) absent: Option<Vec<Spanned<Count>>>,
    /// It certainly had no effect.
    #[schemars(with = "Option<Vec<Count>>")]
    pub(super) failed: Option<Vec<Spanned<Count>>>,
    /// It may have had an effect.
    #[schemars(with = "Option<Vec<Count>>")]
    pub(super) unknown: Option<Vec<Spanned<Count>>>,
}

/// `[service]`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Service {
    /// Its name, by which others are told of it; needed for all but the first of several.
    #[schemars(with = "Option<String>")]
    pub(super) name: Option<Spanned<String>>,
    /// The program and its arguments.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) command: Option<Spanned<Vec<Spanned<String>>>>,
    /// Folder to start it in, relative to the scenario file.
    #[schemars(with = "Option<String>")]
    pub(super) dir: Option<Spanned<String>>,
    /// Environment; templates.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) env: Texts,
    /// File with more of its environment, as `NAME=value` lines; relative to the service's folder.
    #[schemars(with = "Option<String>")]
    pub(super) env_file: Option<Spanned<String>>,
    /// Whether it gets the whole environment of the harness, and not only a few harmless variables of it.
    #[serde(default)]
    pub(super) inherit: bool,
    /// Which port it listens on: `given`, the one that it is told (default), `found`, wherever its processes listen, or
    /// `none`, as a worker.
    #[schemars(with = "Option<String>")]
    pub(super) port: Option<Spanned<String>>,
    /// Path polled until it answers 2xx; without it any answer at all is enough.
    #[schemars(with = "Option<String>")]
    pub(super) ready: Option<Spanned<String>>,
    /// How long that may take.
    #[schemars(with = "Option<DurationText>")]
    pub(super) ready_timeout: Option<Spanned<DurationText>>,
    /// How many are started.
    #[schemars(with = "Option<Count>")]
    pub(super) instances: Option<Spanned<Count>>,
}
