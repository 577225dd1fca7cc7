//! Writes the reports of a run, each under a temporary name first: a reader sees a whole file or none.
//!
//! [`write_all`] writes the set; [`write_atomic`] one file. The history is not written here.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{JsonError, Report, hgrm, hlog, html, junit, summary, to_json};
use crate::stats::LatencyStats;

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system refuses it.
    #[error("cannot write {}{}", path.display(), hint(source))]
    Io {
        /// The file that was to be written.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The report cannot be rendered.
    #[error("cannot render {file}")]
    Render {
        /// Name of the file.
        file: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            ": choose a folder that can be written, with --out"
        }
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ": free some space, or choose --out",
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => ": the folder is not there",
        _ => "",
    }
}

/// Writes `report.json`, `junit.xml`, `report.html`, `summary.md` and, where there are statistics, `latency.hlog` and `latency.hgrm`.
/// Returns the names written. `started` is the time of day at the start of the run.
///
/// `report.json` comes first: should the disk be full, the machine-readable result is the one that is kept.
pub fn write_all(
    directory: &Path,
    report: &Report,
    latency: Option<(&LatencyStats, SystemTime)>,
) -> Result<Vec<&'static str>, WriteError> {
    let mut written = Vec::new();
    let mut write = |name: &'static str, bytes: &[u8]| {
        write_atomic(&directory.join(name), bytes)?;
        written.push(name);
        Ok::<(), WriteError>(())
    };
    write("report.json", &to_json(report).map_err(|source: JsonError| render("report.json", source))?)?;
    write("junit.xml", junit(report).map_err(|source| render("junit.xml", source))?.as_bytes())?;
    write("report.html", html(report).map_err(|source| render("report.html", source))?.as_bytes())?;
    write("summary.md", summary(report).as_bytes())?;
    if let Some((latency, started)) = latency {
        let end = Duration::from_secs_f64(latency.end_s());
        write("latency.hlog", &hlog(latency, started, end).map_err(|source| render("latency.hlog", source))?)?;
        write("latency.hgrm", hgrm(latency).as_bytes())?;
    }
    Ok(written)
}

/// The error of a file that cannot be rendered.
pub(super) fn rendering(file: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> WriteError {
    render(file, source)
}

fn render(file: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> WriteError {
    WriteError::Render { file, source: Box::new(source) }
}

/// Most links one after another; who goes in a circle is stopped by it.
const MOST_LINKS: usize = 40;

/// A path and what it leads to, link by link, also where nothing is there yet.
fn led_to(path: &Path) -> Vec<PathBuf> {
    let next = |link: &PathBuf| {
        let target = std::fs::read_link(link).ok()?;
        Some(link.parent().unwrap_or(Path::new("")).join(target))
    };
    std::iter::successors(Some(path.to_owned()), next).take(MOST_LINKS).collect()
}

/// Writes a file under a temporary name in the same folder, makes it durable, and renames it. What a link leads to is written, and the
/// link stays; what is no file, such as a device or a pipe, or what is open already, as `/dev/stdout` is, is written into and never
/// replaced.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let failed = |source| WriteError::Io { path: path.to_owned(), source };
    let links = led_to(path);
    let is_open = links.iter().any(|link| link.starts_with("/proc/self/fd") || link.starts_with("/dev/fd"));
    if is_open || std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return File::options().append(true).open(path).and_then(|mut there| there.write_all(bytes)).map_err(failed);
    }
    let path = links.last().map_or(path, PathBuf::as_path);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Temporary files are private; a report is for everyone whom the user's mask lets read it.
    let mut builder = tempfile::Builder::new();
    builder.prefix(".onlyone-").permissions(std::fs::Permissions::from_mode(0o666));
    let mut file = builder.tempfile_in(directory).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    // The rename is durable when the folder is.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::report::sample;
    use crate::stats::Clock;

    #[test]
    fn a_set_is_written_whole_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let stats = LatencyStats::of(Clock::Service, &sample::witness_operations()).unwrap();
        for report in [sample::violated(), sample::passing()] {
            let written = write_all(directory.path(), &report, Some((&stats, SystemTime::UNIX_EPOCH))).unwrap();
            let mut found: Vec<_> = std::fs::read_dir(directory.path())
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            found.sort();
            let mut expected = written.clone();
            expected.sort_unstable();
            assert_eq!(found, expected);
            let bytes = std::fs::read(directory.path().join("report.json")).unwrap();
            assert_eq!(crate::report::from_json(&bytes).unwrap(), report);
        }
    }

    #[test]
    fn links_stay_links_and_what_is_no_file_stays_what_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_atomic(&link, b"new").unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        // Also one that leads to what is not there yet, by a name beside it.
        let early = directory.path().join("early");
        std::os::unix::fs::symlink("later", &early).unwrap();
        write_atomic(&early, b"new").unwrap();
        assert!(std::fs::symlink_metadata(&early).unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(directory.path().join("later")).unwrap(), "new");
        // What stdout is led into is not taken away from whoever else writes there.
        let open = File::options().append(true).open(&file).unwrap();
        write_atomic(&Path::new("/dev/fd").join(open.as_raw_fd().to_string()), b", too").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new, too");
        assert_eq!(open.metadata().unwrap().len(), 8, "it is the same file");
        let (socket, pipe) = (directory.path().join("socket"), directory.path().join("pipe"));
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(write_atomic(&socket, b"new").is_err(), "nobody can write there, and it is not replaced");
        assert!(!std::fs::metadata(&socket).unwrap().is_file());
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read_to_string(pipe).unwrap()
        });
        write_atomic(&pipe, b"new").unwrap();
        assert_eq!(reader.join().unwrap(), "new");
        assert!(!std::fs::metadata(&pipe).unwrap().is_file());
    }

    #[test]
    fn an_error_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("no-such-folder");
        let error = write_all(&missing, &sample::passing(), None).unwrap_err().to_string();
        assert!(error.contains("no-such-folder/report.json") && error.contains("not there"), "{error}");
        let file = directory.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(write_atomic(&file.join("report.json"), b"").is_err());
        // A target that cannot be replaced leaves no temporary file behind.
        let taken = directory.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        assert!(write_atomic(&taken, b"x").is_err());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
