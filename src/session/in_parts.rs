//! A stored run whose operations are more than memory may hold: judged part by part of its keys, one after another, in this process.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::SessionError;
use super::store::{check_header, read_history, written_history};
use crate::assess::{
    Facts, Joined, Part, PartError, Recording, RunRecord, assess, indivisible, judge_part_of, scenario_of,
};
use crate::history::file::{Divided, Division, Fitting, HistoryError, Meeting, Piece, Shared, operations_within};
use crate::history::{History, KeyPart, Observation, OpId, Operation, named_elsewhere};
use crate::report::Report;
use crate::scenario::{MemorySize, Scenario};
use crate::stats::{LatencyStats, Moments};
use crate::verdict::Verdict;

/// What the operations of a piece weigh, about, if it can be chosen: so much the caches of processors hold, and what each piece costs
/// by itself is little beside what its operations cost.
const PIECE: u64 = 12 << 20;

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
    let run = (record, observation);
    let judged = match indivisible(record, observation).map_err(SessionError::usage)? {
        Some(why) => Err(Failure::Indivisible(why)),
        None => match judged(&mut divided, Meeting::Summaries, run, most) {
            Err(Failure::Damaged) => judged(&mut divided, Meeting::Operations, run, most),
            judged => judged,
        },
    };
    let why = match judged {
        Ok(judged) => return Ok(judged),
        Err(Failure::Session(error)) => return Err(error),
        Err(Failure::Indivisible(why)) => why,
        Err(Failure::TooLarge | Failure::Damaged) => "the operations on one key are more than fit".to_owned(),
    };
    // Now what is damaged has to be known.
    surveyed(&mut divided, Meeting::Operations).map_err(unreadable)?;
    unjudged(record, divided.ended(), &why, memory)
}

/// What is known of all operations.
fn surveyed(divided: &mut Divided, meeting: Meeting) -> Result<Facts, HistoryError> {
    let (mut facts, operations) = divided.survey(meeting, Facts::default, Facts::meet, Facts::joined)?;
    facts.operations = operations;
    facts.ended(divided.ended());
    Ok(facts)
}

/// Judges a run in parts, of which no more than so much is in memory at once.
fn judged(
    divided: &mut Divided,
    meeting: Meeting,
    (record, observation): (&RunRecord, Option<&Observation>),
    most: u64,
) -> Result<(Report, LatencyStats), Failure> {
    let facts = surveyed(divided, meeting)?;
    // A piece looks at all documents, which are not to cost more than its operations.
    let documents = observation.map_or(0, |observation| observation.documents.len() * size_of::<Operation>());
    let mut division = divided.division(most, PIECE.min(most / 4).max(documents as u64)).ok_or(Failure::TooLarge)?;
    let scenario = scenario_of(record).map_err(SessionError::usage)?;
    let shared = fits(divided.shared()?)?;
    let parts = Parts { divided, record, scenario, observation, facts, shared, most };
    loop {
        match parts.judged(division) {
            // Keys turned out to be divided unevenly.
            Err(Failure::TooLarge) => division = division.finer().ok_or(Failure::TooLarge)?,
            judged => return judged,
        }
    }
}

/// Why parts could not be judged.
enum Failure {
    /// They make no whole.
    Indivisible(String),
    /// They do not fit.
    TooLarge,
    /// Something is damaged, and what was gathered of all operations has that in it.
    Damaged,
    Session(SessionError),
}

fn fits<T>(read: Fitting<T>) -> Result<T, Failure> {
    match read {
        Fitting::Fits(read) => Ok(read),
        Fitting::TooLarge => Err(Failure::TooLarge),
        Fitting::Damaged => Err(Failure::Damaged),
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Failure::Session(error)
    }
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
    scenario: Scenario,
    observation: Option<&'a Observation>,
    facts: Facts,
    shared: Shared,
    /// What the operations may weigh that are read at once.
    most: u64,
}

