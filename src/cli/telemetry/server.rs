//! The servers of a run that is followed: its page, and metrics to be fetched. They answer on loopback, and only who asks for
//! them by a name of this machine: a page of another site may have its own name lead here.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::cli::CliError;
use crate::live::{Feed, POLICY_SCRIPT, Subject, open_metrics, page};
use crate::report::page_policy;

pub(super) fn parse_loopback(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => Err("only a loopback address is served, such as 127.0.0.1:9464".to_owned()),
        Err(_) => Err("write an address and a port, such as 127.0.0.1:9464".to_owned()),
    }
}

/// Serves at a loopback address; which, where any free port will do.
pub(super) async fn serve(address: SocketAddr, router: Router) -> Result<(SocketAddr, JoinHandle<()>), CliError> {
    let failed = || format!("cannot listen on {address}");
    let listener = TcpListener::bind(address)
        .await
        .with_context(failed)
        .map_err(|error| CliError::setup(error).hint("choose another port"))?;
    let address = listener.local_addr().with_context(failed).map_err(CliError::setup)?;
    let port = address.port();
    let router = router.layer(from_fn(move |request: Request, next: Next| async move {
        if is_own(request.headers().get(HOST), port) {
            next.run(request).await
        } else {
            (StatusCode::FORBIDDEN, "ask for it at its own address, on loopback\n").into_response()
        }
    }));
    let serving = async move {
        // It ends with the task; an error of one connection is that of its reader.
        axum::serve(listener, router).await.ok();
    };
    Ok((address, tokio::spawn(serving)))
}

/// Whether a request names this machine and this port.
fn is_own(host: Option<&HeaderValue>, port: u16) -> bool {
    let authority = host.and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let name = authority.host();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_here = name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback());
        // 80 is the one port that is not written.
        is_here && authority.port_u16().unwrap_or(80) == port
    })
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
    use super::*;

    #[test]
    fn only_loopback_addresses_are_served() {
        assert!(parse_loopback("127.0.0.1:0").is_ok() && parse_loopback("[::1]:9464").is_ok());
        assert!(parse_loopback("0.0.0.0:9464").is_err() && parse_loopback("9464").is_err());
    }

    #[test]
    fn a_request_names_this_machine_and_this_port() {
        let own = |host: &str, port| is_own(Some(&HeaderValue::from_str(host).unwrap()), port);
        for host in ["127.0.0.1:9464", "localhost:9464", "LocalHost:9464", "[::1]:9464", "127.1.2.3:9464"] {
            assert!(own(host, 9464), "{host}");
        }
        assert!(own("localhost", 80) && !own("localhost", 9464));
        for host in ["evil.example:9464", "127.0.0.1:9465", "localhost.evil.example:9464", "10.0.0.1:9464", "", "a b"] {
            assert!(!own(host, 9464), "{host}");
        }
        assert!(!is_own(None, 9464));
    }
}
