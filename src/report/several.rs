//! Several scenarios of one command: a table of what became of each, and one JUnit file. Main type: [`Row`].

use quick_junit::{NonSuccessKind, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::Report;
use super::format::{middle, plural, visible};
use super::junit::{rendered, suite};
use super::terminal::table_of_scenarios;
use crate::verdict::Verdict;

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
    for row in rows {
        root.add_test_suite(match &row.ended {
            Ended::Judged { report, .. } => suite(report),
            Ended::Failed { message, .. } => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                status.set_type("SetUp").set_message(visible(message));
                lone(row, status)
            }
            Ended::NotForRun { reason, instead } => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(visible(&format!("{reason}: {instead}")));
                lone(row, status)
            }
        });
    }
    rendered(&root)
}

/// A suite of the one case that says why there is no other.
fn lone(row: &Row, status: TestCaseStatus) -> TestSuite {
    let mut suite = TestSuite::new(visible(&row.scenario));
    let mut case = TestCase::new("run is conclusive", status);
    case.set_classname(format!("{} / run", visible(&row.scenario)));
    suite.add_test_case(case);
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
    fn one_file_has_a_suite_for_each() {
        let xml = junit_of_all(&rows()).unwrap();
        assert_eq!(xml.matches("<testsuite ").count(), 4, "{xml}");
        assert!(
            xml.contains("type=\"SetUp\"") && xml.contains("<skipped") && xml.contains("orders &lt;x&gt;"),
            "{xml}"
        );
    }
}
