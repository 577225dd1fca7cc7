//! What faults there may be: what is asked for ([`Faults`]), what an execution must know of it ([`Mode`]), and where a fault may
//! strike ([`Planned`]).
//!
//! A fault strikes what a request writes when it is alone: a write whose answer is lost, a write that never arrives. Of reads,
//! those that follow a write are refused, because what was written may then be left half done; any other fault of a read is
//! only a repetition.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use mongodb::Client;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, doc};

use super::{Fault, Lag, Refusal};
use crate::explore::cause::chain;
use crate::explore::predict::Trace;
use crate::explore::wire::{Command, Kind};
use crate::scenario::FaultKind;

/// Kills a service, and starts it again.
pub trait Restart: fmt::Debug + Send + Sync {
    /// Kills it; when this has ended, it does nothing any more.
    fn kill(&self) -> BoxFuture<'_, Result<(), String>>;

    /// Starts it again, and waits until it is ready.
    fn start(&self) -> BoxFuture<'_, Result<(), String>>;
}

/// The faults of an exploration.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// What may happen.
    pub kinds: BTreeSet<FaultKind>,
    /// A request that a fault touched and that was not answered well is delivered once more.
    pub redeliver: bool,
    /// The service, where it can be killed.
    pub restart: Option<Arc<dyn Restart>>,
    /// The secondary that lags, where there is one.
    pub lag: Option<Arc<Lag>>,
}

/// What an execution must know of faults.
#[derive(Debug, Clone, Default)]
pub(in crate::explore) struct Mode {
    pub(in crate::explore) redeliver: bool,
    pub(in crate::explore) restart: Option<Arc<dyn Restart>>,
    pub(in crate::explore) lag: Option<Arc<Lag>>,
    /// The server itself, past the proxy.
    pub(in crate::explore) server: Option<Client>,
    /// Commands that came after their request was answered: its class, and their position.
    pub(in crate::explore) late: BTreeSet<(usize, usize)>,
}

/// A fault, and the command that it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::explore) struct Planned {
    pub(super) request: usize,
    /// Position among the request's commands.
    pub(super) ordinal: usize,
    pub(super) fault: Fault,
}

/// Where faults may strike. Only one request of each class is struck, because the others are like it: the first, but for what is
/// only wrong when somebody has been there before. Crashes come first, then
/// the other faults, each kind at all of its places: what is most often harmful, soonest.
pub(super) fn planned(
    kinds: &BTreeSet<FaultKind>,
    traces: &[Trace],
    classes: &[usize],
    late: &BTreeSet<(usize, usize)>,
) -> Vec<Planned> {
    let mut planned = Vec::new();
    for kind in kinds {
        for (request, trace) in traces.iter().enumerate() {
            let class = classes[request];
            let alike = if *kind == FaultKind::StaleRead { &classes[request + 1..] } else { &classes[..request] };
            if alike.contains(&class) {
                continue;
            }
            for (ordinal, command) in trace.iter().enumerate() {
                let after_a_write = trace[..ordinal].iter().any(|earlier| earlier.kind == Kind::Write);
                let is_late = late.contains(&(class, ordinal));
                let faults = faults_of(*kind, command, after_a_write, is_late);
                planned.extend(faults.into_iter().map(|fault| Planned { request, ordinal, fault }));
            }
        }
    }
    planned
}

/// What of this kind may happen to a command.
fn faults_of(kind: FaultKind, command: &Command, after_a_write: bool, is_late: bool) -> Vec<Fault> {
    match (kind, command.kind) {
        // A crash before a command is one after what came before it, unless its request was answered in between.
        (FaultKind::Crash, Kind::Write) if is_late => vec![Fault::CrashBefore, Fault::Crash],
        (FaultKind::Crash, Kind::Write) => vec![Fault::Crash],
        (FaultKind::LostAnswer, Kind::Write) if command.answered => vec![Fault::LostAnswer],
        (FaultKind::LostCommand, Kind::Write) => vec![Fault::LostCommand],
        // Nobody is told anything of a write that asks for no answer.
        (FaultKind::ErrorAnswer, _) if !command.answered => Vec::new(),
        // An error in place of a commit would leave the transaction open in the server, which nobody ends.
        (FaultKind::ErrorAnswer, _) if command.name == "commitTransaction" => Vec::new(),
        (FaultKind::ErrorAnswer, _) if command.in_transaction => vec![Fault::Error(Refusal::WriteConflict)],
        (FaultKind::ErrorAnswer, Kind::Write) => {
            vec![Fault::Error(Refusal::Retryable), Fault::Error(Refusal::TimedOut)]
        }
        (FaultKind::StaleRead, _) if command.may_lag() => vec![Fault::StaleRead],
        (FaultKind::ErrorAnswer, Kind::Read) if after_a_write => vec![Fault::Error(Refusal::TimedOut)],
        _ => Vec::new(),
    }
}

