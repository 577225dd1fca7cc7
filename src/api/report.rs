//! [`Report`]: what a run showed, as plain values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::Error;
use crate::report::{self, Terminal, terminal};
use crate::session::{SessionError, judge_again};
use crate::stats::OperationStats;
use crate::verdict::{InvariantResult, Verdict};

/// What a run showed. Shown with `{}` it is the summary that the command line prints.
#[derive(Debug, Clone)]
pub struct Report {
    report: report::Report,
    folder: PathBuf,
    problems: Vec<Error>,
}

/// One invariant, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// Its name, as in `single-document`; `onlyone explain` says what it means.
    pub invariant: String,
    /// What is known of it.
    pub verdict: Verdict,
    /// Keys, documents, answers or messages that were checked.
    pub checked: u64,
    /// How many of them are violated.
    pub violations: u64,
    /// Further counts by name, such as `duplicates`.
    pub counts: BTreeMap<String, u64>,
    /// Why it is inconclusive, or what a verdict that holds does not cover.
    pub reason: Option<String>,
    /// Proofs of a violation, the smallest first; a few of them, however many there are.
    pub proofs: Vec<Proof>,
}

/// The few operations and documents that prove a violation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Proof {
    /// The key that was asked for.
    pub key: String,
    /// Why this cannot be in a correct system.
    pub explanation: String,
    /// How many operations it takes.
    pub operations: usize,
    /// How many documents were found.
    pub documents: usize,
}

/// The operations of one kind: how many there were, and how long they took.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Operations {
    /// The kind, as in `create-or-get`.
    pub name: String,
    /// Operations invoked.
    pub attempted: u64,
    /// Those that happened.
    pub ok: u64,
    /// Those that certainly did not.
    pub failed: u64,
    /// Those that may have.
    pub unknown: u64,
    /// How long the answered ones took.
    pub latency: Latency,
}

/// Quantiles of latency in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// Median.
    pub p50_us: u64,
    /// 90 %.
    pub p90_us: u64,
    /// 95 %.
    pub p95_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// 99.9 %.
    pub p99_9_us: u64,
    /// Largest.
    pub max_us: u64,
}

impl Report {
    pub(super) fn new(report: report::Report, folder: PathBuf, problems: Vec<Error>) -> Self {
        Report { report, folder, problems }
    }

    /// The worst of the invariants, or inconclusive for a reason of the whole run.
    pub fn verdict(&self) -> Verdict {
        self.report.verdict
    }

    /// Whether every invariant holds, and something was checked of each. An inconclusive run does not hold.
    pub fn holds(&self) -> bool {
        self.verdict() == Verdict::Holds
    }

    /// Whether an invariant is violated: there is a proof.
    pub fn is_violated(&self) -> bool {
        self.verdict() == Verdict::Violated
    }

    /// Why the whole run is inconclusive.
    pub fn reasons(&self) -> &[String] {
        &self.report.reasons
    }

    /// The exit code of the command line, in which expectations and thresholds of the scenario count as well: 0 if they are met.
    pub fn exit_code(&self) -> u8 {
        self.report.exit_code
    }

    /// All invariants that were judged, and what is known of each.
    pub fn findings(&self) -> Vec<Finding> {
        self.report.invariants.iter().map(Finding::of).collect()
    }

    /// The violated ones among them.
    pub fn violations(&self) -> Vec<Finding> {
        let violated = self.report.invariants.iter().filter(|result| result.verdict == Verdict::Violated);
        violated.map(Finding::of).collect()
    }

    /// Counts and latency of each kind of operation.
    pub fn operations(&self) -> Vec<Operations> {
        self.report.operations.iter().map(|(name, stats)| Operations::of(name, stats)).collect()
    }

    /// Keys on which at least two operations were really in flight together: without any, nothing was tried.
    pub fn effective_trials(&self) -> u64 {
        self.report.concurrency.effective_trials
    }

    /// Root of all randomness.
    pub fn seed(&self) -> u64 {
        self.report.seed
    }

    /// Name of the run.
    pub fn run_id(&self) -> &str {
        &self.report.run_id
    }

    /// The run's folder, with the history of all operations and the reports for people and programs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What failed beside the verdict, such as a report that could not be written.
    pub fn problems(&self) -> &[Error] {
        &self.problems
    }

    /// All of it, as `report.json` has it; `onlyone schema report` describes that.
    ///
    /// # Errors
    /// When a number in it has no form in JSON.
    pub fn to_json(&self) -> Result<String, Error> {
        let unwritable = |error: anyhow::Error| Error::of(SessionError::setup(error));
        let bytes = report::to_json(&self.report).map_err(|error| unwritable(error.into()))?;
        String::from_utf8(bytes).map_err(|error| unwritable(error.into()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display().to_string();
        f.write_str(&terminal(&self.report, Terminal { colour: false, width: 100, directory: Some(&folder) }))
    }
}

impl Finding {
    fn of(result: &InvariantResult) -> Self {
        let proofs = result.witnesses.iter().map(|witness| Proof {
            key: witness.key.clone(),
            explanation: witness.explanation.clone(),
            operations: witness.operations.len(),
            documents: witness.documents.len(),
        });
        Finding {
            invariant: result.name.to_string(),
            verdict: result.verdict,
            checked: result.checked,
            violations: result.violations,
            counts: result.counts.clone(),
            reason: result.reason.clone(),
            proofs: proofs.collect(),
        }
    }
}

impl Operations {
    fn of(name: &str, stats: &OperationStats) -> Self {
        let &OperationStats { attempted, ok, failed, unknown, latency_us: latency, .. } = stats;
        let latency = Latency {
            count: latency.count,
            p50_us: latency.p50,
            p90_us: latency.p90,
            p95_us: latency.p95,
            p99_us: latency.p99,
            p99_9_us: latency.p99_9,
            max_us: latency.max,
        };
        Operations { name: name.to_owned(), attempted, ok, failed, unknown, latency }
    }
}

/// Judges the run that a folder holds again, from what was recorded: the same report, also of a run that was killed. Nothing is
/// sent anywhere, and nothing is left behind; a long run is sorted in its folder meanwhile, which must be writable.
///
/// # Errors
/// When the folder is not that of a run, or was written by another version.
///
/// ```
/// let error = onlyone::check("no/such/run").unwrap_err();
/// assert!(error.is_usage());
/// ```
pub fn check(folder: impl AsRef<Path>) -> Result<Report, Error> {
    let folder = folder.as_ref();
    let (report, ..) = judge_again(folder).map_err(Error::of)?;
    Ok(Report::new(report, folder.to_owned(), Vec::new()))
}
