//! `onlyone run --find-limit`: runs a scenario at one rate after another, and tells between which of them its thresholds break.

use anyhow::Context;

use super::args::RunArgs;
use super::following::Following;
use super::show::with_unwritten;
use super::values::Format;
use super::{CliError, Io};
use crate::assess::{self, Limit};
use crate::report::{LIMIT_FORMAT_VERSION, LimitReport, LimitStep, limit_to_json, terminal_of_limit, write_atomic};
use crate::scenario::{Load, Metric, Scenario};
use crate::session::reproduce::reproduce;
use crate::session::store::{fresh_run_id, read_record};
use crate::session::{Concluded, LoadSession, Options};
use crate::stats::RateSearch;
use crate::verdict::{ExitStatus, Verdict};

/// The rate at which the search begins. Refuses what cannot be searched.
pub(super) fn first_rate(scenarios: &[Scenario]) -> Result<f64, CliError> {
    let usage = |message: String, hint: &str| Err(CliError::usage(anyhow::anyhow!(message)).hint(hint));
    let [scenario] = scenarios else {
        return usage(
            format!("a limit is that of one scenario, {} are named", scenarios.len()),
            "search for each on its own",
        );
    };
    let Load::Open { rate, .. } = scenario.load else {
        return usage(
            "only `[load.open]` has a rate whose limit can be searched for".to_owned(),
            "the search begins at `load.open.rate`; closed loads and bursts send as fast as they are answered, and stages change by themselves",
        );
    };
    if !scenario.expect.thresholds.iter().any(|threshold| threshold.metric != Metric::Throughput) {
        return usage(
            "there is no threshold that could break".to_owned(),
            "write some of latency or errors: `[expect]` with `thresholds = [\"create-or-get.p99 < 250ms\", \"error_rate < 1%\"]`",
        );
    }
    if !scenario.faults.is_empty() {
        return usage(
            "a search for a limit goes without `[[fault]]`".to_owned(),
            "what breaks on purpose would be taken for the limit: search in a scenario without faults",
        );
    }
    let expected = scenario.expect.verdict.iter().chain(scenario.expect.invariants.values());
    if expected.into_iter().any(|verdict| *verdict != Verdict::Holds) {
        return usage(
            "a scenario that expects a violation has no limit to be searched for".to_owned(),
            "leave that out of `[expect]`: the search ends where an invariant is violated",
        );
    }
    Ok(rate)
}

/// Searches, and tells what was found.
pub(super) async fn find_limit(
    args: &RunArgs,
    scenario: &Scenario,
    (options, seed, first): (&Options, u64, f64),
    io: &mut Io,
) -> Result<ExitStatus, CliError> {
    let name = args.common.run_id.clone().unwrap_or_else(fresh_run_id);
    let mut searching =
        Searching { args, scenario, options, seed, name, search: RateSearch::new(first), steps: Vec::new() };
    let interrupt = &options.interrupt;
    let mut unwritten = Vec::new();
    while let Some(rate) = searching.search.next().filter(|_| !interrupt.stop.is_cancelled()) {
        let ended = tokio::select! {
            biased;
            () = interrupt.kill.cancelled() => break,
            ended = searching.at(rate, io) => ended,
        };
        let ended = match ended {
            Err(error) if searching.steps.is_empty() => return Err(error),
            Err(error) => {
                // What was found before it is told all the same.
                unwritten.push(error);
                break;
            }
            Ok(ended) => ended,
        };
        let Some(concluded) = ended else { break };
        unwritten.extend(concluded.unwritten);
        if assess::ends_search(&concluded.report) {
            break;
        }
    }
    searching.tell(interrupt.stop.is_cancelled() || interrupt.kill.is_cancelled(), unwritten, io)
}

/// A search under way.
struct Searching<'a> {
    args: &'a RunArgs,
    scenario: &'a Scenario,
    options: &'a Options,
    seed: u64,
    name: String,
    search: RateSearch,
    steps: Vec<LimitStep>,
}

impl Searching<'_> {
    /// Runs the scenario at a rate, and notes what that showed; `None` if it was interrupted before it began.
    async fn at(&mut self, rate: f64, io: &mut Io) -> Result<Option<Concluded>, CliError> {
        let mut scenario = self.scenario.clone();
        if let Load::Open { rate: own, .. } = &mut scenario.load {
            *own = rate;
        }
        let mut options = self.options.clone();
        options.overrides.push(format!("load.open.rate={rate}"));
        if !self.args.common.quiet {
            io.note(&format!("run {}: {rate:.1} operations per second\n", self.steps.len() + 1));
        }
        let session = LoadSession {
            scenario: &scenario,
            options: &options,
            run_id: format!("{}-{}", self.name, self.steps.len() + 1),
            seed: self.seed,
            meeting: None,
            reproduce: reproduce(&scenario, &options, self.seed, None),
        };
        let mut following = Following::new(&scenario, None, io, self.args.common.quiet);
        let Some(concluded) = session.run(&mut following).await? else { return Ok(None) };
        let record = read_record(&concluded.directory)?;
        let step = assess::limit_step(rate, &concluded.report, record.aborted.or(record.observe_error));
        self.search.note(rate, step.found);
        self.steps.push(step);
        Ok(Some(concluded))
    }

    /// Writes and shows the result.
    fn tell(
        self,
        interrupted: bool,
        unwritten: Vec<crate::session::SessionError>,
        io: &mut Io,
    ) -> Result<ExitStatus, CliError> {
        let Limit { holds_at, breaks_at, limited_by, verdict, reasons, status } =
            assess::limit(&self.steps, &self.search, interrupted);
        let common = &self.args.common;
        let report = LimitReport {
            format_version: LIMIT_FORMAT_VERSION,
            tool: "onlyone".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: self.name.clone(),
            scenario: self.scenario.name.clone(),
            seed: self.seed,
            verdict,
            exit_code: status.code(),
            holds_at,
            breaks_at,
            limited_by,
            reasons,
            steps: self.steps,
            reproduce: format!("{} --find-limit", reproduce(self.scenario, self.options, self.seed, None)),
        };
        let json = limit_to_json(&report).map_err(CliError::setup)?;
        let path = common.out.join(format!("{}-limit.json", self.name));
        let written = std::fs::create_dir_all(&common.out)
            .with_context(|| format!("cannot create {}", common.out.display()))
            .map_err(CliError::setup)
            .and_then(|()| write_atomic(&path, &json).map_err(CliError::setup));
        let text = match common.format {
            Format::Human => terminal_of_limit(&report, io.out_colour, io.width, &path.display().to_string()),
            Format::Json => String::from_utf8(json).context("the result is not UTF-8").map_err(CliError::setup)?,
        };
        let shown = io.result(&text).context("cannot write to stdout").map_err(CliError::setup);
        Ok(with_unwritten(status, unwritten.into_iter().map(Err).chain([written, shown]), io))
    }
}
