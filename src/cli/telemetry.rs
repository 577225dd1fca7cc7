//! A run followed while it goes on: `--live` serves a page, `--events` streams, `--otlp` and `--prometheus` give metrics away.
//!
//! Whatever fails here is told and changes nothing of the result: a collector that is gone is no verdict.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::routing::get;
use axum::{Json, Router};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{CliError, Io};
use crate::driver::Watcher;
use crate::history::Operation;
use crate::live::{Ended, Feed, POLICY_SCRIPT, Subject, open_metrics, otlp, page};
use crate::report::{Report, script_hash, write_atomic};
use crate::verdict::Verdict;

/// How often events tell how far it is.
const TICK: Duration = Duration::from_secs(1);
/// Ticks from one sending of metrics to the next.
const TICKS_PER_SENDING: u64 = 10;
/// How long a collector may take to answer.
const SENDING_WITHIN: Duration = Duration::from_secs(5);
/// How long open pages are given to fetch the end: each looks twice a second.
const LAST_LOOK: Duration = Duration::from_millis(1_200);

/// Where a run is followed while it goes on.
#[derive(Debug, Clone, Args)]
pub struct TelemetryArgs {
    /// Serve a page that follows the run, on 127.0.0.1; any free port if none is given
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "0")]
    pub live: Option<u16>,
    /// Write what happens on stdout as it happens, in place of the result
    #[arg(long, value_name = "FORMAT", value_enum, conflicts_with = "dry_run")]
    pub events: Option<Events>,
    /// Send metrics to this OpenTelemetry collector, every ten seconds and at the end: OTLP over HTTP, as JSON
    #[arg(long, value_name = "URL", value_parser = parse_collector)]
    pub otlp: Option<String>,
    /// Serve metrics for Prometheus at `/metrics` of this loopback address, as in 127.0.0.1:9464; the last are kept in the
    /// run's folder as metrics.txt
    #[arg(long, value_name = "ADDRESS", value_parser = parse_loopback)]
    pub prometheus: Option<SocketAddr>,
}

/// Form of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Events {
    /// A JSON object a line: `started`, `progress`, `violation`, `finished`.
    Ndjson,
}

/// A URL of a collector. `/v1/metrics` is added where it has no path, as the environment variables of OpenTelemetry have it.
fn parse_collector(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let mut url = url.ok_or("write the URL of a collector, such as http://127.0.0.1:4318")?;
    if url.path() == "/" {
        url.set_path("/v1/metrics");
    }
    Ok(url.into())
}

fn parse_loopback(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => Err("only a loopback address is served, such as 127.0.0.1:9464".to_owned()),
        Err(_) => Err("write an address and a port, such as 127.0.0.1:9464".to_owned()),
    }
}

impl TelemetryArgs {
    /// Whether anything is asked for.
    fn is_wanted(&self) -> bool {
        self.live.is_some() || self.events.is_some() || self.otlp.is_some() || self.prometheus.is_some()
    }
}

/// A run that is followed.
pub(super) struct Telemetry {
    feed: Arc<Feed>,
    subject: Subject,
    events: bool,
    collector: Option<Collector>,
    metrics: bool,
    /// Violations that were told.
    told: Arc<AtomicUsize>,
    /// Requests of the live page so far.
    looks: Option<Arc<AtomicU64>>,
    tasks: Vec<JoinHandle<()>>,
}

/// Hands on what is recorded.
#[derive(Debug)]
struct Handing(Arc<Feed>);

impl Watcher for Handing {
    fn recorded(&self, operations: &[Operation], violates: &[usize]) {
        self.0.recorded(operations, violates);
    }
}

