//! Does the scenario describe the service? Before anybody is accused, what the scenario says of answers and documents is
//! held against those that were seen.
//!
//! - Property: each thing that the scenario says is so in at least one case: its paths lead to something in answers, an
//!   answered identifier is a stored one, a key of the run is found in documents, flags and stamps agree with each other.
//! - Soundness: a row says that the scenario is wrong only if what it says is so in none of the cases. What is so in some
//!   cases and not in others is evidence against the service, and is left to the checkers.
//! - Completeness: a mistake that happens to fit some case is not found here.
//! - Cost: one pass over operations and documents for each row.

mod answers;
mod context;
mod documents;
mod flags;
mod lists;
mod orders;
mod search;
mod statuses;
#[cfg(test)]
mod tests;
mod threads;

use std::borrow::Cow;

use self::context::Context;
use crate::history::{Exchange, History, Observation, Sightings};
use crate::report::{Fit, FitRow};
use crate::scenario::Scenario;
use crate::target::http::describe;
use crate::verdict::{Invariant, InvariantResult, Verdict};

/// Longest answer or document that is quoted.
const LONGEST: usize = 400;
/// Answers that are quoted.
const QUOTED: usize = 8;

/// Holds the scenario against what was seen of the service, in both phases.
pub fn fit(
    scenario: &Scenario,
    run_id: &str,
    history: &History,
    observation: Option<&Observation>,
    sightings: &Sightings,
) -> Fit {
    let context = Context::new(scenario, history, observation, sightings);
    let mut rows = answers::rows(&context);
    rows.extend(flags::rows(&context));
    rows.extend(orders::rows(&context));
    rows.extend(statuses::rows(&context));
    rows.extend(lists::rows(&context));
    rows.extend(threads::rows(&context));
    rows.extend(documents::rows(&context));
    let wrong = rows.iter().find(|row| row.never()).map(|row| row.setting.clone()).unwrap_or_default();
    Fit {
        answers: quoted(&context, scenario, run_id, &wrong),
        document: document(&context),
        others: sightings.documents.others,
        rows,
    }
}

/// A result that rests on a description that fits nothing: what it accuses of, and what it grants, is not known. What an
/// answer leaked, and what the user's own aggregations found, does not rest on it; a rule that compares with what was answered does.
pub(super) fn doubted(result: InvariantResult, misfit: Option<&str>, scenario: &Scenario) -> InvariantResult {
    const DOUBT: &str = "the scenario does not describe this service";
    if misfit.is_none() {
        return result;
    }
    let independent = match &result.name {
        Invariant::NoLeakedErrors => true,
        Invariant::Custom(name) => scenario.invariants.iter().any(|own| *own.name == **name),
        _ => false,
    };
    if result.verdict == Verdict::Violated && !independent {
        return InvariantResult { checked: result.checked, ..InvariantResult::inconclusive(result.name, DOUBT) };
    }
    result.weaken(DOUBT)
}

/// One answer of each operation with its request, those of the setting that is wrong first.
fn quoted(context: &Context<'_>, scenario: &Scenario, run_id: &str, wrong: &str) -> Vec<String> {
    let mut first: Vec<&Exchange> = Vec::new();
    for answer in &context.sightings.answers {
        if !first.iter().any(|known| known.operation == answer.operation) {
            first.push(answer);
        }
    }
    let concerned = |answer: &Exchange| match &*answer.operation {
        "observe" => wrong.starts_with("observe.http"),
        name => wrong.starts_with(&format!("target.http.operations.{name}.")),
    };
    first.sort_by_key(|answer| !concerned(answer));
    let quote = |answer: &&Exchange| {
        let operation = answer.op.and_then(|op| context.operation(op));
        let request = operation.and_then(|operation| describe(scenario, run_id, operation));
        let request = request.map_or(Cow::from(&*answer.operation), Cow::from);
        shortened(&format!("{request} → HTTP {} {}", answer.status, answer.body))
    };
    first.iter().take(QUOTED).map(quote).collect()
}

/// A document of the run, or else one of the others.
fn document(context: &Context<'_>) -> Option<String> {
    let collection = context.scenario.observe.mongo.as_ref().map(|mongo| mongo.collection.as_str());
    let place = |collection: Option<&str>| collection.map(|name| format!("{name} ")).unwrap_or_default();
    let own = context.documents.first().map(|document| format!("{}{}", place(collection), document.fields));
    let other = || {
        let sample = context.sightings.documents.samples.first()?;
        Some(format!("{}{}", place(Some(&sample.collection)), sample.fields))
    };
    own.or_else(other).map(|text| shortened(&text))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.trim_end().to_owned(),
    }
}

/// Counts cases.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Cases {
    looked_at: u64,
    fitting: u64,
}

impl Cases {
    fn count(&mut self, fits: bool) {
        self.looked_at += 1;
        self.fitting += u64::from(fits);
    }

    fn row(
        self,
        setting: impl Into<String>,
        expected: impl Into<String>,
        found: impl FnOnce() -> Option<String>,
    ) -> FitRow {
        let Cases { looked_at, fitting } = self;
        let never = looked_at > 0 && fitting == 0;
        FitRow {
            setting: setting.into(),
            expected: expected.into(),
            looked_at,
            fitting,
            optional: false,
            not_required: 0,
            found: if never { found() } else { None },
        }
    }
}
