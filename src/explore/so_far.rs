//! What is known of an exploration while it goes on, for who follows it. Main types: [`SoFar`], [`Follows`].
//!
//! No verdict is made of it: that comes when all is over, from all there is. *Soundness*: an execution is counted as violated if
//! its answers prove it by themselves, if one of the user's own invariants became worse by it, or if the documents prove it that
//! were read long enough after it. *Completeness*: what is unlike every serial run is not counted. Which values differ from run to
//! run is learned at the end, and before that everything is unlike.
//! *Cost*: answers are judged at once; documents are read now and then, for a twentieth of the time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::evidence::{Documents, operations};
use super::execution::{Execution, Request};
use super::explorer::Explorer;
use super::schedule::Schedule;
use crate::history::{Operation, Phase};
use crate::scope::Scope;
use crate::verdict::{Invariant, Verdict};

/// Between two looks at the documents there is this many times as long as one takes.
const SHARE: u32 = 20;
/// How long one may take.
const LOOK_WITHIN: Duration = Duration::from_secs(10);
/// What a service may store a little after its answer, besides what the scenario allows it.
const STORED_WITHIN: Duration = Duration::from_secs(2);

/// How far an exploration is.
#[derive(Debug, Default)]
pub struct SoFar {
    /// Executions that are over.
    pub executions: AtomicU64,
    /// Those that violate an invariant, as far as that is known.
    pub violated: AtomicU64,
    /// The search is over, for the time being: what it found is judged.
    judging: AtomicBool,
}

impl SoFar {
    /// Whether a search goes on, or has not begun yet.
    pub fn is_searching(&self) -> bool {
        !self.judging.load(Ordering::Relaxed)
    }

    /// A search begins, or is over.
    pub(crate) fn set_searching(&self, on: bool) {
        self.judging.store(!on, Ordering::Relaxed);
    }
}

/// Follows an exploration.
pub trait Follows: Send {
    /// An execution is over, with these operations.
    fn recorded(&mut self, operations: &[Operation]);
    /// More or fewer executions are known to violate something; these are new, each with its second and in words.
    fn found(&mut self, so_far: &SoFar, new: &[(f64, String)]);
}

/// What an explorer keeps for who follows it.
#[derive(Default)]
pub(super) struct Watched<'a> {
    so_far: Arc<SoFar>,
    follows: Option<Box<dyn Follows + 'a>>,
    /// Documents may be looked at in between, so far apart at least.
    looks: Option<Duration>,
    /// The search is on.
    on: bool,
    violated: BTreeSet<usize>,
    /// The first execution of each schedule, which stands for all of it.
    first: HashMap<Schedule, usize>,
    next: Option<Instant>,
}

impl<'a> Explorer<'a> {
    /// Tells there how far it is. `looks` lets it read the documents now and then, in between executions, so far apart at least.
    pub fn telling(mut self, so_far: Arc<SoFar>, looks: Option<Duration>) -> Self {
        (self.watched.so_far, self.watched.looks) = (so_far, looks);
        self
    }

    /// Tells each execution as it ends, and what violates something.
    pub fn followed(mut self, by: Box<dyn Follows + 'a>) -> Self {
        self.watched.follows = Some(by);
        self
    }

    /// An execution is over.
    pub(super) fn tell_execution(&mut self, position: usize) {
        self.watched.so_far.executions.fetch_add(1, Ordering::Relaxed);
        let (execution, requests, phase) = &self.found.executions[position];
        if let Some(follows) = &mut self.watched.follows {
            follows.recorded(&operations(execution, requests, self.subject, *phase, self.start));
        }
    }

    /// The search begins, or is over.
    pub(super) fn watch_search(&mut self, on: bool) {
        self.watched.on = on;
        self.watched.so_far.set_searching(on);
        self.watched.next = self.watched.looks.map(|between| Instant::now() + between);
    }

    /// Tells what is known of an execution that is just over, and now and then of all.
    pub(super) async fn tell_violations(&mut self, position: usize) {
        if !self.watched.on {
            return;
        }
        self.name_first(position);
        if self.found.custom.contains_key(&position) || !self.proven(position, &Documents::new(None)).is_empty() {
            self.count_violated(vec![position]);
        }
        if self.watched.next.is_some_and(|next| next <= Instant::now()) {
            self.look_so_far().await;
        }
    }

    fn name_first(&mut self, position: usize) {
        let (execution, ..) = &self.found.executions[position];
        if !execution.steps.is_empty() {
            self.watched.first.entry(execution.schedule.clone()).or_insert(position);
        }
    }

