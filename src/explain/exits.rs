//! What each exit code means.

use super::Text;
use crate::verdict::ExitStatus;

/// All exit codes, in their order.
pub(super) fn all() -> Vec<(u8, Text)> {
    (0..=u8::MAX).filter_map(|code| Some((code, of(ExitStatus::from_code(code)?)))).collect()
}

fn of(status: ExitStatus) -> Text {
    let (meaning, cause, fix) = match status {
        ExitStatus::Holds => ("Every invariant holds, or the scenario's expectation is met.", "", ""),
        ExitStatus::Violated => (
            "An invariant is violated, or another verdict was expected. Nothing that happens afterwards hides this code.",
            "A race, or a defect that shows without one: the report says which.",
            "Read the first witness in the report; it names the operations, the documents and the cause.",
        ),
        ExitStatus::Usage => (
            "The command line or the scenario is wrong. Nothing was sent.",
            "A misspelt key, an unknown variable, a schedule that does not fit.",
            "The error shows the place and the nearest name that exists.",
        ),
        ExitStatus::Inconclusive => (
            "Nothing, or too little, was checked to say either way. It is never green.",
            "No real overlap, too many unknown outcomes, a scenario that does not describe the service, a lost server.",
            "The report lists the reasons; each says what would settle it.",
        ),
        ExitStatus::Setup => (
            "The run could not be set up: the target is unreachable, there is no mongod, or the safety guard refused.",
            "A service that is not running, a wrong address, a host or database that was not allowed by name.",
            "The error ends with a hint: what to start, correct or allow.",
        ),
        ExitStatus::Threshold => (
            "A threshold is breached while every invariant holds. Of `compare`: the new run is slower.",
            "Latency, throughput or error rate beyond what the scenario allows.",
            "Look at the latency table; `onlyone compare` tells a real change from noise.",
        ),
        ExitStatus::Interrupted => {
            ("The run was interrupted. What was recorded was judged and reported as partial.", "Ctrl-C or SIGTERM.", "")
        }
    };
    Text { meaning, cause, fix }
}
