//! What the run cost this process, as the operating system counts it.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::report::Generator;

/// The operating system does not tell what the process used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the resource usage of this process")]
pub struct UsageError(#[from] nix::Error);

/// Processor time and largest resident memory of this process so far; `dropped_arrivals` is left at 0.
pub fn usage() -> Result<Generator, UsageError> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let cpu_us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    let max_rss_bytes = u64::try_from(usage.max_rss()).unwrap_or(0) * unit;
    Ok(Generator { cpu_s: cpu_us as f64 / 1e6, max_rss_bytes, dropped_arrivals: 0 })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_uses_memory() {
        let usage = super::usage().unwrap();
        assert!(usage.max_rss_bytes > 1 << 20, "{usage:?}");
        assert!(usage.cpu_s >= 0.0);
    }
}
