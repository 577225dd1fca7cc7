//! What a checker sees: the operations of one phase and the final documents, grouped by key.

use std::sync::{Arc, OnceLock};

use rustc_hash::{FxHashMap, FxHashSet};

use super::numbered::Keys;
use crate::history::{
    Effects, History, Id, KeyPart, Observation, Observed, OpId, Operation, Phase, SetAside, Source, Vanished,
};

/// Operations and final documents, grouped by their canonical key. Built once, read by every checker.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// All operations of the run, of both phases, ordered by number.
    run: &'a [Operation],
    /// Operations on keys that are judged elsewhere and that these, or documents, name.
    context: &'a [Operation],
    /// The keys that are judged here, where others are judged elsewhere.
    part: Option<KeyPart>,
    elsewhere: Elsewhere<'a>,
    /// Those of the phase.
    operations: &'a [Operation],
    observation: Option<&'a Observation>,
    /// Values and elements that were read for the user's own rules, and whether nothing was in flight then.
    effects: Option<(&'a Arc<Effects>, bool)>,
    /// Positions in `operations`, key after key.
    order: Vec<u32>,
    /// Positions in the observation's documents, key after key.
    document_order: Vec<u32>,
    groups: Vec<Group<'a>>,
    /// Documents that are stored under no key of the run, by identifier.
    set_aside: &'a [SetAside],
    vanished: Option<&'a Vanished>,
    /// Those of each key.
    set_aside_of: FxHashMap<&'a str, &'a SetAside>,
    /// Where the documents of the phase stand in the observation, by identifier; built when one is looked for.
    by_id: OnceLock<FxHashMap<Id, usize>>,
    /// Operations may be missing from the history.
    partial: bool,
    /// It is because of that.
    cut_short: bool,
}

/// Where operations are looked up.
struct Sources<'a> {
    run: &'a [Operation],
    context: &'a [Operation],
    part: Option<KeyPart>,
}

/// What a history lacks.
#[derive(Clone, Copy)]
struct Lacking {
    partial: bool,
    cut_short: bool,
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

/// Keys without an operation come after those with one, ordered by their first document.
const WITHOUT_OPERATIONS: u64 = 1 << 63;

/// Mark of the documents that are no evidence of this phase.
const LEFT_OUT: u32 = u32::MAX;

/// Keys that are not of this phase, among those that its operations do not have.
#[derive(Debug)]
enum Elsewhere<'a> {
    All,
    Keys(FxHashSet<&'a str>),
}

impl Elsewhere<'_> {
    fn has(&self, key: &str) -> bool {
        match self {
            Elsewhere::All => true,
            Elsewhere::Keys(keys) => keys.contains(key),
        }
    }
}

impl<'a> Evidence<'a> {
    /// Groups the evidence of one phase; the phases have no key in common. Keys keep the order of their first operation.
    ///
    /// Documents whose key belongs to the other phase are left out. Documents whose key no operation has at all come
    /// last, as evidence of the main phase. A history has fewer than `u32::MAX` operations.
    pub fn of_phase(history: &'a History, observation: Option<&'a Observation>, phase: Phase) -> Self {
        let elsewhere = match phase {
            Phase::Main => {
                Elsewhere::Keys(history.phase(Phase::Control).iter().map(|operation| &*operation.key).collect())
            }
            Phase::Control => Elsewhere::All,
        };
        let operations = history.phase(phase);
        let lacking = Lacking { partial: history.partial || history.of_a_shard, cut_short: history.partial };
        let sources = Sources { run: &history.operations, context: &history.context, part: history.part };
        Self::group(sources, operations, observation, elsewhere, lacking)
    }

    /// Groups the evidence of a history that has no phases.
    pub fn new(operations: &'a [Operation], observation: Option<&'a Observation>, partial: bool) -> Self {
        let lacking = Lacking { partial, cut_short: partial };
        let sources = Sources { run: operations, context: &[], part: None };
        Self::group(sources, operations, observation, Elsewhere::Keys(FxHashSet::default()), lacking)
    }

