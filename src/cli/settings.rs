//! Options that nobody types each time: from the environment, and from the nearest `onlyone.toml`.
//!
//! What is typed comes first, then the environment, then the file, then the default. Options that ask for something dangerous are
//! typed or not given: see [`TYPED_ONLY`].

mod idle;
mod overruled;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};
use toml::de::{DeTable, DeValue};

use self::idle::typed_in_vain;
use self::overruled::{excludes, source, without_overruled};
use super::CliError;
use super::args::Cli;
use crate::scenario::nearest;

/// Name of the file.
const FILE: &str = "onlyone.toml";
/// The table of the profiles in it.
const PROFILES: &str = "profile";
/// Options that are said on each run, or not at all: they allow load on another machine, writes to a database, and files or
/// baselines to be replaced.
const TYPED_ONLY: [&str; 9] =
    ["allow-target", "allow-database", "apply", "force", "save", "save-baseline", "help", "version", "use"];
/// Such options of one command, whose name means something else in the others: there it is a folder.
const TYPED_ONLY_OF: [(&str, &str); 1] = [("export", "out")];
/// Options that mean the same in every command of [`SHARING`].
const SHARED: [&str; 11] =
    ["set", "seed", "out", "run-id", "format", "quiet", "ci", "live", "events", "otlp", "prometheus"];
/// Commands that share them.
const SHARING: [&str; 9] = ["run", "explore", "selftest", "audit", "repair", "check", "merge", "report", "compare"];

/// Why the arguments are of no use.
pub(super) enum Unusable {
    /// What clap says of them; help and version are among it.
    Usage(Box<clap::Error>),
    /// The file has a mistake, or an option was typed in vain.
    Mistake(CliError),
}

/// The program's commands, with an environment variable for each option.
pub(super) fn command() -> Command {
    let mut program = Cli::command();
    let names: Vec<String> = program.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        program = program.mut_subcommand(&name, |command| command.mut_args(|arg| with_variable(&name, arg)));
    }
    program
}

fn with_variable(command: &str, arg: Arg) -> Arg {
    let Some(option) = arg.get_long().filter(|_| arg.get_env().is_none()) else { return arg };
    if is_typed_only(command, option) {
        return arg;
    }
    let name = variable(command, option);
    let arg = match arg.get_action() {
        ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
        _ => arg,
    };
    arg.env(OsString::from(name)).hide_env_values(true)
}

/// `ONLYONE_SEED`, and `ONLYONE_EXPLORE_DEPTH` where only one command has the option.
fn variable(command: &str, option: &str) -> String {
    let own = if is_shared(command, option) { String::new() } else { format!("{command}_") };
    format!("onlyone_{own}{option}").replace('-', "_").to_uppercase()
}

fn is_typed_only(command: &str, option: &str) -> bool {
    TYPED_ONLY.contains(&option) || TYPED_ONLY_OF.contains(&(command, option))
}

fn is_shared(command: &str, option: &str) -> bool {
    SHARED.contains(&option) && SHARING.contains(&command)
}

/// Reads the arguments, and adds what the nearest `onlyone.toml` says; its path if it said something.
pub(super) fn parse(mut arguments: Vec<OsString>, folder: &Path) -> Result<(Cli, Option<PathBuf>), Unusable> {
    let usage = |error| Unusable::Usage(Box::new(error));
    let mut used = None;
    let typed = command().ignore_errors(true).try_get_matches_from(&arguments).ok();
    if let (Some(typed), Some(path)) = (&typed, find(folder)) {
        let added = added(typed, &path).map_err(Unusable::Mistake)?;
        if let Some((name, _)) = typed.subcommand()
            && let Some(at) = position_of(name, &arguments).map(|at| at + 1)
            && !added.is_empty()
        {
            arguments.splice(at..at, added.into_iter().map(OsString::from));
            used = Some(path);
        }
    } else if let Some(profile) = typed.as_ref().and_then(|typed| typed.get_one::<String>("use")) {
        let error = CliError::usage(anyhow::anyhow!("there is no {FILE} that could have a profile `{profile}`"));
        let hint = format!("write one, here or in a folder above, with a table `[{PROFILES}.{profile}]`");
        return Err(Unusable::Mistake(error.hint(hint)));
    }
    let matches = match command().try_get_matches_from(&arguments) {
        // To clap an option is given as soon as its variable is there.
        Err(error) if error.kind() == ErrorKind::ArgumentConflict => {
            without_overruled(command(), typed.as_ref()).try_get_matches_from(&arguments)
        }
        parsed => parsed,
    };
    let matches = matches.map_err(usage)?;
    if let Some(error) = typed.as_ref().and_then(|typed| typed_in_vain(typed, &matches)) {
        return Err(Unusable::Mistake(error));
    }
    Ok((Cli::from_arg_matches(&matches).map_err(usage)?, used))
}

