//! The clock of an instance, moved by libfaketime: [`ClockLibrary`].
//!
//! A service is started with the library before the C library, and asks a file how far the time of day is off, each time it asks for
//! the time. Clocks that only measure how long something takes are left alone, so that timers go as before. A program that asks
//! the kernel itself, as those that are written in Go do, keeps the machine's clock.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;

use super::{Service, step};
use crate::process::ProcessSpec;
use crate::target::TargetError;

/// Where distributions have it, below the folders of libraries; the second is for programs of a single thread.
const NAMES: [&str; 2] = ["faketime/libfaketimeMT.so.1", "faketime/libfaketime.so.1"];
const MOVING: &str = "moving the service's clock";

/// The library that stands between programs and the C library's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockLibrary(PathBuf);

impl ClockLibrary {
    /// The one that is installed on this machine.
    pub fn find() -> Option<Self> {
        // Elsewhere libraries come before others in another way.
        cfg!(target_os = "linux").then(|| Self::find_below(&["/usr/local", "/usr", "/"].map(Path::new)))?
    }

    fn find_below(roots: &[&Path]) -> Option<Self> {
        let architecture = format!("{}-linux-gnu", std::env::consts::ARCH);
        let folders = roots.iter().flat_map(|root| ["lib", "lib64"].map(|lib| root.join(lib)));
        let folders: Vec<PathBuf> = folders.flat_map(|folder| [folder.join(&architecture), folder]).collect();
        let mut all = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        all.find(|path| path.is_file()).map(ClockLibrary)
    }

    /// A process that asks this file for the time, which is the right one at first. One that is started again finds it as it is:
    /// a clock that is wrong stays wrong.
    pub(super) fn told(&self, process: ProcessSpec, file: &Path) -> Result<ProcessSpec, TargetError> {
        if !file.exists() {
            write(file, SignedDuration::ZERO)?;
        }
        let mut preload = OsString::from(&self.0);
        if let Some(others) = process.env.get(&OsString::from("LD_PRELOAD")) {
            preload.push(":");
            preload.push(others);
        }
        Ok(process
            .env("LD_PRELOAD", preload)
            .env("FAKETIME_TIMESTAMP_FILE", file)
            .env("FAKETIME_NO_CACHE", "1")
            // Two versions of the library have two names for it.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1"))
    }
}

/// The file that an instance asks.
pub(super) fn file(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("clock-{number}"))
}

/// Replaced as a whole: it is read at any time.
fn write(file: &Path, by: SignedDuration) -> Result<(), TargetError> {
    let next = file.with_extension("next");
    let written = std::fs::write(&next, offset(by)).and_then(|()| std::fs::rename(&next, file));
    written.map_err(|error| step(MOVING, error))
}

/// In the words of the library: seconds, with a sign.
fn offset(by: SignedDuration) -> String {
    format!("{:+.6}\n", by.as_secs_f64())
}

impl Service {
    /// Moves the clock of the instance at this position away from that of the machine by so much. An error if it would not notice.
    pub fn move_clock(&self, position: usize, by: SignedDuration) -> Result<(), TargetError> {
        // Also of one that is down: it is started again with this clock.
        let number = u32::try_from(position + 1).unwrap_or(u32::MAX);
        write(&file(self.supervisor.dir(), number), by)?;
        let processes = self.processes();
        let Some(process) = processes.get(position) else { return Ok(()) };
        // One that is just being started, or was killed, has no maps yet, or no more.
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", process.pid())).unwrap_or_default();
        if !maps.is_empty() && !maps.contains("libfaketime") {
            let why =
                format!("instance {} does not ask the C library for the time: it is linked statically", position + 1);
            return Err(step(MOVING, why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_is_written_in_seconds_with_a_sign() {
        for (by, text) in [
            (SignedDuration::ZERO, "+0.000000\n"),
            (SignedDuration::from_secs(-300), "-300.000000\n"),
            (SignedDuration::from_millis(300), "+0.300000\n"),
        ] {
            assert_eq!(offset(by), text);
        }
    }

    #[test]
    fn the_library_for_several_threads_is_preferred_and_none_is_made_up() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(ClockLibrary::find_below(&[root.path()]), None);
        let folder = root.path().join("lib64/faketime");
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["libfaketime.so.1", "libfaketimeMT.so.1"] {
            std::fs::write(folder.join(name), "").unwrap();
            assert_eq!(ClockLibrary::find_below(&[root.path()]), Some(ClockLibrary(folder.join(name))));
        }
    }

    #[test]
    fn what_the_scenario_preloads_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let library = ClockLibrary("/lib/libfaketime.so".into());
        let process = ProcessSpec::new("true", folder.path().join("log")).env("LD_PRELOAD", "/mine.so");
        let told = library.told(process, &file(folder.path(), 1)).unwrap();
        assert_eq!(told.env[&OsString::from("LD_PRELOAD")], "/lib/libfaketime.so:/mine.so");
        assert_eq!(std::fs::read_to_string(file(folder.path(), 1)).unwrap(), "+0.000000\n");
    }

    #[test]
    fn a_clock_that_is_wrong_stays_wrong_when_its_service_is_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let (library, clock) = (ClockLibrary("/lib/libfaketime.so".into()), file(folder.path(), 1));
        let process = || ProcessSpec::new("true", folder.path().join("log"));
        library.told(process(), &clock).unwrap();
        write(&clock, SignedDuration::from_secs(-300)).unwrap();
        library.told(process(), &clock).unwrap();
        assert_eq!(std::fs::read_to_string(clock).unwrap(), "-300.000000\n");
    }
}
