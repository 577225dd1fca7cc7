//! Names of the keys of a run, made once and shared by all operations on them.

use std::sync::Arc;

use super::Workload;
use crate::history::Phase;

/// The keys of both phases.
#[derive(Debug, Clone)]
pub struct KeyTable {
    control: Vec<Arc<str>>,
    /// Those of the load, and one that nobody has when it ends.
    main: Vec<Arc<str>>,
}

impl KeyTable {
    /// Names so many keys of each phase, and one more of the main phase.
    pub fn new(workload: &dyn Workload, control: u32, main: u32) -> Self {
        let named = |phase, count| (0..count).map(|number| workload.key(phase, number)).collect();
        KeyTable { control: named(Phase::Control, control), main: named(Phase::Main, main.saturating_add(1)) }
    }

    /// The keys whose documents are there before the run.
    pub fn existing(&self, workload: &dyn Workload) -> Vec<Arc<str>> {
        let of = |keys: &[Arc<str>]| -> Vec<Arc<str>> {
            (0..)
                .zip(keys)
                .filter(|(number, _)| workload.exists_before(*number))
                .map(|(_, key)| Arc::clone(key))
                .collect()
        };
        [of(&self.control), of(&self.main[..self.main.len() - 1])].concat()
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
