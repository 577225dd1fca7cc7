//! Several explorations as one: every choice of the operations, equal ones included, and what came of all of them.
//!
//! [`choices`] says which requests meet, [`merged`] joins the explorations to one report with the matrix of operations.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::in_order;
use super::outcome::Exploration;
use crate::checker::told;
use crate::history::{History, Looks, Operation, Outcome};
use crate::report::{
    AsIfSerialReport, ExploreReport, FaultTally, PairResult, Repeated, ScheduleResult, TogetherResult,
};
use crate::serial::{Class, of_mixed};
use crate::verdict::Verdict;

/// Every choice of `size` out of `operations`, in which one may come several times: positions.
pub fn choices(operations: usize, size: usize) -> Vec<Vec<usize>> {
    let mut chosen: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..size {
        let longer = chosen.iter().flat_map(|choice| {
            let from = choice.last().copied().unwrap_or(0);
            (from..operations).map(|next| choice.iter().copied().chain([next]).collect::<Vec<usize>>())
        });
        chosen = longer.collect();
    }
    chosen
}

/// What came of one choice.
pub struct Part {
    /// The operations of the requests.
    pub operations: Vec<String>,
    /// None where the budget was exhausted before.
    pub exploration: Option<Exploration>,
}

/// One exploration of all choices. `before` is what was sent before any of them met; `serially` whether each was held against
/// serial runs, or the scenario's own rules alone judge.
pub fn merged(parts: Vec<Part>, before: Vec<Operation>, serially: bool) -> Exploration {
    let pairs: Vec<PairResult> = parts.iter().map(result).collect();
    let mut whole = Exploration {
        history: History { operations: before, ..History::default() },
        report: ExploreReport { complete: true, total: Some(0), ..ExploreReport::default() },
        ..Exploration::default()
    };
    let mut serial = AsIfSerialReport::default();
    let mut missing = Vec::new();
    for part in parts {
        let named = part.operations.join(" against ");
        let Some(exploration) = part.exploration else {
            whole.report.complete = false;
            missing.push(named);
            continue;
        };
        let Exploration {
            history,
            observation,
            report,
            as_if_serial,
            looks,
            queries,
            unread,
            misfit,
            next,
            fault_places,
            comes_second: _,
            with_established: _,
            earlier,
        } = exploration;
        whole.fault_places += fault_places;
        whole.history.operations.extend(history.operations);
        whole.history.interrupted |= history.interrupted;
        // The last one has seen what all have left.
        whole.observation = whole.seen_until(observation);
        whole.earlier = earlier.or(whole.earlier);
        whole.unread = unread.or(whole.unread);
        whole.misfit = whole.misfit.or(misfit);
        whole.next = next;
        whole.queries = queries;
        join_looks(&mut whole.looks, looks);
        add_report(&mut whole.report, report, &named);
        if let Some(one) = as_if_serial {
            add_serial(&mut serial, one, &named);
        }
    }
    whole.history.operations = in_order(std::mem::take(&mut whole.history.operations));
    whole.report.total = whole.report.total.filter(|_| whole.report.complete);
    if serially {
        conclude(&mut serial, &pairs);
        serial.pairs = pairs;
        whole.as_if_serial = Some(serial);
    } else {
        tell(&mut whole.report, &pairs, &missing);
    }
    whole
}

/// What the user's own invariants said of other executions.
pub(super) fn join_looks(whole: &mut Vec<Looks>, looks: Vec<Looks>) {
    for one in looks {
        match whole.iter_mut().find(|known| known.name == one.name) {
            Some(known) => known.join(one),
            None => whole.push(one),
        }
    }
}

/// What is not known of operations that were served in no execution, or in the very first one alone, which has used up what there
/// was: whoever refuses everything races with nobody. Each execution has a key of its own.
pub fn unserved(history: &History) -> Vec<String> {
    let mut of: BTreeMap<&str, Keys<'_>> = BTreeMap::new();
    for operation in &history.operations {
        let keys = of.entry(operation.action.name()).or_default();
        keys.asked.insert(&operation.key);
        match told(operation) {
            Outcome::Ok(_) => drop(keys.served.insert(&operation.key)),
            Outcome::Failed(cause) | Outcome::Unknown(cause) => drop(keys.refusal.get_or_insert(&cause.message)),
        }
    }
    of.retain(|_, keys| keys.served.len() < keys.asked.len().min(2));
    of.into_iter().map(|(name, keys)| keys.in_words(name)).collect()
}

/// Keys on which an operation was asked for.
#[derive(Default)]
struct Keys<'a> {
    asked: BTreeSet<&'a str>,
    served: BTreeSet<&'a str>,
    /// What somebody was told who was not served.
    refusal: Option<&'a str>,
}

