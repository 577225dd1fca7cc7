//! The `onlyone` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(onlyone::cli::main().code())
}
