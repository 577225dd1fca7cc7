//! The service and its database, as the trials see them.

use std::time::Duration;

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
                location: answer.location,
            })
        }
        .boxed()
    }

    fn state(&self) -> BoxFuture<'_, Result<State, String>> {
        at_rest(|| self.look()).boxed()
    }
}

/// Between two looks that must be equal.
const PAUSE: Duration = Duration::from_millis(60);
/// Looks at a database that never comes to rest.
const LOOKS: u32 = 20;

/// What is stored once nothing changes any more: what a request leaves to be done after its answer is its doing, too.
async fn at_rest<L: Future<Output = Result<State, String>>>(look: impl Fn() -> L) -> Result<State, String> {
    let mut state = look().await?;
    for _ in 1..LOOKS {
        tokio::time::sleep(PAUSE).await;
        let later = look().await?;
        if later == state {
            break;
        }
        state = later;
    }
    Ok(state)
}

impl Tried {
    fn look(&self) -> BoxFuture<'_, Result<State, String>> {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn what_comes_after_the_answer_belongs_to_the_request() {
        let state = |count: usize| {
            let documents = (0..count).map(|id| (id.to_string(), json!({ "_id": id })));
            State::from([("run.sent".to_owned(), documents.collect())])
        };
        for (come_to_rest, expected) in [(vec![1], 1), (vec![1, 1, 5], 1), (vec![1, 2, 3, 3], 3)] {
            let looks = AtomicUsize::new(0);
            let look = || async {
                let number = looks.fetch_add(1, Ordering::Relaxed);
                Ok(state(come_to_rest[number.min(come_to_rest.len() - 1)]))
            };
            assert_eq!(at_rest(look).await, Ok(state(expected)), "{come_to_rest:?}");
        }
        let never = AtomicUsize::new(0);
        let look = || async { Ok(state(never.fetch_add(1, Ordering::Relaxed))) };
        assert_eq!(at_rest(look).await, Ok(state(LOOKS as usize - 1)), "it is looked at a bounded number of times");
    }
}
