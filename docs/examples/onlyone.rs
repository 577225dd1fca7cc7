//! A helper for `#[tokio::test]`: explores requests to your service, and fails with the interleaving that breaks it.
//!
//! Copy it into `tests/onlyone.rs`. It needs tokio with `process`, `rt` and `macros`, and `onlyone` on the path (or its
//! place in the variable ONLYONE).
//!
//! ```ignore
//! mod onlyone;
//!
//! #[tokio::test]
//! async fn one_chat_for_two_requests() {
//!     let request = "curl http://app/chats --json '{\"with\": \"bob\"}'";
//!     onlyone::explore(&[request], &["target/debug/my-service"]).await.unwrap();
//! }
//! ```

use std::env;
use std::process::Stdio;

use tokio::process::Command;

/// Explores `requests`, which are curl lines, on the service that `command` starts. The error is the proof.
pub async fn explore(requests: &[&str], command: &[&str]) -> Result<(), String> {
    let out = env::temp_dir().join(format!("onlyone-{}", std::process::id()));
    let program = env::var_os("ONLYONE").unwrap_or_else(|| "onlyone".into());
    let mut onlyone = Command::new(&program);
    onlyone.args(["explore", "--quiet", "--out"]).arg(&out);
    for request in requests {
        onlyone.args(["--curl", request]);
    }
    onlyone.arg("--").args(command).stdin(Stdio::null()).kill_on_drop(true);
    let done = onlyone.output().await.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let verdict = match done.status.code() {
        Some(0) => return Ok(()),
        Some(1) => "violated",
        Some(2) => "wrong usage",
        Some(3) => "inconclusive",
        Some(4) => "could not be set up",
        _ => "ended early",
    };
    let (shown, said) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    Err(format!("{verdict}\n{shown}{said}\nThe report is in {}", out.display()))
}
