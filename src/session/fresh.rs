//! `[load] fresh`: before each round of a burst the service is started again on a database that does not exist yet. Main type:
//! [`FreshRounds`].
//!
//! What a round left is read before that: while its service runs, until it is at rest, and once more when that is gone. So each round
//! is judged by its own database, and all of them in one report.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

use super::SessionError;
use super::error::in_one_line;
use super::set_up::{own_database, prepared};
use crate::driver::BeforeRound;
use crate::scenario::{Expected, Fresh, HttpSpec, InvariantSpec, Scenario, the_number};
use crate::scope::Rest;
use crate::target::http::{HttpRun, HttpTarget};
use crate::target::mongo::{Queries, QueryResult, drop_database};
use crate::target::{Awaited, Guard, MongoUri, Renewed, Service, Target, TargetError};

/// Refuses what fresh rounds cannot be had with.
pub(super) fn check(scenario: &Scenario, is_shard: bool) -> Result<(), SessionError> {
    if scenario.fresh.is_some() && is_shard {
        let why = anyhow::anyhow!("`fresh` starts one service again for each round, which no shard has for itself");
        return Err(SessionError::usage(why).hint("leave `--shard` out, or `fresh`"));
    }
    Ok(())
}

/// A service that is started again and again, each time on a database that does not exist yet.
pub(super) struct Renewable {
    pub(super) fresh: Fresh,
    pub(super) clients: u32,
    /// The run's own server.
    pub(super) uri: MongoUri,
    pub(super) guard: Guard,
    pub(super) http: HttpSpec,
    pub(super) run: HttpRun,
    /// Not kept alive: it is stopped before the final state is read.
    pub(super) service: Weak<Service>,
    pub(super) target: Arc<Renewed>,
}

impl Renewable {
    /// A target of the service when that will be on this database: it knows nothing of those before.
    pub(super) fn next_target(&self, database: &str) -> Result<Arc<HttpTarget>, TargetError> {
        let run = HttpRun { mongo: Some((self.uri.clone(), database.to_owned())), ..self.run.clone() };
        HttpTarget::new(self.http.clone(), run, &self.guard).map(Arc::new)
    }
}

/// What it takes to begin a round on a new database.
pub(crate) struct FreshRounds {
    pub(super) on: Renewable,
    /// Whether databases go by themselves.
    pub(super) is_embedded: bool,
    pub(super) invariants: Vec<InvariantSpec>,
    pub(super) rounds: Mutex<Rounds>,
}

/// The rounds so far.
#[derive(Default)]
pub(super) struct Rounds {
    number: u32,
    /// The round whose database was asked last.
    asked: Option<u32>,
    /// What the user's own invariants found: of each the first result that is not as expected, or else the last.
    results: Vec<QueryResult>,
    /// Those that were as expected in some round.
    met: BTreeSet<String>,
}

impl FreshRounds {
    /// For the driver.
    pub(super) fn before_round(self: &Arc<Self>) -> BeforeRound {
        let rounds = Arc::clone(self);
        Arc::new(move || {
            let rounds = Arc::clone(&rounds);
            Box::pin(async move {
                let next = rounds.next().await;
                next.map_err(|error| format!("a round could not begin on a new database: {}", in_one_line(error)))
            })
        })
    }

