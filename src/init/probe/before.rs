//! What other requests must have made before: a request that finds nothing is tried once more after each one that makes
//! something, by the same value in both or by what the answer has; after two of these; and where others have gone on with it.

use std::collections::BTreeMap;

use super::super::finding::{Finding, Kind, Prior};
use super::super::fresh::{Fresh, Token};
use super::super::made::holds;
use super::super::values::{candidates, keys, pinned, with_values};
use super::{LED_ON, Probe, Shot, renewed};
use crate::import::Sample;

/// Statuses by which a request says that what it needs is not there; many a service stumbles over it.
const NOT_THERE: [u16; 9] = [400, 401, 403, 404, 409, 410, 412, 422, 500];
/// Statuses of who is nobody, and of what is not there.
const NOT_FOUND: [u16; 2] = [401, 404];
/// From here on the service has failed.
const SERVER_ERRORS: u16 = 500;
/// Most requests that one is tried after, in all ways.
const MOST_TRIES: usize = 24;
/// Letters of an identifier that a machine makes up, at least.
const SHORTEST_MADE_UP: usize = 10;
/// Most identifiers of a request that are taken from another one's answer, one by one.
const MOST_IDENTIFIERS: usize = 3;

/// A request whose first one was sent.
pub(super) struct Prepared {
    /// As it is sent now.
    pub(super) request: Sample,
    /// Values of this trial, with their templates.
    pub(super) values: Vec<(String, String)>,
    /// What takes the place of which literal of the requests.
    literals: BTreeMap<String, String>,
}

