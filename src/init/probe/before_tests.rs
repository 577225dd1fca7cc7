//! Tests of what must come first.

use std::collections::BTreeMap;
use std::sync::Mutex;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::*;
use crate::import::{Body, from_curl};
use crate::init::documents::{State, plain};
use crate::init::finding::{Reply, Subject};

/// Tickets that somebody makes, by a code or for an identifier in the answer, and that are used once.
#[derive(Default)]
struct Tickets {
    tickets: Mutex<Vec<(String, Json)>>,
    used: Mutex<BTreeMap<String, Json>>,
    /// They are named by the identifier that the service makes up, and not by the code of the request.
    by_identifier: bool,
    /// What is not there makes the service stumble.
    stumbles: bool,
}

impl Tickets {
    fn answer(&self, sample: &Sample) -> Reply {
        let said = |status, json| Reply { status, json: Some(json), ..Reply::default() };
        let (mut tickets, mut used) = (self.tickets.lock().unwrap(), self.used.lock().unwrap());
        match (sample.segments.as_slice(), &sample.body) {
            ([_], Body::Json(body)) => {
                let id = format!("{:024x}", 7000 + tickets.len());
                let code = if self.by_identifier { id.clone() } else { plain(&body["code"]).unwrap() };
                tickets.push((code, json!({ "_id": id, "code": body["code"], "seat": body["seat"] })));
                said(201, json!({ "ticket": { "id": id } }))
            }
            ([_, code, _], _) if !tickets.iter().any(|(other, _)| other == code) => {
                said(if self.stumbles { 500 } else { 404 }, json!({}))
            }
            ([_, code, _], _) if used.contains_key(code) => said(409, json!({})),
            ([_, code, _], _) => {
                used.insert(code.clone(), json!({ "_id": format!("use of {code}"), "ticket": code }));
                said(200, json!({}))
            }
            _ => said(404, json!({})),
        }
    }
}

impl Subject for Tickets {
    fn send<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Reply, String>> {
        async { Ok(self.answer(sample)) }.boxed()
    }

    fn state(&self) -> BoxFuture<'_, Result<State, String>> {
        let tickets = self.tickets.lock().unwrap();
        let tickets = tickets.iter().map(|(_, ticket)| (ticket["_id"].to_string(), ticket.clone())).collect();
        let state = State::from([
            ("run.tickets".to_owned(), tickets),
            ("run.uses".to_owned(), self.used.lock().unwrap().clone()),
        ]);
        async { Ok(state) }.boxed()
    }
}

#[tokio::test]
async fn what_finds_nothing_is_tried_after_what_makes_it() {
    let id = "65a1b2c3d4e5f60718293a4b";
    for (by_identifier, code, stumbles) in [(false, "t-1", false), (true, id, false), (false, "t-1", true)] {
        let make = from_curl("curl http://app/tickets --json '{\"code\":\"t-1\",\"seat\":\"aisle\"}'").unwrap();
        let using = from_curl(&format!("curl -X POST http://app/tickets/{code}/use")).unwrap();
        let samples = [make.clone(), using.clone()];
        let tickets = Tickets { by_identifier, stumbles, ..Tickets::default() };
        let mut probe = Probe::begin(&tickets, &samples, &[], 0).await.unwrap();
        let made = probe.look(&make).await.unwrap();
        assert_eq!((&made.kind, made.id.as_deref()), (&Kind::Insert, Some("$.ticket.id")), "{made:?}");
        let used = probe.look(&using).await.unwrap();
        assert_eq!(used.kind, Kind::Unique(409), "{used:?}");
        let capture = by_identifier.then(|| (code.to_owned(), "$.ticket.id".to_owned()));
        assert_eq!(used.before, [Prior::new(make, capture)]);
        let stored = used.made.and_then(|made| made.stored);
        assert_eq!(stored.as_deref(), by_identifier.then_some("{{ before.id }}"), "where its document is found");
    }
}

#[tokio::test]
async fn what_nothing_makes_stays_as_it_is() {
    let make = from_curl("curl http://app/tickets --json '{\"code\":\"t-1\",\"seat\":\"aisle\"}'").unwrap();
    let using = from_curl("curl -X POST http://app/tickets/other-9/use").unwrap();
    let tickets = Tickets::default();
    let mut probe = Probe::begin(&tickets, &[make.clone(), using.clone()], &[], 0).await.unwrap();
    probe.look(&make).await.unwrap();
    let used = probe.look(&using).await.unwrap();
    assert_eq!((&used.kind, &used.before), (&Kind::Failed("it was answered with HTTP 404".to_owned()), &Vec::new()));
}

/// Orders that are paid, then packed, then shipped; they can be looked at.
struct Orders {
    orders: Mutex<BTreeMap<String, Json>>,
    /// The status for what is in another state.
    wrong: u16,
}

impl Orders {
    /// Each with the state that it needs and the one that it leads to.
    const STEPS: [(&'static str, &'static str); 3] = [("pay", "new"), ("pack", "pay"), ("ship", "pack")];

