//! A search for the limit of a service, judged: what one rate showed, and what all of them mean.
//!
//! Whose limit it was follows from what was measured beside the thresholds. Latency in an open load counts from when an
//! operation was to start: where the same threshold is kept by the time since it was really sent, what broke it is that it was
//! sent late, by the generator or for want of clients. And a generator without a processor left measures itself.

use super::status_of;
use crate::report::{LimitStep, LimitedBy, Report};
use crate::stats::{AtRate, Generator, RateSearch, ThresholdResult, Unit};
use crate::verdict::{ExitStatus, Verdict};

/// A share of the processors above which there is as good as none left.
const FULL: f64 = 0.9;

/// What a run at this rate showed; `lost` says why it did not go on to its end.
pub fn step(rate: f64, report: &Report, lost: Option<String>) -> LimitStep {
    let broke: Vec<ThresholdResult> = bounds(report).filter(|result| result.is_breached()).cloned().collect();
    let untold = lost.or_else(|| report.partial.then(|| "the run was cut short".to_owned())).or_else(|| {
        let too_few = bounds(report).find(|result| result.too_few)?;
        Some(format!("{}: {}", too_few.threshold, too_few.reason.as_deref().unwrap_or("too few samples")))
    });
    let dropped = report.generator.dropped_arrivals;
    let found = match (&untold, broke.is_empty()) {
        (_, false) => AtRate::Breaks,
        (Some(_), true) => AtRate::Untold,
        // What was not sent was not answered either, whatever the thresholds are of.
        (None, true) if dropped > 0 => AtRate::Breaks,
        (None, true) => AtRate::Holds,
    };
    let unsent = (found == AtRate::Breaks && broke.is_empty()).then(|| format!("{dropped} arrivals could not be sent"));
    LimitStep {
        rate,
        run_id: report.run_id.clone(),
        found,
        verdict: report.verdict,
        reason: untold.or(unsent),
        limited_by: (found == AtRate::Breaks).then(|| limited_by(&broke, &report.generator)),
        broke,
        attempted: report.operations.values().map(|stats| stats.attempted).sum(),
        dropped_arrivals: dropped,
        throughput_per_s: report.throughput_per_s,
        cpu_share: report.generator.cpu_share,
        machine_busy: report.generator.machine_busy,
    }
}

/// Thresholds that say something of a limit: how many operations are answered is what is tried, and no result.
fn bounds(report: &Report) -> impl Iterator<Item = &ThresholdResult> {
    report.thresholds.iter().filter(|result| result.unit != Unit::PerS)
}

fn limited_by(broke: &[ThresholdResult], generator: &Generator) -> LimitedBy {
    let sent_late = broke.iter().all(|result| result.service_time.is_some_and(|time| time.ok));
    let (own, busy) = (generator.cpu_share.unwrap_or(0.0), generator.machine_busy.unwrap_or(0.0));
    match sent_late {
        true if generator.dropped_arrivals > 0 && own < FULL => LimitedBy::MaxClients,
        true => LimitedBy::Generator,
        false if own >= FULL || (busy >= FULL && own >= busy / 2.0) => LimitedBy::Generator,
        false if busy >= FULL => LimitedBy::Machine,
        false => LimitedBy::Service,
    }
}

/// What all rates together mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The highest rate that held.
    pub holds_at: Option<f64>,
    /// The lowest that broke.
    pub breaks_at: Option<f64>,
    /// Whose limit it was.
    pub limited_by: Option<LimitedBy>,
    /// Violated where any rate showed that; else what the invariants are at the highest rate that held.
    pub verdict: Verdict,
    /// What readers have to know of it.
    pub reasons: Vec<String>,
    /// How the process ends.
    pub status: ExitStatus,
}

