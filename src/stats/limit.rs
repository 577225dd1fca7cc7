//! The search for the highest rate at which something still holds. Main type: [`RateSearch`].
//!
//! From the first rate it doubles until something breaks, or halves until it holds; then it tries the middle between the
//! highest rate that held and the lowest that broke, until they are close. *Assumption*: what breaks at a rate breaks at every
//! higher one. Where it was otherwise, the lowest rate that broke counts, and what held above it does not.

/// The rates of an interval are so close that nothing between them is tried: a tenth.
const CLOSE: f64 = 1.1;
/// Most rates tried.
const MOST_STEPS: usize = 32;
/// Highest and lowest rate that is tried, in operations per second.
const RATES: std::ops::RangeInclusive<f64> = 0.1..=1e6;

/// What was found at a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AtRate {
    /// Everything held.
    Holds,
    /// Something broke.
    Breaks,
    /// Neither can be told.
    Untold,
}

/// A search under way.
#[derive(Debug)]
pub struct RateSearch {
    first: f64,
    tried: Vec<(f64, AtRate)>,
}

impl RateSearch {
    /// Begins at this rate.
    pub fn new(first: f64) -> Self {
        RateSearch { first, tried: Vec::new() }
    }

    /// Takes in what was found at a rate.
    pub fn note(&mut self, rate: f64, found: AtRate) {
        self.tried.push((rate, found));
    }

    /// The lowest rate that broke.
    pub fn breaks(&self) -> Option<f64> {
        self.of(AtRate::Breaks).reduce(f64::min)
    }

    /// The highest rate that held, of those below the lowest that broke.
    pub fn holds(&self) -> Option<f64> {
        let below = self.breaks().unwrap_or(f64::INFINITY);
        self.of(AtRate::Holds).filter(|rate| *rate < below).reduce(f64::max)
    }

    /// The rate to try next; `None` when nothing more is to be found.
    pub fn next(&self) -> Option<f64> {
        let Some((last, found)) = self.tried.last().copied() else { return Some(self.first) };
        let next = match (self.holds(), self.breaks()) {
            // Beyond what cannot be told there is nothing to be told either.
            (Some(_), _) if found == AtRate::Untold => return None,
            (Some(holds), Some(breaks)) if breaks / holds <= CLOSE => return None,
            (Some(holds), Some(breaks)) => (holds * breaks).sqrt(),
            (Some(holds), None) => holds * 2.0,
            (None, Some(_)) if found == AtRate::Untold && self.tried.len() > 1 && last < self.first => return None,
            (None, Some(breaks)) => breaks / 2.0,
            // More operations may tell more.
            (None, None) => last * 2.0,
        };
        let is_new = !self.tried.iter().any(|(rate, _)| (rate / next - 1.0).abs() < 1e-9);
        // A search may begin beyond these rates, and comes back.
        let goes_on = if next > last { next <= *RATES.end() } else { next >= *RATES.start() };
        (is_new && self.tried.len() < MOST_STEPS && goes_on).then_some(next)
    }

    fn of(&self, found: AtRate) -> impl Iterator<Item = f64> + '_ {
        self.tried.iter().filter(move |(_, of)| *of == found).map(|(rate, _)| *rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches where this is what is found; the interval, and how many rates were tried.
    fn search(first: f64, found: impl Fn(f64) -> AtRate) -> (Option<f64>, Option<f64>, usize) {
        let mut search = RateSearch::new(first);
        while let Some(rate) = search.next() {
            search.note(rate, found(rate));
        }
        (search.holds(), search.breaks(), search.tried.len())
    }

    #[test]
    fn a_limit_is_enclosed_wherever_the_search_begins() {
        for limit in [0.7, 99.0, 1_000.0, 12_345.0, 400_000.0] {
            for first in [0.03, 1.0, 80.0, 5_000.0, 900_000.0, 5e6] {
                let (holds, breaks, tried) =
                    search(first, |rate| if rate <= limit { AtRate::Holds } else { AtRate::Breaks });
                let (holds, breaks) = (holds.unwrap(), breaks.unwrap());
                assert!(
                    holds <= limit && limit < breaks && breaks / holds <= CLOSE,
                    "{limit} from {first}: {holds} {breaks}"
                );
                assert!(tried <= MOST_STEPS, "{tried}");
            }
        }
    }

    #[test]
    fn a_search_ends_where_nothing_breaks_or_nothing_holds() {
        let (holds, breaks, tried) = search(100.0, |_| AtRate::Holds);
        assert!(
            holds.is_some_and(|holds| holds > 400_000.0) && breaks.is_none() && tried < MOST_STEPS,
            "{holds:?} {tried}"
        );
        let (holds, breaks, _) = search(100.0, |_| AtRate::Breaks);
        assert!(holds.is_none() && breaks.is_some_and(|breaks| breaks < 0.2), "{breaks:?}");
        let (holds, breaks, tried) = search(100.0, |_| AtRate::Untold);
        assert!(holds.is_none() && breaks.is_none() && tried <= MOST_STEPS, "{tried}");
    }

    #[test]
    fn what_cannot_be_told_is_no_end_of_an_interval() {
        // Too few operations below 30 a second: it goes on upwards, and then encloses the limit.
        let sparse = |rate| match rate {
            rate if rate < 30.0 => AtRate::Untold,
            rate if rate <= 150.0 => AtRate::Holds,
            _ => AtRate::Breaks,
        };
        let (holds, breaks, _) = search(10.0, sparse);
        assert!(
            holds.is_some_and(|holds| holds > 130.0) && breaks.is_some_and(|breaks| breaks < 165.0),
            "{holds:?} {breaks:?}"
        );
        // It breaks from the beginning, and below nothing can be told.
        let (holds, breaks, tried) = search(40.0, |rate| if rate < 30.0 { AtRate::Untold } else { AtRate::Breaks });
        assert_eq!((holds, breaks, tried), (None, Some(40.0), 2));
        // The service is gone above 200: that is no limit that was found.
        let (holds, breaks, _) = search(50.0, |rate| if rate > 200.0 { AtRate::Untold } else { AtRate::Holds });
        assert_eq!((holds, breaks), (Some(200.0), None));
    }

    #[test]
    fn what_held_above_a_rate_that_broke_does_not_count() {
        let mut search = RateSearch::new(100.0);
        for (rate, found) in [(100.0, AtRate::Holds), (200.0, AtRate::Holds), (90.0, AtRate::Breaks)] {
            search.note(rate, found);
        }
        assert_eq!((search.holds(), search.breaks()), (None, Some(90.0)));
    }
}
