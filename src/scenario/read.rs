//! From a path to a [`Scenario`]: file, text, TOML, `--set`, environment, serde, validation. Main function: [`load`].

use std::collections::BTreeSet;
use std::fs::{self, File as Handle};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

use super::diagnostic::{Diagnostics, Problem};
use super::environment::{self, Environment, Expansion};
use super::error::ScenarioError;
use super::file::File;
use super::model::Scenario;
use super::overrides;
use super::source::Sources;
use super::suggest;
use super::validate::{KnownStrategies, validate};

/// More than any scenario has; keeps a mistaken path (a log, a device) from filling the memory.
const LARGEST: u64 = 1024 * 1024;
/// TOML files that are something else.
const NO_SCENARIOS: [&str; 4] = ["Cargo.toml", "onlyone.toml", "pyproject.toml", "book.toml"];
/// Files named when the one asked for does not exist.
const NEAR: usize = 5;

/// Reads and validates a scenario file. `overrides` are the `key=value` of `--set`; `known` names the strategies.
pub fn load(
    path: &Path,
    overrides: &[String],
    environment: Environment<'_>,
    known: KnownStrategies<'_>,
) -> Result<Scenario, ScenarioError> {
    let bytes = read(path)?;
    match String::from_utf8(bytes) {
        Ok(text) => load_text(path, text, overrides, environment, known),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            // What is valid before the place keeps its offsets; the replacement character has three bytes.
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let problem = Problem::at(at..at + 3, "the file is not UTF-8").help("save it as UTF-8");
            Err(invalid(Sources::new(path.display().to_string(), text, &[]), vec![problem], &[]))
        }
    }
}

/// Reads and validates a scenario that is a text; `path` is its name in messages.
pub fn load_text(
    path: &Path,
    text: String,
    overrides: &[String],
    environment: Environment<'_>,
    known: KnownStrategies<'_>,
) -> Result<Scenario, ScenarioError> {
    let sources = Sources::new(path.display().to_string(), text, overrides);
    let mut expansions = Vec::new();
    parse(&sources, environment, &mut expansions)
        .and_then(|file| validate(file, path, &sources, &expansions, known))
        .map_err(|problems| invalid(sources, problems, &expansions))
}

/// What the file says; what the environment puts into it is noted in `expansions`.
fn parse(
    sources: &Sources,
    environment: Environment<'_>,
    expansions: &mut Vec<Expansion>,
) -> Result<File, Vec<Problem>> {
    let document = DeTable::parse(&sources.file().text).map_err(|error| vec![from_parser(&error)])?;
    let span = document.span();
    let mut table = document.into_inner();
    let mut problems = overrides::apply(&mut table, sources);
    problems.extend(environment::expand(&mut table, sources, environment, expansions));
    if !problems.is_empty() {
        return Err(problems);
    }
    let deserializer = toml::Deserializer::from(Spanned::new(span, table));
    File::deserialize(deserializer).map_err(|error| vec![from_serde(&error)])
}

/// The text is not TOML.
fn from_parser(error: &toml::de::Error) -> Problem {
    let message = error.message();
    let message = message.strip_suffix(", expected nothing").unwrap_or(message);
    let help = match message {
        text if text.contains("string values must be quoted") => "put text in quotes: `name = \"my service\"`",
        text if text.contains("unclosed table") => "close the heading: `[load.burst]`",
        text if text.contains("duplicate key") => "a key or a heading is written once: join the two, or remove one",
        text if text.contains("unclosed") || text.contains("invalid basic string") => {
            "close what was opened on this line: a quote, a bracket or a brace"
        }
        _ => "a line is a heading such as `[load.burst]`, or `key = value` with text in quotes",
    };
    Problem::at(error.span().unwrap_or(0..0), format!("not valid TOML: {message}")).help(help)
}

/// The text is TOML, but not of the right shape. Serde lists the known words in its message, in backticks after the wrong one:
/// they are read back from there, because it offers them in no other way. Any other message is shown as it is.
fn from_serde(error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(0..0);
    let message = error.message();
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match (message.strip_prefix("unknown field "), words.as_slice()) {
        (Some(_), [word, known @ ..]) => {
            let problem = Problem::unknown(span, "key", word, known.iter().copied());
            match stages_elsewhere(word, known) {
                Some(help) => problem.help(help),
                None => problem,
            }
        }
        _ if message == "integer number overflowed" => Problem::at(span, "the number is too large"),
        _ => Problem::at(span, message.replace("expected a sequence", "expected a list")),
    }
}

/// What to do about `stages` where they are no key: other tools have them there.
fn stages_elsewhere(word: &str, known: &[&str]) -> Option<&'static str> {
    let is_of = |key| known.contains(&key);
    match () {
        () if word != "stages" => None,
        () if is_of("rounds") => Some("bursts and waves have no stages: `[load.stages]` is a load of its own"),
        () if is_of("duration") && is_of("keys") => {
            Some("a load with stages is `[load.stages]`, with `clients` or a `rate` that change")
        }
        () if is_of("rate") && is_of("start") => Some(
            "write `clients = [{ target = 50, duration = \"30s\" }]` or `rate = [{ target = 1000, duration = \"30s\" }]`",
        ),
        () => None,
    }
}

fn invalid(sources: Sources, mut problems: Vec<Problem>, expansions: &[Expansion]) -> ScenarioError {
    for problem in &mut problems {
        environment::mask(problem, expansions);
    }
    ScenarioError::Invalid(Diagnostics::new(sources, problems))
}

fn read(path: &Path) -> Result<Vec<u8>, ScenarioError> {
    let unreadable = |source| ScenarioError::Unreadable { path: path.to_owned(), source };
    let handle = Handle::open(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => not_found(path),
        _ => unreadable(source),
    })?;
    let mut bytes = Vec::new();
    handle.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(ScenarioError::TooLarge { path: path.to_owned(), limit: LARGEST }),
        false => Ok(bytes),
    }
}

/// Scenario files beside a path that does not exist, or in `scenarios/` there, the most similar name first; of those in
/// `scenarios/` here, the ones that are likely to be meant.
fn not_found(path: &Path) -> ScenarioError {
    let parent = path.parent().unwrap_or(Path::new(""));
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let is_near = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        suggest::nearest(&name, [stem.as_ref()]).is_some()
    };
    let beside = [parent.to_owned(), parent.join("scenarios")];
    let beside = beside.iter().flat_map(|directory| toml_files(directory));
    let mut files: Vec<PathBuf> =
        beside.chain(toml_files(Path::new("scenarios")).into_iter().filter(is_near)).collect();
    // One file may be found by two paths.
    let mut seen = BTreeSet::new();
    files.retain(|path| seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    let likeness = |path: &Path| suggest::likeness(&name, &path.file_stem().unwrap_or_default().to_string_lossy());
    files.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)).then_with(|| a.cmp(b)));
    let all = files.len();
    files.truncate(NEAR);
    let meant = files.first().is_some_and(is_near);
    ScenarioError::NotFound { path: path.to_owned(), near: files, all, meant }
}

/// None where the directory cannot be listed: this is only a hint in another error.
fn toml_files(directory: &Path) -> Vec<PathBuf> {
    let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = fs::read_dir(listed) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .map(|entry| directory.join(entry.file_name()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .filter(|path| path.file_name().is_some_and(|name| !NO_SCENARIOS.iter().any(|other| name == *other)))
        .collect()
}
