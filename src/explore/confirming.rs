//! Before anything is accused: the orders of the requests are carried out more often, and, where the service goes on after its
//! answers, what was unlike all of them is carried out again.
//!
//! Most outcomes are those of the first serial runs, literally, and no more is needed for them: further runs can only add to
//! what counts as serial. Only what is unlike them asks for more.

use std::collections::BTreeSet;
use std::time::Instant;

use super::comparison::PATIENT_QUIET;
use super::explorer::Explorer;
use super::judging::unlike;
use super::policy::Replay;
use super::serial_runs::FEWEST_ROUNDS;
use super::subject::Subject;
use crate::history::Phase;
use crate::serial::{Class, Judgement, sorted};

/// Anomalies that are carried out again where something comes after answers.
const CONFIRMED_PATIENTLY: usize = 2;
/// How often an order that is chosen again must come out unlike all serial runs for it to be no chance.
const RECURS: usize = 4;
/// Most serial runs of some requests to see what is rare.
const MOST_AGAINST_CHANCE: usize = 240;
/// The same where each begins on a database of its own, which takes its time.
const FEWER_AGAINST_CHANCE: usize = 40;
/// Rounds between two looks at whether anything is left.
const ROUNDS_AT_ONCE: usize = 4;
/// Why nothing is accused when the exploration was told to end, or requests alone came to no end.
const UNCONFIRMED: &str = "what is unlike every order was not confirmed: not every order of the requests could be carried out \
                           again";

/// How many serial runs show in 49 of 50 cases what comes so often in so many executions: (1 - p)^(4 / p) is below e^-4.
pub(super) fn enough_to_see(times: usize, executions: usize) -> usize {
    (4 * executions).div_ceil(times.max(1))
}

