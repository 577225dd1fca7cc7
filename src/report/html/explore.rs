//! The interleavings on the page: how many, which violate, and the smallest as lanes of boxes.

use minijinja::context;

use crate::report::format::visible;
use crate::report::terminal::explore_sentence;
use crate::report::{Diagram, DiagramStep, ExploreReport};

/// What the template shows of an exploration.
pub(super) fn context(explore: &ExploreReport) -> minijinja::Value {
    let schedules = explore.schedules.iter().map(|result| {
        let invariants = result.invariants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        context! {
            schedule => visible(&result.schedule),
            choices => result.choices.as_str(),
            verdict => result.verdict.as_str(),
            mark => super::mark(result.verdict),
            invariants => visible(&invariants),
        }
    });
    let together = explore.together.as_ref().map(|together| {
        format!(
            "Writes released into the server at once: {} of {} attempts violate.",
            together.violated, together.attempts
        )
    });
    let smallest = explore.smallest.as_ref().map(|smallest| {
        context! {
            schedule => visible(&smallest.result.schedule),
            replay => visible(&smallest.replay),
            lanes => smallest.diagram.lanes.iter()
                .map(|lane| context! { name => visible(&lane.name), outcome => visible(&lane.outcome) })
                .collect::<Vec<_>>(),
            steps => smallest.diagram.steps.iter().map(|step| row(&smallest.diagram, step)).collect::<Vec<_>>(),
        }
    });
    context! {
        sentence => explore_sentence(explore),
        together => together,
        bound => explore.bound.as_deref(),
        schedules => schedules.collect::<Vec<_>>(),
        smallest => smallest,
        notes => explore.notes.iter().map(|note| visible(note).into_owned()).collect::<Vec<_>>(),
    }
}

/// One command: a box in its lane, nothing in the others.
fn row(diagram: &Diagram, step: &DiagramStep) -> minijinja::Value {
    let own = usize::try_from(step.request).unwrap_or(usize::MAX);
    let cells = (0..diagram.lanes.len()).map(|lane| {
        (lane == own).then(|| {
            context! {
                command => visible(&step.command),
                filter => visible(&step.filter),
                change => visible(&step.change),
                answer => visible(&step.answer),
                writes => step.writes,
            }
        })
    });
    context! { number => step.release + 1, cells => cells.collect::<Vec<_>>() }
}
