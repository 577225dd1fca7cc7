//! `onlyone seed`: a practice database whose defects are known.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::database::{AllowArgs, DatabaseArgs};
use super::progress::{Counted, Extent, ProgressLine};
use super::values::Format;
use super::{CliError, Io};
use crate::audit::{SeedSpec, seed_watched};
use crate::report::plural;
use crate::verdict::ExitStatus;

/// `onlyone seed`.
#[derive(Debug, Args)]
pub struct SeedArgs {
    /// The database and the profile
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Documents in all
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub documents: u64,
    /// Documents that duplicate another; of a profile without a key, array elements that do
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub duplicates: u64,
    /// Messages of each document
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub messages: u64,
    /// Documents without the key
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub missing_keys: u64,
    /// Documents whose key names the participants in the wrong order
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub wrong_keys: u64,
    /// Array elements that repeat an earlier one
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub repeats: u64,
    /// Referring documents whose document is gone
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub orphans: u64,
    /// Root of the randomness
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What may be written to
    #[command(flatten)]
    pub allow: AllowArgs,
}

/// Fills the collections and prints the known answer.
pub(super) async fn run(args: &SeedArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let opened = args.database.open(Some(&args.allow)).await?;
    let spec = SeedSpec {
        documents: args.documents,
        duplicates: args.duplicates,
        messages: args.messages,
        missing_keys: args.missing_keys,
        wrong_keys: args.wrong_keys,
        repeats: args.repeats,
        orphans: args.orphans,
        seed: args.seed,
    };
    let progress = Arc::default();
    let line = ProgressLine::start(Counted::Work(Arc::clone(&progress)), Extent::default(), io.err_terminal, false);
    let seeded = seed_watched(&opened.database, &opened.profile, &spec, &progress).await;
    let seeded = seeded.map_err(|error| opened.error(error));
    drop(line);
    opened.close().await;
    let seeded = seeded?;
    let text = match args.database.format {
        Format::Json => format!("{}\n", json!({ "written": seeded.written, "expected": seeded.expected })),
        Format::Human => {
            let written =
                seeded.written.iter().map(|(name, count)| format!("wrote {} to {name}\n", plural(*count, "document")));
            let expected = seeded.expected.iter().map(|(kind, count)| format!("an audit must find: {kind} {count}\n"));
            written.chain(expected).collect()
        }
    };
    io.result(&text).map_err(CliError::setup)?;
    Ok(ExitStatus::Holds)
}
