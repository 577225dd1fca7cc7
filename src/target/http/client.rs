//! reqwest, for a release by task: one client for all instances, with the ring provider for TLS.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use super::answer::{Answer, NoAnswer};
use super::request::Prepared;
use super::wire::LARGEST_BODY;
use crate::scenario::{HttpSpec, TlsSpec};
use crate::target::TargetError;

/// As for the harness's own connections: older ones may just be closed by the service.
const OLDEST_IDLE: Duration = Duration::from_secs(3);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes the client. `folder` is that of the scenario file: a certificate's path is relative to it.
pub(super) fn build(spec: &HttpSpec, folder: &Path) -> Result<reqwest::Client, TargetError> {
    let failed = |step: &str, source: Box<dyn Error + Send + Sync>| TargetError::Step { step: step.to_owned(), source };
    // An error means that a provider is installed already, which is what is wanted.
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut builder = reqwest::Client::builder()
        // A proxy from the environment would stand between the harness and what it measures.
        .no_proxy()
        // What the service says is judged, not what it refers to.
        .redirect(reqwest::redirect::Policy::none())
        // A request that is sent twice unknown to the history would be a wrong history.
        .retry(reqwest::retry::never())
        .pool_idle_timeout(OLDEST_IDLE)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .user_agent(concat!("onlyone/", env!("CARGO_PKG_VERSION")));
    builder = if spec.http2 { builder.http2_prior_knowledge() } else { builder.http1_only() };
    if let Some(ca) = &spec.tls.ca {
        let path = folder.join(ca);
        let step = format!("reading the certificates in {}", path.display());
        let pem = std::fs::read(&path).map_err(|error| failed(&step, error.into()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| failed(&step, error.into()))?;
        if certificates.is_empty() {
            return Err(failed(&step, "there is none in it, in PEM".into()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| failed("making the HTTP client", error.into()))
}

/// Sends a request and reads the whole answer.
pub(super) async fn send(client: &reqwest::Client, base_url: &str, request: Prepared) -> Result<Answer, NoAnswer> {
    let method = reqwest::Method::from_bytes(request.method.as_bytes()).unwrap_or(reqwest::Method::POST);
    let mut builder = client.request(method, format!("{base_url}{}", request.path)).body(request.body);
    for (name, value) in request.headers {
        builder = builder.header(name, value);
    }
    let mut response = builder.send().await.map_err(no_answer)?;
    let status = response.status().as_u16();
    let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut answer = Answer {
        status,
        content_type: response.headers().get("content-type").map(text).unwrap_or_default(),
        cookies: response.headers().get_all("set-cookie").iter().map(text).collect(),
        location: response.headers().get("location").map(text),
        body: Vec::new(),
    };
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(answer),
            Ok(Some(chunk)) => answer.body.extend_from_slice(&chunk),
            Err(_) => {
                let got = answer.body.len();
                return Err(NoAnswer::Lost(format!(
                    "HTTP {status}, and the answer broke off after {got} bytes of its body"
                )));
            }
        }
        if answer.body.len() > LARGEST_BODY {
            return Err(NoAnswer::Lost(format!(
                "HTTP {status}, and the body is larger than {} MiB",
                LARGEST_BODY >> 20
            )));
        }
    }
}

/// What an error comes from in the end; none where it says all itself.
pub(super) fn deepest(error: &dyn Error) -> Option<String> {
    std::iter::successors(error.source(), |&cause| cause.source()).last().map(ToString::to_string)
}

/// A request that found no connection, or could not be written out, was not sent; any other may have been.
fn no_answer(error: reqwest::Error) -> NoAnswer {
    let reason = deepest(&error).unwrap_or_default();
    if error.is_builder() {
        return NoAnswer::NotSent(format!("the request cannot be sent: {reason}"));
    }
    if error.is_connect() {
        return NoAnswer::Unreachable(format!("cannot connect: {reason}"));
    }
    NoAnswer::Lost(format!("the connection broke before the answer: {reason}"))
}

/// Why a connection was not made, with what can be done where the certificate is not trusted.
pub(super) fn explained(why: String, tls: &TlsSpec) -> String {
    if !why.contains("UnknownIssuer") {
        return why;
    }
    let advice = match &tls.ca {
        Some(ca) => format!("it is not the one in `target.http.tls.ca` ({})", ca.display()),
        None => "name its authority in `target.http.tls.ca`".to_owned(),
    };
    format!("{why}: the authority that signed the service's certificate is not trusted; {advice}")
}