impl Telemetry {
    /// Starts what is asked for; `None` if that is nothing.
    pub(super) async fn start(
        args: &TelemetryArgs,
        (feed, subject): (Feed, Subject),
        io: &mut Io,
    ) -> Result<Option<Self>, CliError> {
        if !args.is_wanted() {
            return Ok(None);
        }
        let feed = Arc::new(feed);
        let mut tasks = Vec::new();
        let mut looks = None;
        if let Some(port) = args.live {
            let counted = Arc::new(AtomicU64::new(0));
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let (address, task) = serve(address, live(&feed, &counted)).await?;
            io.note(&format!("live: http://{address}/\n"));
            tasks.push(task);
            looks = Some(counted);
        }
        if let Some(address) = args.prometheus {
            let (address, task) = serve(address, metrics(&feed, subject)).await?;
            io.note(&format!("metrics: http://{address}/metrics\n"));
            tasks.push(task);
        }
        let collector = args.otlp.as_deref().map(Collector::new).transpose()?;
        let events = args.events.is_some();
        let metrics = args.prometheus.is_some();
        if events {
            let shown = feed.snapshot();
            write(&json!({
                "event": "started", "scenario": shown.scenario, "run_id": shown.run_id, "planned": shown.planned,
            }));
        }
        let told = Arc::new(AtomicUsize::new(0));
        tasks.push(tokio::spawn(tick(
            Arc::clone(&feed),
            events.then(|| Arc::clone(&told)),
            collector.clone(),
            subject,
        )));
        Ok(Some(Telemetry { feed, subject, events, collector, metrics, told, looks, tasks }))
    }

    /// Whether stdout is for events.
    pub(super) fn has_events(&self) -> bool {
        self.events
    }

    /// What is to be told of operations as they are recorded.
    pub(super) fn watcher(&self) -> Box<dyn Watcher> {
        Box::new(Handing(Arc::clone(&self.feed)))
    }

    /// The same for an exploration.
    pub(super) fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    /// Tells the end, gives an open page the time to see it, and stops.
    pub(super) async fn end(&self, report: &Report, directory: &std::path::Path, io: &mut Io) {
        let violated = report.invariants.iter().filter(|result| result.verdict == Verdict::Violated);
        let ended = Ended {
            verdict: report.verdict.to_string(),
            exit_code: report.exit_code,
            violated: violated.map(|result| result.name.to_string()).collect(),
            directory: directory.display().to_string(),
        };
        self.feed.end(ended.clone());
        if self.events {
            tell(&self.feed, &self.told);
            let mut event = json!({ "event": "finished" });
            if let (Some(event), Ok(Value::Object(ended))) = (event.as_object_mut(), serde_json::to_value(&ended)) {
                event.extend(ended);
            }
            write(&event);
        }
        if let Some(collector) = &self.collector
            && let Err(error) = collector.send(&self.feed, self.subject).await
        {
            io.note(&CliError::setup(error).render(io.err_colour));
        }
        if self.metrics
            && let Err(error) =
                write_atomic(&directory.join("metrics.txt"), open_metrics(&self.feed, self.subject).as_bytes())
        {
            io.note(&CliError::setup(error).render(io.err_colour));
        }
        if let Some(looks) = &self.looks {
            last_look(looks).await;
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Gives every page that is open, of which there may be several, the time to look once more.
async fn last_look(looks: &AtomicU64) {
    if looks.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(LAST_LOOK).await;
    }
}

async fn serve(address: SocketAddr, router: Router) -> Result<(SocketAddr, JoinHandle<()>), CliError> {
    let failed = || format!("cannot listen on {address}");
    let listener = TcpListener::bind(address)
        .await
        .with_context(failed)
        .map_err(|error| CliError::setup(error).hint("choose another port"))?;
    let address = listener.local_addr().with_context(failed).map_err(CliError::setup)?;
    let serving = async move {
        // It ends with the task; an error of one connection is that of its reader.
        axum::serve(listener, router).await.ok();
    };
    Ok((address, tokio::spawn(serving)))
}

fn live(feed: &Arc<Feed>, looks: &Arc<AtomicU64>) -> Router {
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'",
        script_hash(POLICY_SCRIPT)
    );
    let text = page(&policy);
    let (feed, looks) = (Arc::clone(feed), Arc::clone(looks));
    Router::new()
        .route(
            "/",
            get(move || async move {
                let headers =
                    [(CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), (CONTENT_SECURITY_POLICY, policy)];
                (headers, text)
            }),
        )
        .route(
            "/state",
            get(move || async move {
                let shown = feed.snapshot();
                looks.fetch_add(1, Ordering::Relaxed);
                ([(CACHE_CONTROL, "no-store")], Json(shown))
            }),
        )
}

fn metrics(feed: &Arc<Feed>, subject: Subject) -> Router {
    let feed = Arc::clone(feed);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Router::new().route("/metrics", get(move || async move { ([(CONTENT_TYPE, kind)], open_metrics(&feed, subject)) }))
}

/// Tells how far it is, until it is stopped.
async fn tick(feed: Arc<Feed>, told: Option<Arc<AtomicUsize>>, collector: Option<Collector>, subject: Subject) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
    let (mut number, mut failed) = (0_u64, false);
    loop {
        ticks.tick().await;
        number += 1;
        if let Some(told) = &told {
            tell(&feed, told);
        }
        if let Some(collector) = collector.as_ref().filter(|_| number.is_multiple_of(TICKS_PER_SENDING) && !failed) {
            // Told once, at the end: a line each time would drown the rest.
            failed = collector.send(&feed, subject).await.is_err();
        }
    }
}

