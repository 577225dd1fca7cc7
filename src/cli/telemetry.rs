//! A run followed while it goes on: `--live` serves a page, `--events` streams, `--otlp` and `--prometheus` give metrics away.
//!
//! Whatever fails here is told and changes nothing of the verdict: a collector that is gone is no verdict. That events could not
//! be written ends in an exit code of its own, as with any other result on stdout.

mod collector;
mod events;
mod server;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use self::collector::{Collector, parse_collector};
use self::events::Events as Writer;
use self::server::{Serving, live, metrics, parse_loopback, serve};
use super::{CliError, Io};
use crate::driver::Watcher;
use crate::explore::so_far::{Follows, SoFar};
use crate::history::Operation;
use crate::live::{Ended, Feed, Subject, open_metrics};
use crate::report::{Report, write_atomic};
use crate::verdict::Verdict;

/// How often events tell how far it is.
const TICK: Duration = Duration::from_secs(1);
/// How often metrics are sent.
const SENDING: Duration = Duration::from_secs(10);
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
    pub otlp: Option<reqwest::Url>,
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
    events: Option<Arc<Writer>>,
    collector: Option<Arc<Collector>>,
    metrics: bool,
    /// Requests of the live page so far.
    looks: Option<Arc<AtomicU64>>,
    servers: Vec<Serving>,
    /// Where the clocks run: not on the one thread of an exploration.
    runtime: Handle,
    clocks: OnceLock<Vec<JoinHandle<()>>>,
}

/// Hands on what is recorded.
#[derive(Debug)]
struct Handing(Arc<Feed>);

impl Watcher for Handing {
    fn recorded(&self, operations: &[Operation], violates: &[usize]) {
        self.0.recorded(operations, violates);
    }
}

impl Follows for Handing {
    fn recorded(&mut self, operations: &[Operation]) {
        self.0.recorded(operations, &[]);
    }

    fn found(&mut self, so_far: &SoFar, new: &[(f64, String)]) {
        self.0.found(so_far.violated.load(Ordering::Relaxed), new);
    }
}

impl Telemetry {
    /// Takes the ports that are asked for, before anything of the run is started; `None` if nothing is.
    pub(super) async fn prepare(
        args: &TelemetryArgs,
        (feed, subject): (Feed, Subject),
        io: &mut Io,
    ) -> Result<Option<Self>, CliError> {
        if !args.is_wanted() {
            return Ok(None);
        }
        let feed = Arc::new(feed);
        let collector = args.otlp.as_ref().map(Collector::new).transpose()?.map(Arc::new);
        let events = args.events.map(|Events::Ndjson| Arc::new(Writer::new(&feed, Box::new(std::io::stdout()))));
        let mut telemetry = Telemetry {
            feed,
            subject,
            events,
            collector,
            metrics: args.prometheus.is_some(),
            looks: None,
            servers: Vec::new(),
            runtime: Handle::current(),
            clocks: OnceLock::new(),
        };
        match telemetry.listen(args, io).await {
            Ok(()) => Ok(Some(telemetry)),
            Err(error) => {
                telemetry.close().await;
                Err(error)
            }
        }
    }

    /// Starts the servers that are asked for.
    async fn listen(&mut self, args: &TelemetryArgs, io: &mut Io) -> Result<(), CliError> {
        if let Some(port) = args.live {
            let counted = Arc::new(AtomicU64::new(0));
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let serving = serve(address, live(&self.feed, &counted)).await?;
            io.note(&format!("live: http://{}/\n", serving.address));
            self.servers.push(serving);
            self.looks = Some(counted);
        }
        if let Some(address) = args.prometheus {
            let serving = serve(address, metrics(&self.feed, self.subject)).await?;
            io.note(&format!("metrics: http://{}/metrics\n", serving.address));
            self.servers.push(serving);
        }
        Ok(())
    }

    /// Tells that it begins, now that everything is set up, and from then on how far it is.
    pub(super) fn begin(&self) {
        if let Some(events) = &self.events {
            events.started();
        }
        self.clocks.get_or_init(|| self.clocks(TICK, SENDING));
    }

