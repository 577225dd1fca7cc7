//! The requests that an exploration lets meet on one fresh key: few, fixed, and such that each could hurt the others.
//!
//! A load draws its operations by chance; here each request does what it is told, and everything that is drawn is fixed, so
//! that every execution asks for the same. Main type: [`Requests`].

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::thread::{BASE, POOL, participant};
use super::{Position, Workload};
use crate::history::{Action, Conversation, Delivery, Expansion, MessagePath, Phase, Said, ThreadKind, Via};
use crate::scenario::WorkloadKind;

/// What one request does: the name of an operation of the workload.
pub type Operation = String;

/// Requests that meet on the key of an execution.
#[derive(Clone)]
pub struct Requests {
    workload: Arc<dyn Workload>,
    kind: WorkloadKind,
    operations: Vec<Operation>,
    requests: u32,
    seed: u64,
}

impl Requests {
    /// So many requests, which do these operations in turn; without any, what the workload's race is about.
    pub fn new(
        workload: Arc<dyn Workload>,
        kind: WorkloadKind,
        operations: Vec<Operation>,
        requests: u32,
        seed: u64,
    ) -> Self {
        let operations = match (operations.is_empty(), Self::by_default(kind)) {
            (true, Some(one)) => vec![one.to_owned()],
            _ => operations,
        };
        Requests { workload, kind, operations, requests, seed }
    }

    /// The operation of every request, when a scenario names none. Those of a custom workload are drawn.
    fn by_default(kind: WorkloadKind) -> Option<&'static str> {
        match kind {
            WorkloadKind::CreateOrGet => Some("create-or-get"),
            WorkloadKind::Append => Some("append"),
            WorkloadKind::Merge => Some("deliver"),
            WorkloadKind::Thread => Some("expand-thread"),
            WorkloadKind::Custom | WorkloadKind::Unique => None,
        }
    }

    /// Names of the operations that a request can do, for a workload whose operations are not the scenario's own.
    pub fn known(kind: WorkloadKind) -> Vec<&'static str> {
        kind.operations().iter().chain(kind.optional_operations()).copied().collect()
    }

    /// The key of an execution.
    pub fn key(&self, execution: u32) -> Arc<str> {
        self.workload.key(Phase::Main, self.number(execution))
    }

    /// Whether documents must be there before the requests.
    pub fn are_seeded(&self) -> bool {
        match self.kind {
            WorkloadKind::Thread => self.on_a_given_thread(),
            _ => self.workload.exists_before(self.number(0)),
        }
    }

    /// Number of the key of an execution: workloads let it decide what goes on with the key.
    fn number(&self, execution: u32) -> u32 {
        let any = |name: &str| self.operations.iter().any(|operation| operation == name);
        let (stride, class) = match self.kind {
            // Every third chat is missing before the run.
            WorkloadKind::Merge => (3, if any("open") { 2 } else { 0 }),
            // Families by what goes on in them: direct, group, expanding, resigning.
            WorkloadKind::Thread => (
                4,
                if any("resign-admin") {
                    3
                } else if self.on_a_given_thread() {
                    2
                } else {
                    1
                },
            ),
            _ => (1, 0),
        };
        execution.wrapping_mul(stride).wrapping_add(class)
    }

    fn on_a_given_thread(&self) -> bool {
        let given = ["expand-thread", "resign-admin", "read-thread"];
        self.operations.iter().any(|operation| given.contains(&operation.as_str()))
    }

    /// What a request of an execution asks for.
    pub fn action(&self, execution: u32, request: u32) -> Action {
        let key = self.key(execution);
        let last = request > 0 && request + 1 == self.requests;
        let name = (!self.operations.is_empty()).then(|| &*self.operations[request as usize % self.operations.len()]);
        match (self.kind, name) {
            // The last request names the pair in the other order, which must make no difference.
            (WorkloadKind::CreateOrGet, Some("create-or-get")) => Action::CreateOrGet { reversed: last },
            (WorkloadKind::CreateOrGet, Some("get")) => Action::Get,
            (WorkloadKind::Append | WorkloadKind::Merge, Some("read")) => Action::Read,
            (WorkloadKind::Append, Some("append")) => {
                let answered = self.workload.answers();
                Action::Append(Said {
                    path: MessagePath::Text,
                    sender: request,
                    n: 0,
                    text: Arc::from("hello"),
                    answered,
                })
            }
            (WorkloadKind::Merge, Some("open")) => Action::Open,
            (WorkloadKind::Merge, Some("deliver")) => {
                Action::Deliver(Delivery { content: 0, nth: request, path: Delivery::paths(0)[0], via: Via::Webhook })
            }
            (WorkloadKind::Thread, Some("read-thread")) => Action::ReadThread,
            (WorkloadKind::Thread, Some("resign-admin")) => Action::ResignAdmin { caller: participant(&key, 'a') },
            (WorkloadKind::Thread, Some("expand-thread")) => Action::ExpandThread(Box::new(Expansion {
                caller: participant(&key, BASE[0]),
                participants: vec![participant(&key, POOL[request as usize % POOL.len()])],
                message: true,
            })),
            (WorkloadKind::Thread, Some("start-conversation")) => {
                Action::StartConversation(Box::new(self.conversation(&key, last)))
            }
            (WorkloadKind::Thread, Some("check-existing-thread")) => {
                Action::CheckExisting(Box::new(self.conversation(&key, last)))
            }
            (WorkloadKind::Custom | WorkloadKind::Unique, Some(name)) => Action::Custom(Arc::from(name)),
            _ => {
                let position = Position {
                    phase: Phase::Main,
                    client: request,
                    round: 0,
                    key: self.number(execution),
                    fresh: true,
                };
                // Requests of one kind may be of different operations of the user's own, the same in every execution.
                let own = match self.kind {
                    WorkloadKind::Custom | WorkloadKind::Unique => u64::from(request),
                    _ => 0,
                };
                self.workload.action(position, &mut ChaCha8Rng::seed_from_u64(self.seed.wrapping_add(own)))
            }
        }
    }

    /// A group of those who are in the family from the start; where others expand it, of those whom the first expansion
    /// brings it to.
    fn conversation(&self, key: &str, reversed: bool) -> Conversation {
        let mut letters = BASE.to_vec();
        if self.on_a_given_thread() {
            letters.push(POOL[0]);
        }
        if reversed {
            letters.reverse();
        }
        Conversation {
            kind: ThreadKind::Group,
            caller: participant(key, letters[0]),
            participants: letters.iter().map(|letter| participant(key, *letter)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::of_kind;
    use crate::workload::thread::Class;

    fn requests(kind: WorkloadKind, operations: &[&str]) -> Requests {
        let operations = operations.iter().map(|name| (*name).to_owned()).collect();
        Requests::new(of_kind(kind, "r"), kind, operations, 2, 1)
    }

    #[test]
    fn every_known_operation_is_the_one_that_is_asked_for() {
        for kind in WorkloadKind::ALL {
            for name in Requests::known(kind) {
                let requests = requests(kind, &[name]);
                assert_eq!(requests.action(7, 0).name(), name);
                assert_eq!(requests.action(7, 1), requests.action(7, 1));
            }
        }
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
