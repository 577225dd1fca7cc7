//! Tests of the trials, on a service that is a table.

use std::sync::Mutex;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::*;
use crate::import::{Body, from_curl};

/// Rooms by name; it keeps what it was sent.
#[derive(Default)]
struct Rooms {
    rooms: Mutex<BTreeMap<String, Json>>,
    /// The one document in which rooms are counted, if they are: the first request makes it.
    counter: Option<Mutex<u64>>,
    /// What a room that is there is answered with.
    there: u16,
}

impl Subject for Rooms {
    fn send<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Reply, String>> {
        let Body::Json(body) = &sample.body else { panic!("{:?}", sample.body) };
        let name = plain(&body["room"]).unwrap();
        let mut rooms = self.rooms.lock().unwrap();
        let status = if rooms.contains_key(&name) { self.there } else { 201 };
        if let (Some(counter), 201) = (&self.counter, status) {
            *counter.lock().unwrap() += 1;
        }
        rooms.entry(name.clone()).or_insert_with(|| json!({ "_id": format!("id of {name}"), "room": body["room"] }));
        let reply = Reply { status, json: rooms.get(&name).cloned(), cookies: Vec::new() };
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
