//! Executions judged by the serial runs of the same requests, and what the report says of that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::execution::participant;
use super::explorer::Explorer;
use super::fault::{Removal, pardon};
use super::lint::Indexes;
use super::reported::{reported, tell};
use super::spent::Part;
use crate::report::AsIfSerialReport;
use crate::serial::{Class, Judged, Judgement, Sample};
use crate::verdict::{Invariant, Verdict};

/// Why nothing is proven where executions differ as those do that no order is to blame for.
const NOISE: &str = "what is unlike every order is so only in places where schedules that are serial differ as well: memory of the \
                     service, or noise; `ignore` in `[explore]` leaves a place out";

impl Explorer<'_> {
    /// Judges these executions. Where one is unlike every order, the orders are carried out more often first.
    pub(super) async fn judge_serially(&mut self, positions: &[usize]) {
        if self.comparison.is_none() {
            return;
        }
        self.catch_up().await;
        self.know_once(positions).await;
        let judgement = match self.judged(positions) {
            Some(judgement) if unlike(&judgement, |class| class != Class::Serial) => self.surely(positions).await,
            judgement => judgement,
        };
        let Some(judgement) = judgement else { return };
        let blameless = self.blameless(positions, &judgement);
        let noisy = self.noisy(positions, &judgement, &blameless);
        let harmless = self.differing_where_filled(positions, &judgement);
        for (position, judged) in positions.iter().zip(&judgement.executions) {
            match [&blameless, &noisy, &harmless].iter().any(|left_out| left_out.contains(position)) {
                true => drop(self.found.serial.remove(position)),
                false => drop(self.found.serial.insert(*position, judged.clone())),
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
        if !noisy.is_empty() && !self.found.reasons.iter().any(|reason| reason == NOISE) {
            self.found.reasons.push(NOISE.to_owned());
        }
        if let Some(comparison) = &mut self.comparison {
            comparison.judgement = Some(judgement);
        }
    }

    /// Anomalies whose commands came one request after the other.
    fn blameless(&self, positions: &[usize], judgement: &Judgement) -> BTreeSet<usize> {
        let (judged, strict) = (positions.iter().zip(&judgement.executions), self.is_strict());
        let serial = |position: &usize| {
            let (execution, requests, _) = &self.found.executions[*position];
            !execution.schedule.releases_together()
                && execution.fault().is_none()
                && execution.schedule.switches() < requests.len()
        };
        judged
            .filter(|(position, one)| one.class.violates(strict) && serial(position))
            .map(|(position, _)| *position)
            .collect()
    }

    /// Other anomalies that differ nowhere but where these do, which no order is to blame for.
    fn noisy(&self, positions: &[usize], judgement: &Judgement, blameless: &BTreeSet<usize>) -> BTreeSet<usize> {
        let strict = self.is_strict();
        let judged = positions.iter().zip(&judgement.executions);
        let (serial, others): (Vec<_>, Vec<_>) = judged
            .filter(|(_, one)| one.class.violates(strict))
            .partition(|(position, _)| blameless.contains(position));
        let noise: BTreeSet<&str> =
            serial.iter().flat_map(|(_, one)| &one.differences).map(|difference| difference.place.as_str()).collect();
        let is_noise = |one: &Judged| one.differences.iter().all(|difference| noise.contains(&*difference.place));
        let noisy = others.into_iter().filter(|(_, one)| !one.differences.is_empty() && is_noise(one));
        noisy.map(|(position, _)| *position).collect()
    }

    /// These executions as the judge sees them.
    pub(super) fn samples(&mut self, positions: &[usize]) -> Option<Vec<Arc<Sample>>> {
        let comparison = self.comparison.as_mut()?;
        let of = |position: &usize| comparison.sample(self.subject, *position, &self.found.executions[*position].0);
        positions.iter().map(of).collect()
    }

    pub(super) fn judged(&mut self, positions: &[usize]) -> Option<Judgement> {
        let begin = Instant::now();
        let samples = self.samples(positions)?;
        let comparison = self.comparison.as_ref()?;
        let judgement = (comparison.judge.serial_runs() > 0).then(|| {
            let judgement = comparison.judge.judge(&samples);
            let moments = |one: usize, sample: &Sample| {
                comparison.moments(positions[one], &self.found.executions[positions[one]].0, sample)
            };
            pardon(judgement, &comparison.judge, &samples, moments, &comparison.expiring)
        });
        self.found.spent.add(Part::Judging, begin);
        judgement
    }

    /// Whether everything violates that is not serial.
    pub(super) fn is_strict(&self) -> bool {
        self.comparison.as_ref().is_some_and(|comparison| comparison.judge.settings().strict)
    }

    /// What the serial runs say of an execution.
    pub(super) fn serial_verdict(&self, position: usize) -> Option<Verdict> {
        let comparison = self.comparison.as_ref().filter(|comparison| comparison.failure.is_none())?;
        let strict = comparison.judge.settings().strict;
        let judged = self.found.serial.get(&position)?;
        Some(if judged.class.violates(strict) { Verdict::Violated } else { Verdict::Holds })
    }

    /// Documents that the server removes: an execution with a fault is not judged without knowing them.
    pub(super) fn learn_what_expires(&mut self, indexes: &Indexes) {
        let Some(comparison) = &mut self.comparison else { return };
        for (namespace, facts) in &indexes.facts {
            let Some((_, collection)) = namespace.split_once('.') else { continue };
            for removal in facts.iter().filter_map(Removal::of) {
                let known = comparison.expiring.entry(collection.to_owned()).or_default();
                if !known.contains(&removal) {
                    known.push(removal);
                }
            }
        }
        if let (Some(why), Some(_)) = (&indexes.unread, &self.scheduler.faults) {
            comparison.failure.get_or_insert(format!(
                "what a fault leaves behind may run out by itself, and the indexes that tell could not be read: {why}"
            ));
        }
    }

    /// The report's section.
    pub(super) fn as_if_serial(&self, searched: &[usize], operations: Vec<String>) -> Option<AsIfSerialReport> {
        let comparison = self.comparison.as_ref()?;
        let strict = comparison.judge.settings().strict;
        let judged: Vec<(usize, &Judged)> =
            searched.iter().filter_map(|position| Some((*position, self.found.serial.get(position)?))).collect();
        let smallest = judged.iter().filter(|(_, one)| one.class.violates(strict)).min_by_key(|(position, one)| {
            (std::cmp::Reverse(one.class), self.found.executions[*position].0.schedule.switches())
        });
        let executions: Vec<&Judged> = judged.iter().map(|(_, one)| *one).collect();
        let known = comparison.judgement.as_ref();
        let doubt = comparison.doubt().or_else(|| known.and_then(|known| known.inconclusive.clone()));
        let mut report = AsIfSerialReport {
            apart: comparison.are_apart(),
            operations,
            ..reported(&comparison.judge, &executions, known, doubt)
        };
        if let Some((position, one)) = smallest {
            let execution = &self.found.executions[*position].0;
            report.schedule = execution.named();
            report.choices = execution.choices();
            report.in_turn = self.plan.before;
            report.key = self.subject.key(execution.number).to_string();
            tell(&mut report, one);
            report.nearest = by_participants(&report.nearest, execution.starts);
        }
        Some(report)
    }
}

/// An order, `1 then 2`, by the names of the participants where some of them are starts: `S1 then R1`.
fn by_participants(order: &str, starts: usize) -> String {
    let name = |part: &str| match part.parse::<usize>().ok().and_then(|number| number.checked_sub(1)) {
        Some(position) if starts > 0 => participant(position, starts),
        _ => part.to_owned(),
    };
    order.split(" then ").map(name).collect::<Vec<_>>().join(" then ")
}

/// Whether some execution is of such a class.
pub(super) fn unlike(judgement: &Judgement, of: impl Fn(Class) -> bool) -> bool {
    judgement.executions.iter().any(|one| of(one.class))
}

/// The invariant's name, where it is violated.
pub(super) fn violated(verdict: Verdict) -> Option<Invariant> {
    (verdict == Verdict::Violated).then_some(Invariant::AsIfSerial)
}

#[cfg(test)]
#[path = "judging_tests.rs"]
mod tests;
