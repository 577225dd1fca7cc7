//! What was learned of places whose values differ between repetitions of one order: [`Masks`].

use std::collections::{BTreeMap, BTreeSet};

use super::place::{Place, Source};

/// How the values of a place are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    /// Texts that never recur: made anew. Those that recur are compared as they are.
    Made {
        /// Texts that were seen in several executions.
        recurring: BTreeSet<String>,
    },
    /// Whole numbers that only rise, or only fall, from execution to execution: made anew. Two that are equal stay equal.
    Sequence {
        /// Places of one family show the same numbers.
        family: usize,
    },
    /// A list that comes in any order.
    Unordered,
    /// Not compared.
    Masked,
}

/// Rules by place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Masks {
    pub(super) rules: BTreeMap<Place, Rule>,
    /// Maps of which some names are made anew, with the names that are not.
    pub(super) names: BTreeMap<Place, BTreeSet<String>>,
}

impl Masks {
    /// Whether the same places are compared in the same way.
    pub(super) fn is_like(&self, other: &Masks) -> bool {
        let kinds = |masks: &Masks| -> Vec<(Place, std::mem::Discriminant<Rule>)> {
            masks.rules.iter().map(|(place, rule)| (place.clone(), std::mem::discriminant(rule))).collect()
        };
        kinds(self) == kinds(other) && self.names.keys().eq(other.names.keys())
    }

    /// Collections of which the documents' `_id` is not compared.
    pub(super) fn identities_not_compared(&self) -> Vec<&str> {
        let masked = self.rules.iter().filter(|(place, rule)| **rule == Rule::Masked && place.path == ["_id"]);
        let of_documents = masked.filter_map(|(place, _)| match &place.source {
            Source::Document(name) => Some(name.as_str()),
            Source::Answer(_) | Source::Probe(_) => None,
        });
        of_documents.collect()
    }

    /// Places that are not compared, for people: what stands below another one that is not compared is left out.
    pub(super) fn not_compared(&self) -> BTreeSet<String> {
        let is_masked = |rule: &Rule| *rule == Rule::Masked;
        self.rules.iter().filter(|(_, rule)| is_masked(rule)).map(|(place, _)| place.to_string()).collect()
    }
}
