//! What another request must have made before: a request that finds nothing is tried once more after each one that makes
//! something, by the same value in both or by an identifier from the answer.

use std::collections::BTreeMap;

use super::super::finding::{Finding, Kind, Prior};
use super::super::fresh::{Fresh, Token};
use super::super::made::holds;
use super::super::values::{candidates, keys, pinned, with_values};
use super::{Probe, Shot, renewed};
use crate::import::Sample;

/// Statuses by which a request says that what it needs is not there; many a service stumbles over it.
const NOT_THERE: [u16; 7] = [400, 404, 409, 410, 412, 422, 500];
/// Statuses of who is nobody, and of what is not there.
const NOT_FOUND: [u16; 2] = [401, 404];
/// From here on the service has failed.
const SERVER_ERRORS: u16 = 500;
/// Most requests that one is tried after, in all ways.
const MOST_TRIES: usize = 24;
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
        let Some(&alone) = finding.statuses.first().filter(|status| NOT_THERE.contains(status)) else { return Ok(()) };
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
            (None, None) => self.after_others(&trials, alone, tries).await?,
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

    /// Keeps in mind what a request made, and by which values.
    pub(super) fn remember(&mut self, finding: &Finding) {
        let new: Vec<Fresh> = finding.fresh.iter().filter(|fresh| !self.known.contains(fresh)).cloned().collect();
        self.known.extend(new);
        if finding.kind.makes() && finding.before.is_empty() {
            self.makers.push(finding.clone());
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
    if let Some(path) = maker.id.as_ref().or(maker.names.as_ref()) {
        let is_captured = |fresh: &Fresh| maker.before.iter().any(|prior| prior.captures(&fresh.literal));
        let all = keys(&finding.sample, &Default::default()).into_iter();
        let free = all.filter(|one| !is_shared(one) && !is_captured(one));
        let captured = free.take(MOST_IDENTIFIERS).map(|one| prior(Some((one.literal, path.clone()))));
        priors.extend(captured);
    }
    priors
}