    /// Reads what the last round left, and begins the next.
    async fn next(&self) -> Result<(), TargetError> {
        let Renewable { fresh, clients, uri, guard, run, service, target, .. } = &self.on;
        let Some(service) = service.upgrade() else { return Ok(()) };
        let mut rounds = self.rounds.lock().await;
        let last = target.current();
        let observe = &run.observe;
        let mut observation = None;
        if observe.mongo.is_some() || observe.http.is_some() {
            // Whatever it is, it has not changed for a while.
            observation = Rest::within(observe.within()).reached(|| last.observe(), |_| true).await?.state;
        }
        if rounds.number > 0 {
            self.ask(&mut rounds).await?;
        }
        service.kill().await?;
        if observe.mongo.is_some() {
            observation = last.observe().await?;
        }
        let number = rounds.number + 1;
        let database = self.database(number);
        let awaited = match fresh {
            Fresh::Database => Awaited::InTurn,
            Fresh::Service => Awaited::Listening,
        };
        let next = self.on.next_target(&database)?;
        // Before the service is another one: who ends the load from here on must not look there for what the last round left.
        target.replace(Arc::clone(&next) as Arc<dyn Target>, observation);
        service.start_on(&database, awaited).await?;
        if *fresh == Fresh::Database || !run.setup.is_empty() {
            prepared(&*next, *clients).await?;
        }
        rounds.number = number;
        // The first is the run's own, which is removed in the end.
        if !self.is_embedded && number > 1 {
            drop_database(uri, guard, &self.database(number - 1)).await?;
        }
        Ok(())
    }

    /// Asks for the user's own invariants where the last round was, and removes what nobody needs any more.
    pub(super) async fn ask_last(&self) -> Result<Vec<QueryResult>, TargetError> {
        let mut rounds = self.rounds.lock().await;
        if rounds.asked != Some(rounds.number) {
            self.ask(&mut rounds).await?;
        }
        let told = |result: &QueryResult| match self.invariants.iter().find(|spec| spec.name == result.name) {
            Some(spec) if !rounds.met.contains(&spec.name) => unless_too_little(spec, result.clone()),
            _ => result.clone(),
        };
        Ok(rounds.results.iter().map(told).collect())
    }

    /// What readers are told of the rounds.
    pub(super) async fn note(&self) -> String {
        let number = self.rounds.lock().await.number;
        let how = match self.on.fresh {
            Fresh::Database => "when all of it was ready",
            Fresh::Service => "as soon as all of its instances listened",
        };
        format!(
            "each of {number} rounds was on a database that had not been there before: the service was started again on it, and the \
             round began {how}"
        )
    }

    /// Removes the database of the last round, and those around it: an interruption may have come before the one before it was
    /// removed, or when the service had been started on the next.
    pub(super) async fn tear_down(&self) -> Result<(), TargetError> {
        if self.is_embedded {
            return Ok(());
        }
        let number = self.rounds.lock().await.number;
        // That of round 0 is the run's own, and removed as such.
        for number in number.saturating_sub(1).max(1)..=number.saturating_add(1) {
            drop_database(&self.on.uri, &self.on.guard, &self.database(number)).await?;
        }
        Ok(())
    }

    async fn ask(&self, rounds: &mut Rounds) -> Result<(), TargetError> {
        if self.invariants.is_empty() {
            return Ok(());
        }
        let database = self.database(rounds.number);
        let Renewable { uri, guard, run, target, .. } = &self.on;
        let queries = Queries::open(uri, guard, &database, &run.run_id, target.captured()).await?;
        let found = queries.run_until_at_rest(&self.invariants).await;
        rounds.met.extend(found.iter().filter(|result| is_met(&self.invariants, result)).map(|met| met.name.clone()));
        rounds.results = worst(&self.invariants, std::mem::take(&mut rounds.results), found);
        rounds.asked = Some(rounds.number);
        Ok(())
    }

    /// The database of the round with this number; of 0, that of what comes before the rounds.
    fn database(&self, number: u32) -> String {
        match number {
            0 => own_database(&self.on.run.run_id, ""),
            number => own_database(&self.on.run.run_id, &format!("_{number}")),
        }
    }
}

/// Whether a result is as expected.
fn is_met(specs: &[InvariantSpec], result: &QueryResult) -> bool {
    let spec = specs.iter().find(|spec| spec.name == result.name);
    !result.is_blind() && spec.is_some_and(|spec| spec.expect.is_met(result.documents, result.examples.first()))
}

