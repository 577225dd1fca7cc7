//! `onlyone audit`: what is wrong with a database that exists.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::database::{DatabaseArgs, Opened, OutArgs, ReadArgs, Session};
use super::interrupt::Interrupt;
use super::progress::{Counted, Extent, ProgressLine};
use super::show::with_unwritten;
use super::values::{Format, parse_duration};
use super::{CliError, Io};
use crate::audit::{AuditOptions, Audited, audit};
use crate::report::FindingKind;
use crate::verdict::ExitStatus;

/// `onlyone audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The database and the profile
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// How to read
    #[command(flatten)]
    pub read: ReadArgs,
    /// Where reports go
    #[command(flatten)]
    pub out: OutArgs,
    /// Read from a secondary where there is one
    #[arg(long)]
    pub secondary: bool,
    /// Repeat it after this time until interrupted, and tell what changed
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1m", value_parser = parse_duration)]
    pub watch: Option<Duration>,
}

/// Audits once, or again and again.
pub(super) async fn run(args: &AuditArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    if args.watch.is_some_and(|every| every < Duration::from_millis(1)) {
        return Err(CliError::usage(anyhow::anyhow!("--watch must be a time of 1ms or more")));
    }
    let session = Session::begin(&args.out)?;
    let opened = args.database.open(None).await?;
    let ended = carry_out(args, &session, &opened, io).await;
    opened.close().await;
    ended
}

async fn carry_out(args: &AuditArgs, session: &Session, opened: &Opened, io: &mut Io) -> Result<ExitStatus, CliError> {
    let options = AuditOptions { secondary: args.secondary, ..args.read.options() };
    let interrupt = Interrupt::listen(|_| {})?;
    let line =
        ProgressLine::start(Counted::Work(Arc::clone(&options.progress)), Extent::default(), io.err_terminal, false);
    let audited = tokio::select! {
        () = interrupt.stop.cancelled() => return Ok(ExitStatus::Interrupted),
        audited = audit(&opened.database, &opened.profile, &options) => audited.map_err(|error| opened.error(error))?,
    };
    drop(line);
    let name = format!("audit of {} in {}", opened.profile.collection, args.database.database);
    let mut reproduce = args.database.reproduce("audit");
    if args.secondary {
        reproduce.push_str(" --secondary");
    }
    let status =
        session.conclude(&audited, (name, reproduce), (None, Vec::new()), (&args.out, args.database.format), io)?;
    match args.watch {
        Some(every) => watch(opened, &options, every, (audited, status), args.database.format, &interrupt, io).await,
        None => Ok(status),
    }
}

/// Repeats the audit until interrupted. The worst that was seen decides.
async fn watch(
    opened: &Opened,
    options: &AuditOptions,
    every: Duration,
    (mut last, mut status): (Audited, ExitStatus),
    format: Format,
    interrupt: &Interrupt,
    io: &mut Io,
) -> Result<ExitStatus, CliError> {
    loop {
        let next = async {
            tokio::time::sleep(every).await;
            audit(&opened.database, &opened.profile, options).await
        };
        let audited = tokio::select! {
            () = interrupt.stop.cancelled() => return Ok(ExitStatus::combine([status, ExitStatus::Interrupted])),
            // What was seen before is not masked by it.
            audited = next => match audited {
                Ok(audited) => audited,
                Err(error) => return Ok(with_unwritten(status, [Err(opened.error(error))], io)),
            },
        };
        let lines = changes(&last, &audited);
        if !lines.is_empty() {
            let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
            let text: String = lines.iter().map(|line| format!("{at} {line}\n")).collect();
            // Of the JSON result there is one object only; what follows it are messages.
            match format {
                Format::Human => {
                    if let Err(error) = io.result(&text).context("cannot write to stdout") {
                        return Ok(with_unwritten(status, [Err(CliError::setup(error))], io));
                    }
                }
                Format::Json => io.note(&text),
            }
        }
        status = ExitStatus::combine([status, crate::audit::status(audited.verdict())]);
        last = audited;
    }
}

/// One line for each kind whose count changed, and for the verdict.
fn changes(before: &Audited, after: &Audited) -> Vec<String> {
    let counts = |audited: &Audited| -> BTreeMap<FindingKind, u64> {
        FindingKind::ALL.into_iter().map(|kind| (kind, audited.count(kind))).collect()
    };
    let old = counts(before);
    let mut lines: Vec<String> = counts(after)
        .into_iter()
        .filter(|(kind, count)| old.get(kind) != Some(count))
        .map(|(kind, count)| format!("{kind}: {} -> {count}", old.get(&kind).copied().unwrap_or(0)))
        .collect();
    if before.verdict() != after.verdict() {
        lines.push(format!("verdict: {} -> {}", before.verdict(), after.verdict()));
    }
    lines
}
