//! What is made of a stored run, and what other programs are told about this one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::harness::{Harness, SHORT, scenario};

/// Long enough for a comparison of latencies.
const STEADY: &str = "[load.closed]\nclients = 16\nduration = \"3s\"\nkeys = { uniform = { count = 8 } }";

/// Runs the scenario under this name, and gives the folder.
fn stored(harness: &Harness, id: &str, code: i32, more: &[&str]) -> PathBuf {
    let args = [&["run", "s.toml", "--quiet", "--seed", "7", "--run-id", id], more].concat();
    harness.run(&args).expect(code, &[]);
    Path::new("reports").join(id)
}

fn read(harness: &Harness, file: &Path) -> String {
    std::fs::read_to_string(harness.path().join(file)).unwrap()
}

#[test]
fn report_writes_the_same_files_again_from_what_is_stored() {
    const WRITTEN: [&str; 6] =
        ["report.json", "report.html", "junit.xml", "summary.md", "latency.hlog", "latency.hgrm"];
    for (strategy, code) in [("upsert-retry", 0), ("find-then-insert", 1)] {
        let harness = Harness::new(&scenario(strategy, strategy == "upsert-retry", SHORT));
        let run = stored(&harness, "r", code, &[]);
        let files = || WRITTEN.map(|name| read(&harness, &run.join(name)));
        let before = files();
        for name in WRITTEN.iter().filter(|name| !["report.json", "latency.hlog"].contains(name)) {
            std::fs::remove_file(harness.path().join(run.join(name))).unwrap();
        }
        let shown = harness.run(&["report", "reports/r"]).expect(code, &["Invariant"]);
        assert!(shown.stderr.is_empty(), "{}", shown.shown());
        assert!(files() == before, "{strategy}: a report differs from the first one");
        // Without the results, only the history is left to judge.
        std::fs::remove_file(harness.path().join(run.join("report.json"))).unwrap();
        std::fs::remove_file(harness.path().join(run.join("latency.hlog"))).unwrap();
        harness.run(&["report", "reports/r"]).expect(2, &["report.json", "--judge"]);
        let judged = harness.run(&["report", "reports/r", "--judge", "--format", "json"]).expect(code, &[]);
        assert_eq!(judged.stdout, before[0]);
        assert!(files() == before, "{strategy}: a report of the history differs");
    }
}

#[test]
fn compare_ends_with_3_for_too_little_and_refuses_what_differs() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    // Two rounds are too little on a slow machine too.
    let few = ["--set", "load.burst.rounds=2"];
    stored(&harness, "a", 0, &few);
    stored(&harness, "b", 0, &[few.as_slice(), &["--set", "load.burst.clients=4"]].concat());
    stored(&harness, "broken", 1, &["--set", "target.mongo.strategy=find-then-insert"]);
    let compare = |new: &str, more: &[&str]| harness.run(&[&["compare", "reports/a", new], more].concat());
    compare("reports/a", &[]).expect(3, &["INCONCLUSIVE", "no verdict changed", "needs"]);
    let refused = compare("reports/b", &[]).expect(2, &["cannot be compared", "--force"]);
    assert!(refused.stderr.contains("load.burst.clients: [8] in the base, [4] in the new run"), "{}", refused.shown());
    compare("reports/b", &["--force"]).expect(3, &["although", "load.burst.clients"]);
    // A new violation comes before every figure.
    compare("reports/broken", &["--force"]).expect(1, &["LESS CORRECT", "no-leaked-errors"]);
    compare("reports/missing", &[]).expect(2, &["reports/missing/run.json", "name the folder of a run"]);
    std::fs::write(harness.path().join("reports/b/latency.hlog"), "Tag=x,0,1,1,HIST\n").unwrap();
    compare("reports/b", &["--force"]).expect(2, &["latency.hlog is damaged"]);
}