/// Writes the violations that were not told yet, and how far it is.
fn tell(feed: &Feed, told: &AtomicUsize) {
    let shown = feed.snapshot();
    let before = told.swap(shown.seen.len(), Ordering::Relaxed);
    for (s, what) in shown.seen.iter().skip(before) {
        write(&json!({ "event": "violation", "s": s, "what": what }));
    }
    // The last second is not over.
    let per_s = shown.seconds.iter().rev().nth(1).map_or(0, |second| second.operations);
    write(&json!({
        "event": "progress", "operations": shown.operations, "planned": shown.planned, "failed": shown.failed,
        "unknown": shown.unknown, "violations": shown.violations, "per_s": per_s,
    }));
}

/// One event. A reader that has gone away had what it wanted.
fn write(event: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{event}").and_then(|()| out.flush()).ok();
}

/// A collector of metrics.
#[derive(Debug, Clone)]
struct Collector {
    client: reqwest::Client,
    url: String,
    started: u128,
}

impl Collector {
    fn new(url: &str) -> Result<Self, CliError> {
        // An error means that a provider is installed already, which is what is wanted.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().timeout(SENDING_WITHIN).build().map_err(CliError::setup)?;
        Ok(Collector { client, url: url.to_owned(), started: since_1970() })
    }

    async fn send(&self, feed: &Feed, subject: Subject) -> anyhow::Result<()> {
        let body = otlp(feed, subject, self.started, since_1970()).to_string();
        let request = self.client.post(&self.url).header("content-type", "application/json").body(body);
        // The address may hold a user and a password.
        let place = reqwest::Url::parse(&self.url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let failed = || format!("metrics could not be sent to the collector at {}", place.unwrap_or_default());
        let answer = request.send().await.map_err(reqwest::Error::without_url).with_context(failed.clone())?;
        answer.error_for_status().map_err(reqwest::Error::without_url).with_context(failed)?;
        Ok(())
    }
}

fn since_1970() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        assert_eq!(parse_collector("http://h:4318").as_deref(), Ok("http://h:4318/v1/metrics"));
        assert_eq!(parse_collector("http://h/otlp/v1/metrics").as_deref(), Ok("http://h/otlp/v1/metrics"));
        assert!(parse_collector("h:4318").is_err() && parse_collector("file:///etc").is_err());
        assert!(parse_loopback("127.0.0.1:0").is_ok() && parse_loopback("[::1]:9464").is_ok());
        assert!(parse_loopback("0.0.0.0:9464").is_err() && parse_loopback("9464").is_err());
    }
}
