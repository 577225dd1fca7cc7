//! Segments that are made for the reading alone: [`Scratch`].

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::columns::Lates;
use super::segment::{self, Segment};
use super::{Header, HistoryError, io_error, segment_path};
use crate::history::{Late, OpId, Operation};

/// Segments that are made for the reading alone.
pub(super) struct Scratch {
    main: PathBuf,
    number: u32,
    /// Those that were made since they were last taken.
    pub(super) segments: Vec<Segment>,
    operations: Vec<Operation>,
    lates: Lates,
    weight: u64,
    pub(super) folder: TempDir,
}

impl Scratch {
    pub(super) fn new(within: &Path) -> Result<Self, HistoryError> {
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

    pub(super) fn push(&mut self, operation: Operation, header: &Header) -> Result<(), HistoryError> {
        self.weight += operation.weight();
        self.operations.push(operation);
        if segment::is_full(self.operations.len(), self.weight) { self.seal(header) } else { Ok(()) }
    }

    pub(super) fn late(&mut self, op: OpId, late: Late) {
        self.lates.push((op, late));
    }

    pub(super) fn seal(&mut self, header: &Header) -> Result<(), HistoryError> {
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
