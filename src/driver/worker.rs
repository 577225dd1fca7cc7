//! The worker: carries out one client's operations, one at a time, and records them.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use super::closing::{LastKeys, LastKeysOfAll};
use super::recorder::{Buffer, Message, Recorder};
use super::silence::Silence;
use crate::history::{Cause, Late, Nanos, OpId, Operation, Outcome, Phase};
use crate::shard::{Meeting, Parted, Shard};
use crate::target::{Completion, Invocation, Staged, Target};
use crate::workload::{KeyTable, Position, Workload};

/// What all workers of a run share; none of it is written on the hot path.
pub(super) struct Shared {
    pub(super) target: Arc<dyn Target>,
    pub(super) workload: Arc<dyn Workload>,
    pub(super) keys: KeyTable,
    /// Zero of the run's times.
    pub(super) epoch: Instant,
    pub(super) deadline: Duration,
    /// Stop issuing.
    pub(super) stop: CancellationToken,
    /// Stop waiting for answers.
    pub(super) abandon: CancellationToken,
    /// The next number for a client whose operation became unknown.
    pub(super) next_client: AtomicU32,
    /// Operations that missed their deadline and go on in the background.
    pub(super) stragglers: std::sync::Mutex<JoinSet<()>>,
    pub(super) seed: u64,
    /// Number of the first operation of the main phase.
    pub(super) first_main: u64,
    /// Which kinds of operations are answered at all.
    pub(super) silence: Silence,
    /// On which keys somebody was served at last.
    pub(super) last_keys: LastKeysOfAll,
    /// Where the other shards of the run are met, if there are any.
    pub(super) meeting: Option<Arc<Meeting>>,
    /// Why the load ended without them.
    pub(super) parted: OnceLock<String>,
    /// The round after the last that clients of this process came to.
    pub(super) next_round: AtomicU32,
}

/// How long another shard may take beyond the deadline of an operation.
const SHARD_SLACK: Duration = Duration::from_secs(5);

/// How long others may take to come to a round. In those since the last of this process they were at work without it.
fn patience(deadline: Duration, next: u32, round: u32) -> Duration {
    (deadline + SHARD_SLACK).saturating_mul(round.saturating_sub(next).saturating_add(1))
}

impl Shared {
    /// Which shard this process is, if it is one.
    pub(super) fn shard(&self) -> Option<Shard> {
        self.meeting.as_ref().map(|meeting| meeting.shard())
    }

    /// Whether this process does what is done once.
    pub(super) fn leads(&self) -> bool {
        self.shard().is_none_or(Shard::leads)
    }

    /// Whether this client is one of this process.
    pub(super) fn owns(&self, client: u32) -> bool {
        self.shard().is_none_or(|shard| shard.owns(client.into()))
    }

    /// How many of so many clients are.
    pub(super) fn share(&self, clients: u32) -> u32 {
        self.shard().map_or(clients, |shard| u32::try_from(shard.share(clients.into())).unwrap_or(clients))
    }

    /// When the load begins, once all shards are ready; `None` ends it.
    pub(super) async fn begin(&self) -> Option<Instant> {
        match &self.meeting {
            None => Some(Instant::now()),
            Some(meeting) => {
                let control = self.deadline.saturating_mul(u32::try_from(self.first_main).unwrap_or(u32::MAX));
                self.agreed(meeting.start(control).await)
            }
        }
    }

    /// When this round is released, once all its clients are there, in all shards that have some; `None` ends the load.
    pub(super) async fn moment(&self, round: u32, clients: u32) -> Option<Instant> {
        match &self.meeting {
            None => Some(Instant::now()),
            Some(meeting) => {
                let participants = meeting.shard().of.min(clients);
                let next = self.next_round.swap(round.saturating_add(1), Ordering::Relaxed);
                self.agreed(meeting.round(round, participants, patience(self.deadline, next, round)).await)
            }
        }
    }

    fn agreed(&self, moment: Result<Instant, Parted>) -> Option<Instant> {
        match moment {
            Ok(moment) => return Some(moment),
            Err(Parted::Stopped | Parted::Enough { .. }) => {}
            Err(parted) => _ = self.parted.set(parted.to_string()),
        }
        self.stop.cancel();
        None
    }

    /// Nanoseconds since the start of the run.
    pub(super) fn at(&self, instant: Instant) -> Nanos {
        Nanos::try_from(instant.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(Nanos::MAX - 1)
    }

    /// The random stream with this number.
    pub(super) fn random(&self, stream: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(stream);
        random
    }
}

/// One operation to carry out.
#[derive(Debug, Clone, Copy)]
pub(super) struct OperationSlot {
    pub(super) op: u64,
    pub(super) position: Position,
    /// Number of the key.
    pub(super) key: u32,
    /// When the load wants it to start.
    pub(super) intended: Instant,
}

/// Waits for deadlines with one timer for all of a client's operations: setting one for each would cost more than
/// recording it.
struct DeadlineTimer {
    timer: Pin<Box<Sleep>>,
    abandon: CancellationToken,
}

/// Why an answer is no longer waited for.
enum Exhausted {
    Deadline,
    Abandoned,
}

impl DeadlineTimer {
    /// How late an abandoned run is noticed at most.
    const TICK: Duration = Duration::from_millis(100);

