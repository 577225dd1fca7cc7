//! Runs that are kept under a name to be compared with, and runs of one scenario over time.
//!
//! A baseline is a copy of what a comparison reads, in `baselines/NAME/SCENARIO` of the folder of the reports, so that the run's
//! own folder can go.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::store::{check_run_id, read_report};
use super::values::Format;
use super::{CliError, Io};
use crate::report::{Report, trend_table};
use crate::scenario::nearest;
use crate::verdict::ExitStatus;

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
        let folder = self.folder().join(name).join(slug(&report.scenario));
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))
            .map_err(|error| CliError::setup(error).hint("choose a folder that can be written, with --out"))?;
        for file in KEPT {
            let from = run.join(file);
            fs::copy(&from, folder.join(file))
                .with_context(|| format!("cannot copy {} to {}", from.display(), folder.display()))
                .map_err(CliError::usage)?;
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

/// A name as that of a folder: letters and digits, and a dash for everything between. What is the same then is told apart by a
/// number made from the whole name.
fn slug(name: &str) -> String {
    const LONGEST: usize = 48;
    let dashed: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let words: Vec<&str> = dashed.split('-').filter(|word| !word.is_empty()).collect();
    let short: String = words.join("-").chars().take(LONGEST).collect();
    // FNV-1a: the same on every machine, and never changed.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{short}-{hash:08x}")
}

/// Shows the runs of the same scenario in the folder that this run is in, oldest first.
pub(super) fn trend(run: &Path, format: Format, io: &mut Io) -> Result<ExitStatus, CliError> {
    let wanted = read_report(run)?;
    let absolute = std::path::absolute(run).map_err(CliError::setup)?;
    let beside = absolute.parent().unwrap_or(Path::new("."));
    let mut reports: Vec<Report> = fs::read_dir(beside)
        .with_context(|| format!("cannot read {}", beside.display()))
        .map_err(CliError::setup)?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("report.json").is_file())
        // A report of another version, or of another command, is no part of the trend.
        .filter_map(|entry| read_report(&entry.path()).ok())
        .filter(|report| report.scenario == wanted.scenario && !report.operations.is_empty())
        .collect();
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
        assert_eq!(slug("create-or-get, 150 callers"), "create-or-get-150-callers-a68ace56");
        assert_ne!(slug("a, b"), slug("a. b"));
        assert!(slug("../../etc").starts_with("etc-") && slug("é").len() < 12);
        assert!(slug(&"x".repeat(400)).len() < 64);
    }
}
