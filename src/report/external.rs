//! Pages and files of made-up reports, hostile ones among them, read by other programs.
//!
//! They are ignored unless asked for, `cargo test external -- --ignored`, and need what `tests/external` needs, which
//! does the same with real runs.

#[path = "../../tests/external/tools.rs"]
mod tools;

use std::time::{Duration, SystemTime};

use self::tools::*;
use super::*;
use crate::stats::{Clock, LatencyStats};

#[test]
#[ignore = "needs chromium, node with npm, and the npm registry"]
fn external_playwright_uses_very_long_and_hostile_pages() {
    let folder = tempfile::tempdir().unwrap();
    let reports = [
        ("schedules", sample::explored_at_length(ExploreReport::MAX_SCHEDULES)),
        ("hostile", sample::hostile()),
        ("lost", sample::lost()),
    ];
    let write = |(name, report): &(&str, Report)| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        for (file, _) in html::files(report) {
            std::fs::write(folder.join(file), "").unwrap();
        }
        let page = folder.join("report.html");
        std::fs::write(&page, html(report).unwrap()).unwrap();
        page
    };
    let pages: Vec<_> = reports.iter().map(write).collect();
    for (page, used) in use_pages(&pages).as_object().unwrap() {
        assert_eq!(used["problems"], serde_json::json!([]), "{page}");
    }
}

#[test]
#[ignore = "needs xmllint"]
fn external_xmllint_accepts_every_junit_file() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, xml: &str| {
        let file = folder.path().join(format!("{name}.xml"));
        std::fs::write(&file, xml).unwrap();
        xmllint(&file)
    };
    for (name, report) in sample::all() {
        succeeded(check(name, &junit(&report).unwrap()));
    }
    let good = junit(&sample::passing()).unwrap();
    for (name, bad) in [
        ("no-name", good.replacen("<testcase name=\"single-document\"", "<testcase", 1)),
        ("twice", good.replacen("name=\"zero-duplicates\"", "name=\"single-document\"", 1)),
        ("negative-time", good.replacen("time=\"0.000\"", "time=\"-1\"", 1)),
    ] {
        assert_ne!(bad, good, "{name}");
        assert!(!check(name, &bad).status.success(), "{name} is accepted");
    }
}

#[test]
#[ignore = "needs chromium"]
fn external_chromium_shows_every_page_without_error_or_request() {
    for (name, report) in sample::all() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("report.html");
        std::fs::write(&page, html(&report).unwrap()).unwrap();
        let (browsed, problems) = look(&page);
        assert_eq!(browsed.console, Vec::<String>::new(), "{name}");
        assert_eq!(browsed.requests, Vec::<String>::new(), "{name}");
        assert_eq!(problems, Vec::<String>::new(), "{name}");
        let document = browse(&page).document;
        let verdict = report.verdict.as_str();
        assert!(document.contains(&format!("<span class=\"badge {verdict}\">{verdict}</span>")), "{name}");
        assert!(
            ["<h2>Reproduce</h2>", "<h2>Run again</h2>"].iter().any(|title| document.contains(title))
                && document.contains("<h2>Environment</h2>"),
            "{name}"
        );
        if !report.operations.is_empty() && report.is_load() {
            assert!(document.matches("<svg").count() >= 4 && document.contains("<polyline"), "{name}");
        }
        for result in report.invariants.iter().filter(|_| name != "hostile") {
            assert!(document.contains(&result.name.to_string()), "{name}: {}", result.name);
        }
    }
}

#[test]
#[ignore = "needs chromium"]
fn external_chromium_reports_a_page_that_errs_and_asks() {
    // The checks above see what they look for.
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let bad = "<img src=\"http://example.invalid/x.png\"><script>console.error('planted')</script>";
    let planted = html(&sample::passing()).unwrap().replace("<main id=\"main\">", &format!("<main id=\"main\">{bad}"));
    std::fs::write(&page, &planted).unwrap();
    let browsed = browse(&page);
    let console = &browsed.console;
    assert!(console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
    assert_eq!(browsed.requests, Vec::<String>::new(), "the policy stops it");
    std::fs::write(&page, planted.replace("default-src", "x-src")).unwrap();
    assert_eq!(browse(&page).requests, ["example.invalid"]);
}

#[test]
#[ignore = "needs Python, Node and the network"]
fn external_readers_find_the_same_latencies() {
    let operations: Vec<_> = (0..20_000_u64)
        .map(|i| {
            let start = i * 400_000;
            let outcome = if i % 7 == 0 { sample::created("x") } else { sample::existing("x") };
            sample::operation(i, [start, start, start + 300_000 + (i * i * 37) % 90_000_000], outcome)
        })
        .collect();
    let stats = LatencyStats::of(Clock::Service, &operations).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("latency.hlog");
    let end = Duration::from_secs_f64(stats.end_s());
    std::fs::write(&file, hlog(&stats, SystemTime::now(), end).unwrap()).unwrap();
    for (language, found) in tools::read_hlog(&file) {
        assert_eq!(found.as_object().unwrap().len(), 2, "{language}: {found}");
        for (operation, outcome, samples) in stats.samples() {
            let tag = format!("{operation}.{outcome}.service");
            let histogram = samples.histogram();
            assert_eq!(found[&tag]["count"], histogram.len(), "{language}: {tag}");
            for (figure, ours) in [("p50", histogram.value_at_quantile(0.5)), ("max", histogram.max())] {
                let theirs = found[&tag][figure].as_f64().unwrap();
                // Each library names another value within the same step of its scale.
                assert!(
                    (theirs - ours as f64).abs() <= ours as f64 * 2e-3,
                    "{language}: {tag} {figure} {theirs} {ours}"
                );
            }
        }
    }
}

#[test]
#[ignore = "needs Python and the network"]
fn external_validator_accepts_what_the_schemas_describe() {
    let folder = tempfile::tempdir().unwrap();
    let schema_file = |name: &str, schema: &serde_json::Value| {
        let file = folder.path().join(name);
        std::fs::write(&file, schema.to_string()).unwrap();
        file
    };
    let document = |(name, report): (&str, Report)| {
        let document = folder.path().join(format!("{name}.json"));
        std::fs::write(&document, to_json(&report).unwrap()).unwrap();
        document
    };
    let documents: Vec<_> = sample::all().into_iter().map(document).collect();
    succeeded(validate(&schema_file("report-schema.json", &schema()), &documents));
    let scenario_schema = schema_file("scenario-schema.json", &crate::scenario::schema(&crate::strategy::names));
    let good = std::fs::read_to_string(root().join("scenarios/create-or-get.toml")).unwrap();
    for (name, from, to) in [
        ("unknown-key", "rounds = 100", "rouds = 100"),
        ("unknown-strategy", "upsert-retry", "upsert-later"),
        ("two-loads", "[expect]", "[load.closed]\nclients = 1\nduration = \"1s\"\n[expect]"),
        ("wrong-type", "clients = 150", "clients = \"150\""),
        ("wrong-verdict", "verdict = \"holds\"", "verdict = \"passes\""),
    ] {
        let document = folder.path().join(format!("{name}.toml"));
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{name}");
        std::fs::write(&document, bad).unwrap();
        assert_eq!(validate(&scenario_schema, &[document]).status.code(), Some(1), "{name} is accepted");
    }
}
