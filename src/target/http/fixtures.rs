//! Threads that a family has before its first operation: whoever comes first has one started, the others wait. It is a
//! condition of the experiment, not an operation of the run.

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;
use tokio::sync::OnceCell;

use super::http_client::HttpClient;
use crate::history::{Action, Conversation, ThreadKind, Value};
use crate::target::Invocation;
use crate::workload::thread::{BASE, Class, participant};

/// Their identifiers, by family.
#[derive(Debug, Default)]
pub(super) struct Fixtures(Mutex<FxHashMap<Arc<str>, Cell>>);

/// An identifier, once it is known.
type Cell = Arc<OnceCell<Arc<str>>>;

impl HttpClient {
    /// The identifier of the given thread of an operation's family, if it has one.
    pub(super) async fn given(self: &Arc<Self>, operation: &Invocation) -> Result<Option<Arc<str>>, String> {
        let family = &operation.key;
        if !self.of_threads || !Class::of_family(family).is_some_and(Class::has_given_thread) {
            return Ok(None);
        }
        let cell = {
            let mut cells = self.fixtures.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(Arc::clone(family)).or_default())
        };
        cell.get_or_try_init(|| self.give(family)).await.map(|id| Some(Arc::clone(id)))
    }

    /// The identifier of a family's given thread, if it was started.
    pub(super) fn known_given(&self, family: &str) -> Option<Arc<str>> {
        let cells = self.fixtures.0.lock().unwrap_or_else(PoisonError::into_inner);
        cells.get(family).and_then(|cell| cell.get().cloned())
    }

    async fn give(self: &Arc<Self>, family: &Arc<str>) -> Result<Arc<str>, String> {
        let members = BASE.map(|letter| participant(family, letter));
        let conversation =
            Conversation { kind: ThreadKind::Group, caller: Arc::clone(&members[0]), participants: members.to_vec() };
        let started = self.beforehand(family, Action::StartConversation(Box::new(conversation))).await;
        match started.map_err(|why| format!("the thread that is there before the run was not started: {why}"))? {
            Value::Thread(answer) if answer.id.is_some() => {
                Ok(answer.id.map_or_else(|| Arc::from(""), |id| Arc::from(id.to_string())))
            }
            _ => Err("the thread that is there before the run has no identifier".to_owned()),
        }
    }
}
