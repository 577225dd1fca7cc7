//! What one operation of the create-or-get workload proves about its key.
//!
//! The main type is [`Fact`]. It reads single operations; it compares nothing and judges nothing.

use crate::history::{Action, Appended, Delivered, Id, Nanos, Operation, Outcome, Returned, Value};

/// What one operation proves about the document of its key, at some moment between its invocation and its return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact<'a> {
    /// It created the document.
    Created(Option<&'a Id>),
    /// The document existed.
    Existed(Option<&'a Id>),
    /// It created the document, or the document existed: the interface does not tell which.
    CreatedOrExisted(Option<&'a Id>),
    /// The key's unique index refused a second document: one existed.
    DuplicateKey,
    /// There was no document.
    Absent,
    /// It may have created the document, now or at any later time.
    MayHaveCreated,
    /// Nothing at all.
    Nothing,
}

impl<'a> Fact<'a> {
    /// What this operation proves.
    pub(super) fn of(operation: &'a Operation) -> Self {
        match told(operation) {
            Outcome::Ok(
                Value::Document(Returned { id, created, .. })
                | Value::Appended(Appended { session: Returned { id, created, .. }, .. }),
            ) => match created {
                Some(true) => Fact::Created(id.as_ref()),
                Some(false) => Fact::Existed(id.as_ref()),
                None => Fact::CreatedOrExisted(id.as_ref()),
            },
            Outcome::Ok(Value::Thread(_)) => Fact::Nothing,
            Outcome::Ok(Value::Found(Some(id))) => Fact::Existed(Some(id)),
            Outcome::Ok(Value::Found(None)) => Fact::Absent,
            Outcome::Ok(Value::Messages(seen)) => match &seen.id {
                Some(id) => Fact::Existed(Some(id)),
                None => Fact::Absent,
            },
            // A chat may have been there before the run; one that is taken to have the message need not be there at all.
            Outcome::Ok(Value::Delivered(Delivered { applied: true, .. })) => Fact::CreatedOrExisted(None),
            Outcome::Ok(Value::Delivered(Delivered { applied: false, .. })) => Fact::Nothing,
            Outcome::Failed(cause) if cause.is_duplicate_key() => Fact::DuplicateKey,
            Outcome::Failed(_) => Fact::Nothing,
            Outcome::Unknown(_) => match operation.action {
                Action::CreateOrGet { .. }
                | Action::Append(_)
                | Action::Open
                | Action::Deliver(_)
                | Action::Custom(_) => Fact::MayHaveCreated,
                _ => Fact::Nothing,
            },
        }
    }

    /// Whether it proves that the document existed at some moment.
    pub(super) fn proves_existence(self) -> bool {
        match self {
            Fact::Created(_) | Fact::Existed(_) | Fact::CreatedOrExisted(_) | Fact::DuplicateKey => true,
            Fact::Absent | Fact::MayHaveCreated | Fact::Nothing => false,
        }
    }

    /// Whether the operation answered with a document; the identifier is absent if the answer carried none.
    pub(super) fn answered(self) -> Option<Option<&'a Id>> {
        match self {
            Fact::Created(id) | Fact::Existed(id) | Fact::CreatedOrExisted(id) => Some(id),
            Fact::DuplicateKey | Fact::Absent | Fact::MayHaveCreated | Fact::Nothing => None,
        }
    }
}

/// The outcome as far as it is known in the end: a late answer tells what an unknown operation did, not when.
pub(crate) fn told(operation: &Operation) -> &Outcome {
    match (&operation.outcome, &operation.late) {
        (Outcome::Unknown(_), Some(late)) => &late.outcome,
        (outcome, _) => outcome,
    }
}

/// The document that the operation returned, also when the answer came late.
pub(super) fn returned(operation: &Operation) -> Option<&Returned> {
    match told(operation) {
        Outcome::Ok(Value::Document(returned) | Value::Appended(Appended { session: returned, .. })) => Some(returned),
        _ => None,
    }
}

/// When the answer arrived. It orders what people read; the rules use [`Operation::returned`], which a late answer
/// never shortens.
pub(super) fn answered_at(operation: &Operation) -> Nanos {
    match (&operation.outcome, &operation.late) {
        (Outcome::Unknown(_), Some(late)) => late.completed,
        _ => operation.completed,
    }
}