#[test]
fn compare_ends_with_0_for_the_same_and_5_for_a_slower_run() {
    let harness = Harness::new(&scenario("upsert-retry", true, STEADY));
    // Waiting that is planted outweighs what a busy machine adds.
    stored(&harness, "fast", 0, &["--set", "target.mongo.delay=20ms"]);
    stored(&harness, "slow", 0, &["--set", "target.mongo.delay=200ms"]);
    let same =
        harness.run(&["compare", "reports/fast", "reports/fast", "--threshold", "900%"]).expect(0, &["NO REGRESSION"]);
    assert!(same.stderr.is_empty(), "{}", same.shown());
    // What noise hides is not taken for no difference.
    let unclear = harness.run(&["compare", "reports/fast", "reports/fast", "--threshold", "0.001%"]);
    unclear.expect(3, &["INCONCLUSIVE", "noise hides a difference: needs about", "samples in each run"]);
    harness.run(&["compare", "reports/fast", "reports/slow", "--force"]).expect(5, &["SLOWER", "create-or-get.p50"]);
    let json =
        harness.run(&["compare", "reports/fast", "reports/slow", "--force", "--format", "json"]).expect(5, &[]).json();
    assert_eq!((&json["exit_code"], &json["tool"]), (&Value::from(5), &Value::from("onlyone")));
    let figures = json["figures"].as_array().unwrap();
    let median = figures.iter().find(|figure| figure["metric"] == "p50").unwrap();
    assert_eq!(median["finding"], "worse", "{median}");
    // The other way round it is no regression.
    harness.run(&["compare", "reports/slow", "reports/fast", "--force"]).expect(0, &[]);
}

#[test]
fn a_comparison_leaves_files_and_baselines_are_kept_by_scenario() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    stored(&harness, "a", 0, &[]);
    stored(&harness, "b", 0, &[]);
    let compare = |args: &[&str]| harness.run(&[&["compare"], args].concat());
    compare(&["reports/b", "--baseline", "main"]).expect(2, &["there is no baseline `main`", "--save-baseline main"]);
    compare(&["reports/a", "--save-baseline", "main"]).expect(0, &["kept run a", "baselines/main"]);
    compare(&["reports/b", "--baseline", "mian"]).expect(2, &["did you mean `main`?"]);
    // Whoever may read or replace the reports may do so with a baseline.
    let (save, umask) = (["compare", "reports/b", "--save-baseline", "shared"], r#"umask 007; exec "$0" "$@""#);
    let (save, mut shell) = (harness.command(&save), Command::new("/bin/sh"));
    shell.arg("-c").arg(umask).arg(save.get_program()).args(save.get_args()).current_dir(harness.path()).env_clear();
    assert!(shell.output().unwrap().status.success());
    let kept = std::fs::read_dir(harness.path().join("reports/baselines/shared")).unwrap().next().unwrap().unwrap();
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o770);
    // The run itself may go.
    std::fs::remove_dir_all(harness.path().join("reports/a")).unwrap();
    compare(&["reports/b", "--baseline", "main"]).expect(3, &["against base a", "reports/compare-b-with-a"]);
    for file in ["report.html", "junit.xml", "summary.md", "comparison.json"] {
        assert!(!read(&harness, &Path::new("reports/compare-b-with-a").join(file)).is_empty(), "{file}");
    }
    // A report may come from elsewhere: what it calls its run must not lead out of the folder.
    let report = harness.path().join("reports/b/report.json");
    let kept = std::fs::read_to_string(&report).unwrap();
    for (id, shown) in [("../../../out", "../../../out"), ("\\u001b[2J", "\\u{1b}[2J")] {
        let outside = kept.replace("\"run_id\": \"b\"", &format!("\"run_id\": \"{id}\""));
        assert_ne!(outside, kept);
        std::fs::write(&report, outside).unwrap();
        let told = format!("`{shown}`, which is no name of a run");
        compare(&["reports/b", "--baseline", "main"]).expect(2, &[&told]);
    }
    std::fs::write(&report, kept).unwrap();
    compare(&["reports/b"]).expect(2, &["one run alone cannot be compared", "--baseline NAME"]);
    compare(&["reports/b", "--trend"]).expect(0, &["✓ b", "Answers/s", "p50"]);
    std::fs::create_dir(harness.path().join("reports/broken")).unwrap();
    std::fs::write(harness.path().join("reports/broken/report.json"), "{").unwrap();
    compare(&["reports/b", "--trend"]).expect(0, &["✓ b", "reports/broken is left out", "report.json is not valid"]);
}

