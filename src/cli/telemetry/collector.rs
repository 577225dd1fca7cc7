//! Metrics sent to an OpenTelemetry collector. Main type: [`Collector`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use reqwest::Url;

use crate::cli::CliError;
use crate::live::{Feed, Subject, otlp};
use crate::target::is_this_machine;

/// How long a collector may take to answer.
const SENDING_WITHIN: Duration = Duration::from_secs(5);

/// A URL of a collector. `/v1/metrics` is added where it has no path, as the environment variables of OpenTelemetry have it.
pub(super) fn parse_collector(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let mut url = url.ok_or("write the URL of a collector, such as http://127.0.0.1:4318")?;
    if url.path() == "/" {
        url.set_path("/v1/metrics");
    }
    Ok(url)
}

/// A collector of metrics.
#[derive(Debug)]
pub(super) struct Collector {
    client: reqwest::Client,
    url: Url,
    started: u128,
    sendings: Mutex<Sendings>,
}

/// What came of the sendings before the last one.
#[derive(Debug, Default)]
struct Sendings {
    all: u64,
    failed: u64,
    /// Why the first of them failed, if any did.
    first: Option<anyhow::Error>,
}

impl Collector {
    pub(super) fn new(url: &Url) -> Result<Self, CliError> {
        // An error means that a provider is installed already, which is what is wanted.
        rustls::crypto::ring::default_provider().install_default().ok();
        let builder = reqwest::Client::builder()
            .timeout(SENDING_WITHIN)
            // A redirected POST becomes a GET, and what it was to bring would be lost.
            .redirect(reqwest::redirect::Policy::none());
        // A proxy from the environment is for other machines.
        let here = url.host_str().is_some_and(is_this_machine);
        let builder = if here { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(CliError::setup)?;
        Ok(Collector { client, url: url.clone(), started: since_1970(), sendings: Mutex::default() })
    }

    fn sendings(&self) -> MutexGuard<'_, Sendings> {
        self.sendings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sendings came to an end before the last one.
    #[cfg(test)]
    pub(super) fn sendings_so_far(&self) -> u64 {
        self.sendings().all
    }

    /// Sends what there is so far. That it failed is told once, at the end: a collector may be away for a while.
    pub(super) async fn send_meanwhile(&self, feed: &Feed, subject: Subject) {
        let sent = self.send(feed, subject).await;
        let mut sendings = self.sendings();
        sendings.all += 1;
        if let Err(error) = sent {
            sendings.failed += 1;
            sendings.first.get_or_insert(error);
        }
    }

    /// Sends the sums of the whole, and tells what could not be sent: these, or earlier ones.
    pub(super) async fn send_last(&self, feed: &Feed, subject: Subject) -> anyhow::Result<()> {
        self.send(feed, subject).await?;
        let Sendings { all, failed, first } = std::mem::take(&mut *self.sendings());
        match first {
            Some(error) => {
                let all = all + 1;
                Err(error.context(format!("{failed} of {all} sendings of metrics failed, the last one did not")))
            }
            None => Ok(()),
        }
    }

    async fn send(&self, feed: &Feed, subject: Subject) -> anyhow::Result<()> {
        let body = otlp(feed, subject, self.started, since_1970()).to_string();
        let request = self.client.post(self.url.clone()).header("content-type", "application/json").body(body);
        // The address may hold a user and a password.
        let place = self.url.host_str().unwrap_or_default();
        let failed = || format!("metrics could not be sent to the collector at {place}");
        let answer = request.send().await.map_err(reqwest::Error::without_url).with_context(failed)?;
        let status = answer.status();
        // A redirection is no error to reqwest.
        anyhow::ensure!(status.is_success(), "{}: it answers {status}", failed());
        Ok(())
    }
}

fn since_1970() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A collector that answers each request with one of these, and tells how many it had.
    async fn answering(answers: &'static [&'static str]) -> (Url, tokio::task::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = parse_collector(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let serving = tokio::spawn(async move {
            for (number, answer) in answers.iter().enumerate() {
                let Ok(accepted) = tokio::time::timeout(Duration::from_secs(20), listener.accept()).await else {
                    return number;
                };
                let mut stream = accepted.unwrap().0;
                let (mut seen, mut bytes) = (Vec::new(), [0; 4096]);
                while !seen.ends_with(b"}") {
                    let read = stream.read(&mut bytes).await.unwrap();
                    seen.extend_from_slice(&bytes[..read]);
                }
                let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(text.as_bytes()).await.unwrap();
            }
            answers.len()
        });
        (url, serving)
    }

    #[tokio::test]
    async fn a_collector_that_was_away_for_a_while_has_what_comes_after() {
        let (url, serving) =
            answering(&["503 Service Unavailable", "200 OK", "503 Service Unavailable", "200 OK"]).await;
        let (collector, feed) = (Collector::new(&url).unwrap(), Feed::new("s", "r", None));
        for _ in 0..3 {
            collector.send_meanwhile(&feed, Subject::Database).await;
        }
        let told = collector.send_last(&feed, Subject::Database).await.unwrap_err();
        assert!(told.to_string().starts_with("2 of 4 sendings of metrics failed"), "{told:#}");
        assert!(format!("{told:#}").contains("503"), "{told:#}");
        assert_eq!(serving.await.unwrap(), 4);
        assert!(collector.sendings().first.is_none(), "told once");
    }

    #[test]
    fn addresses_of_collectors_are_checked() {
        let parsed = |text: &str| parse_collector(text).map(String::from);
        assert_eq!(parsed("http://h:4318").as_deref(), Ok("http://h:4318/v1/metrics"));
        assert_eq!(parsed("http://h/otlp/v1/metrics").as_deref(), Ok("http://h/otlp/v1/metrics"));
        assert!(parsed("h:4318").is_err() && parsed("file:///etc").is_err());
    }
}
