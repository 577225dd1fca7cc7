//! Stages of a load: clients or a rate that change over time. Main types: [`Stage`], [`StageSpan`].

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use serde::Serialize;

use super::load::Load;

/// One stage: what is reached at its end, in a straight line from where the one before it ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stage<T> {
    /// What is reached.
    pub target: T,
    /// How long it takes; zero is a jump.
    #[serde(with = "friendly")]
    pub duration: Duration,
}

/// Where a stage lies in its load, and what it leads from and to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageSpan {
    /// When it begins, since the load began.
    pub begin: Duration,
    /// When the next one begins.
    pub end: Duration,
    /// Clients, or operations per second, at its beginning.
    pub from: f64,
    /// At its end.
    pub to: f64,
}

impl StageSpan {
    /// Stages, one after another.
    pub fn all<T: Copy + Into<f64>>(start: T, stages: &[Stage<T>]) -> Vec<StageSpan> {
        let (mut begin, mut from) = (Duration::ZERO, start.into());
        let mut next = |stage: &Stage<T>| {
            let span = StageSpan { begin, end: begin + stage.duration, from, to: stage.target.into() };
            (begin, from) = (span.end, span.to);
            span
        };
        stages.iter().map(&mut next).collect()
    }

    /// The one that a moment since the load began lies in; that of the end, or of anything later, is the last.
    pub fn at(spans: &[StageSpan], since: Duration) -> usize {
        let next = spans.iter().position(|span| since < span.end);
        next.unwrap_or_else(|| spans.len().saturating_sub(1))
    }

    /// Its length in seconds.
    pub fn length_s(&self) -> f64 {
        (self.end - self.begin).as_secs_f64()
    }

    /// Arrivals while it lasts, where it leads from one rate to another: the integral of the rate.
    pub fn arrivals(&self) -> f64 {
        f64::midpoint(self.from, self.to) * self.length_s()
    }
}

impl Load {
    /// The stages of a load that has some.
    pub fn stages(&self) -> Vec<StageSpan> {
        match self {
            Load::RampingClients { start, clients, .. } => StageSpan::all(*start, clients),
            Load::RampingRate { start, rate, .. } => StageSpan::all(*start, rate),
            Load::Burst { .. } | Load::Closed { .. } | Load::Open { .. } | Load::Waves { .. } => Vec::new(),
        }
    }

    /// How long a load goes on that ends by time.
    pub fn duration(&self) -> Option<Duration> {
        match self {
            Load::Closed { duration, .. } | Load::Open { duration, .. } => Some(*duration),
            Load::RampingClients { .. } | Load::RampingRate { .. } => self.stages().last().map(|last| last.end),
            Load::Burst { .. } | Load::Waves { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_follow_one_another_and_each_moment_lies_in_one() {
        let second = Duration::from_secs(1);
        let stage = |target, seconds| Stage { target, duration: seconds * second };
        let spans = StageSpan::all(2.0, &[stage(6.0, 10), stage(0.0, 0), stage(1.0, 5)]);
        let told = |span: &StageSpan| (span.begin.as_secs(), span.end.as_secs(), span.from, span.to, span.arrivals());
        let expected = [(0, 10, 2.0, 6.0, 40.0), (10, 10, 6.0, 0.0, 0.0), (10, 15, 0.0, 1.0, 2.5)];
        assert_eq!(spans.iter().map(told).collect::<Vec<_>>(), expected);
        // Nothing lies in a jump.
        let at = |ms| StageSpan::at(&spans, Duration::from_millis(ms));
        assert_eq!([0, 9_999, 10_000, 14_999, 15_000, 99_000].map(at), [0, 0, 2, 2, 2, 2]);
    }
}
