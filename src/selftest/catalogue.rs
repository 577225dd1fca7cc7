//! The planted bugs as data. An identifier names the kind of bug: `C` create-or-get, `A` append, `M` merge, `G` threads;
//! `S2` and `S4` are bugs that only one of the described systems had, `I3` a lie and `I5` a mutual refusal that have no other
//! name.

use crate::scenario::WorkloadKind;
use crate::target::memory::Lie;
use crate::verdict::Invariant;

/// A planted bug.
#[derive(Debug, Clone)]
pub struct Planted {
    /// The kind of bug, such as `C1`.
    pub id: &'static str,
    /// What carries the bug.
    pub bug: Plant,
    /// What must catch it. Whatever else is violated besides, is shown and proves nothing.
    pub by: Invariant,
    /// Who comes together.
    pub crowd: Crowd,
    /// Rounds after which it has escaped.
    pub budget: u32,
    /// The strategy without the bug, which must not be accused.
    pub twin: Plant,
}

/// What operations are carried out by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// A strategy on MongoDB.
    Mongo {
        /// The workload.
        workload: WorkloadKind,
        /// The strategy.
        strategy: &'static str,
        /// Whether the unique index stands behind it.
        unique_index: bool,
        /// Instances of the service, each with locks of its own.
        instances: u32,
    },
    /// The in-memory store, with a lie.
    Memory(Lie),
}

/// Who comes together in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowd {
    /// Few at a time, in turn: two, four, eight.
    Few,
    /// Some more, for lists: two, eight, twenty-four.
    Many,
    /// For threads, whose keys take turns at what goes on: four, sixteen.
    Families,
    /// For the shortest window of all, which lies within the server: two, eight, thirty-two.
    InServer,
}

impl Crowd {
    /// Clients per round; rounds are shared out among them.
    pub fn clients(self) -> &'static [u32] {
        match self {
            Crowd::Few => &[2, 4, 8],
            Crowd::Many => &[2, 8, 24],
            Crowd::Families => &[4, 16],
            Crowd::InServer => &[2, 8, 32],
        }
    }

    /// Rounds of a bug's first slice: each count of clients, and each kind of key, comes up.
    pub fn first_slice(self) -> u32 {
        match self {
            Crowd::Few => 3,
            Crowd::Many => 6,
            Crowd::Families => 8,
            Crowd::InServer => 30,
        }
    }

    /// Rounds of a twin: many times what almost every bug needs.
    pub fn twin_rounds(self) -> u32 {
        match self {
            Crowd::Few | Crowd::Many | Crowd::InServer => 90,
            Crowd::Families => 80,
        }
    }
}

impl Plant {
    /// The workload's name.
    pub fn workload(&self) -> WorkloadKind {
        match self {
            Plant::Mongo { workload, .. } => *workload,
            Plant::Memory(_) => WorkloadKind::CreateOrGet,
        }
    }

    /// The strategy, or what the store does.
    pub fn name(&self) -> String {
        match self {
            Plant::Mongo { strategy, instances: 1, .. } => (*strategy).to_owned(),
            Plant::Mongo { strategy, instances, .. } => format!("{strategy}, {instances} instances"),
            Plant::Memory(lie) => format!("in memory: {}", lie.name()),
        }
    }

    /// Whether a unique index stands behind it; nothing in memory has one.
    pub fn unique_index(&self) -> bool {
        matches!(self, Plant::Mongo { unique_index: true, .. })
    }
}

const fn mongo(workload: WorkloadKind, strategy: &'static str, unique_index: bool) -> Plant {
    Plant::Mongo { workload, strategy, unique_index, instances: 1 }
}

const fn chat(strategy: &'static str, unique_index: bool) -> Plant {
    mongo(WorkloadKind::CreateOrGet, strategy, unique_index)
}

const fn append(strategy: &'static str) -> Plant {
    mongo(WorkloadKind::Append, strategy, true)
}

