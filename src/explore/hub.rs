//! [`Hub`]: what the proxy and its connections share: whether commands are parked, whom to tell, and what went wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::disturbance::{Disturbance, Met};
use super::gate::{Event, StepId};
use super::unheard::Unheard;
use super::wire::hello::Addresses;
use super::wire::{Change, Command, Kind, Statement};

/// Connections at a time; further ones wait to be accepted.
pub(super) const MAX_CONNECTIONS: usize = 1024;
/// Reasons of closed connections that are kept.
const MAX_COMPLAINTS: usize = 32;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) addresses: Addresses,
    pub(super) cancel: CancellationToken,
    pub(super) permits: Arc<Semaphore>,
    pub(super) next: AtomicU64,
    /// Connections of clients.
    pub(super) accepted: AtomicU64,
    /// Connections over which a command was parked.
    pub(super) used: AtomicU64,
    state: Mutex<State>,
    /// What happens to commands and connections that pass, where a run has it so.
    pub(super) disturbance: Disturbance,
    /// Writes that nobody waits for.
    pub(super) unheard: Unheard,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) events: Option<mpsc::UnboundedSender<Event>>,
    /// Shapes of commands that are the service's own work, and pass.
    pub(super) background: BTreeSet<String>,
    /// Who is told of these while everything else passes, and has them wait.
    pub(super) withheld: Option<mpsc::UnboundedSender<Event>>,
    /// What passes while nothing is parked, where somebody listens: its shape, and its name and namespace.
    pub(super) overheard: Option<BTreeMap<String, String>>,
    /// Cursors that parked commands opened. Others belong to work that passes.
    pub(super) cursors: BTreeSet<i64>,
    pub(super) complaints: BTreeMap<String, u64>,
    /// Where reads go that a secondary may answer.
    pub(super) route: Option<Route>,
    /// Cursors that were opened elsewhere than their connection leads, and where.
    pub(super) elsewhere: BTreeMap<i64, String>,
    /// Namespaces whose commands may concern other places or values than they name.
    pub(super) broad: BTreeSet<String>,
    /// Whoever asks which collections and indexes there are reads what others make.
    pub(super) parks_catalogue: bool,
    /// Somebody asked that while commands were parked.
    pub(super) catalogue_asked: bool,
}

/// Members of a replica set, as `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// Knows everything.
    pub(super) primary: String,
    /// Is held behind, now and then.
    pub(super) lagging: String,
}

impl Hub {
    /// Where a read goes that does not go where its connection leads: one that a secondary may answer is answered by the primary,
    /// unless it is to be answered by the one that lags. So is what it reads for `$out` and `$merge`.
    pub(super) fn detour(&self, command: &Command, lags: bool) -> Option<String> {
        let state = self.state();
        if let Some(cursor) = command.cursor {
            return state.elsewhere.get(&cursor).cloned();
        }
        let route = state.route.as_ref().filter(|_| lags || (command.kind != Kind::Control && command.secondary))?;
        Some(if lags { route.lagging.clone() } else { route.primary.clone() })
    }

