//! The requests that an exploration lets meet on one fresh key: few, fixed, and such that each could hurt the others.
//!
//! A load draws its operations by chance; here each request does what it is told, and everything that is drawn is fixed, so
//! that every execution asks for the same. What that is, a workload says itself. Main type: [`Requests`].

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::{Position, Workload};
use crate::history::{Action, Phase};

/// What one request does: the name of an operation of the workload.
pub type Operation = String;

/// One of the requests that meet, to the workload that decides what it asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Name of its operation.
    pub operation: &'a str,
    /// The operations of all that meet.
    pub all: &'a [Operation],
    /// The key.
    pub key: &'a str,
    /// Which of them it is, from 0.
    pub request: u32,
    /// It is the last of several.
    pub is_last: bool,
}

/// Requests that meet on the key of an execution.
#[derive(Clone)]
pub struct Requests {
    workload: Arc<dyn Workload>,
    operations: Vec<Operation>,
    requests: u32,
    seed: u64,
}

impl Requests {
    /// So many requests, which do these operations in turn; without any, what the workload's race is about.
    pub fn new(workload: Arc<dyn Workload>, operations: Vec<Operation>, requests: u32, seed: u64) -> Self {
        let operations = match (operations.is_empty(), workload.raced_operation()) {
            (true, Some(one)) => vec![one.to_owned()],
            _ => operations,
        };
        Requests { workload, operations, requests, seed }
    }

    /// The key of an execution.
    pub fn key(&self, execution: u32) -> Arc<str> {
        self.workload.key(Phase::Main, self.number(execution))
    }

    /// Whether documents must be there before the requests.
    pub fn are_seeded(&self) -> bool {
        self.workload.begins_with_documents(self.number(0), &self.operations)
    }

    /// Number of the key of an execution.
    fn number(&self, execution: u32) -> u32 {
        self.workload.number_for(execution, &self.operations)
    }

    /// What a request of an execution asks for.
    pub fn action(&self, execution: u32, request: u32) -> Action {
        let key = self.key(execution);
        let is_last = request > 0 && request + 1 == self.requests;
        let own = (request as usize).checked_rem(self.operations.len()).map(|place| &*self.operations[place]);
        let asked = own.map(|operation| Asked { operation, all: &self.operations, key: &key, request, is_last });
        asked.and_then(|asked| self.workload.asked(&asked)).unwrap_or_else(|| {
            let number = self.number(execution);
            let position = Position { phase: Phase::Main, client: request, round: 0, key: number, fresh: true };
            // Requests may be of different operations, the same in every execution.
            let seed = self.seed.wrapping_add(u64::from(request));
            self.workload.action(position, &mut ChaCha8Rng::seed_from_u64(seed))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::WorkloadKind;
    use crate::workload::of_kind;
    use crate::workload::thread::Class;

    fn requests(kind: WorkloadKind, operations: &[&str]) -> Requests {
        let operations = operations.iter().map(|name| (*name).to_owned()).collect();
        Requests::new(of_kind(kind, "r"), operations, 2, 1)
    }

    #[test]
    fn every_known_operation_is_the_one_that_is_asked_for() {
        for kind in WorkloadKind::ALL {
            for name in kind.operations() {
                let requests = requests(kind, &[name]);
                assert_eq!(requests.action(7, 0).name(), name);
                assert_eq!(requests.action(7, 1), requests.action(7, 1));
            }
        }
    }

    #[test]
    fn the_last_of_several_names_the_same_ones_in_the_other_order() {
        let chats = requests(WorkloadKind::CreateOrGet, &["create-or-get"]);
        let reversed = |reversed| Action::CreateOrGet { reversed };
        assert_eq!([0, 1].map(|request| chats.action(3, request)), [reversed(false), reversed(true)]);
        let threads = requests(WorkloadKind::Thread, &["start-conversation"]);
        let named = |request| match threads.action(3, request) {
            Action::StartConversation(conversation) => conversation.participants,
            other => panic!("{other:?}"),
        };
        let (first, mut last) = (named(0), named(1));
        assert_ne!(first, last);
        last.reverse();
        assert_eq!(first, last);
    }

    #[test]
    fn keys_are_of_the_kind_that_the_operations_need() {
        let cases: [(&[&str], Class, bool); 4] = [
            (&["start-conversation"], Class::Group, false),
            (&["expand-thread", "start-conversation"], Class::Expanding, true),
            (&["expand-thread", "resign-admin"], Class::Resigning, true),
            (&[], Class::Expanding, true),
        ];
        for (operations, class, seeded) in cases {
            let requests = requests(WorkloadKind::Thread, operations);
            assert!(
                (0..9).all(|execution| Class::of_family(&requests.key(execution)) == Some(class)),
                "{operations:?}"
            );
            assert_eq!(requests.are_seeded(), seeded, "{operations:?}");
        }
        assert!(requests(WorkloadKind::Merge, &["deliver"]).are_seeded());
        assert!(!requests(WorkloadKind::Merge, &["deliver", "open"]).are_seeded());
        assert!(!requests(WorkloadKind::Append, &[]).are_seeded());
    }
}
