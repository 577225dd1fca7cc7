//! Reads a history back, whole or some of its operations.

use std::path::Path;

use rustc_hash::FxHashSet;

use super::lines::{Entry, Marker};
use super::names::Names;
use super::parts::{Files, of_part};
use super::survey::Answers;
use super::{Header, HistoryError};
use crate::history::{Compactor, History, KeyPart, Late, OpId, Operation};

/// Reads a history back, operations ordered by number.
pub fn read(path: &Path) -> Result<(Header, History), HistoryError> {
    read_only(path, Only::All, None)
}

/// Reads the operations of one part of the keys and those of the serial control; every operation is met on the way, with the answer
/// that came late to it.
pub fn read_part(
    path: &Path,
    part: KeyPart,
    meet: &mut dyn FnMut(&Operation),
) -> Result<(Header, History), HistoryError> {
    let (header, history) = read_only(path, Only::Part(part), Some(meet))?;
    Ok((header, History { part: Some(part), ..history }))
}

/// Reads the operations of these numbers, as far as they are there.
pub fn read_some(path: &Path, numbers: &FxHashSet<OpId>) -> Result<Vec<Operation>, HistoryError> {
    Ok(read_only(path, Only::Some(numbers), None)?.1.operations)
}

/// Which operations are kept.
#[derive(Clone, Copy)]
enum Only<'a> {
    All,
    Part(KeyPart),
    Some(&'a FxHashSet<OpId>),
}

impl Only<'_> {
    fn has(self, operation: &Operation) -> bool {
        match self {
            Only::All => true,
            Only::Part(part) => of_part(part, operation),
            Only::Some(numbers) => numbers.contains(&operation.id),
        }
    }
}

/// Takes note of an operation.
type Meet<'a> = &'a mut dyn FnMut(&Operation);

fn read_only<'a>(path: &'a Path, only: Only<'a>, meet: Option<Meet<'a>>) -> Result<(Header, History), HistoryError> {
    let (operations, lates, unmet) = (Collected::default(), Vec::new(), Vec::new());
    let mut kept = Kept { path, only, meet, operations, lates, unmet, found: 0, line: 1 };
    let files = Files::read(path, &mut |entry, line| {
        kept.line = line;
        match entry {
            Entry::Operation(operation) => kept.take(*operation),
            Entry::Other(Marker::Late { op, late }) => kept.lates.push((op, late, line)),
            Entry::Other(Marker::Continued { .. } | Marker::End { .. }) => {}
        }
        Ok(())
    })?;
    let (names, mut damage) = (Names::default(), files.missing);
    for segment in &files.segments {
        let read = segment.read(&files.header.run_id, &names)?;
        read.operations.into_iter().for_each(|operation| kept.take(operation));
        kept.lates.extend(read.lates.into_iter().map(|(op, late)| (op, late, kept.line)));
        damage.extend(read.damaged);
    }
    if files.end.is_some() {
        kept.line += 1;
    }
    kept.meet_the_unknown();
    let lost = damage.lost(files.end, kept.found);
    let ended = History {
        partial: files.end.is_none() || lost.is_some(),
        interrupted: files.end.is_some_and(|end| end.interrupted),
        lost,
        ..History::default()
    };
    if let Some(end) = files.end.filter(|end| ended.lost.is_none() && end.operations != kept.found) {
        let (counted, found) = (end.operations, kept.found);
        return Err(kept.damaged(kept.line, format!("the end line counts {counted} operations, there are {found}")));
    }
    let strict = matches!(only, Only::All) && ended.lost.is_none();
    let history = ordered(std::mem::take(&mut kept.operations), &ended).map_err(|why| kept.damaged(kept.line, why))?;
    kept.attached(history, strict).map(|history| (files.header, history))
}

struct Kept<'a> {
    path: &'a Path,
    only: Only<'a>,
    meet: Option<Meet<'a>>,
    operations: Collected,
    lates: Vec<(OpId, Late, usize)>,
    /// Those that may still be answered, and are met when all answers are there.
    unmet: Vec<Operation>,
    /// Operations that are there, kept or not.
    found: u64,
    line: usize,
}

impl Kept<'_> {
    fn take(&mut self, operation: Operation) {
        self.found += 1;
        match &mut self.meet {
            Some(_) if operation.is_unknown() => self.unmet.push(operation.clone()),
            Some(meet) => meet(&operation),
            None => {}
        }
        if self.only.has(&operation) {
            self.operations.push(operation);
        }
    }

    fn meet_the_unknown(&mut self) {
        let Some(meet) = &mut self.meet else { return };
        let answers = Answers::of(self.lates.iter().map(|(op, late, _)| (*op, late.clone())));
        for mut operation in std::mem::take(&mut self.unmet) {
            answers.attach(&mut operation);
            meet(&operation);
        }
    }

    /// With the answers that came late. Each answers an operation that is there, unless some are not.
    fn attached(&mut self, mut history: History, strict: bool) -> Result<History, HistoryError> {
        for (op, late, line) in std::mem::take(&mut self.lates) {
            if !history.attach(op, late) && strict {
                return Err(self.damaged(line, format!("it answers {op}, which is not there or is not unknown")));
            }
        }
        Ok(history)
    }

    fn damaged(&self, line: usize, reason: impl std::fmt::Display) -> HistoryError {
        HistoryError::Damaged { path: self.path.to_owned(), line, reason: reason.to_string() }
    }
}

/// Operations in the order in which they were recorded.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) operations: Vec<Operation>,
    compactor: Compactor,
}

impl Collected {
    pub(super) fn push(&mut self, operation: Operation) {
        self.compactor.push(&mut self.operations, operation);
    }
}

/// A history of these operations, in the order of their numbers.
pub(super) fn ordered(collected: Collected, ended: &History) -> Result<History, String> {
    let mut operations = collected.operations;
    if !operations.is_sorted_by_key(|operation| operation.id) {
        // Operations are large and their numbers small: these are sorted, and each operation is moved once.
        operations.sort_by_cached_key(|operation| operation.id);
    }
    if let Some(pair) = operations.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(format!("{} is there twice", pair[0].id));
    }
    if let Some(pair) = operations.windows(2).find(|pair| pair[0].phase > pair[1].phase) {
        return Err(format!("{} of the control comes after the main phase", pair[1].id));
    }
    Ok(ended.with_operations(operations))
}
