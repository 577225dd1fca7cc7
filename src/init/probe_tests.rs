//! Tests of the trials, on a service that is a table.

use std::sync::Mutex;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::*;
use crate::import::{Body, from_curl};
use crate::init::finding::Prior;

/// Rooms by name; it keeps what it was sent.
#[derive(Default)]
struct Rooms {
    rooms: Mutex<BTreeMap<String, Json>>,
    /// The one document in which rooms are counted, if they are: the first request makes it.
    counter: Option<Mutex<u64>>,
    /// What a room that is there is answered with.
    there: u16,
    /// What a new one is answered with, if not 201.
    made: Option<u16>,
}

impl Subject for Rooms {
    fn send<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Reply, String>> {
        let Body::Json(body) = &sample.body else { panic!("{:?}", sample.body) };
        let name = plain(&body["room"]).unwrap();
        let mut rooms = self.rooms.lock().unwrap();
        let made = self.made.unwrap_or(201);
        let is_new = !rooms.contains_key(&name);
        let status = if is_new { made } else { self.there };
        if let (Some(counter), true) = (&self.counter, is_new) {
            *counter.lock().unwrap() += 1;
        }
        rooms.entry(name.clone()).or_insert_with(|| json!({ "_id": format!("id of {name}"), "room": body["room"] }));
        let reply = Reply { status, json: rooms.get(&name).cloned(), ..Reply::default() };
        async { Ok(reply) }.boxed()
    }

    fn state(&self) -> BoxFuture<'_, Result<State, String>> {
        let mut state = State::from([("run.rooms".to_owned(), self.rooms.lock().unwrap().clone())]);
        let count = self.counter.as_ref().map_or(0, |counter| *counter.lock().unwrap());
        if count > 0 {
            let counter = BTreeMap::from([("rooms".to_owned(), json!({ "_id": "rooms", "n": count }))]);
            state.insert("run.counters".to_owned(), counter);
        }
        async { Ok(state) }.boxed()
    }
}

#[tokio::test]
async fn trials_of_a_service_that_keeps_what_earlier_ones_sent_see_the_same() {
    for (there, kind) in [(200, Kind::CreateOrGet), (409, Kind::Unique(409))] {
        for body in ["{\"room\":\"blue\"}", "{\"room\":12}", "{\"room\":\"ann@example.org\"}"] {
            let sample = from_curl(&format!("curl http://app/rooms --json '{body}'")).unwrap();
            let rooms = Rooms { there, ..Rooms::default() };
            let pin = Pinned { name: "room".to_owned(), path: "$.room".to_owned() };
            // At last the user says which value must be fresh.
            for (first, pins) in [(0, vec![]), (1_000_000_000, vec![]), (4_000_000_000, vec![pin])] {
                let mut probe = Probe::begin(&rooms, std::slice::from_ref(&sample), &pins, first).await.unwrap();
                let found = probe.look(&sample).await.unwrap();
                assert_eq!((&found.kind, found.made.is_some()), (&kind, true), "{body}, from {first}: {found:?}");
                assert_eq!(found.statuses, [201, there], "{body}, from {first}");
            }
        }
    }
}

#[tokio::test]
async fn who_is_led_on_to_another_page_was_served_if_something_came_of_it() {
    let sample = from_curl("curl http://app/rooms --json '{\"room\":\"blue\"}'").unwrap();
    for (made, there, kind) in [(303, 409, Kind::Unique(409)), (302, 302, Kind::CreateOrGet)] {
        let rooms = Rooms { there, made: Some(made), ..Rooms::default() };
        let mut probe = Probe::begin(&rooms, std::slice::from_ref(&sample), &[], 0).await.unwrap();
        let found = probe.look(&sample).await.unwrap();
        assert_eq!((&found.kind, found.made.is_some()), (&kind, true), "{found:?}");
    }
    // One that nothing comes of is led back to the form.
    let refusing = Profiles { refuses: true, ..Profiles::default() };
    let mut probe = Probe::begin(&refusing, std::slice::from_ref(&sample), &[], 0).await.unwrap();
    let found = probe.look(&sample).await.unwrap();
    assert_eq!(found.kind, Kind::Failed("it was answered with HTTP 303".to_owned()));
}

/// A profile for each caller.
#[derive(Default)]
struct Profiles {
    profiles: Mutex<BTreeMap<String, Json>>,
    refuses: bool,
}

impl Subject for Profiles {
    fn send<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Reply, String>> {
        let caller = sample.headers.iter().find(|(name, _)| name == "x-user").map(|(_, user)| user.clone());
        if let (Some(user), false) = (caller, self.refuses) {
            let mut profiles = self.profiles.lock().unwrap();
            let visits = profiles.get(&user).and_then(|profile| profile["visits"].as_u64()).unwrap_or(0);
            profiles.insert(user.clone(), json!({ "_id": user, "visits": visits + 1 }));
        }
        async { Ok(Reply { status: 303, ..Reply::default() }) }.boxed()
    }

    fn state(&self) -> BoxFuture<'_, Result<State, String>> {
        let state = State::from([("run.profiles".to_owned(), self.profiles.lock().unwrap().clone())]);
        async { Ok(state) }.boxed()
    }
}

