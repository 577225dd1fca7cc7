//! The in-memory target: an honest store, and lying ones with one planted bug each.
//!
//! It is no model of MongoDB. It exists to test the driver and the checkers with exact results and without a server: the
//! honest store must never be accused, each lie must be caught by the invariant it breaks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;

use super::{Completion, Invocation, Preflight, Target, TargetError};
use crate::history::{Action, Cause, Id, Observation, Observed, OpId, Outcome, Returned, Source, Value};

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    Honest,
    /// Looks, lets others go first, then inserts: two callers both create.
    CheckThenAct,
    /// Answers with an identifier of its own making.
    WrongId,
    /// Says `created` to everyone.
    AlwaysCreated,
    /// Tells the loser of a race of the duplicate key.
    LeakedError,
    /// Forgets the document after acknowledging it.
    LostWrite,
    /// Later callers overwrite the creator's stamp.
    Overwritten,
    /// Refuses those who see each other come: all of them.
    StepsBack,
    /// Applies, and never answers until it is let go with [`MemoryTarget::let_go`].
    NeverAnswers,
}

impl Lie {
    /// What it does, in a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Lie::Honest => "honest",
            Lie::CheckThenAct => "check-then-act",
            Lie::WrongId => "wrong-id",
            Lie::AlwaysCreated => "always-created",
            Lie::LeakedError => "leaked-error",
            Lie::LostWrite => "lost-write",
            Lie::Overwritten => "overwritten",
            Lie::StepsBack => "steps-back",
            Lie::NeverAnswers => "never-answers",
        }
    }
}

/// A store in this process.
#[derive(Debug, Clone)]
pub struct MemoryTarget {
    lie: Lie,
    documents: Arc<Mutex<BTreeMap<Arc<str>, Vec<Stored>>>>,
    /// How many came to a key.
    comers: Arc<Mutex<BTreeMap<Arc<str>, u32>>>,
    gate: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy)]
struct Stored {
    id: [u8; 12],
    created_by: OpId,
}

impl MemoryTarget {
    /// An empty store.
    pub fn new(lie: Lie) -> Self {
        MemoryTarget { lie, documents: Arc::default(), comers: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
    }

    /// Lets all operations that have not answered do so.
    pub fn let_go(&self) {
        self.gate.close();
    }

    fn with<T>(&self, key: &Arc<str>, act: impl FnOnce(&mut Vec<Stored>) -> T) -> T {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        act(documents.entry(Arc::clone(key)).or_default())
    }

    /// Whether only one has come to the key, once all who are at it have had their turn.
    async fn comes_alone(&self, key: &Arc<str>) -> bool {
        let comers = || self.comers.lock().unwrap_or_else(PoisonError::into_inner);
        *comers().entry(Arc::clone(key)).or_default() += 1;
        tokio::task::yield_now().await;
        comers().get(key) == Some(&1)
    }

    async fn create_or_get(&self, operation: &Invocation) -> Outcome {
        let fresh = Stored { id: document_id(operation.id), created_by: operation.id };
        let found = self.with(&operation.key, |documents| documents.first().copied());
        if self.lie == Lie::StepsBack && found.is_none() && !self.comes_alone(&operation.key).await {
            return Outcome::Failed(Cause::http(409, "somebody else is at it"));
        }
        // Where an honest store would decide, a racy one lets others go first.
        tokio::task::yield_now().await;
        let (document, created) = self.with(&operation.key, |documents| match (documents.first_mut(), found) {
            (Some(existing), _) if self.lie != Lie::CheckThenAct => {
                if self.lie == Lie::Overwritten {
                    existing.created_by = operation.id;
                }
                (*existing, false)
            }
            (_, Some(existing)) => (existing, false),
            (_, None) => {
                if self.lie != Lie::LostWrite {
                    documents.push(fresh);
                }
                (fresh, true)
            }
        });
        match self.lie {
            Lie::LeakedError if !created && found.is_none() => {
                Outcome::Failed(Cause::database(11000, "E11000 duplicate key error"))
            }
            Lie::WrongId => answer(fresh, created),
            Lie::AlwaysCreated => answer(document, true),
            _ => answer(document, created),
        }
    }
}

fn answer(document: Stored, created: bool) -> Outcome {
    Outcome::Ok(Value::Document(Returned {
        id: Some(Id::from(document.id)),
        created: Some(created),
        created_by: Some(document.created_by),
        ..Returned::default()
    }))
}

fn document_id(op: OpId) -> [u8; 12] {
    let mut id = [0xab; 12];
    id[4..].copy_from_slice(&op.0.to_be_bytes());
    id
}

impl Target for MemoryTarget {
    fn prepare(&self, clients: u32) -> BoxFuture<'_, Result<Preflight, TargetError>> {
        async move { Ok(Preflight { connections_ready: Some(clients), ..Preflight::default() }) }.boxed()
    }

    fn apply(&self, operation: Invocation) -> BoxFuture<'static, Completion> {
        let store = self.clone();
        async move {
            let outcome = match operation.action {
                Action::CreateOrGet { .. } => store.create_or_get(&operation).await,
                Action::Get => {
                    let found = store.with(&operation.key, |documents| documents.first().copied());
                    Outcome::Ok(Value::Found(found.map(|document| Id::from(document.id))))
                }
                _ => Outcome::Failed(Cause::new("this store holds documents only")),
            };
            if store.lie == Lie::NeverAnswers && operation.phase.is_main() {
                // Closing the gate is the only way through, and an error.
                store.gate.acquire().await.map(|_| ()).err();
            }
            Completion { outcome, connected: None, attempts: 1, answer: None }
        }
        .boxed()
    }

    fn observe(&self) -> BoxFuture<'_, Result<Option<Observation>, TargetError>> {
        async move {
            let documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
            let observed = |key: &Arc<str>, document: &Stored| Observed {
                id: Id::from(document.id),
                key: Arc::clone(key),
                stored_key: Some(Arc::clone(key)),
                created_by: Some(document.created_by),
                missing: Vec::new(),
                messages: Vec::new(),
                last_message: None,
                thread: None,
                fields: serde_json::json!({ "key": &**key, "createdByOp": document.created_by }),
            };
            let all = documents.iter().flat_map(|(key, list)| list.iter().map(move |document| observed(key, document)));
            Ok(Some(Observation {
                source: Source::Memory,
                quiescent: true,
                documents: all.collect(),
                ..Observation::default()
            }))
        }
        .boxed()
    }

    fn tear_down(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        async { Ok(()) }.boxed()
    }
}
