//! Commands of one operation, with the one thing its outcome depends on: whether an effect may have been left behind.

use std::fmt;

use mongodb::Collection;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;
use mongodb::options::{ReturnDocument, UpdateModifications};

use crate::history::DatabaseError;

/// Why an operation ended without a value, and what it may have left behind.
#[derive(Debug)]
pub struct Failure {
    /// The driver's error, or why the strategy gave up.
    pub reason: Reason,
    /// The command that failed was a write on the collection that is judged.
    pub in_write: bool,
    /// An earlier write of the same operation may have had an effect.
    pub after_write: bool,
}

/// What stopped an operation.
#[derive(Debug)]
pub enum Reason {
    /// An error of the driver or the server.
    Driver(Box<Error>),
    /// The strategy's own decision.
    GaveUp(String),
    /// Another caller has what was asked for: a refusal before anything was written.
    Conflict(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Driver(error) => error.fmt(f),
            Reason::GaveUp(reason) | Reason::Conflict(reason) => f.write_str(reason),
        }
    }
}

/// Sends the commands of one operation to one collection.
///
/// Each command carries the run's comment, so that what is still in flight at the end can be found and ended.
pub struct Session<'a> {
    collection: &'a Collection<Document>,
    comment: &'a Bson,
    wrote: bool,
}

impl<'a> Session<'a> {
    /// An operation that has sent nothing yet.
    pub fn new(collection: &'a Collection<Document>, comment: &'a Bson) -> Self {
        Session { collection, comment, wrote: false }
    }

    /// Finds one document.
    pub async fn find_one(&mut self, filter: Document) -> Result<Option<Document>, Failure> {
        let result = self.collection.find_one(filter).comment(self.comment.clone()).await;
        super::injected_delay::after_read().await;
        result.map_err(|error| self.failure(error, false))
    }

    /// Finds one document, and of it only what the projection names.
    pub async fn find_part(&mut self, filter: Document, projection: Document) -> Result<Option<Document>, Failure> {
        let found = self.collection.find_one(filter).projection(projection).comment(self.comment.clone()).await;
        super::injected_delay::after_read().await;
        found.map_err(|error| self.failure(error, false))
    }

    /// Inserts one document.
    pub async fn insert_one(&mut self, document: &Document) -> Result<(), Failure> {
        let result = self.collection.insert_one(document).comment(self.comment.clone()).await;
        super::injected_delay::after_write().await;
        self.after_write(result).map(|_| ())
    }

    /// Updates one document; the number matched.
    pub async fn update_one(&mut self, filter: Document, update: Document) -> Result<u64, Failure> {
        let result = self.collection.update_one(filter, update).comment(self.comment.clone()).await;
        super::injected_delay::after_write().await;
        let matched = result.map_err(|error| self.failure(error, true))?.matched_count;
        // What matched nothing had no effect.
        self.wrote |= matched > 0;
        Ok(matched)
    }

    /// `findOneAndUpdate` with `upsert`, returning the document after the update.
    pub async fn upsert(&mut self, filter: Document, update: Document) -> Result<Document, Failure> {
        let result = self
            .collection
            .find_one_and_update(filter, update)
            .upsert(true)
            .return_document(ReturnDocument::After)
            .comment(self.comment.clone())
            .await;
        super::injected_delay::after_write().await;
        let found = self.after_write(result)?;
        found.ok_or_else(|| self.give_up("the upsert returned no document"))
    }

    /// `findOneAndUpdate` with `upsert`, with an update in stages if need be, returning what the projection names.
    pub async fn upsert_part(
        &mut self,
        filter: Document,
        update: impl Into<UpdateModifications>,
        projection: Document,
    ) -> Result<Document, Failure> {
        let result = self
            .collection
            .find_one_and_update(filter, update)
            .upsert(true)
            .return_document(ReturnDocument::After)
            .projection(projection)
            .comment(self.comment.clone())
            .await;
        super::injected_delay::after_write().await;
        let found = self.after_write(result)?;
        found.ok_or_else(|| self.give_up("the upsert returned no document"))
    }