    fn answer(&self, sample: &Sample) -> u16 {
        let mut orders = self.orders.lock().unwrap();
        let [_, id, step @ ..] = sample.segments.as_slice() else { return 404 };
        let (Some(order), step) = (orders.get_mut(id), step.first().map(String::as_str)) else { return 404 };
        match Self::STEPS.iter().find(|(name, _)| Some(*name) == step) {
            Some((name, needed)) if order["state"] == *needed => order["state"] = json!(name),
            Some(_) => return self.wrong,
            None => {}
        }
        200
    }
}

impl Subject for Orders {
    fn send<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Reply, String>> {
        let reply = if sample.segments.len() == 1 {
            let mut orders = self.orders.lock().unwrap();
            let id = format!("{:024x}", 7000 + orders.len());
            orders.insert(id.clone(), json!({ "_id": id, "state": "new" }));
            Reply { status: 201, json: Some(json!({ "id": id })), ..Reply::default() }
        } else {
            Reply { status: self.answer(sample), ..Reply::default() }
        };
        async { Ok(reply) }.boxed()
    }

    fn state(&self) -> BoxFuture<'_, Result<State, String>> {
        let state = State::from([("run.orders".to_owned(), self.orders.lock().unwrap().clone())]);
        async { Ok(state) }.boxed()
    }
}

#[tokio::test]
async fn what_is_refused_on_what_was_just_made_is_tried_after_the_others() {
    let id = "65a1b2c3d4e5f60718293a4b";
    let of = |step: &str| from_curl(&format!("curl -X POST http://app/orders/{id}/{step}")).unwrap();
    let make = from_curl("curl -X POST http://app/orders").unwrap();
    let [pay, pack, ship] = ["pay", "pack", "ship"].map(of);
    let gets = from_curl(&format!("curl http://app/orders/{id}")).unwrap();
    for wrong in [409, 404, 403] {
        let orders = Orders { orders: Mutex::default(), wrong };
        let samples = [&make, &pay, &pack, &ship, &gets].map(Clone::clone);
        let mut probe = Probe::begin(&orders, &samples, &[], 0).await.unwrap();
        let mut found = Vec::new();
        for sample in &samples {
            found.push(probe.look(sample).await.unwrap());
        }
        let kinds: Vec<&Kind> = found.iter().map(|finding| &finding.kind).collect();
        let later = Kind::NotYet(wrong);
        assert_eq!(kinds, [&Kind::Insert, &Kind::Change, &later, &later, &Kind::Nothing], "{wrong}");
        let captured = |finding: &Finding| finding.before.last().is_some_and(|prior| prior.capture.is_some());
        assert!(found[1..].iter().all(captured), "{found:?}");
    }
    // Without what comes between, one that finds nothing in this state stays as it is.
    let orders = Orders { orders: Mutex::default(), wrong: 404 };
    let mut probe = Probe::begin(&orders, &[make.clone(), ship.clone()], &[], 0).await.unwrap();
    probe.look(&make).await.unwrap();
    let found = probe.look(&ship).await.unwrap();
    assert_eq!(found.kind, Kind::Failed("it was answered with HTTP 404".to_owned()));
}

/// Boards, lists on them and cards on these; all of them are called by what the service makes up.
#[derive(Default)]
struct Boards {
    made: Mutex<BTreeMap<String, Json>>,
}

impl Boards {
    fn answer(&self, sample: &Sample) -> Reply {
        let mut made = self.made.lock().unwrap();
        let names: Vec<&String> = sample.segments.iter().collect();
        // Each stands on what stands before it.
        let is_there = |place: usize| {
            let on = place.checked_sub(2).map(|before| names[before].clone());
            made.get(names[place]).is_some_and(|one| one["on"].as_str() == on.as_deref())
        };
        if !(1..names.len()).step_by(2).all(is_there) {
            return Reply { status: 404, ..Reply::default() };
        }
        let id = format!("{:024x}", 7000 + made.len());
        let on = names.iter().rev().nth(1).map(|name| Json::from(name.as_str()));
        made.insert(id.clone(), json!({ "_id": id, "on": on }));
        Reply { status: 201, json: Some(json!({ "id": id })), ..Reply::default() }
    }
}

impl Subject for Boards {
    fn send<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Reply, String>> {
        async { Ok(self.answer(sample)) }.boxed()
    }

    fn state(&self) -> BoxFuture<'_, Result<State, String>> {
        let state = State::from([("run.things".to_owned(), self.made.lock().unwrap().clone())]);
        async { Ok(state) }.boxed()
    }
}

