//! What the judge says, as it stands in the report: of an exploration, and of the bursts of a run.

use crate::report::{AsIfSerialReport, FieldDifference};
use crate::serial::{Class, Classes, Difference, Judge, Judged, Judgement, sentences};
use crate::verdict::Verdict;

/// The report on these executions. `known` is what the serial runs say for themselves, `doubt` why nothing can be concluded.
pub(super) fn reported(
    judge: &Judge,
    executions: &[&Judged],
    known: Option<&Judgement>,
    doubt: Option<String>,
) -> AsIfSerialReport {
    let mut classes = Classes::default();
    executions.iter().for_each(|one| classes.add(one.class));
    let strict = judge.settings().strict;
    let violations = executions.iter().filter(|one| one.class.violates(strict)).count() as u64;
    let verdict = match (violations, &doubt) {
        // What else writes, or varies, may be to blame for all of it.
        (1.., None) => Verdict::Violated,
        (0, None) if !executions.is_empty() => Verdict::Holds,
        _ => Verdict::Inconclusive,
    };
    AsIfSerialReport {
        verdict,
        judged: executions.len() as u64,
        violations,
        classes: Class::ALL.iter().map(|class| (class.name().to_owned(), classes.of(*class))).collect(),
        not_compared: known.map(|known| known.not_compared.clone()).unwrap_or_default(),
        serial_outcomes: known.map_or(0, |known| known.serial_outcomes as u64),
        serial_runs: judge.serial_runs() as u64,
        repetitions: judge.repetitions() as u64,
        sentences: sentences(executions),
        inconclusive: doubt,
        notes: known.map(|known| known.notes.clone()).unwrap_or_default(),
        ..AsIfSerialReport::default()
    }
}

/// Tells of an execution that violates: in one sentence, and field by field.
pub(super) fn tell(report: &mut AsIfSerialReport, one: &Judged) {
    report.nearest.clone_from(&one.nearest);
    report.in_words = one.in_words().unwrap_or_default();
    let shown = |one: &Difference| FieldDifference {
        place: one.place.clone(),
        serially: one.serially.clone(),
        here: one.here.clone(),
    };
    report.differences = one.differences.iter().map(shown).collect();
}
