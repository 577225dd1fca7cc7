//! What a request adds to a list of the document of its key.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::super::documents::{Delta, leaves, plain};
use super::super::elements::{self, Added};
use super::super::finding::Finding;
use super::super::made::{Made, made};
use super::super::values::{candidates, with_values};
use super::Probe;
use crate::import::Sample;

/// Requests that a written scenario sends together, and those of a key that were sent when the first element was found.
const MOST_TOGETHER: usize = 8;
const SENT_SO_FAR: usize = 3;
/// Values of a request that is repeated without effect which are tried as something that is added.
const MOST_VARIED: usize = 4;

impl Probe<'_> {
    /// What the request adds to a list of the key's document, if another value in its place is added just so.
    pub(super) async fn added(
        &mut self,
        finding: &mut Finding,
        request: &Sample,
        delta: &Delta,
        values: &[(String, String)],
    ) -> Result<(), String> {
        let fresh: Vec<&str> = values.iter().map(|(value, _)| value.as_str()).collect();
        for added in elements::candidates(delta, request, &fresh) {
            let trial = format!("{}{}", Added::FORM, 900_000 + self.token().number);
            let other = with_values(request, &[(added.literal.clone(), trial.clone())].into());
            let shot = self.shot(&other, Self::USER).await?;
            if !shot.is_good() || !elements::is_added(&shot.delta, &added.place, &trial) {
                continue;
            }
            let grown = shot.delta.grown.iter().map(|growth| (growth.collection.clone(), growth.document.clone()));
            let held = Delta { inserted: grown.collect(), ..Delta::default() };
            if let Some((_, made)) = made(&held, values, &request.segments) {
                let single = self.takes_all(&other, &added, &trial, &made).await?;
                (finding.made, finding.added) = (Some(made), Some(Added { single, ..added }));
                break;
            }
        }
        Ok(())
    }

    /// What the request adds to a list of the key's document, where it is told apart from what is there: a set.
    pub(super) async fn varied(
        &mut self,
        finding: &mut Finding,
        request: &Sample,
        values: &[(String, String)],
    ) -> Result<(), String> {
        let fresh: Vec<&str> = values.iter().map(|(value, _)| value.as_str()).collect();
        let others = candidates(request).into_iter().filter(|one| !fresh.contains(&one.literal.as_str()));
        for one in others.take(MOST_VARIED) {
            let trial = format!("{}{}", Added::FORM, 900_000 + self.token().number);
            let other = with_values(request, &[(one.literal.clone(), trial.clone())].into());
            let shot = self.shot(&other, Self::USER).await?;
            let added =
                elements::candidates(&shot.delta, &other, &fresh).into_iter().find(|added| added.literal == trial);
            if let Some(added) = added.filter(|_| shot.is_good()) {
                finding.varied = Some(Added { literal: one.literal, single: false, ..added });
                break;
            }
        }
        Ok(())
    }

    /// Whether as many requests as will be sent together leave one document of their key, when they come one after another.
    async fn takes_all(&mut self, request: &Sample, added: &Added, sent: &str, made: &Made) -> Result<bool, String> {
        let mut last = None;
        for _ in SENT_SO_FAR..MOST_TOGETHER {
            let trial = format!("{}{}", Added::FORM, 900_000 + self.token().number);
            let other = with_values(request, &[(sent.to_owned(), trial.clone())].into());
            let shot = self.shot(&other, Self::USER).await?;
            if !shot.is_good() || !elements::is_added(&shot.delta, &added.place, &trial) {
                return Ok(false);
            }
            last = shot.delta.grown.into_iter().next();
        }
        let Some(growth) = last else { return Ok(false) };
        let key = |document: &Json| {
            let all = leaves(document).into_iter();
            all.filter(|(path, _)| path.join(".") == made.field).find_map(|(_, leaf)| plain(leaf))
        };
        let own = key(&growth.document);
        let documents = self.state.get(&growth.collection).into_iter().flat_map(BTreeMap::values);
        Ok(own.is_some() && documents.filter(|document| key(document) == own).count() == 1)
    }
}
