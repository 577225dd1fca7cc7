//! Loads that change over time: when arrivals come of a rate that does, and when clients work of a number that does. Main
//! type: [`Arriving`].

use std::time::Duration;

use crate::scenario::StageSpan;

/// Sums of products of decimal fractions are a little off: as much more than a whole number of arrivals is none.
const ROUNDING: f64 = 1e-6;

/// A rate over time, as stages in each of which it changes in a straight line.
///
/// What is computed is the moment at which so many arrivals are due: where the integral of the rate reaches that number.
/// Whole numbers give evenly spaced arrivals; sums of exponential gaps give those of a Poisson process whose rate changes.
#[derive(Debug, Clone)]
pub(super) struct Arriving {
    stages: Vec<StageSpan>,
    /// Arrivals that are due before each stage, and in the end.
    due: Vec<f64>,
}

impl Arriving {
    /// Arrivals of these stages.
    pub(super) fn new(stages: Vec<StageSpan>) -> Self {
        let mut due = vec![0.0];
        for stage in &stages {
            due.push(due.last().copied().unwrap_or(0.0) + stage.arrivals());
        }
        Arriving { stages, due }
    }

    /// Arrivals of one rate.
    pub(super) fn constant(rate: f64, duration: Duration) -> Self {
        Arriving::new(vec![StageSpan { begin: Duration::ZERO, end: duration, from: rate, to: rate }])
    }

    /// When as many arrivals have been due and the next one is, since the load began, and in which stage; `None` where the
    /// stages end before.
    pub(super) fn moment(&self, arrivals: f64) -> Option<(Duration, usize)> {
        let all = self.due.last()?;
        if arrivals >= all - ROUNDING {
            return None;
        }
        // Stages of no time have the sum of the one before: the last that fits is the one with arrivals.
        let at = self.due.partition_point(|due| *due <= arrivals).checked_sub(1)?;
        let (stage, into) = (self.stages.get(at)?, (arrivals - self.due.get(at)?).max(0.0));
        // The area below a line from `from` on is `into`: the smaller root, in the form that loses no digits.
        let slope = (stage.to - stage.from) / stage.length_s();
        let root = (stage.from * stage.from + 2.0 * slope * into).max(0.0).sqrt();
        let divisor = stage.from + root;
        let offset = if divisor > 0.0 { 2.0 * into / divisor } else { 0.0 };
        let latest = stage.end.saturating_sub(Duration::from_nanos(1)).max(stage.begin);
        let moment = stage.begin + Duration::from_secs_f64(offset.min(stage.length_s()));
        Some((moment.min(latest), at))
    }

    /// How many stages there are.
    pub(super) fn stages(&self) -> usize {
        self.stages.len()
    }
}

