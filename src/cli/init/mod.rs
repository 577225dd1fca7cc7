//! `onlyone init`, and `onlyone explore` without a file: requests that somebody wrote down, tried one after another, become
//! a scenario.

mod args;
mod explore;
mod sources;
mod stage;
mod subject;

use std::path::Path;

use anyhow::Context;
use rand::RngExt;

pub use args::{InitArgs, Sources};
pub(super) use explore::explore_requests;

use super::{CliError, Io};
use crate::import::Sample;
use crate::init::{Finding, Kind, Login, Origin, Pinned, Plan, Probe, promise, scenario_text, together};
use crate::target::Guard;
use crate::verdict::ExitStatus;
use sources::read;
use stage::Stage;

/// Most requests that are tried.
const MOST: usize = 40;

/// What was found out.
struct Looked {
    findings: Vec<Finding>,
    login: Option<Login>,
}

/// Writes a scenario for the requests of a source.
pub(super) async fn init(args: InitArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    // Before anything is started or sent.
    if let Some(path) = args.out.as_ref().filter(|path| path.exists() && !args.force) {
        return Err(CliError::usage(anyhow::anyhow!("{} exists already", path.display()))
            .hint("name another file, or say --force"));
    }
    let (sources, route) = (&args.sources, args.route.as_deref());
    let guard = Guard { hosts: args.allow_target.clone(), databases: Vec::new() };
    let imported = read(sources, &guard).await?;
    let pins = sources.pins(&imported.samples)?;
    tell(io, args.quiet, &imported.notes);
    let stage = Stage::start(sources, &imported.samples, &args.mongo, &guard, args.quiet).await?;
    let wanted = Wanted { samples: &imported.samples, pins: &pins, reads: !sources.curl.is_empty(), route };
    let looked = look(&stage, &wanted, io, args.quiet).await;
    let origin = stage.origin().await;
    let stopped = stage.stop(&guard).await;
    let (looked, origin) = (looked?, origin?);
    stopped?;
    let chosen = chosen(&looked.findings, route)?;
    let mut plan = Plan {
        name: String::new(),
        origin,
        login: looked.login,
        findings: vec![chosen.clone()],
        custom: false,
        left_out: left_out(looked.findings.iter().filter(|finding| *finding != chosen)),
    };
    plan.name = format!("{}: {}", chosen.sample.route(), promise(&plan));
    tell_left_out(&plan, io, args.quiet);
    tell(io, args.quiet, others(&looked.findings, chosen).as_slice());
    let text = scenario_text(&plan);
    match &args.out {
        Some(path) => {
            write_scenario(path, &text)?;
            write_schema(path)?;
            let shown = path.display();
            tell(io, args.quiet, &[format!("written: {shown}; now: onlyone run {shown}, or onlyone explore {shown}")]);
        }
        None => io.result(&text).context("cannot write to stdout").map_err(CliError::setup)?,
    }
    Ok(ExitStatus::Holds)
}

fn tell(io: &mut Io, quiet: bool, notes: &[String]) {
    for note in notes.iter().filter(|_| !quiet) {
        io.note(&format!("{note}\n"));
    }
}

/// Those that were not answered well, with what was seen.
fn left_out<'f>(findings: impl Iterator<Item = &'f Finding>) -> Vec<String> {
    let failed = findings.filter(|finding| matches!(finding.kind, Kind::Failed(_)));
    failed.map(|finding| format!("{}: {}", finding.sample.route(), said(finding))).collect()
}

/// What is found to do something, and is not in the scenario: a file is of one race.
fn others(findings: &[Finding], chosen: &Finding) -> Option<String> {
    let is_other = |finding: &&Finding| *finding != chosen && !matches!(finding.kind, Kind::Failed(_) | Kind::Nothing);
    let others: Vec<&Finding> = findings.iter().filter(is_other).collect();
    let routes: Vec<String> = others.iter().map(|finding| finding.sample.route()).collect();
    // By its route a request is tried alone.
    let alone = others.iter().find(|finding| finding.before.is_empty());
    let alone = alone.map(|finding| format!("; `--route '{}'` takes another one", finding.sample.route()));
    (!routes.is_empty()).then(|| {
        format!(
            "the scenario is of {} alone, not of {}{}; `onlyone explore` with the same requests takes all of them",
            chosen.sample.route(),
            routes.join(", "),
            alone.unwrap_or_default()
        )
    })
}

