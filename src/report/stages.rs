//! The stages of a load, in reports: one row for each, in the words that all of them show.

use super::Report;
use super::format::{count, plural, quantile, seconds};
use crate::stats::{Ramped, StageStats};

/// Titles of the columns; the first is text, the others are figures.
pub(super) const TITLES: [&str; 8] = ["Stage", "Lasts", "Operations", "Errors", "Answers/s", "p50", "p95", "p99"];

/// A row for each stage.
pub(super) fn rows(report: &Report) -> Vec<[String; 8]> {
    (1..).zip(&report.stages).map(|(number, stage): (u64, _)| row(number, stage)).collect()
}

fn row(number: u64, stage: &StageStats) -> [String; 8] {
    let latency = &stage.latency_us;
    let at = |us, of| if latency.count > 0 { quantile(us, of, latency.count) } else { "–".to_owned() };
    let operations = match stage.dropped_arrivals {
        0 => count(stage.attempted),
        dropped => format!("{}, {} not sent", count(stage.attempted), count(dropped)),
    };
    [
        format!("{number}: {}", course(stage)),
        seconds(stage.duration_s),
        operations,
        count(stage.errors),
        count(stage.throughput_per_s.max(0.0).round() as u64),
        at(latency.p50, 0.5),
        at(latency.p95, 0.95),
        at(latency.p99, 0.99),
    ]
}

/// What a stage leads from and to: `0 → 1,000/s`, `50 clients`.
pub(super) fn course(stage: &StageStats) -> String {
    let number = |value: f64| match value.fract() == 0.0 {
        true => count(value as u64),
        false => format!("{value:.2}"),
    };
    let reached = match stage.ramped {
        Ramped::Rate => format!("{}/s", number(stage.to)),
        Ramped::Clients => plural(stage.to as u64, "client"),
    };
    match stage.from == stage.to {
        true => reached,
        false => format!("{} → {reached}", number(stage.from)),
    }
}

/// What the latency of stages is: where it counts from.
pub(super) fn sentence(report: &Report) -> String {
    let is = report.stages.iter().flat_map(|stage| stage.operations.values()).map(|stats| &*stats.latency_is).next();
    let is = is.unwrap_or("latency");
    format!("{}; {is}, of the operations that were to start in each", plural(report.stages.len() as u64, "stage"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Terminal, html, sample, summary, terminal};
    use crate::stats::Latency;

    fn report() -> Report {
        let passing = sample::passing();
        let stage = |from, to, dropped| StageStats {
            ramped: Ramped::Rate,
            from,
            to,
            start_s: 0.0,
            duration_s: 30.0,
            attempted: 4_321,
            dropped_arrivals: dropped,
            errors: 17,
            throughput_per_s: 143.4,
            latency_us: Latency { count: 4_000, p50: 1_200, p95: 2_300, p99: 3_400, ..Latency::default() },
            operations: passing.operations.clone(),
        };
        Report { stages: vec![stage(0.0, 1_000.0, 0), stage(1_000.0, 1_000.0, 55)], ..passing }
    }

    #[test]
    fn every_report_shows_each_stage_with_its_figures() {
        let report = report();
        let wide = Terminal { colour: false, width: 120, directory: None };
        let page = html(&report).unwrap();
        for (name, text) in
            [("terminal", terminal(&report, wide)), ("summary", summary(&report)), ("page", page.clone())]
        {
            let text = text.replace("&#x2f;", "/");
            for part in
                ["1: 0 → 1,000/s", "2: 1,000/s", "4,321, 55 not sent", "17", "143", "1.20 ms", "3.40 ms", "2 stages"]
            {
                assert!(text.contains(part), "{name}: no {part} in {text}");
            }
        }
        // Each has its histogram.
        let charts = |page: &str| page.matches("histogram of the latency").count();
        let without = charts(&html(&sample::passing()).unwrap());
        assert_eq!(charts(&page), 3 * without);
        assert!(without > 0);
    }

    #[test]
    fn a_load_without_stages_shows_none() {
        let report = sample::passing();
        let wide = Terminal { colour: false, width: 120, directory: None };
        assert!(!terminal(&report, wide).contains("Stage") && !html(&report).unwrap().contains("id=\"stages\""));
        assert!(!summary(&report).contains("Stage"));
    }

    #[test]
    fn a_stage_says_what_it_leads_to() {
        let stage = |ramped, from, to| StageStats { ramped, from, to, ..StageStats::default() };
        for (found, expected) in [
            (course(&stage(Ramped::Clients, 0.0, 1.0)), "0 → 1 client"),
            (course(&stage(Ramped::Clients, 5.0, 5.0)), "5 clients"),
            (course(&stage(Ramped::Rate, 0.5, 2_000.0)), "0.50 → 2,000/s"),
        ] {
            assert_eq!(found, expected);
        }
    }
}
