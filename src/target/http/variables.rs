//! Variables of the templates: what an operation is, as names and values. [`Scope`](crate::scenario::Scope) lists them.

use minijinja::{Value, context};

use crate::history::{Action, OpId, Operation};
use crate::target::Invocation;
use crate::workload::participants;

/// What a request is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) run_id: &'a str,
    pub(super) op: OpId,
    pub(super) client: u32,
    pub(super) key: &'a str,
    pub(super) action: &'a Action,
}

impl<'a> Subject<'a> {
    /// An operation that is to be carried out.
    pub(super) fn of(run_id: &'a str, operation: &'a Invocation) -> Self {
        let Invocation { id, client, phase: _, key, action } = operation;
        Subject { run_id, op: *id, client: *client, key, action }
    }

    /// An operation of a history.
    pub(super) fn of_record(run_id: &'a str, operation: &'a Operation) -> Self {
        let Operation { id, client, key, action, .. } = operation;
        Subject { run_id, op: *id, client: *client, key, action }
    }

    /// The pair in the order in which this operation names it; the first is the caller.
    fn pair(&self) -> [&'a str; 2] {
        let [a, b] = participants(self.key);
        match self.action {
            Action::CreateOrGet { reversed: true } => [b, a],
            _ => [a, b],
        }
    }

    /// Names and values.
    pub(super) fn variables(&self) -> Value {
        let run = context! { id => self.run_id };
        let op = context! { id => self.op.0, name => self.action.name() };
        match self.action {
            Action::CreateOrGet { .. } | Action::Get => {
                let [a, b] = self.pair();
                context! {
                    run, op, key => self.key,
                    client => context! { id => self.client, user => a },
                    pair => context! { a => a, b => b, key => self.key },
                }
            }
            Action::Append(said) => {
                let user = format!("user-{}", said.sender);
                let message =
                    context! { text => &*said.text, path => said.path.as_str(), sender => said.sender, n => said.n };
                let (client, session) = (context! { id => self.client, user }, context! { id => self.key });
                context! { run, op, key => self.key, client, session, message }
            }
            _ => {
                let user = format!("user-{}", self.client);
                let (client, session) = (context! { id => self.client, user }, context! { id => self.key });
                context! { run, op, key => self.key, client, session }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::scenario::{Scope, WorkloadKind};

    #[test]
    fn every_variable_that_a_scenario_may_name_has_a_value() {
        let cases = [
            (WorkloadKind::CreateOrGet, Action::CreateOrGet { reversed: true }),
            (WorkloadKind::CreateOrGet, Action::Get),
            (WorkloadKind::Custom, Action::Custom(Arc::from("x"))),
        ];
        for (kind, action) in cases {
            let subject = Subject { run_id: "r", op: OpId(3), client: 4, key: "p_q", action: &action };
            for name in Scope::Request(kind).variables() {
                let found = name.split('.').try_fold(subject.variables(), |value, part| value.get_attr(part)).unwrap();
                assert!(!found.is_undefined(), "{name} of {action:?}");
            }
        }
    }

    #[test]
    fn the_caller_comes_first_in_its_own_naming() {
        let action = Action::CreateOrGet { reversed: true };
        let subject = Subject { run_id: "r", op: OpId(3), client: 4, key: "p_q", action: &action };
        let user = subject.variables().get_attr("client").unwrap().get_attr("user").unwrap();
        assert_eq!((subject.pair(), user.to_string().as_str()), (["q", "p"], "q"));
    }
}
