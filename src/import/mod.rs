//! Requests as others write them down: curl lines, HAR files, OpenAPI documents, Postman collections. Pure: text in, a
//! neutral list of [`Sample`]s out, every mistake named with its place and what to do about it.

mod curl;
mod har;
mod openapi;
mod options;
mod parts;
mod postman;
mod sample;
mod schema;
mod shell;

pub use curl::from_curl;
pub use har::from_har;
pub use openapi::from_openapi;
pub use parts::{encoded_query, encoded_segment};
pub use postman::from_postman;
pub use sample::{Body, ImportError, Imported, Sample};
