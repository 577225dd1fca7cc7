//! `onlyone explore --curl … -- COMMAND`: requests and a command, no file. The requests are tried one after another, written
//! down as a scenario, and every pair of them is explored as if serial.

use anyhow::Context;

use super::sources::read;
use super::stage::{Stage, loaded};
use super::{Wanted, explored, look, tell, tell_left_out, write_scenario};
use crate::cli::args::ExploreArgs;
use crate::cli::explore::{Written, explore_scenario};
use crate::cli::values::Format;
use crate::cli::{CliError, Io};
use crate::init::scenario_text;
use crate::session::store::fresh_run_id;
use crate::target::Guard;
use crate::verdict::ExitStatus;

/// Explores every pair of the requests.
pub(in crate::cli) async fn explore_requests(args: ExploreArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let (sources, common) = (&args.sources, &args.common);
    let guard = Guard { hosts: common.allow_target.clone(), databases: common.allow_database.clone() };
    if sources.command.is_empty() {
        return Err(CliError::usage(anyhow::anyhow!("no command starts the service"))
            .hint("give it after `--`, as in: onlyone explore --curl 'curl …' -- node server.js"));
    }
    let imported = read(sources, &guard).await?;
    let pins = sources.pins(&imported.samples)?;
    tell(io, common.quiet, &imported.notes);
    let stage = Stage::start(sources, &imported.samples, &common.mongo, &guard, common.quiet).await?;
    let wanted = Wanted { samples: &imported.samples, pins: &pins, reads: !sources.curl.is_empty(), route: None };
    let looked = look(&stage, &wanted, io, common.quiet).await;
    let origin = stage.origin().await;
    let stopped = stage.stop(&guard).await;
    let (looked, origin) = (looked?, origin?);
    stopped?;
    let plan = explored(looked, origin)?;
    tell_left_out(&plan, io, common.quiet);
    let text = scenario_text(&plan);
    if let Some(path) = &args.save {
        write_scenario(path, &text)?;
    }
    let run_id = common.run_id.clone().unwrap_or_else(fresh_run_id);
    let scenario = loaded(&common.out.join(&run_id).join("scenario.toml"), &text, &common.overrides)?;
    let mut args = args.clone();
    args.common.run_id = Some(run_id);
    // What was typed is meant; of a recording or a description, what works is.
    let meant = if wanted.reads { plan.left_out } else { Vec::new() };
    let written = Written { text: text.clone(), left_out: meant };
    let status = explore_scenario(&args, scenario, Some(&written), io).await?;
    if common.format == Format::Human && !common.dry_run && args.telemetry.events.is_none() {
        let said = format!("\nThe scenario that does it again, scenario.toml in the run's folder:\n\n{text}");
        io.result(&said).context("cannot write to stdout").map_err(CliError::setup)?;
    }
    Ok(status)
}
