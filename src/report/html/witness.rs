//! A witness as a space-time diagram: a lane per operation, time to the right; beside it what is stored.
//!
//! Bars stretch with the page and labels wrap below them, so that a phone shows all of it.

use minijinja::context;

use super::time::Span;
use super::{code, keys, stored};
use crate::history::{OpId, Operation};
use crate::report::answer::{answer, asked};
use crate::report::document::shell;
use crate::report::format::{middle, plural, visible};
use crate::report::junit::cut;
use crate::report::key_history::lanes;
use crate::report::{KeyHistory, Report};
use crate::verdict::Witness;

const MAX_LANES: usize = 24;
const MAX_DOCUMENT: usize = 4_096;
/// Documents that are seen at once; the others unfold.
const SHOWN_DOCUMENTS: usize = 3;
const MAX_DOCUMENTS: usize = 24;

/// What the template shows of a witness.
pub(super) fn context(report: &Report, witness: &Witness) -> minijinja::Value {
    let mut documents: Vec<String> = witness
        .documents
        .iter()
        .take(MAX_DOCUMENTS)
        .map(|document| cut(visible(&shell(document)).into_owned(), MAX_DOCUMENT))
        .collect();
    let left_out = witness.documents.len() - documents.len();
    let folded = documents.split_off(documents.len().min(SHOWN_DOCUMENTS));
    let number = report.keys.iter().position(|history| history.key == witness.key);
    let history = number.and_then(|number| report.keys.get(number));
    let operations = lanes(witness, history, MAX_LANES);
    let span = Span::of(&operations);
    let shown: Vec<OpId> = operations.iter().map(|operation| operation.id).collect();
    context! {
        key => visible(&witness.key),
        anchor => number.map(keys::anchor),
        explanation => code(&without_requests(&witness.explanation, history)),
        time => span.as_ref().map(Span::context),
        lanes => span.as_ref().map(|span| {
            let lane = |(number, operation): (usize, &&Operation)| lane(span, number, operation, witness, history);
            operations.iter().enumerate().map(lane).collect::<Vec<_>>()
        }),
        unanswered => operations.iter().any(|operation| operation.is_unknown()),
        waited => operations.iter().any(|operation| operation.started() > operation.invoked),
        more_lanes => (witness.operations.len() > MAX_LANES)
            .then(|| plural((witness.operations.len() - MAX_LANES) as u64, "more operation")),
        stored => history.and_then(|history| stored::context(history, &shown)),
        found => !witness.documents.is_empty(),
        documents => documents,
        folded_are => plural(folded.len() as u64, "more document"),
        folded => folded,
        more => (left_out > 0).then(|| plural(left_out as u64, "more document")),
    }
}

/// The explanation alone, where each lane has its request.
fn without_requests(explanation: &str, history: Option<&KeyHistory>) -> String {
    let told = history.is_some_and(|history| !history.requests.is_empty());
    let end = explanation.find(". Requests: ").filter(|_| told).unwrap_or(explanation.len());
    explanation[..end].to_owned()
}

fn lane(
    span: &Span,
    number: usize,
    operation: &Operation,
    witness: &Witness,
    history: Option<&KeyHistory>,
) -> minijinja::Value {
    let proves = witness.operations.iter().any(|other| other.id == operation.id);
    let request = history.and_then(|history| history.request(operation.id));
    context! {
        id => operation.id.to_string(),
        client => operation.client,
        colour => number % super::COLOURS,
        bar => span.bar(operation, number % super::COLOURS),
        from => span.moment(operation.invoked),
        to => span.moment(operation.completed),
        asked => middle(&visible(&asked(operation)), 160),
        answer => middle(&visible(&answer(operation)), 160),
        wrong => !operation.is_ok(),
        request => request.map(visible),
        beside => !proves,
        overwrites => history.is_some_and(|history| history.may_be_overwritten(&witness.operations)),
    }
}
