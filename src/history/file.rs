//! `history.jsonl`: a header line, one operation per line in order of completion, late answers, an end line.
//!
//! The writer appends while the run goes on. The reader restores the operations in the order of their numbers. A file
//! without its end line is that of a run that died: what it holds is true, but operations may be missing.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use rustc_hash::FxHashSet;

use super::{Compactor, History, KeyPart, Late, OpId, Operation};

/// Version of the history format.
pub const FORMAT_VERSION: u32 = 1;

/// First line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// `onlyone`.
    pub tool: String,
    /// The run that it belongs to.
    pub run_id: String,
}

impl Header {
    /// The header of a run's history.
    pub fn new(run_id: &str) -> Self {
        Header { format_version: FORMAT_VERSION, tool: "onlyone".to_owned(), run_id: run_id.to_owned() }
    }
}

/// A line that is no operation.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Marker {
    Late {
        op: OpId,
        #[serde(rename = "answer")]
        late: Late,
    },
    End {
        operations: u64,
        interrupted: bool,
    },
}

/// Why a history cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file cannot be opened, read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `create`, `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not a history of this tool.
    #[error("{} is not a history of onlyone", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file has a format that this version does not read.
    #[error("{} has format version {found}; this onlyone reads version {FORMAT_VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version it names.
        found: u32,
    },
    /// A line in the middle cannot be what the writer wrote.
    #[error("{} is damaged at line {line}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// Appends operations to a history file.
pub struct HistoryWriter {
    path: PathBuf,
    out: BufWriter<File>,
    line: Vec<u8>,
    operations: u64,
}

impl HistoryWriter {
    /// Creates the file and writes its header. An existing file is not overwritten.
    pub fn create(path: &Path, header: &Header) -> Result<Self, HistoryError> {
        let file = File::create_new(path).map_err(|source| io_error("create", path, source))?;
        let mut writer = HistoryWriter {
            path: path.to_owned(),
            out: BufWriter::with_capacity(1 << 16, file),
            line: Vec::new(),
            operations: 0,
        };
        writer.line(header)?;
        writer.flush()?;
        Ok(writer)
    }

    /// Appends one operation.
    pub fn append(&mut self, operation: &Operation) -> Result<(), HistoryError> {
        self.operations += 1;
        self.line(operation)
    }

    /// Appends an answer that came after its operation was recorded as unknown.
    pub fn append_late(&mut self, op: OpId, late: &Late) -> Result<(), HistoryError> {
        self.line(&Marker::Late { op, late: late.clone() })
    }

    /// Hands everything so far to the operating system.
    pub fn flush(&mut self) -> Result<(), HistoryError> {
        self.out.flush().map_err(|source| io_error("write", &self.path, source))
    }

    /// Writes the end line, which says that no operation is missing.
    pub fn finish(mut self, interrupted: bool) -> Result<(), HistoryError> {
        self.line(&Marker::End { operations: self.operations, interrupted })?;
        self.flush()?;
        self.out.get_ref().sync_all().map_err(|source| io_error("write", &self.path, source))
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), HistoryError> {
        // Rendered in memory first: a hundred small writes for each line would cost more than the line.
        self.line.clear();
        serde_json::to_writer(&mut self.line, value)
            .map_err(io::Error::from)
            .map(|()| self.line.push(b'\n'))
            .and_then(|()| self.out.write_all(&self.line))
            .map_err(|source| io_error("write", &self.path, source))
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> HistoryError {
    HistoryError::Io { action, path: path.to_owned(), source }
}

/// Whether not even the first line is whole: the writer was killed at once.
pub fn is_unwritten(path: &Path) -> Result<bool, HistoryError> {
    let mut first = Vec::new();
    let file = File::open(path).map_err(|source| io_error("read", path, source))?;
    BufReader::new(file).read_until(b'\n', &mut first).map_err(|source| io_error("read", path, source))?;
    Ok(first.last() != Some(&b'\n'))
}

/// Reads a history back, operations ordered by number.
pub fn read(path: &Path) -> Result<(Header, History), HistoryError> {
    read_only(path, Only::All, &mut |_| {})
}

/// Reads the operations of one part of the keys and those of the serial control; every operation is met on the way.
pub fn read_part(
    path: &Path,
    part: KeyPart,
    meet: &mut dyn FnMut(&Operation),
) -> Result<(Header, History), HistoryError> {
    let (header, history) = read_only(path, Only::Part(part), meet)?;
    Ok((header, History { part: Some(part), ..history }))
}

/// Reads the operations of these numbers, as far as they are there.
pub fn read_some(path: &Path, numbers: &FxHashSet<OpId>) -> Result<Vec<Operation>, HistoryError> {
    Ok(read_only(path, Only::Some(numbers), &mut |_| {})?.1.operations)
}

fn read_only(path: &Path, only: Only<'_>, meet: &mut dyn FnMut(&Operation)) -> Result<(Header, History), HistoryError> {
    let file = File::open(path).map_err(|source| io_error("read", path, source))?;
    Reader {
        path,
        only,
        meet,
        history: History { partial: true, ..History::default() },
        compactor: Compactor::default(),
        lates: Vec::new(),
        found: 0,
        end: None,
        line: 0,
    }
    .read(BufReader::with_capacity(1 << 16, file))
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
            Only::Part(part) => !operation.phase.is_main() || part.has(&operation.key),
            Only::Some(numbers) => numbers.contains(&operation.id),
        }
    }
}

