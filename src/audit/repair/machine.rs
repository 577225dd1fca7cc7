//! Which process on which machine: so that the end of a process can be seen at once by another one on the same machine.

use mongodb::bson::{Document, doc};

/// This process, as another one recognises it.
pub(super) fn process() -> Document {
    let pid = std::process::id();
    doc! { "host": host(), "machine": machine(), "pid": i64::from(pid), "started": started(pid) }
}

/// Whether the process lives; `None` where that cannot be seen from here. `held` is asked about this process itself.
pub(super) fn lives(process: &Document, held: impl FnOnce() -> bool) -> Option<bool> {
    let here = machine()?;
    if process.get_str("machine").ok() != Some(here.as_str()) {
        return None;
    }
    let pid = u32::try_from(process.get_i64("pid").ok()?).ok()?;
    let now = started(pid);
    let same = now.is_some() && now.as_deref() == process.get_str("started").ok();
    Some(same && (pid != std::process::id() || held()))
}

fn host() -> String {
    let read =
        std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::fs::read_to_string("/etc/hostname"));
    read.map(|name| name.trim().to_owned())
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "?".to_owned())
}

/// A start of the machine, and the space in which process numbers are counted.
fn machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), space.display()))
}

/// When a process was started, in ticks since the start of the machine. A number that was given again has another one.
/// A process that has ended and was not waited for yet does not live.
fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.nth(18).map(str::to_owned)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_process_on_this_machine_is_seen() {
        let own = process();
        assert_eq!(lives(&own, || true), Some(true));
        assert_eq!(lives(&own, || false), Some(false), "dropped within this process");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = doc! { "machine": machine(), "pid": i64::from(child.id()), "started": started(child.id()) };
        assert_eq!(lives(&other, || false), Some(true));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(lives(&other, || false), Some(false));
        let reused = doc! { "machine": machine(), "pid": i64::from(std::process::id()), "started": "1" };
        assert_eq!(lives(&reused, || true), Some(false), "its number was given again");
        let elsewhere = doc! { "machine": "another", "pid": 1_i64, "started": "1" };
        assert_eq!(lives(&elsewhere, || true), None);
    }
}
