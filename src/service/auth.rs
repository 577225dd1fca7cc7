//! Log-in and the caller: a bearer token names the user, and every instance that shares the secret takes it.
//!
//! The check of a token keeps mistakes out, such as a token cut short or of another server. It is no cryptography, and
//! protects nothing.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

use super::body::{Body, name};
use super::refusal::Refusal;
use super::settings::Secret;
use super::state::Service;

/// Who asks, by the token.
#[derive(Debug)]
pub(super) struct Caller(pub(super) String);

impl FromRequestParts<Arc<Service>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Refusal> {
        let value = parts.headers.get(AUTHORIZATION).ok_or_else(|| {
            Refusal::unauthenticated("log in with POST /login and send `Authorization: Bearer TOKEN`")
        })?;
        let token = value.to_str().ok().and_then(|text| text.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let user = token.and_then(|token| user_of(&service.settings.token_secret, token));
        user.map(Caller).ok_or_else(|| Refusal::unauthenticated("the token is not one of this service"))
    }
}

/// `POST /login`.
#[derive(Deserialize)]
pub(super) struct Login {
    user: String,
    #[serde(default)]
    password: Option<String>,
}

/// Answer to a log-in.
#[derive(Serialize)]
pub(super) struct LoggedIn {
    token: String,
    user: String,
}

pub(super) async fn login(
    State(service): State<Arc<Service>>,
    Body(login): Body<Login>,
) -> Result<Json<LoggedIn>, Refusal> {
    name("user", &login.user)?;
    if let Some(password) = &service.settings.password
        && login.password.as_deref() != Some(password.expose())
    {
        return Err(Refusal::unauthenticated("the password is wrong"));
    }
    Ok(Json(LoggedIn { token: token(&service.settings.token_secret, &login.user), user: login.user }))
}

/// The token of a user: the name in hexadecimal digits, and a check of it.
fn token(secret: &Secret, user: &str) -> String {
    use std::fmt::Write;
    let mut token = String::with_capacity(user.len() * 2 + 17);
    for byte in user.bytes() {
        // Writing to a string does not fail.
        write!(token, "{byte:02x}").ok();
    }
    write!(token, ".{:016x}", check(secret, user)).ok();
    token
}

fn user_of(secret: &Secret, token: &str) -> Option<String> {
    let (digits, given) = token.split_once('.')?;
    if digits.is_empty() || !digits.is_ascii() || digits.len() % 2 != 0 {
        return None;
    }
    let bytes: Option<Vec<u8>> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect();
    let user = String::from_utf8(bytes?).ok()?;
    (u64::from_str_radix(given, 16).ok()? == check(secret, &user)).then_some(user)
}

fn check(secret: &Secret, user: &str) -> u64 {
    // Equal in every process of this program, which is all that is asked of it.
    let mut hasher = DefaultHasher::new();
    (secret.expose(), user, secret.expose()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_user_and_no_other_text_does() {
        let secret = Secret::new("s");
        for user in ["ann", "Zoë Ü", "a b.c", "x"] {
            assert_eq!(user_of(&secret, &token(&secret, user)).as_deref(), Some(user));
        }
        let good = token(&secret, "ann");
        let other = token(&Secret::new("t"), "ann");
        let bad = [other.as_str(), "", ".", "616e6e", "616e6e.", "616e6e.0", &good[1..], &good[2..], "é.0", "+1.0"];
        for token in bad {
            assert_eq!(user_of(&secret, token), None, "{token}");
        }
    }
}
