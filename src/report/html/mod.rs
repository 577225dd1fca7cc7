//! `report.html`: one file that works offline. Everything on it can be read without its script, which adds a filter, a
//! step-through of schedules, zoom and a cursor in charts.
//!
//! [`html`] is a pure function of the report. The report itself is enclosed as a data block, unless it is huge. The policy of
//! the page allows its own script, by its hash, and no request.

mod as_if_serial;
mod chart;
mod explore;
mod facts;
mod faults;
mod figures;
mod keys;
mod policy;
mod selftest;
mod shards;
mod stages;
mod stored;
mod time;
mod violations;
mod witness;

#[cfg(test)]
pub(super) use facts::files;
pub use policy::page_policy;

use minijinja::{AutoEscape, Environment, context};

use super::document::shell;
use super::format::{count, plural, seconds, visible};
use super::terminal::{again, held_under_doubt, overlap_sentence};
use super::{Finding, JsonError, LintFinding, Report};
use crate::explain;
use crate::verdict::{InvariantResult, Verdict};

/// A report beyond this is not enclosed; it lies beside the page.
const MAX_DATA: usize = 1 << 20;
/// Colours of the style sheet.
const COLOURS: usize = 5;
/// What the page does when scripts may run.
const SCRIPT: &str = include_str!("script.js");
/// The parts of the page.
const PARTS: [(&str, &str); 13] = [
    ("head.html", include_str!("parts/head.html")),
    ("report.html", include_str!("parts/report.html")),
    ("violations.html", include_str!("parts/violations.html")),
    ("smallest.html", include_str!("parts/smallest.html")),
    ("witness.html", include_str!("parts/witness.html")),
    ("keys.html", include_str!("parts/keys.html")),
    ("serial.html", include_str!("parts/serial.html")),
    ("explore.html", include_str!("parts/explore.html")),
    ("faults.html", include_str!("parts/faults.html")),
    ("shards.html", include_str!("parts/shards.html")),
    ("stages.html", include_str!("parts/stages.html")),
    ("figures.html", include_str!("parts/figures.html")),
    ("compare.html", include_str!("parts/compare.html")),
];

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

/// A page from one of the templates. It knows the style sheet and the policy beside what it is given.
pub(super) fn page(name: &str, values: minijinja::Value) -> Result<String, HtmlError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, text) in PARTS {
        environment.add_template(name, text)?;
    }
    let common = context! { css => include_str!("style.css"), script => SCRIPT, policy => page_policy(SCRIPT, None) };
    Ok(environment.get_template(name)?.render(context! { ..values, ..common })?)
}

/// Renders the page.
pub fn html(report: &Report) -> Result<String, HtmlError> {
    let values = context! {
        report => run(report),
        verdict => report.verdict.as_str(),
        breached => report.thresholds.iter().any(crate::stats::ThresholdResult::is_breached),
        held => held_under_doubt(report).map(code),
        again => again(report),
        subtitle => subtitle(report),
        overlap => overlap_sentence(report),
        violations => violations::groups(report),
        witnesses => violations::witnesses(report),
        invariants => report.invariants.iter().map(invariant).collect::<Vec<_>>(),
        keys => keys::context(report),
        operations => report.operations.iter().filter(|_| report.is_load()).map(|(name, stats)| figures::operation(name, stats)).collect::<Vec<_>>(),
        over_time => report.is_load().then(|| chart::over_time(&report.over_time, &report.faults)),
        serial => report.as_if_serial.as_ref().map(as_if_serial::context),
        explore => report.explore.as_ref().map(explore::context),
        smallest => report.explore.as_ref().and_then(|explore| explore.smallest.as_ref()).map(explore::smallest),
        walks => report.explore.as_ref().map(explore::walks).transpose().map_err(JsonError::from)?.flatten(),
        faults => faults::context(report),
        shards => shards::context(report),
        stages => stages::context(report),
        selftest => report.selftest.as_ref().map(selftest::context),
        lint => report.lint().map(lint).collect::<Vec<_>>(),
        findings => report.findings.iter().flatten().filter(|finding| finding.count > 0).map(finding).collect::<Vec<_>>(),
        actions => report.actions.iter().flatten().map(|action| (action.kind.to_string(), count(action.count))).collect::<Vec<_>>(),
        thresholds => figures::thresholds(report),
        facts => facts::facts(report),
        files => facts::files(report),
        data => data(report)?,
    };
    page("report.html", values)
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
        origin => facts::origin(report),
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
    let mut text = format!(
        "{} on {} in {}",
        plural(operations, "operation"),
        plural(report.concurrency.keys, "key"),
        seconds(report.duration_s)
    );
    if report.is_load() {
        text.push_str(&format!(" · {} answers/s", count(report.throughput_per_s.max(0.0).round() as u64)));
    }
    Some(text)
}

