//! Two requests on what others left, where they do something there that they never did at once on a fresh key.

use std::collections::BTreeSet;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::asked::{aggregated_limits, requests_are_asked_for, search};
use super::{One, faults};
use crate::cli::CliError;
use crate::explore::established::{MOST_BEFORE, with_established};
use crate::explore::explorer::Plan;
use crate::explore::outcome::Exploration;
use crate::explore::pairs::choices;
use crate::explore::search::Search;
use crate::explore::ways::Way;
use crate::history::Operation;
use crate::session::Environment;
use crate::target::Guard;

/// Requests that meet.
const TWO: usize = 2;
/// Operations of which every two are sent before others; of more, every one.
const MOST_OPERATIONS: usize = 5;
/// Requests of one operation that are sent one after another to see whether there is a last one.
const MOST_IN_A_ROW: usize = 6;
/// Choices of what comes first that are named.
const NAMED: usize = 4;

/// Where an exploration takes place.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) environment: &'a Environment,
    pub(super) guard: &'a Guard,
    pub(super) stop: &'a CancellationToken,
    /// When it began.
    pub(super) start: Instant,
}

impl One<'_> {
    /// What was explored of requests on a fresh key, with two that come after others where that is another matter. `names` are the
    /// operations of which every choice was explored; none where all requests are alike.
    pub(super) async fn established(
        &self,
        fresh: Exploration,
        names: &[String],
        place: Place<'_>,
    ) -> Result<Exploration, CliError> {
        let asked = match names.is_empty() {
            true => self.requests as usize != TWO || requests_are_asked_for(self.args, self.scenario),
            false => self.args.requests.is_some() || self.scenario.explore.requests.is_some(),
        };
        let is_default = !asked
            && search(self.args, self.scenario) == Search::Exhaustive
            && !faults::are_there(self.args, self.scenario)
            && place.environment.fresh_executions().is_none();
        if !is_default || !fresh.may_go_on() || place.stop.is_cancelled() {
            return Ok(fresh);
        }
        let further = Further {
            one: self,
            names,
            place,
            used: Used::default().until(fresh.next, self.requests),
            met: BTreeSet::new(),
            known: BTreeSet::new(),
            states: BTreeSet::new(),
            told: Vec::new(),
            open: false,
            unread: Vec::new(),
        };
        further.explore(fresh).await
    }
}

/// What comes first, by position, and what each operation does then.
type State = (Vec<usize>, Vec<Way>);

/// What has been used up.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    executions: u32,
    operations: u64,
}

impl Used {
    /// With all executions up to this one, of so many requests each.
    fn until(self, next: u32, requests: u32) -> Self {
        let operations = u64::from(next) * u64::from(requests);
        Used { executions: self.executions.max(next), operations: self.operations.max(operations) }
    }

    /// The next execution of so many requests.
    fn next(self, requests: u32) -> u32 {
        let unused = u32::try_from(self.operations.div_ceil(u64::from(requests.max(1)))).unwrap_or(u32::MAX);
        self.executions.max(unused)
    }
}

/// Explorations that go on where another one ended.
struct Further<'a> {
    one: &'a One<'a>,
    /// None where all requests are alike.
    names: &'a [String],
    place: Place<'a>,
    /// Executions and numbers of operations that have been: each execution has a key of its own, and each operation a number.
    used: Used,
    /// Two that have met, after which.
    met: BTreeSet<(Vec<usize>, Vec<usize>)>,
    /// Ways of two requests that have met.
    known: BTreeSet<Vec<(usize, String)>>,
    /// What all operations do, in the states that were reached.
    states: BTreeSet<Vec<String>>,
    /// What came first, and how many interleavings there were then.
    told: Vec<(String, u64)>,
    /// There was no time for all of it.
    open: bool,
    /// What was sent after the final state was read.
    unread: Vec<Operation>,
}

