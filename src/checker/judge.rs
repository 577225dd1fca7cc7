//! Judges a history: runs the checker of each invariant and guards the rest against its failure.
//!
//! [`judge`] is the one way to a verdict, for a run that has just ended and for a stored one alike.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::history::{History, Observation, Phase};
use crate::verdict::{Invariant, InvariantResult, Verdict};

use super::{
    AdminsOnly, AppendOrder, Budget, Checker, CreateOrGetLinearizable, CreatedOnce, DerivedFieldsExact, ElementRule,
    Evidence, Findings, InsertFieldsIntact, KeyNumbers, MembersExact, MergeOnce, NoDuplicateMessages, NoFalseDedupe,
    NoLeakedErrors, NoLostMessages, NoPhantomMessages, OfElements, OneThreadPerSet, PairAdjacent, PayloadIntact,
    SameId, SingleDocument, SomebodyServed, ZeroDuplicates,
};

/// Judges the invariants on one phase of a history; one result for each, in their order.
///
/// Checkers run side by side and each has its own budget, so that the results depend on the evidence alone. A checker
/// that panics or runs out of budget is inconclusive, with the reason, and stops no other. In a history that was cut
/// short nothing holds.
pub fn judge(
    history: &History,
    observation: Option<&Observation>,
    phase: Phase,
    invariants: &[Invariant],
) -> Vec<InvariantResult> {
    let evidence = Evidence::of_phase(history, observation, phase);
    invariants
        .par_iter()
        .map(|invariant| match checker_of(invariant).or_else(|| own_checker(invariant, &evidence)) {
            Some(checker) => guarded(checker.as_ref(), &evidence, Budget::default()),
            None => unread(invariant),
        })
        .collect()
}

/// What a checker found on some keys of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Looked {
    /// It ran to its end, or to that of its budget.
    Found(Findings),
    /// It panicked, with this message.
    Panicked(String),
    /// What it asks for was not read.
    Unread,
}

impl Looked {
    /// Joins what was found on other keys of the same run.
    pub fn join(&mut self, other: Looked) {
        match (self, other) {
            (Looked::Found(findings), Looked::Found(others)) => findings.join(others),
            (Looked::Found(_) | Looked::Unread, Looked::Unread) | (Looked::Panicked(_), _) => {}
            (this, other) => *this = other,
        }
    }

    /// Keys of which witnesses are kept.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        match self {
            Looked::Found(findings) => Some(findings.keys()),
            Looked::Panicked(_) | Looked::Unread => None,
        }
        .into_iter()
        .flatten()
    }
}

/// Looks at the evidence on some keys of a run for each invariant; [`conclude`] says what follows from that and from what was
/// found on all others.
pub fn look(evidence: &Evidence<'_>, invariants: &[Invariant]) -> Vec<Looked> {
    let looked = |invariant| {
        let Some(checker) = checker_of(invariant).or_else(|| own_checker(invariant, evidence)) else {
            return Looked::Unread;
        };
        match caught(|| checker.look(evidence, &mut Budget::default())) {
            Ok(findings) => Looked::Found(findings.placed(evidence)),
            Err(text) => Looked::Panicked(text),
        }
    };
    invariants.par_iter().map(looked).collect()
}

/// What follows from what was found on all keys, invariant by invariant. `evidence` needs no operations and no documents.
pub fn conclude(
    evidence: &Evidence<'_>,
    invariants: &[Invariant],
    looked: impl IntoIterator<Item = Looked>,
) -> Vec<InvariantResult> {
    let concluded = |(invariant, looked): (&Invariant, Looked)| {
        let checker = checker_of(invariant).or_else(|| own_checker(invariant, evidence));
        match (looked, checker) {
            (Looked::Found(findings), Some(checker)) => {
                weakened(evidence, caught(|| checker.judged(evidence, findings)), || invariant.clone())
            }
            (Looked::Panicked(text), _) => weakened(evidence, Err(text), || invariant.clone()),
            (Looked::Unread | Looked::Found(_), _) => unread(invariant),
        }
    };
    invariants.iter().zip(looked).map(concluded).collect()
}

fn unread(invariant: &Invariant) -> InvariantResult {
    InvariantResult::inconclusive(invariant.clone(), "what it asks for was not read")
}

