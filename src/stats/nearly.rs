//! Moments that are nearly in order: [`sort`].

use crate::history::Nanos;

/// Moves for each moment after which another way is quicker.
const MOVES: usize = 4;

/// Sorts moments. Operations are in the order in which they were meant to be, so that those on some keys mostly began and ended in
/// this order, too: few have to be moved, and not far.
pub(super) fn sort(moments: &mut [Nanos]) {
    let mut left = MOVES * moments.len();
    for at in 1..moments.len() {
        let (moment, mut to) = (moments[at], at);
        while to > 0 && moments[to - 1] > moment {
            moments[to] = moments[to - 1];
            to -= 1;
            left = left.saturating_sub(1);
        }
        moments[to] = moment;
        if left == 0 {
            return moments.sort_unstable();
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn whatever_the_order_was_all_are_there_and_sorted() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for spread in [0, 1, 5, 100, 100_000] {
            for count in [0, 1, 2, 50, 1_000] {
                let mut moments: Vec<Nanos> =
                    (0..count).map(|at| at * 10 + rng.random_range(0..=spread * 10)).collect();
                let mut expected = moments.clone();
                expected.sort_unstable();
                sort(&mut moments);
                assert_eq!(moments, expected, "{spread} {count}");
            }
        }
        let mut backwards: Vec<Nanos> = (0..1_000).rev().collect();
        sort(&mut backwards);
        assert!(backwards.is_sorted());
    }
}