impl Further<'_> {
    async fn explore(mut self, mut whole: Exploration) -> Result<Exploration, CliError> {
        let comes_second = whole.comes_second;
        let explored = whole.report.explored;
        let Some(alone) = self.reach(Vec::new(), explored).await? else { return Ok(whole) };
        for choice in choices(self.count(), TWO) {
            self.known.insert(key(&alone.1, &choice));
        }
        let mut reached = vec![alone];
        let most = if self.count() > MOST_OPERATIONS { 1 } else { MOST_BEFORE };
        for before in 1..=most {
            let mut next = Vec::new();
            for (first, ways) in &reached {
                for operation in (0..self.count()).filter(|operation| ways[*operation].writes()) {
                    let longer = first.iter().copied().chain([operation]).collect();
                    next.extend(self.reach(longer, whole.report.explored).await?);
                }
            }
            // That requests which are alike may do something else is known from how they met.
            let by_ways = before > 1 || !self.are_alike();
            let met = match by_ways {
                true => self.new_choices(&next),
                false if comes_second => vec![(vec![0], vec![0, 0])],
                false => Vec::new(),
            };
            let all = met.len();
            for (at, (first, choice)) in met.into_iter().enumerate() {
                let left = u32::try_from(all - at).unwrap_or(u32::MAX);
                whole = self.meet(&first, &choice, left, whole).await?;
                if !whole.may_go_on() {
                    return Ok(self.said(whole));
                }
            }
            reached = next;
        }
        whole = self.at_the_last(whole).await?;
        whole = self.at_limits(whole).await?;
        Ok(self.said(whole))
    }

    /// Two requests that meet where there is one left for them, of a stock or a quota: as many as go the same way one after another,
    /// less one, come first.
    async fn at_the_last(&mut self, mut whole: Exploration) -> Result<Exploration, CliError> {
        if self.count() > MOST_OPERATIONS {
            return Ok(whole);
        }
        for operation in 0..self.count() {
            let mut earlier: Option<Way> = None;
            for others in 1..=MOST_IN_A_ROW {
                let first = vec![operation; others];
                let Some(way) = self.way(&first, operation, whole.report.explored).await? else { break };
                let is_other = earlier.is_some_and(|earlier| earlier.told != way.told);
                if is_other && !self.met.contains(&(first[1..].to_vec(), vec![operation; TWO])) {
                    whole = self.meet(&first[1..], &[operation; TWO], 1, whole).await?;
                    if !whole.may_go_on() {
                        return Ok(whole);
                    }
                }
                if !way.writes() {
                    break;
                }
                earlier = Some(way);
            }
        }
        Ok(whole)
    }

    /// Two requests that meet where one more is all that an aggregation of the user's own allows.
    async fn at_limits(&mut self, mut whole: Exploration) -> Result<Exploration, CliError> {
        if !self.are_alike() {
            return Ok(whole);
        }
        for limit in aggregated_limits(self.one.scenario) {
            if !whole.may_go_on() {
                break;
            }
            let first = vec![0; limit - 1];
            let after = self.after(&first);
            if self.told.iter().all(|(told, _)| *told != after) {
                whole = self.meet(&first, &[0, 0], 1, whole).await?;
            }
        }
        Ok(whole)
    }

    fn are_alike(&self) -> bool {
        self.names.is_empty()
    }

    /// Operations that requests may do.
    fn count(&self) -> usize {
        self.names.len().max(1)
    }

    /// What every operation does after these; nothing where they have been in such a state before.
    async fn reach(&mut self, first: Vec<usize>, explored: u64) -> Result<Option<State>, CliError> {
        let mut ways = Vec::new();
        for operation in 0..self.count() {
            let Some(way) = self.way(&first, operation, explored).await? else { return Ok(None) };
            ways.push(way);
        }
        let is_new = self.states.insert(ways.iter().map(|way| way.told.clone()).collect());
        Ok(is_new.then_some((first, ways)))
    }

    /// What an operation does after these.
    async fn way(&mut self, first: &[usize], operation: usize, explored: u64) -> Result<Option<Way>, CliError> {
        let operations: Vec<usize> = first.iter().copied().chain([operation]).collect();
        let requests = u32::try_from(operations.len()).unwrap_or(u32::MAX);
        let left = self.one.share(self.place.start.elapsed(), explored, 1);
        if left.is_none() || self.place.stop.is_cancelled() {
            self.open = true;
            return Ok(None);
        }
        let (environment, stop) = (self.place.environment, self.place.stop.clone());
        let subject = self.one.subject(environment, &self.named(&operations), requests);
        let plan = Plan { may_reduce: false, ..self.one.plan(None, false) };
        let explorer = self.one.explorer(environment, &subject, &plan, stop).await?;
        let explorer = explorer.starting(self.used.next(requests), self.place.start);
        let Some(way) = explorer.last_of_all().await else { return Ok(None) };
        self.used = self.used.until(way.next, requests);
        self.unread.extend(way.operations.iter().cloned());
        Ok(Some(way))
    }

    /// The operations of these positions; none where all requests are alike.
    fn named(&self, operations: &[usize]) -> Vec<String> {
        match self.are_alike() {
            true => self.one.operations.clone(),
            false => operations.iter().map(|operation| self.names[*operation].clone()).collect(),
        }
    }

    /// Choices of two that go ways on which they have not met, in the states that were reached.
    fn new_choices(&mut self, reached: &[State]) -> Vec<(Vec<usize>, Vec<usize>)> {
        let mut new = Vec::new();
        for (first, ways) in reached {
            for choice in choices(self.count(), TWO) {
                let may_meet = ways[choice[0]].may_meet(&ways[choice[1]]);
                if may_meet && self.known.insert(key(ways, &choice)) {
                    new.push((first.clone(), choice));
                }
            }
        }
        new
    }

    /// Explores two requests after these.
    async fn meet(
        &mut self,
        first: &[usize],
        choice: &[usize],
        left: u32,
        whole: Exploration,
    ) -> Result<Exploration, CliError> {
        let Place { environment, guard, stop, start } = self.place;
        let budget = self.one.share(start.elapsed(), whole.report.explored, left);
        let Some(budget) = budget.filter(|_| !stop.is_cancelled()) else {
            self.open = true;
            return Ok(whole);
        };
        self.met.insert((first.to_vec(), choice.to_vec()));
        let positions: Vec<usize> = first.iter().chain(choice).copied().collect();
        let (operations, requests) = (self.named(&positions), u32::try_from(positions.len()).unwrap_or(u32::MAX));
        let subject = self.one.subject(environment, &operations, requests);
        let plan = Plan { before: first.len(), may_reduce: false, ..self.one.plan(Some(budget), false) };
        let explorer = self.one.explorer(environment, &subject, &plan, stop.clone()).await?;
        let explorer = explorer.starting(self.used.next(requests), start);
        let shown = if self.are_alike() { &self.one.args.operations } else { &operations };
        let established = self.one.explored(explorer, environment, guard, shown).await?;
        self.used = self.used.until(established.next, requests);
        let (after, before) = (self.after(first), whole.report.explored);
        let whole = with_established(whole, established, &after, &mut self.unread);
        // What came to no end is none of it, and says so itself.
        if whole.report.explored > before {
            self.told.push((after, whole.report.explored - before));
        }
        Ok(whole)
    }

    fn after(&self, first: &[usize]) -> String {
        match (self.are_alike(), first.len()) {
            (true, 1) => "after a first request".to_owned(),
            (true, others) => format!("after {others} others"),
            (false, _) => {
                let names: Vec<&str> = first.iter().map(|operation| self.names[*operation].as_str()).collect();
                format!("after {}", names.join(", then "))
            }
        }
    }

    /// Says what was explored beyond fresh keys.
    fn said(&self, mut whole: Exploration) -> Exploration {
        let further: u64 = self.told.iter().map(|(_, explored)| explored).sum();
        let mut after: Vec<&str> = self.told.iter().map(|(after, _)| after.as_str()).collect();
        after.dedup();
        if further > 0 {
            let more = if after.len() > NAMED { ", …" } else { "" };
            after.truncate(NAMED);
            whole.report.notes.push(format!(
                "{further} of the interleavings are of two requests that come {}{more}: what they do there, no two did at once on \
                 a fresh key",
                after.join(", ")
            ));
        }
        if self.open {
            whole.report.notes.push(
                "the budget was exhausted before every two requests had met on what others leave: `--max-time` gives more".to_owned(),
            );
        }
        whole
    }
}

/// Two operations by what they do.
fn key(ways: &[Way], choice: &[usize]) -> Vec<(usize, String)> {
    choice.iter().map(|operation| (*operation, ways[*operation].told.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_key_nor_a_number_comes_twice() {
        let mut used = Used::default().until(7, 2);
        let mut executions = 7;
        let mut operations = 14;
        for requests in [1, 3, 2, 4, 1, 1, 4] {
            let next = used.next(requests);
            assert!(next >= executions, "{next} {executions}");
            assert!(u64::from(next) * u64::from(requests) >= operations, "{next} {requests}");
            used = used.until(next + 5, requests);
            (executions, operations) = (next + 5, operations.max(u64::from(next + 5) * u64::from(requests)));
        }
    }
}
