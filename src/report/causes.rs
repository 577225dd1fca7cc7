//! Violations by their cause: which belong together, where they come from, and what mends them. Main type: [`Group`].
//!
//! Two violated invariants have one cause if their proofs share a key: a second document under a key breaks four promises at
//! once. An error that reached a caller is a matter of its own, and so is a query of the user's.

use super::{LintFinding, Report};
use crate::explain;
use crate::verdict::{Invariant, InvariantResult, Verdict};

/// Violations of one cause.
#[derive(Debug, Clone)]
pub(super) struct Group<'a> {
    /// The invariant whose proof is shown.
    pub(super) main: &'a InvariantResult,
    /// What else the same cause breaks.
    pub(super) also: Vec<&'a InvariantResult>,
    /// Where it comes from; none where only the asker of a query can know.
    pub(super) cause: Option<Cause>,
}

/// Where violations come from.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    /// It was seen; otherwise it is what such a violation usually comes from.
    seen: bool,
    /// The cause in one sentence or two.
    pub(super) sentence: String,
    /// What to do about it.
    pub(super) fix: String,
}

impl Cause {
    fn seen(sentence: impl Into<String>, fix: impl Into<String>) -> Self {
        Cause { seen: true, sentence: sentence.into(), fix: fix.into() }
    }

    /// `Cause`, or `Usual cause` where it was not seen.
    pub(super) fn label(&self) -> &'static str {
        if self.seen { "Cause" } else { "Usual cause" }
    }
}

impl Group<'_> {
    /// `same-id (97), created-once (97)`.
    pub(super) fn also_breaks(&self) -> Option<String> {
        let name = |result: &&InvariantResult| format!("{} ({})", result.name, super::format::count(result.violations));
        (!self.also.is_empty()).then(|| self.also.iter().map(name).collect::<Vec<_>>().join(", "))
    }
}

/// The violations of a report, by cause, in the order of their first invariant.
pub(super) fn groups(report: &Report) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for result in report.invariants.iter().filter(|result| result.verdict == Verdict::Violated) {
        let same = |group: &&mut Group<'_>| {
            related(group.main, result) || group.also.iter().any(|other| related(other, result))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.also.push(result),
            None => groups.push(Group { main: result, also: Vec::new(), cause: cause(report, result) }),
        }
    }
    groups
}

fn related(one: &InvariantResult, other: &InvariantResult) -> bool {
    let apart = |result: &InvariantResult| matches!(result.name, Invariant::NoLeakedErrors | Invariant::Custom(_));
    let shares = |key: &str| !key.is_empty() && other.witnesses.iter().any(|witness| witness.key == key);
    !apart(one) && !apart(other) && one.witnesses.iter().any(|witness| shares(&witness.key))
}

fn cause(report: &Report, result: &InvariantResult) -> Option<Cause> {
    let usual = explain::invariant(&result.name);
    if report.serial_control.as_ref().is_some_and(|control| control.violated.contains(&result.name)) {
        let sentence = "A plain defect, or work that goes on after the answers, and no race between operations: one after another \
                        they violate it as well. Where it is stored later, `within` says how long that may take.";
        return Some(Cause::seen(sentence, usual.fix));
    }
    let told = |LintFinding { rule, operation, explanation }: &LintFinding| {
        Some(Cause::seen(format!("{operation}: {explanation} ({rule})"), explain::rule(rule)?.fix))
    };
    let fits =
        |finding: &&LintFinding| concerns(&finding.rule, &result.name) && may_be_the_smallest_ones(report, finding);
    if let Some(cause) = report.lint().filter(fits).find_map(told) {
        return Some(cause);
    }
    if let Some(cause) = missing_index(report).filter(|_| doubles(&result.name)) {
        return Some(cause);
    }
    let own = matches!(result.name, Invariant::Custom(_));
    (!own).then(|| Cause { seen: false, sentence: usual.cause.to_owned(), fix: usual.fix.to_owned() })
}

/// Whether a finding can be the cause of the smallest violation of an exploration, if there is one.
fn may_be_the_smallest_ones(report: &Report, finding: &LintFinding) -> bool {
    let explore = report.explore.as_ref();
    let possible = explore.and_then(|explore| explore.smallest.as_ref()?.lint.as_ref());
    report.preflight.lint.contains(finding) || possible.is_none_or(|possible| possible.contains(finding))
}

/// That no index refuses a second document, where the indexes are known.
fn missing_index(report: &Report) -> Option<Cause> {
    const FIX: &str = "Create a unique index on the key, and handle code 11000 by reading what won.";
    let (indexes, observed) = (&report.preflight.indexes, report.preflight.observed_key.as_ref());
    if let Some(key) = observed {
        let fix = |command: &String| format!("`{command}`; then handle code 11000 by reading what won.");
        return key.create.as_ref().map(|command| Cause::seen(key.says.clone(), fix(command)));
    }
    let unique = indexes.iter().any(|index| index.unique && index.name != "_id_");
    let sentence = "The collection has no unique index besides _id: nothing in the database refuses a second document.";
    (!indexes.is_empty() && !unique).then(|| Cause::seen(sentence, FIX))
}

