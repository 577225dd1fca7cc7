//! A stored run whose operations are more than memory may hold: judged part by part of its keys, one after another, in this process.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use rustc_hash::FxHashSet;

use super::SessionError;
use super::store::{check_header, read_history, written_history};
use crate::assess::{Facts, Joined, PartError, Recording, RunRecord, assess, indivisible, judge_part};
use crate::history::file::{Divided, Fitting, HistoryError, operations_within};
use crate::history::{History, KeyPart, Observation, OpId, Operation, named_elsewhere};
use crate::report::Report;
use crate::scenario::MemorySize;
use crate::stats::{LatencyStats, Moments};
use crate::verdict::Verdict;

/// Judges the run in a folder: as a whole if that fits into so much memory, and else in parts that do. The report is the same.
pub(crate) fn judge(
    directory: &Path,
    record: &RunRecord,
    observation: Option<&Observation>,
    memory: MemorySize,
) -> Result<(Report, LatencyStats), SessionError> {
    let whole = |history: &History| assess(Recording { record, history, observation }).map_err(SessionError::usage);
    let Some(path) = written_history(directory)? else { return whole(&read_history(directory, record)?) };
    let mut divided = Divided::open(&path, directory).map_err(unreadable)?;
    check_header(&divided.header, record)?;
    let most = operations_within(memory.bytes());
    if divided.weight() <= most {
        drop(divided);
        return whole(&read_history(directory, record)?);
    }
    let mut facts = divided.survey(Facts::default, Facts::meet, Facts::joined).map_err(unreadable)?;
    facts.ended(divided.ended());
    let unjudged = |why: &str| unjudged(record, divided.ended(), why, memory);
    if let Some(why) = indivisible(record, observation).map_err(SessionError::usage)? {
        return unjudged(&why);
    }
    let parts = Parts { divided: &divided, record, observation, facts, most };
    let mut of = divided.parts_within(most);
    while let Some(number) = of {
        match parts.judged(number) {
            Ok(Some(judged)) => return Ok(judged),
            // Keys turned out to be divided unevenly.
            Ok(None) => of = divided.more_parts(number),
            Err(Failure::Indivisible(why)) => return unjudged(&why),
            Err(Failure::Session(error)) => return Err(error),
        }
    }
    unjudged("the operations on one key are more than fit")
}

/// Why parts could not be judged.
enum Failure {
    /// They make no whole.
    Indivisible(String),
    Session(SessionError),
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        Failure::Session(unreadable(error))
    }
}

impl From<PartError> for Failure {
    fn from(error: PartError) -> Self {
        match error {
            PartError::Indivisible(why) => Failure::Indivisible(why),
            other => Failure::Session(SessionError::usage(other)),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Session(unsorted(anyhow::Error::new(error).context("cannot sort operations on the disk")))
    }
}

/// What to do where nothing can be written while a run is judged.
fn unsorted(error: impl Into<anyhow::Error>) -> SessionError {
    SessionError::setup(error)
        .hint("what is judged within little memory is sorted on the disk first, in the run's folder: it must be writable, and have room")
        .hint("what was recorded is still there: once that is so, `onlyone report RUN_DIR --judge` judges it and writes its reports")
}

fn unreadable(error: HistoryError) -> SessionError {
    match &error {
        HistoryError::Io { action: "create" | "write", .. } => unsorted(error),
        _ => SessionError::usage(error),
    }
}

/// The report of a run that cannot be judged within the memory that there is: it says so and how the run ended, and nothing of its
/// operations.
fn unjudged(
    record: &RunRecord,
    ended: &History,
    why: &str,
    memory: MemorySize,
) -> Result<(Report, LatencyStats), SessionError> {
    let run = Recording { record, history: ended, observation: None };
    let (mut report, stats) = assess(run).map_err(SessionError::usage)?;
    report.verdict = report.verdict.max(Verdict::Inconclusive);
    report.reasons = vec![format!(
        "its operations were not judged within {memory}: it cannot be judged by parts of its keys ({why}); give `onlyone check` more, with --memory"
    )];
    report.reasons.extend(ended.lost.as_ref().map(ToString::to_string));
    report.reasons.extend(record.aborted.clone());
    Ok((report, stats))
}

/// A run that is judged in parts.
struct Parts<'a> {
    divided: &'a Divided,
    record: &'a RunRecord,
    observation: Option<&'a Observation>,
    facts: Facts,
    /// What the operations of one may weigh.
    most: u64,
}

