//! Further executions after the search, and all that is waited for then: commands released together, the final state, the
//! smallest violation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::cause::chain;
use super::comparison::READ_IN_HASTE;
use super::dfs::Dfs;
use super::diagram::diagram;
use super::execution::INTERRUPTED;
use super::explorer::Explorer;
use super::lint::{self, Indexes};
use super::outcome::Exploration;
use super::policy::{Replay, Together};
use super::search::Search;
use super::spent::Part;
use super::stored::StoredView;
use super::subject::Subject;
use super::together::Meeting;
use super::wire::Kind;
use crate::checker::is_wrong;
use crate::history::{Observation, Phase};
use crate::report::{Diagram, LintFinding, ScheduleResult, Smallest};
use crate::scope::{Ended, Reached, Rest, Scope};
use crate::verdict::Verdict;

/// How long the final state may take to be read, and the indexes.
const READ_WITHIN: Duration = Duration::from_secs(60);
const INDEXES_WITHIN: Duration = Duration::from_secs(10);
/// Executions that the search for a smaller violation may take.
const SHRINKING: usize = 300;
/// Seconds that releasing together may take.
const TOGETHER_SECONDS: f64 = 5.0;
/// Attempts where the server lets upserts meet: what happens is certain.
const MEETINGS: u32 = 3;

/// What is said where what was wrong at the end came right by itself.
const DONE_LATER: &str = "some of what the requests ask for is done after they were answered: in which order that comes is not \
                          explored (`onlyone run` waits for it, and judges what it leaves)";

