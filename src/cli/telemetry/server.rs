//! The servers of a run that is followed: its page, and metrics to be fetched. They answer on loopback, and only who asks for
//! them by a name of this machine: a page of another site may have its own name lead here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::CliError;
use crate::live::{Feed, POLICY_SCRIPT, Subject, open_metrics, page};
use crate::report::page_policy;
use crate::target::is_this_machine;

/// How long answers that are being given may take after the end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

pub(super) fn parse_loopback(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => Err("only a loopback address is served, such as 127.0.0.1:9464".to_owned()),
        Err(_) => Err("write an address and a port, such as 127.0.0.1:9464".to_owned()),
    }
}

/// A server that answers until it is ended.
#[derive(Debug)]
pub(super) struct Serving {
    /// Where, also where any free port will do.
    pub(super) address: SocketAddr,
    ending: CancellationToken,
    task: JoinHandle<()>,
}

impl Serving {
    /// Ends it. The next run of the command may want the same port: when this returns, nobody listens there, and no reader
    /// is answered any more.
    pub(super) async fn end(mut self) {
        self.ending.cancel();
        if tokio::time::timeout(LAST_ANSWERS, &mut self.task).await.is_err() {
            self.task.abort();
            // It says that it was ended, which it was.
            (&mut self.task).await.ok();
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves at a loopback address.
pub(super) async fn serve(address: SocketAddr, router: Router) -> Result<Serving, CliError> {
    let failed = || format!("cannot listen on {address}");
    let listener = TcpListener::bind(address)
        .await
        .with_context(failed)
        .map_err(|error| CliError::setup(error).hint("choose another port"))?;
    let address = listener.local_addr().with_context(failed).map_err(CliError::setup)?;
    let router = router.layer(from_fn(|request: Request, next: Next| async move {
        if is_own(&request) {
            next.run(request).await
        } else {
            (StatusCode::FORBIDDEN, "ask for it at its own address, on loopback\n").into_response()
        }
    }));
    let ending = CancellationToken::new();
    let ended = ending.clone().cancelled_owned();
    let serving = async move {
        // It ends with the task; an error of one connection is that of its reader.
        axum::serve(listener, router).with_graceful_shutdown(ended).await.ok();
    };
    Ok(Serving { address, ending, task: tokio::spawn(serving) })
}

/// Whether a request names this machine, and nothing else. The port may be another one that leads here.
fn is_own(request: &Request) -> bool {
    // HTTP/2 has no such header, and a client that takes this for its proxy says twice what it asks for.
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let hosts = request.headers().get_all(HOST);
    let mut names = hosts.iter().map(|host| host.to_str().unwrap_or_default()).chain(authority).peekable();
    names.peek().is_some() && names.all(is_this_machine)
}

/// The page of a run, and what it asks for twice a second; `looks` counts how often it did.
pub(super) fn live(feed: &Arc<Feed>, looks: &Arc<AtomicU64>) -> Router {
    let policy = page_policy(POLICY_SCRIPT, Some("'self'"));
    let text = page(&policy);
    let (feed, looks) = (Arc::clone(feed), Arc::clone(looks));
    let shown = move || async move {
        let headers = [(CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), (CONTENT_SECURITY_POLICY, policy)];
        (headers, text)
    };
    let state = move || async move {
        let shown = feed.snapshot();
        looks.fetch_add(1, Ordering::Relaxed);
        ([(CACHE_CONTROL, "no-store")], Json(shown))
    };
    Router::new().route("/", get(shown)).route("/state", get(state))
}

/// Metrics for Prometheus.
pub(super) fn metrics(feed: &Arc<Feed>, subject: Subject) -> Router {
    let feed = Arc::clone(feed);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Router::new().route("/metrics", get(move || async move { ([(CONTENT_TYPE, kind)], open_metrics(&feed, subject)) }))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn only_loopback_addresses_are_served() {
        assert!(parse_loopback("127.0.0.1:0").is_ok() && parse_loopback("[::1]:9464").is_ok());
        assert!(parse_loopback("0.0.0.0:9464").is_err() && parse_loopback("9464").is_err());
    }

    #[test]
    fn a_request_names_this_machine() {
        let own = |uri: &str, hosts: &[&str]| {
            let mut request = Request::builder().uri(uri);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            is_own(&request.body(axum::body::Body::empty()).unwrap())
        };
        for host in ["127.0.0.1:9464", "localhost:1", "LocalHost", "[::1]:9464", "127.1.2.3:9464"] {
            assert!(own("/", &[host]), "{host}");
        }
        for host in ["evil.example:9464", "localhost.evil.example:9464", "10.0.0.1:9464", "", "a b", "x@localhost"] {
            assert!(!own("/", &[host]), "{host}");
        }
        assert!(own("http://localhost:9464/", &[]) && own("http://127.0.0.1:9464/", &["localhost"]));
        assert!(!own("http://evil.example/", &["localhost"]) && !own("/", &["localhost", "evil.example"]));
        assert!(!own("/", &[]));
    }

    #[tokio::test]
    async fn a_port_is_free_for_the_next_run_and_who_reads_on_is_not_answered_by_the_last() {
        let router = || Router::new().route("/", get(|| async { "here" }));
        let mut serving = serve(SocketAddr::from(([127, 0, 0, 1], 0)), router()).await.unwrap();
        let address = serving.address;
        for _ in 0..20 {
            let mut reader = tokio::net::TcpStream::connect(address).await.unwrap();
            let ask = format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n");
            reader.write_all(ask.as_bytes()).await.unwrap();
            let mut bytes = [0; 1024];
            let mut seen = String::new();
            while !seen.ends_with("here") {
                let read = reader.read(&mut bytes).await.unwrap();
                seen.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            }
            serving.end().await;
            serving = serve(address, router()).await.unwrap();
            // The end of the connection, though it was to be kept.
            let rest = tokio::time::timeout(Duration::from_secs(20), reader.read(&mut bytes)).await;
            assert_eq!(rest.unwrap().unwrap(), 0);
        }
        serving.end().await;
    }
}
