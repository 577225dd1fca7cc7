//! `onlyone run --shard`: the meeting with the other processes that have a part in the run.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::CliError;
use super::args::RunArgs;
use super::options::guard;
use crate::scenario::{self, Scenario, TargetSpec};
use crate::session::store::{check_run_id, fresh_run_id};
use crate::session::{check, needs_server};
use crate::shard::{Board, Folder, MeetError, Meeting, Mongo, Shard, Terms, shard_of_environment, variables};
use crate::target::{Guard, MongoUri};
use crate::workload::fnv;

/// Database in which shards meet that load a service.
const DATABASE: &str = "onlyone_shards";

/// Which shard is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardChoice {
    /// This one.
    Named(Shard),
    /// The one that the environment tells.
    Auto,
}

impl FromStr for ShardChoice {
    type Err = crate::shard::NotAShard;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" { Ok(ShardChoice::Auto) } else { text.parse().map(ShardChoice::Named) }
    }
}

/// Meets the other shards, if this is to be one.
pub(super) async fn meet(
    args: &RunArgs,
    scenarios: &[Scenario],
    seed: u64,
    stop: &CancellationToken,
) -> Result<Option<Arc<Meeting>>, CliError> {
    let shard = match args.shard {
        None => return Ok(None),
        Some(ShardChoice::Named(shard)) => shard,
        Some(ShardChoice::Auto) => shard_of_environment(&|name| std::env::var(name).ok()).map_err(|error| {
            CliError::usage(error)
                .hint(format!("name it: --shard 0/4; or start it where one of these is set: {}", variables()))
        })?,
    };
    let [scenario] = scenarios else {
        return Err(CliError::usage(anyhow::anyhow!(
            "shards carry out one scenario together, and {} are named",
            scenarios.len()
        ))
        .hint("start them again for each"));
    };
    fits(scenario, shard.of)?;
    let common = &args.common;
    if common.mongo == "embedded" && needs_server(scenario) {
        return Err(CliError::usage(anyhow::anyhow!("each shard would start a MongoDB of its own"))
            .hint("name one that all of them reach: --mongo URI; `onlyone mongod` runs one"));
    }
    let guard = guard(common);
    check(scenario, &guard)?;
    let board = board(scenario, args, &guard).await?;
    let resolved = scenario::resolved_toml(scenario).map_err(CliError::setup)?;
    let digest = fnv(0, &resolved);
    let terms = Terms {
        name: common.run_id.clone().unwrap_or_else(|| format!("{digest:016x}-{}", shard.of)),
        run_id: common.run_id.clone().or_else(|| shard.leads().then(fresh_run_id)),
        seed: common.seed.or_else(|| shard.leads().then_some(seed)),
        scenario: digest,
        within: args.shards_within,
    };
    let meeting = Meeting::open(board, shard, terms, stop).await.map_err(not_met)?;
    // It was read from where others write, too.
    check_run_id(meeting.run_id())?;
    Ok(Some(meeting))
}

/// Refuses a scenario that so many shards cannot carry out together.
pub(super) fn fits(scenario: &Scenario, of: u32) -> Result<(), CliError> {
    let clients = scenario.load.clients();
    if clients < of {
        return Err(CliError::usage(anyhow::anyhow!("the load has {clients} clients, too few for {of} shards"))
            .hint("client counts and rates of a scenario are those of all shards together"));
    }
    if !scenario.setup.is_empty() {
        return Err(CliError::usage(anyhow::anyhow!("`[[setup]]` is sent once, and each shard would send it"))
            .hint("create what must be there before the run, and name it in the scenario"));
    }
    Ok(())
}

/// Where they meet.
async fn board(scenario: &Scenario, args: &RunArgs, guard: &Guard) -> Result<Arc<dyn Board>, CliError> {
    let named = args.rendezvous.as_deref().unwrap_or(&args.common.mongo);
    if MongoUri::is_one(named) {
        let database = match &scenario.target {
            TargetSpec::Mongo(spec) if args.rendezvous.is_none() => spec.database.as_str(),
            _ => DATABASE,
        };
        return Ok(Arc::new(Mongo::open(&MongoUri::new(named), guard, database).await?));
    }
    match &args.rendezvous {
        Some(folder) => {
            let failed = |error| {
                CliError::setup(anyhow::Error::new(error).context(format!("the shards cannot meet in {folder}")))
            };
            Ok(Arc::new(Folder::open(Path::new(folder)).map_err(failed)?))
        }
        None => Err(CliError::usage(anyhow::anyhow!("the shards have no place to meet"))
            .hint("name a MongoDB or a shared folder that all of them reach: --rendezvous URI|DIR")),
    }
}

fn not_met(error: MeetError) -> CliError {
    match error {
        MeetError::Late { .. } => CliError::setup(error).hint(
            "every shard needs the same scenario, --mongo or --rendezvous, and --run-id if one is given; --shards-within says how long they wait",
        ),
        MeetError::Crowded | MeetError::Taken(_) => {
            CliError::usage(error).hint("start each number once; give each run a name of its own, the same in all its shards: --run-id ID")
        }
        MeetError::Refused { .. } => {
            CliError::usage(error).hint("start all shards with the same scenario, overrides and version; give a --seed to all or to the first")
        }
        MeetError::Unnamed | MeetError::Stopped | MeetError::Board(_) => CliError::setup(error),
    }
}