impl Probe<'_> {
    /// Tries the request after one that may make what it needs; it stays as it is if none does.
    pub(super) async fn after_another(&mut self, finding: &mut Finding) -> Result<(), String> {
        // A form that finds nothing leads its sender on as well.
        let may_want = |status: &&u16| NOT_THERE.contains(status) || LED_ON.contains(status);
        let Some(&alone) = finding.statuses.first().filter(may_want) else { return Ok(()) };
        // Without a database nothing tells that it works.
        if self.state.is_empty() {
            return Ok(());
        }
        let trials: Vec<Finding> = self.makers.iter().rev().flat_map(|maker| trials(maker, finding)).collect();
        let mut tries = MOST_TRIES;
        let (mut works, mut found) = (None, None);
        for trial in trials.iter().take(tries) {
            tries -= 1;
            let Some(shot) = self.after(trial, &[]).await? else { continue };
            let is_linked = trial.before.last().is_some_and(|prior| prior.capture.is_some());
            if shot.is_good() && !shot.delta.is_empty() {
                works = Some(trial);
                break;
            }
            if is_linked && found.is_none() && finds(alone, &shot) {
                found = Some((trial, shot));
            }
        }
        let linked = match (works, found) {
            // What comes first may be refused the second time.
            (Some(trial), _) => self.confirmed(trial).await?,
            (None, Some((trial, shot))) if shot.is_good() => self.confirmed(trial).await?,
            (None, Some((trial, shot))) => Some(not_yet(trial, shot.reply.status)),
            (None, None) => match self.after_two(finding, &mut tries).await? {
                Some(linked) => Some(linked),
                None => self.after_others(&trials, alone, tries).await?,
            },
        };
        if let Some(linked) = linked {
            if linked.kind.makes() {
                self.makers.push(linked.clone());
            }
            self.steps.push(linked.clone());
            *finding = linked;
        }
        Ok(())
    }

    /// Tries the request after two that make something, each of which it names: who gives, and who takes.
    async fn after_two(&mut self, finding: &Finding, tries: &mut usize) -> Result<Option<Finding>, String> {
        let named: Vec<String> = identifiers(finding).into_iter().take(MOST_IDENTIFIERS).collect();
        let trials: Vec<Finding> = two_of(&self.makers, finding, &named);
        for trial in trials {
            if *tries == 0 {
                break;
            }
            *tries -= 1;
            let Some(shot) = self.after(&trial, &[]).await? else { continue };
            if shot.is_good() && !shot.delta.is_empty() {
                return self.confirmed(&trial).await;
            }
        }
        Ok(None)
    }

    /// Tries the request where others have gone on with what was made, one of them and then all in turn: where it looks for
    /// what is in the state that it needs, an order that is paid, what is in another one is not there.
    async fn after_others(
        &mut self,
        trials: &[Finding],
        alone: u16,
        mut tries: usize,
    ) -> Result<Option<Finding>, String> {
        for trial in trials {
            let goes_on = |step: &&Finding| step.before == trial.before;
            let steps: Vec<Finding> = self.steps.iter().filter(goes_on).cloned().collect();
            let all = (2..=steps.len()).map(|count| &steps[..count]);
            for steps in steps.chunks(1).chain(all) {
                if tries == 0 {
                    return Ok(None);
                }
                tries -= 1;
                if self.after(trial, steps).await?.is_some_and(|shot| shot.is_good()) {
                    return Ok(Some(not_yet(trial, alone)));
                }
            }
        }
        Ok(None)
    }

    /// The request after the one that makes what it works on, and these others.
    async fn after(&mut self, trial: &Finding, steps: &[Finding]) -> Result<Option<Shot>, String> {
        let token = self.token();
        let Some(prepared) = self.prepared(trial, &token).await? else { return Ok(None) };
        for step in steps {
            self.shot(&with_values(&step.sample, &prepared.literals), Self::USER).await?;
        }
        Ok(Some(self.shot(&prepared.request, Self::USER).await?))
    }

    /// What a request is that works where this one comes first; nothing if that is refused the second time.
    async fn confirmed(&mut self, trial: &Finding) -> Result<Option<Finding>, String> {
        let mut trial = trial.clone();
        self.confirm(&mut trial).await?;
        Ok(Some(trial).filter(|trial| !matches!(trial.kind, Kind::Failed(_))))
    }

    /// The request with the values of this trial, once what must come first is done; none if that is refused.
    pub(super) async fn prepared(&mut self, finding: &Finding, token: &Token) -> Result<Option<Prepared>, String> {
        let several = finding.fresh.len() > 1;
        let values = finding.fresh.iter().map(|fresh| (fresh.concrete(token), fresh.template(several)));
        let mut values: Vec<(String, String)> = values.collect();
        let concrete = |fresh: &Fresh| (fresh.literal.clone(), fresh.concrete(token));
        let mut literals: BTreeMap<String, String> = finding.fresh.iter().map(concrete).collect();
        for prior in &finding.before {
            let first = self.shot(&with_values(&prior.sample, &literals), Self::USER).await?;
            if !first.is_good() {
                return Ok(None);
            }
            if let Some((literal, path)) = &prior.capture {
                let Some(id) = first.reply.captured(path) else { return Ok(None) };
                literals.insert(literal.clone(), id.clone());
                values.push((id, prior.template()));
            }
        }
        Ok(Some(Prepared { request: with_values(&finding.sample, &literals), values, literals }))
    }

    /// The value by which requests that create something each time have to do with each other: another request has it as
    /// well, or it is called like a key, and what is made has it.
    pub(super) async fn key(&mut self, sample: &Sample, first: &Shot) -> Result<Vec<Fresh>, String> {
        for one in keys(sample, &self.shared).into_iter().take(super::MOST_VALUES) {
            let token = self.token();
            let shot = self.shot(&renewed(sample, std::slice::from_ref(&one), &token), Self::USER).await?;
            if shot.is_like(first) && holds(&shot.delta, one.concrete(&token)) {
                return Ok(vec![one]);
            }
        }
        Ok(Vec::new())
    }

    pub(super) fn told_by_the_user(&self, sample: &Sample) -> Vec<Fresh> {
        self.pins.iter().filter_map(|pin| pinned(sample, pin)).collect()
    }

    /// Values that are known to be fresh: the user says so, or an earlier request was found to need it.
    pub(super) fn told(&self, sample: &Sample) -> Vec<Fresh> {
        let mut told = self.told_by_the_user(sample);
        let there: Vec<String> = candidates(sample).into_iter().map(|fresh| fresh.literal).collect();
        for known in &self.known {
            if there.contains(&known.literal) && !told.iter().any(|fresh| fresh.literal == known.literal) {
                told.push(known.clone());
            }
        }
        told
    }

    /// Keeps in mind what a request made, and by which values: two of them are never called the same.
    pub(super) fn remember(&mut self, finding: &Finding) {
        let mut finding = finding.clone();
        for fresh in &mut finding.fresh {
            match self.known.iter().find(|known| known.literal == fresh.literal) {
                Some(known) => fresh.name.clone_from(&known.name),
                None => {
                    let name = fresh.name.clone();
                    let alike = self.known.iter().filter(|known| known.name.starts_with(&name)).count();
                    if alike > 0 {
                        fresh.name = format!("{name}{}", alike + 1);
                    }
                    self.known.push(fresh.clone());
                }
            }
        }
        if finding.kind.makes() && finding.before.is_empty() {
            self.makers.push(finding);
        }
    }
}

