//! [`Mutant`]: what a planted bug is, what shows it, and what must stand behind it.

/// A small service with a planted bug, and the same without it.
#[derive(Debug)]
pub struct Mutant {
    /// The kind of bug, such as `C7`.
    pub id: &'static str,
    /// What the bug does.
    pub bug: &'static str,
    /// What the control does instead.
    pub twin: &'static str,
    /// The requests that meet.
    pub requests: &'static [&'static str],
    /// A request of its own makes what must be there first.
    pub before: bool,
    /// What happens to a command, in the words of `explore`.
    pub faults: &'static [&'static str],
    /// Who got no good answer sends the request again.
    pub redeliver: bool,
    /// One request is enough, and two would race without a fault as well.
    pub alone: bool,
    /// Processes of the service.
    pub instances: u8,
    /// The server lets upserts meet, which would disturb others on it: it has one of its own.
    pub own_server: bool,
    /// The driver's own retry of writes.
    pub retry_writes: bool,
    /// What must be so, where serial runs are wrong too or no specification.
    pub rule: Option<Rule>,
    /// Indexes beside those on `_id`.
    pub(super) indexes: &'static [Index],
}

impl Mutant {
    /// Whether it takes members of a replica set that lag, which only a server of its own has.
    pub fn reads_from_secondaries(&self) -> bool {
        self.faults.contains(&"stale-read")
    }

    /// Whether a unique index stands behind the bug, or behind its control.
    pub fn has_index(&self, correct: bool) -> bool {
        let there = |index: &Index| index.when == When::Both || (index.when == When::Correct) == correct;
        self.indexes.iter().any(there)
    }
}

/// An aggregation that must find nothing.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Where.
    pub collection: &'static str,
    /// The stages, as JSON.
    pub pipeline: &'static str,
}

/// A unique index.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) collection: &'static str,
    pub(super) fields: &'static [&'static str],
    pub(super) form: Form,
    pub(super) when: When,
}

/// What a unique index covers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// Every document.
    Whole,
    /// Every document, and spellings in upper and lower case are equal.
    CaseBlind,
    /// Documents whose field has this value.
    Where(&'static str, &'static str),
}

/// For whom an index is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Both,
    Buggy,
    Correct,
}

/// A unique index that stands behind the bug and behind its control.
pub(super) const fn unique(collection: &'static str, fields: &'static [&'static str]) -> Index {
    Index { collection, fields, form: Form::Whole, when: When::Both }
}

/// A bug that some order of commands shows.
pub(super) const fn race(
    id: &'static str,
    bug: &'static str,
    twin: &'static str,
    requests: &'static [&'static str],
) -> Mutant {
    Mutant {
        id,
        bug,
        twin,
        requests,
        before: false,
        faults: &[],
        redeliver: false,
        alone: false,
        instances: 1,
        own_server: false,
        retry_writes: true,
        rule: None,
        indexes: &[],
    }
}

/// A bug that shows when the service is killed in the middle and the request comes again.
pub(super) const fn crash(
    id: &'static str,
    bug: &'static str,
    twin: &'static str,
    requests: &'static [&'static str],
) -> Mutant {
    Mutant { faults: &["crash"], redeliver: true, ..race(id, bug, twin, requests) }
}

/// Every planted route, in the order of the families.
pub fn all() -> impl Iterator<Item = &'static Mutant> {
    let families = [
        super::creation::MUTANTS,
        super::keys::MUTANTS,
        super::append::MUTANTS,
        super::buckets::MUTANTS,
        super::merge::MUTANTS,
        super::thread::MUTANTS,
    ];
    families.into_iter().flatten()
}

/// The planted route with this identifier, in whatever case.
pub fn of_id(id: &str) -> Option<&'static Mutant> {
    all().find(|mutant| mutant.id.eq_ignore_ascii_case(id))
}
