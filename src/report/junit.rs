//! `junit.xml`: a suite per scenario, a test case per invariant and per threshold.
//!
//! Names hold no counts, identifiers or times, so that two runs can be compared. A violation is a failure; inconclusive is an
//! error. Where the scenario's expectation is met, its test cases pass, as the exit code says too: a violation that was
//! expected is told in the case's output.

use std::time::Duration;

use quick_junit::{NonSuccessKind, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::answer::{answer, asked};
use super::document::shell;
use super::format::{count, measured, micros, plural, visible};
use super::{ExpectationResult, Report};
use crate::stats::ThresholdResult;
use crate::verdict::{InvariantResult, Verdict, Witness};

/// Documents and messages beyond this many bytes are cut: CI servers refuse huge files.
const MAX_BODY: usize = 8_192;

/// Renders the report as JUnit XML.
pub fn junit(report: &Report) -> Result<String, SerializeError> {
    let mut root = quick_junit::Report::new("onlyone");
    root.set_time(duration(report));
    root.add_test_suite(suite_named(report, &report.scenario));
    rendered(&root)
}

/// The document, without what is no character of XML.
pub(super) fn rendered(root: &quick_junit::Report) -> Result<String, SerializeError> {
    let mut xml = root.to_string()?;
    // Control characters are gone by now; these two are no XML characters either.
    xml.retain(|c| !matches!(c, '\u{fffe}' | '\u{ffff}'));
    Ok(xml)
}

/// The case that says whether the run as a whole was worth judging.
pub(super) const CONCLUSIVE: &str = "run is conclusive";

/// The suite of one report, whose scenario goes by this name.
pub(super) fn suite_named(report: &Report, scenario: &str) -> TestSuite {
    let mut suite = TestSuite::new(visible(scenario));
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
    suite.add_test_cases(report.invariants.iter().map(|result| invariant(report, scenario, result)));
    suite.add_test_cases(report.thresholds.iter().map(|result| threshold(report, scenario, result)));
    suite.add_test_cases(report.expectation.as_ref().map(|expected| expectation(report, scenario, expected)));
    suite.add_test_case(whole_run(report, scenario));
    suite
}

/// No time at all rather than a nonsensical one.
fn duration(report: &Report) -> Duration {
    Duration::try_from_secs_f64(report.duration_s).unwrap_or_default()
}

/// A case of a scenario.
pub(super) fn case(scenario: &str, group: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(visible(name), status);
    // GitLab shows this as the suite, and keys on it.
    case.set_classname(format!("{} / {group}", visible(scenario)));
    case.set_time(Duration::ZERO);
    case
}

/// The status of a case that failed, or could not be judged.
pub(super) fn not_passed(kind: NonSuccessKind, name: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(name).set_message(visible(message));
    status
}

/// The status of a case that failed, or could not be judged, with a text.
fn not_passed_with(kind: NonSuccessKind, name: &str, message: &str, body: &str) -> TestCaseStatus {
    let mut status = not_passed(kind, name, message);
    status.set_description(body);
    status
}

fn invariant(report: &Report, scenario: &str, result: &InvariantResult) -> TestCase {
    let name = result.name.to_string();
    let (kind, problem, message, body) = match result.verdict {
        Verdict::Holds => {
            return checked(case(scenario, "invariants", &name, TestCaseStatus::success()), result);
        }
        Verdict::Violated => {
            let message = format!("{} of {} checked", plural(result.violations, "violation"), count(result.checked));
            let mut body: String = result.witnesses.iter().take(1).map(told).collect();
            body.push_str(&format!("seed {}\n{}\n", report.seed, report.reproduce));
            (NonSuccessKind::Failure, "InvariantViolation", message, body)
        }
        Verdict::Inconclusive => {
            let reason = result.reason.clone().unwrap_or_else(|| "inconclusive".to_owned());
            (NonSuccessKind::Error, "Inconclusive", reason, report.reproduce.clone())
        }
    };
    if !is_met(report) {
        return checked(case(scenario, "invariants", &name, not_passed_with(kind, problem, &message, &body)), result);
    }
    let mut passed = case(scenario, "invariants", &name, TestCaseStatus::success());
    passed.add_property(("expectation", format!("{}, as expected", result.verdict).as_str()));
    passed.set_system_out(format!("{}, as expected: {}\n{body}", result.verdict, visible(&message)));
    checked(passed, result)
}

fn checked(mut case: TestCase, result: &InvariantResult) -> TestCase {
    case.set_assertions(usize::try_from(result.checked).unwrap_or(usize::MAX));
    case
}

/// Whether the scenario said what it expects, and that is what was found.
fn is_met(report: &Report) -> bool {
    report.expectation.as_ref().is_some_and(|expectation| expectation.met == Some(true))
}

/// What the scenario expects of the verdict. A service that was to be violated and is not fails here.
fn expectation(report: &Report, scenario: &str, expected: &ExpectationResult) -> TestCase {
    let details = expected.details.join("; ");
    let status = match expected.met {
        Some(true) => TestCaseStatus::success(),
        Some(false) => not_passed_with(NonSuccessKind::Failure, "ExpectationNotMet", &details, &report.reproduce),
        None => not_passed_with(NonSuccessKind::Error, "Inconclusive", &details, &report.reproduce),
    };
    case(scenario, "run", "expectation is met", status)
}

fn threshold(report: &Report, scenario: &str, result: &ThresholdResult) -> TestCase {
    let status = if result.ok {
        TestCaseStatus::success()
    } else {
        let found = result.observed.map(|value| format!("measured {}", measured(value, result.unit)));
        let message = result.reason.clone().or(found).unwrap_or_else(|| "not measured".to_owned());
        match result.too_few {
            true => not_passed_with(NonSuccessKind::Error, "TooFewSamples", &message, &report.reproduce),
            false => not_passed_with(NonSuccessKind::Failure, "ThresholdBreached", &message, &report.reproduce),
        }
    };
    case(scenario, "thresholds", &result.threshold, status)
}

/// Whether the run as a whole was worth judging: a suite without invariants must not be green.
fn whole_run(report: &Report, scenario: &str) -> TestCase {
    let conclusive = !report.invariants.is_empty() && report.reasons.is_empty() && !report.partial;
    // A race that was expected and found is found, however short the run was.
    let status = if conclusive || (is_met(report) && !report.invariants.is_empty()) {
        TestCaseStatus::success()
    } else {
        let mut reasons = report.reasons.clone();
        if report.partial {
            reasons.push("the run was cut short".to_owned());
        }
        if report.invariants.is_empty() {
            reasons.push("nothing was checked".to_owned());
        }
        not_passed_with(NonSuccessKind::Error, "Inconclusive", &reasons.join("; "), &report.reproduce)
    };
    let mut case = case(scenario, "run", CONCLUSIVE, status);
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
        text.push_str(&format!("found {}\n", shell(document)));
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
    fn an_expectation_decides_what_passes() {
        let expecting = |mut report: Report, met: Option<bool>, detail: &str| {
            report.expectation = Some(ExpectationResult { met, details: vec![detail.to_owned()] });
            junit(&report).unwrap()
        };
        let met = expecting(sample::violated(), Some(true), "verdict: expected violated, found violated");
        for text in [
            "failures=\"0\"",
            "errors=\"0\"",
            "<property name=\"expectation\" value=\"violated, as expected\"/>",
            "<system-out>violated, as expected: 97 violations",
            "name=\"expectation is met\"",
        ] {
            assert!(met.contains(text), "no {text} in {met}");
        }
        let unmet = expecting(sample::passing(), Some(false), "verdict: expected violated, found holds");
        assert!(unmet.contains("failures=\"1\"") && unmet.contains("type=\"ExpectationNotMet\""), "{unmet}");
        let worse = expecting(sample::violated(), Some(false), "verdict: expected holds, found violated");
        assert!(worse.contains("failures=\"5\"") && worse.contains("type=\"InvariantViolation\""), "{worse}");
        let untold = expecting(sample::inconclusive(), None, "verdict: expected violated, found inconclusive");
        assert!(untold.contains("errors=\"9\"") && untold.contains("failures=\"0\""), "{untold}");
        // Cut short, and yet what was expected: the exit code is 0, and so the file is green.
        let partial = expecting(sample::partial(), Some(true), "verdict: expected violated, found violated");
        assert!(partial.contains("errors=\"0\"") && partial.contains("failures=\"0\""), "{partial}");
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