/// Concludes from the rates that were tried.
pub fn limit(steps: &[LimitStep], search: &RateSearch, interrupted: bool) -> Limit {
    let (holds_at, breaks_at) = (search.holds(), search.breaks());
    let at = |rate: Option<f64>| steps.iter().find(|step| Some(step.rate) == rate);
    let limited_by = at(breaks_at).and_then(|step| step.limited_by);
    let violated = steps.iter().find(|step| step.verdict == Verdict::Violated);
    // A load that is too much for the service may leave open what its invariants are; where it held it must not.
    let at_hold = at(holds_at).map(|step| step.verdict);
    let mut reasons = Vec::new();
    let mut worst = ExitStatus::Holds;
    let mut note = |status: Option<ExitStatus>, reason: String| {
        reasons.push(reason);
        worst = ExitStatus::combine([worst].into_iter().chain(status));
    };
    if let Some(step) = violated {
        note(
            Some(ExitStatus::Violated),
            format!("an invariant is violated in {}: the search ended there", step.run_id),
        );
    }
    if interrupted {
        note(Some(ExitStatus::Interrupted), "the search was interrupted before its end".to_owned());
    }
    match (holds_at, breaks_at) {
        (None, Some(_)) => note(Some(ExitStatus::Threshold), "no rate that was tried held".to_owned()),
        (Some(_), None) => note(Some(ExitStatus::Inconclusive), "no threshold broke: the limit lies higher".to_owned()),
        (None, None) => note(Some(ExitStatus::Inconclusive), "no rate could be told to hold, or to break".to_owned()),
        (Some(_), Some(_)) => {}
    }
    if let Some(by) = limited_by {
        note((!by.is_of_service()).then_some(ExitStatus::Inconclusive), by.says().to_owned());
    }
    if at_hold == Some(Verdict::Inconclusive) {
        note(
            Some(ExitStatus::Inconclusive),
            "the invariants could not be judged at the rate that held: see its run".to_owned(),
        );
    }
    for step in steps.iter().filter(|step| step.found == AtRate::Untold && step.reason.is_some()) {
        // Below what held it is of no account.
        let open = holds_at.is_none_or(|holds| holds < step.rate);
        let status = open.then_some(ExitStatus::Inconclusive);
        note(status, format!("at {:.1}/s: {}", step.rate, step.reason.as_deref().unwrap_or_default()));
    }
    let verdict = match (violated, at_hold) {
        (Some(_), _) => Verdict::Violated,
        (None, Some(verdict)) => verdict,
        (None, None) => Verdict::Inconclusive,
    };
    Limit { holds_at, breaks_at, limited_by, verdict, reasons, status: worst }
}

