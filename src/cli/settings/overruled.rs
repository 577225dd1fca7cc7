//! Options that exclude each other: what was typed comes before what a variable or the file says.

use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// The commands without the variables that exclude others and do not count: of flags that are `false` there, and of what
/// an option that was typed excludes.
pub(super) fn without_overruled(mut program: Command, typed: Option<&ArgMatches>) -> Command {
    let mut built = program.clone();
    built.build();
    let names: Vec<String> = program.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        let matches = typed.and_then(ArgMatches::subcommand).filter(|(of, _)| *of == name).map(|(_, matches)| matches);
        let overruled = |arg: &Arg| {
            let (Some(matches), Some(command)) = (matches, built.find_subcommand(&name)) else { return false };
            let mut typed =
                command.get_arguments().filter(|other| source(matches, other) == Some(ValueSource::CommandLine));
            typed.any(|other| other.get_id() != arg.get_id() && excludes(command, arg, other))
        };
        program = program.mut_subcommand(&name, |command| {
            command.mut_args(|arg| if is_false(&arg) || overruled(&arg) { arg.env(None::<&'static str>) } else { arg })
        });
    }
    program
}

/// Whether one of two options excludes the other; that may be said of either.
pub(super) fn excludes(command: &Command, one: &Arg, other: &Arg) -> bool {
    let named = |one: &Arg, other: &Arg| {
        let one = command.get_arguments().find(|arg| arg.get_id() == one.get_id());
        one.is_some_and(|one| command.get_arg_conflicts_with(one).iter().any(|named| named.get_id() == other.get_id()))
    };
    named(one, other) || named(other, one)
}

/// Where an option has its value from, if it has one.
pub(super) fn source(matches: &ArgMatches, arg: &Arg) -> Option<ValueSource> {
    let id = arg.get_id().as_str();
    matches.try_contains_id(id).ok().and_then(|_| matches.value_source(id))
}

/// Whether it is a flag whose variable says `false`.
fn is_false(arg: &Arg) -> bool {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return false;
    }
    let value = arg.get_env().and_then(std::env::var_os);
    // An argument that is not built cannot be named in an error.
    let parsed = value.map(|value| BoolishValueParser::new().parse_ref(&Command::default(), None, &value));
    matches!(parsed, Some(Ok(false)))
}
