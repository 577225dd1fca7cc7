//! `report.html`: one file that works offline, with its charts as inline SVG and no script at all.
//!
//! [`html`] is a pure function of the report. The report itself is enclosed as a data block, unless it is huge.

mod as_if_serial;
mod chart;
mod explore;
mod selftest;
mod witness;

use minijinja::{AutoEscape, Environment, context};

use super::document::shell;
use super::format::{count, measured, mebibytes, micros, percent, plural, quantile, seconds, visible};
use super::terminal::{again, held_under_doubt, overlap_sentence, retries};
use super::{Finding, JsonError, LintFinding, Report, to_json};
use crate::explain;
use crate::stats::{Latency, OperationStats};
use crate::verdict::{InvariantResult, Verdict};

/// A report beyond this is not enclosed; it lies beside the page.
const MAX_DATA: usize = 1 << 20;

/// Why the page cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum HtmlError {
    /// The template fails.
    #[error("the page cannot be rendered")]
    Template(#[from] minijinja::Error),
    /// The report cannot be enclosed.
    #[error("the report cannot be enclosed")]
    Data(#[from] JsonError),
}

/// Renders the page.
pub fn html(report: &Report) -> Result<String, HtmlError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let page = context! {
        css => include_str!("style.css"),
        report => run(report),
        verdict => report.verdict.as_str(),
        breached => report.thresholds.iter().any(crate::stats::ThresholdResult::is_breached),
        held => held_under_doubt(report),
        again => again(report),
        subtitle => subtitle(report),
        overlap => overlap_sentence(report),
        invariants => report.invariants.iter().map(invariant).collect::<Vec<_>>(),
        operations => report.operations.iter().map(|(name, stats)| operation(name, stats)).collect::<Vec<_>>(),
        over_time => chart::over_time(&report.over_time),
        serial => report.as_if_serial.as_ref().map(as_if_serial::context),
        explore => report.explore.as_ref().map(explore::context),
        selftest => report.selftest.as_ref().map(selftest::context),
        lint => report.lint().map(lint).collect::<Vec<_>>(),
        findings => report.findings.iter().flatten().filter(|finding| finding.count > 0).map(finding).collect::<Vec<_>>(),
        actions => report.actions.iter().flatten().map(|action| (action.kind.to_string(), count(action.count))).collect::<Vec<_>>(),
        thresholds => thresholds(report),
        facts => facts(report),
        data => data(report)?,
    };
    Ok(environment.render_named_str("report.html", include_str!("report.html"), page)?)
}

/// What identifies the run.
fn run(report: &Report) -> minijinja::Value {
    let lines = |lines: &[String]| lines.iter().map(|line| visible(line).into_owned()).collect::<Vec<_>>();
    context! {
        scenario => visible(&report.scenario),
        run_id => visible(&report.run_id),
        seed => report.seed.to_string(),
        tool => report.tool.as_str(),
        version => report.version.as_str(),
        partial => report.partial,
        reasons => lines(&report.reasons),
        expectation => report.expectation.as_ref().map(|expectation| {
            let (met, state) = match expectation.met {
                Some(true) => ("met", "holds"),
                Some(false) => ("not met", "violated"),
                None => ("could not be told", "inconclusive"),
            };
            context! { met => met, state => state, details => lines(&expectation.details) }
        }),
        reproduce => visible(&report.reproduce),
    }
}

/// What was done; an audit did nothing but read.
fn subtitle(report: &Report) -> Option<String> {
    if report.findings.is_some() {
        return None;
    }
    let listed = report.operations.values().map(|stats| stats.attempted).sum();
    let operations = report.selftest.as_ref().map_or(listed, |selftest| selftest.operations);
    Some(format!(
        "{} on {} in {} · {} answers/s",
        plural(operations, "operation"),
        plural(report.concurrency.keys, "key"),
        seconds(report.duration_s),
        count(report.throughput_per_s.max(0.0).round() as u64)
    ))
}

