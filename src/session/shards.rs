//! The part that one process has in a run of several, from its set-up to the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::SessionError;
use super::environment::Lost;
use crate::assess::RunRecord;
use crate::driver::{Plan, Recorded};
use crate::scenario::Scenario;
use crate::shard::{Leaving, Meeting, Parted, Shard, ShardRecord, ShardState};

/// How long the others may take to end what they are at, beyond the deadline of an operation and the drain.
const QUIET_SLACK: Duration = Duration::from_secs(15);

/// Name of a run's folder.
pub(crate) fn folder(run_id: &str, shard: Option<Shard>) -> String {
    shard.map_or_else(|| run_id.to_owned(), |Shard { index, of }| format!("{run_id}.shard-{index}-of-{of}"))
}

/// What `run.json` says of a shard before the run.
pub(crate) fn record(scenario: &Scenario, meeting: &Meeting) -> ShardRecord {
    let shard = meeting.shard();
    let clients = shard.share(scenario.load.clients().into());
    let clients = u32::try_from(clients).unwrap_or(u32::MAX);
    ShardRecord { clients, meeting: meeting.name(), state: ShardState::Whole, ..ShardRecord::missing(shard) }
}

/// Waits until what is set up once is there, before this shard sets up the rest; the first shard waits for nobody.
pub(crate) async fn before_set_up(meeting: Option<&Arc<Meeting>>) -> Result<(), SessionError> {
    match meeting {
        Some(meeting) if !meeting.shard().leads() => meeting.prepared().await.map_err(SessionError::setup),
        _ => Ok(()),
    }
}

/// Says that it is there.
pub(crate) async fn after_set_up(meeting: Option<&Arc<Meeting>>) -> Result<(), SessionError> {
    match meeting {
        Some(meeting) if meeting.shard().leads() => meeting.prepared().await.map_err(SessionError::setup),
        _ => Ok(()),
    }
}

/// Tells the others why this shard cannot go on.
pub(crate) async fn give_up(meeting: Option<&Arc<Meeting>>, error: &SessionError) {
    let Some(meeting) = meeting else { return };
    let text = error.render(false);
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    // They end by their deadline if they cannot be told.
    meeting.leave(Leaving::Because(first)).await.ok();
}

/// Tells the others that this shard was interrupted before it began.
pub(crate) async fn interrupted(meeting: Option<&Arc<Meeting>>) {
    if let Some(meeting) = meeting {
        // They end by their deadline if they cannot be told.
        meeting.leave(Leaving::Because("it was interrupted".to_owned())).await.ok();
    }
}

/// Leaves the other shards when the load has ended, and notes what is known of the clock for times that count from `epoch`; what
/// readers are told.
pub(crate) async fn part(
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
pub(crate) fn note_read(record: &mut RunRecord, epoch: Option<&Instant>) {
    if let (Some(shard), Some(epoch)) = (&mut record.shard, epoch) {
        shard.observed_at_ns = u64::try_from(epoch.elapsed().as_nanos()).ok();
    }
}

/// Says that nothing of this shard is at work any more; the first waits until nothing of any is. What readers are told
/// where that is not so.
pub(crate) async fn until_quiet(meeting: Option<&Arc<Meeting>>, plan: &Plan) -> Option<String> {
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
pub(crate) async fn end(meeting: &Meeting) -> Option<String> {
    meeting.end().await.err().map(|parted| format!("what the shards wrote where they met is still there: {parted}"))
}

fn told(parted: Parted) -> String {
    parted.to_string()
}