    /// The execution that stands for this one: a schedule that is carried out again is no other violation.
    fn first(&self, position: usize) -> usize {
        let (execution, ..) = &self.found.executions[position];
        self.watched.first.get(&execution.schedule).copied().filter(|_| !execution.steps.is_empty()).unwrap_or(position)
    }

    /// What was told of an execution is taken back: it does not count.
    pub(super) fn untell(&mut self, position: usize) {
        self.watched.first.retain(|_, first| *first != position);
        if self.watched.violated.remove(&position) {
            self.watched.so_far.violated.fetch_sub(1, Ordering::Relaxed);
            self.tell_follower(&[]);
        }
    }

    /// Looks at everything that was carried out so far.
    async fn look_so_far(&mut self) {
        let begin = Instant::now();
        let target = Arc::clone(&self.target);
        self.pass();
        let read = Scope::new(LOOK_WITHIN, &self.stop).wait(target.observe()).await;
        self.hold();
        // What cannot be read now is read at the end.
        if let Ok(Ok(Some(observation))) = read {
            let documents = Documents::new(Some(&observation));
            let stored_by = begin.checked_sub(self.plan.settle.map_or(Duration::ZERO, |settle| settle + STORED_WITHIN));
            let over = self.over_by(stored_by);
            self.count_violated(over.filter(|position| !self.proven(*position, &documents).is_empty()).collect());
        }
        let between = self.watched.looks.map(|between| between.max(begin.elapsed() * SHARE));
        self.watched.next = between.map(|between| Instant::now() + between);
    }

    /// Executions of the search whose requests were all answered by then.
    fn over_by(&self, moment: Option<Instant>) -> impl Iterator<Item = usize> {
        let counts = move |(_, (execution, _, phase)): &(usize, &(Execution, Vec<usize>, Phase))| {
            let over = |request: &Request| {
                request.completed.zip(moment).is_some_and(|(completed, moment)| completed <= moment)
            };
            phase.is_main() && execution.stuck.is_none() && execution.requests.iter().all(over)
        };
        self.found.executions.iter().enumerate().filter(counts).map(|(position, _)| position)
    }

    /// Invariants that an execution proves to be violated, by its answers and these documents.
    fn proven(&self, position: usize, documents: &Documents<'_>) -> Vec<Invariant> {
        let (execution, requests, phase) = &self.found.executions[position];
        if self.plan.invariants.is_empty() || execution.stuck.is_some() {
            return Vec::new();
        }
        let operations = operations(execution, requests, self.subject, *phase, self.start);
        let (verdict, violated) = documents.verdict(&operations, &[], &self.plan.invariants);
        if verdict == Verdict::Violated { violated } else { Vec::new() }
    }

    /// Counts these executions as violated, and tells those of them that are new. Others may explore the same target after this
    /// one, and count on.
    fn count_violated(&mut self, positions: Vec<usize>) {
        let second = self.start.elapsed().as_secs_f64();
        let mut new = Vec::new();
        for position in positions.into_iter().map(|position| self.first(position)).collect::<BTreeSet<_>>() {
            if self.watched.violated.insert(position) {
                new.push((second, self.named(position)));
            }
        }
        if !new.is_empty() {
            self.watched.so_far.violated.fetch_add(new.len() as u64, Ordering::Relaxed);
            self.tell_follower(&new);
        }
    }

    fn tell_follower(&mut self, new: &[(f64, String)]) {
        if let Some(follows) = &mut self.watched.follows {
            follows.found(&self.watched.so_far, new);
        }
    }

    fn named(&self, position: usize) -> String {
        let (execution, ..) = &self.found.executions[position];
        match execution.steps.is_empty() {
            true => format!("execution {}", execution.number + 1),
            false => format!("schedule \"{}\": {}", execution.choices(), execution.named()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::explore::fake::Bench;

    #[tokio::test]
    async fn who_follows_knows_when_the_search_is_over_and_when_another_one_begins() {
        let bench = Bench::silent(Duration::from_millis(20)).await;
        let so_far = Arc::<SoFar>::default();
        for _ in 0..2 {
            let mut explorer = bench.explorer(CancellationToken::new()).telling(Arc::clone(&so_far), None);
            explorer.watch_search(true);
            assert!(so_far.is_searching());
            explorer.watch_search(false);
            assert!(!so_far.is_searching());
        }
    }
}
