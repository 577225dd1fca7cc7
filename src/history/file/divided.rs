//! A history that is read part by part: [`Divided`].

use std::path::Path;

use super::lines::{Entry, Marker};
use super::names::Names;
use super::parts::{Damage, End, Files, Found};
use super::pieces::Rooms;
use super::scratch::Scratch;
use super::segment::{BUCKETS, Segment};
use super::{Header, HistoryError};
use crate::history::{History, KeyPart};

/// A history is divided into no more parts than this.
const MOST_PARTS: u32 = 4096;

/// A history that lies in segments, of which the operations of any part of the keys can be read without those of all others. What
/// is there as lines alone is packed into a folder of its own first, which is removed with this.
pub(crate) struct Divided {
    pub(crate) header: Header,
    pub(super) segments: Vec<Segment>,
    pub(super) missing: Damage,
    pub(super) end: Option<End>,
    /// What it says of itself, without an operation. Known when it was surveyed.
    pub(super) ended: History,
    /// Every operation was met for that, so that it is known what is damaged.
    pub(super) met: bool,
    pub(super) rooms: Rooms,
    scratch: Scratch,
}

/// How the keys are divided: into groups, which are read one after another, and each of these into pieces, which are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Division {
    groups: u32,
    /// In each group.
    pub(crate) pieces: u32,
}

impl Division {
    /// The groups.
    pub(crate) fn groups(self) -> impl Iterator<Item = KeyPart> {
        KeyPart::all(self.groups)
    }

    /// The one to try where groups turned out to be too large.
    pub(crate) fn finer(self) -> Option<Self> {
        let groups = Some(self.groups * 2).filter(|groups| *groups <= MOST_PARTS)?;
        Some(Division { groups, pieces: (self.pieces / 2).max(1) })
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
            let read = lines.read(&header.run_id, &names)?;
            missing.extend(read.damaged);
            read.operations.into_iter().try_for_each(|operation| scratch.push(operation, &header))?;
            read.lates.into_iter().for_each(|(op, late)| scratch.late(op, late));
            scratch.seal(&header)?;
            segments.append(&mut scratch.segments);
        }
        Ok(Divided {
            header,
            segments,
            missing,
            end,
            ended: History::default(),
            met: false,
            rooms: Rooms::default(),
            scratch,
        })
    }

    /// The folder for what is read but once, which is removed with this.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.folder.path()
    }

    /// What it says of itself, without an operation, once it was surveyed.
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

    /// What concerns every part, about, in memory.
    pub(super) fn shared_weight(&self) -> u64 {
        self.weights().last().copied().unwrap_or_default()
    }

    /// How the keys are divided so that each group takes no more than `most`, and each piece of it, as far as possible, no more than
    /// `small`; `None` if there is no such division.
    pub(crate) fn division(&self, most: u64, small: u64) -> Option<Division> {
        let weights = self.weights();
        let (own, shared) = weights.split_at(BUCKETS as usize);
        let shared: u64 = shared.iter().sum();
        let largest = |of: u32| match BUCKETS / of {
            0 => own.iter().max().copied().unwrap_or(0) / u64::from(of / BUCKETS),
            together => own.chunks(together as usize).map(|part| part.iter().sum()).max().unwrap_or(0),
        };
        let numbers = || std::iter::successors(Some(1_u32), |of| Some(of * 2)).take_while(|of| *of <= MOST_PARTS);
        let within = |limit: u64| numbers().find(|of| largest(*of) <= limit);
        let groups = within(most.checked_sub(shared)?)?;
        // Each piece has a copy of what concerns all of them.
        let pieces = within(small.max(2 * shared)).unwrap_or(MOST_PARTS);
        Some(Division { groups, pieces: (pieces / groups).max(1) })
    }

    pub(super) fn damaged(&self, reason: impl std::fmt::Display) -> HistoryError {
        HistoryError::Segments { reason: reason.to_string() }
    }
}
