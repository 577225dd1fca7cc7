//! Texts that no output may hold: [`Redactor`].
//!
//! A run in which everybody logs in learns a secret per user, and every answer is looked through for all of them: so they are
//! found by how they begin, and a text is looked through once. Where secrets begin alike or overlap, all of them are covered.

use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;

/// Bytes that secrets are found by. A shorter secret would blank half of every message.
const BEGINNING: usize = 4;

/// Texts that no output may hold.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    by_beginning: RwLock<FxHashMap<[u8; BEGINNING], Vec<Arc<str>>>>,
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
        let mut secrets = self.by_beginning.write().unwrap_or_else(PoisonError::into_inner);
        let alike = secrets.entry(beginning).or_default();
        if !alike.contains(&secret) {
            alike.push(secret);
        }
    }

    /// The text without secrets.
    pub(super) fn clear(&self, text: &str) -> String {
        let secrets = self.by_beginning.read().unwrap_or_else(PoisonError::into_inner);
        let bytes = text.as_bytes();
        let longest_at = |at: usize| {
            let beginning: &[u8; BEGINNING] = bytes[at..].first_chunk()?;
            let here = secrets.get(beginning)?.iter().filter(|secret| bytes[at..].starts_with(secret.as_bytes()));
            here.map(|secret| secret.len()).max()
        };
        // A secret begins and ends where characters do, so that the text may be cut there.
        let (mut cleared, mut covered) = (String::new(), 0);
        for at in 0..bytes.len() {
            let Some(length) = longest_at(at) else { continue };
            if at >= covered {
                cleared.push_str(&text[covered..at]);
                cleared.push_str("***");
            }
            covered = covered.max(at + length);
        }
        cleared.push_str(&text[covered..]);
        cleared
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
        redactor.learn("tok-123-long".into());
        redactor.learn("long-tail".into());
        for (text, expected) in [
            ("ab hunter2 tok-1234", "ab *** ***4"),
            ("tok-987", "***"),
            ("a tok-98 and hunter", "a tok-98 and hunter"),
            ("ein übel, tok", "ein ***, tok"),
            ("", ""),
            ("hun", "hun"),
            ("tok-123-long!", "***!"),
            ("tok-123-long-tail!", "***!"),
            ("hunter2hunter2", "******"),
        ] {
            assert_eq!(redactor.clear(text), expected);
        }
    }
}