fn tell_left_out(plan: &Plan, io: &mut Io, quiet: bool) {
    let lines = plan.left_out.iter().map(|line| format!("not in the scenario: {line}"));
    tell(io, quiet, &lines.collect::<Vec<_>>());
}

/// Writes a scenario file.
pub(super) fn write_scenario(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = || format!("cannot write {}", path.display());
    std::fs::write(path, text).with_context(failed).map_err(CliError::setup)
}

/// Writes the schema that the file names beside it, for editors, if none is there.
fn write_schema(scenario: &Path) -> Result<(), CliError> {
    let path = scenario.with_file_name("onlyone.schema.json");
    if path.exists() {
        return Ok(());
    }
    let schema = crate::scenario::schema(&crate::strategy::names);
    let text = serde_json::to_string_pretty(&schema).map_err(CliError::setup)?;
    write_scenario(&path, &format!("{text}\n"))
}

/// Requests that may be tried.
struct Wanted<'a> {
    samples: &'a [Sample],
    /// Values that the user says must be fresh.
    pins: &'a [Pinned],
    /// Requests that only read are tried, too: each of them was typed.
    reads: bool,
    /// The only one.
    route: Option<&'a str>,
}

impl Wanted<'_> {
    /// Whether one of these stands for the request: of a recording the first of its route, where it writes; what was typed is meant.
    fn is_known(&self, sample: &Sample, sent: &[&Sample]) -> bool {
        match self.reads {
            true => sent.contains(&sample),
            false => sample.writes() && sent.iter().any(|other| other.route() == sample.route()),
        }
    }

    /// Whether the request is tried. One that logs in or signs up is so where it is asked for by name; one that signs up, also
    /// where there is no other.
    fn is_tried(&self, sample: &Sample, login: Option<&Login>) -> bool {
        if let Some(route) = self.route {
            return is_route(sample, route) && (sample.writes() || self.reads);
        }
        let is_of_login = |sample: &Sample| login.is_some_and(|login| login.has(sample));
        let logs_in = login.is_some_and(|login| login.sample == *sample);
        let is_alone = !self.samples.iter().any(|sample| sample.writes() && !is_of_login(sample));
        (sample.writes() || self.reads) && !logs_in && (is_alone || !is_of_login(sample))
    }
}

/// Tries every request that may change something.
async fn look(stage: &Stage, wanted: &Wanted<'_>, io: &mut Io, quiet: bool) -> Result<Looked, CliError> {
    let failed = |why: String| CliError::setup(anyhow::anyhow!("the service could not be tried: {why}"));
    let subject = stage.subject();
    let first = u64::from(rand::rng().random::<u32>());
    let mut probe = Probe::begin(&subject, wanted.samples, wanted.pins, first).await.map_err(failed)?;
    let login = probe.login.clone();
    tell(io, quiet, &probe.notes);
    let mut sent: Vec<&Sample> = Vec::new();
    let (mut findings, mut unanswered) = (Vec::new(), None);
    for sample in wanted.samples {
        let name = sample.route();
        if !wanted.is_tried(sample, login.as_ref()) || wanted.is_known(sample, &sent) {
            continue;
        }
        sent.push(sample);
        if findings.len() >= MOST {
            tell(io, quiet, &[format!("only the first {MOST} requests were tried")]);
            break;
        }
        let finding = match probe.look(sample).await {
            Ok(finding) => finding,
            Err(why) => {
                // A stream without end, say: the others may be answered.
                let kind = Kind::Failed(format!("no answer came to its end: {why}"));
                unanswered.get_or_insert(why);
                probe.go_on().await.map_err(failed)?;
                Finding { kind, ..Finding::untried(sample.clone()) }
            }
        };
        tell(io, quiet, &[format!("{name}: {}", said(&finding))]);
        findings.push(finding);
    }
    if let Some(why) = unanswered.filter(|_| findings.iter().all(|finding| finding.statuses.is_empty())) {
        return Err(failed(why));
    }
    stage.must_have_been_used(&findings)?;
    // Who can log in is known by now.
    Ok(Looked { findings, login: probe.login })
}