/// Whether it is about a second document.
fn doubles(invariant: &Invariant) -> bool {
    matches!(
        invariant,
        Invariant::SingleDocument
            | Invariant::ZeroDuplicates
            | Invariant::SameId
            | Invariant::CreatedOnce
            | Invariant::CreateOrGetLinearizable
            | Invariant::OneThreadPerSet
    )
}

/// Whether a lint rule can be what breaks an invariant.
fn concerns(rule: &str, invariant: &Invariant) -> bool {
    match rule {
        "upsert-without-unique-index" | "insert-without-unique-index" => doubles(invariant) || is_own(invariant),
        "insert-not-handled" | "upsert-not-retried" => {
            matches!(invariant, Invariant::NoLeakedErrors | Invariant::SomebodyServed | Invariant::NoLostMessages)
        }
        "read-modify-write" => !doubles(invariant) && *invariant != Invariant::NoLeakedErrors,
        _ => *invariant != Invariant::NoLeakedErrors,
    }
}

fn is_own(invariant: &Invariant) -> bool {
    matches!(invariant, Invariant::Custom(_) | Invariant::AsIfSerial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::ObservedKey;
    use crate::report::sample;

    fn named(report: &Report) -> Vec<(String, Option<String>)> {
        groups(report).iter().map(|group| (group.main.name.to_string(), group.also_breaks())).collect()
    }

    #[test]
    fn what_one_key_proves_is_told_once() {
        let mut report = sample::violated();
        let also = "same-id (97), created-once (97)".to_owned();
        let leaked = ("no-leaked-errors".to_owned(), None);
        assert_eq!(named(&report), [("single-document".to_owned(), Some(also)), leaked.clone()]);
        // On another key it is another matter.
        report.invariants[3].witnesses.iter_mut().for_each(|witness| witness.key = "u1:u2".to_owned());
        let (one, other) = ("same-id (97)".to_owned(), ("created-once".to_owned(), None));
        assert_eq!(named(&report), [("single-document".to_owned(), Some(one)), other, leaked]);
    }

    #[test]
    fn a_cause_that_was_seen_comes_before_the_usual_one() {
        let first = |report: &Report| {
            let cause = groups(report).remove(0).cause.unwrap();
            (cause.label(), cause.sentence)
        };
        let mut report = sample::violated();
        let (label, sentence) = first(&report);
        assert!(label == "Cause" && sentence.contains("no unique index"), "{sentence}");
        // Of an observed collection it is known which index would have refused it, or that one is there.
        let says = |create: Option<&str>| ObservedKey {
            says: "No unique index is on k.".to_owned(),
            create: create.map(str::to_owned),
            ..ObservedKey::default()
        };
        report.preflight.observed_key = Some(says(Some("db.chats.createIndex(…)")));
        assert_eq!(first(&report), ("Cause", "No unique index is on k.".to_owned()));
        report.preflight.observed_key = Some(says(None));
        assert_eq!(first(&report).0, "Usual cause");
        report.preflight.lint = sample::explored().explore.unwrap().lint;
        let (label, sentence) = first(&report);
        assert!(label == "Cause" && sentence.ends_with("(check-then-act)"), "{sentence}");
        let serially = sample::partial();
        assert!(first(&serially).1.starts_with("A plain defect"));
        report.preflight.lint.clear();
        report.preflight.indexes.clear();
        assert_eq!(first(&report).0, "Usual cause");
        // A leaked error is not what a missing index leads to.
        let seen = |group: &Group<'_>| group.cause.as_ref().is_some_and(|cause| cause.label() == "Cause");
        assert!(
            !groups(&sample::violated())
                .iter()
                .any(|group| group.main.name == Invariant::NoLeakedErrors && seen(group))
        );
        // Of a query of one's own nobody else knows what it usually comes from.
        report.invariants[0].name = Invariant::Custom("one row".into());
        assert!(groups(&report)[0].cause.is_none());
    }

    #[test]
    fn a_finding_that_cannot_be_what_the_smallest_violation_comes_from_is_not_its_cause() {
        let mut report = sample::explored();
        report.serial_control = None;
        let finding = |rule: &str| LintFinding {
            rule: rule.to_owned(),
            operation: "add".to_owned(),
            explanation: "`find`, then `update`".to_owned(),
        };
        let (one, other) = (finding("check-then-act"), finding("read-modify-write"));
        report.invariants[0].name = Invariant::NoLostElements;
        let explore = report.explore.as_mut().unwrap();
        explore.lint = vec![one.clone(), other.clone()];
        let told = |report: &mut Report, lint: Option<Vec<LintFinding>>| {
            report.explore.as_mut().unwrap().smallest.as_mut().unwrap().lint = lint;
            cause(report, &report.invariants[0]).map(|cause| (cause.label(), cause.sentence)).unwrap()
        };
        assert!(told(&mut report, None).1.ends_with("(check-then-act)"));
        assert!(told(&mut report, Some(vec![other])).1.ends_with("(read-modify-write)"));
        assert_eq!(told(&mut report, Some(Vec::new())).0, "Usual cause");
        report.preflight.lint = vec![one];
        assert!(told(&mut report, Some(Vec::new())).1.ends_with("(check-then-act)"));
    }
}