/// A result, unless there was too little in every round: such a bound is meant for all rounds together, which have no database in
/// common.
fn unless_too_little(spec: &InvariantSpec, result: QueryResult) -> QueryResult {
    let Expected::Number { min, .. } = spec.expect else { return result };
    match the_number(result.documents, result.examples.first()) {
        Ok(number) if number < min && result.error.is_none() => {
            let why = format!(
                "it gave {number} in a round, and less than {min} in each: where every round has a database of its own (`fresh`), that is \
                 no bound for all of them together"
            );
            QueryResult { error: Some(why), ..result }
        }
        _ => result,
    }
}

/// Of each invariant the result that says most: one that is not as expected, or could not be had, before one that is.
fn worst(specs: &[InvariantSpec], past: Vec<QueryResult>, last: Vec<QueryResult>) -> Vec<QueryResult> {
    // Where nothing was looked at says less than what was found to be wrong.
    let rank = |result: &QueryResult| match (result.is_blind(), is_met(specs, result)) {
        (_, true) => 0,
        (true, false) => 1,
        (false, false) => 2,
    };
    let mut past = past.into_iter();
    let worse = |(past, last): (Option<QueryResult>, QueryResult)| {
        let looked_at = |result: &QueryResult| result.looked_at.as_ref().map_or(0, |looked_at| looked_at.documents);
        let both = past.as_ref().map_or(0, looked_at) + looked_at(&last);
        let mut worse = past.filter(|past| rank(past) >= rank(&last)).unwrap_or(last);
        if let Some(looked_at) = &mut worse.looked_at {
            looked_at.documents = both;
        }
        worse
    };
    last.into_iter().map(|last| worse((past.next(), last))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scenario::{Scope, SecretText, Template};
    use crate::target::mongo::LookedAt;

    fn result(documents: u64, looked_at: u64, missing: &[&str]) -> QueryResult {
        let missing = missing.iter().map(|what| (*what).to_owned()).collect();
        QueryResult {
            name: "n".to_owned(),
            documents,
            examples: Vec::new(),
            looked_at: Some(LookedAt { documents: looked_at, missing }),
            moving: false,
            error: None,
        }
    }

    fn spec(expect: Expected) -> InvariantSpec {
        let template = || Template::compile(SecretText::plain("x"), Scope::Run).unwrap();
        InvariantSpec {
            name: "n".to_owned(),
            database: None,
            collection: template(),
            pipeline: template(),
            expect,
            within: Duration::ZERO,
        }
    }

    #[test]
    fn a_bound_that_no_round_reaches_alone_accuses_nobody_and_one_that_is_passed_does() {
        let two = spec(Expected::Number { min: 2.0, max: 3.0 });
        assert!(unless_too_little(&two, result(0, 1, &[])).is_blind());
        assert!(!unless_too_little(&two, result(4, 4, &[])).is_blind());
        assert!(!unless_too_little(&spec(Expected::Empty), result(4, 4, &[])).is_blind());
    }

    #[test]
    fn one_round_in_which_an_invariant_is_not_met_is_enough_and_all_are_counted() {
        let spec = spec(Expected::Empty);
        let after = |rounds: &[QueryResult]| {
            let add = |past, last: &QueryResult| worst(std::slice::from_ref(&spec), past, vec![last.clone()]);
            let last = rounds.iter().fold(Vec::new(), add).remove(0);
            (last.documents, last.looked_at.unwrap())
        };
        let (met, unmet, blind) = (result(0, 3, &[]), result(2, 3, &[]), result(0, 0, &["no collection"]));
        assert_eq!(
            after(&[met.clone(), unmet.clone(), met.clone()]),
            (2, LookedAt { documents: 9, missing: Vec::new() })
        );
        assert_eq!(after(&[met.clone(), met.clone()]).0, 0);
        assert!(!after(&[met, blind.clone()]).1.missing.is_empty(), "a round in which nothing was looked at is told");
        assert_eq!(after(&[blind, unmet]).0, 2);
    }
}
