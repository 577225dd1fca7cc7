//! Runs that are kept under a name to be compared with, and runs of one scenario over time.
//!
//! A baseline is a copy of what a comparison reads, in `baselines/NAME/SCENARIO` of the folder of the reports, so that the run's
//! own folder can go.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use super::values::Format;
use super::{CliError, Io};
use crate::report::{Report, trend_table, write_atomic};
use crate::scenario::nearest;
use crate::session::store::{check_run_id, read_report};
use crate::verdict::ExitStatus;
use crate::workload;

/// What a comparison reads of a run.
const KEPT: [&str; 3] = ["run.json", "report.json", "latency.hlog"];

/// The baselines below a folder of reports.
pub(super) struct Baselines<'a> {
    /// The folder of the reports.
    pub(super) out: &'a Path,
}

impl Baselines<'_> {
    fn folder(&self) -> PathBuf {
        self.out.join("baselines")
    }

    /// Keeps a run under a name. A baseline of the same name and scenario is replaced.
    pub(super) fn save(&self, name: &str, run: &Path, io: &mut Io) -> Result<ExitStatus, CliError> {
        check_run_id(name)?;
        let report = read_report(run)?;
        let named = self.folder().join(name);
        let folder = named.join(slug(&report.scenario));
        fs::create_dir_all(&named)
            .with_context(|| format!("cannot create {}", named.display()))
            .map_err(|error| CliError::setup(error).hint("choose a folder that can be written, with --out"))?;
        let whole = copied(run, &named)?;
        let left = replace(&folder, whole)
            .with_context(|| format!("cannot replace {}", folder.display()))
            .map_err(CliError::setup)?;
        if let Some(left) = left {
            io.note(&CliError::setup(left).render(io.err_colour));
        }
        let text = format!(
            "kept run {} of \"{}\" as baseline `{name}`: {}\n",
            report.run_id,
            report.scenario,
            folder.display()
        );
        io.result(&text).context("cannot write to stdout").map_err(CliError::setup)?;
        Ok(ExitStatus::Holds)
    }

    /// The baseline of this name for the scenario of a run.
    pub(super) fn find(&self, name: &str, new: &Path) -> Result<PathBuf, CliError> {
        check_run_id(name)?;
        let scenario = read_report(new)?.scenario;
        let folder = self.folder().join(name).join(slug(&scenario));
        if folder.is_dir() {
            return Ok(folder);
        }
        let keep = format!("keep one: onlyone compare --save-baseline {name} RUN_DIR");
        if self.folder().join(name).is_dir() {
            let error = CliError::usage(anyhow::anyhow!("baseline `{name}` has no run of \"{scenario}\""));
            return Err(error.hint(keep));
        }
        let error = CliError::usage(anyhow::anyhow!("there is no baseline `{name}` in {}", self.folder().display()));
        let names: Vec<String> = fs::read_dir(self.folder())
            .map(|entries| {
                entries.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok()).collect()
            })
            .unwrap_or_default();
        Err(match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(keep),
        })
    }
}

/// A copy of what is kept of a run, in a folder of its own in this one: whole, or not there.
fn copied(run: &Path, folder: &Path) -> Result<TempDir, CliError> {
    let copy = tempfile::Builder::new()
        .prefix(".onlyone-")
        // As any other folder of reports; the process takes from it what it takes from each.
        .permissions(fs::Permissions::from_mode(0o777))
        .tempdir_in(folder)
        .with_context(|| format!("cannot create a folder in {}", folder.display()))
        .map_err(CliError::setup)?;
    for file in KEPT {
        let from = run.join(file);
        let bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()));
        write_atomic(&copy.path().join(file), &bytes.map_err(CliError::usage)?).map_err(CliError::setup)?;
    }
    Ok(copy)
}

/// Puts a folder in the place of another one, which stays as it was if that fails. Why the other one is still beside it, if
/// it could not be removed.
fn replace(folder: &Path, mut by: TempDir) -> anyhow::Result<Option<anyhow::Error>> {
    let mut beside =
        tempfile::Builder::new().prefix(".onlyone-").tempdir_in(folder.parent().unwrap_or(Path::new(".")))?;
    let before = beside.path().join("before");
    let replaces = match fs::rename(folder, &before) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(error.into()),
    };
    if let Err(error) = fs::rename(by.path(), folder) {
        let error = anyhow::Error::new(error);
        return Err(match replaces && fs::rename(&before, folder).is_err() {
            true => {
                beside.disable_cleanup(true);
                error.context(format!("what was kept before is in {}", before.display()))
            }
            false => error,
        });
    }
    // It is a temporary folder no more.
    by.disable_cleanup(true);
    let shown = beside.path().display().to_string();
    let left = || format!("what was kept before could not be removed: {shown}");
    Ok(beside.close().with_context(left).err())
}