    fn group(
        Sources { run, context, part }: Sources<'a>,
        operations: &'a [Operation],
        observation: Option<&'a Observation>,
        elsewhere: Elsewhere<'a>,
        Lacking { partial, cut_short }: Lacking,
    ) -> Self {
        let effects = observation.map(|observation| (&observation.effects, observation.quiescent));
        let vanished = observation.and_then(|observation| observation.vanished.first());
        let observation = observation.filter(|observation| observation.source != Source::None);
        let documents = observation.map_or(&[][..], |observation| &observation.documents);
        let mut keys = Keys::default();
        let of_operation: Vec<u32> = operations.iter().map(|operation| keys.number(&operation.key)).collect();
        // The load's operations are of the part, so that none has the key of such a document.
        let judged_elsewhere = |key: &str| match (&elsewhere, part) {
            (Elsewhere::Keys(_), Some(part)) => !part.has(key),
            (Elsewhere::All, _) | (_, None) => false,
        };
        let of_document: Vec<u32> = documents
            .iter()
            .map(|document| match &*document.key {
                key if judged_elsewhere(key) => LEFT_OUT,
                key => match keys.numbers.get(key) {
                    Some(&number) => number,
                    None if elsewhere.has(key) => LEFT_OUT,
                    None => keys.number(&document.key),
                },
            })
            .collect();
        let (order, bounds) = counting_sort(&of_operation, keys.names.len());
        let (document_order, document_bounds) = counting_sort(&of_document, keys.names.len());
        let groups = keys
            .names
            .iter()
            .enumerate()
            .map(|(index, key)| Group {
                key,
                operations: bounds[index]..bounds[index + 1],
                documents: document_bounds[index]..document_bounds[index + 1],
            })
            .collect();
        let set_aside = observation.map_or(&[][..], |observation| &observation.set_aside);
        Evidence {
            set_aside,
            vanished,
            set_aside_of: set_aside.iter().map(|document| (&*document.key, document)).collect(),
            by_id: OnceLock::new(),
            run,
            context,
            part,
            elsewhere,
            operations,
            observation,
            effects,
            order,
            document_order,
            groups,
            partial,
            cut_short,
        }
    }

