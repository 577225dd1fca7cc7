//! Reports read by other programs: xmllint, Chromium, and the HdrHistogram and JSON Schema readers of other languages.
//!
//! These tests need those programs, and fetch packages from PyPI and npm into `target/`. They are ignored unless asked for,
//! `cargo test --lib external -- --ignored`, and fail where a program is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use super::*;
use crate::stats::{Clock, LatencyStats};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a program; one that is not there is a failure that says what to install.
fn run(command: &mut Command, install: &str) -> Output {
    let name = command.get_program().to_owned();
    command.output().unwrap_or_else(|error| panic!("cannot run {name:?} ({error}): install {install}"))
}

fn succeeded(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A folder with the Python packages that the tests need, filled once.
fn python_packages() -> &'static Path {
    static PACKAGES: OnceLock<PathBuf> = OnceLock::new();
    PACKAGES.get_or_init(install_python)
}

fn install_python() -> PathBuf {
    let folder = root().join("target/external/python-packages");
    if !folder.join("ready").exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"]).arg(&folder);
        succeeded(run(pip.args(["hdrhistogram==0.10.8", "jsonschema==4.25.1"]), "python3 and python3-pip"));
        std::fs::write(folder.join("ready"), "").unwrap();
    }
    folder
}

/// Python with those packages.
fn python() -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", python_packages());
    command
}

/// A folder with the npm packages that the tests need.
fn node_modules() -> PathBuf {
    let folder = root().join("target/external/node");
    if !folder.join("node_modules/hdr-histogram-js").exists() {
        std::fs::create_dir_all(&folder).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-save", "--prefix"]).arg(&folder).arg("hdr-histogram-js@3.0.1");
        succeeded(run(&mut npm, "npm"));
    }
    folder.join("node_modules")
}

#[test]
#[ignore = "needs xmllint"]
fn external_xmllint_accepts_every_junit_file() {
    let folder = tempfile::tempdir().unwrap();
    let schema = root().join("tests/external/junit.xsd");
    let check = |name: &str, xml: &str| {
        let file = folder.path().join(format!("{name}.xml"));
        std::fs::write(&file, xml).unwrap();
        let mut command = Command::new("xmllint");
        run(command.args(["--noout", "--schema"]).arg(&schema).arg(&file), "libxml2-utils")
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

/// Loads a page in a fresh Chromium; the document after loading, and what the browser logged.
fn browse(page: &Path, size: &str, profile: &Path) -> (String, String) {
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--v=0"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"])
        .arg(format!("--window-size={size}"))
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--log-net-log={}", profile.join("net.json").display()))
        .arg(format!("file://{}", page.display()));
    let output = run(&mut command, "chromium");
    (succeeded(output.clone()), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What a page asked the network for. The browser's own errands all go to its maker.
fn requests(profile: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(profile.join("net.json")).unwrap();
    let urls = log.split("\"url\":\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
    let host =
        |url: &str| url.split_once("://").map(|(_, rest)| rest.split(['/', ':']).next().unwrap_or_default().to_owned());
    let own = |host: &str| ["google.com", "googleapis.com", "gstatic.com"].iter().any(|maker| host.ends_with(maker));
    let mut hosts: Vec<String> =
        urls.filter(|url| url.starts_with("http")).filter_map(host).filter(|host| !own(host)).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

#[test]
#[ignore = "needs chromium"]
fn external_chromium_shows_every_page_without_error_or_request() {
    for (name, report) in sample::all() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("report.html");
        std::fs::write(&page, html(&report).unwrap()).unwrap();
        let (document, log) = browse(&page, "1200,2000", folder.path());
        let console: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(console.is_empty(), "{name}: {console:?}");
        assert_eq!(requests(folder.path()), Vec::<String>::new(), "{name}");
        let verdict = report.verdict.as_str();
        assert!(document.contains(&format!("<span class=\"badge {verdict}\">{verdict}</span>")), "{name}");
        assert!(document.contains("<h2>Reproduce</h2>") && document.contains("<h2>Environment</h2>"), "{name}");
        if !report.operations.is_empty() {
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
    let planted = html(&sample::passing()).unwrap().replace("<main>", &format!("<main>{bad}"));
    std::fs::write(&page, &planted).unwrap();
    let (_, log) = browse(&page, "1200,2000", folder.path());
    assert!(log.lines().any(|line| line.contains("CONSOLE") && line.contains("Content Security Policy")), "{log}");
    assert_eq!(requests(folder.path()), Vec::<String>::new(), "the policy stops it");
    std::fs::write(&page, planted.replace("default-src", "x-src")).unwrap();
    browse(&page, "1200,2000", folder.path());
    assert_eq!(requests(folder.path()), ["example.invalid"]);
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
    let scripts = root().join("tests/external");
    let mut python = python();
    python.arg(scripts.join("read_hlog.py")).arg(&file);
    let mut node = Command::new("node");
    node.env("NODE_PATH", node_modules()).arg(scripts.join("read_hlog.js")).arg(&file);
    for (language, command) in [("python", &mut python), ("node", &mut node)] {
        let found: serde_json::Value = serde_json::from_str(&succeeded(run(command, language))).unwrap();
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
    let validate = |schema: &serde_json::Value, document: &Path| {
        let file = folder.path().join("schema.json");
        std::fs::write(&file, schema.to_string()).unwrap();
        run(python().arg(root().join("tests/external/validate.py")).arg(file).arg(document), "python3")
    };
    for (name, report) in sample::all() {
        let document = folder.path().join(format!("{name}.json"));
        std::fs::write(&document, to_json(&report).unwrap()).unwrap();
        succeeded(validate(&schema(), &document));
    }
    let scenario_schema = crate::scenario::schema(&crate::strategy::names);
    let mut scenarios = 0;
    for entry in std::fs::read_dir(root().join("scenarios")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            succeeded(validate(&scenario_schema, &path));
            scenarios += 1;
        }
    }
    assert!(scenarios > 5);
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
        assert!(!validate(&scenario_schema, &document).status.success(), "{name} is accepted");
    }
}
