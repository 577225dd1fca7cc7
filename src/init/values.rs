//! The values of a request: which of them may be other ones each time, the likeliest first, and the request with these in their
//! place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::finding::is_caller;
use super::fresh::{Fresh, is_moment};
use super::graphql;
use super::pieces::{Piece, pieces, with_pieces};
use crate::import::{Body, Sample};

/// Highest rank of what is called like a key.
const LIKE_A_KEY: u8 = 1;
/// The rank of what may be a key.
const LIKELY: u8 = 2;
/// The rank of what is said of a thing, and is not its name.
const UNLIKELY: u8 = 3;
/// The rank of a moment: another text in its place would be none, or would be later than all others.
const MOMENT: u8 = 6;

/// A value that the user says must be fresh: what it is called, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// `email`
    pub name: String,
    /// `$.email` in a body, `?email` in the query, `:2` the second part of the path, `header:x-event-id` a header.
    pub path: String,
}

impl Pinned {
    /// What stands before the name of a header.
    pub const HEADER: &'static str = "header:";

    /// Whether this is the form of a place.
    pub fn is_place(path: &str) -> bool {
        path.starts_with(['$', '?', ':']) || path.starts_with(Self::HEADER)
    }

    /// Whether the request has a value there.
    pub fn fits(&self, sample: &Sample) -> bool {
        pinned(sample, self).is_some()
    }
}

/// Whether a body has it as a number rather than as a text.
pub(super) fn is_number(sample: &Sample, literal: &str) -> bool {
    let Body::Json(json) = &sample.body else { return false };
    super::documents::leaves(json)
        .iter()
        .any(|(_, leaf)| matches!(leaf, Json::Number(number) if number.to_string() == literal))
}

/// The values of a request that could be fresh, the likeliest first: each with what it is called.
pub(super) fn candidates(sample: &Sample) -> Vec<Fresh> {
    ranked(sample).into_iter().map(|(_, fresh)| fresh).collect()
}

/// Those that other requests have as well, and then those that are called like keys.
pub(super) fn keys(sample: &Sample, shared: &BTreeSet<String>) -> Vec<Fresh> {
    let is_shared = |fresh: &Fresh| shared.contains(&fresh.literal) && fresh.literal != fresh.name;
    let may_name = |rank: u8, fresh: &Fresh| rank < UNLIKELY && is_shared(fresh) && !fresh.counts();
    // What comes after a first part of the path may be whose the thing is.
    let is_in_path = |fresh: &Fresh| sample.segments.iter().skip(1).any(|segment| *segment == fresh.literal);
    let is_key = |rank: u8, fresh: &Fresh| rank <= LIKE_A_KEY || may_name(rank, fresh);
    let (keys, others): (Vec<_>, Vec<_>) = ranked(sample).into_iter().partition(|(rank, fresh)| is_key(*rank, fresh));
    let (mut first, rest): (Vec<Fresh>, Vec<Fresh>) = keys.into_iter().map(|(_, fresh)| fresh).partition(is_shared);
    first.extend(rest);
    first.extend(others.into_iter().map(|(_, fresh)| fresh).filter(is_in_path));
    first
}

/// Values that more than one of the requests have, and that name something in one of them: in its path, or by what they are
/// called. A currency or a status is the same in many requests, and names nothing.
pub(super) fn shared(samples: &[Sample]) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    for sample in samples {
        for (rank, fresh) in ranked(sample) {
            let names = rank <= LIKE_A_KEY || sample.segments.contains(&fresh.literal);
            let (requests, named) = seen.entry(fresh.literal).or_default();
            *requests += 1;
            *named |= names;
        }
    }
    seen.into_iter().filter(|(_, (requests, named))| *requests > 1 && *named).map(|(literal, _)| literal).collect()
}