/// The report as a data block.
fn data(report: &Report) -> Result<Option<String>, JsonError> {
    let text = in_block(&serde_json::to_string(report)?);
    Ok((text.len() <= MAX_DATA).then_some(text))
}

/// JSON inside a block of the page: `<` is written so that nothing in it can end the block.
fn in_block(json: &str) -> String {
    json.replace('<', "\\u003c")
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

fn invariant(result: &InvariantResult) -> minijinja::Value {
    let text = explain::invariant(&result.name);
    context! {
        meaning => text.meaning,
        mark => mark(result.verdict),
        name => visible(&result.name.to_string()),
        verdict => result.verdict.as_str(),
        checked => count(result.checked),
        violations => count(result.violations),
        reason => result.reason.as_deref().map(visible),
        violated => result.verdict == Verdict::Violated,
    }
}

/// Foreign text inside SVG.
fn escape(text: &str) -> String {
    visible(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{ExploreReport, sample};

    #[test]
    fn every_kind_of_run_gives_a_page_without_a_request() {
        for (name, report) in sample::all() {
            let page = html(&report).unwrap();
            assert!(page.contains("default-src 'none'"), "{name}");
            for forbidden in ["http://", "https://", "src=", "@import", "url(", "NaN", "inf\""] {
                let found = page.replace("http://www.w3.org/2000/svg", "").contains(forbidden);
                assert!(!found, "{name}: {forbidden}");
            }
            let script = page.split("<script>").nth(1).and_then(|rest| rest.split("</script>").next()).unwrap();
            assert!(page.contains(&page_policy(script, None)), "{name}: the policy forbids the script");
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
        assert_eq!(page.matches("<script").count(), 2, "the data block and the script");
        assert_eq!(page.matches("</script").count(), 2);
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
    #[test]
    fn a_lost_message_is_shown_missing_beside_what_overwrote_it() {
        let page = html(&sample::lost()).unwrap();
        let proof = page.split("<section id=\"violation-1\">").nth(1).unwrap().split("</section>").next().unwrap();
        for part in [
            "<b class=\"o1\">op20</b> hello",
            "<b class=\"o0\">op21</b> <s>world &lt;b&gt;</s> <b class=\"violated\">✗ missing</b>",
            "again <b class=\"violated\">✗ again</b>",
            "in flight with it, and stored: may have overwritten it",
            "<code>POST &#x2f;messages {&quot;op&quot;:21}</code>",
            "Also breaks<dd class=\"violated\">no-duplicate-messages (1)",
            "<code>find</code>, then <code>update</code> of the whole array. (read-modify-write)",
            "54.0 ms after the start of the run",
        ] {
            assert!(proof.contains(part), "no {part} in {proof}");
        }
        assert!(!proof.contains("Requests: "), "each lane has its request");
        assert!(page.contains("2026-11-21 09:15:00 UTC · commit 0123456789ab (main)"));
        // The cause and the proof come before the table.
        assert!(page.find("may have overwritten it") < page.find("<h2>Invariants</h2>"));
    }

    #[test]
    fn what_was_refused_was_overwritten_by_nobody() {
        let mut report = sample::lost();
        report.keys.iter_mut().flat_map(|key| &mut key.missing).for_each(|missing| missing.refused = true);
        let page = html(&report).unwrap();
        assert!(
            page.contains("refused by the database, and nobody tried again")
                && page.contains("in flight with it, and stored<")
        );
        assert!(!page.contains("may have overwritten it") && !page.contains("acknowledged, and not there"));
    }

    #[test]
    fn a_page_of_very_many_schedules_stays_small() {
        let page = html(&sample::explored_at_length(ExploreReport::MAX_SCHEDULES)).unwrap();
        assert!(page.len() < 2 << 20, "{}", page.len());
        assert_eq!(page.matches("<tr data-kind=").count(), ExploreReport::MAX_SCHEDULES);
        assert_eq!(page.matches("data-walk=\"").count(), ExploreReport::MAX_DIAGRAMS + 1);
    }

    #[test]
    fn commands_that_were_held_back_have_no_latency() {
        let page = html(&sample::explored()).unwrap();
        assert!(!page.contains("class=\"chart\"") && !page.contains("answers/s") && !page.contains("Peak in flight"));
    }

    #[test]
    fn every_entry_of_the_contents_is_there() {
        for (name, report) in sample::all() {
            let page = html(&report).unwrap();
            for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(page.contains(&format!("id=\"{link}\"")), "{name}: {link}");
            }
        }
    }
}
