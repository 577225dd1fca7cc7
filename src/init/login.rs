//! Which of the requests logs in, who signs up before that, and how the session is carried afterwards. Main type: [`Login`].

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::documents::{json_path, leaves};
use super::finding::Reply;
use super::fresh::Fresh;
use super::values::with_values;
use crate::import::{Body, Sample};

/// Words of a path that logs in.
const ROUTES: [&str; 9] =
    ["login", "log-in", "signin", "sign-in", "session", "sessions", "authenticate", "token", "auth"];
/// Words of a path by which somebody becomes a user. Some of them also make a member of something else.
const SIGN_UPS: [&str; 8] =
    ["register", "registration", "signup", "sign-up", "users", "accounts", "join", "create-account"];
/// Words that may stand before them where the request has no password that would tell it from joining something.
const BEFORE_SIGN_UPS: [&str; 9] =
    ["api", "rest", "public", "auth", "user", "users", "account", "accounts", "identity"];
/// Words in the name of a field that only the user knows.
const SECRETS: [&str; 5] = ["password", "passwd", "passphrase", "pwd", "secret"];
/// Fields that hold who logs in, the likeliest first.
const USERS: [&str; 7] = ["username", "user", "email", "login", "userid", "user_id", "name"];
/// Fields that hold a token.
const TOKENS: [&str; 8] =
    ["token", "access_token", "accesstoken", "jwt", "id_token", "idtoken", "authtoken", "auth_token"];
/// Words in the name of a header that carries a session.
const CARRIERS: [&str; 4] = ["auth", "token", "session", "jwt"];
/// Words in the name of a header that proves where a request comes from, and not who sends it.
const FORGERY: [&str; 2] = ["csrf", "xsrf"];

/// Fewest letters of a token.
const SHORTEST: usize = 16;

/// A log-in.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// The request.
    pub sample: Sample,
    /// The request by which a user signs up before.
    pub sign_up: Option<Sample>,
    /// The value of it that says who.
    pub user: Fresh,
    /// Where the answer has the token; without it cookies are kept.
    pub token: Option<String>,
    /// The header that carries the token.
    pub header: String,
    /// What stands before the token.
    pub scheme: String,
    /// Nobody but the recorded user can log in: one log-in serves all.
    pub once: bool,
    /// The requests carry a cookie, and no header with a token.
    by_cookie: bool,
}

impl Login {
    /// The header that carries a token, where the requests do not say.
    pub(super) const HEADER: &'static str = "authorization";
    /// What stands before a token, where the requests do not say.
    pub(super) const SCHEME: &'static str = "Bearer";

    /// The likeliest log-in of these requests: its token is known once it has been answered.
    pub fn among(samples: &[Sample]) -> Option<Self> {
        samples.iter().filter(|sample| sample.writes() && ends_on(sample, &ROUTES)).find_map(|sample| {
            let (name, user) = user_of(&sample.body)?;
            let others: Vec<&Sample> = samples.iter().filter(|other| *other != sample).collect();
            let (header, scheme, by_cookie) = carried(&others);
            let sign_up = others.into_iter().find(|other| is_sign_up(other, sample, &user));
            let (sign_up, user) = (sign_up.cloned(), Fresh::new(&name, &user));
            Some(Login { sample: sample.clone(), sign_up, user, token: None, header, scheme, once: false, by_cookie })
        })
    }

    /// This log-in with what its answer tells; none where that is not the answer to a log-in.
    pub(super) fn answered(&self, reply: &Reply) -> Option<Self> {
        if !(200..400).contains(&reply.status) {
            return None;
        }
        let cookies = !reply.cookies.is_empty();
        let token = reply.json.as_ref().and_then(token_path).filter(|_| !(self.by_cookie && cookies));
        (token.is_some() || cookies).then(|| Login { token, ..self.clone() })
    }

    /// What is taken for what, for people.
    pub fn in_words(&self) -> String {
        let first = self.sign_up.as_ref().map(|sign_up| format!(", and {} for the sign-up before it", sign_up.route()));
        format!("{} is taken for the log-in{}", self.sample.route(), first.unwrap_or_default())
    }

    /// Whether the request is what users log in by, or sign up by.
    pub fn has(&self, sample: &Sample) -> bool {
        self.sample == *sample || self.sign_up.as_ref() == Some(sample)
    }

    /// The requests by which this user signs up and logs in.
    pub(super) fn requests(&self, user: &str) -> (Option<Sample>, Sample) {
        let named = |sample: &Sample| with_values(sample, &self.names(sample, user));
        (self.sign_up.as_ref().map(named), named(&self.sample))
    }

    /// What the request says in place of who was recorded; of one that signs up, every name of theirs.
    pub(super) fn names(&self, sample: &Sample, user: &str) -> super::request::Values {
        if self.once {
            return super::request::Values::new();
        }
        let own = texts(&sample.body).into_iter().filter(|(name, text)| {
            *text == self.user.literal || USERS.iter().any(|user| name.eq_ignore_ascii_case(user))
        });
        own.map(|(name, text)| (text.clone(), Fresh::new(&name, &text).named(user))).collect()
    }

