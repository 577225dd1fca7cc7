//! A history that is read part by part: [`Divided`].

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustc_hash::FxHashSet;
use tempfile::TempDir;

use super::columns::{Lates, Names};
use super::lines::{Entry, Marker};
use super::parts::{Damage, End, Files, Found, each_member, packed};
use super::reader::{Collected, attach, ordered};
use super::segment::{self, BUCKETS, Segment};
use super::{Header, HistoryError, io_error, segment_path};
use crate::history::{History, KeyPart, Late, OpId, Operation};

/// Segments that are unpacked at a time.
const AT_A_TIME: usize = 8;
/// A history is divided into no more parts than this.
const MOST_PARTS: u32 = 4096;

/// A history that lies in segments, of which the operations of any part of the keys can be read without those of all others. What
/// is there as lines alone is packed into a folder of its own first, which is removed with this.
pub(crate) struct Divided {
    pub(crate) header: Header,
    segments: Vec<Segment>,
    missing: Damage,
    end: Option<End>,
    /// What it says of itself, without an operation. Known when all of it was met.
    ended: History,
    scratch: Scratch,
}

/// Whether a part fits into the memory that there is.
pub(crate) enum Fitting {
    /// Its operations.
    Fits(History),
    /// It is larger than it may be.
    TooLarge,
}

/// Segments that are made for the reading alone.
struct Scratch {
    main: PathBuf,
    number: u32,
    segments: Vec<Segment>,
    operations: Vec<Operation>,
    lates: Lates,
    weight: u64,
    folder: TempDir,
}

impl Scratch {
    fn new(within: &Path) -> Result<Self, HistoryError> {
        let folder = tempfile::Builder::new().prefix(".onlyone-").tempdir_in(within);
        let folder = folder.map_err(|source| io_error("write", within, source))?;
        Ok(Scratch {
            main: folder.path().join("history.jsonl"),
            number: 0,
            segments: Vec::new(),
            operations: Vec::new(),
            lates: Lates::new(),
            weight: 0,
            folder,
        })
    }

    fn push(&mut self, operation: Operation, header: &Header) -> Result<(), HistoryError> {
        self.weight += operation.weight();
        self.operations.push(operation);
        if segment::is_full(self.operations.len(), self.weight) { self.seal(header) } else { Ok(()) }
    }

    fn late(&mut self, op: OpId, late: Late) {
        self.lates.push((op, late));
    }

    fn seal(&mut self, header: &Header) -> Result<(), HistoryError> {
        if self.operations.is_empty() && self.lates.is_empty() {
            return Ok(());
        }
        let path = segment_path(&self.main, self.number, true);
        let failed = |source| io_error("write", &path, source);
        let (operations, lates) = (std::mem::take(&mut self.operations), std::mem::take(&mut self.lates));
        let packed = segment::packed(header, self.number, operations, lates).map_err(failed)?;
        std::fs::write(&path, packed).map_err(failed)?;
        let opened = Segment::open(&path, &header.run_id, self.number).map_err(failed)?;
        let segment = opened.ok_or_else(|| failed(std::io::Error::other("it was changed while it was read")))?;
        self.segments.push(segment);
        (self.number, self.weight) = (self.number + 1, 0);
        Ok(())
    }
}

impl Divided {
    /// Opens the history at this path; what has to be packed for that is packed in a folder in the one that is named.
    pub(crate) fn open(path: &Path, within: &Path) -> Result<Self, HistoryError> {
        let mut scratch = Scratch::new(within)?;
        // Its header is known when the file has been read; nothing else is looked at in these.
        let header = super::lines::Lines::open(path)?.header;
        let files = Files::read(path, &mut |entry, _| match entry {
            Entry::Operation(operation) => scratch.push(*operation, &header),
            Entry::Other(Marker::Late { op, late }) => {
                scratch.late(op, late);
                Ok(())
            }
            Entry::Other(Marker::Continued { .. } | Marker::End { .. }) => Ok(()),
        })?;
        scratch.seal(&header)?;
        let Files { end, segments: found, mut missing, .. } = files;
        let mut segments = std::mem::take(&mut scratch.segments);
        let names = Names::default();
        for found in found {
            let lines = match found {
                Found::Packed(segment) => {
                    segments.push(segment);
                    continue;
                }
                lines @ Found::Lines(_) => lines,
            };
            let read = lines.read(None, &header.run_id, &names)?;
            missing.extend(read.damaged);
            read.operations.into_iter().try_for_each(|operation| scratch.push(operation, &header))?;
            read.lates.into_iter().for_each(|(op, late)| scratch.late(op, late));
            scratch.seal(&header)?;
            segments.append(&mut scratch.segments);
        }
        Ok(Divided { header, segments, missing, end, ended: History::default(), scratch })
    }

