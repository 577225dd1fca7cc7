//! The recorder: one thread that takes the workers' buffers, writes the history and keeps it for the checkers, as long as it fits
//! into the memory that it may take; then the history goes on in segments, and is judged from the disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::live_violations::LiveViolations;
use crate::history::file::{HistoryError, HistoryWriter};
use crate::history::{Compactor, History, Late, OpId, Operation, Outcome};
use crate::stats::StageMarks;

/// Looks on as operations are recorded, on the recorder's thread.
pub trait Watcher: std::fmt::Debug + Send + Sync {
    /// These were recorded; at the positions of `violates`, answers gave a violation away.
    fn recorded(&self, operations: &[Operation], violates: &[usize]);
}

/// Counts of what is recorded so far, for the progress line.
#[derive(Debug, Default)]
pub struct Progress {
    /// Operations recorded.
    pub operations: AtomicU64,
    /// Those that failed.
    pub failed: AtomicU64,
    /// Those that are unknown.
    pub unknown: AtomicU64,
    /// Violations that answers alone give away; the checkers find more.
    pub violations: AtomicU64,
    /// When the first operation could be sent.
    pub begun: OnceLock<Instant>,
    /// When the load began, after the serial control.
    pub load_begun: OnceLock<Instant>,
    /// Cancelled when the load begins.
    pub load_begins: CancellationToken,
    /// Cancelled when the load has ended, also where it never began.
    pub load_ends: CancellationToken,
    /// Who looks on, if anybody does.
    pub watcher: OnceLock<Box<dyn Watcher>>,
}

/// What the recorder holds when the run is over.
#[derive(Debug)]
pub struct Recorded {
    /// All operations; none where they are on the disk alone.
    pub history: History,
    /// There were more of them than memory may hold: they are in the segments of the history.
    pub divided: bool,
    /// How many there are of the load.
    pub carried_out: u64,
    /// The history file could not be written to its end. The run was stopped for it.
    pub write_error: Option<HistoryError>,
    /// The load was ended before its time because answers had shown a violation for long enough.
    pub ended_early: bool,
    /// Why the run could not go on to its end, other than by an interruption.
    pub aborted: Option<String>,
    /// Where the stages of its load lie, if it has some.
    pub stages: Option<StageMarks>,
}

pub(super) enum Message {
    Operations(Vec<Operation>),
    Late(OpId, Box<Late>),
    Interrupted,
    /// All clients have ended: nothing is missing.
    Complete,
}

/// A worker's way to the recorder: a buffer of its own, handed over when it is full or has waited long enough.
#[derive(Debug)]
pub(super) struct Buffer {
    operations: Vec<Operation>,
    flushed: Instant,
    to_recorder: Sender<Message>,
    backlog: Arc<Backlog>,
}

impl Buffer {
    const FULL: usize = 256;
    const OLD: Duration = Duration::from_millis(200);

    pub(super) fn new(to_recorder: Sender<Message>, backlog: Arc<Backlog>) -> Self {
        Buffer { operations: Vec::new(), flushed: Instant::now(), to_recorder, backlog }
    }

    /// Takes one operation; `now` is the time of its completion, which spares a clock read. True where the recorder has fallen
    /// behind: then [`Buffer::room`] is to be waited for.
    pub(super) fn push(&mut self, operation: Operation, now: Instant) -> bool {
        self.operations.push(operation);
        let due = self.operations.len() >= Self::FULL || now.duration_since(self.flushed) >= Self::OLD;
        if due {
            self.flushed = now;
            self.flush();
        }
        due && self.backlog.is_long()
    }

    /// Waits until the recorder has caught up.
    pub(super) async fn room(&self) {
        self.backlog.shrinks().await;
    }

