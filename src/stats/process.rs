//! What the run cost this process, and what others took of the machine meanwhile, as the operating system counts it.

use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::Generator;

/// Linux shows processor time in hundredths of a second, whatever the kernel's own tick is.
const TICKS_PER_S: f64 = 100.0;

/// The operating system does not tell what the process used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the resource usage of this process")]
pub struct UsageError(#[from] nix::Error);

/// Measures a run, from its start to its end.
#[derive(Debug)]
pub struct Meter {
    /// When it was started; nothing for all of the process's life.
    since: Option<Instant>,
    own_s: f64,
    children_s: f64,
    machine: Option<Ticks>,
}

/// Processor time of the whole machine.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ticks {
    busy_s: f64,
    all_s: f64,
}

/// To six decimals: a figure that is stored is read back as the same one, whatever parses it.
fn micro(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// What this process used since it was started.
pub fn usage() -> Result<Generator, UsageError> {
    Meter { since: None, own_s: 0.0, children_s: 0.0, machine: None }.stop(true)
}

impl Meter {
    /// Starts to measure.
    pub fn start() -> Result<Self, UsageError> {
        let (own_s, children_s) = (cpu_s(UsageWho::RUSAGE_SELF)?, cpu_s(UsageWho::RUSAGE_CHILDREN)?);
        Ok(Meter { since: Some(Instant::now()), own_s, children_s, machine: ticks() })
    }

    /// What was used since the start. Servers that this process started count when they have ended; where the run went to
    /// a server of someone else (`foreign`), its share cannot be told from that of others. `dropped_arrivals` is left at 0.
    pub fn stop(&self, foreign: bool) -> Result<Generator, UsageError> {
        let own_s = cpu_s(UsageWho::RUSAGE_SELF)? - self.own_s;
        let ours = own_s + cpu_s(UsageWho::RUSAGE_CHILDREN)? - self.children_s;
        let passed = |start: Ticks, end: Ticks| (end.busy_s - start.busy_s, end.all_s - start.all_s);
        let machine = self.machine.zip(ticks()).map(|(start, end)| passed(start, end)).filter(|(_, all)| *all > 0.0);
        let share = |of: f64, all: f64| micro((of / all).clamp(0.0, 1.0));
        let other_load = machine.filter(|_| !foreign).map(|(busy, all)| share(busy - ours, all));
        // Linux counts in KiB, macOS in bytes.
        let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
        let max_rss = getrusage(UsageWho::RUSAGE_SELF)?.max_rss();
        Ok(Generator {
            cpu_s: micro(own_s),
            max_rss_bytes: u64::try_from(max_rss).unwrap_or(0) * unit,
            dropped_arrivals: 0,
            other_load,
            cpu_share: self.since.and_then(|since| {
                let processors = std::thread::available_parallelism().ok()?;
                taken(own_s, since.elapsed().as_secs_f64(), processors.get())
            }),
            machine_busy: machine.map(|(busy, all)| share(busy, all)),
        })
    }
}

/// The share of so many processors that was taken in this time.
fn taken(own_s: f64, elapsed_s: f64, processors: usize) -> Option<f64> {
    let all = elapsed_s * processors as f64;
    (all > 0.0).then(|| micro((own_s / all).clamp(0.0, 1.0)))
}

fn cpu_s(who: UsageWho) -> Result<f64, UsageError> {
    let usage = getrusage(who)?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6)
}

fn ticks() -> Option<Ticks> {
    parse_ticks(&std::fs::read_to_string("/proc/stat").ok()?)
}

/// `cpu  user nice system idle iowait irq softirq steal …`: what is neither idle nor waiting is busy, and so is what a
/// hypervisor took away.
fn parse_ticks(text: &str) -> Option<Ticks> {
    let numbers = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
    let numbers: Vec<f64> = numbers.map(|number| number.parse::<f64>().ok()).collect::<Option<_>>()?;
    let all: f64 = numbers.iter().sum();
    let idle = numbers.get(3)? + numbers.get(4)?;
    Some(Ticks { busy_s: (all - idle) / TICKS_PER_S, all_s: all / TICKS_PER_S })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_memory_and_time_only_of_its_own() {
        let meter = Meter::start().unwrap();
        let usage = meter.stop(false).unwrap();
        assert!(usage.max_rss_bytes > 1 << 20, "{usage:?}");
        assert!(usage.cpu_s >= 0.0 && usage.other_load.is_none_or(|share| (0.0..=1.0).contains(&share)), "{usage:?}");
        assert_eq!(meter.stop(true).unwrap().other_load, None);
    }

    #[test]
    fn a_process_that_may_use_one_processor_of_several_can_have_none_left() {
        assert_eq!(taken(0.95, 1.0, 1), Some(0.95));
        assert_eq!(taken(0.95, 1.0, 2), Some(0.475));
        assert_eq!((taken(2.5, 1.0, 2), taken(0.0, 0.0, 2)), (Some(1.0), None));
        let share = Meter::start().unwrap().stop(false).unwrap().cpu_share;
        assert!(share.is_none_or(|share| (0.0..=1.0).contains(&share)), "{share:?}");
    }

    #[test]
    fn time_of_the_machine_is_read() {
        let text = "cpu  100 0 50 800 50 0 0 0 7 0\ncpu0 1 1 1 1\n";
        assert_eq!(parse_ticks(text), Some(Ticks { busy_s: 1.5, all_s: 10.0 }));
        for bad in ["", "cpu0 1 2 3 4 5", "cpu  1 2 x 4 5"] {
            assert_eq!(parse_ticks(bad), None, "{bad}");
        }
    }
}