/// Notes with a set of tags each.
#[derive(Default)]
struct Tags(Mutex<BTreeMap<String, Vec<String>>>);

impl Subject for Tags {
    fn send<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Reply, String>> {
        let Body::Json(body) = &sample.body else { panic!("{:?}", sample.body) };
        let (note, tag) = (sample.segments[1].clone(), plain(&body["tag"]).unwrap());
        let mut notes = self.0.lock().unwrap();
        let tags = notes.entry(note).or_default();
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        async { Ok(Reply { status: 200, ..Reply::default() }) }.boxed()
    }

    fn state(&self) -> BoxFuture<'_, Result<State, String>> {
        let notes = self.0.lock().unwrap();
        let notes = notes.iter().map(|(note, tags)| (note.clone(), json!({ "_id": note, "tags": tags }))).collect();
        let state = State::from([("run.notes".to_owned(), notes)]);
        async { Ok(state) }.boxed()
    }
}

#[tokio::test]
async fn what_is_added_to_a_set_is_found_by_another_value() {
    let sample = from_curl("curl http://app/notes/n1/tags --json '{\"tag\":\"red\"}'").unwrap();
    let tags = Tags::default();
    let mut probe = Probe::begin(&tags, std::slice::from_ref(&sample), &[], 0).await.unwrap();
    let found = probe.look(&sample).await.unwrap();
    assert_eq!((&found.kind, &found.added), (&Kind::CreateOrGet, &None), "{found:?}");
    let varied = found.varied.map(|varied| (varied.place, varied.literal));
    assert_eq!(varied, Some(("tags".to_owned(), "red".to_owned())));
}

#[tokio::test]
async fn what_names_nobody_but_its_caller_is_raced_by_one_caller() {
    let sample = from_curl("curl -X POST http://app/me/visits -H 'X-User: ann'").unwrap();
    let profiles = Profiles::default();
    let mut probe = Probe::begin(&profiles, std::slice::from_ref(&sample), &[], 0).await.unwrap();
    let found = probe.look(&sample).await.unwrap();
    assert!(found.kind == Kind::Upsert && found.fresh.is_empty() && found.per_caller, "{found:?}");
}

#[tokio::test]
async fn a_counter_that_all_requests_share_does_not_hide_what_each_of_them_makes() {
    for (there, kind) in [(200, Kind::CreateOrGet), (409, Kind::Unique(409))] {
        let sample = from_curl("curl http://app/rooms --json '{\"size\":3,\"room\":\"blue\"}'").unwrap();
        let rooms = Rooms { there, counter: Some(Mutex::default()), ..Rooms::default() };
        let mut probe = Probe::begin(&rooms, std::slice::from_ref(&sample), &[], 0).await.unwrap();
        let found = probe.look(&sample).await.unwrap();
        let fresh: Vec<&str> = found.fresh.iter().map(|fresh| fresh.name.as_str()).collect();
        assert_eq!((&found.kind, fresh), (&kind, vec!["room"]), "{found:?}");
        assert_eq!(found.made.map(|made| made.collection).as_deref(), Some("rooms"));
    }
}

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

/// Numbers of a form, each given away once.
struct Plates {
    given: Mutex<BTreeMap<String, Json>>,
    is_one: fn(&str) -> bool,
}

impl Subject for Plates {
    fn send<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Reply, String>> {
        let Body::Json(body) = &sample.body else { panic!("{:?}", sample.body) };
        let plate = plain(&body["plate"]).unwrap();
        let mut given = self.given.lock().unwrap();
        let status = match () {
            () if !(self.is_one)(&plate) => 422,
            () if given.contains_key(&plate) => 409,
            () => 201,
        };
        if status == 201 {
            given.insert(plate.clone(), json!({ "_id": format!("id of {plate}"), "plate": plate }));
        }
        async move { Ok(Reply { status, ..Reply::default() }) }.boxed()
    }

    fn state(&self) -> BoxFuture<'_, Result<State, String>> {
        let state = State::from([("run.plates".to_owned(), self.given.lock().unwrap().clone())]);
        async { Ok(state) }.boxed()
    }
}

#[tokio::test]
async fn where_a_word_is_refused_for_its_form_other_digits_are_tried_and_what_takes_neither_is_told() {
    let sample = from_curl("curl http://app/plates --json '{\"plate\":\"ZH 1234\"}'").unwrap();
    let look = async |is_one: fn(&str) -> bool| {
        let plates = Plates { given: Mutex::default(), is_one };
        let mut probe = Probe::begin(&plates, std::slice::from_ref(&sample), &[], 0).await.unwrap();
        probe.look(&sample).await.unwrap()
    };
    let found = look(|plate| plate.starts_with("ZH ") && plate.len() == 7).await;
    assert_eq!((&found.kind, &found.invalid), (&Kind::Unique(409), &None), "{found:?}");
    assert_eq!(found.fresh[0].template(false), "ZH {{ key_as.digits[-4:] }}");
    let found = look(|plate| plate == "ZH 1234").await;
    assert_eq!((found.fresh.len(), found.invalid), (0, Some(("plate".to_owned(), 422))));
    // Whoever takes a word is given one.
    let found = look(|_| true).await;
    assert_eq!((found.fresh[0].template(false).as_str(), found.invalid), ("{{ key }}", None));
}
