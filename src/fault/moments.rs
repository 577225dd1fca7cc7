//! When faults happen: pure, and the same for the same seed.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::scenario::FaultSpec;

/// Streams of randomness from this one on belong to faults; those before to clients.
const FIRST_STREAM: u64 = 1 << 48;
/// Moments that a plan in words names at most.
const SHOWN: usize = 8;

/// When a fault happens, and whom of several it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Counted from the load's start.
    pub due: Duration,
    /// Chooses among those that it may meet.
    pub draw: u64,
}

/// The moments of a fault, which is that with this number in its scenario: one, or with `every` one after another without an
/// end. What comes again comes up to a tenth of `every` late, so that it does not keep step with the load.
pub fn moments(spec: &FaultSpec, number: usize, seed: u64) -> impl Iterator<Item = Moment> + use<> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(FIRST_STREAM + number as u64);
    let (at, every) = (spec.at, spec.every);
    let times = if every.is_some() { u32::MAX } else { 1 };
    (0..times).map(move |time| {
        let late = random.random::<f64>() / 10.0;
        let every = every.unwrap_or_default();
        let late = if time == 0 { Duration::ZERO } else { every.mul_f64(late) };
        Moment { due: at + every.saturating_mul(time) + late, draw: random.random() }
    })
}

/// Whether a moment comes too soon after the last fault was mended, which is counted from the load's start as well: while it
/// still goes on, or before half of the time that the scenario has between two faults. What a fault breaks may take longer to
/// come back than the scenario thinks, on a busy machine above all, and a load that is struck again before it has done anything
/// never comes to its end.
pub fn is_skipped(spec: &FaultSpec, due: Duration, mended: Option<Duration>) -> bool {
    let between = spec.every.unwrap_or_default().saturating_sub(spec.duration());
    mended.is_some_and(|mended| due < mended + between / 2)
}

/// One line for each fault: what it is, and when it happens in a load that ends after so long, if that is known.
pub fn plan_in_words(specs: &[FaultSpec], seed: u64, load: Option<Duration>) -> Vec<String> {
    let line = |(number, spec): (usize, &FaultSpec)| {
        let in_time = |moment: &Moment| load.is_none_or(|load| moment.due < load);
        let mut all = moments(spec, number, seed).take_while(in_time);
        let shown: Vec<String> = all.by_ref().take(SHOWN).map(|moment| in_seconds(moment.due)).collect();
        let more = if all.next().is_some() { ", and so on until the load ends" } else { "" };
        let lasts = spec.lasts.filter(|lasts| !lasts.is_zero());
        let lasts = lasts.map_or(String::new(), |lasts| format!(" for {}", in_seconds(lasts)));
        let shift = spec.shift().map_or(String::new(), |shift| format!(" by {shift}"));
        format!("{}{shift}{lasts} at {}{more}", spec.kind.as_str(), shown.join(", "))
    };
    specs.iter().enumerate().map(line).collect()
}

/// `2.5 s`
fn in_seconds(duration: Duration) -> String {
    let text = format!("{:.3}", duration.as_secs_f64());
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::LoadFault;

    fn spec(every: Option<u64>) -> FaultSpec {
        FaultSpec {
            kind: LoadFault::KillMongod,
            at: Duration::from_millis(500),
            every: every.map(Duration::from_millis),
            lasts: Some(Duration::ZERO),
            target: None,
            probability: None,
            delay: None,
            by: None,
            code: None,
            labels: Vec::new(),
            commands: Vec::new(),
            times: None,
        }
    }

    #[test]
    fn the_first_is_on_time_and_the_others_are_at_most_a_tenth_late() {
        let all: Vec<Moment> = moments(&spec(Some(1_000)), 0, 7).take(50).collect();
        assert_eq!(all[0].due, Duration::from_millis(500));
        for (time, moment) in (0_u64..).zip(&all).skip(1) {
            let planned = Duration::from_millis(500 + 1_000 * time);
            assert!(moment.due >= planned && moment.due < planned + Duration::from_millis(100), "{time}: {moment:?}");
        }
        assert!(all.windows(2).all(|pair| pair[0].due < pair[1].due));
        assert!(all.iter().any(|moment| moment.draw % 2 == 0) && all.iter().any(|moment| moment.draw % 2 == 1));
        assert_eq!(moments(&spec(None), 0, 7).count(), 1);
    }

    #[test]
    fn the_seed_decides_and_each_fault_has_a_course_of_its_own() {
        let of = |number, seed| moments(&spec(Some(1_000)), number, seed).take(9).collect::<Vec<_>>();
        assert_eq!(of(0, 7), of(0, 7));
        assert_ne!(of(0, 7), of(0, 8));
        assert_ne!(of(0, 7), of(1, 7));
    }

    #[test]
    fn what_takes_long_to_come_back_is_left_alone_for_a_while() {
        let spec = spec(Some(900));
        // Each time it takes five seconds to come back.
        let (mut mended, mut struck) = (None, Vec::new());
        for moment in moments(&spec, 0, 7).take(100) {
            if !is_skipped(&spec, moment.due, mended) {
                assert!(mended.is_none_or(|mended| moment.due >= mended + Duration::from_millis(450)), "{moment:?}");
                mended = Some(moment.due + Duration::from_secs(5));
                struck.push(moment.due);
            }
        }
        assert!(struck.len() > 10, "{struck:?}");
        // What comes back at once meets each of its moments.
        let at_once = |moment: &Moment| {
            is_skipped(&spec, moment.due, Some(moment.due.saturating_sub(Duration::from_millis(700))))
        };
        assert!(!moments(&spec, 0, 7).take(100).any(|moment| at_once(&moment)));
    }

    #[test]
    fn a_plan_names_its_moments_and_says_where_there_are_more() {
        let words = |every, load| plan_in_words(&[spec(every)], 7, load).remove(0);
        assert_eq!(words(None, None), "kill-mongod at 0.5 s");
        let clock = |seconds| FaultSpec {
            kind: LoadFault::Clock,
            by: Some(jiff::SignedDuration::from_secs(seconds)),
            ..spec(None)
        };
        assert_eq!(plan_in_words(&[clock(-300)], 7, None), ["clock by -5m at 0.5 s"]);
        assert_eq!(plan_in_words(&[clock(3600)], 7, None), ["clock by +1h at 0.5 s"]);
        let long = words(Some(1_000), None);
        assert!(long.starts_with("kill-mongod at 0.5 s, 1.5") && long.ends_with("until the load ends"), "{long}");
        let short = words(Some(1_000), Some(Duration::from_secs(3)));
        assert_eq!(short.matches(" s").count(), 3, "{short}");
    }
}