#[test]
fn several_scenarios_end_with_one_table_and_one_file() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    let racy = scenario("find-then-insert", false, SHORT).replace("\"t\"", "\"racy\"");
    std::fs::write(harness.path().join("racy.toml"), racy).unwrap();
    let custom = "name = \"only explored\"\nworkload = \"custom\"\n[target.http]\nbase_urls = [\"http://127.0.0.1:1\"]\n\
                  [target.http.operations.book]\npath = \"/book\"\n[load.burst]\nclients = 2\nrounds = 2\n[explore]\njudge = \"checkers\"\n";
    std::fs::write(harness.path().join("custom.toml"), custom).unwrap();
    let ran = harness.run(&["run", "s.toml", "racy.toml", "custom.toml", "--quiet"]);
    let ran = ran.expect(
        1,
        &["3 scenarios: 1 as expected, 1 not, 1 not for `run`", "onlyone explore custom.toml --judge as-if-serial"],
    );
    assert!(ran.stdout.ends_with("JUnit         reports/junit-all.xml\n"), "{}", ran.shown());
    let merged = read(&harness, Path::new("reports/junit-all.xml"));
    assert_eq!(merged.matches("<testsuite ").count(), 3, "{merged}");
    assert!(merged.contains("InvariantViolation") && merged.contains("<skipped"), "{merged}");
    harness.run(&["run", "custom.toml", "custom.toml"]).expect(2, &["none of these scenarios is for `run`"]);
}

#[test]
fn options_come_from_the_environment_and_from_the_nearest_file() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT)).env("ONLYONE_SEED", "4711");
    std::fs::write(harness.path().join("onlyone.toml"), "[run]\nset = ['load.burst.rounds=3']\nseed = 1\n").unwrap();
    let ran = harness.run(&["run", "s.toml", "--dry-run"]).expect(0, &["# seed: 4711", "rounds = 3"]);
    assert!(ran.stderr.contains("settings: ") && ran.stderr.contains("onlyone.toml"), "{}", ran.shown());
    harness
        .run(&["run", "s.toml", "--dry-run", "--seed", "5", "--set", "load.burst.rounds=4"])
        .expect(0, &["# seed: 5", "rounds = 4"]);
    // A flag that is false is not given.
    let off = Harness::new(&scenario("upsert-retry", true, SHORT)).env("ONLYONE_EXPLORE_PAIRS", "false");
    off.run(&["explore", "s.toml", "--dry-run", "--schedule", "1 2"]).expect(0, &["search: replay"]);
    let on = Harness::new(&scenario("upsert-retry", true, SHORT)).env("ONLYONE_EXPLORE_PAIRS", "true");
    on.run(&["explore", "s.toml", "--dry-run", "--schedule", "1 2"]).expect(0, &["search: replay"]);
    // Of two variables none comes first.
    let both = on.env("ONLYONE_EXPLORE_SCHEDULE", "1 2");
    both.run(&["explore", "s.toml", "--dry-run"]).expect(2, &["cannot be used with"]);
    // What is typed comes first, also where the two exclude each other.
    let events = Harness::new(&scenario("upsert-retry", true, SHORT)).env("ONLYONE_EVENTS", "ndjson");
    events.run(&["run", "s.toml", "--dry-run"]).expect(0, &["# seed: "]);
    events.run(&["run", "s.toml", "--probe"]).expect(2, &["there is no service to probe"]);
    let typed = ["run", "s.toml", "--probe", "--events", "ndjson"];
    events.run(&typed).expect(2, &["cannot be used with"]);
    let typed = Harness::new("").env("ONLYONE_COMPARE_SAVE_BASELINE", "main");
    typed.run(&["compare", "nowhere"]).expect(2, &["one run alone cannot be compared"]);
    harness.run(&["run", "s.toml", "--use", "ci"]).expect(2, &["has no profile `ci`", "[profile.ci]"]);
    std::fs::write(harness.path().join("onlyone.toml"), "[run]\nsett = 'a=1'\n").unwrap();
    harness.run(&["run", "s.toml"]).expect(2, &["onlyone.toml:2: unknown option `sett`", "did you mean `set`?"]);
}

#[test]
fn the_command_that_does_it_again_has_the_variables_that_chose_the_variant() {
    let text = scenario("${STRATEGY:-upsert-retry}", true, SHORT).replace("onlyone_test", "onlyone_${SECRET_PART}");
    let harness = Harness::new(&text).env("STRATEGY", "find-then-insert").env("SECRET_PART", "hidden");
    let ran = harness.run(&["run", "s.toml", "--quiet", "--seed", "7"]).expect(1, &[]);
    for part in ["STRATEGY=find-then-insert ", "SECRET_PART=\"$SECRET_PART\" ", " onlyone run s.toml --seed 7"] {
        assert!(ran.stdout.contains(part), "no {part} in {}", ran.shown());
    }
}