    fn new(shared: &Shared) -> Self {
        DeadlineTimer { timer: Box::pin(tokio::time::sleep(Self::TICK)), abandon: shared.abandon.clone() }
    }

    /// Ready when the deadline has passed or the run is abandoned, which is looked at once a tick.
    fn poll_exhausted(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<Exhausted> {
        while self.timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            if now >= deadline {
                return Poll::Ready(Exhausted::Deadline);
            }
            if self.abandon.is_cancelled() {
                return Poll::Ready(Exhausted::Abandoned);
            }
            self.timer.as_mut().reset(deadline.min(now + Self::TICK).into());
        }
        Poll::Pending
    }
}

/// An operation of which a byte may be out.
struct Begun {
    slot: OperationSlot,
    invocation: Invocation,
    invoked: Instant,
}

/// One client. It owns the operation that it is at: dropped before the answer, for whatever reason, it records it as unknown.
pub(super) struct Worker {
    begun: Option<Begun>,
    /// What came before the release of its operation took as long as an answer may.
    staged_late: bool,
    /// The last keys on which it was served and refused.
    last_keys: LastKeys,
    /// Kinds of operations that were answered to it.
    heard: Vec<String>,
    patience: DeadlineTimer,
    shared: Arc<Shared>,
    buffer: Buffer,
    to_recorder: Sender<Message>,
    /// Its logical number, replaced after an unknown outcome.
    client: u32,
    /// Its own stream of randomness.
    pub(super) random: ChaCha8Rng,
}

impl Worker {
    /// The client at this position.
    pub(super) fn new(shared: Arc<Shared>, client: u32, recorder: &Recorder) -> Self {
        let random = shared.random(u64::from(client));
        Worker {
            begun: None,
            staged_late: false,
            last_keys: LastKeys::default(),
            heard: Vec::new(),
            patience: DeadlineTimer::new(&shared),
            buffer: Buffer::new(recorder.sender(), recorder.backlog()),
            to_recorder: recorder.sender(),
            client,
            random,
            shared,
        }
    }

    /// Carries out one operation and records it.
    pub(super) async fn execute(&mut self, slot: OperationSlot) {
        let invocation = self.invocation(slot);
        let finish = self.shared.target.apply(invocation.clone());
        self.finish(slot, invocation, Staged { sent: None, finish }).await;
    }

    /// Does what can be done of an operation ahead of its release; the rest is for [`Worker::finish`].
    pub(super) async fn stage(&mut self, slot: OperationSlot) -> (Invocation, Staged) {
        let invocation = self.invocation(slot);
        let begin = Instant::now();
        self.begun = Some(Begun { slot, invocation: invocation.clone(), invoked: begin });
        let staging = self.shared.target.stage(invocation.clone());
        let staged = tokio::select! {
            staged = tokio::time::timeout(self.shared.deadline, staging) => {
                staged.map_err(|_| format!("within {:?}", self.shared.deadline))
            }
            () = self.shared.abandon.cancelled() => Err("before the run ended early".to_owned()),
        };
        let staged = staged.unwrap_or_else(|when| {
            let cause = Cause::new(format!("it could not be made ready for its release {when}"));
            let completion =
                Completion { outcome: Outcome::Unknown(cause), connected: None, attempts: 1, answer: None };
            // Some of it may be out already.
            Staged { sent: Some(begin), finish: Box::pin(std::future::ready(completion)) }
        });
        // A log-in that is never answered comes before anything is sent.
        self.staged_late = begin.elapsed() >= self.shared.deadline * 9 / 10;
        // What was not sent has no effect, whatever becomes of its owner.
        self.begun = staged.sent.map(|invoked| Begun { slot, invocation: invocation.clone(), invoked });
        (invocation, staged)
    }

    /// The operation of a slot.
    fn invocation(&mut self, slot: OperationSlot) -> Invocation {
        let workload = &self.shared.workload;
        let action = workload.action(slot.position, &mut self.random);
        let key = workload.own_key(&action, slot.position, self.shared.keys.get(slot.position.phase, slot.key));
        Invocation { id: OpId(slot.op), client: self.client, phase: slot.position.phase, key, action }
    }