impl Explorer<'_> {
    /// Executions of fewer requests are held against those of as many, of which nothing is known at first.
    pub(super) async fn know_once(&mut self, positions: &[usize]) {
        let Some(comparison) = self.comparison.as_ref().filter(|one| one.judge.rounds() > 0) else { return };
        let own = positions.iter().map(|position| sorted(&self.found.executions[*position].1));
        let unknown: BTreeSet<Vec<usize>> = own.filter(|set| !comparison.rounds.contains_key(set)).collect();
        if !unknown.is_empty() && !self.stop.is_cancelled() {
            self.hold();
            for set in &unknown {
                self.serial_round(set).await;
            }
            self.pass();
        }
    }

    /// Judges these executions by as many serial runs as an accusation needs. What cannot be confirmed is not accused.
    pub(super) async fn surely(&mut self, positions: &[usize]) -> Option<Judgement> {
        let strict = self.is_strict();
        self.hold();
        let mut whole = self.settle_own(positions).await;
        let mut judgement = self.judged(positions);
        if judgement.as_ref().is_some_and(|judgement| unlike(judgement, |class| class != Class::Serial)) {
            let sets = self.sets(positions, judgement.as_ref());
            whole = whole && self.repeat(&sets).await;
            judgement = self.judged(positions);
            if judgement.as_ref().is_some_and(|judgement| unlike(judgement, |class| class.violates(strict))) {
                whole = whole && self.confirm(&sets).await;
                judgement = self.judged(positions);
                whole = whole && self.rule_out_chance(positions, &mut judgement).await;
            }
        }
        self.pass();
        let accused = judgement.as_ref().is_some_and(|judgement| unlike(judgement, |class| class.violates(strict)));
        if accused && !whole {
            self.doubt_what_is_unconfirmed();
        }
        judgement
    }

    fn doubt_what_is_unconfirmed(&mut self) {
        if let Some(comparison) = &mut self.comparison {
            comparison.failure.get_or_insert(UNCONFIRMED.to_owned());
        }
    }

    /// Where all requests took part, all orders again until nothing new is learned, or all is explained; whether that came to
    /// its end.
    async fn settle_own(&mut self, positions: &[usize]) -> bool {
        let requests = self.subject.requests();
        if positions.iter().any(|position| self.found.executions[*position].1.len() == requests) {
            return self.settle_rounds(positions).await;
        }
        !self.stop.is_cancelled()
    }

    /// The sets of requests that the executions which are not serial are held against: their own, and where some were refused,
    /// or failed, the others.
    fn sets(&mut self, positions: &[usize], judgement: Option<&Judgement>) -> BTreeSet<Vec<usize>> {
        let (Some(samples), Some(judgement), Some(comparison)) =
            (self.samples(positions), judgement, self.comparison.as_ref())
        else {
            return BTreeSet::new();
        };
        let judged = samples.iter().zip(&judgement.executions);
        let unlike = judged.filter(|(_, one)| one.class != Class::Serial).map(|(sample, _)| sample);
        let with_others = |sample: &std::sync::Arc<crate::serial::Sample>| {
            let mut sets = comparison.judge.others(sample);
            sets.insert(sorted(&sample.order));
            sets
        };
        unlike.flat_map(with_others).collect()
    }

    /// Each of these sets as often as all requests; whether that came to its end.
    async fn repeat(&mut self, sets: &BTreeSet<Vec<usize>>) -> bool {
        for set in sets {
            loop {
                let Some(comparison) = &mut self.comparison else { return false };
                let often = comparison.judge.rounds().max(FEWEST_ROUNDS);
                if comparison.rounds.get(set).is_some_and(|rounds| *rounds >= often) {
                    break;
                }
                comparison.confirmed.insert(set.clone());
                if !self.serial_round(set).await {
                    return false;
                }
            }
        }
        true
    }

    /// Every order of these once more, unless that was done since something was unlike them; whether that came to its end.
    async fn confirm(&mut self, sets: &BTreeSet<Vec<usize>>) -> bool {
        for set in sets {
            let fresh = self.comparison.as_mut().is_some_and(|comparison| comparison.confirmed.insert(set.clone()));
            if fresh && !self.serial_round(set).await {
                return false;
            }
        }
        true
    }

    /// A service that draws lots shows in many executions what a few serial runs did not. Where no order that was chosen gives what
    /// is unlike them time after time, the orders are carried out as often as it takes to see serially what is as rare as that.
    async fn rule_out_chance(&mut self, positions: &[usize], judgement: &mut Option<Judgement>) -> bool {
        let strict = self.is_strict();
        let accused = |judgement: &Option<Judgement>| -> Vec<usize> {
            let judged = judgement.iter().flat_map(|judgement| positions.iter().zip(&judgement.executions));
            judged.filter(|(_, one)| one.class.violates(strict)).map(|(position, _)| *position).collect()
        };
        let unlike = accused(judgement);
        if unlike.is_empty() || self.recurs(&unlike).await {
            return true;
        }
        let most = if self.afresh.is_some() { FEWER_AGAINST_CHANCE } else { MOST_AGAINST_CHANCE };
        let enough = enough_to_see(unlike.len(), positions.len()).min(most);
        let sets: BTreeSet<Vec<usize>> =
            unlike.iter().map(|position| sorted(&self.found.executions[*position].1)).collect();
        let begin = Instant::now();
        for set in &sets {
            let runs = |explorer: &Self| {
                let runs = explorer.comparison.iter().flat_map(|comparison| comparison.judge.runs());
                runs.filter(|run| sorted(&run.order) == *set).count()
            };
            while runs(self) < enough && !accused(judgement).is_empty() {
                for _ in 0..ROUNDS_AT_ONCE {
                    // A slow service is not waited for longer than for its interleavings.
                    if begin.elapsed() >= self.plan.budget.time || !self.serial_round(set).await {
                        return false;
                    }
                }
                *judgement = self.judged(positions);
            }
        }
        true
    }

    /// Whether one of these is so again each time that its order is chosen.
    async fn recurs(&mut self, accused: &[usize]) -> bool {
        let strict = self.is_strict();
        let Some(first) = self.found.easiest(accused).first().copied() else { return false };
        let (execution, requests, _) = &self.found.executions[first];
        if execution.fault().is_some() {
            // What happened to it is no lot that the service draws.
            return true;
        }
        let (schedule, requests) = (execution.schedule.clone(), requests.clone());
        for _ in 0..RECURS {
            let again = self.execute_some(&requests, Phase::Main, &mut Replay::new(schedule.clone())).await;
            self.catch_up().await;
            let judged = self.judged(&[again]);
            if !judged.is_some_and(|judged| unlike(&judged, |class| class.violates(strict))) {
                return false;
            }
        }
        true
    }

    /// Where something comes after answers, an anomaly is only accused of if it shows again when much time is left for what may
    /// come: on a busy machine it may have come so late that it was taken for what another execution wrote.
    pub(super) async fn confirm_patiently(&mut self, positions: &[usize]) {
        let due = self.comparison.as_ref().is_some_and(|one| one.late && one.failure.is_none());
        let strict = self.is_strict();
        if !due || self.found.anomalies(positions, strict).is_empty() {
            return;
        }
        if let Some(comparison) = &mut self.comparison {
            comparison.quiet = PATIENT_QUIET;
            // Every order is carried out once more, patiently now.
            comparison.confirmed.clear();
        }
        self.judge_serially(positions).await;
        let accused = self.found.anomalies(positions, strict);
        if accused.is_empty() {
            return;
        }
        let again = self.carried_out_again(&accused).await;
        if again.is_empty() {
            return self.doubt_what_is_unconfirmed();
        }
        self.judge_serially(&again).await;
        if self.stop.is_cancelled() {
            return self.doubt_what_is_unconfirmed();
        }
        if let (Some(comparison), true) = (&mut self.comparison, self.found.anomalies(&again, strict).is_empty()) {
            comparison.failure.get_or_insert(
                "the service goes on after its answers, and what was unlike every order was not so again when more time was \
                 left for that"
                    .to_owned(),
            );
        }
    }

    /// Some of these once more, as far as they come to their end: those whose order was chosen before those that are the server's
    /// choice.
    async fn carried_out_again(&mut self, accused: &[usize]) -> Vec<usize> {
        self.hold();
        let mut again = Vec::new();
        for position in self.found.easiest(accused).iter().take(CONFIRMED_PATIENTLY) {
            let (execution, requests, _) = &self.found.executions[*position];
            let (schedule, requests) = (execution.schedule.clone(), requests.clone());
            again.push(self.execute_some(&requests, Phase::Main, &mut Replay::new(schedule)).await);
        }
        if again.is_empty() {
            again = self.released_together(true).await.into_iter().map(|(position, _)| position).collect();
        }
        self.pass();
        again.retain(|position| self.found.executions[*position].0.stuck.is_none());
        again
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::explore::fake::Bench;
    use crate::explore::policy::Serial;

    #[tokio::test]
    async fn what_comes_to_no_end_confirms_nothing() {
        let bench = Bench::silent(Duration::from_millis(20)).await;
        let mut explorer = bench.explorer(CancellationToken::new());
        let position = explorer.execute_some(&[0, 1], Phase::Main, &mut Serial).await;
        assert!(explorer.found.executions[position].0.stuck.is_some());
        assert!(explorer.carried_out_again(&[position]).await.is_empty());
        assert!(explorer.found.executions.len() > 1, "it was tried");
    }
}