    fn flush(&mut self) {
        if !self.operations.is_empty() {
            let operations = std::mem::take(&mut self.operations);
            self.backlog.grows(operations.len());
            // The recorder ends only when every sender is gone.
            self.to_recorder.send(Message::Operations(operations)).ok();
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The running recorder.
pub(super) struct Recorder {
    thread: JoinHandle<Recorded>,
    to_recorder: Sender<Message>,
    backlog: Arc<Backlog>,
}

impl Recorder {
    /// Starts the thread. Without a writer the history is only kept; with one, operations are kept until they weigh more than
    /// `most`. `stop` is cancelled when it cannot be written, and `enough` asked with each operation that `seen` takes for a
    /// violation.
    pub(super) fn start(
        (writer, most): (Option<HistoryWriter>, u64),
        expected: Option<u64>,
        progress: Arc<Progress>,
        stop: CancellationToken,
        (seen, enough): (LiveViolations, Enough),
    ) -> std::io::Result<Self> {
        let (to_recorder, messages) = channel();
        // Reserved memory costs nothing until it is used; growing step by step would copy.
        let reserved = expected.and_then(|expected| usize::try_from(expected.min(5_000_000)).ok()).unwrap_or(0);
        let backlog = Arc::new(Backlog::default());
        let history = History { operations: Vec::with_capacity(reserved), ..History::default() };
        let state = State {
            writer,
            most,
            divided: false,
            carried_out: 0,
            history,
            compactor: Compactor::default(),
            lates: Vec::new(),
            write_error: None,
            progress,
            seen,
            stop,
            enough,
            complete: false,
            backlog: Arc::clone(&backlog),
        };
        let thread = std::thread::Builder::new().name("recorder".to_owned()).spawn(move || state.run(&messages))?;
        Ok(Recorder { thread, to_recorder, backlog })
    }

    pub(super) fn sender(&self) -> Sender<Message> {
        self.to_recorder.clone()
    }

    /// What is on the way to the recorder.
    pub(super) fn backlog(&self) -> Arc<Backlog> {
        Arc::clone(&self.backlog)
    }

    /// Waits until all that was sent is recorded; all other senders must be gone. `None` if the thread panicked.
    pub(super) fn finish(self) -> Option<Recorded> {
        // Where the recorder is gone, joining it says so.
        self.to_recorder.send(Message::Complete).ok();
        drop(self.to_recorder);
        self.thread.join().ok()
    }
}

struct State {
    writer: Option<HistoryWriter>,
    /// What operations that are kept may weigh.
    most: u64,
    divided: bool,
    carried_out: u64,
    history: History,
    compactor: Compactor,
    lates: Vec<(OpId, Box<Late>)>,
    write_error: Option<HistoryError>,
    progress: Arc<Progress>,
    seen: LiveViolations,
    stop: CancellationToken,
    enough: Enough,
    complete: bool,
    backlog: Arc<Backlog>,
}

impl Drop for State {
    fn drop(&mut self) {
        // Nobody waits for a recorder that is gone.
        self.backlog.close();
    }
}

/// Ends a load when answers have shown a violation for some time: nothing that follows can undo it.
pub(super) struct Enough {
    /// How long it goes on after the first; `None` lets it go on to its own end.
    pub(super) after: Option<Duration>,
    /// Cancelled then.
    pub(super) end: CancellationToken,
    shown: Option<Instant>,
}

impl Enough {
    pub(super) fn new(after: Option<Duration>, end: CancellationToken) -> Self {
        Enough { after, end, shown: None }
    }

    fn note(&mut self) {
        self.shown.get_or_insert_with(Instant::now);
    }

    fn look(&self) {
        if let (Some(after), Some(shown)) = (self.after, self.shown)
            && shown.elapsed() >= after
        {
            self.end.cancel();
        }
    }
}

impl State {
    fn run(mut self, messages: &Receiver<Message>) -> Recorded {
        loop {
            match messages.recv_timeout(Duration::from_millis(250)) {
                Ok(message) => {
                    self.accept(message);
                    self.enough.look();
                }
                // A quiet moment: what is recorded should be on the disk.
                Err(RecvTimeoutError::Timeout) => {
                    self.write(HistoryWriter::flush);
                    self.enough.look();
                }
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
        }
    }

    fn accept(&mut self, message: Message) {
        match message {
            Message::Operations(operations) => {
                let mut violates = Vec::new();
                for (at, operation) in operations.iter().enumerate() {
                    if self.count(operation) {
                        violates.push(at);
                    }
                }
                if let Some(watcher) = self.progress.watcher.get() {
                    watcher.recorded(&operations, &violates);
                }
                let count = operations.len();
                operations.into_iter().for_each(|operation| self.record(operation));
                self.backlog.shrank(count);
            }
            Message::Late(op, late) => {
                self.write(|writer| writer.append_late(op, &late));
                if !self.divided {
                    self.lates.push((op, late));
                }
            }
            Message::Interrupted => self.history.interrupted = true,
            Message::Complete => self.complete = true,
        }
    }

    fn record(&mut self, operation: Operation) {
        self.carried_out += u64::from(operation.phase.is_main());
        self.write(|writer| writer.append(&operation));
        if self.divided {
            return;
        }
        self.compactor.push(&mut self.history.operations, operation);
        if self.writer.as_ref().is_some_and(|writer| writer.weight() > self.most) {
            self.divided = true;
            self.history.operations = Vec::new();
            self.compactor = Compactor::default();
            self.lates = Vec::new();
            self.write(HistoryWriter::divide);
        }
    }

    /// Counts an operation; whether its answer gives a violation away.
    fn count(&mut self, operation: &Operation) -> bool {
        self.progress.operations.fetch_add(1, Ordering::Relaxed);
        let violates = self.seen.violates(operation);
        if violates {
            self.progress.violations.fetch_add(1, Ordering::Relaxed);
            self.enough.note();
        }
        match operation.outcome {
            Outcome::Ok(_) => {}
            Outcome::Failed(_) => {
                self.progress.failed.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Unknown(_) => {
                self.progress.unknown.fetch_add(1, Ordering::Relaxed);
            }
        }
        violates
    }

    /// Writes, until the first error; that one stops the run, and is reported.
    fn write(&mut self, write: impl FnOnce(&mut HistoryWriter) -> Result<(), HistoryError>) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = write(writer)
        {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: HistoryError) {
        self.writer = None;
        self.write_error = Some(error);
        self.stop.cancel();
    }

    fn finish(mut self) -> Recorded {
        let interrupted = self.history.interrupted;
        if let Some(mut writer) = self.writer.take() {
            // A run that was dropped ended in the middle: without an end, the history says so.
            let written = if self.complete { writer.finish(interrupted).map(|_| ()) } else { writer.flush() };
            if let Err(error) = written {
                self.fail(error);
            }
        }
        self.history.operations.sort_unstable_by_key(|operation| operation.id);
        for (op, late) in std::mem::take(&mut self.lates) {
            self.history.attach(op, *late);
        }
        let ended_early = self.enough.end.is_cancelled() && !interrupted && self.write_error.is_none();
        Recorded {
            history: std::mem::take(&mut self.history),
            divided: self.divided,
            carried_out: self.carried_out,
            write_error: self.write_error.take(),
            ended_early,
            aborted: None,
            stages: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::file::{self, Header};
    use crate::history::fixture::operation;
    use crate::history::{Action, Value};

    /// What is on the disk when the recorder has ended: whether it is there in part only.
    fn recorded(end: impl FnOnce(Recorder)) -> (usize, bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let writer = HistoryWriter::create(&path, &Header::new("r")).unwrap();
        let enough = Enough::new(None, CancellationToken::new());
        let parts = (LiveViolations::default(), enough);
        let writer = (Some(writer), u64::MAX);
        let recorder = Recorder::start(writer, None, Arc::default(), CancellationToken::new(), parts).unwrap();
        let one = operation(0, "k", Action::Get, [0, 5], Outcome::Ok(Value::Found(None)));
        recorder.sender().send(Message::Operations(vec![one])).unwrap();
        end(recorder);
        let history = file::read(&path).unwrap().1;
        (history.operations.len(), history.partial)
    }

    #[test]
    fn only_a_run_that_was_finished_has_an_end() {
        assert_eq!(recorded(|recorder| assert!(recorder.finish().is_some())), (1, false));
        let dropped = |Recorder { thread, to_recorder, .. }: Recorder| {
            drop(to_recorder);
            thread.join().unwrap();
        };
        assert_eq!(recorded(dropped), (1, true));
    }
}
