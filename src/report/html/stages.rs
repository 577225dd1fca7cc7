//! The stages of a load, on the page.

use minijinja::context;

use super::chart;
use crate::report::Report;
use crate::report::stages::{TITLES, course, rows, sentence};

/// What the template shows; nothing of a load without stages.
pub(super) fn context(report: &Report) -> Option<minijinja::Value> {
    if report.stages.is_empty() {
        return None;
    }
    let histograms = (1..).zip(&report.stages).flat_map(|(number, stage): (usize, _)| {
        stage.operations.iter().flat_map(move |(operation, stats)| {
            let distributions = stats.distribution.iter().filter(|(_, buckets)| !buckets.is_empty());
            distributions.map(move |(outcome, buckets)| {
                let name = format!("{number}: {}, {operation}, {outcome}", course(stage));
                context! { name => name, svg => chart::histogram(buckets) }
            })
        })
    });
    Some(context! {
        sentence => sentence(report),
        titles => TITLES,
        rows => rows(report),
        histograms => histograms.collect::<Vec<_>>(),
    })
}
