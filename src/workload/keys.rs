//! Names of the keys of a run, made once and shared by all operations on them.

use std::sync::Arc;

use super::Workload;
use crate::history::Phase;

/// The keys of both phases.
#[derive(Debug, Clone)]
pub struct KeyTable {
    control: Vec<Arc<str>>,
    main: Vec<Arc<str>>,
}

impl KeyTable {
    /// Names so many keys of each phase.
    pub fn new(workload: &dyn Workload, control: u32, main: u32) -> Self {
        let named = |phase, count| (0..count).map(|number| workload.key(phase, number)).collect();
        KeyTable { control: named(Phase::Control, control), main: named(Phase::Main, main) }
    }

    /// The key with this number; numbers beyond the last begin again.
    pub fn get(&self, phase: Phase, number: u32) -> Arc<str> {
        let keys = match phase {
            Phase::Control => &self.control,
            Phase::Main => &self.main,
        };
        Arc::clone(&keys[number as usize % keys.len()])
    }
}
