//! Several scenarios of one command: a table of what became of each, and one JUnit file. Main type: [`Row`].

use std::collections::BTreeSet;

use quick_junit::{NonSuccessKind, SerializeError, TestCaseStatus, TestSuite};

use super::Report;
use super::format::{middle, plural, visible};
use super::junit::{CONCLUSIVE, case, not_passed, rendered, suite_named};
use super::terminal::table_of_scenarios;
use crate::verdict::{ExitStatus, Verdict};

/// Characters of a message in the table; the message itself was told before.
const LONGEST: usize = 60;

/// What became of one scenario.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub scenario: String,
    /// What became of it.
    pub ended: Ended,
}

/// How a scenario ended.
#[derive(Debug)]
pub enum Ended {
    /// It was judged; the folder has its reports.
    Judged {
        /// The judgement.
        report: Box<Report>,
        /// The folder.
        directory: String,
    },
    /// One request of each operation was held against its description.
    Probed {
        /// Why it does not fit, if it does not.
        misfit: Option<String>,
    },
    /// It was not run, because it is for another command, which is given as it is typed.
    NotForRun {
        /// Why.
        reason: String,
        /// What to type instead.
        instead: String,
    },
    /// It could not be run.
    Failed {
        /// The code the process would end with.
        exit_code: u8,
        /// What went wrong.
        message: String,
    },
}

impl Row {
    /// The verdict in words, with what was expected; the code; and what to say of it.
    pub(super) fn told(&self) -> (Option<Verdict>, String, Option<u8>, String) {
        match &self.ended {
            Ended::Judged { report, directory } => {
                let met = report.expectation.as_ref().and_then(|expectation| expectation.met);
                let expected = match met {
                    Some(true) if report.verdict != Verdict::Holds => ", as expected",
                    Some(false) => ", not as expected",
                    _ => "",
                };
                let word = format!("{}{expected}", report.verdict);
                (Some(report.verdict), word, Some(report.exit_code), directory.clone())
            }
            Ended::Probed { misfit: None } => (Some(Verdict::Holds), "fits".to_owned(), Some(0), String::new()),
            Ended::Probed { misfit: Some(why) } => {
                let code = ExitStatus::Inconclusive.code();
                let told = middle(why, LONGEST).into_owned();
                (Some(Verdict::Inconclusive), "does not fit".to_owned(), Some(code), told)
            }
            Ended::NotForRun { instead, .. } => (None, "not for `run`".to_owned(), None, instead.clone()),
            Ended::Failed { exit_code, message } => {
                let first = message.lines().next().unwrap_or_default();
                let told = middle(first.trim_start_matches("error: "), LONGEST).into_owned();
                (None, "not run".to_owned(), Some(*exit_code), told)
            }
        }
    }
}

/// The table, for a terminal.
pub fn several(rows: &[Row], colour: bool, width: usize) -> String {
    table_of_scenarios(rows, colour, width)
}

/// One JUnit file: a suite per scenario. What could not be run is an error, what is for another command is skipped.
pub fn junit_of_all(rows: &[Row]) -> Result<String, SerializeError> {
    let mut root = quick_junit::Report::new("onlyone");
    for (row, scenario) in rows.iter().zip(names(rows)) {
        root.add_test_suite(match &row.ended {
            Ended::Judged { report, .. } => suite_named(report, &scenario),
            Ended::Probed { misfit } => {
                let inconclusive = |why: &String| not_passed(NonSuccessKind::Error, "Inconclusive", why);
                let status = misfit.as_ref().map_or_else(TestCaseStatus::success, inconclusive);
                lone(&scenario, "scenario fits the service", status)
            }
            Ended::Failed { message, .. } => {
                lone(&scenario, CONCLUSIVE, not_passed(NonSuccessKind::Error, "SetUp", message))
            }
            Ended::NotForRun { reason, instead } => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(visible(&format!("{reason}: {instead}")));
                lone(&scenario, CONCLUSIVE, status)
            }
        });
    }
    rendered(&root)
}

/// The names of the scenarios, each once: CI servers take cases of one name for one case.
fn names(rows: &[Row]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let named = |row: &Row| {
        let further = (2..).map(|number| format!("{} ({number})", row.scenario));
        let mut names = std::iter::once(row.scenario.clone()).chain(further);
        names.find(|name| taken.insert(name.clone())).unwrap_or_default()
    };
    rows.iter().map(named).collect()
}

