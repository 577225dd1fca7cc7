//! `summary.md`: for the summary page of a CI job, which refuses more than one mebibyte.
//!
//! The verdict comes first. When the text would be too long, detail goes first: witnesses, then latency.

mod course;

use course::{faults, shards, stages};

use super::format::{count, measured, plural, quantile, seconds, visible};
use super::junit::told;
use super::terminal::{explore_sentence, held_under_doubt, overlap_sentence};
use super::{LintFinding, Report, render_diagram};
use crate::stats::ThresholdResult;
use crate::verdict::Verdict;

/// Below the limit of 1 MiB, with room for what else the job writes.
const BUDGET: usize = 900 * 1024;

/// Renders the report as Markdown.
pub fn summary(report: &Report) -> String {
    summary_within(report, BUDGET)
}

/// Renders the report as Markdown of at most so many bytes: what matters most is there first, and nothing at all where not even the verdict fits.
pub fn summary_within(report: &Report, budget: usize) -> String {
    let budget = budget.min(BUDGET);
    let mut text = String::new();
    let ending = format!("\n{}", fenced(&report.reproduce));
    let sections = [
        heading(report),
        invariants(report),
        thresholds(report),
        interleavings(report),
        lint(report),
        observed_key(report),
        matrix(report),
        faults(report),
        shards(report),
        stages(report),
        latency(report),
    ];
    let details = report.invariants.iter().flat_map(|result| {
        result.witnesses.iter().map(move |witness| {
            let title = html(&format!("{}: key {}", result.name, witness.key));
            format!("<details><summary>{title}</summary>\n\n{}\n</details>\n", fenced(&told(witness)))
        })
    });
    let mut left_out = 0_u64;
    for section in sections.into_iter().chain(details).filter(|section| !section.is_empty()) {
        if text.len() + section.len() + ending.len() + 100 > budget {
            if text.is_empty() {
                return String::new();
            }
            left_out += 1;
        } else {
            text.push_str(&section);
            text.push('\n');
        }
    }
    if left_out > 0 {
        text.push_str(&format!("{} left out: see report.json.\n", plural(left_out, "section")));
    }
    text.push_str(&ending);
    text
}

fn symbol(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "✅",
        Verdict::Violated => "❌",
        Verdict::Inconclusive => "⚠️",
    }
}

fn heading(report: &Report) -> String {
    let breached = report.thresholds.iter().filter(|threshold| threshold.is_breached()).count() as u64;
    let mut text = format!("### {} {}", symbol(report.verdict), report.verdict);
    if breached > 0 {
        text.push_str(&format!(", {} breached", plural(breached, "threshold")));
    }
    if report.partial {
        text.push_str(", cut short");
    }
    text.push_str(&format!(": {}\n\n", cell(&report.scenario)));
    // An audit reads a database; it has no operations of its own.
    if let Some(selftest) = &report.selftest {
        text.push_str(&format!("{} in {}. ", plural(selftest.operations, "operation"), seconds(report.duration_s)));
    } else if report.findings.is_none() {
        let operations = report.operations.values().map(|stats| stats.attempted).sum();
        text.push_str(&format!(
            "{} on {} in {}, {} at most in flight on one key. ",
            plural(operations, "operation"),
            plural(report.concurrency.keys, "key"),
            seconds(report.duration_s),
            count(report.concurrency.peak_in_flight_same_key.into())
        ));
    }
    text.push_str(&format!("{}\n", overlap_sentence(report)));
    let expectation = report.expectation.iter().flat_map(|expectation| &expectation.details);
    for reason in report.reasons.iter().chain(expectation) {
        text.push_str(&format!("- {}\n", cell(reason)));
    }
    text
}

fn invariants(report: &Report) -> String {
    if report.invariants.is_empty() {
        return String::new();
    }
    let mut text = "| Invariant | Verdict | Checked | Violations |\n|---|---|--:|--:|\n".to_owned();
    for result in &report.invariants {
        let reason = result.reason.as_deref().map(|reason| format!(": {}", cell(reason))).unwrap_or_default();
        text.push_str(&format!(
            "| {} | {} {}{reason} | {} | {} |\n",
            cell(&result.name.to_string()),
            symbol(result.verdict),
            result.verdict,
            count(result.checked),
            count(result.violations)
        ));
    }
    if let Some(meaning) = held_under_doubt(report) {
        text.push_str(&format!("\n{}\n", cell(meaning)));
    }
    text
}

fn interleavings(report: &Report) -> String {
    let Some(explore) = &report.explore else { return String::new() };
    let mut text = format!("{}\n", cell(&explore_sentence(explore)));
    if let Some(smallest) = &explore.smallest {
        let diagram = render_diagram(&smallest.diagram, 110);
        text.push_str(&format!("\n{}", fenced(&format!("{diagram}\n{}", smallest.replay))));
    }
    text
}

