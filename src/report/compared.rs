//! The files of a comparison: `report.html`, `junit.xml`, `summary.md` and `comparison.json`, as those of a run, from the one
//! [`Comparison`]. Main function: [`write_comparison`].

use std::path::Path;

use minijinja::context;
use quick_junit::{NonSuccessKind, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::comparison::{Comparison, verdict_word};
use super::files::{WriteError, rendering, write_atomic};
use super::format::visible;
use super::html::{HtmlError, page};
use super::junit::{case, not_passed};
use super::terminal::{compared, figure_texts};
use crate::stats::{Change, Finding};
use crate::verdict::{ExitStatus, Verdict};

/// Writes the files of a comparison into a folder that exists.
pub fn write_comparison(directory: &Path, comparison: &Comparison) -> Result<(), WriteError> {
    let write = |name: &str, bytes: &[u8]| write_atomic(&directory.join(name), bytes);
    let json = serde_json::to_vec_pretty(comparison).map_err(|source| rendering("comparison.json", source))?;
    write("comparison.json", &json)?;
    write("junit.xml", junit(comparison).map_err(|source| rendering("junit.xml", source))?.as_bytes())?;
    write("report.html", html(comparison).map_err(|source| rendering("report.html", source))?.as_bytes())?;
    write("summary.md", comparison_summary(comparison).as_bytes())
}

/// What follows from a comparison, in one or two words, and the class of its colour.
pub(super) fn conclusion(comparison: &Comparison) -> (&'static str, &'static str) {
    match comparison.status() {
        ExitStatus::Violated => ("less correct", "violated"),
        ExitStatus::Threshold => ("slower", "violated"),
        ExitStatus::Holds if comparison.figures.iter().any(|figure| figure.finding == Finding::Better) => {
            ("faster", "holds")
        }
        ExitStatus::Holds => ("no regression", "holds"),
        _ => ("inconclusive", "inconclusive"),
    }
}

/// `summary.md`: the conclusion, then the comparison as the terminal shows it.
pub fn comparison_summary(comparison: &Comparison) -> String {
    let (word, state) = conclusion(comparison);
    let sign = match state {
        "holds" => "✅",
        "violated" => "❌",
        _ => "⚠️",
    };
    let text = compared(comparison, false, 110);
    // What is within is text of this tool and of scenarios; three backticks in a name must not end the block.
    let text = text.replace("```", "'''");
    format!(
        "### {sign} {word}: {}\n\n```text\n{text}```\n",
        visible(&comparison.new.scenario).replace(['\n', '`'], " ")
    )
}

fn state(finding: Finding) -> &'static str {
    match finding {
        Finding::Worse => "violated",
        Finding::Better => "holds",
        Finding::Same | Finding::Unclear => "dim",
        Finding::TooFew => "inconclusive",
    }
}

fn html(comparison: &Comparison) -> Result<String, HtmlError> {
    let (word, state_of_all) = conclusion(comparison);
    let figures = comparison.figures.iter().map(|figure| {
        let texts = figure_texts(figure);
        context! { texts => texts, state => state(figure.finding), reason => figure.reason.as_deref().map(visible) }
    });
    let figures: Vec<_> = figures.collect();
    let invariants = comparison.invariants.iter().map(|change| {
        context! {
            name => visible(&change.name),
            base => verdict_word(change.base),
            new => verdict_word(change.new),
            state => change.new.map_or("inconclusive", Verdict::as_str),
        }
    });
    let invariants: Vec<_> = invariants.collect();
    let lines = |lines: &[String]| lines.iter().map(|line| visible(line).into_owned()).collect::<Vec<_>>();
    page(
        "compare.html",
        context! {
            word => word,
            state => state_of_all,
            scenario => visible(&comparison.new.scenario),
            base => visible(&comparison.base.run_id),
            new => visible(&comparison.new.run_id),
            verdicts => [comparison.base.verdict.as_str(), comparison.new.verdict.as_str()],
            threshold => super::format::percent(comparison.threshold),
            differences => lines(&comparison.differences),
            notes => lines(&comparison.notes),
            invariants => invariants,
            figures => figures,
        },
    )
}

/// The group of its cases.
const GROUP: &str = "compared";

/// A suite with a case per figure, and one for the verdicts.
fn junit(comparison: &Comparison) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new(visible(&format!("{}, compared", comparison.new.scenario)));
    for (name, value) in [("base", &comparison.base.run_id), ("new", &comparison.new.run_id)] {
        suite.add_property((name, &*visible(value)));
    }
    let changed: Vec<String> = comparison
        .invariants
        .iter()
        .filter(|change| change.new != Some(Verdict::Holds))
        .map(|change| {
            format!(
                "{}: {} in the base, {} in the new run",
                change.name,
                verdict_word(change.base),
                verdict_word(change.new)
            )
        })
        .collect();
    let broken = comparison.invariants.iter().any(|change| change.new == Some(Verdict::Violated));
    let kind = if broken { NonSuccessKind::Failure } else { NonSuccessKind::Error };
    let status = match changed.is_empty() {
        true => TestCaseStatus::success(),
        false => not_passed(kind, "VerdictChanged", &changed.join("; ")),
    };
    suite.add_test_case(case(&comparison.new.scenario, GROUP, "verdicts", status));
    suite.add_test_cases(comparison.figures.iter().map(|figure| case_of(comparison, figure)));
    let mut root = quick_junit::Report::new("onlyone compare");
    root.add_test_suite(suite);
    super::junit::rendered(&root)
}

fn case_of(comparison: &Comparison, figure: &Change) -> TestCase {
    let [name, base, new, change, interval, word] = figure_texts(figure);
    let told = format!("{base} in the base, {new} in the new run: {change} ({interval}), {word}");
    let status = match figure.finding {
        Finding::Worse => not_passed(NonSuccessKind::Failure, "Regression", &told),
        // One figure that does not tell is no failure: whether enough of them do is said by the exit code.
        Finding::Unclear | Finding::TooFew => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(visible(figure.reason.as_deref().unwrap_or(&told)));
            status
        }
        Finding::Same | Finding::Better => TestCaseStatus::success(),
    };
    case(&comparison.new.scenario, GROUP, &name, status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::stats::Estimate;

    fn comparison(finding: Finding) -> Comparison {
        let figure = Change {
            operation: "create-or-get".into(),
            metric: "p50",
            base: 1_000.0,
            new: 1_500.0,
            samples: [4_000, 3_900],
            change: Some(Estimate { change: 0.5, low: 0.4, high: 0.6 }),
            finding,
            reason: None,
        };
        Comparison::new(&sample::passing(), &sample::hostile(), 0.1, vec!["load: <a> ``` </pre>".into()], vec![figure])
    }

    #[test]
    fn the_files_say_what_the_terminal_says() {
        let folder = tempfile::tempdir().unwrap();
        write_comparison(folder.path(), &comparison(Finding::Worse)).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let page = read("report.html");
        assert!(page.contains("default-src 'none'") && page.contains("+50.0 %"), "{page}");
        assert!(page.contains("&lt;a&gt;") && !page.contains("<a> `"), "{page}");
        assert!(read("junit.xml").contains("type=\"Regression\""));
        let summary = read("summary.md");
        assert_eq!(summary.matches("```").count(), 2, "{summary}");
        assert!(summary.starts_with("### ❌ less correct: ") && read("comparison.json").contains("\"exit_code\": 1"));
        let same = junit(&comparison(Finding::Same)).unwrap();
        assert!(same.contains("VerdictChanged") && !same.contains("Regression"));
    }
}
