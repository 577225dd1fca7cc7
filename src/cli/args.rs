//! What can be typed. Nothing below `cli` knows of it. What runs something is here; what looks at stored runs is in `stored`,
//! what tells of the program itself in `about`.

mod about;
mod stored;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub use self::about::{CompletionsArgs, ExplainArgs, ManArgs, SchemaArgs, SchemaKind};
pub use self::stored::{CheckArgs, CompareArgs, ExportArgs, ExportFormat, ReportArgs};

use super::values::{Ci, Format, faults, judges, parse_database, parse_delay, parse_duration, parse_members, searches};
use crate::explore::schedule::Schedule;
use crate::scenario::{FaultKind, JudgeKind, SearchKind};
use crate::strategy::InjectedDelay;

/// Variables by which an instance of the service is told its secrets.
pub(super) const MONGO_ENV: &str = "ONLYONE_MONGO_URI";
pub(super) const PASSWORD_ENV: &str = "ONLYONE_SERVE_PASSWORD";
pub(super) const TOKENS_ENV: &str = "ONLYONE_SERVE_TOKENS";

/// What `--dry-run` means for `explore`, which has no plan of requests before they are tried.
const EXPLORE_DRY_RUN: &str =
    "Print the resolved plan and explore nothing; requests without a scenario are tried first";

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
    /// Profile of `onlyone.toml` whose options count
    #[arg(long = "use", id = "use", global = true, value_name = "PROFILE", env = "ONLYONE_USE")]
    pub profile: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios, check what came of them, and report
    Run(RunArgs),
    /// Release the commands of concurrent requests in chosen orders: every interleaving, a sample, or one again
    Explore(Box<ExploreArgs>),
    /// Write a scenario from a curl line, a HAR file, an OpenAPI document or a Postman collection, by trying the requests
    Init(super::init::InitArgs),
    /// Prove that the harness can fail: planted bugs must be caught, correct twins must not be accused
    Selftest(SelftestArgs),
    /// Judge a stored run again: same history, same verdict
    Check(CheckArgs),
    /// Join the shards of one run: one verdict, one report
    Merge(super::merge::MergeArgs),
    /// Print what an engine needs to start the shards of a run, and then the merge
    Manifest(super::manifest::ManifestArgs),
    /// Look for violations in a database that exists, without writing to it
    Audit(super::audit::AuditArgs),
    /// Plan the repair of what an audit finds, or apply it with a backup, or restore that
    Repair(super::repair::RepairArgs),
    /// Make a practice database with known defects
    Seed(super::seed::SeedArgs),
    /// Run the reference chat service, a target to practise on, and print its URL
    Serve(ServeArgs),
    /// Write the reports of a stored run again
    Report(ReportArgs),
    /// Compare two stored runs: is the new one slower or less correct, beyond noise?
    Compare(CompareArgs),
    /// Write the history of a stored run in the form of another checker
    Export(ExportArgs),
    /// Explain a name in a report: an invariant, a lint rule, a planted bug or an exit code
    Explain(ExplainArgs),
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
    /// Send one request of each operation, hold it against the scenario's description, and show that table alone
    #[arg(long, conflicts_with_all = ["live", "events", "otlp", "prometheus"])]
    pub probe: bool,
    /// Search for the highest rate of `[load.open]` at which the thresholds hold: a run at one rate after another
    #[arg(long, conflicts_with_all = ["probe", "shard", "live", "events", "otlp", "prometheus"])]
    pub find_limit: bool,
    /// Carry out one part of the run, together with other processes: `0/4` to `3/4`, or `auto`, which asks the environment
    #[arg(long, value_name = "I/N", conflicts_with = "probe")]
    pub shard: Option<super::shards::ShardChoice>,
    /// Where shards meet: a MongoDB or a shared folder; by default the MongoDB of the run
    #[arg(long, value_name = "URI|DIR", visible_alias = "meet", hide_env_values = true)]
    pub rendezvous: Option<String>,
    /// How long a shard waits for the others before the load
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_duration)]
    pub shards_within: Duration,
    /// Where it is followed
    #[command(flatten)]
    pub telemetry: super::telemetry::TelemetryArgs,
    /// Flags that every run-like command shares
    #[command(flatten)]
    pub common: Common,
}

/// Flags that every run-like command shares.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// MongoDB to run against; `embedded` starts a private one
    #[arg(long, value_name = "URI", env = MONGO_ENV, default_value = "embedded", hide_env_values = true)]
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