    /// The folder for what is read but once, which is removed with this.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.folder.path()
    }

    /// Meets every operation that is there, and so finds out what is missing. What is gathered of one segment is joined with
    /// that of others.
    pub(crate) fn survey<T: Send>(
        &mut self,
        new: impl Fn() -> T + Sync + Send,
        meet: impl Fn(&mut T, &Operation) + Sync + Send,
        join: impl Fn(T, T) -> T + Sync + Send,
    ) -> Result<T, HistoryError> {
        type Met<T> = (T, u64, Damage);
        // Member by member: else each processor had a whole segment in memory.
        let of_one = |segment: &Segment| -> Result<Met<T>, HistoryError> {
            let (mut gathered, mut found, mut damage) = (new(), 0_u64, Damage::default());
            let damaged = each_member(segment, None, &Names::default(), |operations, _| {
                found += operations.len() as u64;
                operations.iter().for_each(|operation| meet(&mut gathered, operation));
            })?;
            damage.extend(damaged);
            Ok((gathered, found, damage))
        };
        let joined = |one: Met<T>, other: Met<T>| {
            let mut damage = one.2;
            damage.join(other.2);
            (join(one.0, other.0), one.1 + other.1, damage)
        };
        let (gathered, found, damage) = self
            .segments
            .par_iter()
            .map(of_one)
            .try_reduce(|| (new(), 0, Damage::default()), |one, other| Ok(joined(one, other)))?;
        let mut all = self.missing.clone();
        all.join(damage);
        let lost = all.lost(self.end, found);
        if let Some(end) = self.end.filter(|end| lost.is_none() && end.operations != found) {
            let reason = format!("its end line counts {} operations, there are {found}", end.operations);
            return Err(self.damaged(reason));
        }
        self.ended = History {
            partial: self.end.is_none() || lost.is_some(),
            interrupted: self.end.is_some_and(|end| end.interrupted),
            lost,
            ..History::default()
        };
        Ok(gathered)
    }

    /// What it says of itself, without an operation.
    pub(crate) fn ended(&self) -> &History {
        &self.ended
    }

    /// What all its operations take in memory, about.
    pub(crate) fn weight(&self) -> u64 {
        self.weights().iter().sum()
    }

    /// By bucket.
    fn weights(&self) -> Vec<u64> {
        let mut weights = vec![0; BUCKETS as usize + 1];
        for segment in &self.segments {
            for member in &segment.head.members {
                if let Some(weight) = weights.get_mut(member.bucket as usize) {
                    *weight += member.weight;
                }
            }
        }
        weights
    }

    /// Into how many parts the keys are divided so that each takes no more than this; `None` if there is no such number.
    pub(crate) fn parts_within(&self, most: u64) -> Option<u32> {
        let weights = self.weights();
        let (own, shared) = weights.split_at(BUCKETS as usize);
        let shared: u64 = shared.iter().sum();
        let largest = |of: u32| match BUCKETS / of {
            0 => own.iter().max().copied().unwrap_or(0) / u64::from(of / BUCKETS),
            together => own.chunks(together as usize).map(|part| part.iter().sum()).max().unwrap_or(0),
        };
        std::iter::successors(Some(1_u32), |of| Some(of * 2))
            .take_while(|of| *of <= MOST_PARTS)
            .find(|of| largest(*of) + shared <= most)
    }

    /// The number of parts to try where so many turned out to be too few.
    pub(crate) fn more_parts(&self, of: u32) -> Option<u32> {
        Some(of * 2).filter(|of| *of <= MOST_PARTS)
    }

    /// Reads one part, if it is no larger than this.
    pub(crate) fn part(&self, part: KeyPart, most: u64) -> Result<Fitting, HistoryError> {
        let mut collected = Collected::default();
        let (mut lates, names, mut weight) = (Lates::new(), Names::default(), 0);
        let members = self.segments.iter().flat_map(|segment| &segment.head.members);
        let count: u64 = members.filter(|member| member.concerns(part)).map(|member| member.operations).sum();
        // No more than fits, whatever a head says.
        let most_of_all = most / size_of::<Operation>() as u64;
        collected.operations.reserve_exact(usize::try_from(count.min(most_of_all)).unwrap_or(0));
        for segments in self.segments.chunks(AT_A_TIME) {
            let read = |segment: &Segment| packed(segment, Some(part), &names);
            let read = segments.par_iter().map(read).collect::<Result<Vec<_>, _>>()?;
            for segment in read {
                for operation in segment.operations {
                    weight += operation.weight();
                    collected.push(operation);
                }
                lates.extend(segment.lates);
            }
            if weight > most {
                return Ok(Fitting::TooLarge);
            }
        }
        let mut history = ordered(collected, &self.ended).map_err(|reason| self.damaged(reason))?;
        attach(&mut history, lates);
        Ok(Fitting::Fits(History { part: Some(part), ..history }))
    }

    /// The operations of these numbers, as far as they are there.
    pub(crate) fn some(&self, numbers: &FxHashSet<OpId>) -> Result<Vec<Operation>, HistoryError> {
        let some = |segment: &Segment| -> Result<(Vec<Operation>, Lates), HistoryError> {
            let (mut named, mut lates) = (Vec::new(), Lates::new());
            each_member(segment, None, &Names::default(), |operations, late| {
                named.extend(operations.into_iter().filter(|operation| numbers.contains(&operation.id)));
                lates.extend(late);
            })?;
            Ok((named, lates))
        };
        let read: Vec<(Vec<Operation>, Lates)> =
            self.segments.par_iter().map(some).collect::<Result<_, HistoryError>>()?;
        let (mut collected, mut lates) = (Collected::default(), Lates::new());
        for (operations, late) in read {
            operations.into_iter().for_each(|operation| collected.push(operation));
            lates.extend(late);
        }
        let mut history = ordered(collected, &self.ended).map_err(|reason| self.damaged(reason))?;
        attach(&mut history, lates);
        Ok(history.operations)
    }

    fn damaged(&self, reason: impl std::fmt::Display) -> HistoryError {
        HistoryError::Segments { reason: reason.to_string() }
    }
}
