//! The operations of a divided history, a group of keys at a time: [`Piece`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::HistoryError;
use super::columns::Lates;
use super::divided::Divided;
use super::names::Names;
use super::parts::each_member;
use super::reader::{Collected, ordered};
use super::segment::Segment;
use super::survey::Answers;
use crate::history::{History, KeyPart, OpId, Operation, Outcome, Value};

/// Operations that were recorded together, in that order.
type Run = Vec<Operation>;

/// What is read, as far as it can be.
pub(crate) enum Fitting<T> {
    /// It is there.
    Fits(T),
    /// It is larger than it may be.
    TooLarge,
    /// Some of it is damaged, which nobody knew so far.
    Damaged,
}

/// Room for the operations of pieces, which is used again for others: an allocator that gets blocks of megabytes back again and again has
/// them broken up by small ones, and takes more and more.
#[derive(Default)]
pub(super) struct Rooms(Mutex<Vec<Vec<Operation>>>);

impl Rooms {
    fn free(&self) -> MutexGuard<'_, Vec<Vec<Operation>>> {
        // It is whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty one for so many operations.
    fn take(&self, size: usize) -> Vec<Operation> {
        let mut room = self.free().pop().unwrap_or_default();
        room.reserve_exact(size);
        room
    }
}

/// What concerns every piece: the serial control, and answers that came late.
pub(crate) struct Shared {
    control: Run,
    answers: Answers,
}

/// The operations of one part of the keys, as they were read.
pub(crate) struct Piece {
    /// Which part.
    pub(crate) part: KeyPart,
    runs: Vec<Run>,
}

impl Divided {
    /// Reads what concerns every piece.
    pub(crate) fn shared(&self) -> Result<Fitting<Shared>, HistoryError> {
        let names = Names::default();
        let of_one = |segment: &Segment| {
            let (mut control, mut lates) = (Run::new(), Lates::new());
            let damaged = each_member(
                segment,
                |member| member.is_shared(),
                |block| {
                    let (operations, late) = block.operations(&names)?;
                    control.extend(operations);
                    lates.extend(late);
                    Some(())
                },
            )?;
            Ok((control, lates, damaged.is_some()))
        };
        let read = self.segments.par_iter().map(of_one).collect::<Result<Vec<(Run, Lates, bool)>, HistoryError>>()?;
        if !self.met && read.iter().any(|(.., damaged)| *damaged) {
            return Ok(Fitting::Damaged);
        }
        let (mut control, mut lates) = (Collected::default(), Lates::new());
        for (operations, late, _) in read {
            operations.into_iter().for_each(|operation| control.push(operation));
            lates.extend(late);
        }
        let answers = Answers::of(lates.into_iter());
        let mut control = ordered(control, &self.ended).map_err(|reason| self.damaged(reason))?.operations;
        control.iter_mut().for_each(|operation| answers.attach(operation));
        Ok(Fitting::Fits(Shared { control, answers }))
    }

    /// Reads a group of keys, in so many pieces, if it is no larger than this. Each operation is unpacked once, whatever the number
    /// of pieces.
    pub(crate) fn pieces(&self, group: KeyPart, count: u32, most: u64) -> Result<Fitting<Vec<Piece>>, HistoryError> {
        let (names, weight) = (Names::default(), AtomicU64::new(self.shared_weight()));
        let (first, of) = (group.index * count, group.of * count);
        let place = |key: &str| Some(KeyPart::index_of(key, of).checked_sub(first)? as usize);
        let of_one = |segment: &Segment| {
            let mut pieces: Vec<Vec<Run>> = vec![Vec::new(); count as usize];
            if weight.load(Ordering::Relaxed) > most {
                return Ok((pieces, false));
            }
            let damaged = each_member(
                segment,
                |member| member.is_of(group),
                |block| {
                    let (runs, _) = block.runs(&names, count as usize, place)?;
                    for (piece, run) in pieces.iter_mut().zip(runs).filter(|(_, run)| !run.is_empty()) {
                        weight.fetch_add(run.iter().map(Operation::weight).sum(), Ordering::Relaxed);
                        piece.push(run);
                    }
                    Some(())
                },
            )?;
            Ok((pieces, damaged.is_some()))
        };
        let read = self.segments.par_iter().map(of_one);
        let read = read.collect::<Result<Vec<(Vec<Vec<Run>>, bool)>, HistoryError>>()?;
        if weight.into_inner() > most {
            return Ok(Fitting::TooLarge);
        }
        if !self.met && read.iter().any(|(_, damaged)| *damaged) {
            return Ok(Fitting::Damaged);
        }
        let parts = (first..first + count).map(|index| KeyPart { index, of });
        let mut pieces: Vec<Piece> = parts.map(|part| Piece { part, runs: Vec::new() }).collect();
        for (of_segment, _) in read {
            pieces.iter_mut().zip(of_segment).for_each(|(piece, runs)| piece.runs.extend(runs));
        }
        Ok(Fitting::Fits(pieces))
    }

