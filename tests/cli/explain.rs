//! `onlyone explain`: one text for the terminal, the HTML report and the documentation.

use super::harness::{Harness, SHORT, scenario};

#[test]
fn a_name_is_explained_with_its_cause_and_its_fix() {
    let harness = Harness::new("");
    let one = harness.run(&["explain", "Single-Document", "4"]).expect(0, &[]);
    for part in ["single-document  (invariant)", "Usual cause: ", "Fix: ", "4  (exit code)"] {
        assert!(one.stdout.contains(part), "{part}: {}", one.shown());
    }
    let all = harness.run(&["explain"]).expect(0, &[]);
    for name in ["created-once", "upsert-not-retried", "C5", "130"] {
        assert!(all.stdout.lines().any(|line| line.trim_start().starts_with(name)), "{name}: {}", all.shown());
    }
    harness
        .run(&["explain", "single-documnt"])
        .expect(2, &["nothing is called `single-documnt`", "did you mean `single-document`?"]);
    harness.run(&["explain", "zzzzzzzz"]).expect(2, &["`onlyone explain` lists every name"]);
}

#[test]
fn the_page_of_the_documentation_is_what_the_command_prints() {
    let page = Harness::new("").run(&["explain", "--markdown"]).expect(0, &[]).stdout;
    let stored = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/names.md")).unwrap();
    assert!(page == stored, "write it again: onlyone explain --markdown > docs/names.md");
}

#[test]
fn the_html_report_explains_the_names_it_shows() {
    let harness = Harness::new(&scenario("find-then-insert", false, SHORT));
    harness.run(&["run", "s.toml"]).expect(1, &[]);
    let html = std::fs::read_to_string(harness.run_dir().join("report.html")).unwrap();
    assert!(html.contains("title=\"A key has at most one document in the end"), "no tooltip");
    assert!(html.contains("<dt>Fix<dd>Create a unique index on the key"), "no fix beside the witness");
}