impl Explorer<'_> {
    /// Explores and judges. `indexes` tells the unique indexes of the collections that are touched; `replay` is the command
    /// that carries a schedule out again, without the schedule.
    pub async fn explore<F>(mut self, indexes: impl FnOnce(Vec<(String, String)>) -> F, replay: &str) -> Exploration
    where
        F: Future<Output = Indexes>,
    {
        self.search().await;
        let touched = lint::namespaces(self.found.executions.iter().map(|(execution, ..)| execution));
        self.pass();
        // What was found before an interruption is judged all the same, and by these.
        let stop = if self.stop.is_cancelled() { CancellationToken::new() } else { self.stop.clone() };
        let within = if self.stop.is_cancelled() { READ_IN_HASTE } else { INDEXES_WITHIN };
        let reading = Scope::new(within, &stop).wait(indexes(touched.into_iter().collect())).await;
        let unread = |ended: Ended| Indexes { unread: Some(ended.to_string()), ..Indexes::new() };
        let indexes = reading.unwrap_or_else(unread);
        self.learn_what_expires(&indexes);
        self.tell_of_expiry(&indexes);
        self.look_at_catalogue_again().await;
        let findings = self.lint(&indexes);
        if self.plan.search != Search::Stress
            && self.plan.before == 0
            && self
                .found
                .traces
                .iter()
                .flatten()
                .any(|command| command.statements.iter().any(|statement| statement.upsert))
        {
            self.hold();
            let weak = ["upsert-without-unique-index", "upsert-not-retried"];
            self.together(findings.iter().any(|finding| weak.contains(&finding.rule.as_str()))).await;
            self.pass();
        }
        let judged: Vec<usize> = self.found.searched.iter().chain(&self.found.together).copied().collect();
        let with_repetitions: Vec<usize> = judged.iter().copied().chain(self.repetitions()).collect();
        self.judge_serially(&with_repetitions).await;
        self.confirm_patiently(&judged).await;
        self.see_what_is_left().await;
        self.look_again().await;
        let mut observation = self.observe().await;
        if self.see_what_vanishes(observation.as_ref()).await {
            observation = self.observe().await;
        }
        let as_if_serial = self.as_if_serial(&judged, self.names());
        let schedules = self.list(observation.as_ref());
        self.tell_first_use(observation.as_ref());
        let smallest = self.smallest(&schedules, replay, (&indexes, &findings)).await;
        self.pass();
        if smallest.is_some() {
            observation = self.observe().await;
        }
        self.tell_of_starts();
        Exploration { as_if_serial, ..self.conclude(observation, schedules, smallest, findings) }
    }

    /// Reads the final state. If that is not possible, nothing that rests on it is concluded. An interruption that ended the
    /// search has not ended this, the next one does.
    pub(super) async fn observe(&mut self) -> Option<Observation> {
        let stop = if self.stop.is_cancelled() { CancellationToken::new() } else { self.stop.clone() };
        let target = Arc::clone(&self.target);
        // What stood still while something was wrong with it is waited for no more.
        let rest = self.plan.settle.filter(|_| !self.found.stands_still).map(Rest::within);
        let history = rest.map(|_| self.history());
        let wrong = |observation: &Option<Observation>| {
            let both = history.as_ref().zip(observation.as_ref());
            both.is_some_and(|(history, observation)| is_wrong(history, observation, &self.plan.invariants))
        };
        let read = || target.observe();
        let reading = rest.unwrap_or(Rest::within(Duration::ZERO)).reached(read, wrong);
        let within = READ_WITHIN + rest.map_or(Duration::ZERO, Rest::longest);
        let begin = Instant::now();
        let read = Scope::new(within, &stop).wait(reading).await;
        self.found.spent.add(Part::FinalState, begin);
        let unread = match read {
            Ok(Ok(Reached { state, stood_still, mended, .. })) => {
                self.found.stands_still |= stood_still;
                if mended {
                    self.tell_done_later();
                }
                return state.map(|state| match &self.found.early {
                    Some(early) => state.since(early),
                    None => state,
                });
            }
            Ok(Err(error)) => chain(&error),
            Err(ended) => ended.to_string(),
        };
        self.found.unread = Some(unread);
        None
    }

    /// What was wrong with what was stored came right by itself.
    pub(super) fn tell_done_later(&mut self) {
        if !self.found.reasons.iter().any(|reason| reason == DONE_LATER) {
            self.found.reasons.push(DONE_LATER.to_owned());
        }
    }

    /// Releases the writes of all requests at once, again and again: what happens then is the server's choice.
    async fn together(&mut self, insecure: bool) {
        for (position, met) in self.released_together(insecure).await {
            if self.found.executions[position].0.stuck.is_none() {
                self.found.together.push(position);
                self.found.met += usize::from(met);
            }
        }
    }

    /// Executions with the writes of all requests released at once, and whether upserts were made to meet in them; only a few
    /// where no upsert is known to be insecure.
    pub(super) async fn released_together(&mut self, insecure: bool) -> Vec<(usize, bool)> {
        let (mut released, mut tried) = (Vec::new(), false);
        let all: Vec<usize> = (0..self.subject.requests()).collect();
        // What requests do comes when instances are up: their starts meet each other.
        let meet = if self.subject.starts() > 0 { self.subject.starts() } else { all.len() };
        let begin = Instant::now();
        let mut meeting = if insecure { Meeting::of(self.server.as_ref()).await } else { None };
        let attempts = match (&meeting, insecure) {
            (Some(_), _) => self.plan.budget.together.min(MEETINGS),
            (None, true) => self.plan.budget.together,
            (None, false) => self.plan.budget.together / 4,
        };
        for _ in 0..attempts {
            if self.stop.is_cancelled() || self.is_over() || begin.elapsed().as_secs_f64() > TOGETHER_SECONDS {
                break;
            }
            let (number, begun) = self.begin_execution(&all).await;
            if let Err(why) = begun {
                released.push((self.never_began(number, Phase::Main, why), false));
                break;
            }
            // Closed only now: what a service upserts at its start, or before the requests, is not to meet here.
            let opening = match meeting.clone() {
                Some(place) if place.close(u32::try_from(meet).unwrap_or(u32::MAX)).await => {
                    Some(tokio::spawn(place.open_when_met(meet)))
                }
                _ => None,
            };
            let position = self.execute_begun(number, &all, Phase::Main, &mut Together).await;
            let mut met = false;
            if let Some(opening) = opening {
                met = opening.await.is_ok_and(|met| met);
                tried = true;
                if !met {
                    meeting = None;
                }
            }
            released.push((position, met));
            if self.found.executions[position].0.stuck.is_some() {
                break;
            }
        }
        if tried {
            self.found.notes.insert(told_of_meeting(&released));
        }
        released
    }

    /// The violation with the fewest requests and switches, carried out once more.
    async fn smallest(
        &mut self,
        schedules: &[ScheduleResult],
        replay: &str,
        (indexes, findings): (&Indexes, &[LintFinding]),
    ) -> Option<Smallest> {
        let requests = self.subject.requests();
        let mut best = self.fewest_switches(&self.found.searched, schedules.to_vec());
        let replaying = matches!(self.plan.search, Search::Replay { .. });
        // Without an order there is nothing to carry out again.
        if self.plan.search == Search::Stress || best.is_none() {
            return None;
        }
        if let Some((position, _)) = best.as_ref().filter(|_| !replaying && !self.is_over())
            && let Some(smaller) = self.smaller_than(*position).await
        {
            best = Some(smaller);
        }
        for fewer in 2..requests {
            if replaying
                || self.plan.before > 0
                || self.is_over()
                || self.found.reasons.iter().any(|reason| reason == INTERRUPTED)
            {
                break;
            }
            let positions = self.explore_fewer(fewer).await;
            self.pass();
            if let Some(found) = self.violation_among(positions).await {
                best = Some(found);
                break;
            }
        }
        let (position, result) = best?;
        let (execution, taking_part, _) = &self.found.executions[position];
        let (schedule, taking_part) = (execution.schedule.clone(), taking_part.clone());
        let names = self.names();
        let lint = Some(self.possible_causes(execution, indexes, findings));
        let mut drawn: Diagram = diagram(execution, &names);
        self.scheduler.stored = self.stored_view().await;
        self.hold();
        let again = self.execute_some(&taking_part, Phase::Main, &mut Replay::new(schedule.clone())).await;
        self.pass();
        let stored = self.scheduler.stored.take().map(StoredView::into_seen).unwrap_or_default();
        self.judge_serially(&[again]).await;
        let observation = self.observe().await;
        let repeated = self.verdicts(&[again], observation.as_ref());
        let reproduced = repeated.first().is_some_and(|repeated| *repeated == result);
        if reproduced && !stored.is_empty() {
            // What was stored belongs to the commands of the repetition.
            drawn = Diagram { stored, ..diagram(&self.found.executions[again].0, &names) };
        }
        drawn.lanes.truncate(taking_part.len());
        // Where the starts are enough, the requests come after them.
        let starts = self.subject.starts();
        let own = taking_part.len().saturating_sub(starts).max(1);
        let in_turn = match self.plan.before {
            0 => String::new(),
            first => format!(" --in-turn {first}"),
        };
        let replay = format!("{replay} --requests {own} --schedule \"{}\"{in_turn}", schedule.written(starts));
        let switches = u32::try_from(schedule.switches()).unwrap_or(u32::MAX);
        let requests = u32::try_from(own).unwrap_or(u32::MAX);
        Some(Smallest { requests, result, switches, reproduced, replay, lint, diagram: drawn })
    }

    /// Looks past the proxy at the collections that requests write, where it is known where the server is.
    async fn stored_view(&self) -> Option<StoredView> {
        let written = self.found.traces.iter().flatten().filter(|command| command.kind == Kind::Write);
        let namespaces = written.filter_map(|command| Some((command.database.clone(), command.collection.clone()?)));
        let beginning = StoredView::begin(self.server.clone()?, namespaces.collect());
        Scope::new(READ_WITHIN, &self.stop).wait(beginning).await.ok()
    }

    /// All interleavings of the first requests, as far as they are few.
    async fn explore_fewer(&mut self, requests: usize) -> Vec<usize> {
        let taking_part: Vec<usize> = (0..requests).collect();
        let mut dfs = Dfs::new(true);
        let mut positions = Vec::new();
        self.hold();
        while positions.len() < SHRINKING && !self.stop.is_cancelled() {
            let position = self.execute_surely(&taking_part, Phase::Main, &mut dfs).await;
            if self.found.executions[position].0.stuck.is_some() {
                break;
            }
            positions.push(position);
            if !dfs.advance() {
                break;
            }
        }
        positions
    }

    /// The violation of these that is easiest to read.
    pub(super) fn fewest_switches(
        &self,
        positions: &[usize],
        results: Vec<ScheduleResult>,
    ) -> Option<(usize, ScheduleResult)> {
        let violated = positions.iter().copied().zip(results).filter(|(_, result)| result.verdict == Verdict::Violated);
        violated.min_by_key(|(position, _)| {
            let schedule = &self.found.executions[*position].0.schedule;
            (schedule.fault().is_some(), schedule.switches(), schedule.0.len(), schedule.clone())
        })
    }
}

/// Whether upserts met where they were to.
fn told_of_meeting(released: &[(usize, bool)]) -> String {
    let met = released.iter().filter(|(_, met)| *met).count();
    match met {
        0 => "the upserts could not be made to meet inside the server: whether they do is left to chance".to_owned(),
        met if met == released.len() => {
            "upserts were made to meet inside the server, between their look and their insert".to_owned()
        }
        met => format!(
            "in {met} of {} attempts upserts were made to meet inside the server, between their look and their insert; in the others it \
             was left to chance",
            released.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::told_of_meeting;

    #[test]
    fn one_note_says_how_often_upserts_met() {
        for (met, expected) in [
            (&[(0, true), (1, true)][..], "upserts were made to meet"),
            (&[(0, true), (1, true), (2, false)], "in 2 of 3 attempts"),
            (&[(0, false)], "could not be made to meet"),
        ] {
            let told = told_of_meeting(met);
            assert!(told.contains(expected), "{told}");
        }
    }
}