struct Reader<'a> {
    path: &'a Path,
    only: Only<'a>,
    meet: &'a mut dyn FnMut(&Operation),
    history: History,
    compactor: Compactor,
    lates: Vec<(OpId, Late, usize)>,
    /// Operations that are there, kept or not.
    found: u64,
    /// What the end line counted.
    end: Option<u64>,
    line: usize,
}

impl Reader<'_> {
    fn read(mut self, mut input: impl BufRead) -> Result<(Header, History), HistoryError> {
        let mut line = Vec::new();
        self.next(&mut input, &mut line)?;
        let header = self.header(&line)?;
        while self.next(&mut input, &mut line)? {
            if line.last() != Some(&b'\n') {
                // The writer ends every line: this one was torn by a crash, and is the last.
                break;
            }
            self.accept(&line)?;
        }
        self.finish().map(|history| (header, history))
    }

    fn next(&mut self, input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, HistoryError> {
        line.clear();
        self.line += 1;
        let read = input.read_until(b'\n', line).map_err(|source| io_error("read", self.path, source))?;
        Ok(read > 0)
    }

    fn header(&self, line: &[u8]) -> Result<Header, HistoryError> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
            tool: String,
        }
        let foreign = || HistoryError::Foreign { path: self.path.to_owned() };
        let version: Version = serde_json::from_slice(line).map_err(|_| foreign())?;
        if version.tool != "onlyone" {
            return Err(foreign());
        }
        if version.format_version != FORMAT_VERSION {
            return Err(HistoryError::Version { path: self.path.to_owned(), found: version.format_version });
        }
        serde_json::from_slice(line).map_err(|_| foreign())
    }

    fn accept(&mut self, line: &[u8]) -> Result<(), HistoryError> {
        if self.end.is_some() {
            return Err(self.damaged(self.line, "there is a line after the end line"));
        }
        if line.starts_with(b"{\"op\":") {
            let operation = serde_json::from_slice(line).map_err(|error| self.damaged(self.line, error))?;
            self.found += 1;
            (self.meet)(&operation);
            if self.only.has(&operation) {
                self.compactor.push(&mut self.history.operations, operation);
            }
            return Ok(());
        }
        match serde_json::from_slice(line).map_err(|error| self.damaged(self.line, error))? {
            Marker::Late { op, late } => self.lates.push((op, late, self.line)),
            Marker::End { operations, interrupted } => {
                self.end = Some(operations);
                self.history.partial = false;
                self.history.interrupted = interrupted;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<History, HistoryError> {
        let found = self.found;
        if let Some(counted) = self.end.filter(|&counted| counted != found) {
            return Err(self.damaged(self.line, format!("the end line counts {counted} operations, there are {found}")));
        }
        self.history.operations.sort_unstable_by_key(|operation| operation.id);
        if let Some(pair) = self.history.operations.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(self.damaged(self.line, format!("{} is there twice", pair[0].id)));
        }
        if let Some(pair) = self.history.operations.windows(2).find(|pair| pair[0].phase > pair[1].phase) {
            return Err(self.damaged(self.line, format!("{} of the control comes after the main phase", pair[1].id)));
        }
        for (op, late, line) in std::mem::take(&mut self.lates) {
            if !self.history.attach(op, late) && matches!(self.only, Only::All) {
                return Err(self.damaged(line, format!("it answers {op}, which is not there or is not unknown")));
            }
        }
        Ok(self.history)
    }

    fn damaged(&self, line: usize, reason: impl std::fmt::Display) -> HistoryError {
        HistoryError::Damaged { path: self.path.to_owned(), line, reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests;
