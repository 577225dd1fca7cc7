//! `onlyone manifest`: what an engine needs to start the shards of a run, and then the merge.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use minijinja::{AutoEscape, Environment, context};

use super::shards::fits;
use super::{CliError, Io};
use crate::scenario;
use crate::session::reproduce::quoted;
use crate::strategy;
use crate::verdict::ExitStatus;

const KUBERNETES: &str = include_str!("kubernetes.yaml");
const SLURM: &str = include_str!("slurm.sh");
/// Longest name of a Job whose pods, called after it, still have names of hosts.
const LONGEST_NAME: usize = 52;

/// `onlyone manifest`.
#[derive(Debug, Args)]
pub struct ManifestArgs {
    /// The engine
    #[arg(value_enum)]
    pub engine: Engine,
    /// Scenario file
    #[arg(value_name = "SCENARIO")]
    pub scenario: PathBuf,
    /// How many shards
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub shards: u32,
    /// Name of the job, and of the run; after the scenario's file when not given
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Kubernetes: the image
    #[arg(long, value_name = "IMAGE", default_value = "onlyone:latest")]
    pub image: String,
    /// Kubernetes: the secret that has the connection string, under the key `uri`
    #[arg(long, value_name = "NAME", default_value = "onlyone-mongo")]
    pub secret: String,
    /// Kubernetes: the claim of the volume that all pods write their reports to
    #[arg(long, value_name = "NAME", default_value = "onlyone-reports")]
    pub claim: String,
    /// Override a key of the scenario, as in `load.burst.clients=8`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Root of all randomness; drawn by the first shard when not given
    #[arg(long)]
    pub seed: Option<u64>,
    /// Allow load on this host: what the connection string names
    #[arg(long, value_name = "HOST")]
    pub allow_target: Vec<String>,
    /// Allow a database whose name does not begin with `onlyone_`
    #[arg(long, value_name = "NAME")]
    pub allow_database: Vec<String>,
}

/// What starts processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// An Indexed Job of Kubernetes.
    Kubernetes,
    /// A batch script of Slurm.
    Slurm,
}

/// Prints the manifest. The scenario is read first: one that shards would refuse is refused here.
pub(super) fn manifest(args: &ManifestArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    // Where the variables of the scenario are set is where it runs.
    let environment = |name: &str| Some(std::env::var(name).unwrap_or_else(|_| name.to_lowercase()));
    let scenario = scenario::load(&args.scenario, &args.overrides, &environment, &strategy::names)?;
    fits(&scenario, args.shards)?;
    let text = match args.engine {
        Engine::Kubernetes => kubernetes(args)?,
        Engine::Slurm => slurm(args)?,
    };
    io.result(&text).context("cannot write to stdout").map_err(CliError::setup)?;
    Ok(ExitStatus::Holds)
}

fn kubernetes(args: &ManifestArgs) -> Result<String, CliError> {
    let read =
        || std::fs::read_to_string(&args.scenario).with_context(|| format!("cannot read {}", args.scenario.display()));
    let scenario = read().map_err(CliError::usage)?;
    let name = name(args)?;
    let common: Vec<String> = common(args).collect();
    let mut run: Vec<String> =
        ["run", "/scenario/scenario.toml", "--shard", "auto", "--run-id", &name, "--out", "/reports"]
            .map(str::to_owned)
            .into();
    run.extend(["--shards-within".to_owned(), "5m".to_owned()]);
    run.extend(common);
    let mut merge: Vec<String> = ["merge", "--out", "/reports"].map(str::to_owned).into();
    merge.extend((0..args.shards).map(|index| format!("/reports/{name}.shard-{index}-of-{}", args.shards)));
    let lines = |words: &[String]| words.iter().map(|word| yaml(word)).collect::<Vec<_>>();
    render(
        KUBERNETES,
        context! {
            name => name,
            shards => args.shards,
            scenario => scenario.lines().map(str::to_owned).collect::<Vec<_>>(),
            image => yaml(&args.image),
            secret => yaml(&args.secret),
            claim => yaml(&args.claim),
            run => lines(&run),
            merge => lines(&merge),
        },
    )
}

