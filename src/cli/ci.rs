//! Announces results to the CI service that the process runs on: GitHub's step summary and annotations.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;

use super::values::Ci;
use super::{CliError, Io};
use crate::report::{MOST_ANNOTATIONS, Report, annotations, summary_within};

/// GitHub drops the whole summary of a step beyond 1 MiB; this leaves room for what other commands add.
const SUMMARY_LIMIT: u64 = 1000 * 1024;

/// Where results are announced; shared by the runs of one process, because the limits are those of a step.
#[derive(Debug)]
pub(super) struct Announcer {
    github: bool,
    summary: Option<PathBuf>,
    annotations_left: AtomicUsize,
}

impl Announcer {
    /// Finds out what the environment asks for.
    pub(super) fn new(ci: Ci) -> Self {
        let detected = || std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        let github = match ci {
            Ci::None => false,
            Ci::Github => true,
            Ci::Auto => detected(),
        };
        let summary = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| github && !path.is_empty());
        Announcer { github, summary: summary.map(PathBuf::from), annotations_left: AtomicUsize::new(MOST_ANNOTATIONS) }
    }

    /// Announces a run. That it could not be announced is told, and changes nothing of the result.
    pub(super) fn announce(&self, report: &Report, io: &mut Io) {
        if !self.github {
            return;
        }
        let lines = annotations(report, self.annotations_left.load(Ordering::Relaxed));
        let shown = lines.len().min(self.annotations_left.load(Ordering::Relaxed));
        self.annotations_left.fetch_sub(shown, Ordering::Relaxed);
        // On stderr: stdout holds the result and nothing else, and the service reads both.
        lines.iter().for_each(|line| io.note(&format!("{line}\n")));
        if let Some(path) = &self.summary
            && let Err(error) = append(path, |left| summary_within(report, left))
        {
            io.note(&CliError::setup(error).render(io.err_colour));
        }
    }

    /// Adds a text to the step summary, if there is one and it has room.
    pub(super) fn summarise(&self, text: &str, io: &mut Io) {
        let fitting = |left: usize| if text.len() <= left { text.to_owned() } else { String::new() };
        if let Some(path) = &self.summary
            && let Err(error) = append(path, fitting)
        {
            io.note(&CliError::setup(error).render(io.err_colour));
        }
    }
}

fn append(path: &Path, text: impl FnOnce(usize) -> String) -> anyhow::Result<()> {
    let failed = || format!("cannot write the step summary {}", path.display());
    let mut file = OpenOptions::new().create(true).append(true).open(path).with_context(failed)?;
    let taken = file.metadata().with_context(failed)?.len();
    let left = SUMMARY_LIMIT.saturating_sub(taken);
    let text = text(usize::try_from(left).unwrap_or(usize::MAX));
    let before = if taken > 0 && !text.is_empty() { "\n" } else { "" };
    file.write_all(format!("{before}{text}").as_bytes()).with_context(failed)
}
