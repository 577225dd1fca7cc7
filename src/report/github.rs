//! Annotations of GitHub Actions: the lines that make a failed run visible beside the job.
//!
//! [`annotations`] renders them; that they are wanted, and where they go, is decided elsewhere. GitHub shows ten of a kind
//! per step and hides the rest without a word.

use super::Report;
use super::format::{count, measured, plural, visible};
use crate::verdict::Verdict;

/// Annotations shown of one step, with room for one that says how many more there are.
pub const MOST_ANNOTATIONS: usize = 9;

/// The lines for a run that did not end well, at most so many and one more; none for one that did.
pub fn annotations(report: &Report, most: usize) -> Vec<String> {
    let level = match report.exit_code {
        0 => return Vec::new(),
        1 | 5 => "error",
        _ => "warning",
    };
    let mut problems = problems(report);
    let left_out = problems.len().saturating_sub(most);
    problems.truncate(most);
    if left_out > 0 && most > 0 {
        problems.push((
            "more".to_owned(),
            format!("{} in the step summary and in report.json", plural(left_out as u64, "more problem")),
        ));
    }
    let line = |(title, text): (String, String)| {
        let text = format!("{}: {text}\nreproduce: {}", report.scenario, report.reproduce);
        format!("::{level} title={}::{}", property(&format!("onlyone: {title}")), data(&text))
    };
    problems.into_iter().map(line).collect()
}

/// What went wrong, as title and text.
fn problems(report: &Report) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let unmet = report.expectation.as_ref().filter(|expectation| expectation.met != Some(true));
    // A violation that the scenario expects is not what failed it.
    for result in report.invariants.iter().filter(|result| result.verdict == Verdict::Violated && report.exit_code == 1)
    {
        let witness = result.witnesses.first().map(|witness| format!(" {}", witness.explanation)).unwrap_or_default();
        let found = plural(result.violations, "violation");
        problems.push((
            format!("{} violated", result.name),
            format!("{found} of {} checked.{witness}", count(result.checked)),
        ));
    }
    if let Some(expectation) = unmet.filter(|_| report.verdict != Verdict::Violated || problems.is_empty()) {
        problems.push(("expectation not met".to_owned(), expectation.details.join("; ")));
    }
    if matches!(report.exit_code, 3 | 5) {
        for threshold in report.thresholds.iter().filter(|threshold| !threshold.ok) {
            let value = threshold.observed.map(|value| format!("measured {}", measured(value, threshold.unit)));
            let found = threshold.reason.clone().or(value).unwrap_or_else(|| "not measured".to_owned());
            let title = if threshold.too_few { "too few samples for a threshold" } else { "threshold breached" };
            problems.push((title.to_owned(), format!("{}: {found}", threshold.threshold)));
        }
    }
    if report.verdict == Verdict::Inconclusive {
        let untold = report.invariants.iter().filter(|result| result.verdict == Verdict::Inconclusive);
        let reasons = untold.filter_map(|result| Some(format!("{}: {}", result.name, result.reason.as_ref()?)));
        let reasons: Vec<String> = report.reasons.iter().cloned().chain(reasons).collect();
        problems.push(("inconclusive".to_owned(), reasons.join("\n")));
    }
    problems
}

/// The text of a workflow command. Line breaks stay line breaks; nothing in it can begin another command.
fn data(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| visible(line).replace('%', "%25")).collect();
    lines.join("%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    visible(text).replace('%', "%25").replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::verdict::{Invariant, InvariantResult};

    #[test]
    fn each_kind_of_run_has_its_annotations() {
        let mut unmet = sample::passing();
        unmet.exit_code = 1;
        unmet.expectation = Some(crate::report::ExpectationResult {
            met: Some(false),
            details: vec!["verdict: expected violated, found holds".into()],
        });
        let cases: [(&str, Report, &[&str]); 6] = [
            ("passing", sample::passing(), &[]),
            ("violated", sample::violated(), &["single-document", "same-id", "created-once", "no-leaked-errors"]),
            ("inconclusive", sample::inconclusive(), &["inconclusive"]),
            ("breached", sample::breached(), &["threshold breached", "threshold breached"]),
            ("partial", sample::partial(), &["single-document", "same-id", "created-once", "no-leaked-errors"]),
            ("unmet", unmet, &["expected violated, found holds"]),
        ];
        for (name, report, expected) in cases {
            let lines = annotations(&report, MOST_ANNOTATIONS);
            assert_eq!(lines.len(), expected.len(), "{name}: {lines:#?}");
            let level = if name == "inconclusive" { "::warning title=" } else { "::error title=" };
            for (line, word) in lines.iter().zip(expected) {
                assert!(
                    line.starts_with(level) && line.contains(word) && line.contains("reproduce: onlyone run"),
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn a_violation_that_is_expected_is_not_announced() {
        let mut report = sample::partial();
        report.exit_code = 0;
        assert!(annotations(&report, MOST_ANNOTATIONS).is_empty());
    }

    #[test]
    fn many_problems_end_in_their_number() {
        let mut report = sample::violated();
        report.invariants = (0..40)
            .map(|i| InvariantResult::new(Invariant::Custom(format!("number {i}").into()), 1, 1, Vec::new()))
            .collect();
        let lines = annotations(&report, MOST_ANNOTATIONS);
        assert_eq!(lines.len(), 10);
        assert!(lines[9].contains("31 more problems"), "{}", lines[9]);
        assert!(annotations(&report, 0).is_empty());
    }

    #[test]
    fn foreign_text_begins_no_command() {
        let mut report = sample::hostile();
        report.scenario = "100%\r\n::error::x, y: z\n::stop-commands::t".into();
        for line in annotations(&report, MOST_ANNOTATIONS) {
            assert!(!line.contains(['\n', '\r']) && line.contains("100%25"), "{line}");
        }
        assert_eq!(property("a:b,c%d\ne"), "a%3Ab%2Cc%25d\\ne");
    }
}