fn is_route(sample: &Sample, route: &str) -> bool {
    let path = format!("{} {}", sample.method, sample.path());
    sample.route() == route || path == route || path.split_once(' ').is_some_and(|(_, path)| path == route)
}

fn said(finding: &Finding) -> String {
    let said = finding.kind.in_words();
    let fresh: Vec<&str> = finding.fresh.iter().map(|fresh| fresh.name.as_str()).collect();
    let said = match &finding.invalid {
        _ if !fresh.is_empty() => format!("{said}; fresh each time: {}", fresh.join(", ")),
        Some((name, status)) => format!(
            "what it does the second time is not known well: another value of `{name}` was refused with {status}; write the \
             scenario by hand, with a `{name}` for each key that the service takes"
        ),
        None => said,
    };
    let before: Vec<String> = finding.before.iter().map(|prior| prior.sample.route()).collect();
    if before.is_empty() { said } else { format!("{said}; after {}", before.join(", then ")) }
}

/// The request whose race is the likeliest to hurt: of those that create, the one that promises to do it once.
fn chosen<'f>(findings: &'f [Finding], route: Option<&str>) -> Result<&'f Finding, CliError> {
    let rank = |finding: &&Finding| match &finding.kind {
        Kind::CreateOrGet if finding.pair || (finding.made.is_some() && finding.id.is_some()) => 0,
        Kind::Unique(_) => 1,
        Kind::CreateOrGet => 2,
        Kind::Upsert => 3,
        Kind::Change => 4,
        Kind::Insert => 5,
        Kind::Nothing | Kind::NotYet(_) | Kind::Failed(_) => 9,
    };
    match findings.iter().min_by_key(rank).filter(|best| rank(best) < 9) {
        Some(best) => Ok(best),
        None => Err(nothing_works(findings, route)),
    }
}

fn nothing_works(findings: &[Finding], route: Option<&str>) -> CliError {
    let tried: Vec<String> =
        findings.iter().map(|finding| format!("{}: {}", finding.sample.route(), said(finding))).collect();
    let what = match (route, tried.is_empty()) {
        (Some(route), true) => format!("the source has no request `{route}`"),
        (None, true) => "the source has no request that changes anything".to_owned(),
        _ => format!("none of the requests changed anything: {}", tried.join("; ")),
    };
    CliError::setup(anyhow::anyhow!(what)).hint(
        "a request that needs a log-in, or something that is there before, needs the request for that as well (`--curl` may be repeated)",
    )
}

