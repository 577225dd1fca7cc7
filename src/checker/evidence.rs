//! What a checker sees: the operations of one phase and the final documents, grouped by key.

use rustc_hash::FxHashMap;

use crate::history::{Observation, Observed, Operation};

/// Operations and final documents, grouped by their canonical key. Built once, read by every checker.
#[derive(Debug)]
pub struct Evidence<'a> {
    operations: &'a [Operation],
    observation: Option<&'a Observation>,
    /// Positions in `operations`, key after key.
    order: Vec<u32>,
    /// Positions in the observation's documents, key after key.
    document_order: Vec<u32>,
    groups: Vec<Group<'a>>,
    /// The history was cut short: an operation may be missing from it.
    partial: bool,
}

#[derive(Debug)]
struct Group<'a> {
    key: &'a str,
    operations: std::ops::Range<usize>,
    documents: std::ops::Range<usize>,
}

/// The evidence on one key.
#[derive(Debug, Clone, Copy)]
pub struct KeyEvidence<'a> {
    /// The canonical key.
    pub key: &'a str,
    operations: &'a [Operation],
    order: &'a [u32],
    documents: &'a [Observed],
    document_order: &'a [u32],
}

impl<'a> Evidence<'a> {
    /// Groups the evidence. Keys keep the order of their first operation; keys that only the documents know come last.
    ///
    /// `operations` holds one phase, ordered by number, at most `u32::MAX` of them.
    pub fn new(operations: &'a [Operation], observation: Option<&'a Observation>, partial: bool) -> Self {
        let documents = observation.map_or(&[][..], |observation| &observation.documents);
        let mut number = FxHashMap::<&str, u32>::default();
        let mut keys = Vec::new();
        let mut numbered = |key: &'a str| {
            *number.entry(key).or_insert_with(|| {
                keys.push(key);
                u32::try_from(keys.len() - 1).unwrap_or(u32::MAX)
            })
        };
        let of_operation: Vec<u32> = operations.iter().map(|operation| numbered(&operation.key)).collect();
        let of_document: Vec<u32> = documents.iter().map(|document| numbered(&document.key)).collect();
        let (order, bounds) = counting_sort(&of_operation, keys.len());
        let (document_order, document_bounds) = counting_sort(&of_document, keys.len());
        let groups = keys
            .iter()
            .enumerate()
            .map(|(index, key)| Group {
                key,
                operations: bounds[index]..bounds[index + 1],
                documents: document_bounds[index]..document_bounds[index + 1],
            })
            .collect();
        Evidence { operations, observation, order, document_order, groups, partial }
    }

    /// Whether the final state was read at all.
    pub fn observation(&self) -> Option<&'a Observation> {
        self.observation
    }

    /// Whether operations may be missing.
    pub fn partial(&self) -> bool {
        self.partial
    }

    /// All operations, ordered by number.
    pub fn operations(&self) -> &'a [Operation] {
        self.operations
    }

    /// The evidence on each key.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = KeyEvidence<'_>> {
        (0..self.groups.len()).map(|index| self.key(index))
    }

    /// The evidence on the key of this index, from 0 to the number of keys.
    pub fn key(&self, index: usize) -> KeyEvidence<'_> {
        let group = &self.groups[index];
        KeyEvidence {
            key: group.key,
            operations: self.operations,
            order: &self.order[group.operations.clone()],
            documents: self.observation.map_or(&[][..], |observation| &observation.documents),
            document_order: &self.document_order[group.documents.clone()],
        }
    }
}

impl<'a> KeyEvidence<'a> {
    /// The key's operations, ordered by number.
    pub fn operations(&self) -> impl ExactSizeIterator<Item = &'a Operation> + Clone + use<'a> {
        let operations = self.operations;
        self.order.iter().map(move |&position| &operations[position as usize])
    }

    /// The key's documents in the final state.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = &'a Observed> + Clone + use<'a> {
        let documents = self.documents;
        self.document_order.iter().map(move |&position| &documents[position as usize])
    }
}

/// Positions sorted by their group, stable, and where each group begins; the last bound is the length.
fn counting_sort(groups: &[u32], count: usize) -> (Vec<u32>, Vec<usize>) {
    let mut bounds = vec![0_usize; count + 1];
    for &group in groups {
        bounds[group as usize + 1] += 1;
    }
    for index in 0..count {
        bounds[index + 1] += bounds[index];
    }
    let mut next = bounds.clone();
    let mut order = vec![0_u32; groups.len()];
    for (position, &group) in (0_u32..).zip(groups) {
        let slot = &mut next[group as usize];
        order[*slot] = position;
        *slot += 1;
    }
    (order, bounds)
}
