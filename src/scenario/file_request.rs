//! Requests as they are written: on their own, and as part of a table that has further keys.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::file_json::Json;

/// Texts by name.
pub(super) type Texts = BTreeMap<Spanned<String>, Spanned<String>>;

/// Declares a table that has the keys of a request and further ones. What serde calls `flatten` would lose the place of each
/// mistake.
macro_rules! table_with_request {
    ($(#[$meta:meta])* $name:ident { $($(#[$further:meta])* $field:ident: $kind:ty,)* }) => {
        #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
        $(#[$meta])*
        pub(super) struct $name {
            /// Method of the request.
            #[schemars(with = "Option<String>")]
            pub(super) method: Option<toml::Spanned<String>>,
            /// Path of the request; a template.
            #[schemars(with = "Option<String>")]
            pub(super) path: Option<toml::Spanned<String>>,
            /// Headers, by name.
            #[serde(default)]
            #[schemars(with = "std::collections::BTreeMap<String, String>")]
            pub(super) headers: $crate::scenario::file_request::Texts,
            /// Body as JSON; texts are templates.
            #[schemars(with = "Option<serde_json::Value>")]
            pub(super) json: Option<toml::Spanned<$crate::scenario::file_json::Json>>,
            /// Body as it is; a template.
            #[schemars(with = "Option<String>")]
            pub(super) body: Option<toml::Spanned<String>>,
            /// Body as a form; a template.
            #[schemars(with = "Option<std::collections::BTreeMap<String, String>>")]
            pub(super) form: Option<toml::Spanned<$crate::scenario::file_request::Texts>>,
            $($(#[$further])* pub(super) $field: $kind,)*
        }

        impl $name {
            /// The request in it; what is left has none.
            pub(super) fn take_request(&mut self) -> $crate::scenario::file_request::Request {
                $crate::scenario::file_request::Request {
                    method: self.method.take(),
                    path: self.path.take(),
                    headers: std::mem::take(&mut self.headers),
                    json: self.json.take(),
                    body: self.body.take(),
                    form: self.form.take(),
                }
            }
        }
    };
}

pub(super) use table_with_request;

/// A request.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Request {
    /// Method of the request.
    #[schemars(with = "Option<String>")]
    pub(super) method: Option<Spanned<String>>,
    /// Path of the request; a template.
    #[schemars(with = "Option<String>")]
    pub(super) path: Option<Spanned<String>>,
    /// Headers, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) headers: Texts,
    /// Body as JSON; texts are templates.
    #[schemars(with = "Option<serde_json::Value>")]
    pub(super) json: Option<Spanned<Json>>,
    /// Body as it is; a template.
    #[schemars(with = "Option<String>")]
    pub(super) body: Option<Spanned<String>>,
    /// Body as a form; a template.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) form: Option<Spanned<Texts>>,
}
