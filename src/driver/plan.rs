//! A scenario resolved: what will be run, to the operation.

use std::sync::Arc;
use std::time::Duration;

use crate::scenario::{Keys, Limits, Load, Scenario};
use crate::shard::Shard;
use crate::verdict::Invariant;

/// Clients that take turns in the serial control.
pub(super) const CONTROL_CLIENTS: u32 = 4;

/// What will be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Identifier of the run.
    pub run_id: Arc<str>,
    /// Root of all randomness.
    pub seed: u64,
    /// How operations are let go.
    pub load: Load,
    /// Deadlines and the serial control.
    pub limits: Limits,
    /// Invariants that the run is not judged by: what breaks them ends no load.
    pub ignored: Vec<Invariant>,
}

/// A round in which clients come together on one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    /// Its number, unique in the run.
    pub(super) number: u32,
    /// Number of its key.
    pub(super) key: u32,
    /// Clients that act; the others only wait.
    pub(super) acting: u32,
    /// Number of its first operation, counted from the first of the main phase.
    pub(super) first_op: u64,
}

/// Rounds with the same clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Clients at the barrier.
    pub(super) clients: u32,
    pub(super) rounds: Vec<Round>,
    /// Largest random offset of a start.
    pub(super) jitter: Duration,
}

impl Plan {
    /// Resolves a scenario.
    pub fn new(scenario: &Scenario, run_id: &str, seed: u64) -> Self {
        let mut limits = scenario.limits.clone();
        // A request that nothing sends again is given up after its own time-out; it goes on in the background, so that an
        // answer that comes late is still attached.
        if let Some(http) = scenario.target.http().filter(|http| http.retries == 0) {
            limits.operation_deadline = limits.operation_deadline.min(http.timeout);
        }
        Plan {
            run_id: Arc::from(run_id),
            seed,
            load: scenario.load.clone(),
            limits,
            ignored: scenario.expect.ignore.clone(),
        }
    }

    /// Operations of the serial control, and the keys that they need.
    pub(super) fn control(&self) -> (u32, u32) {
        let operations = self.limits.serial_control;
        (operations, operations.div_ceil(CONTROL_CLIENTS))
    }

    /// Keys of the main phase.
    pub(super) fn keys(&self) -> u32 {
        match &self.load {
            Load::Burst { rounds, .. } | Load::Waves { rounds, .. } => *rounds,
            Load::Closed { keys, .. }
            | Load::Open { keys, .. }
            | Load::RampingClients { keys, .. }
            | Load::RampingRate { keys, .. } => match keys {
                Keys::Uniform { count } | Keys::Zipf { count, .. } => *count,
            },
        }
    }

    /// Operations of the main phase, where the load fixes them.
    pub fn operations(&self) -> Option<u64> {
        match &self.load {
            Load::Burst { .. } | Load::Waves { .. } => Some(
                self.segments().iter().flat_map(|segment| &segment.rounds).map(|round| u64::from(round.acting)).sum(),
            ),
            Load::Closed { operations, .. } => *operations,
            Load::Open { .. } | Load::RampingClients { .. } | Load::RampingRate { .. } => None,
        }
    }

    /// Those of one shard.
    pub fn operations_of(&self, shard: Shard) -> Option<u64> {
        let acting = |round: &Round| shard.share(round.acting.into());
        match &self.load {
            Load::Burst { .. } | Load::Waves { .. } => {
                Some(self.segments().iter().flat_map(|segment| &segment.rounds).map(acting).sum())
            }
            Load::Closed { operations, .. } => operations.map(|all| shard.share(all)),
            Load::Open { .. } | Load::RampingClients { .. } | Load::RampingRate { .. } => None,
        }
    }

    /// Operations of the load and of the serial control, which comes before, where that is known.
    pub fn all_operations(&self) -> Option<u64> {
        self.operations().map(|operations| operations + u64::from(self.control().0))
    }

    /// One more round after those of a burst or of waves, in which one client comes alone, on a key of its own.
    pub(super) fn closing(&self) -> Option<Segment> {
        let segments = self.segments();
        let last = segments.iter().flat_map(|segment| &segment.rounds).max_by_key(|round| round.number)?;
        let first_op = last.first_op + u64::from(last.acting);
        let round = Round { number: last.number + 1, key: last.key + 1, acting: 1, first_op };
        Some(Segment { clients: 1, rounds: vec![round], jitter: Duration::ZERO })
    }

