//! The user's own invariants, looked at after each execution: [`Watch`].
//!
//! They look at the whole database, so that one that is violated stays so. What an execution did is told by what was added:
//! it is to blame if more is wrong after it than before, and stays so for as long as work in the background may take to mend
//! it. *Completeness*: an aggregation that gives one document whatever the number of defects blames the first execution alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use crate::history::{Looks, Worsening};
use crate::target::mongo::QueryResult;
use crate::verdict::Invariant;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// What never comes to rest is looked at no longer than this, besides the time that work in the background may take.
const LONGEST: Duration = Duration::from_secs(5);
/// How long the server may take to answer in a look, besides what the look waits for.
const ASKED_WITHIN: Duration = Duration::from_secs(30);
/// Why a guess is wrong that does not hold of requests one after another.
const BROKEN_ALONE: &str = "the requests break it one after another as well";
/// Violations that were waited for in full, after which shorter waits do: as long as recoveries were seen to take.
const CONFIRMED: u32 = 2;

/// The user's own invariants: asked of the database, and judged.
pub trait OwnInvariants: Send + Sync {
    /// Carries the aggregations out.
    fn ask(&self) -> BoxFuture<'_, Vec<QueryResult>>;

    /// Their names.
    fn names(&self) -> Vec<String>;

    /// The collection that one of them is about.
    fn collection(&self, name: &str) -> Option<String>;

    /// What became worse, by name. The number of the execution is set later.
    fn worsenings(&self, before: &[QueryResult], now: &[QueryResult]) -> Vec<(String, Worsening)>;

    /// Those that are not judged, with the reason, from what they gave before and after requests that ran alone.
    fn meant_for_a_load(&self, before: &[QueryResult], after: &[QueryResult]) -> Vec<(String, String)>;

    /// How long what became worse must stay so: work in the background may be about to mend it.
    fn patience(&self) -> Duration;
}

/// What was wrong when last looked at, and what executions made worse.
pub struct Watch<'a> {
    own: Box<dyn OwnInvariants + 'a>,
    before: Vec<QueryResult>,
    looks: Vec<Looks>,
    /// The longest time after which what had become worse was mended.
    recovery: Duration,
    confirmed: u32,
    /// Looks at nothing that were waited for in full: a collection may never come to be.
    empty: u32,
    pause: Duration,
    longest: Duration,
    asked_within: Duration,
    /// Something goes on that belongs to no request: a look is trusted when the next one is equal.
    pub(super) background: bool,
    /// The rules are guessed from trials, and nobody's own.
    guessed: bool,
    /// Guesses that were wrong, and why.
    withdrawn: BTreeMap<String, &'static str>,
}

/// What a look comes after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// An execution of requests that could meet.
    Main,
    /// A request that ran alone.
    Control,
    /// All executions: what is worse now is the doing of the last.
    All,
}

/// What one look came to.
struct Seen {
    now: Vec<QueryResult>,
    worse: Vec<(String, Worsening)>,
    moving: bool,
}

impl<'a> Watch<'a> {
    /// Watches these.
    pub fn new(own: impl OwnInvariants + 'a) -> Self {
        let (before, looks) = (Vec::new(), Vec::new());
        let (recovery, confirmed, empty, background) = (Duration::ZERO, 0, 0, false);
        let (pause, longest, asked_within) = (PAUSE, LONGEST, ASKED_WITHIN);
        Watch {
            own: Box::new(own),
            before,
            looks,
            recovery,
            confirmed,
            empty,
            pause,
            longest,
            asked_within,
            background,
            guessed: false,
            withdrawn: BTreeMap::new(),
        }
    }

    /// Takes the rules for guesses: what requests one after another break is no rule of the service.
    pub fn guessed(mut self) -> Self {
        self.guessed = true;
        self
    }

