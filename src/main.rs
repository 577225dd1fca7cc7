//! The `onlyone` command.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    ExitCode::from(onlyone::cli::main().await.code())
}
