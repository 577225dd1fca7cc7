//! Exit codes: the contract with scripts and CI.

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Every invariant holds, or the scenario's expectation is met.
    Holds,
    /// An invariant is violated, or the expectation is not met.
    Violated,
    /// Wrong usage or scenario.
    Usage,
    /// Nothing, or too little, was checked.
    Inconclusive,
    /// The run could not be set up.
    Setup,
    /// A threshold is breached while the invariants hold.
    Threshold,
    /// Interrupted before the end.
    Interrupted,
}

impl ExitStatus {
    /// The code.
    pub const fn code(self) -> u8 {
        match self {
            ExitStatus::Holds => 0,
            ExitStatus::Violated => 1,
            ExitStatus::Usage => 2,
            ExitStatus::Inconclusive => 3,
            ExitStatus::Setup => 4,
            ExitStatus::Threshold => 5,
            ExitStatus::Interrupted => 130,
        }
    }

    /// The status with this code.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => ExitStatus::Holds,
            1 => ExitStatus::Violated,
            2 => ExitStatus::Usage,
            3 => ExitStatus::Inconclusive,
            4 => ExitStatus::Setup,
            5 => ExitStatus::Threshold,
            130 => ExitStatus::Interrupted,
            _ => return None,
        })
    }

    /// The status of several runs: a violation is never masked, and a run that could not be judged is never green.
    pub fn combine(statuses: impl IntoIterator<Item = ExitStatus>) -> Self {
        let rank = |status: &ExitStatus| match status {
            ExitStatus::Holds => 0,
            ExitStatus::Threshold => 1,
            ExitStatus::Inconclusive => 2,
            ExitStatus::Usage => 3,
            ExitStatus::Setup => 4,
            ExitStatus::Interrupted => 5,
            ExitStatus::Violated => 6,
        };
        statuses.into_iter().max_by_key(rank).unwrap_or(ExitStatus::Inconclusive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_never_masked() {
        use ExitStatus::{Holds, Inconclusive, Interrupted, Setup, Threshold, Violated};
        assert_eq!(ExitStatus::combine([Violated, Interrupted, Setup]), Violated);
        assert_eq!(ExitStatus::combine([Holds, Threshold]), Threshold);
        assert_eq!(ExitStatus::combine([Threshold, Inconclusive]), Inconclusive);
        assert_eq!(ExitStatus::combine([]), Inconclusive);
    }

    #[test]
    fn codes_map_back() {
        for code in 0..=255 {
            if let Some(status) = ExitStatus::from_code(code) {
                assert_eq!(status.code(), code);
            }
        }
    }
}
