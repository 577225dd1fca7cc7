//! [`Settings`]: how the service behaves.

use std::fmt;

use super::planted::Planted;
use crate::scenario::WorkloadKind;
use crate::strategy::{self, InjectedDelay, append, create_or_get, merge};

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where its collections are.
    pub database: String,
    /// How each endpoint is carried out.
    pub strategies: Strategies,
    /// Whether unique indexes stand behind the strategies.
    pub unique_index: bool,
    /// Connections to the server.
    pub pool: u32,
    /// Pauses between the commands of a request, which widen the windows of races.
    pub delay: InjectedDelay,
    /// What log-in asks for; any password is good without it.
    pub password: Option<Secret>,
    /// What tokens are made with: instances that share it take each other's tokens.
    pub token_secret: Secret,
    /// A bug that is planted, or its control: then nothing else is prepared.
    pub planted: Option<Planted>,
}

/// A word that no output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Holds a word.
    pub fn new(word: impl Into<String>) -> Self {
        Secret(word.into())
    }

    /// A word that nobody can guess.
    pub fn random() -> Self {
        Secret(format!("{:032x}", rand::random::<u128>()))
    }

    /// The word; never for an output.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// One strategy for each workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strategies {
    /// `POST /api/chats/create-or-get`.
    pub create_or_get: create_or_get::Strategy,
    /// `POST /api/conversations/{sessionId}/text` and `…/voice`.
    pub append: append::Strategy,
    /// Starting and expanding threads.
    pub thread: strategy::thread::Strategy,
    /// `POST /api/user-chats/{chatId}/webhook`, `…/polling` and `…/manual-merge`.
    pub merge: merge::Strategy,
}

impl Default for Strategies {
    /// The correct ones.
    fn default() -> Self {
        Strategies {
            create_or_get: create_or_get::Strategy::UpsertRetry,
            append: append::Strategy::UpsertPush,
            thread: strategy::thread::Strategy::KeyedUpsert,
            merge: merge::Strategy::ConditionalPush,
        }
    }
}

/// A choice of strategy that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadChoice {
    /// It is not of the form `workload=strategy`.
    #[error("`{0}` is not of the form WORKLOAD=STRATEGY, as in `create-or-get=find-then-insert`")]
    Form(String),
    /// There is no such workload.
    #[error("there is no workload `{name}`; there are: {known}")]
    Workload {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The workload has no such strategy.
    #[error("{workload} has no strategy `{name}`; it has: {known}")]
    Strategy {
        /// Of this workload.
        workload: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

impl Strategies {
    /// Makes a choice such as `create-or-get=find-then-insert`.
    pub fn choose(&mut self, choice: &str) -> Result<(), BadChoice> {
        let (workload, name) = choice.split_once('=').ok_or_else(|| BadChoice::Form(choice.to_owned()))?;
        let kind = WorkloadKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == workload && !strategy::names(*kind).is_empty())
            .ok_or_else(|| {
                let known =
                    Self::default().chosen().into_iter().map(|(workload, _)| workload).collect::<Vec<_>>().join(", ");
                BadChoice::Workload { name: workload.to_owned(), known }
            })?;
        let unknown = || BadChoice::Strategy {
            workload: kind.as_str(),
            name: name.to_owned(),
            known: strategy::names(kind).join(", "),
        };
        match kind {
            WorkloadKind::CreateOrGet => self.create_or_get = name.parse().map_err(|_| unknown())?,
            WorkloadKind::Append => self.append = name.parse().map_err(|_| unknown())?,
            WorkloadKind::Merge => self.merge = name.parse().map_err(|_| unknown())?,
            WorkloadKind::Thread => self.thread = name.parse().map_err(|_| unknown())?,
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// Each workload with the name of its strategy.
    pub fn chosen(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            (WorkloadKind::CreateOrGet.as_str(), self.create_or_get.description().name),
            (WorkloadKind::Append.as_str(), self.append.description().name),
            (WorkloadKind::Merge.as_str(), self.merge.description().name),
            (WorkloadKind::Thread.as_str(), self.thread.description().name),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_can_be_chosen_by_name() {
        for kind in WorkloadKind::ALL {
            for name in strategy::names(kind) {
                let mut strategies = Strategies::default();
                strategies.choose(&format!("{}={name}", kind.as_str())).unwrap();
                assert!(strategies.chosen().contains(&(kind.as_str(), name)), "{name}");
            }
        }
    }

    #[test]
    fn an_unknown_choice_is_answered_with_what_there_is() {
        let cases = [
            ("upsert", "not of the form"),
            ("creat-or-get=upsert", "there are: create-or-get"),
            ("create-or-get=upsrt", "it has: find-then-insert, create-then-fill, upsert,"),
            ("create-or-get=", "create-or-get has no strategy ``"),
        ];
        for (choice, part) in cases {
            let error = Strategies::default().choose(choice).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert!(!format!("{:?}", Secret::new("swordfish")).contains("swordfish"));
        assert_ne!(Secret::random(), Secret::random());
    }
}
