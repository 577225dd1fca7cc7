//! [`Refusal`]: what a request that does not succeed is answered with, as a status and `{error, code?}`.
//!
//! An error that the service does not handle becomes a 500 with the server's message and code, as in an Express
//! application: that is how a lost race reaches the client.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::strategy::{Failure, Reason, server_answer};

/// Why a request does not succeed.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Body,
}

#[derive(Debug, Serialize)]
struct Body {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
}

impl Refusal {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Refusal { status, body: Body { error: error.into(), code: None } }
    }

    /// The request is wrong.
    pub(super) fn bad_request(error: impl Into<String>) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, error)
    }

    /// Nobody is logged in.
    pub(super) fn unauthenticated(error: impl Into<String>) -> Self {
        Refusal::new(StatusCode::UNAUTHORIZED, error)
    }

    /// The caller may not do it.
    pub(super) fn forbidden(error: impl Into<String>) -> Self {
        Refusal::new(StatusCode::FORBIDDEN, error)
    }

    /// It would break a rule that another document stands for.
    pub(super) fn conflict(error: impl Into<String>) -> Self {
        Refusal::new(StatusCode::CONFLICT, error)
    }

    /// There is no such thing.
    pub(super) fn not_found(error: impl Into<String>) -> Self {
        Refusal::new(StatusCode::NOT_FOUND, error)
    }

    /// The route does not know the method.
    pub(super) fn method(error: impl Into<String>) -> Self {
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error)
    }

    /// The body is too large.
    pub(super) fn too_large(error: impl Into<String>) -> Self {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    }

    /// The server behind the service does not answer.
    pub(super) fn unavailable(error: impl Into<String>) -> Self {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure.reason {
            Reason::GaveUp(reason) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason),
            Reason::Conflict(reason) => Refusal::conflict(reason),
            Reason::Driver(error) => Refusal::from(*error),
        }
    }
}

impl From<mongodb::error::Error> for Refusal {
    fn from(error: mongodb::error::Error) -> Self {
        let (code, message) = match server_answer(&error) {
            Some((code, message)) => (Some(code), message.to_owned()),
            None => (None, error.kind.to_string().lines().next().unwrap_or_default().to_owned()),
        };
        Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, body: Body { error: message, code } }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}
