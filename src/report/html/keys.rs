//! Every operation of a key, a row for each client and time to the right; and the same as a table.

use std::collections::BTreeMap;

use minijinja::context;

use super::escape;
use super::time::Span;
use crate::history::Operation;
use crate::report::answer::{answer, asked};
use crate::report::format::{micros, middle, plural, visible};
use crate::report::{KeyHistory, Report};

const LONGEST_TEXT: usize = 160;

/// Where a key stands on the page.
pub(super) fn anchor(number: usize) -> String {
    format!("key-{}", number + 1)
}

/// What the template shows of the keys.
pub(super) fn context(report: &Report) -> Vec<minijinja::Value> {
    report.keys.iter().enumerate().filter_map(|(number, history)| key(report, number, history)).collect()
}

fn key(report: &Report, number: usize, history: &KeyHistory) -> Option<minijinja::Value> {
    let operations: Vec<&Operation> = history.operations.iter().collect();
    let span = Span::of(&operations)?;
    let witnesses = report.invariants.iter().flat_map(|result| &result.witnesses);
    let proving: Vec<_> = witnesses
        .filter(|witness| witness.key == history.key)
        .flat_map(|witness| witness.operations.iter().map(|operation| operation.id))
        .collect();
    let mut clients: BTreeMap<u32, Vec<&Operation>> = BTreeMap::new();
    for operation in &operations {
        clients.entry(operation.client).or_default().push(operation);
    }
    let row = |(client, own): (&u32, &Vec<&Operation>)| {
        let bars: String = own
            .iter()
            .map(|operation| {
                let proof = if proving.contains(&operation.id) { " class=\"proof\"" } else { "" };
                let title = escape(&format!("{}: {}", operation.id, told(operation)));
                format!("<g{proof}><title>{title}</title>{}</g>", span.bar(operation, 0))
            })
            .collect();
        context! { client => client, bars }
    };
    Some(context! {
        anchor => anchor(number),
        key => visible(&history.key),
        are => plural(history.operations.len() as u64 + history.left_out, "operation"),
        of_clients => plural(clients.len() as u64, "client"),
        left_out => (history.left_out > 0).then(|| plural(history.left_out, "operation")),
        time => span.context(),
        rows => clients.iter().map(row).collect::<Vec<_>>(),
        operations => operations.iter().map(|operation| table_row(&span, history, operation)).collect::<Vec<_>>(),
    })
}

fn told(operation: &Operation) -> String {
    middle(&visible(&format!("{} → {}", asked(operation), answer(operation))), LONGEST_TEXT).into_owned()
}

fn table_row(span: &Span, history: &KeyHistory, operation: &Operation) -> minijinja::Value {
    let request = history.request(operation.id);
    context! {
        id => operation.id.to_string(),
        client => operation.client,
        from => span.moment(operation.invoked),
        took => micros(operation.completed.saturating_sub(operation.invoked) as f64 / 1e3),
        asked => request.map_or_else(|| visible(&asked(operation)).into_owned(), |request| visible(request).into_owned()),
        answer => middle(&visible(&answer(operation)), LONGEST_TEXT),
        state => if operation.is_ok() { "" } else if operation.is_unknown() { "inconclusive" } else { "violated" },
    }
}
