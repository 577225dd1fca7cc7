//! What a request carries: a JSON body with messages for people, and the number of the operation.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use rand::RngExt;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;
use crate::history::OpId;

/// A JSON body, whatever content type it claims.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection: BytesRejection| {
            match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Refusal::too_large("the body is larger than 2 MB"),
                _ => Refusal::bad_request(format!("the body cannot be read: {rejection}")),
            }
        })?;
        match serde_json::from_slice(&bytes) {
            Ok(body) => Ok(Body(body)),
            Err(error) => Err(Refusal::bad_request(format!("the body is not the JSON that is expected: {error}"))),
        }
    }
}

/// Header with the number of the operation.
pub(super) const OPERATION: &str = "x-op-id";

/// The number stamped into what the request writes: that of the header, or one of the service's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp(pub(super) OpId);

impl Stamp {
    /// Numbers from here on, up to twice as many, are the service's own; all of them are exact in JSON.
    const OWN: u64 = 1 << 52;
}

impl<S: Send + Sync> FromRequestParts<S> for Stamp {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let Some(value) = parts.headers.get(OPERATION) else {
            return Ok(Stamp(OpId(rand::rng().random_range(Self::OWN..2 * Self::OWN))));
        };
        let number = value.to_str().ok().and_then(|text| text.parse().ok()).filter(|number| *number < Self::OWN);
        let number =
            number.ok_or_else(|| Refusal::bad_request("X-Op-Id must be a whole number from 0 to 4503599627370495"))?;
        Ok(Stamp(OpId(number)))
    }
}

/// Longest identifier or name.
const LONGEST: usize = 256;

/// An identifier or a name: some text, and not too much.
pub(super) fn name<'a>(field: &str, text: &'a str) -> Result<&'a str, Refusal> {
    match text.len() {
        0 => Err(Refusal::bad_request(format!("`{field}` must not be empty"))),
        1..=LONGEST => Ok(text),
        _ => Err(Refusal::bad_request(format!("`{field}` must not be longer than {LONGEST} bytes"))),
    }
}
