//! A search for a limit, on the terminal.

use super::mark;
use super::page::{BOLD, DIM, GREEN, PLAIN, Page, RED, Side, Span, YELLOW};
use crate::report::format::count;
use crate::report::limit::{LimitReport, figure, told};
use crate::stats::AtRate;
use crate::verdict::Verdict;

/// Renders the result; `file` is where it was written.
pub fn terminal_of_limit(report: &LimitReport, colour: bool, width: usize, file: &str) -> String {
    let mut page = Page::new(width, colour);
    page.blank();
    let head = ["Rate", "", "Operations", "Answers/s", "Run", ""].map(|title| (BOLD, title.to_owned()));
    let mut rows: Vec<Vec<Span>> = vec![head.to_vec()];
    let mut steps: Vec<_> = report.steps.iter().collect();
    steps.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    for step in steps {
        let (style, word) = match step.found {
            AtRate::Holds => (GREEN, "✓ holds"),
            AtRate::Breaks => (RED, "✗ breaks"),
            AtRate::Untold => (YELLOW, "? cannot tell"),
        };
        rows.push(vec![
            (PLAIN, format!("{}/s", figure(step.rate))),
            (style, word.to_owned()),
            (PLAIN, count(step.attempted)),
            (PLAIN, figure(step.throughput_per_s)),
            (DIM, step.run_id.clone()),
            (DIM, told(step)),
        ]);
    }
    page.table(&[Side::Right, Side::Left, Side::Right, Side::Right, Side::Left, Side::Left], &rows);
    page.blank();
    page.labelled("Limit", BOLD, &report.sentence());
    let broke = report.steps.iter().filter(|step| Some(step.rate) == report.breaks_at);
    for step in broke {
        page.labelled("Broke", RED, &format!("at {}/s: {}", figure(step.rate), told(step)));
    }
    let (style, sign) = mark(report.verdict);
    let place = match (report.verdict, report.holds_at) {
        (Verdict::Violated, _) => "at a rate that was tried".to_owned(),
        (_, Some(rate)) => format!("at {}/s", figure(rate)),
        (_, None) => "no rate held".to_owned(),
    };
    page.labelled("Invariants", style, &format!("{sign} {}, {place}", report.verdict.as_str()));
    for reason in &report.reasons {
        page.labelled("Note", YELLOW, reason);
    }
    page.labelled("File", PLAIN, file);
    page.line_uncut("Search again", &report.reproduce);
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::limit::{LIMIT_FORMAT_VERSION, LimitStep, LimitedBy};
    use crate::stats::{ThresholdResult, Unit};

    #[test]
    fn the_interval_what_broke_and_whose_limit_it_was_are_shown() {
        let step = |rate, found, broke| LimitStep {
            rate,
            run_id: format!("r-{rate}"),
            found,
            verdict: Verdict::Holds,
            reason: None,
            broke,
            limited_by: None,
            attempted: 4_000,
            dropped_arrivals: 0,
            throughput_per_s: rate,
            cpu_share: Some(0.1),
            machine_busy: None,
        };
        let broke = ThresholdResult {
            threshold: "like.p99 < 50ms".into(),
            observed: Some(312_000.0),
            unit: Unit::Us,
            samples: 4_000,
            ok: false,
            too_few: false,
            reason: None,
            service_time: None,
        };
        let report = LimitReport {
            format_version: LIMIT_FORMAT_VERSION,
            tool: "onlyone".into(),
            version: "1".into(),
            run_id: "r".into(),
            scenario: "s".into(),
            seed: 7,
            verdict: Verdict::Holds,
            exit_code: 0,
            holds_at: Some(1_600.0),
            breaks_at: Some(1_742.5),
            limited_by: Some(LimitedBy::Service),
            reasons: vec![LimitedBy::Service.says().into()],
            steps: vec![step(1_742.5, AtRate::Breaks, vec![broke]), step(1_600.0, AtRate::Holds, Vec::new())],
            reproduce: "onlyone run s.toml --find-limit --seed 7".into(),
        };
        let text = terminal_of_limit(&report, false, 120, "reports/r-limit.json");
        for part in [
            "between 1,600/s and 1,743/s",
            "at 1,743/s: like.p99 < 50ms: 312 ms",
            "✓ holds, at 1,600/s",
            "the service was the limit",
            "reports/r-limit.json",
            "--find-limit --seed 7",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }
}
