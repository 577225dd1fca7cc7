//! The command line: arguments in, results and errors out. The only room that prints.

mod args;
mod audit;
mod baseline;
mod check;
mod ci;
mod compare;
mod database;
mod explain;
mod explore;
mod export;
mod following;
mod init;
mod interrupt;
mod io;
mod limit;
mod manifest;
mod merge;
mod meta;
pub mod mongod;
mod options;
mod probe;
mod progress;
mod repair;
mod report;
mod run;
mod seed;
mod selftest;
mod serve;
mod settings;
mod several;
mod shards;
mod show;
mod telemetry;
mod values;

/// The one error that users see.
pub use crate::session::SessionError as CliError;
pub use args::Cli;
pub use io::Io;

use crate::verdict::ExitStatus;
use args::Command;

/// Parses the arguments of this process and carries them out, on a runtime of its own.
///
/// Not `async`: a future is compiled where it is polled, so that every command would be compiled with the binary, after the
/// library and on one core.
pub fn main() -> ExitStatus {
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else {
        return ExitStatus::Setup;
    };
    let status = runtime.block_on(of_process());
    // What still blocks a thread, such as the look-up of a name, is not waited for.
    runtime.shutdown_background();
    status
}

/// Carries out the command that this process was started with.
async fn of_process() -> ExitStatus {
    let mut io = Io::of_process();
    let folder = std::env::current_dir().unwrap_or_default();
    let cli = match settings::parse(std::env::args_os().collect(), &folder) {
        Ok((cli, used)) => {
            // Runs say what they were told by a file; other commands only print what was asked for.
            if let (Some(path), Command::Run(_) | Command::Explore(_)) = (used, &cli.command) {
                io.note(&format!("settings: {}\n", path.display()));
            }
            cli
        }
        Err(settings::Unusable::Usage(error)) => return usage(&mut io, &error),
        Err(settings::Unusable::Mistake(error)) => {
            io.note(&error.render(io.err_colour));
            return error.status;
        }
    };
    match run(cli, &mut io).await {
        Ok(status) => status,
        Err(error) => {
            let text = error.render(io.err_colour);
            io.note(&text);
            error.status
        }
    }
}

/// Carries out a command.
pub async fn run(cli: Cli, io: &mut Io) -> Result<ExitStatus, CliError> {
    match cli.command {
        Command::Run(args) => run::run(args, io).await,
        Command::Explore(args) => explore::explore(*args, io).await,
        Command::Init(args) => init::init(args, io).await,
        Command::Selftest(args) => selftest::selftest(args, io).await,
        Command::Check(args) => check::check(&args, io),
        Command::Manifest(args) => manifest::manifest(&args, io),
        Command::Merge(args) => merge::merge(&args, io),
        Command::Audit(args) => audit::run(&args, io).await,
        Command::Repair(args) => repair::run(&args, io).await,
        Command::Seed(args) => seed::run(&args, io).await,
        Command::Serve(args) => serve::serve(args, io).await,
        Command::Report(args) => report::report(&args, io),
        Command::Compare(args) => compare::compare(&args, io),
        Command::Export(args) => export::export(&args, io),
        Command::Explain(args) => explain::explain(&args, io),
        Command::Mongod(args) => mongod::foreground(&args, io).await,
        Command::Schema(args) => meta::schema(&args, io),
        Command::Completions(args) => meta::completions(&args, io),
        Command::Man(args) => meta::man(&args, io),
    }
}

/// Help and version are results; everything else that clap says is an error of usage.
fn usage(io: &mut Io, error: &clap::Error) -> ExitStatus {
    let colour = if error.use_stderr() { io.err_colour } else { io.out_colour };
    let text = if colour { error.render().ansi().to_string() } else { error.render().to_string() };
    if error.use_stderr() {
        io.note(&text);
        return ExitStatus::Usage;
    }
    match io.result(&text) {
        Ok(()) => ExitStatus::Holds,
        Err(_) => ExitStatus::Setup,
    }
}
