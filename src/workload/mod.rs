//! Workloads: which operations are carried out, from a seed. What becomes of them is none of their business.

mod append;
mod create_or_get;
mod custom;
mod keys;
mod merge;
mod requests;
mod scenario;
pub mod thread;
mod unique;

use std::sync::Arc;

use rand::rngs::ChaCha8Rng;

use crate::history::{Action, Phase};
use crate::scenario::WorkloadKind;
use crate::verdict::Invariant;

pub use append::Append;
pub use create_or_get::{CreateOrGet, participants};
pub use custom::Custom;
pub use keys::KeyTable;
pub use merge::Merge;
pub use requests::{Asked, Operation, Requests};
pub use scenario::{blind_spots, invariants_of, of_scenario};
pub use thread::Threads;
pub use unique::Unique;

/// The place of an operation in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Part of the run.
    pub phase: Phase,
    /// Position of the client, from 0; it stays when the client goes on under a new number.
    pub client: u32,
    /// Round, or the client's own count.
    pub round: u32,
    /// Number of the key.
    pub key: u32,
    /// Whether all clients of this round come together on one fresh key: then each one must try to create.
    pub fresh: bool,
}

/// Generates operations. The same seed gives each client the same ones.
pub trait Workload: Send + Sync + 'static {
    /// The invariants that are judged when the scenario names none.
    fn invariants(&self) -> Vec<Invariant>;

    /// Canonical name of the key with this number.
    fn key(&self, phase: Phase, number: u32) -> Arc<str>;

    /// Whether the document of the key with this number is there before the run.
    fn exists_before(&self, _number: u32) -> bool {
        false
    }

    /// The operation of every request of an exploration, when a scenario names none: what the workload's race is about.
    /// Without one they are drawn.
    fn raced_operation(&self) -> Option<&'static str> {
        None
    }

    /// What a request of an exploration asks for; it is drawn where nothing is said.
    fn asked(&self, _asked: &Asked<'_>) -> Option<Action> {
        None
    }

    /// Number of the key on which requests of these operations meet: some let it decide what goes on with the key.
    fn number_for(&self, execution: u32, _operations: &[Operation]) -> u32 {
        execution
    }

    /// Whether documents must be there before requests of these operations meet on the key with this number.
    fn begins_with_documents(&self, number: u32, _operations: &[Operation]) -> bool {
        self.exists_before(number)
    }

    /// What the client asks for in this position. `random` is the client's own stream.
    fn action(&self, position: Position, random: &mut ChaCha8Rng) -> Action;

    /// The key that the action is on, where it is not the one that all clients of the position meet on.
    fn own_key(&self, _action: &Action, _position: Position, key: Arc<str>) -> Arc<str> {
        key
    }
}

/// The workload of this kind; [`of_scenario`] knows what a scenario says of it besides. The keys of a run are its own.
pub fn of_kind(kind: WorkloadKind, run_id: &str) -> Arc<dyn Workload> {
    let tag = tag(run_id);
    match kind {
        WorkloadKind::CreateOrGet => Arc::new(CreateOrGet::new(&tag)),
        WorkloadKind::Append => Arc::new(Append::new(&tag)),
        WorkloadKind::Merge => Arc::new(Merge::new(&tag, crate::scenario::Deliveries::default().max)),
        WorkloadKind::Custom => Arc::new(Custom::new(&tag, [])),
        WorkloadKind::Thread => Arc::new(Threads::new(&tag)),
        WorkloadKind::Unique => Arc::new(Unique::new(&tag)),
    }
}

/// FNV-1a: stable across versions and machines, which a standard hasher does not promise.
pub(crate) fn fnv(seed: u64, text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, step)
}

/// Seven characters that stand for a run: keys are read by people, and a whole run id on both sides of a pair is not.
pub fn tag(run_id: &str) -> String {
    let mut hash = fnv(0, run_id);
    let mut tag = String::from("r");
    for _ in 0..6 {
        tag.push(char::from_digit(u32::try_from(hash % 36).unwrap_or(0), 36).unwrap_or('0'));
        hash /= 36;
    }
    tag
}
