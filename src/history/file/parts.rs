//! The files that a history lies in: [`Files`], and what of them is read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::columns::{Block, Lates};
use super::lines::{Entry, Lines, Marker};
use super::names::Names;
use super::segment::{Member, Segment};
use super::{Header, HistoryError, io_error, segment_path};
use crate::history::{KeyPart, Lost, Operation};

/// The end of a history, as its file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) operations: u64,
    pub(super) interrupted: bool,
    segments: Option<u32>,
}

/// One history: the file of its lines, and its segments.
pub(super) struct Files {
    pub(super) header: Header,
    pub(super) end: Option<End>,
    pub(super) segments: Vec<Found>,
    /// Those that are not there.
    pub(super) missing: Damage,
}

/// Files of which something is missing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    /// The names of some.
    names: Vec<String>,
    files: u64,
}

impl Damage {
    const NAMED: usize = 3;

    pub(super) fn add(&mut self, name: String) {
        self.files += 1;
        if self.names.len() < Self::NAMED {
            self.names.push(name);
        }
    }

    pub(super) fn extend(&mut self, name: Option<String>) {
        name.into_iter().for_each(|name| self.add(name));
    }

    /// Adds that of other files.
    pub(super) fn join(&mut self, other: Damage) {
        self.files += other.files;
        self.names.extend(other.names);
        self.names.truncate(Self::NAMED);
    }

    /// What is lost of so many operations, of which so many are there.
    pub(super) fn lost(self, end: Option<End>, found: u64) -> Option<Lost> {
        let operations = end.map(|end| end.operations.saturating_sub(found));
        (self.files > 0).then_some(Lost { files: self.files, names: self.names, operations })
    }
}

/// A segment that is there.
pub(super) enum Found {
    /// It is packed.
    Packed(Segment),
    /// Its lines are there; the writer was stopped before it was packed.
    Lines(PathBuf),
}

impl Files {
    /// Reads the file of the lines, and finds the segments. `take` is given each operation and each late answer, with its line.
    pub(super) fn read(
        main: &Path,
        take: &mut dyn FnMut(Entry, usize) -> Result<(), HistoryError>,
    ) -> Result<Self, HistoryError> {
        let mut lines = Lines::open(main)?;
        let (mut end, mut from) = (None, None);
        while let Some(entry) = lines.next()? {
            if end.is_some() {
                return Err(lines.damaged("there is a line after the end line"));
            }
            match entry {
                Entry::Other(Marker::End { operations, interrupted, segments }) => {
                    end = Some(End { operations, interrupted, segments });
                }
                Entry::Other(Marker::Continued { from: first }) if from.is_none() => from = Some(first),
                _ if from.is_some() => return Err(lines.damaged("it goes on in segments, and there is another line")),
                entry => take(entry, lines.line)?,
            }
        }
        let mut files = Files { header: lines.header, end, segments: Vec::new(), missing: Damage::default() };
        if let Some(from) = from {
            files.find(main, from)?;
        }
        Ok(files)
    }

    /// Finds the segments from this one on.
    fn find(&mut self, main: &Path, from: u32) -> Result<(), HistoryError> {
        let there = numbers(main)?;
        let last = there.last().map_or(from, |last| last.saturating_add(1));
        let until = self.end.and_then(|end| end.segments).unwrap_or(last);
        // A file may name any number: what is not there is counted, and some of it named.
        let mut missing: Vec<u32> =
            (from..until).filter(|number| !there.contains(number)).take(Damage::NAMED).collect();
        self.missing.files = u64::from(until.saturating_sub(from));
        for number in there.into_iter().filter(|number| (from..until).contains(number)) {
            let packed = segment_path(main, number, true);
            let opened = match packed.exists() {
                true => Segment::open(&packed, &self.header.run_id, number)
                    .map_err(|source| io_error("read", &packed, source))?,
                false => None,
            };
            let lines = segment_path(main, number, false);
            match opened {
                Some(segment) => self.segments.push(Found::Packed(segment)),
                None if lines.exists() => self.segments.push(Found::Lines(lines)),
                None => missing.push(number),
            }
        }
        self.missing.files -= self.segments.len() as u64;
        missing.sort_unstable();
        missing.truncate(Damage::NAMED);
        self.missing.names = missing.into_iter().map(|number| name(&segment_path(main, number, true))).collect();
        Ok(())
    }
}

