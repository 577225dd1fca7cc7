//! An audit or a repair as the report that all renderers know.

use super::Audited;
use crate::report::{FORMAT_VERSION, RepairAction, Report};
use crate::stats::{Concurrency, Generator};
use crate::verdict::{ExitStatus, Verdict};

/// What a report says of how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Circumstances {
    /// Identifier of the run.
    pub run_id: String,
    /// `audit of chats in onlyone_practice`.
    pub name: String,
    /// The command that does it again.
    pub reproduce: String,
    /// How long it took.
    pub duration_s: f64,
    /// What it cost this process.
    pub generator: Generator,
    /// What was planned or done; `None` for an audit.
    pub actions: Option<Vec<RepairAction>>,
    /// What a repair left, a sentence each.
    pub left: Vec<String>,
}

/// The report.
pub fn report(audited: &Audited, circumstances: Circumstances) -> Report {
    let verdict = audited.verdict();
    let mut reasons = audited.reasons.clone();
    reasons.extend(circumstances.left);
    Report {
        as_if_serial: None,
        explore: None,
        selftest: None,
        machine: None,
        format_version: FORMAT_VERSION,
        tool: "onlyone".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: circumstances.run_id,
        scenario: circumstances.name,
        seed: 0,
        verdict,
        reasons,
        exit_code: status(verdict).code(),
        expectation: None,
        partial: false,
        reproduce: circumstances.reproduce,
        invariants: audited.invariants.clone(),
        keys: Vec::new(),
        origin: None,
        serial_control: None,
        operations: std::collections::BTreeMap::new(),
        concurrency: Concurrency::default(),
        throughput_per_s: 0.0,
        duration_s: circumstances.duration_s,
        over_time: Vec::new(),
        stages: Vec::new(),
        thresholds: Vec::new(),
        generator: circumstances.generator,
        preflight: audited.preflight.clone(),
        findings: Some(audited.findings.clone()),
        shards: Vec::new(),
        faults: Vec::new(),
        actions: circumstances.actions,
    }
}

/// How a process that found this ends.
pub fn status(verdict: Verdict) -> ExitStatus {
    match verdict {
        Verdict::Holds => ExitStatus::Holds,
        Verdict::Violated => ExitStatus::Violated,
        Verdict::Inconclusive => ExitStatus::Inconclusive,
    }
}