/// Whether anything is violated, in either part of a run, if this is the final state; or a rule about numbers found none of them in the
/// load, which may come yet.
pub fn is_wrong(history: &History, observation: &Observation, invariants: &[Invariant]) -> bool {
    [Phase::Control, Phase::Main].into_iter().any(|phase| {
        // Where nothing was done, nothing comes.
        let may_come = phase.is_main() && !history.phase(phase).is_empty();
        let is_wrong = |result: &InvariantResult| match result.verdict {
            Verdict::Violated => true,
            Verdict::Inconclusive => may_come && matches!(result.name, Invariant::Custom(_)),
            Verdict::Holds => false,
        };
        judge(history, Some(observation), phase, invariants).iter().any(is_wrong)
    })
}

/// The checker of an invariant, if it is judged on a history.
pub fn checker_of(invariant: &Invariant) -> Option<Box<dyn Checker>> {
    match invariant {
        Invariant::SingleDocument => Some(Box::new(SingleDocument)),
        Invariant::ZeroDuplicates => Some(Box::new(ZeroDuplicates)),
        Invariant::SameId => Some(Box::new(SameId)),
        Invariant::CreatedOnce => Some(Box::new(CreatedOnce)),
        Invariant::CreateOrGetLinearizable => Some(Box::new(CreateOrGetLinearizable)),
        Invariant::NoLeakedErrors => Some(Box::new(NoLeakedErrors)),
        Invariant::InsertFieldsIntact => Some(Box::new(InsertFieldsIntact)),
        Invariant::NoLostMessages => Some(Box::new(NoLostMessages)),
        Invariant::NoDuplicateMessages => Some(Box::new(NoDuplicateMessages)),
        Invariant::NoPhantomMessages => Some(Box::new(NoPhantomMessages)),
        Invariant::AppendOrder => Some(Box::new(AppendOrder)),
        Invariant::PairAdjacent => Some(Box::new(PairAdjacent)),
        Invariant::PayloadIntact => Some(Box::new(PayloadIntact)),
        Invariant::MergeOnce => Some(Box::new(MergeOnce)),
        Invariant::NoFalseDedupe => Some(Box::new(NoFalseDedupe)),
        Invariant::MembersExact => Some(Box::new(MembersExact)),
        Invariant::OneThreadPerSet => Some(Box::new(OneThreadPerSet)),
        Invariant::AdminsOnly => Some(Box::new(AdminsOnly)),
        Invariant::DerivedFieldsExact => Some(Box::new(DerivedFieldsExact)),
        Invariant::SomebodyServed => Some(Box::new(SomebodyServed)),
        Invariant::NoLostElements => Some(Box::new(OfElements(ElementRule::Lost))),
        Invariant::NoDuplicateElements => Some(Box::new(OfElements(ElementRule::Duplicate))),
        Invariant::NoPhantomElements => Some(Box::new(OfElements(ElementRule::Phantom))),
        Invariant::ElementOrder => Some(Box::new(OfElements(ElementRule::Order))),
        _ => None,
    }
}

/// The checker of a user's own rule about numbers, which comes with what was read for it.
fn own_checker(invariant: &Invariant, evidence: &Evidence<'_>) -> Option<Box<dyn Checker>> {
    match invariant {
        Invariant::Custom(name) => Some(Box::new(KeyNumbers::of(evidence.effects()?, name)?)),
        _ => None,
    }
}

/// Runs one checker; whatever goes wrong in it becomes an inconclusive result.
pub fn guarded(checker: &dyn Checker, evidence: &Evidence<'_>, mut budget: Budget) -> InvariantResult {
    weakened(evidence, caught(|| checker.check(evidence, &mut budget)), || checker.invariant())
}

/// What a checker gives, or the message that it panicked with.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // Nothing that the closure borrows is looked at again after a panic, except the evidence, which is never written.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
    })
}