    /// Guesses that were wrong, and why.
    pub(super) fn withdrawn(&self) -> &BTreeMap<String, &'static str> {
        &self.withdrawn
    }

    /// How long the server may take to answer.
    pub(super) fn asked_within(&self) -> Duration {
        self.asked_within
    }

    /// How long a look may take: what never comes to rest is looked at for so long, and the server must answer.
    pub(super) fn look_within(&self) -> Duration {
        self.asked_within + self.longest()
    }

    /// How long what changes is looked at.
    fn longest(&self) -> Duration {
        self.longest + self.own.patience()
    }

    /// A look came to no end: what it would have said is not known.
    pub(super) fn missed(&mut self) {
        self.looks.iter_mut().for_each(|looks| looks.moving += 1);
    }

    /// What is wrong now is nobody's doing.
    pub(super) async fn begin(&mut self) {
        let now = self.own.ask().await;
        self.looks = now.iter().map(|result| Looks { name: result.name.clone(), ..Looks::default() }).collect();
        self.before = now;
    }

    /// Nothing was there before: whatever is wrong from now on is the doing of what comes.
    pub(super) fn begin_with_nothing(&mut self) {
        self.before.clear();
        if self.looks.is_empty() {
            self.looks = self.own.names().into_iter().map(|name| Looks { name, ..Looks::default() }).collect();
        }
    }

    /// Takes note of what is not judged, after requests that ran alone since `begin` was `first`; why, in words.
    pub(super) fn leave_out(&mut self, first: &[QueryResult]) -> Vec<String> {
        let left_out = self.own.meant_for_a_load(first, &self.before);
        for looks in &mut self.looks {
            looks.unjudged = left_out.iter().find(|(name, _)| *name == looks.name).map(|(_, why)| why.clone());
        }
        left_out.into_iter().map(|(name, why)| format!("`{name}` is not judged in an exploration: {why}")).collect()
    }

    /// What they gave when they were last asked.
    pub(super) fn last(&self) -> &[QueryResult] {
        &self.before
    }

    /// What they said of all executions.
    pub(super) fn looks(&self) -> &[Looks] {
        &self.looks
    }

    /// What was done since belongs to no execution.
    pub(super) async fn skip(&mut self) {
        let now = self.own.ask().await;
        self.remember(now);
    }

    /// What an execution made worse.
    pub(super) async fn look(&mut self, round: u32, after: After) -> Vec<Invariant> {
        let seen = self.until_at_rest().await;
        if self.guessed && after == After::Control && !seen.moving {
            self.withdraw(seen.worse.iter().map(|(name, _)| name.clone()).collect(), BROKEN_ALONE);
        }
        let blind: Vec<&str> = seen.now.iter().filter(|result| result.is_blind()).map(|result| &*result.name).collect();
        let withdrawn = &self.withdrawn;
        let judged = |looks: &&mut Looks| !blind.contains(&looks.name.as_str()) && !withdrawn.contains_key(&looks.name);
        for looks in self.looks.iter_mut().filter(judged) {
            let worse = seen.worse.iter().find(|(name, _)| *name == looks.name);
            let worse = worse.map(|(_, worse)| Worsening { round, ..worse.clone() });
            match worse {
                // What may yet be mended accuses nobody.
                Some(_) if seen.moving => looks.moving += 1,
                worse => match after {
                    After::Main => looks.main.add(worse),
                    After::Control => looks.control.add(worse),
                    After::All => looks.main.amend(worse),
                },
            }
        }
        let stands = |(name, _): &&(String, Worsening)| !seen.moving && !withdrawn.contains_key(name);
        let named = |(name, _): &(String, Worsening)| Invariant::Custom(name.as_str().into());
        let worse = seen.worse.iter().filter(stands).map(named).collect();
        self.remember(seen.now);
        worse
    }

    /// Takes back guesses about these collections.
    pub(super) fn withdraw_about(&mut self, collections: &BTreeSet<String>, why: &'static str) {
        if !self.guessed || collections.is_empty() {
            return;
        }
        let about =
            |name: &String| self.own.collection(name).is_some_and(|collection| collections.contains(&collection));
        let names = self.own.names().into_iter().filter(about).collect();
        self.withdraw(names, why);
    }

    /// Takes back all that was said by these rules.
    fn withdraw(&mut self, names: Vec<String>, why: &'static str) {
        for name in names {
            self.withdrawn.insert(name.clone(), why);
            for looks in self.looks.iter_mut().filter(|looks| looks.name == name) {
                let why = Some("it was guessed, and is wrong".to_owned());
                *looks = Looks { name: name.clone(), unjudged: why, ..Looks::default() };
            }
        }
    }

    /// Looks again until nothing is worse, or what is has stayed so for long enough.
    async fn until_at_rest(&mut self) -> Seen {
        let begin = Instant::now();
        let (mut since, mut was_worse) = (begin, false);
        let mut now = self.own.ask().await;
        loop {
            let worse = self.own.worsenings(&self.before, &now);
            let blind = now.iter().any(QueryResult::is_blind);
            let enough = match (worse.is_empty(), self.background) {
                (true, _) if blind && self.empty < CONFIRMED => self.own.patience(),
                (true, false) => Duration::ZERO,
                (true, true) => self.pause,
                (false, _) => self.patience(),
            };
            if worse.is_empty() && was_worse {
                self.recovery = self.recovery.max(begin.elapsed());
                was_worse = false;
            }
            was_worse |= !worse.is_empty();
            let moving = since.elapsed() < enough && begin.elapsed() >= self.longest();
            if since.elapsed() >= enough || moving {
                self.confirmed += u32::from(!worse.is_empty() && !moving);
                self.empty += u32::from(blind);
                return Seen { now, worse, moving };
            }
            tokio::time::sleep(self.pause).await;
            let next = self.own.ask().await;
            let equal =
                next.len() == now.len() && next.iter().zip(&now).all(|(one, other)| one.gives_as_much_as(other));
            if !equal {
                since = Instant::now();
            }
            now = next;
        }
    }

    /// How long what is worse must stay so.
    fn patience(&self) -> Duration {
        let all = self.own.patience();
        match (self.confirmed < CONFIRMED, self.background || !self.recovery.is_zero()) {
            (true, _) => all,
            // Nothing is at work that could mend it.
            (false, false) => Duration::ZERO,
            (false, true) => (self.recovery * 3).max(self.pause * 2).min(all),
        }
    }

    /// Keeps what was given for the next look; an aggregation that failed has given nothing.
    fn remember(&mut self, now: Vec<QueryResult>) {
        for result in now {
            match self.before.iter_mut().find(|before| before.name == result.name) {
                Some(before) if result.error.is_none() => *before = result,
                Some(before) => before.error = result.error,
                None => self.before.push(result),
            }
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
