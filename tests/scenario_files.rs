//! Scenario files: every shipped one loads, every invalid one is refused with exactly the message beside it.
//!
//! An invalid file may carry lines of the form `#! --set key=value` and `#! env NAME=value`: they are what it is loaded with.
//! After a wanted change of the messages, run with `UPDATE_EXPECTED=1` and read the difference.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use onlyone::scenario::{self, Scenario, ScenarioError, WorkloadKind, resolved_toml};

fn known(workload: WorkloadKind) -> &'static [&'static str] {
    match workload {
        WorkloadKind::CreateOrGet => &[
            "find-then-insert",
            "create-then-fill",
            "upsert",
            "upsert-retry",
            "insert-first",
            "upsert-set",
            "unsorted-key",
            "local-id",
            "lock-in-memory",
            "lock-collection",
        ],
    }
}

fn toml_files(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{directory}: {error}"))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

fn load(path: &Path) -> Result<Scenario, ScenarioError> {
    let bytes = fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let overrides: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("#! --set ")).map(str::to_owned).collect();
    let environment: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("#! env ")).filter_map(|line| line.split_once('=')).collect();
    let lookup = |name: &str| environment.get(name).map(|value| (*value).to_owned());
    scenario::load(path, &overrides, &lookup, &known)
}

#[test]
fn every_shipped_scenario_loads_and_reads_back_from_its_resolved_form() {
    let files = toml_files("scenarios");
    assert!(files.len() >= 6, "{files:?}");
    for path in files {
        let scenario = load(&path).unwrap_or_else(|error| panic!("{}", error.render(false)));
        let resolved = resolved_toml(&scenario).unwrap();
        let again = scenario::load_text(&path, resolved.clone(), &[], &|_| None, &known)
            .unwrap_or_else(|error| panic!("{resolved}\n{}", error.render(false)));
        assert_eq!(again, scenario);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# ") && text.contains("\n# Expect: "), "{} lacks its header", path.display());
    }
}

#[test]
fn every_invalid_scenario_is_refused_with_the_message_beside_it() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let files = toml_files("tests/scenarios/invalid");
    assert!(files.len() >= 20, "{files:?}");
    let mut differences = Vec::new();
    for path in files {
        let rendered = match load(&path) {
            Ok(scenario) => panic!("{} was accepted: {scenario:?}", path.display()),
            Err(error) => error.render(false),
        };
        let expected = path.with_extension("stderr");
        if update {
            fs::write(&expected, &rendered).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != rendered {
            differences.push(format!("--- {}\n{rendered}", expected.display()));
        }
    }
    assert!(differences.is_empty(), "not as expected:\n{}", differences.join("\n"));
}
