//! Paths in JSON. Main type: [`JsonPath`].

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A JSONPath (RFC 9535), compiled.
#[derive(Clone)]
pub struct JsonPath {
    text: Arc<str>,
    compiled: Arc<serde_json_path::JsonPath>,
}

impl JsonPath {
    /// Compiles a path; the error has the byte at which it goes wrong.
    pub fn compile(text: &str) -> Result<Self, (usize, String)> {
        let compiled = serde_json_path::JsonPath::parse(text)
            .map_err(|error| (error.position().saturating_sub(1).min(text.len()), error.message().to_owned()))?;
        Ok(JsonPath { text: Arc::from(text), compiled: Arc::new(compiled) })
    }

    /// The first value that it selects, other than null.
    pub fn first<'a>(&self, value: &'a serde_json::Value) -> Option<&'a serde_json::Value> {
        self.compiled.query(value).into_iter().find(|found| !found.is_null())
    }

    /// Whether it selects the elements of a list, which may be empty.
    pub(crate) fn selects_elements(&self) -> bool {
        self.text.contains(['*', '?'])
    }

    /// Everything that it selects.
    pub fn all<'a>(&self, value: &'a serde_json::Value) -> Vec<&'a serde_json::Value> {
        self.compiled.query(value).all()
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for JsonPath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for JsonPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
