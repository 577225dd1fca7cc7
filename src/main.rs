//! The `onlyone` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(_) => return ExitCode::from(onlyone::verdict::ExitStatus::Setup.code()),
    };
    let status = runtime.block_on(onlyone::cli::main());
    // What still blocks a thread, such as the look-up of a name, is not waited for.
    runtime.shutdown_background();
    ExitCode::from(status.code())
}
