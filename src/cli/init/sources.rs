//! Reads what the user names, and hands it to who understands it.

use std::path::Path;

use anyhow::Context;

use super::args::Sources;
use crate::cli::CliError;
use crate::import::{ImportError, Imported, from_curl, from_har, from_openapi, from_postman};
use crate::target::Guard;
use crate::target::http::check_hosts;
use crate::target::http::probe::{PlainClient, PlainRequest};

/// Largest file that is read.
const LARGEST: u64 = 64 << 20;

/// The requests of all sources.
pub(super) async fn read(sources: &Sources, guard: &Guard) -> Result<Imported, CliError> {
    let mut all = Imported::default();
    let mut add = |more: Imported| {
        all.samples.extend(more.samples);
        all.notes.extend(more.notes);
    };
    for line in &sources.curl {
        add(Imported { samples: vec![from_curl(line).map_err(told)?], notes: Vec::new() });
    }
    if let Some(path) = &sources.har {
        add(from_har(&file(path)?).map_err(told)?);
    }
    if let Some(place) = &sources.openapi {
        let is_url = place.starts_with("http://") || place.starts_with("https://");
        let text = if is_url { fetched(place, guard).await? } else { file(Path::new(place))? };
        let mut imported = from_openapi(&text).map_err(told)?;
        if is_url {
            let origin = place.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
            imported.samples.iter_mut().for_each(|sample| sample.origin = Some(origin.clone()));
        }
        add(imported);
    }
    if let Some(path) = &sources.postman {
        add(from_postman(&file(path)?).map_err(told)?);
    }
    if all.samples.is_empty() {
        return Err(CliError::usage(anyhow::anyhow!("there is no request"))
            .hint("name one: --curl 'curl …', --har FILE, --openapi FILE or --postman FILE"));
    }
    Ok(all)
}

fn told(error: ImportError) -> CliError {
    let hint = error.hint.clone();
    let error = CliError::usage(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn file(path: &Path) -> Result<String, CliError> {
    let failed = || format!("cannot read {}", path.display());
    let length = std::fs::metadata(path).with_context(failed).map_err(CliError::usage)?.len();
    if length > LARGEST {
        return Err(CliError::usage(anyhow::anyhow!("{} is larger than {} MiB", path.display(), LARGEST >> 20)));
    }
    std::fs::read_to_string(path).with_context(failed).map_err(CliError::usage)
}

async fn fetched(url: &str, guard: &Guard) -> Result<String, CliError> {
    check_hosts(&[url.to_owned()], guard)?;
    let request = PlainRequest { method: "GET".to_owned(), url: url.to_owned(), ..PlainRequest::default() };
    let answer = PlainClient::new()?.ask(&request).await;
    let answer = answer.map_err(|why| CliError::setup(anyhow::anyhow!("cannot read {url}: {why}")))?;
    match answer.status {
        200 => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
        other => Err(CliError::setup(anyhow::anyhow!("cannot read {url}: HTTP {other}"))),
    }
}