/// `onlyone explore`.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("dry_run", |arg| arg.help(EXPLORE_DRY_RUN)))]
pub struct ExploreArgs {
    /// Scenario file; without one, name requests (`--curl`, …) and after `--` the command that starts the service
    #[arg(value_name = "SCENARIO", required_unless_present = "requests_of", conflicts_with = "requests_of")]
    pub scenario: Option<PathBuf>,
    /// Requests, where there is no file
    #[command(flatten)]
    pub sources: super::init::Sources,
    /// Write the scenario that does it again into this file, too
    #[arg(long, value_name = "FILE", requires = "requests_of")]
    pub save: Option<PathBuf>,
    /// Explore a service that runs already: its database is offered at this port of this machine, and the service must be
    /// pointed there
    #[arg(long, value_name = "PORT", conflicts_with = "requests_of", value_parser = clap::value_parser!(u16).range(1..))]
    pub attach: Option<u16>,
    /// Requests that come together; by default what the scenario says, or one per operation, or 2
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub requests: Option<u8>,
    /// What the requests do, in turn, as in `expand-thread,resign-admin`; by default what the workload's race is about
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub operations: Vec<String>,
    /// Explore every choice of the operations, equal ones included, and end with a matrix; the default where a scenario has
    /// several operations of its own and does not say which of them meet
    #[arg(long, conflicts_with = "schedule")]
    pub pairs: bool,
    /// How schedules are chosen; by default what the scenario says, or `exhaustive`
    #[arg(long, value_parser = searches())]
    pub search: Option<SearchKind>,
    /// What judges: the checkers, the serial runs of the same requests and nothing else, or both; by default what the scenario
    /// says, or both for operations of one's own without an invariant, else the checkers
    #[arg(long, value_parser = judges())]
    pub judge: Option<JudgeKind>,
    /// As if serial: refused requests and mixed answers violate as well
    #[arg(long)]
    pub strict: bool,
    /// What happens to a request's commands, once in an execution and in every interleaving, as in `crash,lost-answer`; by
    /// default what the scenario says, or nothing
    #[arg(long, value_name = "FAULTS", value_delimiter = ',', value_parser = faults())]
    pub faults: Vec<FaultKind>,
    /// Deliver a request that a fault touched and that was not answered well once more, as a webhook or a queue does
    #[arg(long)]
    pub redeliver: bool,
    /// Orderings that must come together for the bug that `pct` looks for
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub depth: u8,
    /// Carry out this schedule and no other, as in "1 2 1 2"
    #[arg(long)]
    pub schedule: Option<Schedule>,
    /// So many of its requests come first, one after another: no serial order in which they come later explains the others
    #[arg(long, value_name = "N", requires = "schedule")]
    pub in_turn: Option<usize>,
    /// How often the schedule is carried out
    #[arg(long, default_value_t = 1, requires = "schedule")]
    pub times: u32,
    /// Executions after which the search ends; by default 10000, or of a search by chance what it needs
    #[arg(long)]
    pub max_schedules: Option<u32>,
    /// Time after which the search ends; what it found is judged after that
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    pub max_time: Duration,
    /// Explore equivalent interleavings, too
    #[arg(long)]
    pub no_reduction: bool,
    /// Carry each schedule out twice and compare: requests that are not deterministic show
    #[arg(long, conflicts_with = "schedule")]
    pub twice: bool,
    /// Where it is followed
    #[command(flatten)]
    pub telemetry: super::telemetry::TelemetryArgs,
    /// Flags that every run-like command shares
    #[command(flatten)]
    pub common: Common,
}

/// `onlyone selftest`.
#[derive(Debug, Args)]
pub struct SelftestArgs {
    /// Plant only bugs of these kinds, as in `C1`; all when not given
    #[arg(long, value_name = "ID")]
    pub bug: Vec<String>,
    /// Also explore the bugs that need a fault (a crash, a lost answer), crafted data, other indexes or other requests
    #[arg(long)]
    pub faults: bool,
    /// Database of the trials
    #[arg(long, value_name = "NAME", default_value = "onlyone_selftest", value_parser = parse_database)]
    pub database: String,
    /// Flags that every run-like command shares
    #[command(flatten)]
    pub common: Common,
}

/// `onlyone serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// MongoDB that it keeps its data in; `embedded` starts a private one
    #[arg(long, value_name = "URI", env = MONGO_ENV, default_value = "embedded", hide_env_values = true)]
    pub mongo: String,
    /// Members of the embedded server's replica set: 0 is a standalone server
    #[arg(long, value_name = "MEMBERS", default_value_t = 0, value_parser = parse_members)]
    pub replica_set: u8,
    /// Database that it keeps its data in
    #[arg(long, value_name = "NAME", default_value = "onlyone_service", value_parser = parse_database)]
    pub database: String,
    /// Port on 127.0.0.1; further instances take the ports after it. 0 is any free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// How an endpoint is carried out, as in `create-or-get=find-then-insert`; correct if not given
    #[arg(long, value_name = "WORKLOAD=STRATEGY")]
    pub strategy: Vec<String>,
    /// Whether unique indexes stand behind the strategies
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub unique_index: bool,
    /// No unique indexes: `--unique-index false`
    #[arg(long)]
    pub no_unique_index: bool,
    /// Processes of the service on the one database, each with a port of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub instances: u16,
    /// Pauses after the commands of a request, which widen the windows of races: `read=2ms,write=500us`
    #[arg(long, value_name = "DELAYS", value_parser = parse_delay)]
    pub delay: Option<InjectedDelay>,
    /// Connections of each instance to MongoDB, made before the first request
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub pool: u32,
    /// Plant the bug of this kind, as in `C7`, at `POST /planted/…`, and nothing else
    #[arg(long, value_name = "ID", hide = true)]
    pub planted: Option<String>,
    /// The correct control of that bug instead of it
    #[arg(long, requires = "planted", hide = true)]
    pub planted_control: bool,
    /// Password that log-in asks for; without it, any will do
    #[arg(long, env = PASSWORD_ENV, hide_env_values = true)]
    pub password: Option<String>,
    /// What tokens are made with, so that instances take each other's
    #[arg(long, env = TOKENS_ENV, hide = true, hide_env_values = true)]
    pub tokens: Option<String>,
    /// Nothing on stderr but errors
    #[arg(long)]
    pub quiet: bool,
    /// Allow a MongoDB on this host, which is not this machine
    #[arg(long, value_name = "HOST")]
    pub allow_target: Vec<String>,
    /// Allow a database whose name does not begin with `onlyone_`
    #[arg(long, value_name = "NAME")]
    pub allow_database: Vec<String>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