    /// The final state, if it was read at all.
    pub fn observation(&self) -> Option<&'a Observation> {
        self.observation
    }

    /// Values and elements that were read for the user's own rules, also where no document was.
    pub fn effects(&self) -> Option<&'a Arc<Effects>> {
        self.effects.map(|(effects, _)| effects)
    }

    /// Whether nothing of the run was in flight when they were read.
    pub fn effects_are_quiescent(&self) -> bool {
        self.effects.is_some_and(|(_, quiescent)| quiescent)
    }

    /// Whether operations may be missing.
    pub fn partial(&self) -> bool {
        self.partial
    }

    /// Whether they are because the run was cut short. Otherwise others have them, and what is here is judged as it is.
    pub fn cut_short(&self) -> bool {
        self.cut_short
    }

    /// The operation of this number, whichever phase it belongs to.
    pub fn operation(&self, id: OpId) -> Option<&'a Operation> {
        let found = |operations: &'a [Operation]| {
            let position = operations.binary_search_by_key(&id, |operation| operation.id).ok()?;
            operations.get(position)
        };
        found(self.run).or_else(|| found(self.context))
    }

    /// The operations of the serial control, ordered by number, whichever phase this is the evidence of.
    pub fn control(&self) -> &'a [Operation] {
        &self.run[..self.run.partition_point(|operation| operation.phase == Phase::Control)]
    }

    /// The phase's operations, ordered by number.
    pub fn operations(&self) -> impl ExactSizeIterator<Item = &'a Operation> + Clone + use<'a> {
        self.operations.iter()
    }

    /// The phase's final documents, key after key.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = &'a Observed> {
        let documents = self.observation.map_or(&[][..], |observation| &observation.documents);
        self.document_order.iter().map(move |&position| &documents[position as usize])
    }

    /// The final documents of the phase, also those of keys that are judged elsewhere, in the order in which they were read.
    pub fn all_documents(&self) -> impl Iterator<Item = &'a Observed> {
        let documents = self.observation.map_or(&[][..], |observation| &observation.documents);
        let (all, own) = match &self.elsewhere {
            Elsewhere::Keys(_) => (documents, &[][..]),
            Elsewhere::All => (&[][..], self.document_order.as_slice()),
        };
        let of_phase = all.iter().filter(|document| !self.elsewhere.has(&document.key));
        of_phase.chain(own.iter().map(move |&position| &documents[position as usize]))
    }

    /// The document of this identifier, whatever its key and its phase.
    pub(super) fn document(&self, id: &Id) -> Option<&'a Observed> {
        let documents = &self.observation?.documents;
        let by_id = || documents.iter().enumerate().map(|(at, document)| (document.id.clone(), at)).collect();
        documents.get(*self.by_id.get_or_init(by_id).get(id)?)
    }

    /// The document of this identifier, if it is stored under no key of the run.
    pub(super) fn set_aside(&self, id: &Id) -> Option<&'a SetAside> {
        let at = self.set_aside.binary_search_by(|document| document.id.cmp(id)).ok()?;
        self.set_aside.get(at)
    }

    /// A document that seems to be this key's and is stored under no key of the run.
    pub(super) fn set_aside_of(&self, key: &str) -> Option<&'a SetAside> {
        self.set_aside_of.get(key).copied()
    }

    /// Whether any document is stored under no key of the run.
    pub(super) fn has_set_aside(&self) -> bool {
        !self.set_aside.is_empty()
    }

    /// Something that is gone, though no operation asked for that: then what is missing elsewhere proves nothing either.
    pub(super) fn vanished(&self) -> Option<&'a Vanished> {
        self.vanished
    }

    /// Whether other keys are judged elsewhere.
    pub(crate) fn is_part(&self) -> bool {
        self.part.is_some()
    }

    /// Whether what belongs to no single key is looked at here.
    pub fn is_first_part(&self) -> bool {
        self.part.is_none_or(KeyPart::is_first)
    }

    /// Where a key stands among all keys of the run: the order in which checkers meet them. What is no key comes last.
    pub(super) fn place_of(&self, key: &str) -> u64 {
        let index = self.groups.iter().position(|group| group.key == key);
        index.map_or(u64::MAX, |index| self.key(index).place())
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
    /// Where the key stands among all keys of the run.
    pub(super) fn place(&self) -> u64 {
        let document = || self.document_order.first().map_or(u64::MAX, |at| WITHOUT_OPERATIONS + u64::from(*at));
        self.operations().next().map_or_else(document, |operation| operation.id.0)
    }

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

/// Positions sorted by their group, stable, and where each group begins; the last bound is the length. What is left out
/// is not in the result.
fn counting_sort(groups: &[u32], count: usize) -> (Vec<u32>, Vec<usize>) {
    let mut bounds = vec![0_usize; count + 1];
    for &group in groups.iter().filter(|&&group| group != LEFT_OUT) {
        bounds[group as usize + 1] += 1;
    }
    for index in 0..count {
        bounds[index + 1] += bounds[index];
    }
    let mut next = bounds.clone();
    let mut order = vec![0_u32; bounds[count]];
    for (position, &group) in (0_u32..).zip(groups) {
        if group != LEFT_OUT {
            let slot = &mut next[group as usize];
            order[*slot] = position;
            *slot += 1;
        }
    }
    (order, bounds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Action, Outcome, Value};

    fn get(op: u64, key: &str, phase: Phase) -> Operation {
        Operation {
            phase,
            ..crate::history::fixture::operation(op, key, Action::Get, [0, 1], Outcome::Ok(Value::Found(None)))
        }
    }

    fn document(number: u8, key: &str) -> Observed {
        crate::history::fixture::observed([number; 12].into(), key)
    }

    /// Each key with the numbers of its operations and the count of its documents.
    fn summary(evidence: &Evidence<'_>) -> Vec<(String, Vec<u64>, usize)> {
        let of = |key: KeyEvidence<'_>| {
            let numbers = key.operations().map(|operation| operation.id.0).collect();
            (key.key.to_owned(), numbers, key.documents().len())
        };
        evidence.keys().map(of).collect()
    }

    #[test]
    fn each_phase_has_its_own_keys_and_documents() {
        let (control, main) = (Phase::Control, Phase::Main);
        let operations =
            vec![get(1, "c", control), get(2, "b", main), get(3, "a", main), get(4, "b", main), get(5, "a", main)];
        let history = History { operations, ..History::default() };
        let documents = vec![document(1, "a"), document(2, "b"), document(3, "b"), document(4, "c"), document(5, "d")];
        let observation = Observation { source: Source::Memory, quiescent: true, documents, ..Observation::default() };
        let evidence = Evidence::of_phase(&history, Some(&observation), main);
        let expected = [("b".to_owned(), vec![2, 4], 2), ("a".to_owned(), vec![3, 5], 1), ("d".to_owned(), vec![], 1)];
        assert_eq!(summary(&evidence), expected);
        assert_eq!(evidence.documents().len(), 4);
        assert_eq!(evidence.operation(OpId(1)).map(|operation| &*operation.key), Some("c"));
        assert!(evidence.operation(OpId(6)).is_none());
        let evidence = Evidence::of_phase(&history, Some(&observation), control);
        assert_eq!(summary(&evidence), [("c".to_owned(), vec![1], 1)]);
    }
}
