//! Created once: one operation per key creates the document, and it is the one that the document names.
//!
//! - Property: at most one operation per key says that it created the document; the stamps of the creating operation, in
//!   answers and in final documents, are all of one operation, which is that one, and which can have created:
//!   not one that found the document, that failed, that only reads, or that was invoked after somebody had been answered
//!   with the document.
//! - Assumptions: the stamp is written in the same command that creates the document, and on insert only.
//! - Soundness: each claim rests on two statements of the system under test that contradict each other.
//! - Completeness: where the interface tells no created flag, stamps alone are judged; where there is neither, the key is
//!   not counted as checked.
//! - Cost: one pass over the operations and documents.
//!
//! Checked: keys with a created flag or a stamp.

use rustc_hash::FxHashSet;

use crate::history::{Action, Id, Observed, OpId, Operation};
use crate::verdict::{Invariant, InvariantResult};

use super::facts::{Fact, answered_at, returned};
use super::findings::{Findings, ms, short};
use super::{Budget, Checker, Evidence, KeyEvidence, elsewhere, final_state};

/// Judges [`Invariant::CreatedOnce`].
#[derive(Debug, Clone, Copy, Default)]
pub struct CreatedOnce;

impl Checker for CreatedOnce {
    fn invariant(&self) -> Invariant {
        Invariant::CreatedOnce
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        for key in evidence.keys().filter(|key| key.operations().len() > 0) {
            if !budget.take(key.operations().len() as u64) {
                return findings.exhausted();
            }
            let claims = Claims::of(&key);
            if claims.told {
                findings.checked += 1;
                judge(evidence, &key, &claims, &mut findings);
            }
        }
        findings
    }

    fn conclude(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult {
        let result = findings.into_result();
        if result.checked == 0 && result.violations == 0 {
            return InvariantResult::inconclusive(self.invariant(), "no created flag and no creator's stamp was told");
        }
        final_state::weaken(evidence, result)
    }
}

/// Who created the key's document, in the words of answers and documents.
#[derive(Default)]
struct Claims<'a> {
    told: bool,
    creator: Option<&'a Operation>,
    second_creator: Option<&'a Operation>,
    stamp: Option<Stamp<'a>>,
    /// The first stamp of another operation than `stamp`.
    other_stamp: Option<Stamp<'a>>,
}

/// A creator's stamp and where it was read.
#[derive(Clone, Copy)]
struct Stamp<'a> {
    by: OpId,
    source: StampSource<'a>,
}

