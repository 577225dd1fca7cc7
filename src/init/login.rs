//! Which of the requests logs in, and what of its answer says so afterwards.

use serde_json::Value as Json;

use super::documents::{json_path, leaves};
use super::probe::Reply;
use crate::import::{Body, Sample};

/// Words of a path that logs in.
const ROUTES: [&str; 9] =
    ["login", "log-in", "signin", "sign-in", "session", "sessions", "authenticate", "token", "auth"];
/// Fields that hold who logs in, the likeliest first.
const USERS: [&str; 7] = ["username", "user", "email", "login", "userid", "user_id", "name"];
/// Fields that hold a token.
const TOKENS: [&str; 8] =
    ["token", "access_token", "accesstoken", "jwt", "id_token", "idtoken", "authtoken", "auth_token"];

/// A log-in.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// The request.
    pub sample: Sample,
    /// The value of it that says who.
    pub user: String,
    /// Where the answer has the token; without it cookies are kept.
    pub token: Option<String>,
}

impl Login {
    /// The likeliest log-in of these requests: its token is known once it has been answered.
    pub fn among(samples: &[Sample]) -> Option<Self> {
        let route = |sample: &&Sample| {
            let last = sample.segments.iter().rev().find(|segment| !segment.is_empty());
            sample.writes() && last.is_some_and(|last| ROUTES.contains(&last.to_ascii_lowercase().as_str()))
        };
        samples.iter().filter(route).find_map(|sample| {
            let user = user_of(&sample.body)?;
            Some(Login { sample: sample.clone(), user, token: None })
        })
    }

    /// The same with what its answer tells; none where that is not the answer to a log-in.
    pub(super) fn answered(&self, reply: &Reply) -> Option<Self> {
        if !(200..300).contains(&reply.status) {
            return None;
        }
        let token = reply.json.as_ref().and_then(token_path);
        (token.is_some() || !reply.cookies.is_empty()).then(|| Login { token, ..self.clone() })
    }
}

fn user_of(body: &Body) -> Option<String> {
    let fields: Vec<(String, String)> = match body {
        Body::Json(Json::Object(fields)) => {
            fields.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
        }
        Body::Form(fields) => fields.clone(),
        _ => return None,
    };
    let of =
        |user: &&str| fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(user)).map(|(_, value)| value.clone());
    USERS.iter().find_map(of)
}

fn token_path(json: &Json) -> Option<String> {
    let named = |(path, leaf): &(Vec<String>, &Json)| {
        leaf.is_string() && path.last().is_some_and(|name| TOKENS.contains(&name.to_ascii_lowercase().as_str()))
    };
    leaves(json).into_iter().find(named).map(|(path, _)| json_path(&path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_log_in_is_known_by_its_route_and_its_answer() {
        let request = |path: &str, body: Json| Sample {
            method: "POST".to_owned(),
            segments: vec!["api".to_owned(), path.to_owned()],
            body: Body::Json(body),
            ..Sample::default()
        };
        let samples = [
            request("things", json!({ "user": "x" })),
            request("login", json!({ "password": "p" })),
            request("login", json!({ "password": "p", "Email": "a@b.c" })),
        ];
        let login = Login::among(&samples).unwrap();
        assert_eq!((login.user.as_str(), &login.sample), ("a@b.c", &samples[2]));
        let reply = |status, json| Reply { status, json: Some(json), cookies: Vec::new() };
        let answered = login.answered(&reply(200, json!({ "data": { "accessToken": "t" } }))).unwrap();
        assert_eq!(answered.token.as_deref(), Some("$.data.accessToken"));
        assert_eq!(login.answered(&reply(401, json!({ "token": "t" }))), None);
        assert_eq!(login.answered(&reply(200, json!({ "ok": true }))), None);
    }
}
