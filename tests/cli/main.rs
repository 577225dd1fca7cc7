//! The real binary, end to end: exit codes, files, reports, secrets, interruptions, lost servers, full disks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod audit;
mod evidence;
mod exit_codes;
mod explain;
mod files;
mod harness;
mod indexes;
mod life;
mod limit;
mod live;
mod long;
mod merge;
mod moments;
mod reports;
mod shards;
mod trouble;
mod unmasked;