/// Whether a run ends the search: what it found is not to be covered by more.
pub fn ends_search(report: &Report) -> bool {
    report.verdict == Verdict::Violated || status_of(report) == ExitStatus::Interrupted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::stats::ServiceTime;

    /// A run whose threshold was kept or not, by either time.
    fn run(ok: bool, kept_since_sent: Option<bool>, dropped: u64, (own, busy): (f64, f64)) -> Report {
        let mut report = sample::passing();
        let mut threshold = report.thresholds[0].clone();
        threshold.unit = Unit::Us;
        (threshold.ok, threshold.too_few) = (ok, false);
        threshold.service_time = kept_since_sent.map(|ok| ServiceTime { observed: 1.0, ok });
        report.thresholds = vec![threshold];
        report.generator.dropped_arrivals = dropped;
        (report.generator.cpu_share, report.generator.machine_busy) = (Some(own), Some(busy));
        report
    }

    #[test]
    fn whose_limit_it_was_follows_from_what_was_measured_beside_it() {
        let idle = (0.1, 0.3);
        for (kept_since_sent, dropped, shares, expected) in [
            (Some(false), 0, idle, LimitedBy::Service),
            // Errors have no time at all.
            (None, 0, idle, LimitedBy::Service),
            (Some(false), 70, idle, LimitedBy::Service),
            // Those that were sent were answered in time.
            (Some(true), 0, idle, LimitedBy::Generator),
            (Some(true), 70, idle, LimitedBy::MaxClients),
            (Some(true), 70, (0.95, 1.0), LimitedBy::Generator),
            // No processor left, for it or for anybody.
            (Some(false), 0, (0.95, 1.0), LimitedBy::Generator),
            (Some(false), 0, (0.6, 0.99), LimitedBy::Generator),
            (Some(false), 0, (0.2, 0.99), LimitedBy::Machine),
        ] {
            let found = step(100.0, &run(false, kept_since_sent, dropped, shares), None);
            assert_eq!(
                (found.found, found.limited_by),
                (AtRate::Breaks, Some(expected)),
                "{kept_since_sent:?} {dropped} {shares:?}"
            );
        }
        assert_eq!(step(100.0, &run(true, Some(true), 0, idle), None).limited_by, None);
    }

    #[test]
    fn a_run_that_did_not_end_well_neither_holds_nor_breaks() {
        let kept = run(true, None, 0, (0.1, 0.1));
        assert_eq!(step(1.0, &kept, None).found, AtRate::Holds);
        assert_eq!(step(1.0, &kept, Some("the service is gone".into())).found, AtRate::Untold);
        assert_eq!(step(1.0, &Report { partial: true, ..kept.clone() }, None).found, AtRate::Untold);
        let mut few = run(false, None, 0, (0.1, 0.1));
        few.thresholds[0].too_few = true;
        assert_eq!(step(1.0, &few, None).found, AtRate::Untold);
        // Throughput is what is tried.
        let mut slow = run(false, None, 0, (0.1, 0.1));
        slow.thresholds[0].unit = Unit::PerS;
        assert_eq!(step(1.0, &slow, None).found, AtRate::Holds);
    }

    #[test]
    fn a_rate_of_which_not_all_was_sent_does_not_hold_whatever_the_thresholds_are() {
        let mut errors = run(true, None, 70, (0.1, 0.3));
        errors.thresholds[0].unit = Unit::Share;
        let found = step(100.0, &errors, None);
        assert_eq!((found.found, found.limited_by), (AtRate::Breaks, Some(LimitedBy::MaxClients)));
        assert_eq!(found.reason.as_deref(), Some("70 arrivals could not be sent"));
    }

    #[test]
    fn what_could_not_be_told_above_the_rate_that_held_is_no_good_end() {
        let idle = (0.1, 0.3);
        let (holds, breaks) = (run(true, None, 0, idle), run(false, Some(false), 0, idle));
        let cut = Report { partial: true, ..holds.clone() };
        for (at, status) in [(141.0, ExitStatus::Inconclusive), (50.0, ExitStatus::Holds)] {
            let found = concluded(&[(100.0, holds.clone()), (200.0, breaks.clone()), (at, cut.clone())], false);
            assert_eq!(found.status, status, "{at}: {found:?}");
        }
    }

    /// The conclusion from steps of these rates.
    fn concluded(steps: &[(f64, Report)], interrupted: bool) -> Limit {
        let steps: Vec<LimitStep> = steps.iter().map(|(rate, report)| step(*rate, report, None)).collect();
        let mut search = RateSearch::new(1.0);
        steps.iter().for_each(|step| search.note(step.rate, step.found));
        limit(&steps, &search, interrupted)
    }

    #[test]
    fn only_a_limit_of_the_service_that_was_enclosed_and_judged_ends_well() {
        let idle = (0.1, 0.3);
        let (holds, breaks) = (run(true, None, 0, idle), run(false, Some(false), 0, idle));
        let found = concluded(&[(100.0, holds.clone()), (105.0, breaks.clone())], false);
        assert_eq!((found.holds_at, found.breaks_at, found.status), (Some(100.0), Some(105.0), ExitStatus::Holds));
        assert_eq!((found.verdict, found.limited_by), (Verdict::Holds, Some(LimitedBy::Service)));
        let late = run(false, Some(true), 0, idle);
        let unjudged = Report { verdict: Verdict::Inconclusive, ..holds.clone() };
        let violated = Report { verdict: Verdict::Violated, ..holds.clone() };
        for (steps, interrupted, status, says) in [
            (
                vec![(100.0, holds.clone()), (105.0, late)],
                false,
                ExitStatus::Inconclusive,
                "the generator was the limit",
            ),
            (vec![(100.0, holds.clone())], false, ExitStatus::Inconclusive, "no threshold broke"),
            (vec![(100.0, breaks.clone())], false, ExitStatus::Threshold, "no rate that was tried held"),
            (vec![(100.0, unjudged), (105.0, breaks.clone())], false, ExitStatus::Inconclusive, "could not be judged"),
            (vec![(100.0, holds.clone()), (105.0, breaks.clone())], true, ExitStatus::Interrupted, "interrupted"),
            (vec![(100.0, violated), (105.0, breaks)], true, ExitStatus::Violated, "an invariant is violated in"),
        ] {
            let found = concluded(&steps, interrupted);
            assert_eq!(found.status, status, "{found:?}");
            assert!(found.reasons.iter().any(|reason| reason.contains(says)), "{found:?}");
        }
    }
}
