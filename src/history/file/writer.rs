//! [`HistoryWriter`]: appends operations to the history of a run, as one file or, when it grows long, in segments.

use std::path::Path;

use super::columns::Lates;
use super::lines::{LineWriter, Marker};
use super::sealer::{Job, Sealer};
use super::{Header, HistoryError, segment, segment_path};
use crate::history::{Late, OpId, Operation};

/// Appends operations to a history.
pub struct HistoryWriter {
    header: Header,
    /// The file; once there are segments, it gets nothing but the end.
    main: LineWriter,
    segments: Option<Segments>,
    operations: u64,
    /// What those of the one file take in memory, about.
    weight: u64,
}

/// A history that is continued in segments.
struct Segments {
    sealer: Sealer,
    number: u32,
    open: Open,
}

/// The segment that is written. Its lines are in a file, so that none is lost with this process; what is made of it when it is full
/// follows from the operations in memory.
struct Open {
    lines: LineWriter,
    operations: Vec<Operation>,
    lates: Lates,
    weight: u64,
}

impl HistoryWriter {
    /// Creates the file and writes its header. An existing file is not overwritten.
    pub fn create(path: &Path, header: &Header) -> Result<Self, HistoryError> {
        let main = LineWriter::create(path, header)?;
        Ok(HistoryWriter { header: header.clone(), main, segments: None, operations: 0, weight: 0 })
    }

    /// Appends one operation.
    pub fn append(&mut self, operation: &Operation) -> Result<(), HistoryError> {
        self.operations += 1;
        let Some(segments) = &mut self.segments else {
            self.weight += operation.weight();
            return self.main.append(operation);
        };
        let open = &mut segments.open;
        open.lines.append(operation)?;
        open.weight += operation.weight();
        open.operations.push(operation.clone());
        match segment::is_full(open.operations.len(), open.weight) {
            true => self.next_segment(),
            false => Ok(()),
        }
    }

    /// Appends an answer that came after its operation was recorded as unknown.
    pub fn append_late(&mut self, op: OpId, late: &Late) -> Result<(), HistoryError> {
        let line = Marker::Late { op, late: late.clone() };
        let Some(segments) = &mut self.segments else { return self.main.append(&line) };
        segments.open.lines.append(&line)?;
        segments.open.lates.push((op, late.clone()));
        Ok(())
    }

    /// What the operations that were appended so far take in memory, about.
    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    /// Goes on in segments, which a thread of its own packs, and has what is there already packed as well.
    pub fn divide(&mut self) -> Result<(), HistoryError> {
        if self.segments.is_some() {
            return Ok(());
        }
        // What is there already gets the numbers before.
        let number = segment::reserved(self.operations, self.weight);
        self.main.append(&Marker::Continued { from: number })?;
        self.main.sync()?;
        let mut sealer = Sealer::start(&self.main.path, &self.header)?;
        let open = Open::create(&self.main.path, &self.header, number)?;
        sealer.seal(Job::Main { until: number })?;
        self.segments = Some(Segments { sealer, number, open });
        Ok(())
    }

    /// Hands a full segment over, and begins another one.
    fn next_segment(&mut self) -> Result<(), HistoryError> {
        let Some(segments) = &mut self.segments else { return Ok(()) };
        segments.open.lines.flush()?;
        let next = Open::create(&self.main.path, &self.header, segments.number + 1)?;
        let Open { operations, lates, .. } = std::mem::replace(&mut segments.open, next);
        segments.number += 1;
        segments.sealer.seal(Job::Segment { number: segments.number - 1, operations, lates })
    }

    /// Hands everything so far to the operating system.
    pub fn flush(&mut self) -> Result<(), HistoryError> {
        match &mut self.segments {
            Some(segments) => segments.open.lines.flush(),
            None => self.main.flush(),
        }
    }

    /// Writes the end line, which says that no operation is missing.
    pub fn finish(mut self, interrupted: bool) -> Result<(), HistoryError> {
        let mut count = None;
        if self.segments.is_some() {
            self.next_segment()?;
            if let Some(Segments { sealer, number, open }) = self.segments.take() {
                // Nothing was written into the one that was begun last.
                std::fs::remove_file(&open.lines.path)
                    .map_err(|source| super::io_error("write", &open.lines.path, source))?;
                sealer.finish()?;
                count = Some(number);
                // It was written anew.
                self.main = LineWriter::open(&self.main.path)?;
            }
        }
        self.main.append(&Marker::End { operations: self.operations, interrupted, segments: count })?;
        self.main.sync()
    }
}

impl Open {
    fn create(main: &Path, header: &Header, number: u32) -> Result<Self, HistoryError> {
        let lines = LineWriter::create(&segment_path(main, number, false), header)?;
        Ok(Open { lines, operations: Vec::new(), lates: Lates::new(), weight: 0 })
    }
}