const fn merge(strategy: &'static str) -> Plant {
    mongo(WorkloadKind::Merge, strategy, true)
}

const fn thread(strategy: &'static str) -> Plant {
    mongo(WorkloadKind::Thread, strategy, true)
}

const fn twice(workload: WorkloadKind, strategy: &'static str, unique_index: bool) -> Plant {
    Plant::Mongo { workload, strategy, unique_index, instances: 2 }
}

/// Rounds until a race that strikes in one round of a few has struck almost surely, on one processor too.
const BUDGET: u32 = 2_000;

const fn few(id: &'static str, bug: Plant, by: Invariant, twin: Plant) -> Planted {
    Planted { id, bug, by, crowd: Crowd::Few, budget: BUDGET, twin }
}

const fn many(id: &'static str, bug: Plant, by: Invariant, twin: Plant) -> Planted {
    Planted { id, bug, by, crowd: Crowd::Many, budget: BUDGET, twin }
}

const fn families(id: &'static str, bug: Plant, by: Invariant, twin: Plant) -> Planted {
    Planted { id, bug, by, crowd: Crowd::Families, budget: BUDGET, twin }
}

const RETRY: Plant = chat("upsert-retry", true);
const FIRST: Plant = chat("insert-first", true);
const PUSH: Plant = append("upsert-push");
const ONCE: Plant = merge("conditional-push");
const KEYED: Plant = thread("keyed-upsert");
const HONEST: Plant = Plant::Memory(Lie::Honest);

