//! `onlyone check`: judges a stored run again.

use super::args::CheckArgs;
use super::show::{show, with_unwritten};
use super::{CliError, Io};
use crate::assess::status_of;
use crate::session::judge_again;
use crate::verdict::ExitStatus;

/// Reads the stored run and judges it by the same code that judged it first. Nothing is written.
pub(super) fn check(args: &CheckArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let (report, ..) = judge_again(&args.run_dir)?;
    let shown = show(&report, Some(&args.run_dir.display().to_string()), args.format, io);
    Ok(with_unwritten(status_of(&report), [shown], io))
}
