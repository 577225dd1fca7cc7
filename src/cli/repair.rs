//! `onlyone repair`: plans by default, applies with `--apply`, and `restore` undoes.

use std::fmt::Write;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::database::{AllowArgs, DatabaseArgs, Opened, OutArgs, ReadArgs, Session};
use super::interrupt::Interrupt;
use super::progress::{Counted, Extent, ProgressLine};
use super::show::with_unwritten;
use super::values::Format;
use super::{CliError, Io};
use crate::audit::{RepairOptions, apply, backups, plan, restore_watched};
use crate::report::RepairAction;
use crate::verdict::ExitStatus;

/// `onlyone repair`.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// `restore ID` undoes the repair of this run id or backup collection; what changed since stays
    #[arg(value_names = ["restore", "ID"], num_args = 0..=2)]
    pub restore: Vec<String>,
    /// The database and the profile
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// How to read
    #[command(flatten)]
    pub read: ReadArgs,
    /// Where reports go
    #[command(flatten)]
    pub out: OutArgs,
    /// Do it; without this flag nothing is written
    #[arg(long)]
    pub apply: bool,
    /// Do not merge documents that differ in a field that no rule of the profile names
    #[arg(long)]
    pub strict: bool,
    /// Create the indexes that make references fast to find, where they are missing; `restore` drops them again
    #[arg(long)]
    pub create_reference_indexes: bool,
    /// Documents a second at most
    #[arg(long, value_name = "DOCUMENTS")]
    pub rate: Option<f64>,
    /// What may be written to
    #[command(flatten)]
    pub allow: AllowArgs,
}

/// Actions printed one by one; the report has all of them.
const SHOWN: usize = 10;

/// Characters of an action that are printed.
const WIDTH: usize = 400;

/// Plans, applies or restores.
pub(super) async fn run(args: &RepairArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    match args.restore.as_slice() {
        [] => repair(args, io).await,
        [word, id] if word == "restore" => undo(args, id, io).await,
        words => Err(CliError::usage(anyhow::anyhow!("`repair {}` is not a command", words.join(" ")))
            .hint("`onlyone repair` plans, `onlyone repair --apply` applies, `onlyone repair restore ID` undoes")),
    }
}

async fn repair(args: &RepairArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    if args.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
        return Err(CliError::usage(anyhow::anyhow!("--rate must be a number above 0")));
    }
    let session = Session::begin(&args.out)?;
    if args.apply {
        // What is done must be told: before anything is, not when its report cannot be written.
        let out = &args.out.out;
        let tried = std::fs::create_dir_all(out).and_then(|()| tempfile::tempfile_in(out));
        tried.with_context(|| format!("cannot write reports to {}", out.display())).map_err(CliError::setup)?;
    }
    let opened = args.database.open(args.apply.then_some(&args.allow)).await?;
    let ended = carry_out(args, &session, &opened, io).await;
    opened.close().await;
    ended
}

async fn carry_out(args: &RepairArgs, session: &Session, opened: &Opened, io: &mut Io) -> Result<ExitStatus, CliError> {
    let options = RepairOptions {
        audit: args.read.options(),
        rate: args.rate,
        strict: args.strict,
        reference_indexes: args.create_reference_indexes,
        ..RepairOptions::default()
    };
    let progress = Arc::clone(&options.audit.progress);
    let collection = &opened.profile.collection;
    let mut reproduce = args.database.reproduce("repair");
    let interrupt = Interrupt::listen(|_| {})?;
    let work = async {
        if args.apply {
            let done = apply(&opened.database, &opened.profile, &options, &session.run_id).await?;
            let backup = done.backup.map(|backup| match done.resumed {
                true => format!("went on with a repair that was cut short; backup: `{backup}`"),
                false => format!("backup: `{backup}`"),
            });
            Ok((done.audited, done.actions, done.left, backup))
        } else {
            let plan = plan(&opened.database, &opened.profile, &options).await?;
            Ok((plan.audited.clone(), plan.actions(), plan.left, None))
        }
    };
    let line = ProgressLine::start(Counted::Work(progress), Extent::default(), io.err_terminal, false);
    let result = tokio::select! {
        () = interrupt.stop.cancelled() => None,
        result = work => Some(result),
    };
    drop(line);
    let Some(result) = result else {
        let begun = args.apply && backups(&opened.database).await.map_or(true, |backups| !backups.is_empty());
        io.note(match begun {
            true => "interrupted: run the same command again to go on, or `onlyone repair restore` to undo\n",
            false => "interrupted: nothing was written\n",
        });
        return Ok(ExitStatus::Interrupted);
    };
    let (audited, actions, left, backup) = result.map_err(|error| opened.error(error))?;
    let name = format!("repair of {collection} in {}", args.database.database);
    if args.apply {
        reproduce.push_str(" --apply");
    }
    if args.strict {
        reproduce.push_str(" --strict");
    }
    if args.create_reference_indexes {
        reproduce.push_str(" --create-reference-indexes");
    }
    let mut told = Ok(());
    if args.database.format == Format::Human {
        let text = listed(&actions, args.apply, left.is_empty(), backup.as_deref());
        told = io.result(&text).context("cannot write to stdout").map_err(CliError::setup);
    }
    let status =
        session.conclude(&audited, (name, reproduce), (Some(actions), left), (&args.out, args.database.format), io)?;
    Ok(with_unwritten(status, [told], io))
}

