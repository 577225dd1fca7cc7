//! A run from several shards: how far its times can be trusted, and what of it is there.
//!
//! *Soundness*: on a key that several shards worked on, each operation is judged as if it had begun as early and ended as late
//! as the clocks allow, so that two of them are ordered only where no doubt is left; overlap is counted there only as far as it
//! is certain, the other way round. On a key that one shard alone worked on, its own clock orders. *Completeness*: on a key of
//! several shards, operations of one and the same shard that are closer than the clocks are uncertain are not ordered either.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::history::{History, Late, Nanos, OpId, Operation, Phase};
use crate::report::ShardReport;
use crate::shard::{Shard, ShardRecord, ShardState};
use crate::stats::is_answered;
use crate::verdict::{Invariant, InvariantResult};

/// What a shard can judge by its own answers: each accusation rests on answers that contradict each other, whatever others did.
const BY_ONE: [Invariant; 5] = [
    Invariant::SingleDocument,
    Invariant::SameId,
    Invariant::CreatedOnce,
    Invariant::CreateOrGetLinearizable,
    Invariant::NoLeakedErrors,
];

/// The shard that carried an operation out.
pub(super) fn shard_of(operation: &Operation, shards: &[ShardRecord]) -> usize {
    match operation.phase {
        // The first does what is done once.
        Phase::Control => 0,
        Phase::Main => operation.client as usize % shards.len().max(1),
    }
}

/// Positions of the operations on keys that several shards worked on.
fn shared(history: &History, shards: &[ShardRecord]) -> Vec<bool> {
    let mut owners: FxHashMap<&str, Option<usize>> = FxHashMap::default();
    for operation in &history.operations {
        let shard = shard_of(operation, shards);
        owners
            .entry(&operation.key)
            .and_modify(|owner| *owner = owner.filter(|one| *one == shard))
            .or_insert(Some(shard));
    }
    history.operations.iter().map(|operation| owners.get(&*operation.key).is_some_and(Option::is_none)).collect()
}

/// The history with other times for the operations on keys of several shards.
fn with_times(
    history: &History,
    shards: &[ShardRecord],
    times: impl Fn(&ShardRecord, &Operation) -> [Nanos; 2],
) -> History {
    let operations = history.operations.iter().zip(shared(history, shards)).map(|(operation, shared)| {
        let Some(shard) = shards.get(shard_of(operation, shards)).filter(|_| shared) else { return operation.clone() };
        let [invoked, completed] = times(shard, operation);
        let late = operation.late.as_ref().map(|late| {
            Box::new(Late { completed: shard.clock.latest(late.completed), outcome: late.outcome.clone() })
        });
        Operation { invoked, completed, late, ..operation.clone() }
    });
    history.with_operations(operations.collect())
}

/// The history as it is judged: nothing is ordered that may have been the other way round.
pub(super) fn doubted<'a>(history: &'a History, shards: &[ShardRecord]) -> Cow<'a, History> {
    if shards.len() < 2 {
        return Cow::Borrowed(history);
    }
    Cow::Owned(with_times(history, shards, |shard, operation| {
        [shard.clock.earliest(operation.invoked), shard.clock.latest(operation.completed)]
    }))
}

/// An understood history with the times that were recorded, for whatever is measured.
pub(super) fn as_recorded<'a>(understood: &'a History, recorded: &History, shards: &[ShardRecord]) -> Cow<'a, History> {
    if shards.len() < 2 {
        return Cow::Borrowed(understood);
    }
    let operations = understood.operations.iter().zip(&recorded.operations).map(|(understood, recorded)| Operation {
        invoked: recorded.invoked,
        connected: recorded.connected,
        completed: recorded.completed,
        ..understood.clone()
    });
    Cow::Owned(understood.with_operations(operations.collect()))
}

/// The histories by which overlap is counted: where several shards met only as far as it is certain, and each shard alone.
pub(super) fn overlapping<'a>(recorded: &'a History, shards: &[ShardRecord]) -> Vec<Cow<'a, History>> {
    if shards.len() < 2 {
        return vec![Cow::Borrowed(recorded)];
    }
    let certain = with_times(recorded, shards, |shard, operation| {
        let began = shard.clock.latest(operation.started());
        // What may have ended before it certainly began was in flight for no time that can be named.
        [began, shard.clock.earliest(operation.completed).max(began)]
    });
    let shared = shared(recorded, shards);
    let certain = History {
        operations: certain
            .operations
            .into_iter()
            .zip(shared)
            .filter(|(operation, shared)| !shared || operation.invoked < operation.completed)
            .map(|(operation, shared)| Operation { connected: operation.connected.filter(|_| !shared), ..operation })
            .collect(),
        ..certain
    };
    let alone = (0..shards.len()).map(|index| {
        let own = recorded.operations.iter().filter(|operation| shard_of(operation, shards) == index);
        Cow::Owned(recorded.with_operations(own.cloned().collect()))
    });
    std::iter::once(Cow::Owned(certain)).chain(alone).collect()
}