#[derive(Clone, Copy)]
enum StampSource<'a> {
    Answer(&'a Operation),
    Document(&'a Observed),
}

impl<'a> Claims<'a> {
    fn of(key: &KeyEvidence<'a>) -> Self {
        let mut claims = Claims::default();
        for document in key.documents() {
            if let Some(by) = document.created_by {
                claims.stamped(Stamp { by, source: StampSource::Document(document) });
            }
        }
        for operation in key.operations() {
            let Some(answer) = returned(operation) else { continue };
            claims.told |= answer.created.is_some();
            if answer.created == Some(true) {
                claims.created(operation);
            }
            if let Some(by) = answer.created_by {
                claims.stamped(Stamp { by, source: StampSource::Answer(operation) });
            }
        }
        claims
    }

    /// Keeps the two creators that answered first.
    fn created(&mut self, operation: &'a Operation) {
        let before = |other: Option<&Operation>| other.is_none_or(|other| answered_at(operation) < answered_at(other));
        if before(self.creator) {
            self.second_creator = self.creator.replace(operation);
        } else if before(self.second_creator) {
            self.second_creator = Some(operation);
        }
    }

    fn stamped(&mut self, stamp: Stamp<'a>) {
        self.told = true;
        match self.stamp {
            None => self.stamp = Some(stamp),
            Some(first) if first.by != stamp.by => {
                self.other_stamp.get_or_insert(stamp);
            }
            Some(_) => {}
        }
    }
}

fn judge(evidence: &Evidence<'_>, key: &KeyEvidence<'_>, claims: &Claims<'_>, findings: &mut Findings) {
    let documents: Vec<&Observed> = key.documents().collect();
    if let (Some(one), Some(other)) = (claims.creator, claims.second_creator) {
        if !elsewhere::may_be_after_another(evidence, key, &[one, other], findings) {
            findings.add(key.key, &[one, other], &documents, || two_creators(one, other));
        }
        return;
    }
    let Some(stamp) = claims.stamp else { return };
    if let Some(other) = claims.other_stamp {
        let mut operations: Vec<&Operation> = Vec::new();
        operations.extend([stamp, other].iter().filter_map(|stamp| stamp.witness(evidence)));
        findings.add(key.key, &operations, &documents, || {
            format!(
                "{} and {}; a correct service writes the creator's stamp once, on insert",
                stamp.describe(),
                other.describe()
            )
        });
        return;
    }
    let stamped = evidence.operation(stamp.by).filter(|operation| *operation.key == *key.key);
    if let Some(creator) = claims.creator.filter(|creator| creator.id != stamp.by) {
        let mut operations = vec![creator];
        operations.extend(stamped);
        findings.add(key.key, &operations, &documents, || {
            format!(
                "{} was told at {} that it had created the document, but {}",
                creator.id,
                ms(answered_at(creator)),
                stamp.describe()
            )
        });
    } else if let Some((operation, why)) = stamped.and_then(|operation| Some((operation, innocent(operation)?))) {
        findings.add(key.key, &[operation], &documents, || {
            format!("{}, but {} {why} (at {})", stamp.describe(), operation.id, ms(answered_at(operation)))
        });
    } else if let Some((operation, early)) =
        stamped.and_then(|operation| Some((operation, seen_before(key, operation)?)))
    {
        findings.add(key.key, &[early, operation], &documents, || {
            format!(
                "{}, but {} was invoked at {}, when {} had already been answered with the document (at {}); nothing is \
                 seen before it is created",
                stamp.describe(),
                operation.id,
                ms(operation.invoked),
                early.id,
                ms(answered_at(early))
            )
        });
    }
}

/// The first answer with the document that carries this operation's stamp, if it came before the operation was invoked.
fn seen_before<'a>(key: &KeyEvidence<'a>, stamped: &Operation) -> Option<&'a Operation> {
    let early =
        key.operations().filter(|operation| operation.id != stamped.id && operation.returned() < stamped.invoked);
    let mut early = early.filter_map(|operation| Some((operation, Fact::of(operation).answered()?))).peekable();
    early.peek()?;
    // A key may wrongly have several documents: what was seen of another one says nothing.
    let of_documents = key.documents().filter(|document| document.created_by == Some(stamped.id));
    let of_answers = key.operations().filter_map(returned).filter(|answer| answer.created_by == Some(stamped.id));
    let carriers: FxHashSet<Option<&Id>> =
        of_documents.map(|document| Some(&document.id)).chain(of_answers.map(|answer| answer.id.as_ref())).collect();
    early
        .filter(|(_, seen)| seen.is_none() || carriers.contains(&None) || carriers.contains(seen))
        .min_by_key(|(operation, _)| operation.returned())
        .map(|(operation, _)| operation)
}

/// Why the operation cannot have created the document, if so. A duplicate-key error is no proof: an operation that was
/// sent twice may meet its own document.
fn innocent(operation: &Operation) -> Option<&'static str> {
    match Fact::of(operation) {
        Fact::Created(_) | Fact::CreatedOrExisted(_) | Fact::DuplicateKey | Fact::MayHaveCreated => None,
        _ if operation.action == Action::Get => Some("is a get, which creates nothing"),
        Fact::Existed(_) => Some("was told that the document had existed before"),
        Fact::Absent | Fact::Nothing => Some("ended as failed, which has no effect"),
    }
}

fn two_creators(one: &Operation, other: &Operation) -> String {
    let name = |operation: &Operation| match Fact::of(operation) {
        Fact::Created(Some(id)) => format!("document {}", short(id)),
        _ => "the document".to_owned(),
    };
    let relation = if other.invoked > answered_at(one) { "after" } else { "while running at the same time as" };
    format!(
        "{} was told at {} that it had created {}, {relation} {}, which had created {} (told at {}); a correct service \
         creates a key's document once",
        other.id,
        ms(answered_at(other)),
        name(other),
        one.id,
        name(one),
        ms(answered_at(one))
    )
}

impl<'a> Stamp<'a> {
    fn describe(self) -> String {
        match self.source {
            StampSource::Answer(operation) => {
                format!(
                    "the answer to {} at {} carries the stamp of {}",
                    operation.id,
                    ms(answered_at(operation)),
                    self.by
                )
            }
            StampSource::Document(document) => {
                format!("document {} carries the stamp of {} in the end", short(&document.id), self.by)
            }
        }
    }

    /// The operation to show for it: the one that carried it, or the one that it names.
    fn witness(self, evidence: &Evidence<'a>) -> Option<&'a Operation> {
        match self.source {
            StampSource::Answer(operation) => Some(operation),
            StampSource::Document(_) => evidence.operation(self.by),
        }
    }
}
