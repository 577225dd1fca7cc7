//! Of operations that are alike but for their time, the one that began last: [`latest`].

use std::mem::{Discriminant, discriminant};

use rustc_hash::FxHashMap;

use super::{Action, Operation, Outcome, Phase, Value};

/// What operations are alike in. Whatever is gathered of when the last of some operations began, and of their names, must follow
/// from the last one of each kind: who tells operations apart by anything else has to tell it apart here, too.
#[derive(PartialEq, Eq, Hash)]
struct Kind<'a> {
    phase: Phase,
    action: Discriminant<Action>,
    /// Those of an operation of the user's own may be called like another one.
    name: &'a str,
    outcome: Shape,
    late: Option<Shape>,
}

/// What came of one.
#[derive(PartialEq, Eq, Hash)]
enum Shape {
    Something,
    /// A read that found nothing.
    Nothing,
    Failed,
    Unknown,
}

impl Shape {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Ok(value) if value.found_nothing() => Shape::Nothing,
            Outcome::Ok(_) => Shape::Something,
            Outcome::Failed(_) => Shape::Failed,
            Outcome::Unknown(_) => Shape::Unknown,
        }
    }
}

/// Of each kind of operations the one that began last, ordered by number; without the lists that they show, which may be long.
pub(crate) fn latest(operations: &[Operation]) -> Vec<Operation> {
    let mut latest: FxHashMap<Kind<'_>, &Operation> = FxHashMap::default();
    for operation in operations {
        let kind = Kind {
            phase: operation.phase,
            action: discriminant(&operation.action),
            name: operation.action.name(),
            outcome: Shape::of(&operation.outcome),
            late: operation.late.as_ref().map(|late| Shape::of(&late.outcome)),
        };
        let known = latest.entry(kind).or_insert(operation);
        if known.invoked < operation.invoked {
            *known = operation;
        }
    }
    let mut latest: Vec<Operation> = latest.into_values().cloned().collect();
    latest.sort_unstable_by_key(|operation| operation.id);
    for operation in &mut latest {
        let late = operation.late.as_mut().map(|late| &mut late.outcome);
        for outcome in late.into_iter().chain([&mut operation.outcome]) {
            if let Outcome::Ok(Value::Messages(seen)) = outcome {
                seen.body = None;
            }
        }
    }
    latest
}
