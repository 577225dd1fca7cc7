//! `[load] fresh`: what is not there yet when a round of a burst begins.

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::http::ServiceSpec;
use super::super::load::{Fresh, Load};
use super::super::observed::ObserveSpec;
use super::Check;

/// What the rest of the scenario says.
#[derive(Clone, Copy)]
pub(super) struct Rest<'a> {
    pub(super) service: Option<&'a ServiceSpec>,
    /// Whether other services are started beside it.
    pub(super) has_companions: bool,
    pub(super) load: Option<&'a Load>,
    pub(super) observe: Option<&'a ObserveSpec>,
    /// Whether something is to break while the load goes on.
    pub(super) has_faults: bool,
    /// Whether an invariant names its database.
    pub(super) names_database: bool,
    /// Whether there are rules about numbers.
    pub(super) has_numbers: bool,
}

impl Check<'_> {
    /// What is fresh in each round; everything that a new database and a new start in each round do not go with is refused.
    pub(super) fn fresh(&mut self, word: Option<&Spanned<String>>, rest: Rest<'_>) -> Option<Option<Fresh>> {
        let Some(word) = word else { return Some(None) };
        let fresh = self.word(word, "fresh", &Fresh::ALL)?;
        let is_told = |service: &ServiceSpec| {
            service.command.iter().chain(service.env.values()).any(|template| template.names("mongo"))
        };
        let observed = rest.observe.and_then(|observe| observe.mongo.as_ref());
        let names_its_own =
            rest.names_database || observed.is_some_and(|mongo| mongo.uri.is_some() || mongo.database.is_some());
        let problem = if rest.load.is_some_and(|load| !matches!(load, Load::Burst { .. })) {
            ("`fresh` is for rounds", "make the load a `[load.burst]`")
        } else if rest.service.is_none() {
            (
                "`fresh` starts the service again for each round, and no service is the harness's own",
                "add `[service]` with its `command`",
            )
        } else if !rest.service.is_some_and(is_told) {
            (
                "each round has a database of its own, and the service is not told which",
                "hand it `{{ mongo.uri }}` in `[service] env`",
            )
        } else if names_its_own {
            (
                "each round has a database of its own, and the scenario names another",
                "leave `uri` and `database` out of `[observe.mongo]` and `[[invariant]]`",
            )
        } else if rest.has_companions {
            (
                "`fresh` starts one service again, and others are started beside it",
                "let the scenario have one `[service]`",
            )
        } else if rest.has_faults {
            ("`fresh` starts the service again for each round, which faults would come into", "leave `[[fault]]` out")
        } else if rest.has_numbers || rest.observe.is_some_and(|observe| observe.elements().is_some()) {
            (
                "rules about numbers and elements are read from one database",
                "say it as an aggregation: `[[invariant]]` with a `pipeline`",
            )
        } else {
            return Some(Some(fresh));
        };
        self.note(Problem::at(word.span(), problem.0).help(problem.1))
    }
}
