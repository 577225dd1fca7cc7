//! The interleavings on the page: how many, which violate, the smallest as lanes of boxes, and each to step through.

use minijinja::context;
use serde::Serialize;

use crate::report::format::{count, visible};
use crate::report::terminal::explore_sentence;
use crate::report::{Diagram, DiagramStep, ExploreReport, ScheduleResult, Smallest};

/// What the template shows of an exploration.
pub(super) fn context(explore: &ExploreReport) -> minijinja::Value {
    let mut drawn = explore.smallest.iter().len();
    let schedules = explore.schedules.iter().map(|result| {
        let steps = result.diagram.as_ref().map(|_| {
            drawn += 1;
            drawn - 1
        });
        schedule(result, steps)
    });
    let together = explore.together.as_ref().map(|together| {
        format!(
            "Writes released into the server at once: {} of {} attempts violate.",
            together.violated, together.attempts
        )
    });
    let listed = explore.schedules.len() as u64;
    context! {
        sentence => explore_sentence(explore),
        together => together,
        bound => explore.bound.as_deref(),
        schedules => schedules.collect::<Vec<_>>(),
        listed => count(listed),
        more => (explore.explored > listed).then(|| count(explore.explored - listed)),
        notes => explore.notes.iter().map(|note| visible(note).into_owned()).collect::<Vec<_>>(),
    }
}

fn schedule(result: &ScheduleResult, steps: Option<usize>) -> minijinja::Value {
    let invariants = result.invariants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    context! {
        schedule => visible(&result.schedule),
        choices => result.choices.as_str(),
        verdict => result.verdict.as_str(),
        mark => super::mark(result.verdict),
        invariants => visible(&invariants),
        steps,
    }
}

/// The smallest violation, as lanes of boxes.
pub(super) fn smallest(smallest: &Smallest) -> minijinja::Value {
    let diagram = &smallest.diagram;
    context! {
        schedule => visible(&smallest.result.schedule),
        replay => visible(&smallest.replay),
        lanes => diagram.lanes.iter()
            .map(|lane| context! { name => visible(&lane.name), outcome => visible(&lane.outcome) })
            .collect::<Vec<_>>(),
        steps => diagram.steps.iter().map(|step| row(diagram, step)).collect::<Vec<_>>(),
        stored => stored(diagram),
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

/// A schedule for the script that steps through it.
#[derive(Serialize)]
struct Walk<'a> {
    name: String,
    lanes: Vec<String>,
    outcomes: Vec<String>,
    steps: Vec<WalkStep<'a>>,
    /// After each release.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stored: Vec<Vec<String>>,
}

#[derive(Serialize)]
struct WalkStep<'a> {
    request: u32,
    release: u32,
    /// The command with what it asks for.
    asks: String,
    answer: std::borrow::Cow<'a, str>,
    writes: bool,
}

/// The schedules that can be stepped through, the smallest first, as data.
pub(super) fn walks(explore: &ExploreReport) -> Result<Option<String>, serde_json::Error> {
    let smallest = explore.smallest.iter().map(|smallest| (&smallest.result.schedule, &smallest.diagram));
    let others = explore.schedules.iter().filter_map(|result| Some((&result.schedule, result.diagram.as_ref()?)));
    let walks: Vec<Walk<'_>> = smallest.chain(others).map(|(name, diagram)| walk(name, diagram)).collect();
    if walks.is_empty() {
        return Ok(None);
    }
    Ok(Some(super::in_block(&serde_json::to_string(&walks)?)))
}

fn walk<'a>(name: &str, diagram: &'a Diagram) -> Walk<'a> {
    let step = |step: &'a DiagramStep| {
        let asks = [&step.command, &step.filter, &step.change].map(|part| visible(part).into_owned());
        WalkStep {
            request: step.request,
            release: step.release,
            asks: asks.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" "),
            answer: visible(&step.answer),
            writes: step.writes,
        }
    };
    Walk {
        name: visible(name).into_owned(),
        lanes: diagram.lanes.iter().map(|lane| visible(&lane.name).into_owned()).collect(),
        outcomes: diagram.lanes.iter().map(|lane| visible(&lane.outcome).into_owned()).collect(),
        steps: diagram.steps.iter().map(step).collect(),
        stored: stored(diagram),
    }
}

fn stored(diagram: &Diagram) -> Vec<Vec<String>> {
    let readable = |documents: &Vec<String>| documents.iter().map(|text| visible(text).into_owned()).collect();
    diagram.stored.iter().map(readable).collect()
}
