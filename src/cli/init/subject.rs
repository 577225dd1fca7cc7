//! The service and its database, as the trials see them.

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::import::{Body, Sample, encoded_query};
use crate::init::{Reply, State, Subject, multipart_body};
use crate::target::http::probe::{PlainClient, PlainRequest};
use crate::target::mongo::snapshot;

/// What the trials go to.
pub(super) struct Tried {
    pub(super) client: PlainClient,
    pub(super) url: String,
    pub(super) database: Option<mongodb::Client>,
    /// The database that the service was given.
    pub(super) own: Option<String>,
    /// Whether all databases of the server may be looked at.
    pub(super) whole_server: bool,
}

impl Subject for Tried {
    fn send<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Reply, String>> {
        async move {
            let request = plain(sample, &self.url);
            let answer = self.client.ask(&request).await.map_err(|why| format!("{}: {why}", sample.route()))?;
            Ok(Reply {
                status: answer.status,
                json: serde_json::from_slice(&answer.body).ok(),
                cookies: answer.cookies,
            })
        }
        .boxed()
    }

    fn state(&self) -> BoxFuture<'_, Result<State, String>> {
        async move {
            let Some(client) = &self.database else { return Ok(State::new()) };
            let only = self.own.as_deref().filter(|_| !self.whole_server);
            let found =
                snapshot(client, only).await.map_err(|error| format!("its database cannot be read: {}", error.kind))?;
            // The run's own database has another name in each run.
            let renamed = |(name, documents): (String, _)| match (name.split_once('.'), &self.own) {
                (Some((database, collection)), Some(own)) if database == own => {
                    (format!("run.{collection}"), documents)
                }
                _ => (name, documents),
            };
            Ok(found.into_iter().map(renamed).collect())
        }
        .boxed()
    }
}

/// The request as it is sent.
fn plain(sample: &Sample, base: &str) -> PlainRequest {
    let pair = |(name, value): &(String, String)| format!("{}={}", encoded_query(name), encoded_query(value));
    let query: Vec<String> = sample.query.iter().map(pair).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let mut headers = sample.headers.clone();
    let (kind, body) = match &sample.body {
        Body::None => (None, Vec::new()),
        Body::Json(json) => (Some("application/json".to_owned()), json.to_string().into_bytes()),
        Body::Form(fields) => {
            let fields: Vec<String> = fields.iter().map(pair).collect();
            (Some("application/x-www-form-urlencoded".to_owned()), fields.join("&").into_bytes())
        }
        Body::Multipart(fields) => {
            let (kind, body) = multipart_body(fields);
            (Some(kind), body.into_bytes())
        }
        Body::Text(text) => (None, text.clone().into_bytes()),
    };
    if let Some(kind) = kind.filter(|_| !headers.iter().any(|(name, _)| name == "content-type")) {
        headers.push(("content-type".to_owned(), kind));
    }
    if !headers.iter().any(|(name, _)| name == "accept") {
        headers.push(("accept".to_owned(), "application/json".to_owned()));
    }
    PlainRequest { method: sample.method.clone(), url: format!("{base}{}{query}", sample.path()), headers, body }
}
