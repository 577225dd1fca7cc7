//! Upserts inside the server at once: [`Meeting`] makes certain what is otherwise left to chance.
//!
//! A server that was started with test commands stops every upsert between "there is none" and its insert while the fail
//! point is on. It is turned off when all of them have come that far. It is never left on: the server counts how often it
//! is met, a stopped upsert meets it every ten milliseconds, and after so many times it is off by itself.

use std::time::{Duration, Instant};

use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use tokio_util::sync::CancellationToken;

const POINT: &str = "hangBeforeUpsertPerformsInsert";
/// How long upserts may take to come there. One that finds a document never does.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often the point is met before it is off by itself: an upsert that waits meets it a hundred times a second.
const TIMES_PER_UPSERT: u32 = 200;
/// Upserts that a moment of [`Meeting::again_and_again`] may stop.
const CROWD: u32 = 64;
/// How long the server may take to turn it on or off, or to count who waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// A place in the server where upserts wait for each other.
#[derive(Debug, Clone)]
pub(crate) struct Meeting(Client);

impl Meeting {
    /// The meeting place of a server that has one.
    pub(crate) async fn of(server: Option<&Client>) -> Option<Self> {
        let meeting = Meeting(server?.clone());
        meeting.off().await.then_some(meeting)
    }

    /// Stops upserts from now on, so many at a time; whether that was possible.
    pub(super) async fn close(&self, upserts: u32) -> bool {
        let times = i64::from(upserts.saturating_mul(TIMES_PER_UPSERT));
        self.set(doc! { "times": times }).await
    }

    async fn off(&self) -> bool {
        self.set("off").await
    }

    /// Waits until so many upserts are there, and lets them go; whether they came.
    pub(super) async fn open_when_met(self, requests: usize) -> bool {
        let begin = Instant::now();
        let mut met = false;
        while !met && begin.elapsed() < PATIENCE {
            met = self.waiting().await >= requests;
            if !met {
                tokio::time::sleep(PAUSE).await;
            }
        }
        self.off().await && met
    }

    /// Stops upserts for a moment, again and again, until told to end: those of a round then go on together.
    pub(crate) async fn again_and_again(self, end: CancellationToken) {
        while !end.is_cancelled() && self.close(CROWD).await {
            tokio::time::sleep(PAUSE * 2).await;
            self.off().await;
            tokio::time::sleep(PAUSE).await;
        }
        // A command without an answer may have been carried out.
        self.off().await;
    }

    async fn set(&self, mode: impl Into<Bson>) -> bool {
        let command = doc! { "configureFailPoint": POINT, "mode": mode.into() };
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.0.database("admin").run_command(command)).await;
        answer.is_ok_and(|answer| answer.is_ok())
    }

    async fn waiting(&self) -> usize {
        let at_the_point = doc! { "$match": { "$or": [{ "failpointMsg": POINT }, { "msg": POINT }] } };
        let pipeline = [doc! { "$currentOp": { "allUsers": true } }, at_the_point, doc! { "$count": "n" }];
        let asked = tokio::time::timeout(ANSWER_WITHIN, self.0.database("admin").aggregate(pipeline)).await;
        let Ok(Ok(mut found)) = asked else { return 0 };
        let count = match found.advance().await {
            Ok(true) => Document::try_from(found.current().to_owned()).ok().and_then(|found| found.get_i32("n").ok()),
            Ok(false) | Err(_) => None,
        };
        usize::try_from(count.unwrap_or(0)).unwrap_or(0)
    }
}