/// The times in which the client at this position works, since the load began: from when the number of clients rises above its
/// position until it falls to it again.
pub(super) fn shifts(stages: &[StageSpan], client: u32) -> Vec<(Duration, Duration)> {
    let position = f64::from(client);
    let mut shifts: Vec<(Duration, Duration)> = Vec::new();
    let mut works_since = stages.first().filter(|first| first.from > position).map(|first| first.begin);
    for stage in stages {
        // Where a straight line reaches a value that lies between its ends.
        let reached = |value: f64| {
            let share = (value - stage.from) / (stage.to - stage.from);
            stage.begin + Duration::from_secs_f64(stage.length_s() * share.clamp(0.0, 1.0))
        };
        match works_since {
            None if stage.to > position => works_since = Some(reached(position + 1.0)),
            Some(since) if stage.to <= position => {
                shifts.push((since, reached(position)));
                works_since = None;
            }
            _ => {}
        }
    }
    shifts.extend(works_since.zip(stages.last()).map(|(since, last)| (since, last.end)));
    shifts.retain(|(begin, end)| begin < end);
    shifts
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::scenario::Stage;

    fn spans(start: f64, stages: &[(f64, u64)]) -> Vec<StageSpan> {
        let stage = |(target, ms): &(f64, u64)| Stage { target: *target, duration: Duration::from_millis(*ms) };
        StageSpan::all(start, &stages.iter().map(stage).collect::<Vec<_>>())
    }

    /// All moments of evenly spaced arrivals, in milliseconds, with their stages.
    fn moments(start: f64, stages: &[(f64, u64)]) -> Vec<(f64, usize)> {
        let arriving = Arriving::new(spans(start, stages));
        let moment = |number: u32| arriving.moment(f64::from(number));
        (0..).map_while(moment).map(|(at, stage)| (at.as_secs_f64() * 1e3, stage)).collect()
    }

    #[test]
    fn arrivals_of_a_ramp_are_where_the_integral_of_its_rate_is_a_whole_number() {
        // 0 to 10 a second in two seconds is ten: half of them would be there after 1.41 s.
        let up = moments(0.0, &[(10.0, 2_000)]);
        assert_eq!(up.len(), 10);
        for (number, (at, _)) in (0_u32..).zip(&up) {
            let expected = (f64::from(number) / 2.5).sqrt() * 1e3;
            assert!((at - expected).abs() < 1e-3, "{number}: {at} {expected}");
        }
        // Down again they come from the end, one later: the first is due at the beginning.
        let down = moments(10.0, &[(0.0, 2_000)]);
        assert_eq!((down.len(), down[0].0), (10, 0.0));
        assert!((down[9].0 - (2_000.0 - up[1].0)).abs() < 1e-3, "{down:?} {up:?}");
    }

    #[test]
    fn each_stage_has_as_many_arrivals_as_the_integral_of_its_rate() {
        // Ramp, plateau, jump, pause, end.
        let stages = [(100.0, 1_000), (100.0, 500), (400.0, 0), (400.0, 250), (0.0, 0), (0.0, 700), (40.0, 500)];
        let all = moments(0.0, &stages);
        let of = |stage| all.iter().filter(|(_, of)| *of == stage).count();
        assert_eq!((0..stages.len()).map(of).collect::<Vec<_>>(), [50, 50, 0, 100, 0, 0, 10]);
        let in_pause = |at: f64| (1_750.0..2_450.0 - 1e-3).contains(&at);
        assert!(!all.iter().any(|(at, _)| in_pause(*at)), "{all:?}");
        assert!(all.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{all:?}");
    }

    #[test]
    fn a_rate_that_stays_is_evenly_spaced() {
        let arriving = Arriving::constant(1_000.0, Duration::from_millis(200));
        let moments: Vec<Duration> = (0..).map_while(|number| Some(arriving.moment(f64::from(number))?.0)).collect();
        assert_eq!(moments.len(), 200);
        let expected = (0..200).map(Duration::from_millis);
        assert!(
            moments.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) < Duration::from_nanos(2))
        );
    }

    #[test]
    fn as_many_arrive_as_the_integral_of_the_rate_says_whatever_the_stages() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        for case in 0..500 {
            let start = f64::from(random.random_range(0..50_u32));
            let stage = |_| (f64::from(random.random_range(0..200_u32)), random.random_range(0..4_u64) * 125);
            let stages: Vec<(f64, u64)> = (0..5).map(stage).collect();
            let spans = spans(start, &stages);
            let arriving = Arriving::new(spans.clone());
            let integral: f64 = spans.iter().map(StageSpan::arrivals).sum();
            let all: Vec<(Duration, usize)> =
                (0_u32..).map_while(|number| arriving.moment(f64::from(number))).collect();
            // The first is due at the very beginning: a part of one more counts as one.
            assert!((all.len() as f64 - integral.ceil()).abs() < 1e-9, "case {case}: {} of {integral}", all.len());
            for (at, stage) in &all {
                assert_eq!(StageSpan::at(&spans, *at), *stage, "case {case}: {at:?} in {spans:?}");
            }
            assert!(all.windows(2).all(|pair| pair[0].0 <= pair[1].0), "case {case}");
        }
    }

    #[test]
    fn a_client_works_while_the_number_of_clients_is_above_its_position() {
        let seconds = |client, stages: &[(f64, u64)]| -> Vec<(f64, f64)> {
            let shifts = shifts(&spans(2.0, stages), client);
            shifts.iter().map(|(begin, end)| (begin.as_secs_f64(), end.as_secs_f64())).collect()
        };
        // 2, up to 6 in 4 s, stays 1 s, down to 2 in 2 s, and after a jump 5 for a second.
        let stages = [(6.0, 4_000), (6.0, 1_000), (2.0, 2_000), (5.0, 0), (5.0, 1_000)];
        assert_eq!(seconds(0, &stages), [(0.0, 8.0)]);
        assert_eq!(seconds(1, &stages), [(0.0, 8.0)]);
        assert_eq!(seconds(2, &stages), [(1.0, 7.0), (7.0, 8.0)]);
        assert_eq!(seconds(4, &stages), [(3.0, 6.0), (7.0, 8.0)]);
        assert_eq!(seconds(5, &stages), [(4.0, 5.5)]);
        assert_eq!(seconds(6, &stages), []);
    }

    #[test]
    fn all_shifts_together_last_as_long_as_there_are_clients() {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        for case in 0..200 {
            let stage = |_| (f64::from(random.random_range(0..12_u32)), random.random_range(0..4_u64) * 250);
            let stages: Vec<(f64, u64)> = (0..6).map(stage).collect();
            let spans = spans(0.0, &stages);
            let all = (0..12).flat_map(|client| shifts(&spans, client));
            let worked: f64 = all.map(|(begin, end)| (end - begin).as_secs_f64()).sum();
            let integral: f64 = spans.iter().map(StageSpan::arrivals).sum();
            // On the way up a client begins when the whole number is reached, on the way down it ends there: half a client
            // for as long as it takes.
            let between = |span: &StageSpan| {
                if span.to > span.from {
                    -0.5
                } else if span.to < span.from {
                    0.5
                } else {
                    0.0
                }
            };
            let expected: f64 = integral + spans.iter().map(|span| between(span) * span.length_s()).sum::<f64>();
            assert!((worked - expected).abs() < 1e-6, "case {case}: {worked} {expected} {stages:?}");
        }
    }
}
