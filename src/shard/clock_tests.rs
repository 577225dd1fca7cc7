//! Bounds of clocks against clocks whose difference is known at every moment.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::*;

/// A difference of clocks that drifts within the bound: a broken line through a few corners.
struct Truth {
    start: i64,
    /// Until when, and by how many millionths the difference grows until then.
    legs: Vec<(Nanos, i64)>,
}

impl Truth {
    fn random(random: &mut ChaCha8Rng, drift: i64) -> Self {
        let legs = (1..=5).map(|leg| (leg * 1_000_000_000, random.random_range(-drift..=drift))).collect();
        Truth { start: random.random_range(-1_000_000_000_000..1_000_000_000_000), legs }
    }

    fn at(&self, at: Nanos) -> i64 {
        let (mut difference, mut from) = (i128::from(self.start) * 1_000_000, 0);
        for (until, slope) in &self.legs {
            let there = at.min(*until).max(from);
            difference += i128::from(there - from) * i128::from(*slope);
            from = there;
        }
        i64::try_from(difference.div_euclid(1_000_000)).unwrap()
    }

    /// One round trip: it bounds the difference from both sides, by chance more from one.
    fn measured(&self, random: &mut ChaCha8Rng) -> Mark {
        let at_ns = random.random_range(0..5_000_000_000);
        let (before, after) = (random.random_range(0..900_000), random.random_range(1..900_000));
        Mark { at_ns, least_ns: self.at(at_ns) - before, most_ns: self.at(at_ns) + after }
    }
}

#[test]
fn the_true_difference_is_within_the_bounds_whatever_the_drift() {
    let mut random = ChaCha8Rng::seed_from_u64(17);
    for _ in 0..300 {
        let truth = Truth::random(&mut random, 200);
        let marks = (0..random.random_range(1..12)).map(|_| truth.measured(&mut random)).collect();
        let clock = Clock { reference: String::new(), drift_ppm: 201, marks };
        for _ in 0..50 {
            let at = random.random_range(0..5_000_000_000);
            let found = clock.difference(at).unwrap();
            let exact = truth.at(at);
            assert!(found.least <= exact && exact <= found.most, "{exact} is not in {found:?} at {at}: {clock:?}");
            // Every mark alone bounds it as well: the best of them is never lost.
            let narrowest = clock.marks.iter().map(|mark| {
                let drift = i64::try_from(mark.at_ns.abs_diff(at) * 201 / 1_000_000).unwrap() + 1;
                mark.most_ns - mark.least_ns + 2 * drift
            });
            assert!(found.most - found.least <= narrowest.min().unwrap(), "{found:?}");
        }
    }
}

#[test]
fn two_moments_are_told_apart_only_where_every_truth_has_them_in_that_order() {
    let mut random = ChaCha8Rng::seed_from_u64(71);
    let mut ordered = 0;
    for _ in 0..200 {
        let truths = [Truth::random(&mut random, 200), Truth::random(&mut random, 200)];
        let clocks = truths.each_ref().map(|truth| Clock {
            reference: String::new(),
            drift_ppm: 201,
            marks: (0..4).map(|_| truth.measured(&mut random)).collect(),
        });
        // Zeros as a merge chooses them.
        let origin = clocks.each_ref().map(|clock| clock.difference(0).unwrap().middle());
        let base = origin[0].min(origin[1]);
        let clocks = [0, 1].map(|one: usize| clocks[one].rebased(origin[one].abs_diff(base), origin[one]));
        for _ in 0..50 {
            let local = [0, 1].map(|_| random.random_range(0..5_000_000_000_u64));
            let exact = [0, 1].map(|one: usize| i128::from(local[one]) + i128::from(truths[one].at(local[one])));
            let merged = [0, 1].map(|one: usize| local[one] + origin[one].abs_diff(base));
            if clocks[0].latest(merged[0]) < clocks[1].earliest(merged[1]) {
                ordered += 1;
                assert!(exact[0] < exact[1], "{exact:?}");
            }
        }
    }
    assert!(ordered > 2_000, "hardly anything was told apart: {ordered}");
}

#[test]
fn marks_that_contradict_each_other_say_nothing() {
    let mark = |at_ns, least_ns, most_ns| Mark { at_ns, least_ns, most_ns };
    let clock = |marks| Clock { reference: String::new(), drift_ppm: 100, marks };
    let contradicting = clock(vec![mark(0, 0, 10), mark(1_000, 5_000, 5_010)]);
    assert_eq!(contradicting.difference(500), None);
    assert_eq!((contradicting.earliest(500), contradicting.latest(500)), (0, Nanos::MAX - 1));
    assert_eq!(clock(Vec::new()).difference(0), None);
    assert!(contradicting.contradicts_itself() && !clock(Vec::new()).contradicts_itself());
    // Far from both of them it does not show, and what is said there would be wrong.
    assert!(contradicting.difference(1_000_000_000).is_some());
    // Far enough apart, drift explains it.
    let apart = clock(vec![mark(0, 0, 10), mark(100_000_000, 5_000, 5_010)]);
    assert!(apart.difference(0).is_some() && !apart.contradicts_itself());
}

#[test]
fn a_difference_has_a_middle_and_a_width() {
    for (least, most, middle, uncertainty) in
        [(0, 0, 0, 0), (-5, 5, 0, 5), (-5, 6, 0, 6), (i64::MIN, i64::MAX, -1, 1 << 63)]
    {
        let difference = Difference { least, most };
        assert_eq!((difference.middle(), difference.uncertainty()), (middle, uncertainty));
    }
}