    /// Rounds of a burst or of waves; none of any other load.
    pub(super) fn segments(&self) -> Vec<Segment> {
        let mut numbers = Numbers::default();
        match &self.load {
            Load::Burst { clients, rounds, jitter } => {
                let shares = u32::try_from(clients.len()).unwrap_or(u32::MAX).max(1);
                (0_u32..)
                    .zip(clients)
                    .map(|(index, &clients)| {
                        let own = rounds / shares + u32::from(index < rounds % shares);
                        let rounds = (0..own).map(|_| numbers.next(clients, true)).collect();
                        Segment { clients, rounds, jitter: *jitter }
                    })
                    .collect()
            }
            Load::Waves { sizes, rounds } => {
                let clients = sizes.iter().copied().max().unwrap_or(0);
                let one = |_| sizes.iter().enumerate().map(|(wave, &size)| (size, wave == 0)).collect::<Vec<_>>();
                let rounds = (0..*rounds).flat_map(one).map(|(size, fresh)| numbers.next(size, fresh)).collect();
                vec![Segment { clients, rounds, jitter: Duration::ZERO }]
            }
            Load::Closed { .. } | Load::Open { .. } | Load::RampingClients { .. } | Load::RampingRate { .. } => {
                Vec::new()
            }
        }
    }
}

/// Takes the round that comes first of all: one of the most clients. None where there would be no other.
pub(super) fn take_first(segments: &mut [Segment]) -> Option<Segment> {
    let rounds: usize = segments.iter().map(|segment| segment.rounds.len()).sum();
    let filled = segments.iter_mut().filter(|segment| !segment.rounds.is_empty());
    let widest = filled.max_by_key(|segment| segment.clients).filter(|_| rounds > 1)?;
    let first = widest.rounds.remove(0);
    Some(Segment { rounds: vec![first], ..widest.clone() })
}

/// Takes the round that comes next, in the order in which segments have them.
pub(super) fn take_next(segments: &mut [Segment]) -> Option<Segment> {
    let segment = segments.iter_mut().find(|segment| !segment.rounds.is_empty())?;
    let next = segment.rounds.remove(0);
    Some(Segment { rounds: vec![next], ..segment.clone() })
}

/// Hands out numbers of rounds, keys and operations.
#[derive(Default)]
struct Numbers {
    round: u32,
    keys: u32,
    op: u64,
}

impl Numbers {
    fn next(&mut self, acting: u32, fresh_key: bool) -> Round {
        self.keys += u32::from(fresh_key);
        let round = Round { number: self.round, key: self.keys.saturating_sub(1), acting, first_op: self.op };
        self.round += 1;
        self.op += u64::from(acting);
        round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(load: Load) -> Plan {
        let limits = Limits {
            operation_deadline: Duration::from_secs(1),
            drain: Duration::from_secs(1),
            after_violation: Duration::from_secs(1),
            serial_control: 10,
            min_effective_trials: 1,
            max_unknown: 0.05,
            memory: crate::scenario::MemorySize::default(),
        };
        Plan { run_id: Arc::from("r"), seed: 1, load, limits, ignored: Vec::new() }
    }

    type Shape = Vec<(u32, Vec<(u32, u32, u32, u64)>)>;

    fn shape(plan: &Plan) -> Shape {
        let round = |round: &Round| (round.number, round.key, round.acting, round.first_op);
        plan.segments().iter().map(|segment| (segment.clients, segment.rounds.iter().map(round).collect())).collect()
    }

    #[test]
    fn client_counts_share_the_rounds_and_each_round_has_a_fresh_key() {
        let plan = plan(Load::Burst { clients: vec![2, 3], rounds: 3, jitter: Duration::ZERO });
        assert_eq!(shape(&plan), [(2, vec![(0, 0, 2, 0), (1, 1, 2, 2)]), (3, vec![(2, 2, 3, 4)])]);
        assert_eq!(plan.operations(), Some(7));
    }

    #[test]
    fn the_first_round_is_one_of_the_most_clients_and_comes_once() {
        let burst = |rounds| plan(Load::Burst { clients: vec![2, 3], rounds, jitter: Duration::ZERO }).segments();
        let mut segments = burst(4);
        let first = take_first(&mut segments).unwrap();
        assert_eq!((first.clients, first.rounds.len(), first.rounds[0].number), (3, 1, 2));
        let left: Vec<u32> = segments.iter().flat_map(|segment| &segment.rounds).map(|round| round.number).collect();
        assert_eq!(left, [0, 1, 3]);
        assert!(take_first(&mut burst(1)).is_none(), "it would be the whole load");
    }

    #[test]
    fn waves_of_one_round_share_a_key() {
        let plan = plan(Load::Waves { sizes: vec![1, 1, 5], rounds: 2 });
        let expected = vec![(0, 0, 1, 0), (1, 0, 1, 1), (2, 0, 5, 2), (3, 1, 1, 7), (4, 1, 1, 8), (5, 1, 5, 9)];
        assert_eq!(shape(&plan), [(5, expected)]);
        assert_eq!(plan.operations(), Some(14));
        let closing = plan.closing().unwrap();
        let round = Round { number: 6, key: 2, acting: 1, first_op: 14 };
        assert_eq!((closing.clients, closing.rounds), (1, vec![round]), "the next of everything");
    }

    #[test]
    fn the_control_has_keys_for_all_its_operations() {
        assert_eq!(plan(Load::Waves { sizes: vec![1], rounds: 1 }).control(), (10, 3));
    }
}
