//! `onlyone compare`: is the new run slower or less correct, beyond noise?

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

use super::args::CompareArgs;
use super::baseline::{Baselines, trend};
use super::ci::Announcer;
use super::show::with_unwritten;
use super::values::Format;
use super::{CliError, Io};
use crate::assess::RunRecord;
use crate::report::{Comparison, Report, compared, comparison_summary, write_comparison};
use crate::session::store;
use crate::stats;
use crate::verdict::ExitStatus;

/// Keys of a scenario that change neither what is sent nor where it goes.
const FREE_KEYS: [&str; 3] = ["name", "expect", "target.mongo.database"];

/// Share of the processors from which on other processes disturb a run.
const DISTURBING: f64 = 0.1;

/// Compares two stored runs, keeps one as a baseline, or shows the runs of a scenario over time.
pub(super) fn compare(args: &CompareArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let baselines = Baselines { out: &args.out };
    match (args.runs.as_slice(), &args.baseline, &args.save_baseline) {
        ([run], None, Some(name)) => baselines.save(name, run, io),
        ([run], None, None) if args.trend => trend(run, args.format, io),
        ([new], Some(name), None) => two(args, &baselines.find(name, new)?, new, io),
        ([base, new], None, None) if !args.trend => two(args, base, new, io),
        ([_], ..) => Err(CliError::usage(anyhow::anyhow!("one run alone cannot be compared"))
            .hint("name the folder of the base before it, or a baseline: --baseline NAME")),
        _ => {
            Err(CliError::usage(anyhow::anyhow!("--baseline, --save-baseline and --trend take the folder of one run"))
                .hint("leave the first folder out"))
        }
    }
}

/// Compares two runs, and writes what came of it.
fn two(args: &CompareArgs, base_dir: &Path, new_dir: &Path, io: &mut Io) -> Result<ExitStatus, CliError> {
    let (base, new) = (read(base_dir)?, read(new_dir)?);
    let differences = differences(&base, &new)?;
    if !differences.is_empty() && !args.force {
        let text = format!("these runs cannot be compared:\n    {}", differences.join("\n    "));
        return Err(CliError::usage(anyhow::anyhow!(text))
            .hint("to compare them all the same, because this difference is what you want to know: --force"));
    }
    let disturbed = [&base, &new].iter().any(|stored| stored.report.generator.other_load > Some(DISTURBING));
    let latency = (store::read_latency(base_dir)?, store::read_latency(new_dir)?);
    let figures = stats::compare(&latency.0, &latency.1, args.threshold, disturbed);
    // Reports come from elsewhere, too: what one says of itself must not lead out of the folder.
    let runs = [&base.report, &new.report].map(|report| report.run_id.as_str());
    if let Some(id) = runs.into_iter().find(|id| !store::is_plain_name(id)) {
        let shown = id.escape_debug();
        return Err(CliError::usage(anyhow::anyhow!("a report names its run `{shown}`, which is no name of a run"))
            .hint("a name has letters, digits, `-`, `_` and `.`, and does not begin with `.`"));
    }
    let comparison = Comparison::new(&base.report, &new.report, args.threshold, differences, figures);
    let folder = args.out.join(format!("compare-{}-with-{}", new.report.run_id, base.report.run_id));
    let written = write(&folder, &comparison);
    let text = match args.format {
        Format::Human => {
            let told = compared(&comparison, io.out_colour, io.width);
            let files = if written.is_ok() { format!("\nFiles         {}\n", folder.display()) } else { String::new() };
            told + &files
        }
        Format::Json => serde_json::to_string_pretty(&comparison).map(|json| json + "\n").map_err(CliError::setup)?,
    };
    let shown = io.result(&text).context("cannot write to stdout").map_err(CliError::setup);
    Announcer::new(args.ci).summarise(&comparison_summary(&comparison), io);
    Ok(with_unwritten(comparison.status(), [written, shown], io))
}

fn write(folder: &Path, comparison: &Comparison) -> Result<(), CliError> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))
        .map_err(|error| CliError::setup(error).hint("choose a folder that can be written, with --out"))?;
    write_comparison(folder, comparison).map_err(CliError::setup)
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