#[tokio::test]
async fn what_is_made_of_something_that_was_made_comes_first_as_well() {
    let (board, list) = ("65a1b2c3d4e5f60718293a4b", "75a1b2c3d4e5f60718293a4b");
    let routes = ["boards".to_owned(), format!("boards/{board}/lists"), format!("boards/{board}/lists/{list}/cards")];
    let samples = routes.map(|route| from_curl(&format!("curl -X POST http://app/{route}")).unwrap());
    let boards = Boards::default();
    let mut probe = Probe::begin(&boards, &samples, &[], 0).await.unwrap();
    let mut found = Vec::new();
    for sample in &samples {
        found.push(probe.look(sample).await.unwrap());
    }
    assert!(found.iter().all(|finding| finding.kind == Kind::Insert), "{found:?}");
    let told = |finding: &Finding| -> Vec<(String, String)> {
        let literal = |prior: &Prior| prior.capture.as_ref().unwrap().0.clone();
        finding.before.iter().map(|prior| (literal(prior), prior.template())).collect()
    };
    let first = (board.to_owned(), "{{ before.id }}".to_owned());
    let second = (list.to_owned(), "{{ before.id_2 }}".to_owned());
    assert_eq!(told(&found[1]), std::slice::from_ref(&first));
    assert_eq!(told(&found[2]), [first, second]);
}

/// Accounts, and transfers from one to another; sessions, and what renews them: a token, which is not what they are stored under.
#[derive(Default)]
struct Bank {
    accounts: Mutex<BTreeMap<String, Json>>,
    others: Mutex<BTreeMap<String, Json>>,
}

impl Bank {
    fn answer(&self, sample: &Sample) -> Reply {
        let (mut accounts, mut others) = (self.accounts.lock().unwrap(), self.others.lock().unwrap());
        let id = format!("{:024x}", 7000 + accounts.len() + others.len());
        let said = |status, json| Reply { status, json: Some(json), ..Reply::default() };
        let Body::Json(body) = &sample.body else { return said(400, json!({})) };
        match sample.segments[0].as_str() {
            "accounts" => {
                accounts.insert(id.clone(), json!({ "_id": id, "owner": body["owner"] }));
                said(201, json!({ "data": { "id": id } }))
            }
            "transfers" => {
                let of = |name: &str| plain(&body[name]).unwrap();
                if of("from") == of("to") || !["from", "to"].iter().all(|name| accounts.contains_key(&of(name))) {
                    return said(404, json!({}));
                }
                others.insert(id.clone(), json!({ "_id": id, "from": of("from"), "to": of("to") }));
                said(201, json!({}))
            }
            "sessions" => {
                let token = format!("token-{id}");
                others.insert(id.clone(), json!({ "_id": id, "token": token }));
                said(201, json!({ "refresh_token": token }))
            }
            _ => match others.values_mut().find(|one| one["token"] == body["refreshToken"]) {
                None => said(401, json!({})),
                Some(session) => {
                    session["token"] = json!(format!("token-{id}-again"));
                    said(200, json!({}))
                }
            },
        }
    }
}

impl Subject for Bank {
    fn send<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Reply, String>> {
        async { Ok(self.answer(sample)) }.boxed()
    }

    fn state(&self) -> BoxFuture<'_, Result<State, String>> {
        let state = State::from([
            ("run.accounts".to_owned(), self.accounts.lock().unwrap().clone()),
            ("run.others".to_owned(), self.others.lock().unwrap().clone()),
        ]);
        async { Ok(state) }.boxed()
    }
}

async fn last_of(requests: &[&str]) -> Finding {
    let samples: Vec<Sample> = requests.iter().map(|line| from_curl(line).unwrap()).collect();
    let bank = Bank::default();
    let mut probe = Probe::begin(&bank, &samples, &[], 0).await.unwrap();
    let mut last = None;
    for sample in &samples {
        last = Some(probe.look(sample).await.unwrap());
    }
    last.unwrap()
}

fn captured(finding: &Finding) -> Vec<(&str, &str)> {
    let captures = finding.before.iter().filter_map(|prior| prior.capture.as_ref());
    captures.map(|(literal, path)| (literal.as_str(), path.as_str())).collect()
}

#[tokio::test]
async fn two_things_that_a_request_names_are_made_before_it() {
    let (from, to) = ("65a1b2c3d4e5f60718293a4b", "75a1b2c3d4e5f60718293a4b");
    let accounts = "curl http://app/accounts --json '{\"owner\":\"ann\"}'";
    let transfer = format!("curl http://app/transfers --json '{{\"from\":\"{from}\",\"to\":\"{to}\",\"cents\":100}}'");
    let found = last_of(&[accounts, &transfer]).await;
    assert_eq!(found.kind, Kind::Insert, "{found:?}");
    assert_eq!(captured(&found), [(from, "$.data.id"), (to, "$.data.id")]);
}

#[tokio::test]
async fn what_is_called_the_same_in_an_answer_and_a_request_is_the_same() {
    let signs_in = "curl http://app/sessions --json '{\"user\":\"ann\"}'";
    let renews = "curl http://app/refresh --json '{\"refreshToken\":\"eyJhbGci.x\"}'";
    let found = last_of(&[signs_in, renews]).await;
    assert_eq!(captured(&found), [("eyJhbGci.x", "$.refresh_token")]);
    assert_eq!(found.kind, Kind::Change, "{found:?}");
}
