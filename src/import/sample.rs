//! What every source is turned into. Main type: [`Sample`].

use serde_json::Value as Json;

/// One request, with the values that its source has for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// `GET`, `POST`, …
    pub method: String,
    /// Scheme, host and port, where the source names them.
    pub origin: Option<String>,
    /// The path between its slashes, decoded: `/a/b` is `a`, `b`.
    pub segments: Vec<String>,
    /// What segments stand for, where the source says: `{id}` is `id`.
    pub parameters: Vec<Option<String>>,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// Headers of the request's own; none of those that follow from the connection or the browser.
    pub headers: Vec<(String, String)>,
    /// What it carries.
    pub body: Body,
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// JSON.
    Json(Json),
    /// A URL-encoded form.
    Form(Vec<(String, String)>),
    /// Fields of a multipart form.
    Multipart(Vec<(String, String)>),
    /// Anything else, as it is.
    Text(String),
}

/// What a source holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Imported {
    /// The requests, in the order of the source.
    pub samples: Vec<Sample>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Why a source cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ImportError {
    /// What is wrong, and where.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ImportError {
    /// What is wrong, and where.
    pub(super) fn new(message: impl Into<String>) -> Self {
        ImportError { message: message.into(), hint: None }
    }

    /// What to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Sample {
    /// The path as it is sent, without a query.
    pub fn path(&self) -> String {
        let encoded = self.segments.iter().map(|segment| format!("/{}", super::encoded_segment(segment)));
        let path: String = encoded.collect();
        if path.is_empty() { "/".to_owned() } else { path }
    }

    /// The route for people, with its parameters in braces: `POST /chats/{id}`.
    pub fn route(&self) -> String {
        let part = |(index, segment): (usize, &String)| match self.parameters.get(index) {
            Some(Some(name)) => format!("/{{{name}}}"),
            _ => format!("/{}", super::encoded_segment(segment)),
        };
        let path: String = self.segments.iter().enumerate().map(part).collect();
        format!("{} {}", self.method, if path.is_empty() { "/" } else { &path })
    }

    /// Whether it may change something.
    pub fn writes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE")
    }
}
