//! What all operations of a divided history say together.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::HistoryError;
use super::columns::Lates;
use super::divided::Divided;
use super::names::Names;
use super::parts::{Damage, each_member};
use super::segment::Segment;
use crate::history::{History, Late, OpId, Operation};

/// How much of a history is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// Of a segment that says what the last of its operations are, those alone: what is damaged is not met.
    Summaries,
    /// Every operation; then it is known what is damaged.
    Operations,
}

/// What was gathered, from how many operations, and what of them is damaged.
struct Met<T> {
    gathered: T,
    operations: u64,
    damage: Damage,
}

/// Late answers to operations that may be in any segment.
pub(super) struct Answers {
    /// Of several to one operation, the last.
    pub(super) late: FxHashMap<OpId, Late>,
    /// Which are answered, ascending.
    answered: Vec<OpId>,
}

impl Answers {
    pub(super) fn of(lates: impl Iterator<Item = (OpId, Late)>) -> Self {
        let late: FxHashMap<OpId, Late> = lates.collect();
        let mut answered: Vec<OpId> = late.keys().copied().collect();
        answered.sort_unstable();
        Answers { late, answered }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.answered.is_empty()
    }

    /// Attaches the one that answers an operation.
    pub(super) fn attach(&self, operation: &mut Operation) {
        if operation.is_unknown()
            && let Some(late) = self.late.get(&operation.id)
        {
            operation.late = Some(Box::new(late.clone()));
        }
    }
}

impl Divided {
    /// Meets operations, with the answers that came late, and so finds out what is missing. `meet` must gather from the last of each
    /// kind of operations what it gathers from all of them. What is gathered of one segment is joined with that of others. With
    /// what was gathered comes how many operations there are.
    pub(crate) fn survey<T: Send>(
        &mut self,
        meeting: Meeting,
        new: impl Fn() -> T + Sync + Send,
        meet: impl Fn(&mut T, &Operation) + Sync + Send,
        join: impl Fn(T, T) -> T + Sync + Send,
    ) -> Result<(T, u64), HistoryError> {
        let answers = Answers::of(self.lates()?.into_iter());
        let nothing = || Met { gathered: new(), operations: 0, damage: Damage::default() };
        let of_one = |segment: &Segment| match summarized(segment, meeting, &answers) {
            None => met(segment, &answers, nothing(), &meet),
            Some(latest) => {
                let mut all = nothing();
                latest.iter().for_each(|operation| meet(&mut all.gathered, operation));
                all.operations = segment.head.members.iter().map(|member| member.operations).sum();
                Ok(all)
            }
        };
        let joined = |one: Met<T>, mut other: Met<T>| {
            let mut damage = one.damage;
            damage.join(std::mem::take(&mut other.damage));
            Ok(Met {
                gathered: join(one.gathered, other.gathered),
                operations: one.operations + other.operations,
                damage,
            })
        };
        let all = self.segments.par_iter().map(of_one).try_reduce(nothing, joined)?;
        let mut damage = self.missing.clone();
        damage.join(all.damage);
        let lost = damage.lost(self.end, all.operations);
        if let Some(end) = self.end.filter(|end| lost.is_none() && end.operations != all.operations) {
            if meeting == Meeting::Summaries {
                return self.survey(Meeting::Operations, new, meet, join);
            }
            let reason = format!("its end line counts {} operations, there are {}", end.operations, all.operations);
            return Err(self.damaged(reason));
        }
        self.met = meeting == Meeting::Operations;
        self.ended = History {
            partial: self.end.is_none() || lost.is_some(),
            interrupted: self.end.is_some_and(|end| end.interrupted),
            lost,
            ..History::default()
        };
        Ok((all.gathered, all.operations))
    }

    /// Late answers to operations that may be in any segment, in the order in which they came.
    fn lates(&self) -> Result<Lates, HistoryError> {
        let of_one = |segment: &Segment| {
            let mut lates = Lates::new();
            // What is damaged is told by whoever reads the operations.
            each_member(
                segment,
                |member| member.is_shared(),
                |block| {
                    lates.extend(block.operations(&Names::default())?.1);
                    Some(())
                },
            )?;
            Ok(lates)
        };
        let all = self.segments.par_iter().map(of_one).collect::<Result<Vec<Lates>, HistoryError>>()?;
        Ok(all.into_iter().flatten().collect())
    }
}

/// The last operations of a segment, if nothing more of it has to be met.
fn summarized<'a>(segment: &'a Segment, meeting: Meeting, answers: &Answers) -> Option<&'a [Operation]> {
    let summary = segment.head.summary.as_ref().filter(|_| meeting == Meeting::Summaries)?;
    (!summary.may_lack(&answers.answered)).then_some(&summary.latest)
}

/// All operations of a segment. Member by member: else each processor had a whole segment in memory.
fn met<T>(
    segment: &Segment,
    answers: &Answers,
    nothing: Met<T>,
    meet: &(impl Fn(&mut T, &Operation) + Sync + Send),
) -> Result<Met<T>, HistoryError> {
    let mut all = nothing;
    let damaged = each_member(
        segment,
        |_| true,
        |block| {
            let (mut operations, _) = block.operations(&Names::default())?;
            all.operations += operations.len() as u64;
            for operation in &mut operations {
                answers.attach(operation);
                meet(&mut all.gathered, operation);
            }
            Some(())
        },
    )?;
    all.damage.extend(damaged);
    Ok(all)
}