/// Operations that may have begun after somebody had been answered with the document: not every view shows that answer.
pub(super) fn late(recorded: &History, shards: &[ShardRecord]) -> FxHashSet<OpId> {
    if shards.len() < 2 {
        return FxHashSet::default();
    }
    // When each shard's first answer came, by its own clock.
    let mut first: FxHashMap<&str, Vec<Option<Nanos>>> = FxHashMap::default();
    for operation in recorded.operations.iter().filter(|operation| is_answered(operation)) {
        let of_key = first.entry(&operation.key).or_insert_with(|| vec![None; shards.len()]);
        let answered = &mut of_key[shard_of(operation, shards)];
        *answered = Some(answered.unwrap_or(Nanos::MAX).min(operation.returned()));
    }
    let is_late = |operation: &&Operation| {
        let (own, began) = (shard_of(operation, shards), operation.started());
        let answered = first.get(&*operation.key).into_iter().flatten().enumerate();
        answered.into_iter().any(|(shard, answered)| {
            answered.is_some_and(|answered| match shard == own {
                true => answered < began,
                false => shards[shard].clock.earliest(answered) < shards[own].clock.latest(began),
            })
        })
    };
    recorded.operations.iter().filter(is_late).map(|operation| operation.id).collect()
}

/// The history of one shard that is judged by itself: operations of others are missing.
pub(super) fn alone<'a>(history: Cow<'a, History>, shard: Option<&ShardRecord>) -> Cow<'a, History> {
    match shard {
        Some(shard) if shard.shard.of > 1 => Cow::Owned(History { of_a_shard: true, ..history.into_owned() }),
        _ => history,
    }
}

/// What one of several shards judges by itself.
pub(super) fn judged_alone(invariants: Vec<Invariant>, shard: Option<&ShardRecord>) -> Vec<Invariant> {
    match shard {
        Some(shard) if shard.shard.of > 1 => invariants.into_iter().filter(|one| BY_ONE.contains(one)).collect(),
        _ => invariants,
    }
}

/// Results without those of which one shard alone saw nothing: they are judged when all are there.
pub(super) fn seen_alone(results: Vec<InvariantResult>, shard: Option<&ShardRecord>) -> Vec<InvariantResult> {
    match shard {
        Some(shard) if shard.shard.of > 1 => results.into_iter().filter(|result| result.checked > 0).collect(),
        _ => results,
    }
}

/// What readers of one shard's report are told.
pub(super) fn note(shard: Option<&ShardRecord>) -> Option<String> {
    let Shard { index, of } = shard?.shard;
    (of > 1).then(|| {
        format!(
            "shard {index} of {of}: only what its own answers show is judged here; `onlyone merge` judges all shards together"
        )
    })
}

/// Why a run with these shards proves nothing.
pub(super) fn reasons(shards: &[ShardRecord]) -> Vec<String> {
    let of = shards.len();
    let such = |state: ShardState| {
        let such = shards.iter().filter(move |shard| shard.state == state).map(|shard| shard.shard.index.to_string());
        such.collect::<Vec<_>>()
    };
    let said = |state, one: &str, many: &str| {
        let such = such(state);
        match such.len() {
            0 => None,
            1 => Some(format!("shard {} of {of} {one}", such.join(", "))),
            _ => Some(format!("shards {} of {of} {many}", such.join(", "))),
        }
    };
    [
        said(
            ShardState::Missing,
            "is missing: what it did, and whether it ended, is not known",
            "are missing: what they did, and whether they ended, is not known",
        ),
        said(
            ShardState::Died,
            "died: its history ends in the middle, and operations may be missing",
            "died: their histories end in the middle, and operations may be missing",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The shards as reports show them.
pub(super) fn shown(shards: &[ShardRecord], own: Option<&ShardRecord>, recorded: &History) -> Vec<ShardReport> {
    let all = if shards.is_empty() { own.map(std::slice::from_ref).unwrap_or_default() } else { shards };
    let shown = |shard: &ShardRecord| {
        let own =
            |operation: &&Operation| shards.is_empty() || shard_of(operation, shards) == shard.shard.index as usize;
        let moments: Vec<Nanos> = recorded
            .operations
            .iter()
            .filter(own)
            .flat_map(|operation| [operation.invoked, operation.completed])
            .collect();
        let moments = || moments.iter().copied();
        // Between two marks the bounds are widest somewhere in the middle: every moment that was used is asked.
        let widths = moments().map(|at| shard.clock.difference(at).map(|difference| difference.uncertainty()));
        let uncertainty = widths.reduce(|one, other| Some(one?.max(other?))).flatten();
        ShardReport {
            shard: shard.shard.to_string(),
            state: shard.state,
            clients: shard.clients,
            operations: recorded.operations.iter().filter(own).count() as u64,
            #[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]
            clock_uncertainty_us: uncertainty.map(|ns| ns as f64 / 1e3),
            clock: shard.clock.reference.clone(),
            final_state: shard.observed_at_ns.is_some(),
        }
    };
    all.iter().map(shown).collect()
}

#[cfg(test)]
#[path = "shards_tests.rs"]
mod tests;
