//! How bytes reach an instance and come back: where it is, the connections to it, and requests that are open.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::HttpClient;
use crate::target::TargetError;
use crate::target::http::answer::{Answer, NoAnswer};
use crate::target::http::client;
use crate::target::http::request::Prepared;
use crate::target::http::wire::Connection;

/// Where one instance is.
#[derive(Debug, Clone)]
pub(in crate::target::http) struct Base {
    pub(in crate::target::http) url: String,
    /// Host and port.
    authority: String,
    /// The URL's own path, without a slash at its end.
    prefix: String,
}

impl Base {
    /// From a validated URL.
    pub(in crate::target::http) fn new(url: &str) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let (authority, prefix) = match rest.find('/') {
            Some(at) => (rest[..at].to_owned(), rest[at..].to_owned()),
            None => (rest.to_owned(), String::new()),
        };
        Base { authority, prefix, url }
    }

    /// Where to connect to.
    pub(in crate::target::http) fn address(&self) -> String {
        let after_brackets = self.authority.rsplit(']').next().unwrap_or_default();
        if after_brackets.contains(':') { self.authority.clone() } else { format!("{}:80", self.authority) }
    }
}

/// Idle connections of the harness's own, the youngest last.
pub(in crate::target::http) type Pool = Mutex<Vec<Connection>>;

/// How requests are sent.
#[derive(Debug)]
pub(in crate::target::http) enum Transport {
    Client(reqwest::Client),
    /// A pool per instance.
    Raw(Vec<Pool>),
}

/// Counts a request as open until it is answered; one that is dropped before counts as abandoned.
pub(super) struct Open {
    client: Arc<HttpClient>,
    answered: bool,
}

impl Open {
    pub(super) fn new(client: &Arc<HttpClient>) -> Self {
        client.open.fetch_add(1, Ordering::Relaxed);
        Open { client: Arc::clone(client), answered: false }
    }

    pub(super) fn done(mut self) {
        self.answered = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.client.open.fetch_sub(1, Ordering::Relaxed);
        if !self.answered {
            self.client.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl HttpClient {
    /// Makes connections, or lets the client make them, by asking for this path as often as there are clients; their
    /// number, where it is known.
    pub(in crate::target::http) async fn warm_up(
        self: &Arc<Self>,
        clients: u32,
        path: &str,
    ) -> Result<Option<u32>, TargetError> {
        let unreachable = |base: &Base, why: String| TargetError::Unreachable {
            target: format!("the service at {}", base.url),
            source: why.into(),
        };
        let shares = (0..clients.max(1) as usize).map(|client| client % self.bases.len());
        match &self.transport {
            Transport::Client(client) => {
                let ask = |share: usize| async move {
                    let request =
                        Prepared { method: "GET", path: path.to_owned(), headers: Vec::new(), body: Vec::new() };
                    let sending = client::send(client, &self.bases[share].url, request);
                    match tokio::time::timeout(self.spec.timeout, sending).await {
                        Ok(Err(NoAnswer::Unreachable(why) | NoAnswer::NotSent(why))) => {
                            Err(unreachable(&self.bases[share], client::explained(why, &self.spec.tls)))
                        }
                        Ok(Ok(_) | Err(NoAnswer::Lost(_) | NoAnswer::TimedOut(_))) => Ok(()),
                        Err(_) => Err(self.no_warm_up(&self.bases[share].url, path)),
                    }
                };
                futures::future::try_join_all(shares.map(ask)).await?;
                Ok(None)
            }
            Transport::Raw(pools) => {
                let open = |share: usize| async move {
                    let base = &self.bases[share];
                    let connection = Connection::open(&base.address()).await;
                    let connection = connection.map_err(|error| unreachable(base, error.to_string()))?;
                    pools[share].lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                    Ok::<(), TargetError>(())
                };
                futures::future::try_join_all(shares.map(open)).await?;
                Ok(Some(clients))
            }
        }
    }

    fn no_warm_up(&self, url: &str, path: &str) -> TargetError {
        let (patience, shown) = (self.spec.timeout, self.redactor.clear(path));
        let why = format!(
            "GET {url}{shown} had no answer within {patience:?}; `target.http.warm_up` can name a path that is answered"
        );
        TargetError::Step { step: "making connections to the service".to_owned(), source: why.into() }
    }

    /// Sends once, to this instance, and reads the answer.
    pub(in crate::target::http) async fn send(
        self: &Arc<Self>,
        request: Prepared,
        base: usize,
    ) -> Result<Answer, NoAnswer> {
        let open = Open::new(self);
        let answer = match &self.transport {
            Transport::Client(client) => client::send(client, &self.bases[base].url, request).await,
            Transport::Raw(_) => self.send_raw(&request, base).await,
        };
        if !matches!(answer, Err(NoAnswer::Lost(_) | NoAnswer::TimedOut(_))) {
            open.done();
        }
        answer
    }

    /// Sends once and waits no longer than the time-out: for what is none of the run's operations, which have deadlines of
    /// their own.
    pub(in crate::target::http) async fn send_in_time(
        self: &Arc<Self>,
        request: Prepared,
        base: usize,
    ) -> Result<Answer, NoAnswer> {
        // A little less than an operation's own deadline: what came before it is then told as the reason.
        let patience = self.spec.timeout * 9 / 10;
        let late = |_| NoAnswer::TimedOut(format!("no answer within {patience:?}"));
        tokio::time::timeout(patience, self.send(request, base)).await.map_err(late)?
    }

    async fn send_raw(&self, request: &Prepared, base: usize) -> Result<Answer, NoAnswer> {
        let connection = self.connection(base).await?;
        let bytes = self.wire(request, base);
        connection.write(&bytes).await.map_err(|error| lost(&error))?;
        self.read(connection, request, base).await
    }

    pub(super) fn wire(&self, request: &Prepared, base: usize) -> Vec<u8> {
        let base = &self.bases[base];
        request.wire(&base.authority, &base.prefix)
    }

    pub(super) async fn read(
        &self,
        mut connection: Connection,
        request: &Prepared,
        base: usize,
    ) -> Result<Answer, NoAnswer> {
        let (answer, reusable) = connection.read_answer(request.method == "HEAD").await?;
        if let (true, Some(pool)) = (reusable, self.pool(base)) {
            pool.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        Ok(answer)
    }

    fn pool(&self, base: usize) -> Option<&Pool> {
        match &self.transport {
            Transport::Client(_) => None,
            Transport::Raw(pools) => pools.get(base),
        }
    }

    /// An idle connection that can be used, or a new one.
    pub(super) async fn connection(&self, base: usize) -> Result<Connection, NoAnswer> {
        while let Some(idle) =
            self.pool(base).and_then(|pool| pool.lock().unwrap_or_else(PoisonError::into_inner).pop())
        {
            if idle.is_fresh() {
                return Ok(idle);
            }
        }
        let opened = Connection::open(&self.bases[base].address()).await;
        opened.map_err(|error| NoAnswer::Unreachable(format!("cannot connect: {error}")))
    }
}

pub(super) fn lost(error: &std::io::Error) -> NoAnswer {
    NoAnswer::Lost(format!("the connection broke while the request was sent: {error}"))
}
