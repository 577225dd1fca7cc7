//! Tests of the trials, on a service that is a table.

use std::sync::Mutex;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::*;
use crate::import::{Body, from_curl};
use crate::init::finding::Reply;

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
async fn two_values_that_are_called_the_same_are_two_where_they_meet() {
    let tags = Tags::default();
    let mut probe = Probe::begin(&tags, &[], &[], 0).await.unwrap();
    for name in ["ann", "bob", "ann"] {
        let opens = from_curl(&format!("curl http://app/accounts --json '{{\"name\":\"{name}\"}}'")).unwrap();
        let fresh = vec![Fresh::new("name", name)];
        probe.remember(&Finding { fresh, kind: Kind::Unique(409), ..Finding::untried(opens) });
    }
    let gives = from_curl("curl http://app/transfers --json '{\"from\":\"ann\",\"to\":\"bob\"}'").unwrap();
    let told: Vec<(String, String)> = probe.told(&gives).into_iter().map(|fresh| (fresh.literal, fresh.name)).collect();
    assert_eq!(told, [("ann", "name"), ("bob", "name2")].map(|(one, other)| (one.to_owned(), other.to_owned())));
    let makers: Vec<&str> = probe.makers.iter().map(|maker| maker.fresh[0].name.as_str()).collect();
    assert_eq!(makers, ["name", "name2", "name"]);
}

/// Accounts that are there from the start, and one that all share.
struct Accounts {
    points: Mutex<BTreeMap<&'static str, u64>>,
    shared: bool,
}

impl Subject for Accounts {
    fn send<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Reply, String>> {
        let user = sample.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-user"));
        let is_second = user.is_some_and(|(_, name)| name == "onlyprobe-b");
        let mut points = self.points.lock().unwrap();
        let own = if is_second { "second" } else { "first" };
        for account in [Some(own), self.shared.then_some("all")].into_iter().flatten() {
            *points.entry(account).or_default() += 1;
        }
        async { Ok(Reply { status: 204, ..Reply::default() }) }.boxed()
    }

    fn state(&self) -> BoxFuture<'_, Result<State, String>> {
        let points = self.points.lock().unwrap();
        let document =
            |(owner, points): (&&str, &u64)| ((*owner).to_owned(), json!({ "_id": owner, "points": points }));
        let state = State::from([("run.accounts".to_owned(), points.iter().map(document).collect())]);
        async { Ok(state) }.boxed()
    }
}

#[tokio::test]
async fn what_a_caller_changes_is_its_own_where_another_one_changes_nothing_of_it() {
    for (shared, per_caller) in [(false, true), (true, false)] {
        let sample = from_curl("curl -X POST http://app/me/points -H 'X-User: ann'").unwrap();
        let points = Mutex::new([("first", 0), ("second", 0), ("all", 0)].into());
        let accounts = Accounts { points, shared };
        let mut probe = Probe::begin(&accounts, std::slice::from_ref(&sample), &[], 0).await.unwrap();
        let found = probe.look(&sample).await.unwrap();
        assert_eq!((&found.kind, found.per_caller), (&Kind::Change, per_caller), "{found:?}");
    }
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

/// Readings of sensors, so many to a document.
struct Series {
    series: Mutex<BTreeMap<String, Json>>,
    most: usize,
}

impl Subject for Series {
    fn send<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Reply, String>> {
        let mut series = self.series.lock().unwrap();
        let sensor = &sample.segments[1];
        let open = series
            .values_mut()
            .find(|one| one["sensor"] == json!(sensor) && one["values"].as_array().unwrap().len() < self.most);
        match open {
            Some(one) => one["values"].as_array_mut().unwrap().push(json!(7)),
            None => {
                let id = format!("{:024x}", 7000 + series.len());
                series.insert(id.clone(), json!({ "_id": id, "sensor": sensor, "values": [7] }));
            }
        }
        async { Ok(Reply { status: 202, ..Reply::default() }) }.boxed()
    }

    fn state(&self) -> BoxFuture<'_, Result<State, String>> {
        let state = State::from([("run.series".to_owned(), self.series.lock().unwrap().clone())]);
        async { Ok(state) }.boxed()
    }
}

#[tokio::test]
async fn what_is_full_one_day_is_followed_by_another_one_and_no_rule_says_that_there_is_one() {
    let sample = from_curl("curl http://app/sensors/s-1/values --json '{\"value\":7}'").unwrap();
    for (most, begins_another) in [(5, true), (10, true), (1000, false)] {
        let series = Series { series: Mutex::default(), most };
        let mut probe = Probe::begin(&series, std::slice::from_ref(&sample), &[], 0).await.unwrap();
        let found = probe.look(&sample).await.unwrap();
        assert_eq!((&found.kind, found.begins_another), (&Kind::Upsert, begins_another), "{most}: {found:?}");
        assert_eq!(found.made.map(|made| made.field).as_deref(), Some("sensor"), "{most}");
    }
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