impl Keys<'_> {
    fn in_words(&self, name: &str) -> String {
        let said = self.refusal.map(|message| format!(" ({message})")).unwrap_or_default();
        let of = if self.served.is_empty() { "no execution" } else { "the first execution alone" };
        format!(
            "`{name}` was served in {of}{said}: what it does when it is was not explored. What it needs may come before it: \
             `before = {{ path = \"…\" }}`, or an operation of its own; what it makes may be there already: then a value of it must be \
             another one each time, `--fresh NAME=PLACE`, or `{{{{ key }}}}` in a scenario"
        )
    }
}

/// What readers are told of the choices where the scenario's own rules alone judge: which there were, and which were not begun.
/// What came of one that was begun, and led to nothing, is said by its own doubts.
fn tell(whole: &mut ExploreReport, pairs: &[PairResult], missing: &[String]) {
    let explored = pairs.iter().filter(|pair| pair.explored > 0);
    let shown: Vec<String> =
        explored.map(|pair| format!("{} ({})", pair.operations.join(" against "), pair.explored)).collect();
    if !shown.is_empty() {
        whole.notes.insert(0, format!("each choice of operations was explored apart: {}", shown.join(", ")));
    }
    if !missing.is_empty() {
        whole.doubts.push(format!("not explored, because the budget was exhausted before: {}", missing.join(", ")));
    }
}

/// What is known of one choice, with its proof.
fn result(part: &Part) -> PairResult {
    let mut result = PairResult { operations: part.operations.clone(), ..PairResult::default() };
    let Some(Exploration { report, as_if_serial, .. }) = &part.exploration else {
        result.in_words = "not explored: the budget was exhausted before".to_owned();
        return result;
    };
    result.complete = report.complete;
    result.explored = report.explored;
    let Some(serial) = as_if_serial else {
        result.in_words = "not judged".to_owned();
        return result;
    };
    result.classes = serial.classes.clone();
    result.apart = serial.apart && report.violated == 0;
    let together = report.together.as_ref().map_or(0, |together| together.violated);
    result.verdict = match (report.violated + together, serial.verdict, report.doubts.first()) {
        (1.., ..) => Verdict::Violated,
        (_, verdict, None) => verdict,
        (_, verdict, Some(_)) => verdict.max(Verdict::Inconclusive),
    };
    let sentence = || serial.sentences.first().cloned().unwrap_or_default();
    let in_words = [serial.in_words.clone(), sentence()].into_iter().find(|text| !text.is_empty());
    result.in_words = match result.verdict {
        Verdict::Violated => in_words.unwrap_or_else(|| "an invariant is violated".to_owned()),
        Verdict::Holds => in_words.unwrap_or_else(|| format!("{} interleavings, each as if serial", serial.judged)),
        Verdict::Inconclusive => {
            let doubt = serial.inconclusive.clone().filter(|_| serial.verdict == Verdict::Inconclusive);
            doubt.or_else(|| report.doubts.first().cloned()).unwrap_or_else(|| "nothing was judged".to_owned())
        }
    };
    if let Some(smallest) = &report.smallest {
        result.choices.clone_from(&smallest.result.choices);
        result.schedule.clone_from(&smallest.result.schedule);
        result.replay.clone_from(&smallest.replay);
    } else if result.verdict == Verdict::Violated {
        result.choices.clone_from(&serial.choices);
        result.schedule.clone_from(&serial.schedule);
    }
    result
}

