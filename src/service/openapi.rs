//! `GET /openapi.json`.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// The document: OpenAPI 3.1.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}