/// Where a command stands among the arguments; the name of a profile may be the same.
fn position_of(command: &str, arguments: &[OsString]) -> Option<usize> {
    let is_value = |at: usize| arguments.get(at - 1).is_some_and(|word| word == "--use");
    (1..arguments.len()).find(|at| arguments[*at] == command && !is_value(*at))
}

/// The nearest `onlyone.toml`, from this folder upwards.
fn find(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|folder| folder.join(FILE)).find(|path| path.is_file())
}

/// The options that the file adds to what was typed and to the environment.
fn added(typed: &ArgMatches, path: &Path) -> Result<Vec<String>, CliError> {
    let Some((name, matches)) = typed.subcommand() else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::usage(anyhow::Error::new(error).context(format!("cannot read {}", path.display())))
    })?;
    let file = Settings { path, text: &text };
    let table =
        DeTable::parse(&text).map_err(|error| file.wrong(error.span().unwrap_or_default().start, error.message()))?;
    let mut program = command();
    program.build();
    let options = file.options(table.get_ref(), &program, name, typed.get_one::<String>("use"))?;
    let Some(command) = program.find_subcommand(name) else { return Ok(Vec::new()) };
    let given = |arg: &Arg| matches!(source(matches, arg), Some(ValueSource::CommandLine | ValueSource::EnvVariable));
    let mut words = Vec::new();
    for (option, values) in options {
        let Some(arg) = command.get_arguments().find(|arg| arg.get_long() == Some(&option)) else { continue };
        let is_off = |arg: &Arg| {
            let flag = matches!(arg.get_action(), ArgAction::SetTrue);
            flag && matches.try_get_one::<bool>(arg.get_id().as_str()).ok().flatten() == Some(&false)
        };
        // What was typed comes first, also where the two exclude each other.
        let mut others = command.get_arguments().filter(|other| given(other) && !is_off(other));
        let is_excluded = others.any(|other| excludes(command, arg, other));
        if !given(arg) && !is_excluded {
            words.extend(as_typed(arg, &option, &values));
        }
    }
    Ok(words)
}

/// The option as it would be typed.
fn as_typed(arg: &Arg, option: &str, values: &[String]) -> Vec<String> {
    match arg.get_action() {
        ArgAction::SetTrue if values == ["true"] => vec![format!("--{option}")],
        ArgAction::SetTrue => Vec::new(),
        _ => values.iter().map(|value| format!("--{option}={value}")).collect(),
    }
}

/// The file.
struct Settings<'a> {
    path: &'a Path,
    text: &'a str,
}

type Options = Vec<(String, Vec<String>)>;