/// A suite of the one case that says why there is no other.
fn lone(scenario: &str, name: &str, status: TestCaseStatus) -> TestSuite {
    let mut suite = TestSuite::new(visible(scenario));
    suite.add_test_case(case(scenario, "run", name, status));
    suite
}

/// `3 scenarios: 2 as they should be, 1 not`.
pub(super) fn sum(rows: &[Row]) -> String {
    let codes: Vec<Option<u8>> = rows.iter().map(|row| row.told().2).collect();
    let good = codes.iter().filter(|code| **code == Some(0)).count();
    let skipped = codes.iter().filter(|code| code.is_none()).count();
    let mut text = format!("{}: {good} as expected", plural(rows.len() as u64, "scenario"));
    for (count, what) in [(rows.len() - good - skipped, "not"), (skipped, "not for `run`")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn rows() -> Vec<Row> {
        let judged = |report: Report, directory: &str| Row {
            scenario: report.scenario.clone(),
            ended: Ended::Judged { report: Box::new(report), directory: directory.to_owned() },
        };
        let reason = "no invariant judges it under load".to_owned();
        let instead = "onlyone explore b.toml".to_owned();
        let message = "error: starting the service failed\n  caused by: gone".to_owned();
        vec![
            judged(sample::passing(), "reports/a-1"),
            judged(sample::violated(), "reports/a-2"),
            Row { scenario: "bookings".into(), ended: Ended::NotForRun { reason, instead } },
            Row { scenario: "orders <x>".into(), ended: Ended::Failed { exit_code: 4, message } },
        ]
    }

    #[test]
    fn every_scenario_has_its_line() {
        let table = several(&rows(), false, 120);
        for text in ["4 scenarios: 1 as expected, 2 not, 1 not for `run`", "reports/a-2", "onlyone explore b.toml"] {
            assert!(table.contains(text), "{table}");
        }
        assert!(table.contains("starting the service failed") && !table.contains("caused by"), "{table}");
        assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
    }

    #[test]
    fn scenarios_of_one_name_are_cases_of_several() {
        let row = |scenario: &str, ended| Row { scenario: scenario.into(), ended };
        let failed = || Ended::Failed { exit_code: 4, message: "gone".into() };
        let judged = || Ended::Judged { report: Box::new(sample::passing()), directory: "reports/a".into() };
        let name = sample::passing().scenario;
        let rows = [
            row(&name, judged()),
            row(&name, judged()),
            row("x (2)", failed()),
            row("x", failed()),
            row("x", failed()),
        ];
        assert_eq!(names(&rows)[1..], [format!("{name} (2)"), "x (2)".into(), "x".into(), "x (3)".into()]);
        let xml = junit_of_all(&rows).unwrap();
        let cases: Vec<&str> =
            xml.split("<testcase ").skip(1).map(|rest| rest.split(" time=").next().unwrap()).collect();
        assert_eq!(BTreeSet::from_iter(&cases).len(), cases.len(), "{cases:#?}");
    }

    #[test]
    fn a_probe_has_its_row_and_its_case() {
        let row = |scenario: &str, misfit: Option<&str>| Row {
            scenario: scenario.into(),
            ended: Ended::Probed { misfit: misfit.map(str::to_owned) },
        };
        let rows = [row("a", None), row("b", Some("`created` leads nowhere"))];
        let table = several(&rows, false, 100);
        assert!(table.contains("2 scenarios: 1 as expected, 1 not") && table.contains("leads nowhere"), "{table}");
        let xml = junit_of_all(&rows).unwrap();
        assert!(xml.contains("tests=\"2\"") && xml.contains("errors=\"1\"") && xml.contains("leads nowhere"), "{xml}");
    }

    #[test]
    fn one_file_has_a_suite_for_each() {
        let xml = junit_of_all(&rows()).unwrap();
        assert_eq!(xml.matches("<testsuite ").count(), 4, "{xml}");
        assert!(
            xml.contains("type=\"SetUp\"") && xml.contains("<skipped") && xml.contains("orders &lt;x&gt;"),
            "{xml}"
        );
    }
}
