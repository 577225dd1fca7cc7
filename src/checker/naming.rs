//! Whether answers name a document, as the serial control shows: [`Naming`].
//!
//! Some interfaces name the document only to whoever created it. Others name it to everyone, and an answer that says yes
//! without a name is then a defect. One answer alone does not tell which; the answers of the control, where it is known who
//! came first, do.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Action, Operation, Outcome, Value};

use super::facts::told;

/// How the answers of each kind of operation name documents.
#[derive(Debug, Default)]
pub struct Naming<'a> {
    kinds: BTreeMap<&'a str, Kind>,
}

/// Whether whoever came first on a key, and those who came later, were told a name.
#[derive(Debug, Default)]
struct Kind {
    first_named: bool,
    later_named: bool,
    later_unnamed: bool,
}

impl<'a> Naming<'a> {
    /// What the operations of a serial control show.
    pub fn of(control: &'a [Operation]) -> Self {
        let mut naming = Naming::default();
        let mut met: BTreeSet<(&str, &str)> = BTreeSet::new();
        for operation in control {
            let Some(named) = says_yes(operation) else { continue };
            let name = operation.action.name();
            let first = met.insert((name, &operation.key));
            let kind = naming.kinds.entry(name).or_default();
            match (first, named) {
                (true, named) => kind.first_named |= named,
                (false, true) => kind.later_named = true,
                (false, false) => kind.later_unnamed = true,
            }
        }
        naming
    }

    /// Whether this operation was told yes without a name, although those who come second are told one.
    pub fn misses_name(&self, operation: &Operation) -> bool {
        is_unnamed(operation) && self.kinds.get(operation.action.name()).is_some_and(|kind| kind.later_named)
    }

    /// Whether this operation was told yes without a name, as everyone is who did not create.
    pub fn is_by_design(&self, operation: &Operation) -> bool {
        let kind = self.kinds.get(operation.action.name());
        is_unnamed(operation) && kind.is_some_and(|kind| kind.first_named && kind.later_unnamed && !kind.later_named)
    }
}

fn is_unnamed(operation: &Operation) -> bool {
    matches!(told(operation), Outcome::Unknown(cause) if cause.is_unnamed())
}

/// Whether an operation that may create was told yes; then, whether it was told a name.
fn says_yes(operation: &Operation) -> Option<bool> {
    if !matches!(operation.action, Action::CreateOrGet { .. } | Action::Append(_) | Action::Open) {
        return None;
    }
    match told(operation) {
        Outcome::Ok(Value::Document(answer)) => Some(answer.id.is_some()),
        Outcome::Ok(Value::Appended(answer)) => Some(answer.session.id.is_some()),
        _ => is_unnamed(operation).then_some(false),
    }
}

#[cfg(test)]
#[path = "naming_oracle.rs"]
mod oracle;
