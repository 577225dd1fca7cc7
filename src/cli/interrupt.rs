//! Ctrl-C: the first stops the run in good order, the second at once.

use tokio::signal::unix::{SignalKind, signal};

use super::CliError;
pub(super) use crate::session::Interrupt;

/// How long an end that was asked for twice may take.
const GRACE: std::time::Duration = std::time::Duration::from_secs(2);

impl Interrupt {
    /// Listens for SIGINT and SIGTERM. `note` is told what the next one will do.
    pub(super) fn listen(note: impl Fn(&str) + Send + 'static) -> Result<Self, CliError> {
        let failed = |error| CliError::setup(anyhow::Error::new(error).context("cannot listen for Ctrl-C"));
        let mut interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminations = signal(SignalKind::terminate()).map_err(failed)?;
        let interrupt = Interrupt::default();
        let tokens = interrupt.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    received = interrupts.recv() => if received.is_none() { return },
                    received = terminations.recv() => if received.is_none() { return },
                }
                if tokens.stop.is_cancelled() {
                    tokens.kill.cancel();
                    tokio::time::sleep(GRACE).await;
                    // Something is at work that nothing interrupts.
                    nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).ok();
                    return;
                }
                note("interrupted: no new operations; once more ends at once, without a verdict\n");
                tokens.stop.cancel();
            }
        });
        Ok(interrupt)
    }
}

/// Says something on stderr, unless nothing is to be said.
pub(super) fn note(text: &str, quiet: bool) {
    use std::io::Write;
    if !quiet {
        // There is nowhere left to report that stderr is closed.
        std::io::stderr().write_all(text.as_bytes()).ok();
    }
}
