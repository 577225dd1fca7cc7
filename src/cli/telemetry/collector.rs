//! Metrics sent to an OpenTelemetry collector. Main type: [`Collector`].

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;

use crate::cli::CliError;
use crate::live::{Feed, Subject, otlp};

/// How long a collector may take to answer.
const SENDING_WITHIN: Duration = Duration::from_secs(5);

/// A URL of a collector. `/v1/metrics` is added where it has no path, as the environment variables of OpenTelemetry have it.
pub(super) fn parse_collector(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let mut url = url.ok_or("write the URL of a collector, such as http://127.0.0.1:4318")?;
    if url.path() == "/" {
        url.set_path("/v1/metrics");
    }
    Ok(url.into())
}

/// A collector of metrics.
#[derive(Debug)]
pub(super) struct Collector {
    client: reqwest::Client,
    url: reqwest::Url,
    started: u128,
    /// Why the first sending failed, if any did.
    failed: Mutex<Option<anyhow::Error>>,
}

impl Collector {
    pub(super) fn new(url: &str) -> Result<Self, CliError> {
        // An error means that a provider is installed already, which is what is wanted.
        rustls::crypto::ring::default_provider().install_default().ok();
        let url = reqwest::Url::parse(url).map_err(CliError::setup)?;
        let builder = reqwest::Client::builder()
            .timeout(SENDING_WITHIN)
            // A redirected POST becomes a GET, and what it was to bring would be lost.
            .redirect(reqwest::redirect::Policy::none());
        // A proxy from the environment is for other machines.
        let builder = if is_here(&url) { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(CliError::setup)?;
        Ok(Collector { client, url, started: since_1970(), failed: Mutex::new(None) })
    }

    /// Sends what there is so far, unless a sending failed already: that is told once, at the end.
    pub(super) async fn send_meanwhile(&self, feed: &Feed, subject: Subject) {
        let failed = || self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed().is_none()
            && let Err(error) = self.send(feed, subject).await
        {
            *failed() = Some(error);
        }
    }

    /// Sends the sums of the whole, and tells what could not be sent: these, or earlier ones.
    pub(super) async fn send_last(&self, feed: &Feed, subject: Subject) -> anyhow::Result<()> {
        self.send(feed, subject).await?;
        match self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error.context("metrics were sent at the end only")),
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

/// Whether it is on this machine.
fn is_here(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn since_1970() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_collectors_are_checked() {
        assert_eq!(parse_collector("http://h:4318").as_deref(), Ok("http://h:4318/v1/metrics"));
        assert_eq!(parse_collector("http://h/otlp/v1/metrics").as_deref(), Ok("http://h/otlp/v1/metrics"));
        assert!(parse_collector("h:4318").is_err() && parse_collector("file:///etc").is_err());
        let here = |url: &str| is_here(&reqwest::Url::parse(url).unwrap());
        assert!(here("http://127.0.0.1:1") && here("http://LOCALHOST/") && here("http://[::1]:4318"));
        assert!(!here("http://10.0.0.1") && !here("http://localhost.example") && !here("http://h"));
    }
}