    /// Updates the document that the filter matches and returns it as it is then; `None` if there is none.
    pub async fn modify(
        &mut self,
        filter: Document,
        update: impl Into<UpdateModifications>,
    ) -> Result<Option<Document>, Failure> {
        let result = self
            .collection
            .find_one_and_update(filter, update)
            .return_document(ReturnDocument::After)
            .comment(self.comment.clone())
            .await;
        let found = result.map_err(|error| self.failure(error, true))?;
        self.wrote |= found.is_some();
        Ok(found)
    }

    /// `findOneAndUpdate` with `upsert`, returning the document before the update: none, where it created one.
    pub async fn upsert_returning_before(
        &mut self,
        filter: Document,
        update: Document,
    ) -> Result<Option<Document>, Failure> {
        let result = self
            .collection
            .find_one_and_update(filter, update)
            .upsert(true)
            .return_document(ReturnDocument::Before)
            .comment(self.comment.clone())
            .await;
        super::injected_delay::after_write().await;
        self.after_write(result)
    }

    /// How many documents there are.
    pub async fn count(&mut self, filter: Document) -> Result<u64, Failure> {
        let result = self.collection.count_documents(filter).comment(self.comment.clone()).await;
        super::injected_delay::after_read().await;
        result.map_err(|error| self.failure(error, false))
    }

    /// A failure by the strategy's own decision.
    pub fn give_up(&self, reason: impl Into<String>) -> Failure {
        Failure { reason: Reason::GaveUp(reason.into()), in_write: false, after_write: self.wrote }
    }

    fn after_write<T>(&mut self, result: Result<T, Error>) -> Result<T, Failure> {
        match result {
            Ok(value) => {
                self.wrote = true;
                Ok(value)
            }
            Err(error) => Err(self.failure(error, true)),
        }
    }

    fn failure(&self, error: Error, in_write: bool) -> Failure {
        Failure { reason: Reason::Driver(Box::new(error)), in_write, after_write: self.wrote }
    }
}

impl Failure {
    /// An operation that the workload does not have was refused.
    pub fn foreign(operation: &str, workload: &str) -> Self {
        let reason = format!("the workload {workload} has no operation `{operation}`");
        Failure { reason: Reason::GaveUp(reason), in_write: false, after_write: false }
    }

    /// A refusal before anything was written.
    pub fn refused(reason: impl Into<String>) -> Self {
        Failure { reason: Reason::GaveUp(reason.into()), in_write: false, after_write: false }
    }

    /// A refusal because another caller has what was asked for.
    pub fn conflict(reason: impl Into<String>) -> Self {
        Failure { reason: Reason::Conflict(reason.into()), in_write: false, after_write: false }
    }

    /// This failure, of an operation that may have written something before.
    pub fn after_write(self) -> Self {
        Failure { after_write: true, ..self }
    }

    /// Whether it is a duplicate-key error on an index of this field. On any other index it means something else.
    pub fn is_duplicate_key_on(&self, field: &str) -> bool {
        match &self.reason {
            Reason::Driver(error) => duplicate_key_index(error).is_some_and(|index| index_covers(&index, field)),
            Reason::GaveUp(_) | Reason::Conflict(_) => false,
        }
    }
}

/// The code and message of the server's answer, if the error is one.
pub fn server_answer(error: &Error) -> Option<(i32, &str)> {
    use mongodb::error::{ErrorKind, WriteFailure};
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some((command.code, &command.message)),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some((write.code, &write.message)),
        _ => None,
    }
}

/// The index that a duplicate-key error names: `E11000 duplicate key error collection: db.c index: key_1 dup key: {…}`.
fn duplicate_key_index(error: &Error) -> Option<String> {
    let (code, message) = server_answer(error)?;
    if DatabaseError::of_code(code, None) != DatabaseError::DuplicateKey {
        return None;
    }
    let rest = message.split(" index: ").nth(1)?;
    rest.split_whitespace().next().map(str::to_owned)
}

fn index_covers(index: &str, field: &str) -> bool {
    index.strip_prefix(field).is_some_and(|rest| rest.starts_with('_'))
}

/// The filter of a key: `{ field: value }`.
pub(super) fn by(field: &str, value: &str) -> Document {
    doc! { field: value }
}
