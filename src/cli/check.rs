//! `onlyone check`: judges a stored run again, as a whole or one part of its keys.

use std::path::Path;

use anyhow::Context;

use super::args::CheckArgs;
use super::show::{show, with_unwritten};
use super::{CliError, Io};
use crate::assess::status_of;
use crate::history::KeyPart;
use crate::session::{judge_again_within, parts};
use crate::verdict::ExitStatus;

/// Reads the stored run and judges it by the same code that judged it first. Nothing is left but the file of a part.
pub(super) fn check(args: &CheckArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    if let Some(part) = args.part {
        return check_part(&args.run_dir, part, &args.out, io);
    }
    let (report, ..) = judge_again_within(&args.run_dir, args.memory)?;
    let shown = show(&report, Some(&args.run_dir.display().to_string()), args.format, io);
    Ok(with_unwritten(status_of(&report), [shown], io))
}

/// Judges one part and names its file. What follows is said when all parts are there.
fn check_part(run_dir: &Path, part: KeyPart, out: &Path, io: &mut Io) -> Result<ExitStatus, CliError> {
    let path = parts::write(&parts::judge_part(run_dir, part)?, out)?;
    io.result(&format!("{}\n", path.display())).context("cannot write to stdout").map_err(CliError::setup)?;
    Ok(ExitStatus::Holds)
}
