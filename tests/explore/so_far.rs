//! What is told of an exploration while it goes on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onlyone::explore::search::Search;
use onlyone::explore::so_far::{Follows, SoFar};
use onlyone::history::Operation;
use onlyone::mongod::Mongod;
use onlyone::verdict::Invariant;

use crate::support::{Case, server};

/// Keeps what it is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Follows for Told {
    fn recorded(&mut self, _: &[Operation]) {}

    fn found(&mut self, _: &SoFar, new: &[(f64, String)]) {
        self.0.lock().unwrap().extend(new.iter().map(|(_, what)| what.clone()));
    }
}

struct Ended {
    violated: u64,
    told: Vec<String>,
}

/// Explores, and says what was known at the end of the search, before anything was judged.
async fn explored(case: Case, mongod: &Mongod, run: &str, only: Option<Invariant>, looks: Option<Duration>) -> Ended {
    let (so_far, told) = (Arc::new(SoFar::default()), Told::default());
    let (watched, follows) = (Arc::clone(&so_far), told.clone());
    case.explore_by(mongod, run, only.map(|only| vec![only]), move |explorer| {
        explorer.telling(watched, looks).followed(Box::new(follows))
    })
    .await;
    let told = told.0.lock().unwrap().clone();
    Ended { violated: so_far.violated.load(Ordering::Relaxed), told }
}

fn replay(strategy: &'static str, unique_index: bool, schedule: &str) -> Case {
    let search = Search::Replay { schedule: schedule.parse().unwrap(), times: 1 };
    Case { search, ..Case::new(strategy, unique_index, 2) }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_prove_is_told_at_once() {
    let mongod = server(0).await;
    let ended = explored(Case::new("find-then-insert", false, 2), &mongod, "answers", None, None).await;
    assert_eq!((ended.violated, ended.told.len()), (4, 4), "{:?}", ended.told);
    assert!(ended.told[0].contains("R1.find R2.find"), "{:?}", ended.told);
    let ended = explored(Case::new("upsert-retry", true, 2), &mongod, "twin", None, None).await;
    assert_eq!((ended.violated, ended.told.len()), (0, 0), "{:?}", ended.told);
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_documents_prove_is_told_by_a_look() {
    let mongod = server(0).await;
    for (name, schedule, looks, violated) in
        [("apart", "1 1 2", true, 0), ("struck", "1 2 1 2", true, 1), ("unseen", "1 2 1 2", false, 0)]
    {
        let looks = looks.then_some(Duration::ZERO);
        let case = replay("find-then-insert", false, schedule);
        let ended = explored(case, &mongod, name, Some(Invariant::ZeroDuplicates), looks).await;
        assert_eq!(ended.violated, violated, "{name}");
    }
    mongod.stop().await.unwrap();
}
