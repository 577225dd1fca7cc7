//! `history.jsonl`: a header line, one operation per line in order of completion, late answers, an end line.
//!
//! The writer appends while the run goes on. The reader restores the operations in the order of their numbers. A file
//! without its end line is that of a run that died: what it holds is true, but operations may be missing.
//!
//! A history that is longer than fits into memory goes on in segments: `history-000000.jsonl.gz` and so on, in the same folder. The
//! last of them, while they are written, have the same lines as the file (`history-000007.jsonl`).

mod column;
mod columns;
mod divided;
mod lines;
mod names;
mod parts;
mod pieces;
mod reader;
mod scratch;
mod sealer;
mod segment;
mod survey;
mod writer;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use self::divided::{Divided, Division};
pub use self::parts::is_divided;
pub(crate) use self::pieces::{Fitting, Piece, Shared};
pub use self::reader::{read, read_part, read_some};
pub(crate) use self::survey::Meeting;
pub use self::writer::HistoryWriter;

/// Version of the history format.
pub const FORMAT_VERSION: u32 = 1;
/// Version of a `history.jsonl` whose operations lie in segments: who reads its lines alone must not take it for an empty one.
pub const DIVIDED_FORMAT_VERSION: u32 = 2;

/// First line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT_VERSION`] or [`DIVIDED_FORMAT_VERSION`].
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
    #[error("{} has format version {found}; this onlyone reads versions {FORMAT_VERSION} and {DIVIDED_FORMAT_VERSION}", path.display())]
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
    /// Segments cannot be what the writer wrote.
    #[error("the segments of the history are damaged: {reason}")]
    Segments {
        /// What is wrong.
        reason: String,
    },
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> HistoryError {
    HistoryError::Io { action, path: path.to_owned(), source }
}

/// The file of a segment, packed or as lines, beside the history that it belongs to.
fn segment_path(main: &Path, number: u32, packed: bool) -> PathBuf {
    let stem = main.file_stem().unwrap_or_default().to_string_lossy();
    let end = if packed { "jsonl.gz" } else { "jsonl" };
    main.with_file_name(format!("{stem}-{number:06}.{end}"))
}

/// What operations may weigh that are judged, or kept to be judged, within so much memory: a quarter of it. The rest is for what is
/// worked out from them, which nobody has measured, and for those that are read or written meanwhile, which may weigh as much again.
pub(crate) fn operations_within(memory: u64) -> u64 {
    memory / 4
}

/// Whether not even the first line is whole: the writer was killed at once.
pub fn is_unwritten(path: &Path) -> Result<bool, HistoryError> {
    let mut first = Vec::new();
    let file = File::open(path).map_err(|source| io_error("read", path, source))?;
    BufReader::new(file).read_until(b'\n', &mut first).map_err(|source| io_error("read", path, source))?;
    Ok(first.last() != Some(&b'\n'))
}

#[cfg(test)]
mod segment_tests;
#[cfg(test)]
mod tests;
