//! What the log of a process says, for errors.

use std::path::Path;

/// The last lines of a log; what cannot be read is said in their place, because this goes into an error.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    match std::fs::read(log) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
        Err(error) => format!("(cannot read {}: {error})", log.display()),
    }
}