impl Settings<'_> {
    /// A mistake at this offset.
    fn wrong(&self, at: usize, what: &str) -> CliError {
        let line = self.text[..at.min(self.text.len())].matches('\n').count() + 1;
        CliError::usage(anyhow::anyhow!("{}:{line}: {what}", self.path.display()))
    }

    /// The options for a command: of the file, then of the profile, those of the command last.
    fn options(
        &self,
        table: &DeTable<'_>,
        program: &Command,
        command: &str,
        profile: Option<&String>,
    ) -> Result<Options, CliError> {
        let mut options = self.layer(table, program, command, true)?;
        let profiles = table.iter().find(|(key, _)| key.get_ref() == PROFILES).map(|(_, value)| value.get_ref());
        let profiles: Vec<(&str, &DeValue<'_>)> = match profiles {
            Some(DeValue::Table(profiles)) => {
                profiles.iter().map(|(name, value)| (name.get_ref().as_ref(), value.get_ref())).collect()
            }
            _ => Vec::new(),
        };
        if let Some(wanted) = profile {
            let Some((_, DeValue::Table(chosen))) = profiles.iter().find(|(name, _)| name == wanted) else {
                let error = CliError::usage(anyhow::anyhow!("{} has no profile `{wanted}`", self.path.display()));
                let names: Vec<&str> = profiles.iter().map(|(name, _)| *name).collect();
                return Err(match (nearest(wanted, names.iter().copied()), names.is_empty()) {
                    (Some(near), _) => error.hint(format!("did you mean `{near}`?")),
                    (None, false) => error.hint(format!("there are {}", names.join(", "))),
                    (None, true) => error.hint(format!("add a table `[{PROFILES}.{wanted}]` to it")),
                });
            };
            for (option, values) in self.layer(chosen, program, command, false)? {
                put(&mut options, option, values);
            }
        }
        Ok(options)
    }

    /// The options of one table, and of the command's table in it.
    fn layer(&self, table: &DeTable<'_>, program: &Command, command: &str, top: bool) -> Result<Options, CliError> {
        let mut options = Options::new();
        let mut own = Options::new();
        for (key, value) in table.iter() {
            let name = key.get_ref().as_ref();
            match (value.get_ref(), program.find_subcommand(name)) {
                (DeValue::Table(_), None) if top && name == PROFILES => {}
                (DeValue::Table(inner), Some(of)) => {
                    for (key, value) in inner.iter() {
                        let known = self.known((name, key.get_ref()), key.span().start, of.get_arguments(), "")?;
                        let values = self.values(value.get_ref(), value.span().start, known)?;
                        if name == command {
                            put(&mut own, key.get_ref().to_string(), values);
                        }
                    }
                }
                (value_of, _) => {
                    let shared = program.get_subcommands().filter(|of| SHARING.contains(&of.get_name()));
                    let shared = shared
                        .flat_map(Command::get_arguments)
                        .filter(|arg| arg.get_long().is_some_and(|long| SHARED.contains(&long) || long == "mongo"));
                    let known =
                        self.known(("", name), key.span().start, shared, "; tables of commands such as `[explore]`")?;
                    let values = self.values(value_of, value.span().start, known)?;
                    if SHARING.contains(&command) {
                        put(&mut options, name.to_owned(), values);
                    }
                }
            }
        }
        own.into_iter().for_each(|(option, values)| put(&mut options, option, values));
        Ok(options)
    }

    /// The option of this name; one that must be typed, or is not there, is a mistake. `besides` names what else may be there.
    fn known<'c>(
        &self,
        (command, name): (&str, &str),
        at: usize,
        args: impl Iterator<Item = &'c Arg>,
        besides: &str,
    ) -> Result<&'c Arg, CliError> {
        if is_typed_only(command, name) {
            return Err(self.wrong(at, &format!("`{name}` cannot be set in a file")).hint(format!(
                "what allows load or writes elsewhere, or replaces files, is typed each time: --{name}"
            )));
        }
        let args: Vec<&Arg> =
            args.filter(|arg| arg.get_long().is_some_and(|long| !is_typed_only(command, long))).collect();
        if let Some(arg) = args.iter().find(|arg| arg.get_long() == Some(name)) {
            return Ok(arg);
        }
        let mut names: Vec<&str> = args.iter().filter_map(|arg| arg.get_long()).collect();
        names.sort_unstable();
        names.dedup();
        let error = self.wrong(at, &format!("unknown option `{name}`"));
        Err(match nearest(name, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("known here: {}{besides}", names.join(", "))),
        })
    }

    fn values(&self, value: &DeValue<'_>, at: usize, arg: &Arg) -> Result<Vec<String>, CliError> {
        let form =
            |what: &str| Err(self.wrong(at, what).hint("write text, a number, true or false, or a list of these"));
        let option = arg.get_long().unwrap_or_default();
        let values = match value {
            DeValue::Array(items) => {
                if !matches!(arg.get_action(), ArgAction::Append) {
                    return form(&format!("`{option}` takes one value, not a list"));
                }
                items.iter().map(|item| scalar(item.get_ref())).collect::<Option<Vec<_>>>()
            }
            value => scalar(value).map(|value| vec![value]),
        };
        match values {
            Some(values) if matches!(arg.get_action(), ArgAction::SetTrue) && !matches!(value, DeValue::Boolean(_)) => {
                form(&format!("`{option}` is true or false, not {}", values.join(", ")))
            }
            // Where the runs go is told from where the file is, whatever folder one is in.
            Some(values) if option == "out" => {
                let folder = self.path.parent().unwrap_or(Path::new(""));
                Ok(values.iter().map(|value| folder.join(value).display().to_string()).collect())
            }
            Some(values) => Ok(values),
            None => form(&format!("`{option}` has a value of a kind that no option takes")),
        }
    }
}