/// A result in the light of what is missing.
fn weakened(
    evidence: &Evidence<'_>,
    result: Result<InvariantResult, String>,
    invariant: impl FnOnce() -> Invariant,
) -> InvariantResult {
    match result {
        Err(text) => InvariantResult::inconclusive(invariant(), format!("harness error: the checker panicked: {text}")),
        Ok(result) if evidence.cut_short() => {
            result.weaken("the run was cut short, so the history may lack operations")
        }
        Ok(result) => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Action, Cause, Effects, NumberRule, Numbers, Operation, Outcome, Returned, Value};
    use crate::verdict::Verdict;

    fn created(op: u64, key: &str, invoked: u64, completed: u64) -> Operation {
        let answer = Returned { id: Some([7; 12].into()), created: Some(true), ..Returned::default() };
        crate::history::fixture::operation(
            op,
            key,
            Action::CreateOrGet { reversed: false },
            [invoked, completed],
            Outcome::Ok(Value::Document(answer)),
        )
    }

    fn failed(op: u64, key: &str) -> Operation {
        Operation { outcome: Outcome::Failed(Cause::database(11000, "E11000")), ..created(op, key, 0, 1) }
    }

    /// Fails like a checker with a bug.
    struct Panics;

    impl Checker for Panics {
        fn invariant(&self) -> Invariant {
            Invariant::SameId
        }

        fn look(&self, _: &Evidence<'_>, _: &mut Budget) -> Findings {
            panic!("index out of bounds")
        }

        fn conclude(&self, _: &Evidence<'_>, findings: Findings) -> InvariantResult {
            findings.into_result()
        }
    }

    #[test]
    fn a_checker_that_panics_is_inconclusive() {
        let result = guarded(&Panics, &Evidence::new(&[], None, false), Budget::default());
        assert_eq!(result.verdict, Verdict::Inconclusive);
        assert_eq!(result.reason.as_deref(), Some("harness error: the checker panicked: index out of bounds"));
    }

    #[test]
    fn an_exhausted_budget_never_holds_and_hides_no_violation() {
        let operations = [created(1, "a", 0, 1), created(2, "a", 0, 1), created(3, "b", 0, 1)];
        let evidence = Evidence::new(&operations, None, false);
        for invariant in [Invariant::SameId, Invariant::CreatedOnce, Invariant::NoLeakedErrors] {
            let checker = checker_of(&invariant).unwrap();
            let result = guarded(checker.as_ref(), &evidence, Budget::new(0));
            assert_eq!(result.verdict, Verdict::Inconclusive, "{invariant}");
            assert!(result.reason.unwrap().contains("budget"));
        }
        // Enough for the first key, which is violated, and not for the second.
        let result = guarded(&CreatedOnce, &evidence, Budget::new(2));
        assert_eq!(result.verdict, Verdict::Violated);
        assert!(result.reason.unwrap().contains("budget"));
    }

    #[test]
    fn every_invariant_gets_a_result_in_its_place() {
        let history = History { operations: vec![created(1, "a", 0, 1)], ..History::default() };
        let results = judge(&history, None, Phase::Main, &Invariant::NAMED);
        let names: Vec<Invariant> = results.iter().map(|result| result.name.clone()).collect();
        assert_eq!(names, Invariant::NAMED);
        let custom = Invariant::Custom("mine".into());
        assert_eq!(judge(&history, None, Phase::Main, &[custom])[0].verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_rule_about_numbers_that_found_none_of_the_load_is_wrong_yet() {
        let wrong = |operations, found: &[(&str, u64)]| {
            let numbers = Numbers {
                name: "mine".into(),
                rule: NumberRule::Bounds { min: Some("0".into()), max: None },
                operations: Vec::new(),
                per_key: true,
                found: Some(found.iter().map(|(key, value)| ((*key).into(), vec![(*value).into()])).collect()),
                error: None,
            };
            let effects = std::sync::Arc::new(Effects { numbers: vec![numbers], elements: None });
            let observation = Observation { quiescent: true, effects, ..Observation::default() };
            let history = History { operations, ..History::default() };
            is_wrong(&history, &observation, &[Invariant::Custom("mine".into())])
        };
        let control = Operation { phase: Phase::Control, ..created(1, "a", 0, 1) };
        assert!(wrong(vec![control.clone(), created(2, "b", 2, 3)], &[]), "it may come yet");
        assert!(!wrong(vec![control.clone(), created(2, "b", 2, 3)], &[("b", 1)]));
        assert!(!wrong(vec![control], &[("a", 1)]), "there was no load of which anything could come");
    }

    #[test]
    fn a_phase_is_judged_on_its_own() {
        let control = Operation { phase: Phase::Control, ..failed(1, "a") };
        let history = History { operations: vec![control, created(2, "b", 0, 1)], ..History::default() };
        let verdict = |phase| judge(&history, None, phase, &[Invariant::NoLeakedErrors])[0].verdict;
        assert_eq!((verdict(Phase::Control), verdict(Phase::Main)), (Verdict::Violated, Verdict::Holds));
    }

    #[test]
    fn times_that_run_backwards_accuse_the_harness() {
        let operations = [created(1, "a", 5, 4)];
        let result = guarded(&CreateOrGetLinearizable, &Evidence::new(&operations, None, false), Budget::default());
        assert_eq!(result.verdict, Verdict::Inconclusive);
        assert_eq!(result.reason.as_deref(), Some("harness error: op1 returned before it was invoked"));
    }
}