    /// The history of one piece.
    pub(crate) fn history(&self, piece: Piece, shared: &Shared) -> Result<History, HistoryError> {
        let Piece { part, runs } = piece;
        let control = &shared.control;
        let merged = match runs.iter().all(|run| is_in_order(run)) {
            true => merged(control, runs, &self.rooms),
            false => Merged::Unordered(control.iter().cloned().chain(runs.into_iter().flatten()).collect()),
        };
        let mut history = match merged {
            Merged::Ordered(operations) => self.ended.with_operations(operations),
            Merged::Unordered(operations) => {
                let mut collected = Collected::default();
                operations.into_iter().for_each(|operation| collected.push(operation));
                ordered(collected, &self.ended).map_err(|reason| self.damaged(reason))?
            }
        };
        if !shared.answers.is_empty() {
            history.operations.iter_mut().for_each(|operation| shared.answers.attach(operation));
        }
        Ok(History { part: Some(part), ..history })
    }

    /// Takes a history of a piece back.
    pub(crate) fn done(&self, history: History) {
        let mut room = history.operations;
        room.clear();
        self.rooms.free().push(room);
    }

    /// The operations of these numbers, as far as they are there.
    pub(crate) fn some(&self, numbers: &FxHashSet<OpId>, shared: &Shared) -> Result<Vec<Operation>, HistoryError> {
        let some = |segment: &Segment| -> Result<Run, HistoryError> {
            let mut named = Run::new();
            each_member(
                segment,
                |_| true,
                |block| {
                    let (operations, _) = block.operations(&Names::default())?;
                    named.extend(operations.into_iter().filter(|operation| numbers.contains(&operation.id)));
                    Some(())
                },
            )?;
            Ok(named)
        };
        let read: Vec<Run> = self.segments.par_iter().map(some).collect::<Result<_, HistoryError>>()?;
        let mut collected = Collected::default();
        read.into_iter().flatten().for_each(|operation| collected.push(operation));
        let mut history = ordered(collected, &self.ended).map_err(|reason| self.damaged(reason))?;
        history.operations.iter_mut().for_each(|operation| shared.answers.attach(operation));
        Ok(history.operations)
    }
}

/// Whether a run can be merged by its numbers alone: of lists that reads show, which are kept follows from the order in which they
/// were recorded.
fn is_in_order(run: &[Operation]) -> bool {
    let shows_list = |operation: &Operation| match &operation.outcome {
        Outcome::Ok(Value::Messages(seen)) => seen.body.is_some(),
        _ => false,
    };
    run.is_sorted_by_key(|operation| operation.id) && !run.iter().any(shows_list)
}

/// The operations of runs.
enum Merged {
    /// By their numbers, all of which differ, those of the control first.
    Ordered(Vec<Operation>),
    /// As they were recorded.
    Unordered(Vec<Operation>),
}

/// Merges runs, each of which is in order. Operations are large and their numbers small: these are merged, and each operation is
/// moved once.
fn merged(control: &[Operation], runs: Vec<Run>, rooms: &Rooms) -> Merged {
    let mut order: Vec<(OpId, usize)> = Vec::with_capacity(runs.iter().map(Vec::len).sum());
    for (at, run) in runs.iter().enumerate() {
        let Some(first) = run.first() else { continue };
        // Segments follow one another, and overlap but little.
        let overlap = order.partition_point(|(id, _)| *id < first.id);
        order.extend(run.iter().map(|operation| (operation.id, at)));
        order[overlap..].sort();
    }
    let differ = order.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let apart = control.last().zip(order.first()).is_none_or(|(last, (first, _))| last.id < *first);
    let mut operations = rooms.take(control.len() + order.len());
    operations.extend_from_slice(control);
    if !differ || !apart {
        operations.extend(runs.into_iter().flatten());
        return Merged::Unordered(operations);
    }
    let mut runs: Vec<std::vec::IntoIter<Operation>> = runs.into_iter().map(Vec::into_iter).collect();
    for (_, run) in order {
        let Some(run) = runs.get_mut(run) else { continue };
        operations.extend(run.next());
        if run.as_slice().is_empty() {
            // Else all of them were in memory twice.
            *run = Vec::new().into_iter();
        }
    }
    Merged::Ordered(operations)
}