impl Parts<'_> {
    /// The report of all parts; `None` where one of them is too large. While one is judged, the next is read.
    fn judged(&self, of: u32) -> Result<Option<(Report, LatencyStats)>, Failure> {
        let mut all = Together { parts: self, spool: Spool::new(self.divided.scratch())?, joined: None, context: None };
        let fit = std::thread::scope(|scope| {
            let (hand_over, histories) = sync_channel(0);
            scope.spawn(move || {
                for part in KeyPart::all(of) {
                    // Whoever no longer listens has failed, and says why.
                    if hand_over.send(self.read(part)).is_err() {
                        return;
                    }
                }
            });
            for (part, history) in KeyPart::all(of).zip(histories) {
                let Some(history) = history? else { return Ok(false) };
                if !all.add(part, history)? {
                    return Ok(false);
                }
            }
            Ok::<_, Failure>(true)
        })?;
        if !fit {
            return Ok(None);
        }
        let Together { spool, joined, .. } = all;
        let (report, stats, _) = joined.ok_or(PartError::Nothing)?.conclude(spool.peak()?)?;
        Ok(Some((report, stats)))
    }

    fn read(&self, part: KeyPart) -> Result<Option<History>, Failure> {
        Ok(match self.divided.part(part, self.most)? {
            Fitting::Fits(history) => Some(history),
            Fitting::TooLarge => None,
        })
    }

    fn elsewhere(&self, part: KeyPart, history: &History) -> FxHashSet<OpId> {
        let documents = self.observation.map_or(&[][..], |observation| &observation.documents);
        named_elsewhere(part, &history.operations, documents)
    }

    /// All operations that some part names and does not have. They are read at once, because each reading meets all that there are.
    fn context(&self, of: u32) -> Result<Option<Vec<Operation>>, Failure> {
        let mut all = FxHashSet::default();
        for part in KeyPart::all(of) {
            let Some(history) = self.read(part)? else { return Ok(None) };
            all.extend(self.elsewhere(part, &history));
        }
        Ok(Some(self.divided.some(&all)?))
    }
}

/// The parts that were judged so far.
struct Together<'a> {
    parts: &'a Parts<'a>,
    spool: Spool,
    joined: Option<Joined>,
    /// Operations that some part names and does not have, once that was asked for.
    context: Option<Vec<Operation>>,
}

impl Together<'_> {
    /// Judges one more; false where another one turned out to be too large.
    fn add(&mut self, part: KeyPart, mut history: History) -> Result<bool, Failure> {
        let elsewhere = self.parts.elsewhere(part, &history);
        if !elsewhere.is_empty() {
            if self.context.is_none() {
                self.context = self.parts.context(part.of)?;
            }
            let Some(known) = &self.context else { return Ok(false) };
            history.context = known.iter().filter(|operation| elsewhere.contains(&operation.id)).cloned().collect();
        }
        let Parts { record, observation, facts, .. } = self.parts;
        let run = Recording { record, history: &history, observation: *observation };
        let judged = judge_part(run, facts.clone()).map_err(PartError::from)?;
        drop(history);
        let moments = match &mut self.joined {
            Some(joined) => joined.add(judged)?,
            None => {
                let (first, moments) = Joined::new(judged)?;
                self.joined = Some(first);
                moments
            }
        };
        self.spool.add(&moments)?;
        Ok(true)
    }
}

/// When operations were in flight, part after part, in two files without a name: they are gone with this process, however it ends.
struct Spool {
    starts: Column,
    ends: Column,
}

struct Column {
    file: File,
    /// Where each part ends.
    ends: Vec<u64>,
}

impl Spool {
    fn new(folder: &Path) -> io::Result<Self> {
        let column = || Ok::<_, io::Error>(Column { file: tempfile::tempfile_in(folder)?, ends: Vec::new() });
        Ok(Spool { starts: column()?, ends: column()? })
    }

    fn add(&mut self, moments: &Moments) -> io::Result<()> {
        self.starts.add(&moments.starts)?;
        self.ends.add(&moments.ends)
    }

    /// The most operations in flight at one moment.
    fn peak(&self) -> io::Result<u32> {
        Moments::peak(self.starts.parts(), self.ends.parts())
    }
}

impl Column {
    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.ends.push(self.ends.last().unwrap_or(&0) + bytes.len() as u64);
        Ok(())
    }

    fn parts(&self) -> Vec<Slice<'_>> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(at, end)| Slice { file: &self.file, at, end: *end }).collect()
    }
}

/// Some bytes of a file, read from wherever others are.
struct Slice<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Slice<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(into.len());
        let read = self.file.read_at(&mut into[..left], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
#[path = "in_parts_tests.rs"]
mod tests;
