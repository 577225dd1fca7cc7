//! What was written in the course of one execution: [`Window`].

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document, Timestamp};

use super::values::value;
use crate::serial::Change;

/// A document that an execution wrote.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::explore) struct Written {
    pub(in crate::explore) namespace: String,
    pub(in crate::explore) id: Bson,
    pub(in crate::explore) before: Option<Document>,
    pub(in crate::explore) after: Option<Document>,
}

impl Written {
    /// As the judge takes it in.
    pub(in crate::explore) fn change(&self) -> Change {
        let document = |document: &Document| value(&Bson::Document(document.clone()));
        Change {
            collection: self.namespace.split_once('.').map_or("", |(_, name)| name).to_owned(),
            id: value(&self.id),
            before: self.before.as_ref().map(document),
            after: self.after.as_ref().map(document),
        }
    }

    /// The document, as it was last there.
    fn latest(&self) -> Option<&Document> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

/// What was written between the beginning and the end of an execution.
#[derive(Debug, Clone, Default)]
pub(in crate::explore) struct Window {
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
    pub(super) written: BTreeMap<Identity, Written>,
    /// Single changes, by namespace.
    pub(in crate::explore) changes: BTreeMap<String, u64>,
}

impl Window {
    /// The documents that were written; one that came and went has left nothing.
    pub(in crate::explore) fn written(&self) -> impl Iterator<Item = &Written> {
        self.written.values().filter(|one| one.before.is_some() || one.after.is_some())
    }

    /// Leaves out documents that were written by somebody else.
    pub(in crate::explore) fn leave_out(&mut self, is_foreign: impl Fn(&Document) -> bool) {
        let changes = &mut self.changes;
        self.written.retain(|(namespace, _), written| {
            let foreign = written.latest().is_some_and(&is_foreign);
            if foreign && let Some(count) = changes.get_mut(namespace) {
                *count = count.saturating_sub(1);
            }
            !foreign
        });
    }

    /// Takes documents that fell into another window.
    pub(in crate::explore) fn take_from(&mut self, other: &Window, is_own: impl Fn(&Document) -> bool) {
        for (identity, written) in other.written.iter().filter(|(_, written)| written.latest().is_some_and(&is_own)) {
            match self.written.get_mut(identity) {
                Some(own) => own.after.clone_from(&written.after),
                None => drop(self.written.insert(identity.clone(), written.clone())),
            }
        }
    }

    pub(super) fn holds(&self, at: Timestamp) -> bool {
        self.from.is_some_and(|from| at > from) && self.to.is_some_and(|to| at <= to)
    }
}

/// Namespace and identifier.
pub(super) type Identity = (String, String);

pub(super) fn identity(namespace: &str, id: &Bson) -> Identity {
    (namespace.to_owned(), format!("{id:?}"))
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn what_fell_into_another_window_goes_where_it_belongs() {
        let written = |id: i32, key: &str| Written {
            namespace: "app.log".to_owned(),
            id: id.into(),
            before: None,
            after: Some(doc! { "_id": id, "key": key }),
        };
        let window = |all: &[Written]| Window {
            written: all.iter().map(|one| (identity(&one.namespace, &one.id), one.clone())).collect(),
            changes: BTreeMap::from([("app.log".to_owned(), all.len() as u64)]),
            ..Window::default()
        };
        let of = |key: &'static str| move |document: &Document| document.get_str("key").is_ok_and(|own| own == key);
        let (mut first, mut second) = (window(&[written(1, "a")]), window(&[written(2, "a"), written(3, "b")]));
        first.take_from(&second, of("a"));
        second.leave_out(of("a"));
        let ids = |window: &Window| window.written().map(|one| one.id.to_string()).collect::<Vec<_>>();
        assert_eq!((ids(&first), ids(&second)), (vec!["1".to_owned(), "2".to_owned()], vec!["3".to_owned()]));
        assert_eq!(second.changes["app.log"], 1);
    }
}
