//! Texts that no output may hold: [`Redactor`].
//!
//! A run in which everybody logs in learns a secret per user, and every answer is looked through for all of them: so they are
//! found by how they begin, and most texts, which hold none, are looked through once.

use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;

/// Bytes that secrets are found by. A shorter secret would blank half of every message.
const BEGINNING: usize = 4;

/// Texts that no output may hold.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    secrets: RwLock<Secrets>,
}

#[derive(Debug, Default)]
struct Secrets {
    /// In the order in which they became known.
    all: Vec<Arc<str>>,
    by_beginning: FxHashMap<[u8; BEGINNING], Vec<Arc<str>>>,
}

impl Redactor {
    /// Knows these from the start.
    pub(super) fn new(secrets: Vec<Arc<str>>) -> Self {
        let redactor = Redactor::default();
        secrets.into_iter().for_each(|secret| redactor.learn(secret));
        redactor
    }

    /// A secret that was handed out in the course of the run. One of a letter or two would blank half of every message.
    pub(super) fn learn(&self, secret: Arc<str>) {
        let Some(beginning) = secret.as_bytes().first_chunk().copied() else { return };
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        let alike = secrets.by_beginning.entry(beginning).or_default();
        if !alike.contains(&secret) {
            alike.push(Arc::clone(&secret));
            secrets.all.push(secret);
        }
    }

    /// The text without secrets.
    pub(super) fn clear(&self, text: &str) -> String {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        if !secrets.are_in(text) {
            return text.to_owned();
        }
        secrets.all.iter().fold(text.to_owned(), |text, secret| text.replace(&**secret, "***"))
    }
}

impl Secrets {
    /// Whether any of them is.
    fn are_in(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let begins_at = |at: usize| {
            let beginning: Option<&[u8; BEGINNING]> = bytes[at..].first_chunk();
            let alike = beginning.and_then(|beginning| self.by_beginning.get(beginning));
            alike.is_some_and(|alike| alike.iter().any(|secret| bytes[at..].starts_with(secret.as_bytes())))
        };
        (0..bytes.len()).any(begins_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blanked_wherever_they_are() {
        let redactor = Redactor::new(vec!["hunter2".into(), "ab".into()]);
        redactor.learn("tok-123".into());
        redactor.learn("tok-987".into());
        redactor.learn("übel".into());
        for (text, expected) in [
            ("ab hunter2 tok-1234", "ab *** ***4"),
            ("tok-987", "***"),
            ("a tok-98 and hunter", "a tok-98 and hunter"),
            ("ein übel, tok", "ein ***, tok"),
            ("", ""),
            ("hun", "hun"),
        ] {
            assert_eq!(redactor.clear(text), expected);
        }
    }
}
