//! `onlyone mongod`: runs the embedded server in the foreground.

use std::future::Future;
use std::io::Write;

use anyhow::Context;

use super::args::MongodArgs;
use super::interrupt::Interrupt;
use super::options::log;
use super::{CliError, Io};
use crate::mongod::{Mongod, MongodError, Options};
use crate::scenario::MongodSpec;
use crate::session::mongod_options;
use crate::verdict::ExitStatus;

/// `onlyone mongod`.
pub(super) async fn foreground(args: &MongodArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let interrupt = Interrupt::listen(|_| {})?;
    let spec = MongodSpec { replica_set: args.replica_set, test_commands: args.test_commands };
    let options = mongod_options(spec, &log(false));
    let running = run(&options, io.out(), interrupt.stop.cancelled());
    running.await.map_err(|error| match error.downcast::<MongodError>() {
        Ok(error) => CliError::from(error),
        Err(other) => CliError::setup(other),
    })?;
    Ok(ExitStatus::Holds)
}

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
