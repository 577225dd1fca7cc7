//! Known kinds of bugs that this table does not plant, each with the reason. What is not tried is not claimed.

/// Kinds of bugs that are not planted, for one reason.
#[derive(Debug, Clone, Copy)]
pub struct NotPlanted {
    /// The kinds.
    pub ids: &'static [&'static str],
    /// Why.
    pub reason: &'static str,
}

/// Every kind that is not planted.
pub const NOT_PLANTED: &[NotPlanted] = &[
    NotPlanted {
        ids: &["C6", "C24", "C25", "C27", "M17"],
        reason: "needs a replica set or shards (secondary reads, transactions, shard keys); the trials run on one standalone server",
    },
    NotPlanted {
        ids: &["C23", "A5", "A6", "A15", "A18", "A23", "M12", "G6"],
        reason: "needs a fault in mid-operation (a lost reply, a pause, a killed process); stress alone does not produce it",
    },
    NotPlanted { ids: &["G14"], reason: "needs message identifiers chosen by clients, which no workload sends" },
    NotPlanted {
        ids: &["C7", "C13", "C14", "C16", "M9"],
        reason: "needs another index than the one on the key (a second unique, partial, collated or multikey index)",
    },
    NotPlanted {
        ids: &["C11", "C12", "A8", "A11"],
        reason: "needs crafted data (other spellings, delimiters in names, documents near 16 MiB, failing bulk writes)",
    },
    NotPlanted {
        ids: &["C22", "A24"],
        reason: "is in a layer above the database (a cache), which the strategies do not have",
    },
    NotPlanted {
        ids: &["C28", "C29", "A3", "A20", "A21", "A22", "M13", "M14", "G10"],
        reason: "needs operations that no workload has (delete, edit, archive, move, buckets)",
    },
    NotPlanted {
        ids: &["A17"],
        reason: "needs one sender with several requests in flight; clients send one at a time",
    },
    NotPlanted {
        ids: &["M15", "G9", "G11", "G12", "G13"],
        reason: "needs fields that no workload keeps (coalesced messages, receipts, caps, memberships of their own)",
    },
];