fn slurm(args: &ManifestArgs) -> Result<String, CliError> {
    let more: Vec<String> = common(args).map(|word| quoted(&word)).collect();
    render(
        SLURM,
        context! {
            name => name(args)?,
            shards => args.shards,
            scenario => quoted(&args.scenario.display().to_string()),
            more => more.iter().map(|word| format!(" {word}")).collect::<String>(),
        },
    )
}

/// Options that are handed on.
fn common(args: &ManifestArgs) -> impl Iterator<Item = String> + use<'_> {
    let pairs = |option: &'static str, values: &'_ [String]| {
        values.iter().flat_map(move |value| [option.to_owned(), value.clone()]).collect::<Vec<_>>()
    };
    pairs("--set", &args.overrides)
        .into_iter()
        .chain(args.seed.iter().flat_map(|seed| ["--seed".to_owned(), seed.to_string()]))
        .chain(pairs("--allow-target", &args.allow_target))
        .chain(pairs("--allow-database", &args.allow_database))
}

/// Name of the run: as it was given, or after the scenario's file.
fn name(args: &ManifestArgs) -> Result<String, CliError> {
    let is_name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !name.is_empty()
            && name.len() <= LONGEST_NAME
            && name.bytes().all(plain)
            && !name.starts_with('-')
            && !name.ends_with('-')
    };
    match &args.name {
        Some(name) if is_name(name) => Ok(name.clone()),
        Some(name) => Err(CliError::usage(anyhow::anyhow!("`{name}` cannot be the name of a job")).hint(format!(
            "use up to {LONGEST_NAME} lower-case letters, digits and `-`, with none of these at its ends"
        ))),
        None => {
            let stem = args.scenario.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
            let slug: String = stem.chars().map(plain).take(LONGEST_NAME - "onlyone-".len()).collect();
            Ok(format!("onlyone-{}", slug.trim_matches('-')).trim_end_matches('-').to_owned())
        }
    }
}

/// A text as a value of YAML: what JSON is, YAML is as well.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn render(template: &str, values: minijinja::Value) -> Result<String, CliError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // A template's last line break is not its own.
    let text = environment.render_str(template, values).map_err(CliError::setup)?;
    Ok(format!("{}\n", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn args(engine: Engine, name: Option<&str>) -> ManifestArgs {
        ManifestArgs {
            engine,
            scenario: Path::new("scenarios/create-or-get.toml").to_owned(),
            shards: 3,
            name: name.map(str::to_owned),
            image: "registry/onlyone: 1".into(),
            secret: "mongo".into(),
            claim: "reports".into(),
            overrides: vec!["load.burst.rounds=5".into()],
            seed: Some(7),
            allow_target: vec!["db.example".into()],
            allow_database: Vec::new(),
        }
    }

    #[test]
    fn names_are_those_of_jobs() {
        let named = |given: Option<&str>| name(&args(Engine::Slurm, given));
        assert_eq!(named(None).unwrap(), "onlyone-create-or-get");
        assert_eq!(named(Some("nightly-1")).unwrap(), "nightly-1");
        for wrong in ["", "-a", "a-", "A", "a_b", &"a".repeat(53)] {
            assert!(named(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_manifest_has_every_option_and_each_shard_of_the_merge() {
        let job = kubernetes(&args(Engine::Kubernetes, Some("n"))).unwrap();
        for text in [
            "completions: 3\n",
            "image: \"registry/onlyone: 1\"",
            "- \"--allow-target\"\n",
            "- \"/reports/n.shard-2-of-3\"\n",
            "    workload = \"create-or-get\"\n",
            "- \"load.burst.rounds=5\"\n",
        ] {
            assert!(job.contains(text), "no {text} in {job}");
        }
        let script = slurm(&args(Engine::Slurm, Some("n"))).unwrap();
        assert!(script.contains("#SBATCH --ntasks=3\n"), "{script}");
        assert!(script.contains("scenarios/create-or-get.toml"), "{script}");
        assert!(script.contains(" --set load.burst.rounds=5 --seed 7 --allow-target db.example"), "{script}");
    }
}
