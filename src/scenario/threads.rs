//! How a service shows threads in the answers of `[observe.http]`: `thread = { … }`. Main type: [`ThreadPaths`].

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::json_path::JsonPath;

/// Where an observed thread has what. What is not said is not judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ThreadPaths {
    /// `direct` or `group`. Default `$.type`.
    pub kind: JsonPath,
    /// The names of its participants. Default `$.participants`.
    pub members: JsonPath,
    /// For each of them the number of the operation that added it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_by: Option<JsonPath>,
    /// Who was its admin when it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<JsonPath>,
    /// The names of its admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admins: Option<JsonPath>,
    /// The number of the operation that created it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<JsonPath>,
    /// Its title, whose number is that of its participants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<JsonPath>,
    /// How many messages it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_count: Option<JsonPath>,
}

/// `[observe.http.thread]` as it is written.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table of JSONPaths")]
pub(super) struct Threads {
    /// JSONPath of `direct` or `group`; by default `$.type`.
    #[schemars(with = "Option<String>")]
    pub(super) kind: Option<Spanned<String>>,
    /// JSONPath of the participants' names; by default `$.participants`.
    #[schemars(with = "Option<String>")]
    pub(super) members: Option<Spanned<String>>,
    /// JSONPath of the numbers of the operations that added them, one for each.
    #[schemars(with = "Option<String>")]
    pub(super) added_by: Option<Spanned<String>>,
    /// JSONPath of who was its admin when it was created.
    #[schemars(with = "Option<String>")]
    pub(super) owner: Option<Spanned<String>>,
    /// JSONPath of the admins' names.
    #[schemars(with = "Option<String>")]
    pub(super) admins: Option<Spanned<String>>,
    /// JSONPath of the number of the operation that created it.
    #[schemars(with = "Option<String>")]
    pub(super) stamp: Option<Spanned<String>>,
    /// JSONPath of the title, whose number is that of the participants.
    #[schemars(with = "Option<String>")]
    pub(super) title: Option<Spanned<String>>,
    /// JSONPath of the number of messages.
    #[schemars(with = "Option<String>")]
    pub(super) message_count: Option<Spanned<String>>,
}
