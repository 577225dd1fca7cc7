//! Two runs against each other, as a result: invariants that changed, figures that differ. Main type: [`Comparison`].
//!
//! It is put together from two reports and the [`Change`]s of their latency logs; it judges nothing again.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Report;
use super::format::percent;
use crate::stats::{Change, Finding};
use crate::verdict::{ExitStatus, Verdict};

/// Version of the comparison's JSON.
const FORMAT_VERSION: u32 = 1;

/// What the new run changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Version of this object.
    pub format_version: u32,
    /// `onlyone`.
    pub tool: &'static str,
    /// The run compared with.
    pub base: Side,
    /// The run compared.
    pub new: Side,
    /// Differences up to this share of the base count for nothing.
    pub threshold: f64,
    /// What makes the runs incomparable, and was overruled.
    pub differences: Vec<String>,
    /// Other circumstances that differ.
    pub notes: Vec<String>,
    /// Invariants whose verdict differs.
    pub invariants: Vec<InvariantChange>,
    /// Latency and throughput.
    pub figures: Vec<Change>,
    /// The code the process ends with.
    pub exit_code: u8,
}

/// One of the two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// Its identifier.
    pub run_id: String,
    /// Name of its scenario.
    pub scenario: String,
    /// Its verdict.
    pub verdict: Verdict,
}

/// An invariant whose verdict differs; absent on the side that did not judge it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InvariantChange {
    /// Its name.
    pub name: String,
    /// In the base.
    pub base: Option<Verdict>,
    /// In the new run.
    pub new: Option<Verdict>,
}

impl Comparison {
    /// Puts a comparison together. `differences` make the runs incomparable, and the user wants it all the same.
    pub fn new(base: &Report, new: &Report, threshold: f64, differences: Vec<String>, figures: Vec<Change>) -> Self {
        let side = |report: &Report| Side {
            run_id: report.run_id.clone(),
            scenario: report.scenario.clone(),
            verdict: report.verdict,
        };
        let invariants = changed_invariants(base, new);
        let status = status(&invariants, &figures);
        Comparison {
            format_version: FORMAT_VERSION,
            tool: "onlyone",
            base: side(base),
            new: side(new),
            threshold,
            differences,
            notes: notes(base, new),
            invariants,
            figures,
            exit_code: status.code(),
        }
    }

    /// The status that the process ends with.
    pub fn status(&self) -> ExitStatus {
        ExitStatus::from_code(self.exit_code).unwrap_or(ExitStatus::Inconclusive)
    }
}

/// A verdict in words; an invariant may be judged on one side only.
pub(super) fn verdict_word(verdict: Option<Verdict>) -> &'static str {
    verdict.map_or("not judged", Verdict::as_str)
}

fn changed_invariants(base: &Report, new: &Report) -> Vec<InvariantChange> {
    let mut names = BTreeMap::<String, [Option<Verdict>; 2]>::new();
    for (side, report) in [base, new].into_iter().enumerate() {
        for result in &report.invariants {
            names.entry(result.name.to_string()).or_default()[side] = Some(result.verdict);
        }
    }
    let changed = names.into_iter().filter(|(_, [base, new])| base != new);
    changed.map(|(name, [base, new])| InvariantChange { name, base, new }).collect()
}

/// A new violation comes first, then a regression; what could not be told is never passed over in silence.
fn status(invariants: &[InvariantChange], figures: &[Change]) -> ExitStatus {
    let broken = invariants.iter().any(|change| change.new == Some(Verdict::Violated));
    let untold = invariants.iter().any(|change| change.base == Some(Verdict::Holds) && change.new != change.base);
    let told = |figure: &&Change| !matches!(figure.finding, Finding::TooFew | Finding::Unclear);
    // Of each operation at least one figure must tell: noise alone is not "no slower".
    let operations: BTreeSet<&str> = figures.iter().map(|figure| figure.operation.as_str()).collect();
    let told_of = |name: &&str| figures.iter().filter(told).any(|figure| figure.operation == **name);
    let measured =
        figures.iter().any(|figure| told(&figure)) && operations.iter().filter(|name| **name != "all").all(told_of);
    if broken {
        ExitStatus::Violated
    } else if figures.iter().any(|figure| figure.finding == Finding::Worse) {
        ExitStatus::Threshold
    } else if untold || !measured {
        ExitStatus::Inconclusive
    } else {
        ExitStatus::Holds
    }
}

/// Circumstances that a difference may come from, without making the runs incomparable.
fn notes(base: &Report, new: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    let facts = [
        ("server", &base.preflight.server_version, &new.preflight.server_version),
        ("topology", &base.preflight.topology, &new.preflight.topology),
        ("driver", &base.preflight.driver_version, &new.preflight.driver_version),
        ("lookup plan", &base.preflight.lookup_plan, &new.preflight.lookup_plan),
    ];
    for (name, base, new) in facts {
        if base != new {
            let told = |fact: &Option<String>| fact.clone().unwrap_or_else(|| "not known".to_owned());
            notes.push(format!("{name}: {} in the base, {} in the new run", told(base), told(new)));
        }
    }
    if base.version != new.version {
        notes.push(format!("onlyone: {} in the base, {} in the new run", base.version, new.version));
    }
    for (name, report) in [("base", base), ("new run", new)] {
        if let Some(share) = report.generator.other_load.filter(|share| *share > 0.1) {
            notes.push(format!("other processes took {} of the processors during the {name}: noise", percent(share)));
        }
        if report.partial {
            notes.push(format!("the {name} was cut short"));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn figure(finding: Finding) -> Change {
        Change {
            operation: "create-or-get".into(),
            metric: "p50",
            base: 1.0,
            new: 1.0,
            samples: [1, 1],
            change: None,
            finding,
            reason: None,
        }
    }

    #[test]
    fn the_status_follows_from_what_changed() {
        let (passing, violated, open) = (sample::passing(), sample::violated(), sample::inconclusive());
        let cases = [
            (&passing, &passing, Finding::Same, ExitStatus::Holds),
            (&passing, &passing, Finding::Unclear, ExitStatus::Inconclusive),
            (&passing, &passing, Finding::Better, ExitStatus::Holds),
            (&passing, &passing, Finding::Worse, ExitStatus::Threshold),
            (&passing, &passing, Finding::TooFew, ExitStatus::Inconclusive),
            (&passing, &violated, Finding::Worse, ExitStatus::Violated),
            (&violated, &passing, Finding::Same, ExitStatus::Holds),
            (&violated, &violated, Finding::Same, ExitStatus::Holds),
            (&passing, &open, Finding::Same, ExitStatus::Inconclusive),
            (&passing, &open, Finding::Worse, ExitStatus::Threshold),
        ];
        for (index, (base, new, finding, expected)) in cases.into_iter().enumerate() {
            let comparison = Comparison::new(base, new, 0.1, Vec::new(), vec![figure(finding)]);
            assert_eq!(comparison.status(), expected, "case {index}");
        }
    }

    #[test]
    fn an_invariant_that_is_no_longer_judged_has_changed() {
        let (base, mut new) = (sample::passing(), sample::passing());
        let gone = new.invariants.remove(2);
        let comparison = Comparison::new(&base, &new, 0.1, Vec::new(), vec![figure(Finding::Same)]);
        let change = InvariantChange { name: gone.name.to_string(), base: Some(Verdict::Holds), new: None };
        assert_eq!(comparison.invariants, [change]);
        assert_eq!(comparison.status(), ExitStatus::Inconclusive);
    }
}
