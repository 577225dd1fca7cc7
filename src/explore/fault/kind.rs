//! [`Fault`]: what may happen to a command, by the words of a schedule.

use std::fmt;

use super::Refusal;
use crate::explore::gate::{Deliver, Release};

/// What happens to a command that is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The server carries it out; its answer is lost with the connection.
    LostAnswer,
    /// Its connection is closed before the server sees it.
    LostCommand,
    /// The server never sees it, and an error is the answer.
    Error(Refusal),
    /// The service is killed before the server sees it.
    CrashBefore,
    /// The server carries it out, and the service is killed before it hears of it.
    Crash,
    /// A secondary answers a read that is as far as the primary was when the execution began.
    StaleRead,
}

impl Fault {
    const ALL: [Fault; 8] = [
        Fault::LostAnswer,
        Fault::LostCommand,
        Fault::Error(Refusal::Retryable),
        Fault::Error(Refusal::TimedOut),
        Fault::Error(Refusal::WriteConflict),
        Fault::CrashBefore,
        Fault::Crash,
        Fault::StaleRead,
    ];

    /// The fault with this word.
    pub fn of_word(word: &str) -> Option<Fault> {
        Fault::ALL.into_iter().find(|fault| fault.to_string() == word)
    }

    /// Whether the service is killed.
    pub fn is_crash(self) -> bool {
        matches!(self, Fault::Crash | Fault::CrashBefore)
    }

    /// Whether a request that it strikes may have happened or not: what is only answered by another member of the set has happened.
    pub(in crate::explore) fn is_doubtful(self) -> bool {
        self != Fault::StaleRead
    }

    /// How the command goes on; nothing where it must not while the service lives.
    pub(in crate::explore) fn release(self) -> Option<Release> {
        match self {
            Fault::LostAnswer | Fault::Crash => Some(Release::Forward),
            Fault::StaleRead => Some(Release::Lagging),
            Fault::LostCommand => Some(Release::Reset),
            Fault::Error(refusal) => Some(Release::Refuse(refusal)),
            Fault::CrashBefore => None,
        }
    }

    /// How its answer goes on.
    pub(in crate::explore) fn deliver(self) -> Deliver {
        match self {
            Fault::LostAnswer | Fault::Crash => Deliver::Drop,
            Fault::LostCommand | Fault::Error(_) | Fault::CrashBefore | Fault::StaleRead => Deliver::Forward,
        }
    }

    /// What happened, for people, behind what the server answered.
    pub(in crate::explore) fn in_words(self, answer: &str) -> String {
        match self {
            Fault::LostAnswer => format!("{answer}, but that answer is lost: its connection is closed"),
            Fault::LostCommand => "lost: its connection is closed before the database sees it".to_owned(),
            Fault::Error(refusal) => format!("the database refuses: {refusal}"),
            Fault::StaleRead => format!("{answer}, by a secondary that knows nothing of these requests yet"),
            Fault::CrashBefore => "the service is killed before the database sees it".to_owned(),
            Fault::Crash => format!("{answer}, and the service is killed before it hears of it"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::LostAnswer => "lost-answer",
            Fault::LostCommand => "lost-command",
            Fault::Error(Refusal::Retryable) => "error-262",
            Fault::Error(Refusal::TimedOut) => "error-50",
            Fault::Error(Refusal::WriteConflict) => "error-112",
            Fault::CrashBefore => "crash-before",
            Fault::Crash => "crash",
            Fault::StaleRead => "stale",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_as_it_is_written() {
        for fault in Fault::ALL {
            assert_eq!(Fault::of_word(&fault.to_string()), Some(fault));
        }
        assert_eq!(Fault::of_word("crash-before"), Some(Fault::CrashBefore));
        assert_eq!(Fault::of_word(""), None);
    }
}
