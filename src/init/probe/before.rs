//! What another request must have made before: a request that finds nothing is tried once more after each one that makes
//! something, by the same value in both or by an identifier from the answer.

use super::super::finding::{Finding, Kind, Prior};
use super::super::fresh::{Fresh, Token};
use super::super::made::holds;
use super::super::values::{candidates, keys, pinned, with_values};
use super::{Probe, Shot, renewed};
use crate::import::Sample;

/// Statuses by which a request says that what it needs is not there; many a service stumbles over it.
const NOT_THERE: [u16; 7] = [400, 404, 409, 410, 412, 422, 500];
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
}

impl Probe<'_> {
    /// Tries the request after one that may make what it needs; it stays as it is if none does.
    pub(super) async fn after_another(&mut self, finding: &mut Finding) -> Result<(), String> {
        // Without a database nothing tells that it works.
        if self.state.is_empty() || !finding.statuses.first().is_some_and(|status| NOT_THERE.contains(status)) {
            return Ok(());
        }
        let mut tries = MOST_TRIES;
        for maker in self.makers.clone().into_iter().rev() {
            for prior in priors(&maker, finding) {
                if tries == 0 {
                    return Ok(());
                }
                tries -= 1;
                let mut trial = finding.clone();
                let others = maker.fresh.iter().filter(|fresh| !finding.fresh.contains(fresh));
                trial.fresh.extend(others.cloned());
                trial.before = Some(prior);
                let token = self.token();
                let Some(prepared) = self.prepared(&trial, &token).await? else { continue };
                let shot = self.shot(&prepared.request, Self::USER).await?;
                if shot.is_good() && !shot.delta.is_empty() {
                    self.confirm(&mut trial).await?;
                    // What comes first may be refused the second time.
                    if !matches!(trial.kind, Kind::Failed(_)) {
                        *finding = trial;
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The request with the values of this trial, once what must come first is done; none if that is refused.
    pub(super) async fn prepared(&mut self, finding: &Finding, token: &Token) -> Result<Option<Prepared>, String> {
        let several = finding.fresh.len() > 1;
        let values = finding.fresh.iter().map(|fresh| (fresh.concrete(token), fresh.template(several)));
        let mut values: Vec<(String, String)> = values.collect();
        let mut request = renewed(&finding.sample, &finding.fresh, token);
        if let Some(prior) = &finding.before {
            let first = self.shot(&renewed(&prior.sample, &finding.fresh, token), Self::USER).await?;
            if !first.is_good() {
                return Ok(None);
            }
            if let Some((literal, path)) = &prior.capture {
                let Some(id) = first.reply.captured(path) else { return Ok(None) };
                request = with_values(&request, &[(literal.clone(), id.clone())].into());
                values.push((id, Prior::TEMPLATE.to_owned()));
            }
        }
        Ok(Some(Prepared { request, values }))
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
        if finding.kind.makes() && finding.before.is_none() {
            self.makers.push(finding.clone());
        }
    }
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
        let free = keys(&finding.sample, &Default::default()).into_iter().filter(|one| !is_shared(one));
        let captured = free.take(MOST_IDENTIFIERS).map(|one| prior(Some((one.literal, path.clone()))));
        priors.extend(captured);
    }
    priors
}
