//! Interleavings held against serial runs, on the terminal: the sentence, the differences, the matrix of operations.

use super::page::{BOLD, DIM, Page, RED};
use super::{PLAIN, YELLOW};
use crate::report::{AsIfSerialReport, FieldDifference, PairResult};
use crate::verdict::Verdict;

/// Widest column of the differences.
const WIDEST: usize = 44;
/// Longest name of an operation in the matrix.
const LONGEST_NAME: usize = 24;

/// The section.
pub(super) fn section(page: &mut Page, serial: &AsIfSerialReport) {
    let style = match serial.verdict {
        Verdict::Holds => BOLD,
        Verdict::Violated => RED,
        Verdict::Inconclusive => YELLOW,
    };
    page.labelled("as if serial", style, &serial.sentence());
    let said = usize::from(serial.verdict == Verdict::Violated);
    for sentence in serial.sentences.iter().skip(said) {
        page.labelled("", PLAIN, sentence);
    }
    if !serial.in_words.is_empty() {
        page.labelled("", BOLD, &serial.in_words);
    }
    differences(page, serial);
    if serial.verdict == Verdict::Violated && !serial.not_compared.is_empty() {
        page.labelled("not compared", DIM, &serial.not_compared.join(", "));
    }
    for note in &serial.notes {
        page.labelled("note", DIM, note);
    }
    if !serial.pairs.is_empty() {
        matrix(page, &serial.pairs);
    }
}

/// What the nearest order gives, beside what was seen here.
fn differences(page: &mut Page, serial: &AsIfSerialReport) {
    if serial.differences.is_empty() {
        return;
    }
    let width = |of: fn(&FieldDifference) -> &str| {
        serial.differences.iter().map(|one| of(one).chars().count()).max().unwrap_or(0).min(WIDEST)
    };
    let (place, serially) = (width(|one| &one.place).max(10), width(|one| &one.serially).max(8));
    let nearest = format!("nearest: {}", serial.nearest);
    let place = place.max(nearest.chars().count());
    page.line(&[(DIM, format!("{:14}{nearest:place$}  {:serially$}  here", "", "serially"))]);
    for one in &serial.differences {
        page.line(&[
            (PLAIN, format!("{:14}{:place$}  {:serially$}  ", "", one.place, one.serially)),
            (RED, one.here.clone()),
        ]);
    }
}

/// Operation against operation.
fn matrix(page: &mut Page, pairs: &[PairResult]) {
    let names = AsIfSerialReport::names(pairs);
    page.blank();
    page.labelled("pairs", BOLD, PairResult::LEGEND);
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(LONGEST_NAME);
    let numbers: String = (1..=names.len()).map(|number| format!("{number:>3}")).collect();
    page.line(&[(DIM, format!("{:14}{:>3} {:width$} {numbers}", "", "", ""))]);
    for (row, name) in names.iter().enumerate() {
        let cells: String =
            names[..=row].iter().map(|other| format!("{:>3}", AsIfSerialReport::cell(pairs, name, other))).collect();
        let short: String = name.chars().take(LONGEST_NAME).collect();
        page.line(&[(PLAIN, format!("{:14}{:>3} {short:width$} {cells}", "", row + 1))]);
    }
    for pair in pairs.iter().filter(|pair| pair.mark() != PairResult::NONE && pair.mark() != PairResult::APART) {
        proof(page, pair);
    }
}

/// What shows a race, or why nothing can be said.
fn proof(page: &mut Page, pair: &PairResult) {
    let style = if pair.verdict == Verdict::Violated { RED } else { YELLOW };
    let names = pair.operations.join(" against ");
    page.line(&[
        (PLAIN, format!("{:14}", "")),
        (style, format!("{} ", pair.mark())),
        (PLAIN, format!("{names}: {}", pair.in_words)),
    ]);
    if !pair.schedule.is_empty() {
        page.line(&[(DIM, format!("{:16}--schedule \"{}\"  {}", "", pair.choices, pair.schedule))]);
    }
}