fn put(options: &mut Options, option: String, values: Vec<String>) {
    options.retain(|(known, _)| *known != option);
    options.push((option, values));
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(file: &str, words: &[&str]) -> Result<Cli, String> {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(folder.path().join(FILE), file).unwrap();
        let arguments = ["onlyone"].iter().chain(words).map(OsString::from).collect();
        match parse(arguments, &inner) {
            Ok((cli, _)) => Ok(cli),
            Err(Unusable::Usage(error)) => Err(error.to_string()),
            Err(Unusable::Mistake(error)) => Err(error.render(false)),
        }
    }

    fn run(file: &str, words: &[&str]) -> super::super::args::Common {
        match parsed(file, words).unwrap().command {
            super::super::args::Command::Run(args) => args.common,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_option_has_one_variable() {
        let mut program = command();
        program.build();
        let mut seen = 0;
        for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
            for arg in command.get_arguments() {
                let Some(option) = arg.get_long() else { continue };
                let typed_only = is_typed_only(command.get_name(), option);
                // A profile has its variable from where it is declared.
                let has_one = !typed_only || option == "use";
                assert_eq!(arg.get_env().is_some(), has_one, "{} --{option}", command.get_name());
                seen += 1;
            }
        }
        assert!(seen > 80, "{seen}");
        assert_eq!(variable("run", "run-id"), "ONLYONE_RUN_ID");
        assert_eq!(variable("explore", "max-time"), "ONLYONE_EXPLORE_MAX_TIME");
        assert_eq!(variable("export", "format"), "ONLYONE_EXPORT_FORMAT");
    }

    #[test]
    fn what_is_typed_comes_before_the_profile_and_that_before_the_file() {
        let file = "seed = 1\nquiet = true\n[run]\nset = ['a=1', 'b=2']\n[explore]\npairs = true\n\
                    [profile.ci]\nseed = 2\n[profile.ci.run]\nset = 'c=3'\n";
        let plain = run(file, &["run", "s.toml"]);
        assert_eq!((plain.seed, plain.quiet, plain.overrides), (Some(1), true, vec!["a=1".into(), "b=2".into()]));
        let of_profile = run(file, &["run", "s.toml", "--use", "ci"]);
        assert_eq!((of_profile.seed, of_profile.overrides), (Some(2), vec!["c=3".into()]));
        assert_eq!(run(file, &["--use", "ci", "run", "s.toml", "--seed", "3"]).seed, Some(3));
        // A profile may be called as a command is.
        let same = file.replace("profile.ci", "profile.run");
        assert_eq!(run(&same, &["--use", "run", "run", "s.toml"]).seed, Some(2));
        // An option that excludes one that was typed is left out, whichever of the two says so.
        assert!(parsed(file, &["explore", "s.toml", "--schedule", "1 2"]).is_ok());
        assert!(parsed("[explore]\nschedule = '1 2'", &["explore", "s.toml", "--twice"]).is_ok());
        // Whoever types where shards meet means one; a file may say it for those runs that have some.
        assert!(parsed("[run]\nmeet = 'x'", &["run", "s.toml"]).is_err(), "an alias is no name for the file");
        assert!(parsed("[run]\nrendezvous = 'x'\nshards-within = '1s'", &["run", "s.toml"]).is_ok());
        assert!(parsed("[run]\nshard = '0/2'", &["run", "s.toml", "--meet", "x"]).is_ok());
        // What other commands have is no concern of this one.
        assert!(parsed(file, &["schema", "report"]).is_ok());
    }

    #[test]
    fn mistakes_are_told_with_their_line_and_what_to_write() {
        let cases: [(&str, &[&str], &str); 13] = [
            ("\nsead = 1", &["run", "s"], "onlyone.toml:2: unknown option `sead`\n  hint: did you mean `seed`?"),
            ("[run]\nsearch = 'pct'", &["run", "s"], "onlyone.toml:2: unknown option `search`"),
            ("seed = [1]", &["run", "s"], "`seed` takes one value"),
            ("quiet = 'yes'", &["run", "s"], "`quiet` is true or false"),
            ("allow-target = 'x'", &["run", "s"], "--allow-target"),
            ("[explore]\nsave = 'x'", &["explore", "s"], "`save` cannot be set in a file"),
            ("[compare]\nsave-baseline = 'x'", &["compare", "r"], "`save-baseline` cannot be set in a file"),
            ("[export]\nout = 'x'", &["export", "r"], "`out` cannot be set in a file"),
            ("seed = ", &["run", "s"], "onlyone.toml:1:"),
            ("[profile.nightly]", &["run", "s", "--use", "nightli"], "did you mean `nightly`?"),
            ("seed = 'x'", &["run", "s"], "invalid value 'x' for '--seed"),
            ("quiet = true", &["run", "s", "--meet", "x"], "--rendezvous means nothing without --shard"),
            ("quiet = true", &["run", "s", "--shards-within", "1s"], "--shards-within means nothing without --shard"),
        ];
        for (file, words, expected) in cases {
            let error = parsed(file, words).map(|_| ()).unwrap_err();
            assert!(error.contains(expected), "{file}: {error}");
        }
    }
}
