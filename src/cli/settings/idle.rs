//! Options that mean nothing without another: whoever types one is told so. A variable or the file may have it for other runs.

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::cli::CliError;

/// A command, and what means nothing there without what.
const ONLY_WITH: [(&str, &str, &str); 2] = [("run", "rendezvous", "shard"), ("run", "shards_within", "shard")];

/// What is wrong with an option that was typed without the one that it belongs to, wherever that would be given.
pub(super) fn typed_in_vain(typed: &ArgMatches, all: &ArgMatches) -> Option<CliError> {
    let ((command, typed), (_, all)) = (typed.subcommand()?, all.subcommand()?);
    let in_vain = |(of, option, needs): &&(&str, &str, &str)| {
        *of == command
            && typed.value_source(option) == Some(ValueSource::CommandLine)
            && all.value_source(needs).is_none_or(|source| source == ValueSource::DefaultValue)
    };
    let (_, option, needs) = ONLY_WITH.iter().find(in_vain)?;
    let option = option.replace('_', "-");
    let error = CliError::usage(anyhow::anyhow!("--{option} means nothing without --{needs}"));
    Some(error.hint(format!("add --{needs}, or leave --{option} out")))
}
