//! From what was read to findings, invariants and a verdict. Neither network nor clock.

use serde_json::{Value, json};

use super::groups::{Group, Groups};
use super::index::IndexCheck;
use super::orphans::OrphanFacts;
use super::scan::{Deviant, Facts};
use super::server::Counters;
use crate::audit::Profile;
use crate::audit::key::Difference;
use crate::audit::raw::shown;
use crate::report::{Finding, FindingKind};
use crate::target::Preflight;
use crate::verdict::{Invariant, InvariantResult, Verdict, Witness};

/// Everything an audit found.
#[derive(Debug, Clone, PartialEq)]
pub struct Audited {
    /// Documents of the audited collection.
    pub documents: u64,
    /// Defects by kind; kinds without any are left out.
    pub findings: Vec<Finding>,
    /// The invariants, judged by these findings.
    pub invariants: Vec<InvariantResult>,
    /// Index facts, lookup plan and notes.
    pub preflight: Preflight,
    /// The server's counters, where they could be read.
    pub counters: Counters,
    /// Why the whole audit is inconclusive, if it is.
    pub reasons: Vec<String>,
}

impl Audited {
    /// The worst of the invariants; inconclusive where nothing was there to look at.
    pub fn verdict(&self) -> Verdict {
        let reasons = (!self.reasons.is_empty()).then_some(Verdict::Inconclusive);
        Verdict::combine(self.invariants.iter().map(|result| result.verdict).chain(reasons))
    }

    /// How many defects of a kind there are.
    pub fn count(&self, kind: FindingKind) -> u64 {
        self.findings.iter().filter(|finding| finding.kind == kind).map(|finding| finding.count).sum()
    }

    /// An audit that had nothing to look at.
    pub(super) fn nothing(reason: String, preflight: Preflight) -> Self {
        Audited {
            documents: 0,
            findings: Vec::new(),
            invariants: Vec::new(),
            preflight,
            counters: Counters::default(),
            reasons: vec![reason],
        }
    }
}

/// All that was read.
pub(super) struct Read<'a> {
    pub(super) profile: &'a Profile,
    pub(super) examples: usize,
    pub(super) facts: &'a Facts,
    pub(super) groups: &'a Groups,
    pub(super) index: Option<&'a IndexCheck>,
    pub(super) orphans: &'a OrphanFacts,
}

/// Judges what was read.
pub(super) fn judge(read: &Read<'_>) -> (Vec<Finding>, Vec<InvariantResult>) {
    let keyed = read.profile.key.is_some();
    let derived = read.profile.key.as_ref().is_some_and(|key| key.participants.is_some());
    let judged = read.facts.judged;
    let mut kinds: Vec<(Invariant, u64, Vec<Finding>)> = Vec::new();
    if keyed {
        kinds.push((Invariant::ZeroDuplicates, judged, vec![duplicates(read)]));
    }
    if keyed && read.profile.key.as_ref().is_some_and(|key| key.required) {
        kinds.push((custom("key-present"), judged, vec![missing(read)]));
    }
    if read.facts.null.count > 0 {
        kinds.push((custom("one-without-key"), judged, vec![null(read)]));
    }
    if derived {
        kinds.push((custom("key-matches-participants"), judged, vec![wrong(read)]));
    }
    if let Some(check) = read.index {
        let field = read.profile.key.as_ref().map_or_else(String::new, |key| key.field.to_string());
        kinds.push((custom("unique-index"), 1, indexes(check, &field)));
    }
    if read.profile.array.as_ref().is_some_and(|array| !array.identity.is_empty()) && read.facts.elements > 0 {
        kinds.push((Invariant::NoDuplicateMessages, read.facts.identified, vec![elements(read)]));
    }
    if read.orphans.checked > 0 {
        kinds.push((custom("no-orphans"), read.orphans.checked, vec![orphans(read)]));
    }
    let mut findings = Vec::new();
    let mut invariants = Vec::new();
    for (name, checked, found) in kinds {
        let found: Vec<Finding> = found.into_iter().filter(|finding| finding.count > 0).collect();
        let violations = found.iter().map(|finding| finding.count).sum();
        let witnesses = found.iter().flat_map(witnesses).collect();
        invariants.push(InvariantResult::new(name, checked, violations, witnesses));
        findings.extend(found);
    }
    findings.extend(Some(large(read)).filter(|finding| finding.count > 0));
    (findings, invariants)
}

fn custom(name: &str) -> Invariant {
    Invariant::Custom(name.into())
}