/// The numbers of the segments that are there.
fn numbers(main: &Path) -> Result<BTreeSet<u32>, HistoryError> {
    let folder = main.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |source| io_error("read", folder, source);
    let stem = main.file_stem().map(|stem| format!("{}-", stem.to_string_lossy())).unwrap_or_default();
    let mut numbers = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        numbers.extend(name.strip_prefix(&stem).and_then(|rest| rest.split('.').next()?.parse::<u32>().ok()));
    }
    Ok(numbers)
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What segments hold that could be read, and which could not.
#[derive(Default)]
pub(super) struct Read {
    pub(super) operations: Vec<Operation>,
    pub(super) lates: Lates,
    /// The file, where not all of it could be read.
    pub(super) damaged: Option<String>,
}

impl Found {
    /// Reads its operations.
    pub(super) fn read(&self, run_id: &str, names: &Names) -> Result<Read, HistoryError> {
        match self {
            Found::Packed(segment) => packed(segment, names),
            Found::Lines(path) => lines(path, run_id, names),
        }
    }
}

/// Hands over the members that are wanted, one after another; the file, where one of them is damaged, or where `take` finds that it
/// cannot be what was written.
pub(super) fn each_member(
    segment: &Segment,
    wanted: impl Fn(&Member) -> bool,
    mut take: impl FnMut(Block) -> Option<()>,
) -> Result<Option<String>, HistoryError> {
    let mut damaged = None;
    let read = segment.read(wanted, |block| {
        if block.and_then(&mut take).is_none() {
            damaged = Some(name(&segment.path));
        }
    });
    read.map_err(|source| io_error("read", &segment.path, source))?;
    Ok(damaged)
}

/// Reads the operations of a packed segment.
fn packed(segment: &Segment, names: &Names) -> Result<Read, HistoryError> {
    let mut read = Read::default();
    read.damaged = each_member(
        segment,
        |_| true,
        |block| {
            let (mut operations, lates) = block.operations(names)?;
            read.operations.append(&mut operations);
            read.lates.extend(lates);
            Some(())
        },
    )?;
    Ok(read)
}

/// Whether a part has this operation.
pub(super) fn of_part(part: KeyPart, operation: &Operation) -> bool {
    !operation.phase.is_main() || part.has(&operation.key)
}

/// Reads a segment whose writer was stopped. Where a line of it is damaged, what follows is lost.
fn lines(path: &Path, run_id: &str, names: &Names) -> Result<Read, HistoryError> {
    let mut read = Read::default();
    let mut lines = match Lines::open(path) {
        Ok(lines) if lines.header.run_id == run_id => lines,
        // Not even its first line was written.
        Err(HistoryError::Foreign { .. }) if super::is_unwritten(path)? => return Ok(read),
        Err(error @ HistoryError::Io { .. }) => return Err(error),
        Ok(_) | Err(_) => return Ok(Read { damaged: Some(name(path)), ..read }),
    };
    loop {
        match lines.next() {
            Ok(Some(Entry::Operation(operation))) => {
                let key = names.shared_one(std::sync::Arc::clone(&operation.key));
                read.operations.push(Operation { key, ..*operation });
            }
            Ok(Some(Entry::Other(Marker::Late { op, late }))) => read.lates.push((op, late)),
            Ok(None) => return Ok(read),
            Err(error @ HistoryError::Io { .. }) => return Err(error),
            Ok(Some(Entry::Other(_))) | Err(_) => return Ok(Read { damaged: Some(name(path)), ..read }),
        }
    }
}

/// Whether there are segments beside the file.
pub fn is_divided(main: &Path) -> Result<bool, HistoryError> {
    Ok(!numbers(main)?.is_empty())
}
