//! What breaks on purpose while a load goes on: `[[fault]]`. Main type: [`FaultSpec`].

use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::serde::duration::friendly::compact::optional as maybe_signed;
use jiff::fmt::serde::unsigned_duration::friendly::compact::optional as maybe_friendly;
use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::values::{Count, DurationText, Share, SignedDurationText};

/// One fault of a run, once or again and again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultSpec {
    /// What happens.
    pub kind: LoadFault,
    /// When it happens first, counted from the load's start.
    #[serde(with = "friendly")]
    pub at: Duration,
    /// How long after that it happens again, and again.
    #[serde(with = "maybe_friendly", skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
    /// How long it goes on.
    #[serde(rename = "for", with = "maybe_friendly", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Duration>,
    /// Which of several it meets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<FaultTarget>,
    /// Share of what it could meet that it does meet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// How much later a delayed command comes to the server, or how long each flush of the journal is held back.
    #[serde(with = "maybe_friendly", skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
    /// How far the clock is moved, forwards or backwards.
    #[serde(serialize_with = "maybe_signed", skip_serializing_if = "Option::is_none")]
    pub by: Option<SignedDuration>,
    /// The error that a failed command is answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Its labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Names of the commands that fail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// At most so many commands fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl FaultSpec {
    /// How long it goes on, where it does.
    pub fn duration(&self) -> Duration {
        self.lasts.unwrap_or_default()
    }

    /// How far it moves the clock, with a sign: `-5m`.
    pub fn shift(&self) -> Option<String> {
        let sign = |by: SignedDuration| if by.is_negative() { '-' } else { '+' };
        self.by.map(|by| format!("{}{:#}", sign(by), by.abs()))
    }

    /// The share of what it could meet that it does meet.
    pub fn share(&self) -> f64 {
        self.probability.unwrap_or(1.0)
    }
}

/// A kind of fault of a run (`[[fault]] kind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadFault {
    /// The embedded server is killed, and started again on its data and port.
    KillMongod,
    /// The embedded server stands still: connections stay open, and nothing answers.
    PauseMongod,
    /// The embedded server is stopped in good order, and started again.
    RestartMongod,
    /// The server answers commands with an error, by its own fail point.
    FailCommand,
    /// The primary of the embedded replica set steps down.
    StepDown,
    /// Connections to the server are closed.
    ResetConnections,
    /// Commands come to the server late.
    Delay,
    /// The server carries a command out, and its connection is closed in place of the answer.
    LostAnswer,
    /// The service is killed, and started again where it was.
    KillService,
    /// A member of the embedded replica set is cut off from the others.
    Partition,
    /// Each flush of the embedded server's journal is held back.
    SlowDisk,
    /// The clock of the service is moved.
    Clock,
}

/// Whom a fault needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultNeeds {
    /// The server that the harness started itself.
    OwnServer,
    /// The proxy in front of the server.
    Proxy,
    /// The service that the harness started.
    OwnService,
}

impl LoadFault {
    /// All, with their words.
    pub const ALL: [(&'static str, LoadFault); 12] = [
        ("kill-mongod", LoadFault::KillMongod),
        ("pause-mongod", LoadFault::PauseMongod),
        ("restart-mongod", LoadFault::RestartMongod),
        ("fail-command", LoadFault::FailCommand),
        ("step-down", LoadFault::StepDown),
        ("reset-connections", LoadFault::ResetConnections),
        ("delay", LoadFault::Delay),
        ("lost-answer", LoadFault::LostAnswer),
        ("kill-service", LoadFault::KillService),
        ("partition", LoadFault::Partition),
        ("slow-disk", LoadFault::SlowDisk),
        ("clock", LoadFault::Clock),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }

    /// Whom it needs.
    pub fn needs(self) -> FaultNeeds {
        match self {
            LoadFault::KillMongod
            | LoadFault::PauseMongod
            | LoadFault::RestartMongod
            | LoadFault::FailCommand
            | LoadFault::StepDown
            | LoadFault::Partition
            | LoadFault::SlowDisk => FaultNeeds::OwnServer,
            LoadFault::ResetConnections | LoadFault::Delay | LoadFault::LostAnswer => FaultNeeds::Proxy,
            LoadFault::KillService | LoadFault::Clock => FaultNeeds::OwnService,
        }
    }

    /// How long it goes on where the scenario does not say; `None` for what has no duration.
    pub(super) fn usual_duration(self) -> Option<Duration> {
        match self {
            LoadFault::KillMongod | LoadFault::RestartMongod | LoadFault::KillService => Some(Duration::ZERO),
            LoadFault::PauseMongod
            | LoadFault::FailCommand
            | LoadFault::Delay
            | LoadFault::LostAnswer
            | LoadFault::SlowDisk
            | LoadFault::Clock => Some(Duration::from_secs(1)),
            LoadFault::StepDown => Some(Duration::from_secs(2)),
            // The others elect a primary after the first of these seconds.
            LoadFault::Partition => Some(Duration::from_secs(3)),
            LoadFault::ResetConnections => None,
        }
    }

    /// The keys of `[[fault]]` that it takes beside `kind`, `at` and `every`.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            LoadFault::KillMongod | LoadFault::PauseMongod | LoadFault::RestartMongod => &["for", "target"],
            LoadFault::KillService | LoadFault::Partition => &["for", "target"],
            LoadFault::StepDown => &["for"],
            LoadFault::FailCommand => &["for", "code", "labels", "commands", "times", "probability"],
            LoadFault::ResetConnections => &["probability"],
            LoadFault::Delay => &["for", "delay", "probability"],
            LoadFault::LostAnswer => &["for", "probability"],
            LoadFault::SlowDisk => &["for", "delay"],
            LoadFault::Clock => &["for", "by", "target"],
        }
    }
}

