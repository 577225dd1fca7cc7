//! Arguments of the commands that look at stored runs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::values::{Ci, Format, parse_share};
use crate::history::KeyPart;
use crate::scenario::MemorySize;

/// `onlyone check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Folder of a run
    #[arg(value_name = "RUN_DIR")]
    pub run_dir: PathBuf,
    /// Judge one of N parts of the keys only, and write what was found into a file for `onlyone merge`: 0/4 is the first of four
    #[arg(long, value_name = "I/N")]
    pub part: Option<KeyPart>,
    /// What operations may take in memory, such as 512MB: a longer history is judged part by part, with the same result
    #[arg(long, value_name = "SIZE", conflicts_with = "part")]
    pub memory: Option<MemorySize>,
    /// Folder for the file of a part
    #[arg(long, value_name = "DIR", default_value = "reports", requires = "part")]
    pub out: PathBuf,
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
    /// Folder of the run to compare with, and of the new run; with `--baseline`, `--save-baseline` or `--trend`, of the new run
    #[arg(required = true, num_args = 1..=2, value_names = ["BASE_DIR", "NEW_DIR"])]
    pub runs: Vec<PathBuf>,
    /// Compare with the run that is kept under this name for the same scenario
    #[arg(long, value_name = "NAME", conflicts_with_all = ["save_baseline", "trend"])]
    pub baseline: Option<String>,
    /// Keep the run under this name, as in `main`, for later comparisons of its scenario; compare nothing
    #[arg(long, value_name = "NAME", conflicts_with = "trend")]
    pub save_baseline: Option<String>,
    /// Show how the runs of the same scenario beside it went, oldest first; compare nothing
    #[arg(long)]
    pub trend: bool,
    /// A difference in latency or throughput up to this share counts for nothing
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = parse_share)]
    pub threshold: f64,
    /// Compare runs of different scenarios, clients or machines
    #[arg(long)]
    pub force: bool,
    /// Folder in which the comparison gets a folder of its own, and where baselines are kept
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub out: PathBuf,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// For whom the result is announced beside the files: on GitHub, the step summary
    #[arg(long, value_enum, default_value_t = Ci::Auto)]
    pub ci: Ci,
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
    /// A JSON array of the operations, for elle-cli.
    ElleJson,
    /// JSON in the shape of Porcupine's `[]Operation`.
    PorcupineJson,
}