    /// The headers of a session, if the answer begins one.
    pub(super) fn session(&self, reply: &Reply) -> Option<Vec<(String, String)>> {
        let token = reply.json.as_ref().zip(self.token.as_ref()).and_then(|(json, path)| {
            let found = leaves(json).into_iter().find(|(at, _)| json_path(at) == *path);
            found.and_then(|(_, leaf)| super::documents::plain(leaf))
        });
        match token {
            Some(token) if self.scheme.is_empty() => Some(vec![(self.header.clone(), token)]),
            Some(token) => Some(vec![(self.header.clone(), format!("{} {token}", self.scheme))]),
            None if (200..400).contains(&reply.status) && !reply.cookies.is_empty() => {
                Some(vec![("cookie".to_owned(), reply.cookies.join("; "))])
            }
            None => None,
        }
    }

    /// Whether a header is one of a session's, which takes the place of the recorded one.
    pub(super) fn carries(&self, header: &str) -> bool {
        header == self.header || header == Self::HEADER || header == "cookie"
    }
}

fn ends_on(sample: &Sample, words: &[&str]) -> bool {
    let last = sample.segments.iter().rev().find(|segment| !segment.is_empty());
    last.is_some_and(|last| words.contains(&last.to_ascii_lowercase().as_str()))
}

/// Whether the request makes the user who logs in by the other one, and not, say, a member of a club of this user.
fn is_sign_up(sample: &Sample, login: &Sample, user: &str) -> bool {
    let said: BTreeSet<String> = texts(&sample.body).into_iter().map(|(_, text)| text).collect();
    let fields = texts(&login.body);
    let secrets: Vec<&String> = fields.iter().filter(|(name, _)| is_secret(name)).map(|(_, text)| text).collect();
    let proves = match secrets.is_empty() {
        false => secrets.into_iter().all(|secret| said.contains(secret)),
        true => fields.iter().all(|(_, text)| said.contains(text)) && is_of_no_other_thing(sample, login),
    };
    sample.writes() && ends_on(sample, &SIGN_UPS) && said.contains(user) && proves
}

/// Whether only the user knows what a field of this name holds. A client's secret is the same for all of its users.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_pin = name.split(['_', '-', '.']).any(|word| word == "pin");
    let is_of_client = name.contains("client");
    !is_of_client && (is_pin || SECRETS.iter().any(|word| name.contains(word)))
}

/// Whether nothing stands before the last word of the path but what stands before that of the log-in, or words of such routes.
fn is_of_no_other_thing(sample: &Sample, login: &Sample) -> bool {
    let is_version =
        |word: &str| word.strip_prefix('v').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    let known = |word: &&String| {
        let lower = word.to_ascii_lowercase();
        login.segments.contains(word) || BEFORE_SIGN_UPS.contains(&lower.as_str()) || is_version(&lower)
    };
    let words: Vec<&String> = sample.segments.iter().filter(|word| !word.is_empty()).collect();
    words.split_last().is_some_and(|(_, before)| before.iter().all(known))
}

/// The header by which the requests carry their session, what stands before the token, and whether it is a cookie's.
fn carried(samples: &[&Sample]) -> (String, String, bool) {
    let headers = || samples.iter().flat_map(|sample| &sample.headers);
    let has = |name: &str, words: &[&str]| words.iter().any(|word| name.contains(word));
    match headers().find(|(name, _)| has(name, &CARRIERS) && !has(name, &FORGERY)) {
        Some((name, value)) => {
            let scheme = match value.split_once(' ') {
                Some((scheme, _)) => scheme,
                // Somebody wrote a word there for want of a token.
                None if name == Login::HEADER && value.len() < SHORTEST => Login::SCHEME,
                None => "",
            };
            (name.clone(), scheme.to_owned(), false)
        }
        None => {
            let by_cookie = headers().any(|(name, _)| name == "cookie");
            (Login::HEADER.to_owned(), Login::SCHEME.to_owned(), by_cookie)
        }
    }
}

/// The texts of a body that is a table of them, with their names.
fn texts(body: &Body) -> Vec<(String, String)> {
    match body {
        Body::Json(Json::Object(fields)) => {
            fields.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
        }
        Body::Form(fields) => fields.clone(),
        _ => Vec::new(),
    }
}