pub(super) fn add_report(whole: &mut ExploreReport, one: ExploreReport, named: &str) {
    let first = one.first_violation_at.map(|at| whole.explored + at);
    whole.first_violation_at = whole.first_violation_at.or(first);
    let (before, now) = (whole.explored as f64, one.explored as f64);
    if before + now > 0.0 {
        whole.schedules_per_s = (whole.schedules_per_s * before + one.schedules_per_s * now) / (before + now);
    }
    whole.search = one.search;
    whole.requests = one.requests;
    whole.explored += one.explored;
    whole.total = whole.total.zip(one.total).map(|(all, one)| all + one);
    whole.complete &= one.complete;
    whole.reduced |= one.reduced;
    if one.violated_interleavings.is_some() || whole.violated_interleavings.is_some() {
        let before = whole.violated_interleavings.unwrap_or(whole.violated);
        whole.violated_interleavings = Some(before + one.violated_interleavings.unwrap_or(one.violated));
    }
    whole.violated += one.violated;
    FaultTally::add_all(&mut whole.faults, one.faults);
    for (part, seconds) in one.spent {
        *whole.spent.entry(part).or_default() += seconds;
    }
    whole.schedules.extend(one.schedules);
    if whole.schedules.len() > ExploreReport::MAX_SCHEDULES {
        whole.schedules.sort_by_key(|result: &ScheduleResult| result.verdict != Verdict::Violated);
        whole.schedules.truncate(ExploreReport::MAX_SCHEDULES);
    }
    let drawn = whole.schedules.iter_mut().filter(|result| result.diagram.is_some());
    drawn.skip(ExploreReport::MAX_DIAGRAMS).for_each(|result| result.diagram = None);
    whole.smallest = whole.smallest.take().or(one.smallest);
    whole.repeated = match (whole.repeated, one.repeated) {
        (Some(all), Some(one)) => Some(Repeated { times: all.times + one.times, same: all.same + one.same }),
        (all, one) => all.or(one),
    };
    // Each choice has a probability of its own.
    whole.notes.extend(one.bound.map(|bound| format!("{named}: {bound}")));
    whole.together = match (whole.together.take(), one.together) {
        (Some(all), Some(one)) => Some(TogetherResult {
            first_at: all.first_at.or(one.first_at.map(|at| all.attempts + at)),
            attempts: all.attempts + one.attempts,
            violated: all.violated + one.violated,
        }),
        (all, one) => all.or(one),
    };
    for finding in one.lint {
        if !whole.lint.contains(&finding) {
            whole.lint.push(finding);
        }
    }
    whole.doubts.extend(one.doubts.into_iter().map(|doubt| format!("{named}: {doubt}")));
    let notes: BTreeSet<String> = whole.notes.drain(..).chain(one.notes).collect();
    whole.notes = notes.into_iter().collect();
}

/// What is told of answers that no one order gives. The sentences of one choice say it, and those of all say something else.
pub(super) fn mixed(one: &AsIfSerialReport) -> Option<String> {
    let count = one.classes.get(Class::Mixed.name()).copied().filter(|count| *count > 0)?;
    Some(of_mixed(count, one.judged))
}

fn add_serial(whole: &mut AsIfSerialReport, one: AsIfSerialReport, named: &str) {
    whole.notes.extend(mixed(&one).map(|told| format!("{named}: {told}")));
    whole.judged += one.judged;
    whole.violations += one.violations;
    for (class, count) in one.classes {
        *whole.classes.entry(class).or_default() += count;
    }
    for place in one.not_compared {
        if !whole.not_compared.contains(&place) {
            whole.not_compared.push(place);
        }
    }
    whole.serial_outcomes += one.serial_outcomes;
    whole.serial_runs += one.serial_runs;
    whole.repetitions = whole.repetitions.max(one.repetitions);
    whole.notes.extend(one.notes.into_iter().map(|note| format!("{named}: {note}")));
    for operation in one.operations {
        if !whole.operations.contains(&operation) {
            whole.operations.push(operation);
        }
    }
    if whole.choices.is_empty() && one.verdict == Verdict::Violated && !one.choices.is_empty() {
        whole.schedule = one.schedule;
        whole.choices = one.choices;
        whole.key = one.key;
        whole.nearest = one.nearest;
        whole.in_words = format!("{named}: {}", one.in_words);
        whole.differences = one.differences;
    }
}

/// The verdict on all: one that does not meet proves nothing, and takes nothing away from the others.
fn conclude(whole: &mut AsIfSerialReport, pairs: &[PairResult]) {
    let count = |mark: &str| pairs.iter().filter(|pair| pair.mark() == mark).count();
    let (races, open, apart) = (count(PairResult::RACE), count(PairResult::OPEN), count(PairResult::APART));
    let all = pairs.len();
    let first_open = pairs.iter().find(|pair| pair.mark() == PairResult::OPEN);
    (whole.verdict, whole.inconclusive) = if races > 0 {
        (Verdict::Violated, None)
    } else if let Some(pair) = first_open {
        let (named, why) = (pair.operations.join(" against "), &pair.in_words);
        (Verdict::Inconclusive, Some(format!("{open} of {all} choices of operations are not complete; {named}: {why}")))
    } else if apart == all {
        let text = "the requests do not meet: of no two operations, one wrote what the other read or wrote";
        (Verdict::Inconclusive, Some(text.to_owned()))
    } else {
        (Verdict::Holds, None)
    };
    whole.apart = apart == all;
    whole.sentences = match races {
        0 => Vec::new(),
        _ => vec![format!("{races} of {all} choices of operations have an interleaving that is like no order of them")],
    };
}

#[cfg(test)]
#[path = "pairs_tests.rs"]
mod tests;
