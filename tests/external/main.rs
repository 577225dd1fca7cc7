//! Real runs of each kind, read by other programs: a browser, xmllint, a JSON Schema validator, two HdrHistogram libraries.
//!
//! They need chromium, xmllint, node with npm, Python with venv and, where it can be had, Slurm, and fetch packages from PyPI and npm into `target/`.
//! They are ignored unless asked for: `cargo test external -- --ignored`. Where a program is missing, they fail; only those of Slurm and of
//! network namespaces (root, iproute2, libfaketime) say that they were skipped. What needs none of
//! them, such as the style of the help, is tested each time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test, which says why it shows nothing")]

mod namespaces;
mod runs;
mod scale;
mod spelling;
mod tools;
mod workflows;

use std::path::PathBuf;

use serde_json::Value;

use runs::{KINDS, onlyone, runs};
use tools::*;

fn report(kind: &str) -> Value {
    serde_json::from_slice(&std::fs::read(runs().join(kind).join("report.json")).unwrap()).unwrap()
}

#[test]
#[ignore = "needs chromium"]
fn external_chromium_shows_every_kind_of_run() {
    for kind in KINDS {
        let folder = runs().join(kind.id);
        let page = folder.join("report.html");
        let (browsed, problems) = look(&page);
        assert_eq!(browsed.console, Vec::<String>::new(), "{}", kind.id);
        assert_eq!(browsed.requests, Vec::<String>::new(), "{}", kind.id);
        assert_eq!(problems, Vec::<String>::new(), "{}", kind.id);
        let document = browse(&page).document;
        let report = report(kind.id);
        assert_eq!(report["verdict"], kind.verdict, "{}", kind.id);
        let badge = format!("<span class=\"badge {0}\">{0}</span>", kind.verdict);
        // What chance had no part in can be carried out again exactly.
        let exact = ["explore", "findings"].iter().any(|part| !report[*part].is_null());
        let again = if exact { "<h2>Reproduce</h2>" } else { "<h2>Run again</h2>" };
        let common = [badge.as_str(), "<h2>Invariants</h2>", "<h2>Environment</h2>", again];
        for text in common.iter().chain(kind.shows) {
            assert!(document.contains(text), "{}: no {text}", kind.id);
        }
        let charts = document.matches("class=\"chart\"").count();
        assert!(charts >= kind.charts, "{}: {charts} charts", kind.id);
        assert!(std::fs::metadata(page).unwrap().len() < 2 << 20, "{}", kind.id);
    }
}

#[test]
#[ignore = "needs chromium"]
fn external_chromium_sees_what_is_wrong() {
    // The checks above see what they look for.
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(runs().join("passing/report.html")).unwrap();
    let wide = "<div style=\"width:600px\">wide</div>";
    let no_bars = good.replace("class=\"bar", "class=\"none").replace("<polyline", "<g");
    let cases = [
        ("overflow", good.replace("<main id=\"main\">", &format!("<main id=\"main\">{wide}")), "390 dark: the page is"),
        ("pale", good.replace("--dim:#59636e", "--dim:#bbbbbb"), "1280 light: rgb(187, 187, 187) on"),
        (
            "only-light",
            good.replace("prefers-color-scheme:dark", "prefers-color-scheme:none"),
            "dark: the background is",
        ),
        ("empty", no_bars, "latency over time: empty"),
        (
            "clipped",
            good.replace("text-anchor=\"end\">0<", "text-anchor=\"end\">a long name of nothing<"),
            "is cut off",
        ),
        ("overlap", good.replace(">p90</text>", ">p90 p90 p90 p90</text>"), "overlap"),
    ];
    for (name, page, expected) in cases {
        assert_ne!(page, good, "{name}");
        let file = folder.path().join(format!("{name}.html"));
        std::fs::write(&file, page).unwrap();
        let (_, problems) = look(&file);
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{name}: {problems:?}");
    }
}

#[test]
#[ignore = "needs chromium, node with npm, and the npm registry"]
fn external_playwright_uses_every_page_by_keyboard() {
    let page = |kind: &runs::Kind| runs().join(kind.id).join("report.html");
    let found = use_pages(&KINDS.iter().map(page).collect::<Vec<_>>());
    for kind in KINDS {
        let used = &found[page(kind).to_str().unwrap()];
        assert_eq!(used["problems"], Value::from(Vec::<Value>::new()), "{}", kind.id);
        let at_least = |what: &str, number: u64| {
            let seen = used[what].as_u64().unwrap();
            assert!(seen >= number, "{}: {seen} {what}", kind.id);
        };
        at_least("links", 8);
        at_least("lenses", kind.charts as u64);
        match kind.id {
            "violated" | "expected" | "lost" => at_least("filters", 2),
            "explore" => ["filters", "steps"].iter().for_each(|what| at_least(what, 2)),
            _ => {}
        }
    }
}