/// Which of several a fault meets (`[[fault]] target`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultTarget {
    /// The primary of the replica set.
    Primary,
    /// A secondary, another one each time.
    Secondary,
    /// One instance of the service, another one each time.
    One,
    /// All instances of the service.
    All,
}

/// `[[fault]]` as it is written.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Fault {
    /// What happens: `kill-mongod`, `pause-mongod`, `restart-mongod`, `fail-command`, `step-down`, `partition`, `slow-disk` (the
    /// embedded server); `reset-connections`, `delay`, `lost-answer` (the way to the server); `kill-service`, `clock` (the service
    /// that the harness starts).
    #[schemars(with = "String")]
    pub(super) kind: Option<Spanned<String>>,
    /// When it happens first, counted from the load's start.
    #[schemars(with = "DurationText")]
    pub(super) at: Option<Spanned<DurationText>>,
    /// How long after that it happens again, and again; a little later by chance, which the run's seed decides.
    #[schemars(with = "Option<DurationText>")]
    pub(super) every: Option<Spanned<DurationText>>,
    /// How long it goes on; what is killed or stopped stays away so long.
    #[serde(rename = "for")]
    #[schemars(with = "Option<DurationText>")]
    pub(super) lasts: Option<Spanned<DurationText>>,
    /// Which of several it meets: `primary` (the default) or `secondary` of a replica set of three; `one` instance of the service
    /// (the default) or `all`.
    #[schemars(with = "Option<String>")]
    pub(super) target: Option<Spanned<String>>,
    /// Share of the connections, commands or answers that it meets; all by default.
    #[schemars(with = "Option<Share>")]
    pub(super) probability: Option<Spanned<Share>>,
    /// How much later a delayed command comes to the server; of a slow disk, how long each flush of the journal is held back.
    #[schemars(with = "Option<DurationText>")]
    pub(super) delay: Option<Spanned<DurationText>>,
    /// How far the service's clock is moved: `"-5m"`, `"+300ms"`.
    #[schemars(with = "Option<SignedDurationText>")]
    pub(super) by: Option<Spanned<SignedDurationText>>,
    /// The code of the error that failed commands are answered with.
    #[schemars(with = "Option<Count>")]
    pub(super) code: Option<Spanned<Count>>,
    /// Labels of that error, such as `RetryableWriteError`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) labels: Vec<Spanned<String>>,
    /// Names of the commands that fail, such as `insert` and `findAndModify`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) commands: Vec<Spanned<String>>,
    /// At most so many commands fail each time.
    #[schemars(with = "Option<Count>")]
    pub(super) times: Option<Spanned<Count>>,
}

impl Fault {
    /// The keys that were written, of those that not every kind takes, with their places.
    pub(super) fn written(&self) -> Vec<(&'static str, std::ops::Range<usize>)> {
        let first = |list: &[Spanned<String>]| list.first().map(Spanned::span);
        [
            ("for", self.lasts.as_ref().map(Spanned::span)),
            ("target", self.target.as_ref().map(Spanned::span)),
            ("probability", self.probability.as_ref().map(Spanned::span)),
            ("delay", self.delay.as_ref().map(Spanned::span)),
            ("by", self.by.as_ref().map(Spanned::span)),
            ("code", self.code.as_ref().map(Spanned::span)),
            ("labels", first(&self.labels)),
            ("commands", first(&self.commands)),
            ("times", self.times.as_ref().map(Spanned::span)),
        ]
        .into_iter()
        .filter_map(|(key, span)| Some((key, span?)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_and_the_words_are_those_that_are_written_out() {
        for (word, kind) in LoadFault::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), word);
            assert_eq!(kind.as_str(), word);
            assert_eq!(kind.usual_duration().is_some(), kind.keys().contains(&"for"), "{word}");
        }
    }
}
