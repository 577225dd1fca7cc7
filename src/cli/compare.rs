//! `onlyone compare`: is the new run slower or less correct, beyond noise?

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

use super::args::CompareArgs;
use super::values::Format;
use super::{CliError, Io, store};
use crate::assess::RunRecord;
use crate::report::{Comparison, Report, compared};
use crate::stats;
use crate::verdict::ExitStatus;

/// Keys of a scenario that change neither what is sent nor where it goes.
const FREE_KEYS: [&str; 3] = ["name", "expect", "target.mongo.database"];

/// Share of the processors from which on other processes disturb a run.
const DISTURBING: f64 = 0.1;

/// Compares two stored runs. Nothing is written.
pub(super) fn compare(args: &CompareArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let (base, new) = (read(&args.base)?, read(&args.new)?);
    let differences = differences(&base, &new)?;
    if !differences.is_empty() && !args.force {
        let text = format!("these runs cannot be compared:\n    {}", differences.join("\n    "));
        return Err(CliError::usage(anyhow::anyhow!(text))
            .hint("to compare them all the same, because this difference is what you want to know: --force"));
    }
    let disturbed = [&base, &new].iter().any(|stored| stored.report.generator.other_load > Some(DISTURBING));
    let latency = (store::read_latency(&args.base)?, store::read_latency(&args.new)?);
    let figures = stats::compare(&latency.0, &latency.1, args.threshold, disturbed);
    let comparison = Comparison::new(&base.report, &new.report, args.threshold, differences, figures);
    let text = match args.format {
        Format::Human => compared(&comparison, io.out_colour, io.width),
        Format::Json => serde_json::to_string_pretty(&comparison).map(|json| json + "\n").map_err(CliError::setup)?,
    };
    io.result(&text).context("cannot write to stdout").map_err(CliError::setup)?;
    Ok(comparison.status())
}

struct Stored {
    record: RunRecord,
    report: Report,
}

fn read(directory: &Path) -> Result<Stored, CliError> {
    Ok(Stored { record: store::read_record(directory)?, report: store::read_report(directory)? })
}

/// What makes two runs incomparable.
fn differences(base: &Stored, new: &Stored) -> Result<Vec<String>, CliError> {
    let told = |value: Option<&String>| value.map_or("absent".to_owned(), Clone::clone);
    let (keys, new_keys) = (keys(&base.record)?, keys(&new.record)?);
    let mut names: Vec<&String> = keys.keys().chain(new_keys.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let mut differences: Vec<String> = names
        .into_iter()
        .filter(|name| keys.get(*name) != new_keys.get(*name))
        .map(|name| {
            format!("{name}: {} in the base, {} in the new run", told(keys.get(name)), told(new_keys.get(name)))
        })
        .collect();
    let machine = |stored: &Stored| stored.report.machine.as_ref().map(ToString::to_string);
    let (old, other) = (machine(base), machine(new));
    if old != other {
        let told = |machine: Option<String>| machine.unwrap_or_else(|| "not recorded".to_owned());
        differences.push(format!("machine: {} in the base, {} in the new run", told(old), told(other)));
    }
    Ok(differences)
}

/// The keys of the resolved scenario that say what is sent and where it goes, dotted.
fn keys(record: &RunRecord) -> Result<BTreeMap<String, String>, CliError> {
    let table: toml::Table = toml::from_str(&record.scenario)
        .with_context(|| format!("the scenario stored with run {} cannot be read", record.run_id))
        .map_err(CliError::usage)?;
    let mut keys = BTreeMap::new();
    flatten("", &table, &mut keys);
    let free = |name: &str| {
        FREE_KEYS.iter().any(|key| name == *key || name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
    };
    keys.retain(|name, _| !free(name));
    Ok(keys)
}

fn flatten(prefix: &str, table: &toml::Table, keys: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let name = format!("{prefix}{name}");
        match value {
            toml::Value::Table(inner) => flatten(&format!("{name}."), inner, keys),
            value => {
                keys.insert(name, value.to_string());
            }
        }
    }
}
