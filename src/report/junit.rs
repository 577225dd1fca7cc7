//! `junit.xml`: a suite per scenario, a test case per invariant and per threshold.
//!
//! Names hold no counts, identifiers or times, so that two runs can be compared. A violation is a failure; inconclusive is an
//! error. Where the scenario expects another verdict than `holds`, the exit code tells whether it was met, not this file.

use std::time::Duration;

use quick_junit::{NonSuccessKind, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::answer::{answer, asked};
use super::format::{count, measured, micros, plural, visible};
use super::{Report, ThresholdResult};
use crate::verdict::{InvariantResult, Verdict, Witness};

/// Documents and messages beyond this many bytes are cut: CI servers refuse huge files.
const MAX_BODY: usize = 8_192;

/// Renders the report as JUnit XML.
pub fn junit(report: &Report) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new(visible(&report.scenario));
    suite.set_time(duration(report));
    for (name, value) in [
        ("run_id", report.run_id.clone()),
        ("seed", report.seed.to_string()),
        ("verdict", report.verdict.to_string()),
        ("version", report.version.clone()),
        ("reproduce", report.reproduce.clone()),
    ] {
        suite.add_property((name, &*visible(&value)));
    }
    suite.add_test_cases(report.invariants.iter().map(|result| invariant(report, result)));
    suite.add_test_cases(report.thresholds.iter().map(|result| threshold(report, result)));
    suite.add_test_case(whole_run(report));
    let mut root = quick_junit::Report::new("onlyone");
    root.set_time(duration(report));
    root.add_test_suite(suite);
    let mut xml = root.to_string()?;
    // Control characters are gone by now; these two are no XML characters either.
    xml.retain(|c| !matches!(c, '\u{fffe}' | '\u{ffff}'));
    Ok(xml)
}

/// No time at all rather than a nonsensical one.
fn duration(report: &Report) -> Duration {
    Duration::try_from_secs_f64(report.duration_s).unwrap_or_default()
}

fn case(report: &Report, group: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(visible(name), status);
    // GitLab shows this as the suite, and keys on it.
    case.set_classname(format!("{} / {group}", visible(&report.scenario)));
    case.set_time(Duration::ZERO);
    case
}

fn not_passed(kind: NonSuccessKind, name: &str, message: String, body: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(name).set_message(visible(&message)).set_description(body);
    status
}

fn invariant(report: &Report, result: &InvariantResult) -> TestCase {
    let status = match result.verdict {
        Verdict::Holds => TestCaseStatus::success(),
        Verdict::Violated => {
            let message = format!("{} of {} checked", plural(result.violations, "violation"), count(result.checked));
            let mut body: String = result.witnesses.iter().take(1).map(told).collect();
            body.push_str(&format!("seed {}\n{}\n", report.seed, report.reproduce));
            not_passed(NonSuccessKind::Failure, "InvariantViolation", message, body)
        }
        Verdict::Inconclusive => {
            let reason = result.reason.clone().unwrap_or_else(|| "inconclusive".to_owned());
            not_passed(NonSuccessKind::Error, "Inconclusive", reason, report.reproduce.clone())
        }
    };
    let mut case = case(report, "invariants", &result.name.to_string(), status);
    case.set_assertions(usize::try_from(result.checked).unwrap_or(usize::MAX));
    case
}

fn threshold(report: &Report, result: &ThresholdResult) -> TestCase {
    let status = if result.ok {
        TestCaseStatus::success()
    } else {
        let found = result.observed.map(|value| format!("measured {}", measured(value, result.unit)));
        let message = result.reason.clone().or(found).unwrap_or_else(|| "not measured".to_owned());
        not_passed(NonSuccessKind::Failure, "ThresholdBreached", message, report.reproduce.clone())
    };
    case(report, "thresholds", &result.threshold, status)
}

/// Whether the run as a whole was worth judging: a suite without invariants must not be green.
fn whole_run(report: &Report) -> TestCase {
    let told = !report.invariants.is_empty() && report.reasons.is_empty() && !report.partial;
    let status = if told {
        TestCaseStatus::success()
    } else {
        let mut reasons = report.reasons.clone();
        if report.partial {
            reasons.push("the run was cut short".to_owned());
        }
        if report.invariants.is_empty() {
            reasons.push("nothing was checked".to_owned());
        }
        not_passed(NonSuccessKind::Error, "Inconclusive", reasons.join("; "), report.reproduce.clone())
    };
    let mut case = case(report, "run", "run is conclusive", status);
    case.set_time(duration(report));
    case
}

/// A witness in plain lines.
pub(super) fn told(witness: &Witness) -> String {
    let mut text = format!("{}\nkey {}\n", witness.explanation, witness.key);
    let first = witness.operations.iter().map(|operation| operation.invoked).min().unwrap_or(0);
    let after = |at: u64| micros(at.saturating_sub(first) as f64 / 1e3);
    for operation in &witness.operations {
        text.push_str(&format!(
            "{} client {}: {} → {} (+{} to +{})\n",
            operation.id,
            operation.client,
            asked(operation),
            answer(operation),
            after(operation.invoked),
            after(operation.completed)
        ));
    }
    for document in &witness.documents {
        text.push_str(&format!("found {document}\n"));
    }
    cut(text, MAX_BODY)
}

/// At most so many bytes, ended between characters.
pub(super) fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push_str("…\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn each_verdict_has_its_element() {
        let cases: [(&str, Report, &[&str], &[&str]); 4] = [
            ("passing", sample::passing(), &["failures=\"0\"", "errors=\"0\"", "tests=\"9\""], &["<failure", "<error"]),
            ("violated", sample::violated(), &["type=\"InvariantViolation\"", "failures=\"4\"", "op451"], &["<error"]),
            ("inconclusive", sample::inconclusive(), &["type=\"Inconclusive\"", "errors=\"8\""], &["<failure"]),
            ("empty", sample::empty(), &["errors=\"1\"", "nothing was checked"], &["<failure"]),
        ];
        for (name, report, with, without) in cases {
            let xml = junit(&report).unwrap();
            with.iter().for_each(|text| assert!(xml.contains(text), "{name}: no {text} in {xml}"));
            without.iter().for_each(|text| assert!(!xml.contains(text), "{name}: {text} in {xml}"));
        }
        assert!(junit(&sample::breached()).unwrap().contains("type=\"ThresholdBreached\""));
    }

    #[test]
    fn control_characters_do_not_break_it() {
        let xml = junit(&sample::hostile()).unwrap();
        let allowed =
            |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        assert_eq!(xml.chars().find(|&c| !allowed(c)), None, "{xml:?}");
        assert!(!xml.contains("<script"));
    }

    #[test]
    fn names_are_the_same_in_every_run() {
        let names = |report: &Report| {
            let xml = junit(report).unwrap();
            xml.split("<testcase name=\"")
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let mut violated = sample::violated();
        violated.thresholds = sample::passing().thresholds;
        assert_eq!(names(&sample::passing()), names(&violated));
    }
}
