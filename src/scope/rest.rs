//! [`Rest`]: a state that is read again until nothing is wrong with it, or it has stayed as it is. What a service accepts it
//! may store a little later.

use std::time::{Duration, Instant};

/// How long a state in which something is wrong must have stayed as it is.
const UNCHANGED_FOR: Duration = Duration::from_secs(1);
/// Longest wait for a state that keeps changing.
const LONGEST: Duration = Duration::from_secs(10);
/// Time between two readings.
const BETWEEN: Duration = Duration::from_millis(100);

/// How long a state is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    within: Duration,
}

/// The state that was read last.
#[derive(Debug, Clone, PartialEq)]
pub struct Reached<T> {
    /// The state.
    pub state: T,
    /// It was wrong, and did not change for as long as anything could be expected to change it.
    pub stood_still: bool,
    /// It was wrong at first, and is right now.
    pub mended: bool,
    /// The first state, if it was another one.
    pub first: Option<T>,
}

impl Rest {
    /// What is wrong is waited for at least so long.
    pub fn within(within: Duration) -> Self {
        Rest { within }
    }

    /// The longest that it takes, besides the readings themselves.
    pub fn longest(self) -> Duration {
        self.within + LONGEST
    }

    /// Reads until the state is right, or has stayed as it is for long enough.
    pub async fn reached<T: PartialEq, E, F: Future<Output = Result<T, E>>>(
        self,
        mut read: impl FnMut() -> F,
        is_wrong: impl Fn(&T) -> bool,
    ) -> Result<Reached<T>, E> {
        let begin = Instant::now();
        let mut state = read().await?;
        let (mut wrong, mut since, mut moved) = (is_wrong(&state), begin, false);
        let was_wrong = wrong;
        let mut first = None;
        loop {
            let stays = since.elapsed() >= UNCHANGED_FOR && begin.elapsed() >= self.within;
            if !wrong || stays || begin.elapsed() >= self.longest() {
                let (stood_still, mended) = (wrong && stays && !moved, was_wrong && !wrong);
                return Ok(Reached { state, stood_still, mended, first });
            }
            tokio::time::sleep(BETWEEN).await;
            let next = read().await?;
            // What is as it was when it was wrong is still wrong.
            if next != state {
                (wrong, since, moved) = (is_wrong(&next), Instant::now(), true);
                let earlier = std::mem::replace(&mut state, next);
                first.get_or_insert(earlier);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_wrong_is_read_until_it_is_right_or_has_stayed_so() {
        let mut states = [1, 1, 2, 7, 7].into_iter();
        let read = || std::future::ready(states.next().ok_or("it is read once too often"));
        let rest = Rest::within(Duration::ZERO);
        assert_eq!(
            rest.reached(read, |state| *state < 7).await,
            Ok(Reached { state: 7, stood_still: false, mended: true, first: Some(1) })
        );
        let begin = Instant::now();
        let same = rest.reached(async || Ok::<_, ()>(1), |_| true).await;
        assert_eq!(same, Ok(Reached { state: 1, stood_still: true, mended: false, first: None }));
        assert!(begin.elapsed() >= UNCHANGED_FOR);
        let right = rest.reached(async || Ok::<_, ()>(1), |_| false).await;
        assert_eq!(right, Ok(Reached { state: 1, stood_still: false, mended: false, first: None }));
    }
}