fn user_of(body: &Body) -> Option<(String, String)> {
    let fields = texts(body);
    let of = |user: &&str| fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(user)).cloned();
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
    use crate::import::from_curl;

    fn request(path: &str, body: Json) -> Sample {
        Sample {
            method: "POST".to_owned(),
            segments: vec!["api".to_owned(), path.to_owned()],
            body: Body::Json(body),
            ..Sample::default()
        }
    }

    fn reply(status: u16, json: Json) -> Reply {
        Reply { status, json: Some(json), ..Reply::default() }
    }

    #[test]
    fn a_log_in_is_known_by_its_route_and_its_answer() {
        let samples = [
            request("things", json!({ "user": "x" })),
            request("login", json!({ "password": "p" })),
            request("login", json!({ "password": "p", "Email": "a@b.c" })),
        ];
        let login = Login::among(&samples).unwrap();
        assert_eq!((login.user.literal.as_str(), &login.sample), ("a@b.c", &samples[2]));
        let answered = login.answered(&reply(200, json!({ "data": { "accessToken": "t" } }))).unwrap();
        assert_eq!(answered.token.as_deref(), Some("$.data.accessToken"));
        assert_eq!(login.answered(&reply(401, json!({ "token": "t" }))), None);
        assert_eq!(login.answered(&reply(200, json!({ "ok": true }))), None);
    }

    #[test]
    fn a_session_is_carried_as_the_requests_carry_it() {
        let login = from_curl("curl http://app/login --json '{\"user\":\"ann\"}'").unwrap();
        let cases = [
            ("-H 'X-Auth-Token: abc'", "x-auth-token", "t"),
            ("-H 'Authorization: Token abc'", "authorization", "Token t"),
            ("-H 'Authorization: 0123456789abcdef'", "authorization", "t"),
            ("-H 'Authorization: none'", "authorization", "Bearer t"),
            ("-H 'X-CSRF-Token: abc'", "authorization", "Bearer t"),
            ("", "authorization", "Bearer t"),
            ("-H 'Cookie: sid=1'", "cookie", "sid=2"),
            ("-H 'Cookie: sid=1' -H 'X-Token: abc'", "x-token", "t"),
        ];
        for (headers, header, value) in cases {
            let other = from_curl(&format!("curl -X POST http://app/things {headers}")).unwrap();
            let found = Login::among(&[login.clone(), other]).unwrap();
            let reply = Reply { cookies: vec!["sid=2".to_owned()], ..reply(200, json!({ "token": "t" })) };
            let session = found.answered(&reply).unwrap().session(&reply);
            assert_eq!(session, Some(vec![(header.to_owned(), value.to_owned())]), "{headers}");
        }
    }

    #[test]
    fn who_joins_something_does_not_sign_up() {
        let login = |body: Json| request("login", body);
        let route = |path: &[&str], body: &Json| Sample {
            segments: path.iter().map(|&word| word.to_owned()).collect(),
            ..request("", body.clone())
        };
        let (named, secret) = (json!({ "user": "ann" }), json!({ "user": "ann", "password": "p" }));
        let coded = json!({ "user": "ann", "code": "7" });
        let cases: [(&Json, &[&str], &Json, bool); 12] = [
            // Without a password only the path tells.
            (&named, &["api", "clubs", "c7", "join"], &named, false),
            (&named, &["teams", "t1", "users"], &named, false),
            (&named, &["api", "join"], &named, true),
            (&named, &["auth", "v2", "register"], &named, true),
            (&coded, &["register"], &named, false),
            (&coded, &["register"], &coded, true),
            // With one the body does.
            (&secret, &["api", "clubs", "c7", "join"], &named, false),
            (&secret, &["events", "e1", "register"], &named, false),
            (&secret, &["join"], &named, false),
            (&secret, &["shop", "customers", "register"], &secret, true),
            (&secret, &["users"], &json!({ "user": "ann", "password": "p", "age": 7 }), true),
            (&secret, &["users"], &json!({ "user": "bob", "password": "p" }), false),
        ];
        for (log_in, path, body, expected) in cases {
            let samples = [route(path, body), login(log_in.clone())];
            let found = Login::among(&samples).unwrap();
            assert_eq!(found.sign_up.is_some(), expected, "{path:?} {body} before {log_in}");
        }
        let samples = [route(&["auth", "register"], &secret), login(secret.clone())];
        let said = Login::among(&samples).unwrap().in_words();
        assert_eq!(said, "POST /api/login is taken for the log-in, and POST /auth/register for the sign-up before it");
    }

    #[test]
    fn a_user_is_named_in_the_form_that_was_recorded_and_signs_up_first() {
        let samples = [
            request("register", json!({ "name": "Ann", "email": "ann@example.org", "password": "p", "age": 7 })),
            request("login", json!({ "email": "ann@example.org", "password": "p" })),
        ];
        let mut login = Login::among(&samples).unwrap();
        let (sign_up, log_in) = login.requests("kim");
        assert_eq!(log_in.body, Body::Json(json!({ "email": "kim@example.org", "password": "p" })));
        let named = json!({ "name": "kim", "email": "kim@example.org", "password": "p", "age": 7 });
        assert_eq!(sign_up.unwrap().body, Body::Json(named));
        login.once = true;
        assert_eq!(login.requests("kim"), (Some(samples[0].clone()), samples[1].clone()));
    }
}