/// Whether the answer is of a request that has found what it works on, where it had not found it.
fn finds(alone: u16, shot: &Shot) -> bool {
    let status = shot.reply.status;
    status != alone && !NOT_FOUND.contains(&status) && status < SERVER_ERRORS
}

fn not_yet(trial: &Finding, status: u16) -> Finding {
    Finding { kind: Kind::NotYet(status), statuses: vec![status], ..trial.clone() }
}

/// The request after one that makes something, in each way in which that may be what it needs.
fn trials(maker: &Finding, finding: &Finding) -> Vec<Finding> {
    let mut fresh = finding.fresh.clone();
    fresh.extend(maker.fresh.iter().filter(|fresh| !finding.fresh.contains(fresh)).cloned());
    let trial = |prior: Prior| {
        let mut before = maker.before.clone();
        before.push(Prior { number: before.len(), ..prior });
        Finding { before, fresh: fresh.clone(), ..finding.clone() }
    };
    priors(maker, finding).into_iter().map(trial).collect()
}

/// How the one request may be what the other needs.
fn priors(maker: &Finding, finding: &Finding) -> Vec<Prior> {
    let prior = |capture| Prior::new(maker.sample.clone(), capture);
    let is_shared = |fresh: &Fresh| maker.fresh.iter().any(|other| other.literal == fresh.literal);
    let mut priors = Vec::new();
    if finding.fresh.iter().any(is_shared) {
        priors.push(prior(None));
    }
    let is_captured = |literal: &String| maker.before.iter().any(|prior| prior.captures(literal));
    let is_free =
        |literal: &String| !maker.fresh.iter().any(|fresh| fresh.literal == *literal) && !is_captured(literal);
    // What is called the same in both is the same.
    for one in keys(&finding.sample, &Default::default()).into_iter().filter(|one| is_free(&one.literal)) {
        if let Some((_, path)) = maker.fields.iter().find(|(name, _)| is_called(name, &one.name)) {
            priors.push(prior(Some((one.literal, path.clone()))));
        }
    }
    if let Some(path) = maker.id.as_ref().or(maker.names.as_ref()) {
        let free = identifiers(finding).into_iter().filter(is_free).take(MOST_IDENTIFIERS);
        let captured: Vec<Prior> = free.map(|literal| prior(Some((literal, path.clone())))).collect();
        priors.extend(captured.into_iter().filter(|one| !priors.contains(one)).collect::<Vec<_>>());
    }
    priors
}

/// Values of a request that may be what another one has made: they are called like keys, stand in the path, or look like it.
fn identifiers(finding: &Finding) -> Vec<String> {
    let mut all: Vec<String> =
        keys(&finding.sample, &Default::default()).into_iter().map(|fresh| fresh.literal).collect();
    for fresh in candidates(&finding.sample) {
        if is_made_up(&fresh.literal) && !all.contains(&fresh.literal) {
            all.push(fresh.literal);
        }
    }
    all
}

/// Whether a value looks like an identifier that a machine made up: long, of letters, digits and signs, with digits in it.
fn is_made_up(text: &str) -> bool {
    let is_sign = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    text.len() >= SHORTEST_MADE_UP && text.chars().all(is_sign) && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// Whether two fields are called the same, in whatever letters: `refreshToken`, `refresh_token`.
fn is_called(name: &str, other: &str) -> bool {
    let letters = |name: &str| -> String {
        name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    // That a thing has an identifier says nothing of which thing it is.
    letters(name) == letters(other) && !matches!(letters(name).as_str(), "id" | "name")
}

/// The request after two of those that make something by themselves, each of which makes one of these values.
fn two_of(makers: &[Finding], finding: &Finding, named: &[String]) -> Vec<Finding> {
    let path = |maker: &Finding| maker.id.clone().or_else(|| maker.names.clone());
    let alone = makers.iter().rev().filter(|maker| maker.before.is_empty() && maker.fresh.is_empty());
    let alone: Vec<(&Finding, String)> = alone.filter_map(|maker| Some((maker, path(maker)?))).collect();
    let mut trials = Vec::new();
    for (at, first) in named.iter().enumerate() {
        for second in &named[at + 1..] {
            for (one, one_path) in &alone {
                for (other, other_path) in &alone {
                    let prior = |maker: &Finding, literal: &String, path: &String, number| Prior {
                        number,
                        ..Prior::new(maker.sample.clone(), Some((literal.clone(), path.clone())))
                    };
                    let before = vec![prior(one, first, one_path, 0), prior(other, second, other_path, 1)];
                    trials.push(Finding { before, ..finding.clone() });
                }
            }
        }
    }
    trials
}

#[cfg(test)]
#[path = "before_tests.rs"]
mod tests;
