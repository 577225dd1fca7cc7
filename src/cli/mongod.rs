//! `onlyone mongod`: runs the embedded server in the foreground.

use std::future::Future;
use std::io::Write;

use anyhow::Context;

use crate::mongod::{Mongod, Options};

/// Runs the embedded server until `shutdown`, and prints its URI as the one line on stdout once it can be used.
///
/// # Errors
/// When it cannot be started, when it ends by itself, or when stdout cannot be written to.
pub async fn run(
    options: &Options,
    stdout: &mut (dyn Write + Send),
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    tokio::pin!(shutdown);
    let mongod = tokio::select! {
        started = Mongod::start(options) => started?,
        () = &mut shutdown => return Ok(()),
    };
    let printed = writeln!(stdout, "{}", mongod.uri()).and_then(|()| stdout.flush());
    let ended = match printed {
        Ok(()) => tokio::select! {
            error = mongod.ended() => Err(error.into()),
            () = shutdown => Ok(()),
        },
        Err(error) => Err(error).context("cannot write the URI to stdout"),
    };
    mongod.stop().await?;
    ended
}