/// The actions to read. `all` if nothing is left besides them.
fn listed(actions: &[RepairAction], applied: bool, all: bool, backup: Option<&str>) -> String {
    let mut text = match (applied, actions.is_empty()) {
        (_, true) if all => "nothing to do\n".to_owned(),
        (true, true) => "nothing was repaired; why is said below\n".to_owned(),
        (false, true) => "nothing of what was found can be repaired; why is said below\n".to_owned(),
        (true, false) => "done:\n".to_owned(),
        (false, false) => "plan (nothing was written; --apply does it):\n".to_owned(),
    };
    for action in actions {
        let kind = serde_json::to_value(action.kind).unwrap_or_default();
        // Writing to a string does not fail.
        writeln!(text, "  {} {}", kind.as_str().unwrap_or_default(), action.count).ok();
        for detail in action.details.iter().take(SHOWN) {
            writeln!(text, "    {}", shortened(&detail.to_string())).ok();
        }
        if action.details.len() > SHOWN {
            writeln!(text, "    ... and {} more, in report.json", action.details.len() - SHOWN).ok();
        }
    }
    if let Some(backup) = backup {
        writeln!(text, "  {backup}").ok();
    }
    text
}

/// A detail that fits into a few lines.
fn shortened(detail: &str) -> String {
    match detail.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}... (in full in report.json)", &detail[..end]),
        None => detail.to_owned(),
    }
}

async fn undo(args: &RepairArgs, id: &str, io: &mut Io) -> Result<ExitStatus, CliError> {
    let opened = args.database.open(Some(&args.allow)).await?;
    let progress = Arc::default();
    let line = ProgressLine::start(Counted::Work(Arc::clone(&progress)), Extent::default(), io.err_terminal, false);
    let restored = restore_watched(&opened.database, id, &progress).await.map_err(|error| opened.error(error));
    drop(line);
    opened.close().await;
    let restored = restored?;
    let text = match args.database.format {
        Format::Json => json!({
            "restored": restored.restored, "untouched": restored.untouched,
            "index_dropped": restored.index_dropped, "left": restored.left, "proved": restored.proved,
            "changed": restored.changed, "backup_digest": restored.digests.0, "digest": restored.digests.1,
        })
        .to_string(),
        Format::Human => {
            let index = if restored.index_dropped { "; the indexes that the repair created were dropped" } else { "" };
            let mut text =
                format!("{} documents restored, {} were as before{index}", restored.restored, restored.untouched);
            let all = restored.proved + restored.changed.len() as u64;
            write!(text, "\nread again: {} of {all} documents are what the backup holds", restored.proved).ok();
            match &restored.digests {
                (Some(backup), now) if backup == now => write!(text, " (digest {now})").ok(),
                (Some(_), _) => None,
                (None, _) => write!(text, " (the repair did not end: its backup has no digest)").ok(),
            };
            for changed in &restored.changed {
                write!(text, "\nchanged since: {changed}").ok();
            }
            for left in &restored.left {
                write!(text, "\nleft: {left}").ok();
            }
            text
        }
    };
    let shown = io.result(&format!("{text}\n")).context("cannot write to stdout").map_err(CliError::setup);
    let status = if restored.left.is_empty() { ExitStatus::Holds } else { ExitStatus::Violated };
    Ok(with_unwritten(status, [shown], io))
}