    /// Starts what happens again and again. A collector that is slow to answer does not keep the events.
    fn clocks(&self, tick: Duration, sending: Duration) -> Vec<JoinHandle<()>> {
        let events = self.events.clone().map(|events| {
            self.runtime.spawn(async move {
                let mut ticks = ticks(tick);
                loop {
                    ticks.tick().await;
                    events.progress();
                }
            })
        });
        let (feed, subject) = (Arc::clone(&self.feed), self.subject);
        let collector = self.collector.clone().map(|collector| {
            self.runtime.spawn(async move {
                let mut ticks = ticks(sending);
                loop {
                    ticks.tick().await;
                    collector.send_meanwhile(&feed, subject).await;
                }
            })
        });
        events.into_iter().chain(collector).collect()
    }

    /// Whether stdout is for events.
    pub(super) fn has_events(&self) -> bool {
        self.events.is_some()
    }

    /// What is to be told of operations as they are recorded.
    pub(super) fn watcher(&self) -> Box<dyn Watcher> {
        Box::new(Handing(Arc::clone(&self.feed)))
    }

    /// Follows an exploration.
    pub(super) fn follows(&self) -> Box<dyn Follows> {
        Box::new(Handing(Arc::clone(&self.feed)))
    }

    /// Tells the end, gives an open page the time to see it, and stops. An error is that of the events.
    pub(super) async fn end(&self, report: &Report, directory: &Path, io: &mut Io) -> Result<(), CliError> {
        let violated = report.invariants.iter().filter(|result| result.verdict == Verdict::Violated);
        let ended = Ended {
            verdict: report.verdict.to_string(),
            exit_code: report.exit_code,
            violated: violated.map(|result| result.name.to_string()).collect(),
            directory: directory.display().to_string(),
        };
        self.feed.end(ended.clone());
        let told = self.events.as_ref().map_or(Ok(()), |events| events.finished(&ended));
        self.clocks.get().into_iter().flatten().for_each(JoinHandle::abort);
        if let Some(collector) = &self.collector
            && let Err(error) = collector.send_last(&self.feed, self.subject).await
        {
            io.note(&CliError::setup(error).render(io.err_colour));
        }
        if self.metrics
            && let Err(error) =
                write_atomic(&directory.join("metrics.txt"), open_metrics(&self.feed, self.subject).as_bytes())
        {
            io.note(&CliError::setup(error).render(io.err_colour));
        }
        // Of pages that are open there may be several, and each looks once more.
        if self.looks.as_ref().is_some_and(|looks| looks.load(Ordering::Relaxed) > 0) {
            tokio::time::sleep(LAST_LOOK).await;
        }
        told.context("cannot write the events to stdout").map_err(CliError::setup)
    }

    /// Ends the servers: their ports are free for the next run.
    pub(super) async fn close(mut self) {
        for serving in std::mem::take(&mut self.servers) {
            serving.end().await;
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.clocks.get().into_iter().flatten().for_each(JoinHandle::abort);
    }
}

/// The ticks of a clock. Those that were missed are left out: nothing is told or sent twice at once.
fn ticks(every: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use super::collector::parse_collector;
    use super::*;

    /// Tells of each event that is written.
    struct Told(tokio::sync::mpsc::UnboundedSender<()>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.send(()).map_err(io::Error::other)
        }
    }

    #[tokio::test]
    async fn a_collector_that_does_not_answer_does_not_keep_the_events() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = parse_collector(&format!("http://{}", silent.local_addr().unwrap())).unwrap();
        let feed = Arc::new(Feed::new("s", "r", None));
        let (told, mut events) = tokio::sync::mpsc::unbounded_channel();
        let telemetry = Telemetry {
            events: Some(Arc::new(Writer::new(&feed, Box::new(Told(told))))),
            collector: Some(Arc::new(Collector::new(&url).unwrap())),
            feed,
            subject: Subject::Database,
            metrics: false,
            looks: None,
            servers: Vec::new(),
            runtime: Handle::current(),
            clocks: OnceLock::new(),
        };
        let tick = Duration::from_millis(10);
        telemetry.clocks.get_or_init(|| telemetry.clocks(tick, tick));
        let (_asked, _) = silent.accept().await.unwrap();
        while events.try_recv().is_ok() {}
        for _ in 0..10 {
            events.recv().await.unwrap();
        }
        let collector = telemetry.collector.as_ref().unwrap();
        assert_eq!(collector.sendings_so_far(), 0, "it was still being asked");
    }
}
