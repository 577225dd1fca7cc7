//! Text that may hold secrets. Main type: [`SecretText`].

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Text of a scenario. What came from the environment, and what is a credential by its place, is in `expose` only:
/// `Display`, `Debug` and the resolved scenario show `${NAME}` or `***` instead.
#[derive(Clone)]
pub struct SecretText {
    text: Arc<str>,
    shown: Arc<str>,
    secrets: Vec<Arc<str>>,
}

impl SecretText {
    /// Text without secrets.
    pub fn plain(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        SecretText { shown: Arc::clone(&text), text, secrets: Vec::new() }
    }

    /// Text with these secrets in it, and how it is shown.
    pub fn masked(text: impl Into<Arc<str>>, shown: impl Into<Arc<str>>, secrets: Vec<Arc<str>>) -> Self {
        SecretText { text: text.into(), shown: shown.into(), secrets }
    }

    /// The text itself, for the service under test; never for an output.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The parts that no output may hold.
    pub fn secrets(&self) -> &[Arc<str>] {
        &self.secrets
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown, f)
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.shown == other.shown
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown)
    }
}