/// Operations that some piece names and does not have, ordered by number.
type Context = Vec<Operation>;

impl Parts<'_> {
    /// The report of all parts. Groups are read and judged one after another, each by all processors: two of them at once would only
    /// take twice the memory.
    fn judged(&self, division: Division) -> Result<(Report, LatencyStats), Failure> {
        let mut all = Together { spool: Spool::new(self.divided.scratch())?, joined: None };
        let mut context: Option<Context> = None;
        for group in division.groups() {
            let judged = match self.group(self.read(group, division)?, context.as_ref())? {
                Some(judged) => judged,
                None => {
                    // All at once, because each reading meets all that there are.
                    context = Some(self.context(division)?);
                    self.group(self.read(group, division)?, context.as_ref())?.unwrap_or_default()
                }
            };
            judged.into_iter().try_for_each(|part| all.add(part))?;
        }
        let Together { spool, joined } = all;
        let (report, stats, _) = joined.ok_or(PartError::Nothing)?.conclude(spool.peak()?)?;
        Ok((report, stats))
    }

    fn read(&self, group: KeyPart, division: Division) -> Result<Vec<Piece>, Failure> {
        fits(self.divided.pieces(group, division.pieces, self.most)?)
    }

    /// Judges the pieces of a group, as many at a time as there are processors; `None` where one of them names operations that it does
    /// not have and nobody has read.
    fn group(&self, pieces: Vec<Piece>, context: Option<&Context>) -> Result<Option<Vec<Part>>, Failure> {
        let judged = pieces.into_par_iter().with_max_len(1).map(|piece| self.piece(piece, context));
        judged.collect::<Vec<Result<Option<Part>, Failure>>>().into_iter().collect()
    }

    /// Judges one of them.
    fn piece(&self, piece: Piece, context: Option<&Context>) -> Result<Option<Part>, Failure> {
        let mut history = self.divided.history(piece, &self.shared)?;
        let elsewhere = self.elsewhere(&history);
        if !elsewhere.is_empty() {
            let Some(known) = context else { return Ok(None) };
            let position = |op: &OpId| known.binary_search_by_key(op, |operation| operation.id).ok();
            let mut positions: Vec<usize> = elsewhere.iter().filter_map(position).collect();
            positions.sort_unstable();
            history.context = positions.into_iter().filter_map(|at| known.get(at)).cloned().collect();
        }
        let Parts { record, scenario, observation, facts, .. } = self;
        let run = Recording { record, history: &history, observation: *observation };
        let judged = judge_part_of(scenario, run, facts.clone()).map_err(PartError::from)?;
        self.divided.done(history);
        Ok(Some(judged))
    }

    fn elsewhere(&self, history: &History) -> FxHashSet<OpId> {
        let documents = self.observation.map_or(&[][..], |observation| &observation.documents);
        history.part.map(|part| named_elsewhere(part, &history.operations, documents)).unwrap_or_default()
    }

    /// All operations that some piece names and does not have.
    fn context(&self, division: Division) -> Result<Context, Failure> {
        let mut all = FxHashSet::default();
        for group in division.groups() {
            let named = |piece| Ok(self.elsewhere(&self.divided.history(piece, &self.shared)?));
            let named = self.read(group, division)?.into_par_iter().with_max_len(1).map(named);
            named.collect::<Result<Vec<_>, HistoryError>>()?.into_iter().for_each(|named| all.extend(named));
        }
        Ok(self.divided.some(&all, &self.shared)?)
    }
}

/// The parts that were judged so far.
struct Together {
    spool: Spool,
    joined: Option<Joined>,
}

impl Together {
    /// Adds one more.
    fn add(&mut self, part: Part) -> Result<(), Failure> {
        let moments = match &mut self.joined {
            Some(joined) => joined.add(part)?,
            None => {
                let (first, moments) = Joined::new(part)?;
                self.joined = Some(first);
                moments
            }
        };
        Ok(self.spool.add(&moments)?)
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
