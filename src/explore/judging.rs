//! Executions judged by the serial runs of the same requests, and what the report says of that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::comparison::PATIENT_QUIET;
use super::explorer::Explorer;
use super::found::Found;
use super::policy::Replay;
use super::serial_runs::Orders;
use super::spent::Part;
use super::subject::Subject;
use crate::history::Phase;
use crate::report::{AsIfSerialReport, FieldDifference};
use crate::serial::{Class, Judged, Judgement, Sample};
use crate::verdict::{Invariant, Verdict};

/// Anomalies that are carried out again where something comes after answers.
const CONFIRMED_PATIENTLY: usize = 2;

impl Explorer<'_> {
    /// Judges these executions; at an anomaly every order is carried out once more first.
    pub(super) async fn judge_serially(&mut self, positions: &[usize]) {
        if self.comparison.is_none() {
            return;
        }
        self.catch_up().await;
        let mut judgement = self.judged(positions);
        let any = |judgement: &Option<Judgement>, of: fn(Class) -> bool| {
            judgement.as_ref().is_some_and(|judgement| judgement.executions.iter().any(|one| of(one.class)))
        };
        if any(&judgement, |class| class != Class::Serial) && !self.stop.is_cancelled() {
            self.hold();
            let of_some = self.asks_for_some(positions);
            if of_some && self.serial_rounds_of_some().await {
                judgement = self.judged(positions);
            }
            if any(&judgement, Class::is_anomaly) {
                self.serial_round(Orders::OfAll).await;
                if of_some {
                    self.serial_round(Orders::OfSome).await;
                }
                judgement = self.judged(positions);
            }
            self.pass();
        }
        let Some(judgement) = judgement else { return };
        let blameless = self.blameless(positions, &judgement);
        for (position, judged) in positions.iter().zip(&judgement.executions) {
            if !blameless.contains(position) {
                self.found.serial.insert(*position, judged.clone());
            }
        }
        if !blameless.is_empty() {
            self.found.notes.insert(format!(
                "as if serial: {} schedules in which one request follows the other are unlike every serial run, so that it is \
                 not their order that is to blame: memory of the service, or noise",
                blameless.len()
            ));
            if positions.len() == blameless.len()
                && let Some(comparison) = &mut self.comparison
            {
                comparison.failure.get_or_insert("schedules that are serial are unlike every serial run".to_owned());
            }
        }
        if let Some(comparison) = &mut self.comparison {
            comparison.judgement = Some(judgement);
        }
    }

    /// Where something comes after answers, an anomaly is only accused of if it shows again when much time is left for what may
    /// come: on a busy machine it may have come so late that it was taken for what another execution wrote.
    pub(super) async fn confirm_patiently(&mut self, positions: &[usize]) {
        let Some(comparison) = self.comparison.as_mut().filter(|one| one.late && one.failure.is_none()) else { return };
        comparison.quiet = PATIENT_QUIET;
        let anomalies = |found: &Found| -> Vec<usize> {
            let is_anomaly = |position: &&usize| found.serial.get(position).is_some_and(|one| one.class.is_anomaly());
            positions.iter().filter(is_anomaly).copied().collect()
        };
        if anomalies(&self.found).is_empty() || self.stop.is_cancelled() {
            return;
        }
        // At an anomaly it carries every order out once more, patiently now.
        self.judge_serially(positions).await;
        let mut accused = anomalies(&self.found);
        accused.sort_by_key(|position| self.found.executions[*position].0.schedule.switches());
        let mut again = Vec::new();
        self.hold();
        for position in accused.iter().take(CONFIRMED_PATIENTLY) {
            let (execution, requests, _) = &self.found.executions[*position];
            let (schedule, requests) = (execution.schedule.clone(), requests.clone());
            again.push(self.execute_some(&requests, Phase::Main, &mut Replay::new(schedule)).await);
        }
        self.pass();
        if again.is_empty() {
            return;
        }
        self.judge_serially(&again).await;
        let shows =
            again.iter().any(|position| self.found.serial.get(position).is_some_and(|one| one.class.is_anomaly()));
        if let (Some(comparison), false) = (&mut self.comparison, shows) {
            comparison.failure.get_or_insert(
                "the service goes on after its answers, and what was unlike every order was not so again when more time was \
                 left for that"
                    .to_owned(),
            );
        }
    }

    /// Anomalies whose commands came one request after the other.
    fn blameless(&self, positions: &[usize], judgement: &Judgement) -> BTreeSet<usize> {
        let judged = positions.iter().zip(&judgement.executions);
        let serial = |position: &usize| {
            let (execution, requests, _) = &self.found.executions[*position];
            let released_alone = execution.schedule.0.iter().all(|choice| choice.0.len() == 1);
            released_alone && execution.schedule.switches() < requests.len()
        };
        judged
            .filter(|(position, one)| one.class.is_anomaly() && serial(position))
            .map(|(position, _)| *position)
            .collect()
    }

    /// These executions as the judge sees them.
    fn samples(&mut self, positions: &[usize]) -> Option<Vec<Arc<Sample>>> {
        let comparison = self.comparison.as_mut()?;
        let of = |position: &usize| comparison.sample(self.subject, *position, &self.found.executions[*position].0);
        positions.iter().map(of).collect()
    }

    fn judged(&mut self, positions: &[usize]) -> Option<Judgement> {
        let begin = Instant::now();
        let samples = self.samples(positions)?;
        let comparison = self.comparison.as_ref()?;
        let judgement = (comparison.judge.serial_runs() > 0).then(|| comparison.judge.judge(&samples));
        self.found.spent.add(Part::Judging, begin);
        judgement
    }

    /// What the serial runs say of an execution.
    pub(super) fn serial_verdict(&self, position: usize) -> Option<Verdict> {
        let comparison = self.comparison.as_ref().filter(|comparison| comparison.failure.is_none())?;
        let strict = comparison.judge.settings().strict;
        let judged = self.found.serial.get(&position)?;
        Some(if judged.class.violates(strict) { Verdict::Violated } else { Verdict::Holds })
    }

    /// The report's section.
    pub(super) fn as_if_serial(&self, searched: &[usize], operations: Vec<String>) -> Option<AsIfSerialReport> {
        let comparison = self.comparison.as_ref()?;
        let strict = comparison.judge.settings().strict;
        let judged: Vec<(&usize, &Judged)> =
            searched.iter().filter_map(|position| Some((position, self.found.serial.get(position)?))).collect();
        let violating = || judged.iter().filter(|(_, one)| one.class.violates(strict));
        let smallest = violating().min_by_key(|(position, one)| {
            (std::cmp::Reverse(one.class), self.found.executions[**position].0.schedule.switches())
        });
        let mut classes = crate::serial::Classes::default();
        judged.iter().for_each(|(_, one)| classes.add(one.class));
        let judgement = comparison.judgement.as_ref();
        let doubt = comparison.doubt().or_else(|| judgement.and_then(|judgement| judgement.inconclusive.clone()));
        let violations = violating().count() as u64;
        let verdict = match (violations, &doubt) {
            // What else writes, or varies, may be to blame for all of it.
            (1.., None) => Verdict::Violated,
            (0, None) if !judged.is_empty() => Verdict::Holds,
            _ => Verdict::Inconclusive,
        };
        let mut report = AsIfSerialReport {
            verdict,
            judged: judged.len() as u64,
            violations,
            classes: Class::ALL.iter().map(|class| (class.name().to_owned(), classes.of(*class))).collect(),
            not_compared: judgement.map(|judgement| judgement.not_compared.clone()).unwrap_or_default(),
            serial_outcomes: judgement.map_or(0, |judgement| judgement.serial_outcomes as u64),
            serial_runs: comparison.judge.serial_runs() as u64,
            repetitions: comparison.judge.rounds() as u64,
            sentences: judgement
                .map(|judgement| {
                    judgement
                        .sentences()
                        .into_iter()
                        .filter(|(class, _)| *class != Class::Serial)
                        .map(|(_, text)| text)
                        .collect()
                })
                .unwrap_or_default(),
            inconclusive: doubt,
            apart: comparison.are_apart(),
            notes: judgement.map(|judgement| judgement.notes.clone()).unwrap_or_default(),
            operations,
            ..AsIfSerialReport::default()
        };
        if let Some((position, one)) = smallest {
            let execution = &self.found.executions[**position].0;
            report.schedule = execution.named();
            report.choices = execution.schedule.to_string();
            report.key = self.subject.invocation(execution.number, 0).key.to_string();
            report.nearest = one.nearest.clone();
            report.in_words = one.in_words().unwrap_or_default();
            let shown = |one: &crate::serial::Difference| FieldDifference {
                place: one.place.clone(),
                serially: one.serially.clone(),
                here: one.here.clone(),
            };
            report.differences = one.differences.iter().map(shown).collect();
        }
        Some(report)
    }

    /// Whether it matters for these executions what some of the requests do without the others: one was refused, or failed.
    fn asks_for_some(&mut self, positions: &[usize]) -> bool {
        let samples = self.samples(positions);
        let judge = self.comparison.as_ref().map(|comparison| &comparison.judge);
        let requests = self.subject.requests();
        judge.zip(samples).is_some_and(|(judge, samples)| {
            // Executions of fewer requests are held against those of as many.
            samples.iter().any(|sample| sample.order.len() < requests) || judge.asks_for_some(&samples)
        })
    }
}

/// The invariant's name, where it is violated.
pub(super) fn violated(verdict: Verdict) -> Option<Invariant> {
    (verdict == Verdict::Violated).then_some(Invariant::AsIfSerial)
}
