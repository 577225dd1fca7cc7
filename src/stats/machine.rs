//! The machine a run was made on, as far as its speed depends on it. Nothing that names or locates it.

use super::Machine;

/// What the operating system tells of this machine; what it does not tell is left out.
pub fn machine() -> Machine {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    Machine {
        system: std::env::consts::OS.to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        processors: std::thread::available_parallelism().map_or(0, |count| u32::try_from(count.get()).unwrap_or(0)),
        processor: field(&file("/proc/cpuinfo"), "model name"),
        memory_mib: field(&file("/proc/meminfo"), "MemTotal").and_then(|text| kibibytes(&text)).map(|kib| kib / 1024),
    }
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let values = text.lines().filter_map(|line| line.split_once(':'));
    values.into_iter().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

fn kibibytes(text: &str) -> Option<u64> {
    text.strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_processors() {
        let machine = machine();
        assert!(machine.processors > 0 && !machine.system.is_empty(), "{machine:?}");
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "MemTotalX: 1 kB\nMemTotal:       8046364 kB\nMemTotal: 2 kB\nno colon\n";
        assert_eq!(field(text, "MemTotal").and_then(|text| kibibytes(&text)), Some(8_046_364));
        assert_eq!(field(text, "model name"), None);
        assert_eq!(kibibytes("12 MB"), None);
    }
}