/// The report as a data block: `<` is written so that nothing in it can end the block.
fn data(report: &Report) -> Result<Option<String>, JsonError> {
    let text = String::from_utf8_lossy(&to_json(report)?).replace('<', "\\u003c");
    Ok((text.len() <= MAX_DATA).then_some(text))
}

/// A sign beside the colour, which not everyone sees.
fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "✓",
        Verdict::Violated => "✗",
        Verdict::Inconclusive => "?",
    }
}

fn lint(finding: &LintFinding) -> minijinja::Value {
    context! {
        rule => finding.rule.as_str(),
        operation => visible(&finding.operation),
        explanation => code(&finding.explanation),
    }
}

/// Words in backticks as code; everything else, and they themselves, as text.
fn code(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return escape(text);
    }
    let part = |(number, part): (usize, &&str)| match number % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    };
    parts.iter().enumerate().map(part).collect()
}

fn finding(finding: &Finding) -> minijinja::Value {
    context! {
        kind => finding.kind.as_str(),
        count => count(finding.count),
        examples => finding.examples.iter().map(|example| visible(&shell(example)).into_owned()).collect::<Vec<_>>(),
    }
}

/// `99 violations of 100 checked, 5 shown`.
fn shown(result: &InvariantResult) -> String {
    let found = format!("{} of {} checked", plural(result.violations, "violation"), count(result.checked));
    let witnesses = result.witnesses.len() as u64;
    if witnesses < result.violations { format!("{found}, {} shown", count(witnesses)) } else { found }
}

fn invariant(result: &InvariantResult) -> minijinja::Value {
    let text = explain::invariant(&result.name);
    context! {
        meaning => text.meaning,
        cause => text.cause,
        fix => text.fix,
        mark => mark(result.verdict),
        shown => shown(result),
        name => visible(&result.name.to_string()),
        verdict => result.verdict.as_str(),
        checked => count(result.checked),
        violations => count(result.violations),
        reason => result.reason.as_deref().map(visible),
        violated => result.verdict == Verdict::Violated,
        witnesses => result.witnesses.iter().map(witness::context).collect::<Vec<_>>(),
    }
}

fn operation(name: &str, stats: &OperationStats) -> minijinja::Value {
    let row = |name: &str, number: u64, latency: Option<&Latency>| {
        let cells = latency.filter(|latency| latency.count > 0).map(|l| {
            let values = [(l.p50, 0.5), (l.p90, 0.9), (l.p95, 0.95), (l.p99, 0.99), (l.p99_9, 0.999), (l.max, 1.0)];
            values.map(|(us, of)| quantile(us, of, l.count)).to_vec()
        });
        context! { name => name, count => count(number), cells => cells.unwrap_or_default() }
    };
    let mut rows = vec![row("all", stats.attempted, Some(&stats.latency_us))];
    rows.extend(stats.outcomes.iter().map(|(name, &n)| row(name, n, stats.latency_by_outcome_us.get(name))));
    context! {
        name => name,
        latency_is => stats.latency_is.as_str(),
        rows => rows,
        percentiles => chart::percentiles(stats),
        histograms => stats.distribution.iter().filter(|(_, buckets)| !buckets.is_empty())
            .map(|(outcome, buckets)| context! { outcome => outcome, svg => chart::histogram(buckets) })
            .collect::<Vec<_>>(),
    }
}

fn thresholds(report: &Report) -> Vec<minijinja::Value> {
    report
        .thresholds
        .iter()
        .map(|result| {
            let value = result.observed.map(|value| measured(value, result.unit));
            let found = result.reason.clone().or(value).unwrap_or_else(|| "not measured".to_owned());
            context! { text => visible(&result.threshold), ok => result.ok, too_few => result.too_few, found => found, samples => count(result.samples) }
        })
        .collect()
}