fn lint(report: &Report) -> String {
    let line = |finding: &LintFinding| {
        format!("- **{}** ({}): {}\n", finding.rule, cell(&finding.operation), cell(&finding.explanation))
    };
    let lines: String = report.lint().map(line).collect();
    if lines.is_empty() { lines } else { format!("Lint:\n\n{lines}") }
}

/// What the indexes behind a service mean for its key.
fn observed_key(report: &Report) -> String {
    let Some(key) = &report.preflight.observed_key else { return String::new() };
    let more = key.explore.iter().map(|more| format!(" {}", cell(more))).collect::<String>();
    let create = key.create.as_deref().map(|command| format!("\n{}", fenced(command))).unwrap_or_default();
    format!("Key of {}: {}{more}\n{create}", cell(&key.collection), cell(&key.says))
}

/// The kill matrix of a self-test.
fn matrix(report: &Report) -> String {
    let Some(selftest) = &report.selftest else { return String::new() };
    let index = |unique: bool| if unique { "unique" } else { "none" };
    let mut text =
        "| Bug | Workload | Strategy | Index | Caught by | Rounds | ms |\n|---|---|---|---|---|--:|--:|\n".to_owned();
    for bug in &selftest.bugs {
        let caught = match &bug.by {
            Some(by) => format!("✅ {}", cell(&by.to_string())),
            None => format!("❌ escaped {}", cell(&bug.expected.to_string())),
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {caught} | {} | {} |\n",
            cell(&bug.id),
            cell(&bug.workload),
            cell(&bug.strategy),
            index(bug.unique_index),
            count(bug.rounds.into()),
            count(bug.ms)
        ));
    }
    text.push_str("\n| Twin | Strategy | Index | Accused | Rounds | ms |\n|---|---|---|---|--:|--:|\n");
    for twin in &selftest.twins {
        let by: Vec<String> = twin.by.iter().map(ToString::to_string).collect();
        let said = match twin.verdict {
            Verdict::Holds => "no".to_owned(),
            Verdict::Inconclusive => twin.reason.clone().unwrap_or_else(|| "cannot tell".to_owned()),
            Verdict::Violated => by.join(", "),
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} {} | {} | {} |\n",
            cell(&twin.workload),
            cell(&twin.strategy),
            index(twin.unique_index),
            symbol(twin.verdict),
            cell(&said),
            count(twin.rounds.into()),
            count(twin.ms)
        ));
    }
    text
}

fn thresholds(report: &Report) -> String {
    if report.thresholds.is_empty() {
        return String::new();
    }
    let mut text = "| Threshold | Kept | Measured | Samples |\n|---|---|--:|--:|\n".to_owned();
    for result in &report.thresholds {
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            cell(&result.threshold),
            match (result.ok, result.too_few) {
                (true, _) => "✅",
                (false, true) => "⚠️",
                (false, false) => "❌",
            },
            cell(&found(result)),
            count(result.samples)
        ));
    }
    text
}

fn found(result: &ThresholdResult) -> String {
    let measured = result.observed.map(|value| measured(value, result.unit));
    result.reason.clone().or(measured).unwrap_or_else(|| "not measured".to_owned())
}

fn latency(report: &Report) -> String {
    let mut text = String::new();
    for (name, stats) in &report.operations {
        text.push_str(&format!(
            "\n| {}, {} | n | p50 | p95 | p99 | p99.9 | max |\n|---|--:|--:|--:|--:|--:|--:|\n",
            cell(name),
            cell(&stats.latency_is)
        ));
        let rows = std::iter::once(("all", &stats.latency_us))
            .chain(stats.latency_by_outcome_us.iter().map(|(name, latency)| (name.as_str(), latency)));
        for (outcome, latency) in rows {
            let values = [
                (latency.p50, 0.5),
                (latency.p95, 0.95),
                (latency.p99, 0.99),
                (latency.p99_9, 0.999),
                (latency.max, 1.0),
            ];
            let values = values.map(|(us, of)| quantile(us, of, latency.count)).join(" | ");
            text.push_str(&format!("| {} | {} | {values} |\n", cell(outcome), count(latency.count)));
        }
    }
    text
}