/// A name as that of a folder: letters and digits, and a dash for everything between. What is the same then is told apart by a
/// number made from the whole name.
fn slug(name: &str) -> String {
    const LONGEST: usize = 48;
    let dashed: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let words: Vec<&str> = dashed.split('-').filter(|word| !word.is_empty()).collect();
    let short: String = words.join("-").chars().take(LONGEST).collect();
    format!("{short}-{:08x}", workload::fnv(0, name) >> 32)
}

/// Shows the runs of the same scenario in the folder that this run is in, oldest first.
pub(super) fn trend(run: &Path, format: Format, io: &mut Io) -> Result<ExitStatus, CliError> {
    let wanted = read_report(run)?;
    let absolute = std::path::absolute(run).map_err(CliError::setup)?;
    let beside = absolute.parent().unwrap_or(Path::new("."));
    let cannot_read = || format!("cannot read {}", beside.display());
    let mut reports: Vec<Report> = Vec::new();
    for entry in fs::read_dir(beside).with_context(cannot_read).map_err(CliError::setup)? {
        let folder = entry.with_context(cannot_read).map_err(CliError::setup)?.path();
        match folder.join("report.json").is_file().then(|| read_report(&folder)) {
            // That of another scenario, or of another command, is no part of the trend.
            Some(Ok(report)) if report.scenario == wanted.scenario && !report.operations.is_empty() => {
                reports.push(report);
            }
            Some(Err(error)) => io.note(&format!("{} is left out\n{}", folder.display(), error.render(io.err_colour))),
            Some(Ok(_)) | None => {}
        }
    }
    let date = |report: &Report| report.origin.as_ref().map(|origin| origin.date.clone()).unwrap_or_default();
    reports.sort_by(|a, b| date(a).cmp(&date(b)).then_with(|| a.run_id.cmp(&b.run_id)));
    if reports.is_empty() {
        return Err(CliError::usage(anyhow::anyhow!(
            "{} has no operations whose latency could be shown",
            run.display()
        ))
        .hint("name the folder of a `run`"));
    }
    let text = match format {
        Format::Human => trend_table(&reports, io.out_colour, io.width),
        Format::Json => {
            let rows: Vec<_> = reports.iter().map(crate::report::trend_row).collect();
            serde_json::to_string_pretty(&rows).map(|json| json + "\n").map_err(CliError::setup)?
        }
    };
    io.result(&text).context("cannot write to stdout").map_err(CliError::setup)?;
    Ok(ExitStatus::Holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_scenarios_become_names_of_folders() {
        assert_eq!(slug("create-or-get, 150 callers"), "create-or-get-150-callers-ec2c3833");
        assert_ne!(slug("a, b"), slug("a. b"));
        assert!(slug("../../etc").starts_with("etc-") && slug("é").len() < 12);
        assert!(slug(&"x".repeat(400)).len() < 64);
    }

    #[test]
    fn a_baseline_is_replaced_as_a_whole_or_stays_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let run = |name: &str, files: &[&str]| {
            let folder = root.path().join(name);
            fs::create_dir(&folder).unwrap();
            files.iter().for_each(|file| fs::write(folder.join(file), name).unwrap());
            folder
        };
        let named = root.path().join("baselines");
        fs::create_dir(&named).unwrap();
        let folder = named.join("scenario");
        let keep = |run: &Path| copied(run, &named).map(|copy| assert!(replace(&folder, copy).unwrap().is_none()));
        let kept = || KEPT.map(|file| fs::read_to_string(folder.join(file)).unwrap());
        keep(&run("first", &KEPT)).unwrap();
        assert_eq!(kept(), ["first"; 3]);
        assert!(keep(&run("half", &KEPT[..2])).is_err(), "a file is missing");
        assert_eq!(kept(), ["first"; 3]);
        keep(&run("second", &KEPT)).unwrap();
        assert_eq!(kept(), ["second"; 3]);
        keep(&folder).unwrap();
        assert_eq!(kept(), ["second"; 3], "kept from itself");
        assert_eq!(fs::read_dir(&named).unwrap().count(), 1, "nothing else is left there");
        let mode = |folder: &Path| fs::metadata(folder).unwrap().permissions().mode();
        assert_eq!(mode(&folder), mode(&named), "who may read the reports may read it");
    }
}
