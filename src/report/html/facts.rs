//! The environment of a run: server, driver, machine, and what was noted.

use crate::report::format::{count, mebibytes, micros, percent, plural, seconds, visible};
use crate::report::terminal::retries;
use crate::report::{Origin, Report};
use crate::verdict::Verdict;

/// The environment, as pairs of a name and a text.
pub(super) fn facts(report: &Report) -> Vec<(String, String)> {
    let (found, measured) = (&report.preflight, &report.concurrency);
    let mut facts = Vec::new();
    let mut fact = |name: &str, text: String| facts.push((name.to_owned(), text));
    if report.is_load() {
        fact("Clients", count(measured.clients.into()));
        fact("Peak in flight", count(measured.peak_in_flight.into()));
        fact("Peak on one key", count(measured.peak_in_flight_same_key.into()));
    }
    let skew = measured.release_skew_us;
    if skew.max > 0 && report.is_load() {
        fact("Release skew", format!("p50 {}, max {}", micros(skew.p50 as f64), micros(skew.max as f64)));
    }
    if let Some(control) = &report.serial_control {
        let names: Vec<String> = control.violated.iter().map(ToString::to_string).collect();
        let text = match control.verdict {
            Verdict::Violated => {
                format!("also violated one after another: no race between operations ({})", names.join(", "))
            }
            verdict => format!("{} one after another: {verdict}", plural(control.operations, "operation")),
        };
        fact("Serial control", text);
    }
    for (name, value) in [
        ("Server", &found.server_version),
        ("Topology", &found.topology),
        ("Driver", &found.driver_version),
        ("Lookup plan", &found.lookup_plan),
    ] {
        if let Some(value) = value {
            fact(name, value.clone());
        }
    }
    for index in &found.indexes {
        let kind =
            format!("{}{}", if index.unique { " unique" } else { "" }, if index.sparse { " sparse" } else { "" });
        let kind = index.partial.as_ref().map_or(kind.clone(), |partial| format!("{kind} where {}", visible(partial)));
        fact("Index", format!("{} {{ {} }}{kind}", index.name, index.key));
    }
    if let Some(key) = &found.observed_key {
        let more = key.explore.iter().map(|more| format!(" {more}")).collect::<String>();
        fact("Key", visible(&format!("{}{more}", key.says)).into_owned());
        if let Some(command) = &key.create {
            fact("Create it", visible(command).into_owned());
        }
    }
    if let Some(retries) = retries(&found.retries) {
        fact("Retries", retries.trim_start_matches("retries ").to_owned());
    }
    if let Some(machine) = &report.machine {
        fact("Machine", visible(&machine.to_string()).into_owned());
    }
    if let Some(share) = report.generator.other_load {
        fact("Other processes", format!("{} of the processors", percent(share)));
    }
    fact(
        "Generator",
        format!("{} of CPU, {}", seconds(report.generator.cpu_s), mebibytes(report.generator.max_rss_bytes)),
    );
    for note in &found.notes {
        fact("Note", visible(note).into_owned());
    }
    facts
}

/// When it was made, and on which commit.
pub(super) fn origin(report: &Report) -> Option<String> {
    let Origin { date, commit, branch } = report.origin.as_ref()?;
    // Of the time of day a reader wants no more than seconds.
    let date = date.split_once('.').map_or(date.clone(), |(seconds, _)| format!("{seconds}Z"));
    let date = date.replacen('T', " ", 1).replacen('Z', " UTC", 1);
    let commit = commit.as_ref().map(|commit| commit.chars().take(12).collect::<String>());
    let place = match (commit, branch) {
        (Some(commit), Some(branch)) => format!(" · commit {commit} ({branch})"),
        (Some(commit), None) => format!(" · commit {commit}"),
        (None, _) => String::new(),
    };
    Some(visible(&format!("{date}{place}")).into_owned())
}

/// The files beside the page, each with what is in it.
pub(in crate::report) fn files(report: &Report) -> Vec<(&'static str, &'static str)> {
    let mut files =
        vec![("report.json", "this report for programs"), ("junit.xml", "for CI"), ("summary.md", "in short")];
    if report.findings.is_none() && report.selftest.is_none() {
        files.extend([
            ("run.json", "what was run, and under which conditions"),
            ("history.jsonl", "every operation"),
            ("observation.json", "what was stored in the end"),
            ("latency.hlog", "latencies, for HdrHistogram"),
            ("latency.hgrm", "latencies by percentile"),
        ]);
    }
    files
}