/// Foreign text inside a table or a heading: on one line, and neither markup nor HTML.
fn cell(text: &str) -> String {
    let mut safe = String::new();
    for c in html(&visible(text)).chars() {
        if matches!(c, '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#') {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}

fn html(text: &str) -> String {
    visible(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A block of code; its fence is longer than any run of backticks within.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let block: String = text.trim_end_matches('\n').split('\n').map(|line| format!("{}\n", visible(line))).collect();
    format!("{fence}\n{block}{fence}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::verdict::{InvariantResult, Witness};

    #[test]
    fn the_verdict_comes_first() {
        for (report, start) in [
            (sample::passing(), "### ✅ holds: create"),
            (sample::violated(), "### ❌ violated: find"),
            (sample::inconclusive(), "### ⚠️ inconclusive: create"),
            (sample::breached(), "### ✅ holds, 2 thresholds breached: create"),
            (sample::partial(), "### ❌ violated, cut short: find"),
        ] {
            let text = summary(&report);
            assert!(text.starts_with(start), "{text}");
            assert!(text.ends_with(&format!("```\n{}\n```\n", report.reproduce)), "{text}");
        }
    }

    #[test]
    fn a_huge_report_stays_within_the_limit_and_keeps_what_matters() {
        let mut report = sample::violated();
        let big = serde_json::Value::String("x".repeat(1 << 10));
        let witness = Witness { documents: vec![big], ..report.invariants[0].witnesses[0].clone() };
        report.invariants = (0..2_000)
            .map(|i| {
                let name = crate::verdict::Invariant::Custom(format!("number {i}").into());
                InvariantResult::new(name, 1, 1, vec![witness.clone(); 5])
            })
            .collect();
        let text = summary(&report);
        assert!(text.len() < 1 << 20, "{}", text.len());
        assert!(text.starts_with("### ❌ violated"));
        assert!(
            text.contains("| custom:number 1999 |") && text.contains("left out") && text.contains(&report.reproduce)
        );
    }

    #[test]
    fn what_the_indexes_mean_for_a_key_is_told_with_the_command() {
        let mut report = sample::passing();
        report.preflight.observed_key = Some(crate::lint::ObservedKey {
            collection: "app.chats".to_owned(),
            says: "No unique index is on k.".to_owned(),
            create: Some("db.chats.createIndex({ k: 1 })".to_owned()),
            explore: Some("Only `onlyone explore x.toml` sees it.".to_owned()),
            ..crate::lint::ObservedKey::default()
        });
        let text = summary(&report);
        for part in
            ["Key of app.chats: No unique index is on k. Only \\`onlyone", "```\ndb.chats.createIndex({ k: 1 })\n```"]
        {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }

    #[test]
    fn lint_and_the_kill_matrix_are_told() {
        let mut linted = sample::passing();
        linted.preflight.lint = sample::explored().explore.unwrap().lint;
        for (report, texts) in [
            (linted, ["Lint:\n\n- **check-then-act** (create-or-get)", "| Invariant |"]),
            (sample::explored(), ["Lint:\n\n- **check-then-act** (create-or-get)", "| Invariant |"]),
            (
                sample::selftested(),
                ["| C1 | create-or-get | find-then-insert | none | ✅ same-id | 3 | 12 |", "4,321 oper"],
            ),
            (sample::selftested(), ["❌ escaped single-document", "| ⚠️ no overlap \\| none | 40 | 130 |"]),
        ] {
            let text = summary(&report);
            texts.iter().for_each(|part| assert!(text.contains(part), "no {part} in {text}"));
        }
        assert!(!summary(&sample::passing()).contains("Lint"));
    }

    #[test]
    fn an_audit_tells_of_no_operations() {
        let report = Report { findings: Some(Vec::new()), operations: Default::default(), ..sample::violated() };
        let text = summary(&report);
        assert!(text.contains("nothing was run") && !text.contains("0 operations"), "{text}");
    }

    #[test]
    fn ten_thousand_violations_stay_within_the_limit() {
        let mut report = sample::violated();
        let witness = report.invariants[0].witnesses[0].clone();
        let witnesses = (0..10_000).map(|i| Witness { key: format!("u{i}:u{}", i + 1), ..witness.clone() }).collect();
        let name = report.invariants[0].name.clone();
        report.invariants[0] = InvariantResult::new(name, 10_000, 10_000, witnesses);
        let text = summary(&report);
        assert!(text.len() < 1 << 20 && text.starts_with("### ❌ violated"), "{}", text.len());
        assert!(text.contains("| 10,000 | 10,000 |"), "{text:.2000}");
        assert!(text.ends_with(&format!("```\n{}\n```\n", report.reproduce)));
    }

    #[test]
    fn a_summary_takes_no_more_than_it_is_given() {
        let report = sample::violated();
        let whole = summary(&report).len();
        for budget in (0..whole + 200).step_by(97) {
            let text = summary_within(&report, budget);
            assert!(text.len() <= budget, "{} of {budget}", text.len());
            assert!(text.is_empty() || text.starts_with("### ❌ violated"), "{text}");
            assert!(text.is_empty() || text.contains(&report.reproduce), "{text}");
        }
        assert_eq!(summary_within(&report, whole + 200), summary(&report));
    }

    #[test]
    fn foreign_text_is_not_markup() {
        let text = summary(&sample::hostile());
        assert!(
            !text
                .lines()
                .filter(|line| line.starts_with('|') || line.starts_with('#'))
                .any(|line| line.contains("<script"))
        );
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
        let opened = text.lines().filter(|line| *line == "````").count();
        assert!(opened >= 2 && opened % 2 == 0, "a fence inside the text does not close the block:\n{text}");
    }
}
