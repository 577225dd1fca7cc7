//! The sequential specification of create-or-get on one key, for the search.
//!
//! The main type is [`CreateOrGet`]. It knows nothing of the fast rule, which it certifies.

use std::marker::PhantomData;

use crate::history::{Id, Operation};

use super::facts::Fact;
use super::search::{Entry, Model};

/// A key whose document is created at most once and then stays.
pub(super) struct CreateOrGet<'a>(PhantomData<&'a Id>);

impl CreateOrGet<'_> {
    pub(super) fn new() -> Self {
        CreateOrGet(PhantomData)
    }
}

/// The document of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Document<'a> {
    /// There is none.
    None,
    /// It exists; no answer has named it yet.
    Unnamed,
    /// It exists and has this identifier.
    Named(&'a Id),
}

impl<'a> Document<'a> {
    fn created(id: Option<&'a Id>) -> Self {
        id.map_or(Document::Unnamed, Document::Named)
    }

    /// The document after an answer that named it so; `None` if there is no document, or it has another name.
    fn seen(self, id: Option<&'a Id>) -> Option<Self> {
        match (self, id) {
            (Document::None, _) => None,
            (document, None) => Some(document),
            (Document::Unnamed, Some(id)) => Some(Document::Named(id)),
            (Document::Named(name), Some(id)) => (name == id).then_some(self),
        }
    }
}

impl<'a> Model for CreateOrGet<'a> {
    type State = Document<'a>;
    type Operation = Fact<'a>;

    fn initial(&self) -> Document<'a> {
        Document::None
    }

    fn step(&self, state: &Document<'a>, operation: &Fact<'a>) -> Option<Document<'a>> {
        match (*operation, *state) {
            (Fact::Created(id) | Fact::CreatedOrExisted(id), Document::None) => Some(Document::created(id)),
            (Fact::Created(_), _) => None,
            (Fact::Existed(id) | Fact::CreatedOrExisted(id), document) => document.seen(id),
            (Fact::DuplicateKey, document) => document.seen(None),
            (Fact::Absent, document) => (document == Document::None).then_some(document),
            (Fact::MayHaveCreated, Document::None) => Some(Document::Unnamed),
            (Fact::MayHaveCreated | Fact::Nothing, document) => Some(document),
        }
    }
}

/// The operations as the search takes them.
pub(super) fn entries<'a>(operations: &[&'a Operation]) -> Vec<Entry<Fact<'a>>> {
    operations
        .iter()
        .map(|operation| {
            let fact = Fact::of(operation);
            Entry {
                invoked: operation.invoked,
                returned: operation.returned(),
                required: !matches!(fact, Fact::MayHaveCreated | Fact::Nothing),
                operation: fact,
            }
        })
        .collect()
}
