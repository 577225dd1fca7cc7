//! What runs out by itself is told as not tried, in every form of the report.

use crate::support::{command, node_path};

#[test]
fn a_lock_that_may_run_out_is_told_as_not_tried_on_the_terminal_in_json_and_in_html() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(&["explore", "--quiet", "--seed", "1", "--max-schedules", "2", "--run-id", "r", "--out"])
        .arg(folder.path())
        .arg("tests/services/moments/tickets.toml")
        .env("NODE_PATH", node_path())
        .env("MODE", "racy")
        .output()
        .unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join("r").join(name)).unwrap_or_default();
    let terminal = String::from_utf8_lossy(&output.stdout).into_owned();
    for (form, text) in [("terminal", terminal), ("json", read("report.json")), ("html", read("report.html"))] {
        // A line may end anywhere.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for told in ["time does not pass:", "leases.until", "may run out, and that it does was not tried"] {
            assert!(text.contains(told), "{form}: {told}: {} {text}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