    pub(super) fn new(addresses: Addresses) -> Self {
        Hub {
            addresses,
            cancel: CancellationToken::new(),
            permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            next: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            used: AtomicU64::new(0),
            state: Mutex::default(),
            disturbance: Disturbance::default(),
            unheard: Unheard::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement, so that a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to tell of a command, if it is to be parked.
    pub(super) fn parks(&self, command: &Command) -> Option<(StepId, mpsc::UnboundedSender<Event>)> {
        if command.kind == Kind::Control {
            return None;
        }
        let mut state = self.state();
        let Some(events) = state.events.clone() else {
            return Some((self.next_step(), state.passes_by(command)?));
        };
        let unknown_cursor = command.cursor.is_some_and(|cursor| !state.cursors.contains(&cursor));
        if unknown_cursor || state.is_background(command) {
            return None;
        }
        Some((self.next_step(), events))
    }

    fn next_step(&self) -> StepId {
        StepId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// What happens to a command that passes.
    pub(super) fn meets(&self, command: &Command) -> Met {
        match command.kind {
            Kind::Control => Met::default(),
            Kind::Read | Kind::Write => self.disturbance.meets(),
        }
    }

    /// Marks a command that may concern more than it names.
    pub(super) fn widen(&self, command: &mut Command) {
        let mut state = self.state();
        if matches!(command.name.as_str(), "listCollections" | "listIndexes") {
            state.catalogue_asked |= state.events.is_some();
            if state.parks_catalogue {
                command.classify(Kind::Read);
                command.spans = command.name == "listCollections";
            }
        }
        if !state.broad.is_empty()
            && let Some(collection) = &command.collection
            && state.broad.contains(&format!("{}.{collection}", command.database))
        {
            command.spans = true;
        }
    }

    /// Remembers a cursor that was opened elsewhere than its connection leads.
    pub(super) fn opened_elsewhere(&self, cursor: i64, member: String) {
        if cursor != 0 {
            self.state().elsewhere.insert(cursor, member);
        }
    }

    /// Remembers a cursor that a parked command opened.
    pub(super) fn opened(&self, cursor: i64) {
        if cursor != 0 {
            self.state().cursors.insert(cursor);
        }
    }

    /// Counts a connection over which a command is parked for the first time.
    pub(super) fn uses_one_more(&self) {
        self.used.fetch_add(1, Ordering::Relaxed);
    }

    /// Records why a connection was closed.
    pub(super) fn complain(&self, reason: String) {
        let mut state = self.state();
        if state.complaints.len() < MAX_COMPLAINTS || state.complaints.contains_key(&reason) {
            *state.complaints.entry(reason).or_default() += 1;
        }
    }
}

impl State {
    /// Takes note of a command while everything passes, if somebody listens; whom to tell, if it is to wait all the same.
    fn passes_by(&mut self, command: &Command) -> Option<mpsc::UnboundedSender<Event>> {
        if self.overheard.is_none() && self.withheld.is_none() {
            return None;
        }
        if self.is_background(command) {
            return self.withheld.clone();
        }
        if let Some(overheard) = &mut self.overheard {
            overheard.insert(shape(command), signature(command));
        }
        None
    }

    fn is_background(&self, command: &Command) -> bool {
        !self.background.is_empty() && self.background.contains(&shape(command))
    }
}

/// What background work is recognised by: name and namespace of a command, which fields it asks for and how it changes them. Values
/// are left out: who sweeps up what is old asks for another time each time.
pub fn shape(command: &Command) -> String {
    let mut shape = signature(command);
    for Statement { filter, change, upsert, multi, .. } in &command.statements {
        let asked: Vec<&str> = match change {
            // What is inserted is no question.
            Change::Insert => Vec::new(),
            _ => filter.equalities.keys().map(String::as_str).collect(),
        };
        let alternatives: Vec<Vec<&String>> = filter.alternatives.iter().map(|one| one.keys().collect()).collect();
        let changed: Vec<(&str, &str)> = match change {
            Change::Update { fields, .. } => {
                fields.iter().map(|field| (field.operator.as_str(), field.path.as_str())).collect()
            }
            Change::None | Change::Insert | Change::Replace { .. } | Change::Delete => Vec::new(),
        };
        let kind = std::mem::discriminant(change);
        let others = &filter.others;
        shape += &format!(" {kind:?}{asked:?}{others:?}{alternatives:?}{changed:?}{upsert}{multi}");
    }
    shape
}

/// Name and namespace of a command, for people.
pub fn signature(command: &Command) -> String {
    format!("{} {}.{}", command.name, command.database, command.collection.as_deref().unwrap_or("$cmd"))
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{RawDocumentBuf, rawdoc};

    use super::*;
    use crate::explore::wire::Message;
    use crate::explore::wire::message::tests::msg;

    #[test]
    fn who_asks_what_there_is_reads_it_where_executions_begin_with_nothing() {
        let hub = Hub::new(Addresses::new());
        let kind = |document: RawDocumentBuf| {
            let mut command = Command::parse(&Message::parse(&msg(0, &document, &[])).unwrap()).unwrap();
            hub.widen(&mut command);
            (command.kind, command.spans)
        };
        let (collections, indexes) =
            (|| rawdoc! { "listCollections": 1, "$db": "app" }, || rawdoc! { "listIndexes": "chats", "$db": "app" });
        assert_eq!((kind(collections()), kind(indexes())), ((Kind::Control, false), (Kind::Control, false)));
        hub.state().parks_catalogue = true;
        assert_eq!((kind(collections()), kind(indexes())), ((Kind::Read, true), (Kind::Read, false)));
        assert_eq!(kind(rawdoc! { "listCollections": 1, "$db": "admin" }), (Kind::Control, true), "nobody's documents");
        assert_eq!(kind(rawdoc! { "ping": 1, "$db": "app" }), (Kind::Control, false));
    }

    #[test]
    fn what_a_secondary_may_read_goes_to_the_primary_also_where_it_is_written_elsewhere() {
        let hub = Hub::new(Addresses::new());
        let command =
            |document: RawDocumentBuf| Command::parse(&Message::parse(&msg(0, &document, &[])).unwrap()).unwrap();
        let of = |stage: RawDocumentBuf, mode: &str| {
            let preference = rawdoc! { "mode": mode };
            command(rawdoc! { "aggregate": "chats", "pipeline": [stage], "$db": "app", "$readPreference": preference })
        };
        assert_eq!(hub.detour(&of(rawdoc! { "$match": {} }, "secondary"), false), None, "nothing lags");
        hub.state().route = Some(Route { primary: "first:1".to_owned(), lagging: "second:2".to_owned() });
        for stage in [rawdoc! { "$match": {} }, rawdoc! { "$out": "copy" }, rawdoc! { "$merge": "copy" }] {
            assert_eq!(hub.detour(&of(stage.clone(), "secondary"), false).as_deref(), Some("first:1"), "{stage:?}");
            assert_eq!(hub.detour(&of(stage, "primary"), false), None);
        }
        assert_eq!(hub.detour(&of(rawdoc! { "$match": {} }, "nearest"), true).as_deref(), Some("second:2"));
    }
}
