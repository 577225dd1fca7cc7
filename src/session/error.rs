//! The one error that users see: a message, its causes, and what to do.

use std::fmt::Write;

use crate::mongod::MongodError;
use crate::process::ProcessError;
use crate::scenario::ScenarioError;
use crate::target::{Refused, TargetError};
use crate::verdict::ExitStatus;

/// An error at the edge.
#[derive(Debug)]
pub struct SessionError {
    /// How the process ends.
    pub status: ExitStatus,
    message: Message,
    hints: Vec<String>,
}

#[derive(Debug)]
enum Message {
    /// A message and its causes.
    Chain(anyhow::Error),
    /// Text that is rendered already, with its own places and hints.
    Rendered(Box<ScenarioError>),
}

impl SessionError {
    /// Wrong usage.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        SessionError { status: ExitStatus::Usage, message: Message::Chain(error.into()), hints: Vec::new() }
    }

    /// The run could not be set up.
    pub fn setup(error: impl Into<anyhow::Error>) -> Self {
        SessionError { status: ExitStatus::Setup, message: Message::Chain(error.into()), hints: Vec::new() }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The text for stderr.
    pub fn render(&self, colour: bool) -> String {
        let mut text = match &self.message {
            Message::Rendered(error) => return error.render(colour),
            Message::Chain(error) => {
                let (red, reset) = if colour { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
                let mut text = format!("{red}error:{reset} {error}\n");
                for cause in causes(error) {
                    text.push_str(&format!("  caused by: {}\n", cause.replace('\n', "\n    ")));
                }
                text
            }
        };
        for hint in &self.hints {
            // Writing to a string does not fail.
            writeln!(text, "  hint: {hint}").ok();
        }
        text
    }
}

/// An error with its causes, as a reason in a report.
pub(crate) fn in_one_line(error: impl std::error::Error + Send + Sync + 'static) -> String {
    let error = anyhow::Error::new(error);
    std::iter::once(error.to_string()).chain(causes(&error)).collect::<Vec<_>>().join(": ")
}

/// The causes of an error, but for those that the one before repeats in its own text, as many do.
fn causes(error: &anyhow::Error) -> Vec<String> {
    let texts: Vec<String> = error.chain().map(ToString::to_string).collect();
    let new = |pair: &[String]| (!pair[0].contains(&pair[1])).then(|| pair[1].clone());
    texts.windows(2).filter_map(new).collect()
}

impl From<ScenarioError> for SessionError {
    fn from(error: ScenarioError) -> Self {
        SessionError { status: ExitStatus::Usage, message: Message::Rendered(Box::new(error)), hints: Vec::new() }
    }
}

impl From<MongodError> for SessionError {
    fn from(error: MongodError) -> Self {
        let hint = match &error {
            MongodError::NotExecutable { origin, .. } | MongodError::NotMongod { origin, .. } => Some(match *origin {
                "ONLYONE_MONGOD" => {
                    "set ONLYONE_MONGOD to the full path of a mongod, or unset it: one is then looked for on PATH, or installed"
                }
                _ => "name another one, ONLYONE_MONGOD=/path/to/mongod, or a running server: --mongo URI",
            }),
            _ => None,
        };
        let cli = SessionError::setup(error);
        match hint {
            Some(hint) => cli.hint(hint),
            None => cli,
        }
    }
}

/// Which key of the scenario is to be corrected when its service cannot be started.
fn process_hint(error: &ProcessError) -> Option<String> {
    match error {
        ProcessError::NoFolder { .. } => Some(
            "correct `service.dir`: it is taken from the folder of the scenario file, which it is when left out"
                .to_owned(),
        ),
        ProcessError::NotFound { .. } | ProcessError::NotExecutable { .. } => Some(
            "correct the first word of `service.command`: a program on PATH, or a path from `service.dir`".to_owned(),
        ),
        _ => None,
    }
}

impl From<TargetError> for SessionError {
    fn from(error: TargetError) -> Self {
        let hint = match &error {
            TargetError::Refused(Refused::Host(host)) => {
                Some(format!("if load on it is really wanted, say so on this run: --allow-target {host}"))
            }
            TargetError::Refused(Refused::Database(database)) => Some(format!(
                "use a database whose name begins with `onlyone_`, or name this one: --allow-database {database}"
            )),
            TargetError::Unreachable { target, .. } if target.starts_with("the service") => Some(
                "start the service, correct `target.http.base_urls`, or let the harness start it: `[service]`"
                    .to_owned(),
            ),
            TargetError::Unreachable { .. } => {
                Some("start the server, correct --mongo, or leave it out to use the embedded one".to_owned())
            }
            TargetError::Step { source, .. } => source.downcast_ref::<ProcessError>().and_then(process_hint),
            TargetError::Strategy(_) => return SessionError::usage(error),
        };
        let cli = SessionError::setup(error);
        match hint {
            Some(hint) => cli.hint(hint),
            None => cli,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes_each_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("{text}")]
        struct Nested {
            text: &'static str,
            #[source]
            source: Option<Box<Nested>>,
        }
        let last = Nested { text: "refused", source: None };
        let middle = Nested { text: "no server: refused", source: Some(Box::new(last)) };
        let first = || Nested {
            text: "cannot ask",
            source: Some(Box::new(Nested { text: "no server: refused", source: None })),
        };
        assert_eq!(in_one_line(middle), "no server: refused");
        assert_eq!(in_one_line(first()), "cannot ask: no server: refused");
        let rendered = SessionError::setup(first()).render(false);
        assert_eq!(rendered, "error: cannot ask\n  caused by: no server: refused\n");
    }
}
