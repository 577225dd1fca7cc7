//! What can be typed. Nothing below `cli` knows of it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Exit codes, for `--help`.
const EXIT_CODES: &str = "\
Exit codes:
  0    every invariant holds (or the scenario's expectation is met)
  1    an invariant is violated (or another verdict was expected)
  2    wrong usage or scenario
  3    inconclusive: nothing or too little was checked
  4    set-up failed: target unreachable, no mongod, refused by the safety guard
  5    a threshold is breached while the invariants hold
  130  interrupted";

/// Fires truly concurrent operations at a MongoDB-backed service and proves that only one document came of it.
#[derive(Debug, Parser)]
#[command(name = "onlyone", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios, check what came of them, and report
    Run(RunArgs),
    /// Judge a stored run again: same history, same verdict
    Check(CheckArgs),
    /// Write the reports of a stored run again
    Report(ReportArgs),
    /// Compare two stored runs: is the new one slower or less correct, beyond noise?
    Compare(CompareArgs),
    /// Write the history of a stored run in the form of another checker
    Export(ExportArgs),
    /// Run the embedded mongod in the foreground and print its URI
    Mongod(MongodArgs),
    /// Print the JSON Schema of scenario files or of report.json
    Schema(SchemaArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
}

/// `onlyone run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Scenario files
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    /// Flags that every run-like command shares
    #[command(flatten)]
    pub common: Common,
}

/// Flags that every run-like command shares.
#[derive(Debug, Args)]
pub struct Common {
    /// MongoDB to run against; `embedded` starts a private one
    #[arg(long, value_name = "URI", env = "ONLYONE_MONGO_URI", default_value = "embedded", hide_env_values = true)]
    pub mongo: String,
    /// Override a key of the scenario, as in `load.burst.clients=8`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Root of all randomness; drawn and printed when not given
    #[arg(long)]
    pub seed: Option<u64>,
    /// Folder of the reports
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub out: PathBuf,
    /// Name of the run and of its folder; made from the time when not given
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// No progress on stderr
    #[arg(long)]
    pub quiet: bool,
    /// For whom results are announced beside the files: on GitHub, the step summary and annotations
    #[arg(long, value_enum, default_value_t = Ci::Auto)]
    pub ci: Ci,
    /// Print the resolved plan and run nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Allow load on this host, which is not this machine
    #[arg(long, value_name = "HOST")]
    pub allow_target: Vec<String>,
    /// Allow a database whose name does not begin with `onlyone_`
    #[arg(long, value_name = "NAME")]
    pub allow_database: Vec<String>,
}

/// The CI service that a run announces its result to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ci {
    /// The one that this process runs on, if it is known.
    Auto,
    /// None.
    None,
    /// GitHub Actions.
    Github,
}

/// Form of the result on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A summary to read.
    Human,
    /// The object of `report.json`, and nothing else.
    Json,
}

/// `onlyone check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Folder of a run
    #[arg(value_name = "RUN_DIR")]
    pub run_dir: PathBuf,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}

/// `onlyone report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Folder of a run
    #[arg(value_name = "RUN_DIR")]
    pub run_dir: PathBuf,
    /// Judge the stored history again, and report that; otherwise report.json is what counts
    #[arg(long)]
    pub judge: bool,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}

/// `onlyone compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Folder of the run to compare with
    #[arg(value_name = "BASE_DIR")]
    pub base: PathBuf,
    /// Folder of the new run
    #[arg(value_name = "NEW_DIR")]
    pub new: PathBuf,
    /// A difference in latency or throughput up to this share counts for nothing
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = parse_share)]
    pub threshold: f64,
    /// Compare runs of different scenarios, clients or machines
    #[arg(long)]
    pub force: bool,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}

/// `onlyone export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Folder of a run
    #[arg(value_name = "RUN_DIR")]
    pub run_dir: PathBuf,
    /// Form of the history
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    /// File to write; stdout when not given
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Form of an exported history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// EDN for Elle, one operation per line.
    ElleEdn,
    /// The same as a JSON array, for elle-cli.
    ElleJson,
    /// JSON in the shape of Porcupine's `[]Operation`.
    PorcupineJson,
}

/// `onlyone schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of what
    #[arg(value_enum)]
    pub kind: SchemaKind,
}

/// What has a JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaKind {
    /// The scenario file.
    Scenario,
    /// `report.json`.
    Report,
}

/// `onlyone completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `onlyone man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Command whose page is wanted; the program's when not given
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
    /// Write the pages of all commands into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub out: Option<PathBuf>,
}

/// `onlyone mongod`.
#[derive(Debug, Args)]
pub struct MongodArgs {
    /// Members of its replica set: 0 is a standalone server
    #[arg(long, value_name = "MEMBERS", default_value_t = 0, value_parser = parse_members)]
    pub replica_set: u8,
    /// Start it with `enableTestCommands=1`, which fail points need
    #[arg(long)]
    pub test_commands: bool,
}

/// `10%` or `0.1`.
fn parse_share(text: &str) -> Result<f64, String> {
    let (number, unit) = text.trim().strip_suffix('%').map_or((text.trim(), 1.0), |percent| (percent.trim(), 100.0));
    match number.parse::<f64>().map(|number| number / unit) {
        Ok(share) if share.is_finite() && (0.0..=100.0).contains(&share) => Ok(share),
        _ => Err("write a share that is not negative, such as 10% or 0.1".to_owned()),
    }
}

fn parse_members(text: &str) -> Result<u8, String> {
    match text {
        "0" => Ok(0),
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("a replica set has 1 or 3 members; 0 is a standalone server".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn shares() {
        for (text, share) in [
            ("10%", Some(0.1)),
            ("0.1", Some(0.1)),
            (" 5 % ", Some(0.05)),
            ("0", Some(0.0)),
            ("-1%", None),
            ("x", None),
            ("NaN", None),
            ("", None),
        ] {
            assert_eq!(parse_share(text).ok(), share, "{text}");
        }
    }
}
