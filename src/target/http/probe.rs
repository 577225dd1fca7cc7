//! One request after another, outside of any run: for those who want to find out what a service does. Main type:
//! [`PlainClient`].

use std::time::Duration;

use super::answer::parts;
use super::client;
use crate::target::TargetError;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest body that is read.
const LARGEST: usize = 16 << 20;

/// A request as it is sent.
#[derive(Debug, Clone, Default)]
pub struct PlainRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// Base URL, path and query.
    pub url: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug, Clone, Default)]
pub struct PlainAnswer {
    /// HTTP status.
    pub status: u16,
    /// Cookies that it sets, as `name=value`.
    pub cookies: Vec<String>,
    /// The parts of the path in its header `location`.
    pub location: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends plain requests.
#[derive(Debug, Clone)]
pub struct PlainClient(reqwest::Client);

impl PlainClient {
    /// Makes it.
    pub fn new() -> Result<Self, TargetError> {
        // Another room may have been first, which is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let builder =
            reqwest::Client::builder().no_proxy().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        builder
            .build()
            .map(PlainClient)
            .map_err(|error| TargetError::Step { step: "making the HTTP client".to_owned(), source: error.into() })
    }

    /// Sends a request and reads the answer; an error says why there is none.
    pub async fn ask(&self, request: &PlainRequest) -> Result<PlainAnswer, String> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|error| error.to_string())?;
        let mut builder = self.0.request(method, &request.url).body(request.body.clone());
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let mut response = builder.send().await.map_err(|error| no_answer(&error))?;
        let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let cookie = |value| text(value).split(';').next().unwrap_or_default().trim().to_owned();
        let cookies = response.headers().get_all("set-cookie").iter().map(cookie).collect();
        let location = response.headers().get("location").map(text).unwrap_or_default();
        let location = parts(&location).map(str::to_owned).collect();
        let mut answer = PlainAnswer { status: response.status().as_u16(), cookies, location, body: Vec::new() };
        while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(&error))? {
            answer.body.extend_from_slice(&chunk);
            if answer.body.len() > LARGEST {
                return Err(format!("its answer is larger than {} MiB", LARGEST >> 20));
            }
        }
        Ok(answer)
    }
}

fn no_answer(error: &reqwest::Error) -> String {
    let itself = || if error.is_timeout() { format!("no answer within {PATIENCE:?}") } else { error.to_string() };
    client::deepest(error).unwrap_or_else(itself)
}