fn witnesses(finding: &Finding) -> Vec<Witness> {
    let explanation = match finding.kind {
        FindingKind::DuplicateKey => "these documents stand for one key; only the first, the oldest, should be there",
        FindingKind::MissingKey => {
            "the document has no key: a unique index leaves it out, or lets in one such document only"
        }
        FindingKind::WrongKey => "the stored key is not the one that the document's participants give",
        FindingKind::MissingIndex => "no index of the key: nothing keeps a second document out",
        FindingKind::WeakIndex => "the index of the key does not keep it unique",
        FindingKind::DuplicateElement => "elements of the array have the identity of an earlier element",
        FindingKind::Orphan => "the document refers to one that is gone",
        FindingKind::LargeDocument => "the document is near the limit of 16 MB",
    };
    let key = |example: &Value| {
        let name = ["key", "index", "field", "document", "owner"].into_iter().find_map(|field| example.get(field));
        name.map_or_else(String::new, |name| name.as_str().map_or_else(|| name.to_string(), str::to_owned))
    };
    let witness = |example: &Value| Witness {
        key: key(example),
        operations: Vec::new(),
        documents: vec![example.clone()],
        explanation: explanation.to_owned(),
    };
    finding.examples.iter().take(InvariantResult::MAX_WITNESSES).map(witness).collect()
}

fn duplicates(read: &Read<'_>) -> Finding {
    let count = read.groups.repeated();
    let examples = read.groups.duplicates.iter().take(read.examples);
    let shown = |group: &Group| {
        let mut example =
            json!({ "key": group.key.text, "documents": group.ids.iter().map(shown).collect::<Vec<_>>() });
        if !group.key.blank.is_empty() {
            example["without"] = group.key.blank.clone().into();
        }
        example
    };
    let examples = examples.map(shown);
    Finding { kind: FindingKind::DuplicateKey, count, examples: examples.collect() }
}

fn deviant(deviant: &Deviant) -> Value {
    let mut shown_deviant = json!({ "document": shown(&deviant.id) });
    if let Some(stored) = &deviant.stored {
        shown_deviant["stored"] = shown(stored);
    }
    if let Some(derived) = &deviant.derived {
        shown_deviant["expected"] = derived.text.as_str().into();
    }
    if let Some(difference) = deviant.difference {
        shown_deviant["difference"] = difference.as_str().into();
    }
    shown_deviant
}

fn missing(read: &Read<'_>) -> Finding {
    let examples = read.facts.missing.kept.iter().take(read.examples).map(deviant).collect();
    Finding { kind: FindingKind::MissingKey, count: read.facts.missing.count, examples }
}

/// Documents whose key is null to a unique index, but for the one that it lets in.
fn null(read: &Read<'_>) -> Finding {
    let examples = read.facts.null.kept.iter().skip(1).take(read.examples).map(deviant).collect();
    Finding { kind: FindingKind::MissingKey, count: read.facts.null.count - 1, examples }
}

fn wrong(read: &Read<'_>) -> Finding {
    let collisions = read.groups.collisions.iter().map(|things| {
        json!({
            "key": things.first().map(|thing| thing.key.text.as_str()),
            "difference": Difference::Collision.as_str(),
            "participants": things.iter().map(|thing| &thing.key.parts).collect::<Vec<_>>(),
            "documents": things.iter().flat_map(|thing| thing.ids.iter().map(shown)).collect::<Vec<_>>(),
        })
    });
    let examples = collisions.chain(read.facts.wrong.kept.iter().map(deviant)).take(read.examples).collect();
    let count = read.facts.wrong.count + read.groups.collisions.len() as u64;
    Finding { kind: FindingKind::WrongKey, count, examples }
}

fn indexes(check: &IndexCheck, field: &str) -> Vec<Finding> {
    if check.protecting.is_some() {
        return Vec::new();
    }
    if check.weak.is_empty() {
        let listed: Vec<&str> = check.facts.iter().map(|index| index.name.as_str()).collect();
        return vec![Finding {
            kind: FindingKind::MissingIndex,
            count: 1,
            examples: vec![json!({ "field": field, "indexes": listed })],
        }];
    }
    let examples = check.weak.iter().map(|(index, problems)| json!({ "index": index, "problems": problems })).collect();
    vec![Finding { kind: FindingKind::WeakIndex, count: check.weak.len() as u64, examples }]
}

fn elements(read: &Read<'_>) -> Finding {
    let examples = read.facts.repeating.kept.iter().take(read.examples).map(|repeating| {
        json!({ "document": shown(&repeating.id), "elements": repeating.elements, "repeated": repeating.repeated })
    });
    Finding { kind: FindingKind::DuplicateElement, count: read.facts.repeated_elements, examples: examples.collect() }
}

fn orphans(read: &Read<'_>) -> Finding {
    let examples = read.orphans.orphans.kept.iter().take(read.examples).map(|orphans| {
        json!({ "collection": orphans.collection, "field": orphans.field, "owner": shown(&orphans.owner), "documents": orphans.documents })
    });
    Finding { kind: FindingKind::Orphan, count: read.orphans.orphans.count, examples: examples.collect() }
}

fn large(read: &Read<'_>) -> Finding {
    let examples = read.facts.large.kept.iter().take(read.examples);
    let examples = examples.map(|(id, bytes)| json!({ "document": shown(id), "bytes": bytes })).collect();
    Finding { kind: FindingKind::LargeDocument, count: read.facts.large.count, examples }
}