fn ranked(sample: &Sample) -> Vec<(u8, Fresh)> {
    let mut named: Vec<(u8, String, String)> = Vec::new();
    let mut add = |rank: u8, name: &str, value: &str| {
        if !value.is_empty() {
            let rank = if is_moment(value) { MOMENT } else { rank };
            named.push((rank, name.to_owned(), value.to_owned()));
        }
    };
    match &sample.body {
        Body::Json(json) => {
            for (path, leaf) in super::documents::leaves(json) {
                let name = path.iter().rev().find(|name| !name.bytes().all(|byte| byte.is_ascii_digit()));
                let value = match leaf {
                    Json::String(text) if graphql::is_document(text) => {
                        graphql::arguments(text).into_iter().for_each(|(name, value)| add(rank(name), name, value));
                        continue;
                    }
                    Json::String(text) => text.clone(),
                    Json::Number(number) if number.is_u64() => number.to_string(),
                    _ => continue,
                };
                add(rank(name.map_or("", String::as_str)), name.map_or("value", String::as_str), &value);
            }
        }
        Body::Form(fields) | Body::Multipart(fields) => {
            fields.iter().for_each(|(name, value)| add(rank(name), name, value));
        }
        Body::Text(text) => {
            for Piece { name, at } in pieces(text) {
                add(rank(&name), &name, &text[at]);
            }
        }
        Body::None => {}
    }
    sample.query.iter().for_each(|(name, value)| add(rank(name), name, value));
    for (name, value) in &sample.headers {
        if let Some(rank) = rank_of_header(name) {
            add(rank, name, value);
        }
    }
    let told = sample.parameters.iter().any(Option::is_some);
    for (segment, parameter) in sample.segments.iter().zip(&sample.parameters) {
        match parameter {
            Some(name) => add(0, name, segment),
            None if told => {}
            // Plain words are mostly the route's own; they are tried last.
            None if segment.bytes().any(|byte| byte.is_ascii_digit() || byte == b'@') => add(1, "id", segment),
            None => add(4, segment, segment),
        }
    }
    named.sort_by_key(|(rank, ..)| *rank);
    let mut fresh: Vec<(u8, Fresh)> = Vec::new();
    for (rank, name, value) in named {
        if !fresh.iter().any(|(_, other)| other.literal == value) {
            fresh.push((rank, Fresh::new(&name, &value)));
        }
    }
    fresh
}

/// How likely a header is a key: one that names what is delivered or asked for. Others say who asks, or how.
fn rank_of_header(name: &str) -> Option<u8> {
    let ends_like_a_key =
        ["id", "key", "delivery", "event", "nonce", "reference"].iter().any(|end| name.ends_with(end));
    match () {
        () if name.contains("idempotency") => Some(0),
        () if ends_like_a_key && !is_caller(name) => Some(LIKELY),
        () => None,
    }
}

/// How likely a field of this name is a key.
fn rank(name: &str) -> u8 {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match () {
        () if has(&["password", "passwd", "secret"]) => 5,
        () if has(&["email", "key", "slug", "code", "handle", "username", "sku", "token"]) || name.ends_with("id") => 0,
        () if has(&["name", "user", "title", "seat", "number"]) => 1,
        () if has(&["date", "time", "description", "message", "text", "comment", "price", "amount"]) => 3,
        () => LIKELY,
    }
}

/// The value at a place that the user names.
pub(super) fn pinned(sample: &Sample, pin: &Pinned) -> Option<Fresh> {
    let literal = match pin.path.chars().next()? {
        ':' => sample.segments.get(pin.path[1..].parse::<usize>().ok()?.checked_sub(1)?).cloned(),
        'h' => {
            let wanted = pin.path.strip_prefix(Pinned::HEADER)?;
            let header = sample.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            header.map(|(_, value)| value.clone())
        }
        '?' => sample.query.iter().find(|(name, _)| *name == pin.path[1..]).map(|(_, value)| value.clone()),
        _ => match &sample.body {
            Body::Json(json) => super::documents::leaves(json)
                .into_iter()
                .find(|(path, _)| super::documents::json_path(path) == pin.path)
                .and_then(|(_, leaf)| super::documents::plain(leaf)),
            Body::Form(fields) | Body::Multipart(fields) => {
                fields.iter().find(|(name, _)| format!("$.{name}") == pin.path).map(|(_, value)| value.clone())
            }
            Body::None | Body::Text(_) => None,
        },
    };
    literal.map(|literal| Fresh::new(&pin.name, &literal))
}

/// The request with other values in the place of these, wherever they stand.
pub(super) fn with_values(sample: &Sample, values: &BTreeMap<String, String>) -> Sample {
    let other = |text: &String| values.get(text).cloned().unwrap_or_else(|| text.clone());
    let pairs = |list: &[(String, String)]| list.iter().map(|(name, value)| (name.clone(), other(value))).collect();
    let body = match &sample.body {
        Body::Json(json) => Body::Json(with_json(json, values)),
        Body::Form(fields) => Body::Form(pairs(fields)),
        Body::Multipart(fields) => Body::Multipart(pairs(fields)),
        Body::Text(text) => Body::Text(with_pieces(text, |value| values.get(value).cloned(), str::to_owned)),
        Body::None => Body::None,
    };
    let segments = sample.segments.iter().map(other).collect();
    Sample { segments, query: pairs(&sample.query), headers: pairs(&sample.headers), body, ..sample.clone() }
}

