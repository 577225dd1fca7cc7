//! [`Sealer`]: the thread that packs segments while the next one is written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::columns::Lates;
use super::lines::{Entry, Lines, Marker};
use super::{DIVIDED_FORMAT_VERSION, Header, HistoryError, io_error, segment, segment_path};
use crate::history::Operation;

/// What is to be packed.
pub(super) enum Job {
    /// What was written before there were segments, which has the numbers up to this one.
    Main { until: u32 },
    /// A segment whose lines are in a file as well.
    Segment { number: u32, operations: Vec<Operation>, lates: Lates },
}

/// Packs one after another. Whoever is faster waits for it: there are never more than two in memory beside the one that is written.
pub(super) struct Sealer {
    main: PathBuf,
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<Result<(), HistoryError>>>,
}

impl Sealer {
    /// Starts the thread, for the segments beside this file.
    pub(super) fn start(main: &Path, header: &Header) -> Result<Self, HistoryError> {
        let (jobs, to_do) = sync_channel(1);
        let (path, header) = (main.to_owned(), header.clone());
        let thread = std::thread::Builder::new()
            .name("sealer".to_owned())
            .spawn(move || work(&path, &header, &to_do))
            .map_err(|source| io_error("write", main, source))?;
        Ok(Sealer { main: main.to_owned(), jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has this packed; waits while there is enough to do.
    pub(super) fn seal(&mut self, job: Job) -> Result<(), HistoryError> {
        if self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok()) {
            return Ok(());
        }
        // It ended: an earlier one could not be packed.
        self.end()?;
        Err(self.broken())
    }

    fn broken(&self) -> HistoryError {
        io_error("write", &self.main, io::Error::other("its segments could not be packed"))
    }

    /// Waits until all is packed.
    pub(super) fn finish(mut self) -> Result<(), HistoryError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), HistoryError> {
        self.jobs = None;
        let thread = self.thread.take();
        thread.map_or(Ok(()), |thread| thread.join().unwrap_or_else(|_| Err(self.broken())))
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        // Lines that are not packed are there all the same.
        self.end().ok();
    }
}

fn work(main: &Path, header: &Header, jobs: &Receiver<Job>) -> Result<(), HistoryError> {
    for job in jobs {
        match job {
            Job::Main { until } => seal_main(main, header, until)?,
            Job::Segment { number, operations, lates } => {
                seal(main, header, number, operations, lates)?;
                let lines = segment_path(main, number, false);
                std::fs::remove_file(&lines).map_err(|source| io_error("write", &lines, source))?;
            }
        }
    }
    Ok(())
}

fn seal(
    main: &Path,
    header: &Header,
    number: u32,
    operations: Vec<Operation>,
    lates: Lates,
) -> Result<(), HistoryError> {
    let path = segment_path(main, number, true);
    let packed = segment::packed(header, number, operations, lates);
    packed.and_then(|bytes| segment::replace(&path, &bytes)).map_err(|source| io_error("write", &path, source))
}

/// Packs what was written before there were segments, and leaves a file that says so.
fn seal_main(main: &Path, header: &Header, until: u32) -> Result<(), HistoryError> {
    let mut pack = |number, operations, lates| seal(main, header, number, operations, lates);
    let packed = divide(main, &mut pack)?;
    // No number is left out: one that is not there is a segment that was lost.
    (packed..until).try_for_each(|number| pack(number, Vec::new(), Lates::new()))?;
    let mut bytes = Vec::new();
    let header = Header { format_version: DIVIDED_FORMAT_VERSION, ..header.clone() };
    for line in [serde_json::to_vec(&header), serde_json::to_vec(&Marker::Continued { from: 0 })] {
        bytes.extend(line.map_err(|error| io_error("write", main, error.into()))?);
        bytes.push(b'\n');
    }
    segment::replace(main, &bytes).map_err(|source| io_error("write", main, source))
}

/// Takes what a file of lines holds in segments, each with its number; how many there are.
pub(super) fn divide(
    path: &Path,
    take: &mut dyn FnMut(u32, Vec<Operation>, Lates) -> Result<(), HistoryError>,
) -> Result<u32, HistoryError> {
    let mut lines = Lines::open(path)?;
    let (mut operations, mut lates, mut number) = (Vec::new(), Lates::new(), 0);
    let mut weight = 0;
    while let Some(entry) = lines.next()? {
        match entry {
            Entry::Operation(operation) => {
                weight += operation.weight();
                operations.push(*operation);
            }
            Entry::Other(Marker::Late { op, late }) => lates.push((op, late)),
            Entry::Other(Marker::Continued { .. } | Marker::End { .. }) => break,
        }
        if segment::is_full(operations.len(), weight) {
            take(number, std::mem::take(&mut operations), std::mem::take(&mut lates))?;
            (number, weight) = (number + 1, 0);
        }
    }
    take(number, operations, lates)?;
    Ok(number + 1)
}