/// The environment, as pairs of a name and a text.
fn facts(report: &Report) -> Vec<(String, String)> {
    let (found, measured) = (&report.preflight, &report.concurrency);
    let mut facts = Vec::new();
    let mut fact = |name: &str, text: String| facts.push((name.to_owned(), text));
    if report.findings.is_none() && report.selftest.is_none() {
        fact("Clients", count(measured.clients.into()));
        fact("Peak in flight", count(measured.peak_in_flight.into()));
        fact("Peak on one key", count(measured.peak_in_flight_same_key.into()));
    }
    let skew = measured.release_skew_us;
    if skew.max > 0 {
        fact("Release skew", format!("p50 {}, max {}", micros(skew.p50 as f64), micros(skew.max as f64)));
    }
    if let Some(control) = &report.serial_control {
        let names: Vec<String> = control.violated.iter().map(ToString::to_string).collect();
        let text = match control.verdict {
            Verdict::Violated => {
                format!("also violated one after another: a plain defect, not a race ({})", names.join(", "))
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
        fact("Index", format!("{} {{ {} }}{kind}", index.name, index.key));
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

/// Foreign text inside SVG.
fn escape(text: &str) -> String {
    visible(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn every_kind_of_run_gives_a_page_without_script_or_request() {
        for (name, report) in sample::all() {
            let page = html(&report).unwrap();
            assert!(page.contains("default-src 'none'"), "{name}");
            for forbidden in ["http://", "https://", "<script>", "src=", "@import", "url(", "NaN", "inf\""] {
                let found = page.replace("http://www.w3.org/2000/svg", "").contains(forbidden);
                assert!(!found, "{name}: {forbidden}");
            }
            assert!(page.contains(report.verdict.as_str()) && page.len() < 2 << 20, "{name}");
        }
    }

    #[test]
    fn an_audit_tells_of_no_operations() {
        let report = Report { findings: Some(Vec::new()), operations: Default::default(), ..sample::violated() };
        let page = html(&report).unwrap();
        let header = page.split("</header>").next().unwrap_or_default();
        assert!(header.contains("nothing was run") && !header.contains(" operations") && !header.contains("answers/s"));
    }

    #[test]
    fn foreign_text_cannot_leave_its_place() {
        let page = html(&sample::hostile()).unwrap();
        assert_eq!(page.matches("<script").count(), 1, "the data block alone");
        assert_eq!(page.matches("</script").count(), 1);
    }

    #[test]
    fn what_each_command_found_is_on_its_page() {
        let mut linted = sample::passing();
        linted.preflight.lint = sample::explored().explore.unwrap().lint;
        for (report, texts) in [
            (linted, ["<h2>Lint</h2>", "<code>find</code> finds nothing", "check-then-act"]),
            (sample::selftested(), ["✓ C1", "escaped single-document", "<dt>F1 F2<dd>it needs &lt;two&gt; data"]),
            (sample::selftested(), ["4,321 operations", "Correct twins", "? no overlap | none"]),
            (sample::audited(), ["duplicate-key: 12", "ObjectId(&quot;65a1b2c3d4e5f60718293a4b&quot;)", "<td>set-key"]),
        ] {
            let page = html(&report).unwrap();
            texts.iter().for_each(|text| assert!(page.contains(text), "no {text} in {page}"));
        }
        assert!(!html(&sample::audited()).unwrap().contains("orphan: 0"));
        assert_eq!(code("a `b` <c>"), "a <code>b</code> &lt;c&gt;");
        assert_eq!(code("one ` alone"), "one ` alone");
    }

    #[test]
    fn a_violation_has_its_diagram_and_a_run_its_charts() {
        let page = html(&sample::violated()).unwrap();
        for part in ["class=\"lane", "op451", "class=\"bar", "class=\"line", "<h2>Run again</h2>"] {
            assert!(page.contains(part), "{part}");
        }
    }
}
