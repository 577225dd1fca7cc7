//! `onlyone run --shard`: the part that one process has in a run, from the meeting to the end.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::CliError;
use super::args::RunArgs;
use super::place::{self, Lost, needs_server};
use super::store::{check_run_id, fresh_run_id};
use crate::assess::RunRecord;
use crate::driver::{Plan, Recorded};
use crate::scenario::{self, Scenario, TargetSpec};
use crate::shard::{
    Board, Folder, Leaving, MeetError, Meeting, Mongo, Parted, Shard, ShardRecord, ShardState, Terms,
    shard_of_environment, variables,
};
use crate::target::{Guard, MongoUri};
use crate::workload::fnv;

/// Database in which shards meet that load a service.
const DATABASE: &str = "onlyone_shards";
/// How long the others may take to end what they are at, beyond the deadline of an operation and the drain.
const QUIET_SLACK: Duration = Duration::from_secs(15);

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
    let guard = Guard { hosts: common.allow_target.clone(), databases: common.allow_database.clone() };
    place::check(scenario, &guard)?;
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

/// Name of a run's folder.
pub(super) fn folder(run_id: &str, shard: Option<Shard>) -> String {
    shard.map_or_else(|| run_id.to_owned(), |Shard { index, of }| format!("{run_id}.shard-{index}-of-{of}"))
}

/// What `run.json` says of a shard before the run.
pub(super) fn record(scenario: &Scenario, meeting: &Meeting) -> ShardRecord {
    let shard = meeting.shard();
    let clients = shard.share(scenario.load.clients().into());
    let clients = u32::try_from(clients).unwrap_or(u32::MAX);
    ShardRecord { clients, meeting: meeting.name(), state: ShardState::Whole, ..ShardRecord::missing(shard) }
}

/// Waits until what is set up once is there, before this shard sets up the rest; the first shard waits for nobody.
pub(super) async fn before_set_up(meeting: Option<&Arc<Meeting>>) -> Result<(), CliError> {
    match meeting {
        Some(meeting) if !meeting.shard().leads() => meeting.prepared().await.map_err(CliError::setup),
        _ => Ok(()),
    }
}

/// Says that it is there.
pub(super) async fn after_set_up(meeting: Option<&Arc<Meeting>>) -> Result<(), CliError> {
    match meeting {
        Some(meeting) if meeting.shard().leads() => meeting.prepared().await.map_err(CliError::setup),
        _ => Ok(()),
    }
}

/// Tells the others why this shard cannot go on.
pub(super) async fn give_up(meeting: Option<&Arc<Meeting>>, error: &CliError) {
    let Some(meeting) = meeting else { return };
    let text = error.render(false);
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    // They end by their deadline if they cannot be told.
    meeting.leave(Leaving::Because(first)).await.ok();
}

/// Tells the others that this shard was interrupted before it began.
pub(super) async fn interrupted(meeting: Option<&Arc<Meeting>>) {
    if let Some(meeting) = meeting {
        // They end by their deadline if they cannot be told.
        meeting.leave(Leaving::Because("it was interrupted".to_owned())).await.ok();
    }
}

/// Leaves the other shards when the load has ended, and notes what is known of the clock for times that count from `epoch`; what
/// readers are told.
pub(super) async fn part(
    meeting: Option<&Arc<Meeting>>,
    recorded: &Recorded,
    lost: Option<&Lost>,
    record: &mut RunRecord,
    epoch: Option<&Instant>,
) -> Vec<String> {
    let Some(meeting) = meeting else { return Vec::new() };
    let lost = lost.map(|lost| lost.reason.as_str());
    let why = match (lost.or(recorded.aborted.as_deref()), recorded.ended_early) {
        (Some(why), _) => Leaving::Because(why.to_owned()),
        (None, _) if recorded.history.interrupted => Leaving::Because("it was interrupted".to_owned()),
        (None, true) => Leaving::Enough,
        (None, false) => Leaving::Done,
    };
    let unsaid = meeting.leave(why).await.err().map(told);
    if let (Some(shard), Some(epoch)) = (&mut record.shard, epoch) {
        shard.clock = meeting.clock(*epoch).await;
    }
    unsaid.into_iter().collect()
}

/// Notes when the final state is read.
pub(super) fn note_read(record: &mut RunRecord, epoch: Option<&Instant>) {
    if let (Some(shard), Some(epoch)) = (&mut record.shard, epoch) {
        shard.observed_at_ns = u64::try_from(epoch.elapsed().as_nanos()).ok();
    }
}

/// Says that nothing of this shard is at work any more; the first waits until nothing of any is. What readers are told
/// where that is not so.
pub(super) async fn until_quiet(meeting: Option<&Arc<Meeting>>, plan: &Plan) -> Option<String> {
    let meeting = meeting?;
    if !meeting.shard().leads() {
        return meeting.is_quiet().await.err().map(told);
    }
    let within = plan.limits.operation_deadline + plan.limits.drain + QUIET_SLACK;
    match meeting.await_quiet(within).await {
        Ok(missing) if missing.is_empty() => None,
        Ok(missing) => Some(format!(
            "the final state was read without waiting any longer for {}",
            Parted::Late { shards: missing, within }
        )),
        Err(parted) => Some(told(parted)),
    }
}

/// Ends the meeting, after the final read.
pub(super) async fn end(meeting: &Meeting) -> Option<String> {
    meeting.end().await.err().map(|parted| format!("what the shards wrote where they met is still there: {parted}"))
}

fn told(parted: Parted) -> String {
    parted.to_string()
}