/// Every planted bug.
pub const CATALOGUE: &[Planted] = &[
    few("C1", chat("find-then-insert", false), Invariant::SingleDocument, RETRY),
    Planted {
        id: "C2",
        bug: chat("upsert", false),
        by: Invariant::SingleDocument,
        crowd: Crowd::InServer,
        budget: 6000,
        twin: RETRY,
    },
    few("C3", chat("upsert-fresh-id", false), Invariant::SingleDocument, RETRY),
    few("C3", chat("upsert-fresh-id", true), Invariant::NoLeakedErrors, RETRY),
    few("C4", chat("find-then-insert", true), Invariant::NoLeakedErrors, FIRST),
    few("C5", chat("error-swallowed", true), Invariant::SameId, FIRST),
    few("C9", chat("return-before", true), Invariant::SameId, RETRY),
    few("A19", chat("stale-reads", true), Invariant::CreateOrGetLinearizable, RETRY),
    few("I5", chat("step-back", true), Invariant::SomebodyServed, FIRST),
    few("C8", chat("local-id", true), Invariant::SameId, RETRY),
    few("C10", chat("unsorted-key", true), Invariant::SingleDocument, RETRY),
    few("C15", chat("insert-first", false), Invariant::SingleDocument, FIRST),
    few("C18", chat("upsert-set", true), Invariant::InsertFieldsIntact, RETRY),
    few("C19", chat("create-then-fill", true), Invariant::InsertFieldsIntact, FIRST),
    few(
        "C20",
        twice(WorkloadKind::CreateOrGet, "lock-in-memory", false),
        Invariant::SingleDocument,
        twice(WorkloadKind::CreateOrGet, "lock-collection", false),
    ),
    few("C1", Plant::Memory(Lie::CheckThenAct), Invariant::SingleDocument, HONEST),
    few("C4", Plant::Memory(Lie::LeakedError), Invariant::NoLeakedErrors, HONEST),
    few("C8", Plant::Memory(Lie::WrongId), Invariant::SameId, HONEST),
    few("C18", Plant::Memory(Lie::Overwritten), Invariant::InsertFieldsIntact, HONEST),
    few("C26", Plant::Memory(Lie::LostWrite), Invariant::SingleDocument, HONEST),
    few("I3", Plant::Memory(Lie::AlwaysCreated), Invariant::CreatedOnce, HONEST),
    many("A1", append("whole-array"), Invariant::NoLostMessages, append("whole-array-versioned")),
    many("A2", append("version-ignored"), Invariant::NoLostMessages, append("whole-array-versioned")),
    many("A4", append("push-retry"), Invariant::NoDuplicateMessages, append("push-retry-guarded")),
    many("A7", append("unmatched-push"), Invariant::NoLostMessages, PUSH),
    many("A9", append("capped-push"), Invariant::NoLostMessages, PUSH),
    many("A10", append("skip-repeats"), Invariant::NoLostMessages, PUSH),
    many("A12", append("length-as-sequence"), Invariant::AppendOrder, append("sequence-in-update")),
    many("A13", append("sort-by-clock"), Invariant::AppendOrder, PUSH),
    many("A14", append("last-message-later"), Invariant::AppendOrder, PUSH),
    many("A16", mongo(WorkloadKind::Append, "find-then-save", false), Invariant::SingleDocument, append("save-retry")),
    many("C4", append("find-then-save"), Invariant::NoLostMessages, append("save-retry")),
    many("C17", mongo(WorkloadKind::Append, "path-in-filter", false), Invariant::SingleDocument, PUSH),
    many("C18", append("upsert-set"), Invariant::InsertFieldsIntact, PUSH),
    many("S2", append("push-separately"), Invariant::PairAdjacent, PUSH),
    many("M1", merge("find-then-push"), Invariant::MergeOnce, merge("lock-collection")),
    many("M2", merge("wrong-path"), Invariant::MergeOnce, ONCE),
    many("M3", merge("elem-match-ne"), Invariant::NoFalseDedupe, ONCE),
    many("M4", merge("conditional-push-upsert"), Invariant::NoLeakedErrors, ONCE),
    many("M4", mongo(WorkloadKind::Merge, "conditional-push-upsert", false), Invariant::SingleDocument, ONCE),
    many("M5", merge("upsert-swallowed"), Invariant::NoFalseDedupe, ONCE),
    many("M6", merge("missing-is-merged"), Invariant::NoFalseDedupe, ONCE),
    many("M7", merge("retry-new-id"), Invariant::MergeOnce, ONCE),
    many("M8", merge("type-drift"), Invariant::MergeOnce, ONCE),
    many("M10", merge("null-id"), Invariant::NoFalseDedupe, ONCE),
    many("M11", merge("dedupe-window"), Invariant::MergeOnce, ONCE),
    many("M16", merge("loser-claims"), Invariant::MergeOnce, ONCE),
    many(
        "C20",
        twice(WorkloadKind::Merge, "lock-in-memory", true),
        Invariant::MergeOnce,
        twice(WorkloadKind::Merge, "lock-collection", true),
    ),
    few("C21", merge("lock-expires"), Invariant::MergeOnce, merge("lock-collection")),
    many("S4", merge("wrong-key"), Invariant::NoFalseDedupe, ONCE),
    many("S4", merge("double-push"), Invariant::NoDuplicateMessages, ONCE),
    families("G1", thread("members-push"), Invariant::MembersExact, thread("members-add-to-set")),
    families("G2", thread("recompute-key"), Invariant::MembersExact, KEYED),
    families("G3", thread("members-overwrite"), Invariant::MembersExact, thread("members-versioned")),
    families("G4", mongo(WorkloadKind::Thread, "find-then-insert", false), Invariant::OneThreadPerSet, KEYED),
    families("G5", thread("loser-silent"), Invariant::NoLostMessages, KEYED),
    families("G7", thread("unread-set-zero"), Invariant::DerivedFieldsExact, thread("unread-in-update")),
    families("G8", thread("authorise-then-act"), Invariant::AdminsOnly, KEYED),
    families("G8", thread("no-authorisation"), Invariant::AdminsOnly, KEYED),
    families("C4", thread("find-then-insert"), Invariant::NoLeakedErrors, KEYED),
    families("C10", thread("unsorted-key"), Invariant::OneThreadPerSet, KEYED),
    families("C19", thread("create-then-fill"), Invariant::OneThreadPerSet, KEYED),
];
