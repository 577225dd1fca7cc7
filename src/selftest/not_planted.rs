//! Known kinds of bugs, and those that neither table plants, each with the reason. What is not tried is not claimed.

/// The known kinds: how many there are of each letter, numbered from 1.
const KNOWN: [(char, u32); 4] = [('C', 29), ('A', 24), ('M', 17), ('G', 14)];

/// A kind of bug that is not planted.
#[derive(Debug, Clone, Copy)]
pub struct NotPlanted {
    /// The kind.
    pub id: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// Every kind that is not planted, by load or by exploration.
pub const NOT_PLANTED: &[NotPlanted] = &[
    NotPlanted {
        id: "C25",
        reason: "is a bug of old servers (CVE-2025-10060) in an upsert inside a transaction; the embedded server is one version",
    },
    NotPlanted { id: "C27", reason: "needs two shards and a router, and the embedded server comes without one" },
];

/// How many kinds are known.
pub fn known_kinds() -> u32 {
    KNOWN.iter().map(|(_, count)| count).sum()
}

/// Whether this is one of them. Other identifiers name bugs of single systems, and the two lies of a store in memory.
pub fn is_known_kind(id: &str) -> bool {
    let mut letters = id.chars();
    let letter = letters.next();
    let number: Option<u32> = letters.as_str().parse().ok();
    KNOWN
        .iter()
        .any(|(known, last)| letter == Some(*known) && number.is_some_and(|number| (1..=*last).contains(&number)))
}