fn with_json(json: &Json, values: &BTreeMap<String, String>) -> Json {
    match json {
        Json::String(text) => match values.get(text) {
            Some(value) => Json::String(value.clone()),
            None if graphql::is_document(text) => {
                Json::String(graphql::with_arguments(text, str::to_owned, |value| values.get(value).cloned()))
            }
            None => json.clone(),
        },
        Json::Number(number) => match values.get(&number.to_string()) {
            // A number stays one.
            Some(value) => value.parse::<u64>().map_or_else(|_| Json::String(value.clone()), Json::from),
            None => json.clone(),
        },
        Json::Array(items) => items.iter().map(|item| with_json(item, values)).collect(),
        Json::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), with_json(value, values))).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::init::fresh::Token;

    fn sample() -> Sample {
        let body =
            json!({ "note": "hi", "email": "ann@example.org", "seat": 12, "who": [{ "id": "ann" }], "on": true });
        let segments = vec!["api".to_owned(), "rooms".to_owned(), "12".to_owned()];
        Sample { parameters: vec![None; 3], segments, body: Body::Json(body), ..Sample::default() }
    }

    #[test]
    fn a_header_that_names_what_is_delivered_may_be_another_one_and_who_asks_and_how_may_not() {
        let line = "curl http://app/hook -H 'X-GitHub-Delivery: d-1' -H 'webhook-id: w-1' -H 'X-User-Id: ann' \
                    -H 'Idempotency-Key: i-1' -H 'X-Requested-With: fetch' -H 'X-Event-Id: e-1' --json '{\"email\":\"a@b.c\"}'";
        let sample = crate::import::from_curl(line).unwrap();
        let literals: Vec<String> = candidates(&sample).into_iter().map(|one| one.literal).collect();
        assert_eq!(literals, ["a@b.c", "i-1", "d-1", "w-1", "e-1", "hook"]);
        // The user may name any header, in any letters.
        let pin = |path: &str| Pinned { name: "event".to_owned(), path: path.to_owned() };
        let found = |path: &str| pinned(&sample, &pin(path)).map(|fresh| fresh.literal);
        assert_eq!(found("header:X-Event-Id").as_deref(), Some("e-1"));
        assert_eq!(found("header:x-requested-with").as_deref(), Some("fetch"));
        assert_eq!(found("header:x-other"), None);
        assert!(Pinned::is_place("header:x") && !Pinned::is_place("x-event-id"));
    }

    #[test]
    fn a_moment_is_the_last_to_be_another_one() {
        let line =
            "curl http://app/rooms/blue/bookings --json '{\"from\":\"2026-03-01T10:00\",\"to\":\"2026-03-01T12:00\"}'";
        let literals: Vec<String> =
            candidates(&crate::import::from_curl(line).unwrap()).into_iter().map(|one| one.literal).collect();
        assert_eq!(literals, ["rooms", "blue", "bookings", "2026-03-01T10:00", "2026-03-01T12:00"]);
    }

    #[test]
    fn candidates_come_in_the_order_of_their_likelihood_and_keep_their_form() {
        let found = candidates(&sample());
        let literals: Vec<&str> = found.iter().map(|fresh| fresh.literal.as_str()).collect();
        assert_eq!(literals, ["ann@example.org", "ann", "12", "hi", "api", "rooms"]);
        assert_eq!(found[0].template(true), "email-{{ key }}@example.org");
        assert_eq!(found[2].template(false), "{{ key_as.number }}");
        let order =
            crate::import::from_curl("curl -X POST http://app/users/ann/orders --json '{\"total\":20}'").unwrap();
        let literals: Vec<String> = keys(&order, &BTreeSet::new()).into_iter().map(|fresh| fresh.literal).collect();
        assert_eq!(literals, ["ann", "orders"], "whose they are, and not the first part");
    }

    #[test]
    fn a_number_is_told_from_a_text_of_digits() {
        let number =
            crate::import::from_curl("curl http://app/x --json '{\"pin\": 123456, \"plate\": \"ZH 1234\"}'").unwrap();
        assert!(is_number(&number, "123456") && !is_number(&number, "ZH 1234"));
    }

    #[test]
    fn a_value_is_replaced_wherever_it_stands_and_a_number_stays_one() {
        let token = Token::new(3);
        let fresh = candidates(&sample()).into_iter().find(|fresh| fresh.literal == "12").unwrap();
        let changed = with_values(&sample(), &[("12".to_owned(), fresh.concrete(&token))].into());
        assert_eq!(changed.segments[2], "100000003");
        let Body::Json(body) = changed.body else { panic!() };
        assert_eq!(body["seat"], json!(100_000_003));
    }

    #[test]
    fn places_that_the_user_names_are_found() {
        let pin =
            |path: &str| pinned(&sample(), &Pinned { name: "x".into(), path: path.into() }).map(|fresh| fresh.literal);
        assert_eq!(pin("$.email").as_deref(), Some("ann@example.org"));
        assert_eq!(pin("$.who[0].id").as_deref(), Some("ann"));
        assert_eq!(pin(":3").as_deref(), Some("12"));
        assert_eq!((pin("$.nothing"), pin(":9"), pin("?q"), pin("")), (None, None, None, None));
    }
}
