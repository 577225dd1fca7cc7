//! The lines of a history: [`LineWriter`] appends them, [`Lines`] reads them back.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{DIVIDED_FORMAT_VERSION, FORMAT_VERSION, Header, HistoryError, io_error};
use crate::history::{Late, OpId, Operation};

/// A line that is no operation.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Marker {
    /// An answer to an operation that was recorded as unknown.
    Late {
        op: OpId,
        #[serde(rename = "answer")]
        late: Late,
    },
    /// What follows is in segments of their own, from this one on.
    Continued { from: u32 },
    /// Nothing is missing.
    End {
        operations: u64,
        interrupted: bool,
        /// The segment after the last one, where there are some.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        segments: Option<u32>,
    },
}

/// What a line says.
pub(super) enum Entry {
    Operation(Box<Operation>),
    Other(Marker),
}

/// Appends lines to a file.
pub(super) struct LineWriter {
    pub(super) path: PathBuf,
    out: BufWriter<File>,
    line: Vec<u8>,
}

impl LineWriter {
    /// Creates the file and writes its header. An existing file is not overwritten.
    pub(super) fn create(path: &Path, header: &Header) -> Result<Self, HistoryError> {
        let file = File::create_new(path).map_err(|source| io_error("create", path, source))?;
        let mut writer = Self::of(path, file);
        writer.append(header)?;
        writer.flush()?;
        Ok(writer)
    }

    /// Goes on with a file that is there.
    pub(super) fn open(path: &Path) -> Result<Self, HistoryError> {
        let file = File::options().append(true).open(path).map_err(|source| io_error("write", path, source))?;
        Ok(Self::of(path, file))
    }

    fn of(path: &Path, file: File) -> Self {
        LineWriter { path: path.to_owned(), out: BufWriter::with_capacity(1 << 16, file), line: Vec::new() }
    }

    pub(super) fn append(&mut self, value: &impl Serialize) -> Result<(), HistoryError> {
        // Rendered in memory first: a hundred small writes for each line would cost more than the line.
        self.line.clear();
        serde_json::to_writer(&mut self.line, value)
            .map_err(io::Error::from)
            .map(|()| self.line.push(b'\n'))
            .and_then(|()| self.out.write_all(&self.line))
            .map_err(|source| io_error("write", &self.path, source))
    }

    /// Hands everything so far to the operating system.
    pub(super) fn flush(&mut self) -> Result<(), HistoryError> {
        self.out.flush().map_err(|source| io_error("write", &self.path, source))
    }

    /// Waits until everything so far is on the disk.
    pub(super) fn sync(&mut self) -> Result<(), HistoryError> {
        self.flush()?;
        self.out.get_ref().sync_all().map_err(|source| io_error("write", &self.path, source))
    }
}

/// The lines of a file, after its header.
pub(super) struct Lines<R> {
    path: PathBuf,
    input: R,
    text: Vec<u8>,
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) header: Header,
}

impl Lines<BufReader<File>> {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path) -> Result<Self, HistoryError> {
        let file = File::open(path).map_err(|source| io_error("read", path, source))?;
        let mut input = BufReader::with_capacity(1 << 16, file);
        let mut text = Vec::new();
        input.read_until(b'\n', &mut text).map_err(|source| io_error("read", path, source))?;
        Ok(Lines { header: header(path, &text)?, path: path.to_owned(), input, text, line: 1 })
    }
}

impl<R: BufRead> Lines<R> {
    /// The next line; `None` at the end, and where the writer was stopped in the middle of a line.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, HistoryError> {
        self.text.clear();
        self.line += 1;
        let read = self.input.read_until(b'\n', &mut self.text);
        read.map_err(|source| io_error("read", &self.path, source))?;
        if self.text.last() != Some(&b'\n') {
            // The writer ends every line: this one was torn by a crash, and is the last.
            return Ok(None);
        }
        let entry = match self.text.starts_with(b"{\"op\":") {
            true => serde_json::from_slice(&self.text).map(|operation| Entry::Operation(Box::new(operation))),
            false => serde_json::from_slice(&self.text).map(Entry::Other),
        };
        entry.map(Some).map_err(|error| self.damaged(error))
    }

    /// That the line which was read last cannot be what was written.
    pub(super) fn damaged(&self, reason: impl std::fmt::Display) -> HistoryError {
        HistoryError::Damaged { path: self.path.clone(), line: self.line, reason: reason.to_string() }
    }
}

fn header(path: &Path, line: &[u8]) -> Result<Header, HistoryError> {
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
        tool: String,
    }
    let foreign = || HistoryError::Foreign { path: path.to_owned() };
    let version: Version = serde_json::from_slice(line).map_err(|_| foreign())?;
    if version.tool != "onlyone" {
        return Err(foreign());
    }
    if ![FORMAT_VERSION, DIVIDED_FORMAT_VERSION].contains(&version.format_version) {
        return Err(HistoryError::Version { path: path.to_owned(), found: version.format_version });
    }
    serde_json::from_slice(line).map_err(|_| foreign())
}
