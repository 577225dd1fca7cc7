//! `[load.stages]` as it is written in the file.

use serde::Deserialize;
use toml::Spanned;

use super::file::Keys;
use super::values::{Count, DurationText, Number};

/// `[load.stages]`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(extend("oneOf" = [{ "required": ["clients"] }, { "required": ["rate"] }]))]
pub(super) struct Stages {
    /// Stages of a number of clients, each of which sends its next operation when the last has ended.
    #[schemars(with = "Option<Vec<ClientStage>>")]
    pub(super) clients: Option<Spanned<Vec<Spanned<ClientStage>>>>,
    /// Stages of a rate: operations start at computed times, whatever became of the earlier ones.
    #[schemars(with = "Option<Vec<RateStage>>")]
    pub(super) rate: Option<Spanned<Vec<Spanned<RateStage>>>>,
    /// Clients, or operations per second, where the first stage begins; 0 when it is not there.
    #[schemars(with = "Option<Number>")]
    pub(super) start: Option<Spanned<Number>>,
    /// With `rate`: most operations in flight; an arrival beyond is counted as dropped.
    #[schemars(with = "Option<Count>")]
    pub(super) max_clients: Option<Spanned<Count>>,
    /// With `rate`: spacing of the arrivals.
    #[schemars(with = "Option<String>")]
    pub(super) arrivals: Option<Spanned<String>>,
    /// Which keys they meet on.
    #[schemars(with = "Option<Keys>")]
    pub(super) keys: Option<Spanned<Keys>>,
}

/// One stage of a number of clients.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a stage, such as { target = 50, duration = \"30s\" }")]
pub(super) struct ClientStage {
    /// Clients at its end.
    #[schemars(with = "Count")]
    pub(super) target: Option<Spanned<Count>>,
    /// How long it takes to get there; zero is a jump.
    #[schemars(with = "DurationText")]
    pub(super) duration: Option<Spanned<DurationText>>,
}

/// One stage of a rate.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a stage, such as { target = 1000, duration = \"30s\" }")]
pub(super) struct RateStage {
    /// Operations per second at its end.
    #[schemars(with = "Number")]
    pub(super) target: Option<Spanned<Number>>,
    /// How long it takes to get there; zero is a jump.
    #[schemars(with = "DurationText")]
    pub(super) duration: Option<Spanned<DurationText>>,
}
