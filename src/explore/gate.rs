//! What passes between the proxy, the requests and the scheduler: [`Event`], and the gates that hold a command and its
//! answer until the scheduler lets them go.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::fault::Refusal;
use super::wire::{Command, Reply};
use crate::target::Completion;

/// Number of a parked command, unique within a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub u64);

/// Something that the scheduler waits for.
#[derive(Debug)]
pub enum Event {
    /// A command arrived and is held back from the server.
    Parked(Parked),
    /// The server answered a command, and the answer is held back from the client.
    Replied(Replied),
    /// A command or its answer was lost with its connection.
    Lost {
        /// The command.
        step: StepId,
        /// What became of the connection.
        reason: String,
    },
    /// A request ended.
    Finished {
        /// Number of the execution that it belongs to.
        execution: u32,
        /// Its position.
        request: usize,
        /// What came of it.
        completion: Completion,
    },
}

/// A command that is held back. Dropping it lets the command pass.
#[derive(Debug)]
pub struct Parked {
    /// Its number.
    pub step: StepId,
    /// What it asks for.
    pub command: Arc<Command>,
    /// Opens the way to the server.
    pub gate: oneshot::Sender<Release>,
}

/// An answer that is held back. Dropping it lets the answer pass.
#[derive(Debug)]
pub struct Replied {
    /// Number of the command that it answers.
    pub step: StepId,
    /// What it says.
    pub reply: Reply,
    /// Opens the way to the client.
    pub gate: oneshot::Sender<Deliver>,
}

/// How a command goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// To the server.
    Forward,
    /// To the member of the set that lags.
    Lagging,
    /// Nowhere: its connection is closed before the server sees it.
    Reset,
    /// Nowhere: this is the answer.
    Refuse(Refusal),
}

/// How an answer goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deliver {
    /// To the client.
    Forward,
    /// Nowhere: its connection is closed although the server has carried the command out.
    Drop,
}
