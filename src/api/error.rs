//! [`Error`]: why there is no report.

use std::fmt;

use crate::session::SessionError;
use crate::verdict::ExitStatus;

/// Why there is no report: a mistake in the scenario, something that is not allowed, or a run that could not be set up. A violation
/// is no error.
///
/// Shown, with `{}` and with `{:?}` alike, it is the text that the command line prints: the message, its causes, for a scenario
/// the line and the place, and hints. Hints name the flags of the command line; [`Session`](crate::Session) has a method of the
/// same name for each that concerns it.
#[derive(Clone)]
pub struct Error {
    text: String,
    status: ExitStatus,
}

impl Error {
    /// Not a `From`: that would be seen from outside.
    pub(super) fn of(error: impl Into<SessionError>) -> Self {
        let error = error.into();
        Error { text: error.render(false).trim_end().to_owned(), status: error.status }
    }

    pub(super) fn usage(message: &'static str, hint: &'static str) -> Self {
        Self::of(SessionError::usage(anyhow::anyhow!(message)).hint(hint))
    }

    pub(super) fn setup(message: &'static str) -> Self {
        Self::of(SessionError::setup(anyhow::anyhow!(message)))
    }

    /// Whether what was asked for is wrong, such as the scenario; otherwise it could not be set up.
    pub fn is_usage(&self) -> bool {
        self.status == ExitStatus::Usage
    }

    /// The exit code of the command line for it.
    pub fn exit_code(&self) -> u8 {
        self.status.code()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
