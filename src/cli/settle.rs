//! What is accepted may be stored a little later: the final state is waited for while the service still runs.

use std::time::{Duration, Instant};

use super::place::Place;
use crate::checker::judge;
use crate::history::{History, Observation, Phase};
use crate::scenario::Scenario;
use crate::verdict::Verdict;
use crate::workload;

/// How long a state in which something is wrong must have stayed as it is.
const UNCHANGED_FOR: Duration = Duration::from_secs(1);
/// Longest wait for a state that keeps changing.
const LONGEST: Duration = Duration::from_secs(10);
/// Time between two readings.
const BETWEEN: Duration = Duration::from_millis(100);

/// Waits until nothing is wrong with the final state, or what is wrong has stayed so for long enough. What cannot be read is
/// told by whoever reads it afterwards.
pub(super) async fn wait_until_settled(place: &Place, scenario: &Scenario, run_id: &str, history: &History) {
    if scenario.observe.mongo.is_none() && scenario.observe.http.is_none() {
        return;
    }
    let within = scenario.observe.within();
    let invariants = workload::invariants_of(scenario, run_id);
    let is_wrong = |observation: &Observation| {
        [Phase::Control, Phase::Main].into_iter().any(|phase| {
            let results = judge(history, Some(observation), phase, &invariants);
            results.iter().any(|result| result.verdict == Verdict::Violated)
        })
    };
    let begin = Instant::now();
    let (mut last, mut since) = (None, begin);
    loop {
        let Ok(Some(observation)) = place.target.observe().await else { return };
        // What is as it was when it was wrong is still wrong.
        if last.as_ref() != Some(&observation) {
            if !is_wrong(&observation) {
                return;
            }
            (last, since) = (Some(observation), Instant::now());
        }
        let stays = since.elapsed() >= UNCHANGED_FOR && begin.elapsed() >= within;
        if stays || begin.elapsed() >= LONGEST + within {
            return;
        }
        tokio::time::sleep(BETWEEN).await;
    }
}
