//! What a request carries: a JSON body with messages for people, and the number of the operation.

use axum::body::{Body as Sent, Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use rand::RngExt;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;
use crate::history::OpId;

/// Longest body that is taken.
const TAKEN: usize = 2 * 1024 * 1024;

/// Longest body that is read to its end.
const READ: usize = 64 * 1024 * 1024;

/// Reads a request to its end before anything answers it.
///
/// A server that answers and closes while the client still sends makes the client's system throw the answer away (RFC
/// 9112, section 9.6): the client would see a broken connection where it was refused.
pub(super) async fn whole(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    match read(body).await {
        Ok(body) => next.run(Request::from_parts(parts, Sent::from(body))).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn read(body: Sent) -> Result<Vec<u8>, Refusal> {
    let mut sent = body.into_data_stream();
    let mut taken = Vec::new();
    let mut length = 0;
    while length <= READ {
        match sent.try_next().await {
            Ok(Some(part)) => {
                length += part.len();
                if length <= TAKEN {
                    taken.extend_from_slice(&part);
                }
            }
            Ok(None) if length <= TAKEN => return Ok(taken),
            Ok(None) => break,
            Err(error) => return Err(Refusal::bad_request(format!("the body cannot be read: {error}"))),
        }
    }
    Err(Refusal::too_large("the body is larger than 2 MB"))
}

/// A JSON body, whatever content type it claims.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Refusal::bad_request(format!("the body cannot be read: {rejection}")))?;
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
