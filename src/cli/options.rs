//! From the flags that run-like commands share to the options of a session.

use std::sync::Arc;

use super::args::Common;
use super::interrupt::{Interrupt, note};
use crate::session::{Log, MongoLocation, Options};
use crate::target::Guard;

/// What a session is told of the command line.
pub(super) fn options(common: &Common, interrupt: &Interrupt) -> Options {
    Options {
        mongo: MongoLocation::of(&common.mongo),
        out: common.out.clone(),
        guard: guard(common),
        overrides: common.overrides.clone(),
        log: log(common.quiet),
        interrupt: interrupt.clone(),
    }
}

/// What is allowed on this command.
pub(super) fn guard(common: &Common) -> Guard {
    Guard { hosts: common.allow_target.clone(), databases: common.allow_database.clone() }
}

/// Says on stderr what takes long, unless nothing is to be said.
pub(super) fn log(quiet: bool) -> Log {
    Arc::new(move |text| note(&format!("{text}\n"), quiet))
}