/// Ends the transactions of sessions whose client is gone. Where the server does not allow that, it does so itself later.
pub(in crate::explore) async fn end_sessions(
    server: Option<Client>,
    sessions: BTreeSet<Vec<u8>>,
) -> Result<(), String> {
    let Some(server) = server.filter(|_| !sessions.is_empty()) else { return Ok(()) };
    let of_one = |bytes: Vec<u8>| doc! { "id": Binary { subtype: BinarySubtype::Uuid, bytes } };
    let all: Vec<_> = sessions.into_iter().map(of_one).collect();
    let ended = server.database("admin").run_command(doc! { "killSessions": all }).await;
    ended.map(|_| ()).map_err(|error| chain(&error))
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{RawDocumentBuf, rawdoc};

    use super::*;
    use crate::explore::wire::Message;
    use crate::explore::wire::message::tests::msg;

    fn trace(commands: &[RawDocumentBuf]) -> Trace {
        let parse = |document| Command::parse(&Message::parse(&msg(0, document, &[])).unwrap()).unwrap();
        commands.iter().map(|document| Arc::new(parse(document))).collect()
    }

    fn texts(kinds: &[FaultKind], traces: &[Trace], late: &[(usize, usize)]) -> Vec<String> {
        let classes: Vec<usize> = vec![0; traces.len()];
        let all = planned(&kinds.iter().copied().collect(), traces, &classes, &late.iter().copied().collect());
        all.iter().map(|one| format!("{}.{} {}", one.request, one.ordinal, one.fault)).collect()
    }

    #[test]
    fn faults_strike_writes_of_the_first_request_of_each_class() {
        let find = rawdoc! { "find": "chats", "filter": {}, "$db": "app" };
        let insert = rawdoc! { "insert": "chats", "documents": [{}], "$db": "app" };
        let one = trace(&[find.clone(), insert, find]);
        let both = [one.clone(), one];
        assert_eq!(texts(&[FaultKind::LostAnswer, FaultKind::Crash], &both, &[]), ["0.1 crash", "0.1 lost-answer"]);
        assert_eq!(texts(&[FaultKind::Crash], &both, &[(0, 1)]), ["0.1 crash-before", "0.1 crash"]);
        let refused = ["0.1 error-262", "0.1 error-50", "0.2 error-50"];
        assert_eq!(texts(&[FaultKind::ErrorAnswer], &both, &[]), refused);
        assert!(texts(&[], &both, &[]).is_empty());
    }

    #[test]
    fn what_a_secondary_may_answer_is_stale_in_the_last_request_of_each_class() {
        let from =
            |mode: &str| rawdoc! { "find": "chats", "filter": {}, "$db": "app", "$readPreference": { "mode": mode } };
        let insert = rawdoc! { "insert": "chats", "documents": [{}], "$db": "app" };
        let one = trace(&[from("primaryPreferred"), from("secondary"), insert]);
        assert_eq!(texts(&[FaultKind::StaleRead], &[one.clone(), one], &[]), ["1.1 stale"]);
    }

    #[test]
    fn a_transaction_is_told_to_begin_again() {
        let insert = rawdoc! { "insert": "chats", "documents": [{}], "$db": "app", "autocommit": false };
        let commit = rawdoc! { "commitTransaction": 1, "$db": "admin", "autocommit": false };
        assert_eq!(texts(&[FaultKind::ErrorAnswer], &[trace(&[insert, commit])], &[]), ["0.0 error-112"]);
    }

    #[test]
    fn what_asks_for_no_answer_gets_none_that_is_wrong() {
        let insert = rawdoc! { "insert": "chats", "documents": [{}], "$db": "app", "writeConcern": { "w": 0 } };
        // The driver says so in the frame as well.
        let bytes = msg(1 << 1, &insert, &[]);
        let command = Command::parse(&Message::parse(&bytes).unwrap()).unwrap();
        assert!(!command.answered);
        let asked = [FaultKind::ErrorAnswer, FaultKind::LostAnswer, FaultKind::LostCommand];
        assert_eq!(texts(&asked, &[vec![Arc::new(command)]], &[]), ["0.0 lost-command"]);
    }
}
