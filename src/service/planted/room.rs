//! [`Room`]: the one mutant of this process, its indexes and its memory, and [`Call`], a request to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::{Path, State};
use mongodb::bson::{Document, doc};
use mongodb::options::{Collation, CollationStrength, IndexOptions};
use mongodb::{Collection, Database, IndexModel};
use serde_json::Value;

use super::table::{Form, Index, Mutant, When};
use super::{append, buckets, creation, keys, merge, thread};
use crate::history::DatabaseError;
use crate::service::refusal::Refusal;
use crate::service::state::Service;
use crate::strategy::server_answer;

/// What is planted in a service.
#[derive(Debug, Clone, Copy)]
pub struct Planted {
    /// The bug.
    pub mutant: &'static Mutant,
    /// The correct control instead of it.
    pub correct: bool,
}

/// A planted route, carried out by this process.
#[derive(Debug)]
pub(in crate::service) struct Room {
    planted: Planted,
    database: Database,
    /// What the process remembers, by a name: caches and buffers.
    memory: Mutex<BTreeMap<String, Vec<String>>>,
}

/// What a handler answers.
pub(super) type Answer = Result<Value, Refusal>;

/// Attempts of what is tried again.
pub(super) const ATTEMPTS: u32 = 8;

/// A request.
pub(super) struct Call {
    pub(super) room: Arc<Room>,
    pub(super) operation: String,
    /// What an execution works on.
    pub(super) key: String,
    /// The number of the request; of a repetition the same.
    pub(super) op: String,
}

impl Room {
    pub(in crate::service) fn new(planted: Planted, database: Database) -> Self {
        Room { planted, database, memory: Mutex::default() }
    }

    /// Creates the indexes; all of it can be done by several instances at once, and again.
    pub(in crate::service) async fn prepare(&self) -> mongodb::error::Result<()> {
        let planted = self.planted;
        let wanted = |index: &&Index| match index.when {
            When::Both => true,
            When::Buggy => !planted.correct,
            When::Correct => planted.correct,
        };
        for index in planted.mutant.indexes.iter().filter(wanted) {
            let collection: Collection<Document> = self.database.collection(index.collection);
            collection.create_index(model(index)).await?;
        }
        Ok(())
    }
}

fn model(index: &Index) -> IndexModel {
    let mut options = IndexOptions::builder().unique(true).build();
    match index.form {
        Form::Whole => {}
        Form::CaseBlind => {
            let collation = Collation::builder().locale("en").strength(CollationStrength::Secondary).build();
            options.collation = Some(collation);
        }
        Form::Where(field, value) => options.partial_filter_expression = Some(doc! { field: value }),
    }
    let keys: Document = index.fields.iter().map(|field| ((*field).to_owned(), 1.into())).collect();
    IndexModel::builder().keys(keys).options(options).build()
}

impl Call {
    /// Whether the control answers.
    pub(super) fn correct(&self) -> bool {
        self.room.planted.correct
    }

    pub(super) fn is(&self, operation: &str) -> bool {
        self.operation == operation
    }

    pub(super) fn in_collection(&self, name: &str) -> Collection<Document> {
        self.room.database.collection(name)
    }

    pub(super) fn database(&self) -> &Database {
        &self.room.database
    }

    /// What the process remembers. Never held while something is waited for.
    pub(super) fn memory(&self) -> MutexGuard<'_, BTreeMap<String, Vec<String>>> {
        self.room.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `POST /planted/{operation}/{key}/{op}`.
pub(in crate::service) async fn answer(
    State(service): State<Arc<Service>>,
    Path((operation, key, op)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    let missing = || Refusal::not_found("nothing is planted here; see `onlyone serve --planted`");
    let room = Arc::clone(service.planted.as_ref().ok_or_else(missing)?);
    let mutant = room.planted.mutant;
    if !(mutant.requests.contains(&operation.as_str()) || operation == "before" && mutant.before) {
        return Err(missing());
    }
    let call = Call { room, operation, key, op };
    let is_of = |family: &[Mutant]| family.iter().any(|one| one.id == mutant.id);
    let answered = if is_of(creation::MUTANTS) {
        creation::answer(mutant.id, &call).await
    } else if is_of(keys::MUTANTS) {
        keys::answer(mutant.id, &call).await
    } else if is_of(append::MUTANTS) {
        append::answer(mutant.id, &call).await
    } else if is_of(buckets::MUTANTS) {
        buckets::answer(mutant.id, &call).await
    } else if is_of(merge::MUTANTS) {
        merge::answer(mutant.id, &call).await
    } else {
        thread::answer(mutant.id, &call).await
    };
    answered.map(Json)
}

/// Whether an error is a duplicate key.
pub(super) fn is_duplicate(error: &mongodb::error::Error) -> bool {
    server_answer(error).is_some_and(|(code, _)| is_duplicate_key(code))
}

/// Whether an error of the server with this code is a duplicate key.
pub(super) fn is_duplicate_key(code: i32) -> bool {
    DatabaseError::of_code(code, None) == DatabaseError::DuplicateKey
}

/// Whether an insertion made something new, where a duplicate is no mistake.
pub(super) fn inserted<T>(result: mongodb::error::Result<T>) -> mongodb::error::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(error),
    }
}