/// The plan of an exploration: every request that was answered well, or could be if another one came first.
fn explored(looked: Looked, origin: Origin) -> Result<Plan, CliError> {
    let works = |finding: &&Finding| {
        !matches!(finding.kind, Kind::Failed(_)) || looked.findings.iter().any(|other| finding.may_need(other))
    };
    // The requests of an exploration stay as they are: what becomes of them is held against their serial runs.
    let as_it_is = |finding: &Finding| Finding { added: None, varied: None, ..finding.clone() };
    // But one that says what is known already changes nothing: another one says something else each time.
    let of_another = |finding: &Finding| {
        finding.varied.clone().map(|varied| Finding { added: Some(varied), varied: None, ..finding.clone() })
    };
    let both = |finding: &Finding| std::iter::once(as_it_is(finding)).chain(of_another(finding)).collect::<Vec<_>>();
    let findings: Vec<Finding> = looked.findings.iter().filter(works).flat_map(both).collect();
    if findings.iter().all(|finding| finding.kind == Kind::Nothing) {
        return Err(nothing_works(&looked.findings, None));
    }
    let left_out = left_out(looked.findings.iter().filter(|finding| !works(finding)));
    let findings = together(findings);
    let routes: Vec<String> = findings.iter().map(|finding| finding.sample.route()).collect();
    Ok(Plan { name: routes.join(", "), origin, login: looked.login, findings, custom: true, left_out })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::from_curl;
    use crate::init::Added;

    #[test]
    fn what_is_not_in_the_file_is_named_and_what_works_alone_may_take_its_place() {
        let of = |path: &str, kind: Kind| {
            let sample = crate::import::from_curl(&format!("curl -X POST http://app/{path}")).unwrap();
            Finding { kind, ..Finding::untried(sample) }
        };
        let (make, mut reserve) = (of("products", Kind::Unique(409)), of("products/p/reserve", Kind::Change));
        reserve.before = vec![crate::init::Prior::new(make.sample.clone(), None)];
        let (failed, reads) = (of("none", Kind::Failed("no".to_owned())), of("look", Kind::Nothing));
        assert_eq!(others(&[make.clone(), failed.clone(), reads], &make), None);
        let told = others(&[make.clone(), reserve.clone(), failed], &make).unwrap();
        assert!(told.contains("POST /products alone, not of POST /products/p/reserve; `onlyone explore`"), "{told}");
        let told = others(&[make.clone(), reserve, of("carts", Kind::Upsert)], &make).unwrap();
        assert!(told.contains("/reserve, POST /carts; `--route 'POST /carts'` takes another one; "), "{told}");
    }

    #[test]
    fn a_value_that_is_refused_for_its_form_is_told() {
        let untried = Finding::untried(from_curl("curl http://app/plates -d plate=ZH1234").unwrap());
        let refused = Finding { invalid: Some(("plate".to_owned(), 422)), ..untried.clone() };
        assert!(said(&refused).contains("another value of `plate` was refused with 422"), "{}", said(&refused));
        assert_eq!(said(&untried), "changes nothing that can be seen");
    }

    #[test]
    fn what_logs_in_or_signs_up_is_tried_where_it_is_asked_for_or_alone() {
        let lines = [
            "curl http://app/register --json '{\"user\":\"ann\",\"password\":\"p\"}'",
            "curl http://app/login --json '{\"user\":\"ann\",\"password\":\"p\"}'",
            "curl -X POST http://app/things",
            "curl http://app/things",
        ];
        let samples = lines.map(|line| from_curl(line).unwrap());
        let login = Login::among(&samples).unwrap();
        let tried = |samples: &[Sample], route: Option<&str>, reads: bool| {
            let wanted = Wanted { samples, pins: &[], reads, route };
            let tried = samples.iter().filter(|sample| wanted.is_tried(sample, Some(&login)));
            tried.map(Sample::route).collect::<Vec<_>>()
        };
        assert_eq!(tried(&samples, None, false), ["POST /things"]);
        assert_eq!(tried(&samples, None, true), ["POST /things", "GET /things"]);
        assert_eq!(tried(&samples[..2], None, false), ["POST /register"]);
        for route in ["POST /register", "POST /login", "POST /things"] {
            assert_eq!(tried(&samples, Some(route), false), [route]);
        }
        assert_eq!(tried(&samples, Some("GET /things"), false), [""; 0]);
    }

    #[test]
    fn what_is_added_to_a_set_is_explored_as_it_was_typed_and_with_something_else_each_time() {
        let sample = from_curl("curl http://app/notes/n1/tags --json '{\"tag\":\"red\"}'").unwrap();
        let varied = Added { place: "tags".to_owned(), literal: "red".to_owned(), single: false };
        let finding = Finding { kind: Kind::CreateOrGet, varied: Some(varied), ..Finding::untried(sample) };
        let origin = Origin::Running { url: "http://app".to_owned(), database: None };
        let plan = explored(Looked { findings: vec![finding], login: None }, origin).unwrap();
        let text = scenario_text(&plan);
        let sent: Vec<&str> = text.lines().filter(|line| line.starts_with("json = ")).collect();
        assert_eq!(sent, ["json = { tag = \"red\" }", "json = { tag = \"e{{ op.id }}\" }"], "{text}");
    }

    #[test]
    fn two_lines_of_one_route_are_two_requests_and_two_of_a_recording_are_one() {
        let off =
            |who: &str| from_curl(&format!("curl http://app/rota/r1/off --json '{{\"who\":\"{who}\"}}'")).unwrap();
        let (ann, bob, again) = (off("ann"), off("bob"), off("ann"));
        let known = |reads: bool, sample: &Sample| {
            let wanted = Wanted { samples: &[], pins: &[], reads, route: None };
            wanted.is_known(sample, &[&ann])
        };
        assert!(!known(true, &bob) && known(true, &again));
        assert!(known(false, &bob) && known(false, &again));
    }
}