#[test]
fn export_writes_the_history_for_other_checkers() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    stored(&harness, "r", 0, &[]);
    let export = |format: &str, more: &[&str]| {
        harness.run(&[&["export", "reports/r", "--format", format], more].concat()).expect(0, &[])
    };
    let edn = export("elle-edn", &[]);
    assert_eq!(edn.stdout.lines().filter(|line| line.contains(":type :invoke")).count(), 80, "{}", edn.shown());
    let elle = export("elle-json", &[]).json();
    assert_eq!(elle.as_array().unwrap().len(), 160);
    let porcupine = export("porcupine-json", &[]);
    assert_eq!(porcupine.json().as_array().unwrap().len(), 80);
    // A file that may be written over is named each time.
    let mut elsewhere = harness.command(&["export", "reports/r", "--format", "porcupine-json"]);
    let told = elsewhere.env("ONLYONE_EXPORT_OUT", "s.toml").output().unwrap();
    assert_eq!(String::from_utf8(told.stdout).unwrap(), porcupine.stdout);
    let to_file = export("porcupine-json", &["--out", "history.json"]);
    assert_eq!((to_file.stdout.as_str(), read(&harness, Path::new("history.json"))), ("", porcupine.stdout));
    harness
        .run(&["export", "reports/none", "--format", "elle-edn"])
        .expect(2, &["run.json", "name the folder of a run"]);
    harness.run(&["export", "reports/r", "--format", "csv"]).expect(2, &["elle-edn"]);
}

#[test]
fn export_refuses_a_workload_that_elle_has_no_form_for() {
    let harness = Harness::new(&scenario("conditional-push", true, SHORT).replace("create-or-get", "merge"));
    stored(&harness, "r", 0, &[]);
    harness.run(&["export", "reports/r", "--format", "elle-edn"]).expect(2, &["Elle has no form", "porcupine-json"]);
    harness.run(&["export", "reports/r", "--format", "porcupine-json"]).expect(0, &[]);
}

#[test]
fn schemas_name_what_a_scenario_and_a_report_hold() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    stored(&harness, "r", 0, &[]);
    let schema = |kind: &str| harness.run(&["schema", kind]).expect(0, &["json-schema.org"]).json();
    let report: Value = serde_json::from_str(&read(&harness, Path::new("reports/r/report.json"))).unwrap();
    let told: Vec<_> = schema("report")["properties"].as_object().unwrap().keys().cloned().collect();
    let unknown: Vec<_> = report.as_object().unwrap().keys().filter(|key| !told.contains(key)).collect();
    assert!(unknown.is_empty(), "the schema does not name {unknown:?}");
    let scenario = schema("scenario");
    assert!(scenario["properties"].get("workload").is_some() && scenario.to_string().contains("upsert-retry"));
    let profile = schema("profile");
    let text = profile.to_string();
    for word in ["where", "ignore_case", "unique_with", "most-fields", "concatenate", "identity"] {
        assert!(text.contains(&format!("{word:?}")), "{word} is not in the schema of a profile");
    }
    assert_eq!(profile["additionalProperties"], false);
    harness.run(&["schema", "history"]).expect(2, &["scenario", "report"]);
}

#[test]
fn completions_are_there_for_every_shell() {
    let harness = Harness::new("");
    for (shell, text) in [
        ("bash", "complete -F _onlyone"),
        ("zsh", "#compdef onlyone"),
        ("fish", "complete -c onlyone"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let script = harness.run(&["completions", shell]).expect(0, &[text, "compare", "threshold"]);
        assert!(script.stderr.is_empty(), "{}", script.shown());
    }
    harness.run(&["completions", "tcsh"]).expect(2, &["bash"]);
}

#[test]
fn manual_pages_are_printed_or_written() {
    let harness = Harness::new("");
    harness.run(&["man"]).expect(0, &[".TH onlyone 1", "onlyone\\-compare(1)"]);
    harness.run(&["man", "run"]).expect(0, &[".TH onlyone-run 1", "\\-\\-seed"]);
    harness.run(&["man", "fly"]).expect(2, &["there is no command `fly`"]);
    harness.run(&["man", "--out", "pages"]).expect(0, &[]);
    for page in ["onlyone.1", "onlyone-run.1", "onlyone-compare.1", "onlyone-export.1"] {
        assert!(harness.path().join("pages").join(page).is_file(), "{page}");
    }
    std::fs::write(harness.path().join("file"), "").unwrap();
    harness.run(&["man", "--out", "file"]).expect(4, &["cannot write the manual pages to file"]);
}