    /// Carries out the rest of an operation and records it.
    pub(super) async fn finish(&mut self, slot: OperationSlot, invocation: Invocation, staged: Staged) {
        let invoked = staged.sent.unwrap_or_else(Instant::now);
        let id = invocation.id;
        self.begun = Some(Begun { slot, invocation, invoked });
        let answer = self.answer(staged.finish, id, invoked).await;
        if let Some(begun) = self.begun.take()
            && self.record(begun, answer)
        {
            self.buffer.room().await;
        }
    }

    /// Hands an operation over with what came of it; true where the recorder is to be waited for.
    fn record(&mut self, begun: Begun, answer: Completion) -> bool {
        let completed = Instant::now();
        let Begun { slot, invocation: Invocation { id, client, phase, key, action }, invoked } = begun;
        let record = Operation {
            id,
            client,
            round: slot.position.round,
            phase,
            key,
            action,
            intended: self.shared.at(slot.intended),
            invoked: self.shared.at(invoked),
            connected: answer.connected.map(|connected| self.shared.at(connected)),
            completed: self.shared.at(completed),
            attempts: answer.attempts,
            outcome: answer.outcome,
            late: None,
        };
        self.last_keys.meet(&record, slot.key);
        if record.is_unknown() {
            // Its effect may still come: whoever asks next must not be taken for the same client.
            let apart = self.shared.shard().map_or(1, |shard| shard.of);
            self.client = self.shared.next_client.fetch_add(apart, Ordering::Relaxed);
        }
        let late = std::mem::take(&mut self.staged_late) || completed - invoked >= self.shared.deadline * 9 / 10;
        let missed = match &record.outcome {
            Outcome::Failed(cause) | Outcome::Unknown(cause) if late => Some(&*cause.message),
            _ => None,
        };
        self.note(record.action.name(), missed);
        self.buffer.push(record, completed)
    }

    /// Takes note of whether operations of this kind are answered. If one missed its deadline and none ever was, the run ends.
    fn note(&mut self, name: &str, missed: Option<&str>) {
        let Shared { silence, stop, .. } = &*self.shared;
        if let Some(why) = missed {
            if silence.falls(name, why) {
                stop.cancel();
            }
        } else if !self.heard.iter().any(|heard| heard == name) {
            silence.broken(name);
            self.heard.push(name.to_owned());
        }
    }

    /// The operation's answer, or an unknown one when it misses its deadline. It then goes on in the background: a
    /// dropped future would still happen on the server.
    async fn answer(
        &mut self,
        mut operation: futures::future::BoxFuture<'static, Completion>,
        id: OpId,
        invoked: Instant,
    ) -> Completion {
        let deadline = invoked + self.shared.deadline;
        let patience = &mut self.patience;
        let ended = poll_fn(|context| match operation.poll_unpin(context) {
            Poll::Ready(completion) => Poll::Ready(Ok(completion)),
            Poll::Pending => patience.poll_exhausted(context, deadline).map(Err),
        });
        match ended.await {
            Ok(completion) => completion,
            Err(exhausted) => {
                let why = match exhausted {
                    Exhausted::Deadline => {
                        format!("no answer within {:?}, which is `limits.operation_deadline`", self.shared.deadline)
                    }
                    Exhausted::Abandoned => "no answer before the run ended early".to_owned(),
                };
                self.outlive(operation, id);
                Completion { outcome: Outcome::Unknown(Cause::new(why)), connected: None, attempts: 1, answer: None }
            }
        }
    }

    fn outlive(&self, operation: futures::future::BoxFuture<'static, Completion>, id: OpId) {
        let (to_recorder, shared) = (self.to_recorder.clone(), Arc::clone(&self.shared));
        let mut stragglers = self.shared.stragglers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        stragglers.spawn(async move {
            let completion = operation.await;
            let late = Late { completed: shared.at(Instant::now()), outcome: completion.outcome };
            // The recorder may have ended already; then the operation stays unknown, which is true.
            to_recorder.send(Message::Late(id, Box::new(late))).ok();
        });
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take() {
            let outcome = Outcome::Unknown(Cause::new("the run ended before its answer"));
            self.record(begun, Completion { outcome, connected: None, attempts: 1, answer: None });
        }
        self.shared.last_keys.join(self.last_keys);
    }
}

/// The control's operation with this number: a few clients in turn, several operations on each key.
pub(super) fn control_slot(number: u32, clients: u32) -> OperationSlot {
    let key = number / clients;
    let position = Position { phase: Phase::Control, client: number % clients, round: number, key, fresh: false };
    OperationSlot { op: u64::from(number), position, key, intended: Instant::now() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_had_no_client_in_some_rounds_waits_for_those_who_had() {
        let deadline = Duration::from_secs(1);
        let one = deadline + SHARD_SLACK;
        // The first round, the next one, and one after ninety in which this process had nobody.
        for (next, round, expected) in [(0, 0, one), (7, 7, one), (10, 100, 91 * one), (u32::MAX, 0, one)] {
            assert_eq!(patience(deadline, next, round), expected, "{next} {round}");
        }
    }
}