#[test]
#[ignore = "needs chromium, node with npm, and the npm registry"]
fn external_playwright_sees_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let lost = std::fs::read_to_string(runs().join("lost/report.html")).unwrap();
    // What is wrong with any page is tried with a short one.
    let short = std::fs::read_to_string(runs().join("passing/report.html")).unwrap();
    // The policy forbids a script that was changed: then nothing can be used, and the browser says so.
    let cases = [
        ("changed", lost.replace("Search ${name}", "Find ${name}"), "Content Security Policy"),
        (
            "request",
            short.replace("<h1>", "<img src=\"https://example.org/x.png\" alt=\"\"><h1>"),
            "Content Security Policy",
        ),
        ("pale", short.replace("--dim:#59636e", "--dim:#bbbbbb"), "color-contrast"),
        ("nameless", short.replace("<html lang=\"en\">", "<html>"), "html-has-lang"),
        (
            "dead link",
            short.replace("<a href=\"report.json\"", "<a href=\"nowhere.json\""),
            "nowhere.json leads nowhere",
        ),
        (
            "unreached",
            short.replace("<a href=\"report.json\"", "<a tabindex=\"-1\" href=\"report.json\""),
            "not reached by keyboard",
        ),
    ];
    for (name, page, expected) in cases {
        assert!(page != lost && page != short, "{name}");
        let file = folder.path().join(format!("{}.html", name.replace(' ', "-")));
        std::fs::write(&file, page).unwrap();
        let found = use_pages(std::slice::from_ref(&file));
        let problems = found[file.to_str().unwrap()]["problems"].to_string();
        assert!(problems.contains(expected), "{name}: {problems}");
    }
}

#[test]
#[ignore = "needs xmllint"]
fn external_xmllint_accepts_the_junit_of_every_kind_of_run() {
    for kind in KINDS {
        let file = runs().join(kind.id).join("junit.xml");
        succeeded(xmllint(&file));
        // Green exactly where the exit code is.
        let xml = std::fs::read_to_string(file).unwrap();
        let green = xml.contains("failures=\"0\" errors=\"0\"");
        assert_eq!(green, report(kind.id)["exit_code"] == 0, "{}: {xml}", kind.id);
    }
}

#[test]
#[ignore = "needs Python with venv, and PyPI"]
fn external_validator_accepts_every_report_and_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let schema = |name: &str| {
        let file = folder.path().join(format!("{name}.json"));
        std::fs::write(&file, succeeded(onlyone(&["schema", name]).output().unwrap())).unwrap();
        file
    };
    let (of_report, of_scenario) = (schema("report"), schema("scenario"));
    let reports: Vec<PathBuf> = KINDS.iter().map(|kind| runs().join(kind.id).join("report.json")).collect();
    succeeded(validate(&of_report, &reports));
    let files = std::fs::read_dir(root().join("scenarios")).unwrap().map(|entry| entry.unwrap().path());
    let scenarios: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    assert!(scenarios.len() > 5);
    succeeded(validate(&of_scenario, &scenarios));
    let mut bad = report("passing");
    for (name, spoil) in [
        ("verdict", (|report: &mut Value| report["verdict"] = "passes".into()) as fn(&mut Value)),
        ("missing", |report| drop(report.as_object_mut().unwrap().remove("invariants"))),
        ("type", |report| report["exit_code"] = "0".into()),
    ] {
        let mut spoilt = std::mem::replace(&mut bad, report("passing"));
        spoil(&mut spoilt);
        let file = folder.path().join("bad.json");
        std::fs::write(&file, spoilt.to_string()).unwrap();
        assert_eq!(validate(&of_report, &[file]).status.code(), Some(1), "{name} is accepted");
    }
}

#[test]
#[ignore = "needs Python with venv, node with npm, PyPI and the npm registry"]
fn external_readers_find_the_latencies_of_a_run() {
    for kind in ["passing", "violated", "partial"] {
        let operations = report(kind)["operations"].clone();
        for (language, found) in read_hlog(&runs().join(kind).join("latency.hlog")) {
            for (operation, stats) in operations.as_object().unwrap() {
                for (outcome, latency) in stats["latency_by_outcome_us"].as_object().unwrap() {
                    let tag = &found[format!("{operation}.{outcome}.service")];
                    assert_eq!(tag["count"], latency["count"], "{kind}, {language}: {operation} {outcome} in {found}");
                    let (theirs, ours) = (tag["p50"].as_f64().unwrap() / 1e3, latency["p50"].as_f64().unwrap());
                    // Microseconds are rounded, and each library names another value within one step of its scale.
                    assert!((theirs - ours).abs() <= ours * 2e-3 + 1.0, "{kind}, {language}: {theirs} {ours}");
                }
            }
        }
    }
}

#[test]
#[ignore = "needs Python with venv, and PyPI"]
fn external_commands_of_the_ci_guide_run() {
    let mut parse = python();
    parse.arg(root().join("tests/external/ci_docs.py"));
    parse.args(["docs/ci.md", ".github/actions/onlyone/action.yml"].map(|file| root().join(file)));
    let found: Value = serde_json::from_str(&succeeded(run(&mut parse, "python3"))).unwrap();
    let commands: Vec<&str> = found["commands"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(found["documents"] == 3 && commands.len() == 4, "{found}");
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_onlyone"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    for jobs in commands.chunks(2) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("scenarios")).unwrap();
        for (name, clients) in [("a", 4), ("b", 5)] {
            let text = std::fs::read_to_string(root().join("scenarios/create-or-get.toml")).unwrap();
            let text =
                text.replace("clients = 150", &format!("clients = {clients}")).replace("rounds = 100", "rounds = 5");
            std::fs::write(folder.path().join(format!("scenarios/{name}.toml")), text).unwrap();
        }
        for command in jobs {
            let mut bash = limited("bash", 120);
            bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", command]).current_dir(folder.path());
            bash.env("PATH", &path).env("VERSION", "0.1.0").env("SCENARIOS", "scenarios/a.toml scenarios/b.toml");
            succeeded(run(&mut bash, "bash"));
        }
        let reports = std::fs::read_dir(folder.path().join("onlyone-reports")).unwrap();
        assert_eq!(reports.filter(|run| run.as_ref().unwrap().path().join("junit.xml").exists()).count(), 2);
    }
}
