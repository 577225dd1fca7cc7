//! Elements held against brute force: every world that a history allows is enumerated, and the rules must accept a final
//! list exactly if one of these worlds leaves it.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::brute_force::{self, tell};
use super::{ElementRule, Evidence, OfElements, guarded};
use crate::checker::{Budget, Checker};
use crate::history::{
    Action, Cause, Effects, ElementCount, Elements, History, KeyElements, Nanos, Observation, OpId, Operation, Outcome,
    Phase, Returned, Source, Value, Vanished,
};
use crate::verdict::Verdict;

const COUNTS: [ElementCount; 4] =
    [ElementCount::ExactlyOnce, ElementCount::AtMostOnce, ElementCount::AtLeastOnce, ElementCount::Set];
/// Times are small, so that many of them meet.
const TIMES: u64 = 6;
/// Texts that operations leave, or that are found.
const TEXTS: u8 = 6;

#[derive(Debug)]
struct Case {
    operations: Vec<Operation>,
    texts: Vec<u8>,
    found: Vec<u8>,
    count: ElementCount,
}

fn case(random: &mut ChaCha8Rng) -> Case {
    let count = COUNTS[random.random_range(0..4)];
    let operations: Vec<Operation> = (0..random.random_range(1..=5)).map(|op| operation(op, random)).collect();
    // Mostly each operation leaves a text of its own, sometimes they share texts.
    let shared = random.random_bool(0.3);
    let texts = (0_u8..).zip(&operations).map(|(at, _)| if shared { random.random_range(0..3) } else { at }).collect();
    let mut case = Case { operations, texts, found: Vec::new(), count };
    case.found = found(&case, random);
    case
}

fn operation(op: u64, random: &mut ChaCha8Rng) -> Operation {
    let invoked = random.random_range(0..TIMES);
    let outcome = match random.random_range(0..10) {
        0..6 => Outcome::Ok(Value::Document(Returned::default())),
        6..8 => Outcome::Unknown(Cause::new("no answer")),
        _ => Outcome::Failed(Cause::new("refused")),
    };
    crate::history::fixture::operation(
        op,
        "k",
        Action::Custom(Arc::from("tag")),
        [invoked, random.random_range(invoked..=TIMES)],
        outcome,
    )
}

/// What is left, by an order in real time with a few faults.
fn found(case: &Case, random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut placed: Vec<(Nanos, u8)> = Vec::new();
    for (operation, text) in case.operations.iter().zip(&case.texts) {
        let happens = match operation.outcome {
            Outcome::Ok(_) => true,
            Outcome::Unknown(_) => random.random_bool(0.5),
            Outcome::Failed(_) => false,
        };
        if happens {
            placed.push((random.random_range(operation.invoked..=operation.completed), *text));
        }
    }
    placed.sort();
    let mut found: Vec<u8> = placed.into_iter().map(|(_, text)| text).collect();
    if case.count == ElementCount::Set {
        let mut once = Vec::new();
        found.retain(|text| {
            !once.contains(text) && {
                once.push(*text);
                true
            }
        });
    }
    for _ in 0..random.random_range(0..3) {
        match random.random_range(0..4) {
            0 if !found.is_empty() => drop(found.remove(random.random_range(0..found.len()))),
            1 if !found.is_empty() => found.push(found[random.random_range(0..found.len())]),
            2 => found.push(random.random_range(0..TEXTS)),
            3 if found.len() > 1 => found.swap(0, 1),
            _ => {}
        }
    }
    found
}

/// Whether a world leaves this: some unknown operations happened and the others did not.
fn some_world_leaves(case: &Case) -> bool {
    let unknown: Vec<usize> = (0..case.operations.len()).filter(|at| case.operations[*at].is_unknown()).collect();
    (0..1_u32 << unknown.len()).any(|chosen| {
        let happened: Vec<usize> = (0..case.operations.len())
            .filter(|at| match case.operations[*at].outcome {
                Outcome::Ok(_) => true,
                Outcome::Failed(_) => false,
                Outcome::Unknown(_) => {
                    unknown.iter().position(|other| other == at).is_some_and(|bit| chosen >> bit & 1 == 1)
                }
            })
            .collect();
        (0..TEXTS).all(|text| {
            let left = happened.iter().filter(|at| case.texts[**at] == text).count();
            let there = case.found.iter().filter(|other| **other == text).count();
            match case.count {
                ElementCount::ExactlyOnce => there == left,
                ElementCount::AtMostOnce => there <= left,
                ElementCount::AtLeastOnce => there >= left && (left > 0 || there == 0),
                ElementCount::Set => there == left.min(1),
            }
        })
    })
}

/// Whether the operations that stand there can have happened in this order: moments are chosen one after the other.
fn can_be_ordered(case: &Case) -> bool {
    let mut order: Vec<&Operation> = Vec::new();
    for text in &case.found {
        let by: Vec<&Operation> =
            case.operations.iter().zip(&case.texts).filter(|(_, other)| *other == text).map(|(one, _)| one).collect();
        if let [only] = by[..]
            && !order.iter().any(|operation| operation.id == only.id)
        {
            order.push(only);
        }
    }
    fn fits(order: &[&Operation], from: Nanos) -> bool {
        let Some((first, rest)) = order.split_first() else { return true };
        // Beyond the last time all moments are alike.
        (first.invoked.max(from)..=first.returned().min(2 * TIMES)).any(|moment| fits(rest, moment))
    }
    fits(&order, 0)
}

fn text(number: u8) -> Arc<str> {
    Arc::from(format!("t{number}"))
}

fn observation(case: &Case) -> Observation {
    let left =
        case.operations.iter().zip(&case.texts).map(|(operation, number)| (operation.id, text(*number))).collect();
    let found = vec![case.found.iter().map(|number| text(*number)).collect()];
    let keys = [(Arc::from("k"), KeyElements { found, left })].into();
    let elements = Elements { count: case.count, ordered: true, form: (Arc::from("t"), Arc::from("")), keys };
    let effects = Arc::new(Effects { elements: Some(elements), ..Effects::default() });
    Observation { source: Source::None, quiescent: true, effects, ..Observation::default() }
}

/// What was judged otherwise than by brute force, and how many histories were held against it.
#[derive(Debug, Default)]
struct Compared {
    wrong: Vec<String>,
    judged: u64,
    violated: u64,
    disordered: u64,
}

/// Judges histories until so many were held against brute force.
fn compared(seed: u64, wanted: u64) -> Compared {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut compared = Compared::default();
    // Some histories allow no conclusion.
    for _ in 0..wanted * 4 {
        if compared.judged == wanted {
            break;
        }
        compare(&case(&mut random), &mut compared);
    }
    compared
}

fn compare(case: &Case, compared: &mut Compared) {
    let observation = observation(case);
    let evidence = Evidence::new(&case.operations, Some(&observation), false);
    let verdict = |rule| guarded(&OfElements(rule), &evidence, Budget::default());
    let rules = [ElementRule::Lost, ElementRule::Duplicate, ElementRule::Phantom].map(verdict);
    let order = verdict(ElementRule::Order);
    // Where nothing that an operation leaves is found, nothing may be concluded either way.
    if rules.iter().chain([&order]).any(|result| result.reason.as_deref().is_some_and(|why| why.contains("found"))) {
        return;
    }
    let accused = rules.iter().any(|result| result.verdict == Verdict::Violated);
    let expected = !some_world_leaves(case);
    let (disorder, expected_disorder) = (order.verdict == Verdict::Violated, !can_be_ordered(case));
    compared.judged += 1;
    compared.violated += u64::from(expected);
    compared.disordered += u64::from(expected_disorder);
    if accused != expected || disorder != expected_disorder {
        compared
            .wrong
            .push(format!("accused {accused}, disorder {disorder}, but {expected} and {expected_disorder}: {case:?}"));
    }
}

/// Says what was compared; all of it must have been judged alike, and enough of it either way.
fn alike(Compared { wrong, judged, violated, disordered }: &Compared, wanted: u64) {
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(*judged, wanted, "histories held against brute force");
    tell("no-lost, -duplicate, -phantom-elements", judged - violated, *violated);
    tell("element-order", judged - disordered, *disordered);
    let often = judged / 10;
    assert!(*violated > often && *violated < judged - often && *disordered > judged / 100, "{violated} {disordered}");
}

#[test]
fn elements_are_judged_as_by_brute_force() {
    alike(&compared(7, 20_000), 20_000);
}

/// In parts with seeds of their own, on all processors.
#[test]
#[ignore = "a campaign: a million histories"]
#[allow(clippy::print_stdout, reason = "the progress of a campaign")]
fn a_million_histories_of_elements_are_judged_as_by_brute_force() {
    const PARTS: u64 = 40;
    const OF_A_PART: u64 = 25_000;
    let next = AtomicU64::new(0);
    let all = Mutex::new(Compared::default());
    let work = || {
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= PARTS {
                return;
            }
            let compared = compared(1000 + part, OF_A_PART);
            let mut all = all.lock().unwrap();
            all.wrong.extend(compared.wrong);
            all.judged += compared.judged;
            all.violated += compared.violated;
            all.disordered += compared.disordered;
            println!("{} histories, {} judged otherwise than by brute force", all.judged, all.wrong.len());
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    alike(&all.into_inner().unwrap(), PARTS * OF_A_PART);
}

#[test]
fn numbers_are_equal_where_they_do_not_vary() {
    let many = 1 << 20;
    for (numbers, equal) in [(&[3, 3, 3][..], true), (&[3, 3, 4], false), (&[many; 4096], true)] {
        let (sum, squares) = (numbers.iter().sum(), numbers.iter().map(|number| number * number).sum());
        assert_eq!(super::elements::are_equal(numbers.len() as u64, sum, squares), equal);
    }
    // A million lists of a million: the products are larger than any sum.
    assert!(super::elements::are_equal(many, many * many, many * many * many));
    assert!(!super::elements::are_equal(many, many * many - 1, many * many * many));
}

#[test]
fn a_list_that_ends_at_one_length_everywhere_is_a_page_or_all_that_is_kept() {
    // Of each key: how many operations were acknowledged, and how many of their elements were found.
    type Keys = &'static [(usize, usize)];
    // Every second element, or the last ones, and not the first ones.
    const SECOND: usize = 100;
    const LAST: usize = 200;
    let verdict = |control: Keys, load: Keys, vanished: bool| {
        let (mut operations, mut keys) = (Vec::new(), BTreeMap::new());
        for (phase, of_phase) in [(Phase::Control, control), (Phase::Main, load)] {
            for (number, (acknowledged, found)) in of_phase.iter().enumerate() {
                let key: Arc<str> = format!("{phase:?}{number}").into();
                let mut of_key = KeyElements::default();
                for _ in 0..*acknowledged {
                    let id = operations.len() as u64;
                    let action = Action::Custom("tag".into());
                    let outcome = Outcome::Ok(Value::Document(Returned::default()));
                    operations.push(brute_force::operation(id, phase, key.to_string(), action, outcome));
                    of_key.left.push((OpId(id), format!("e{id}").into()));
                }
                let every = if *found / SECOND == 1 { 2 } else { 1 };
                let first = if *found / SECOND == 2 { acknowledged - found % SECOND } else { 0 };
                let there = of_key.left.iter().skip(first).step_by(every).take(found % SECOND);
                of_key.found = vec![there.map(|(_, text)| Arc::clone(text)).collect()];
                keys.insert(key, of_key);
            }
        }
        let form = (Arc::from("e"), Arc::from(""));
        let elements = Elements { count: ElementCount::ExactlyOnce, ordered: false, form, keys };
        let effects = Arc::new(Effects { numbers: Vec::new(), elements: Some(elements) });
        let seen = Vanished { key: "earlier".into(), what: "2 elements, and now 0".to_owned() };
        let vanished = vanished.then_some(seen).into_iter().collect();
        let observation =
            Observation { source: Source::Mongo, quiescent: true, vanished, effects, ..Observation::default() };
        let history = History { operations, ..History::default() };
        let evidence = Evidence::of_phase(&history, Some(&observation), Phase::Main);
        let rule = OfElements(ElementRule::Lost);
        let findings = rule.look(&evidence, &mut Budget::default());
        // Concluded where the operations are not at hand any more.
        let bare = History::default();
        rule.conclude(&Evidence::of_phase(&bare, Some(&observation), Phase::Main), findings).verdict
    };
    use Verdict::{Holds, Inconclusive, Violated};
    let cases: [(Keys, Keys, Verdict); 11] = [
        (&[(4, SECOND + 2), (4, 2)], &[(2, 2), (8, 2), (8, 2)], Violated),
        (&[(4, LAST + 2), (4, LAST + 2)], &[(2, 2), (8, 2), (8, 2)], Inconclusive),
        (&[(4, 2), (4, 2)], &[(2, 2), (8, 2), (8, 2)], Violated),
        (&[(4, 3), (4, 3)], &[(8, 3), (8, 3), (2, 2), (5, 3)], Inconclusive),
        (&[(4, 3)], &[(8, 3), (8, 2), (2, 2)], Violated),
        (&[(4, 3)], &[(8, 3), (8, 3), (8, 4)], Violated),
        // One after another all of them are there.
        (&[(4, 4)], &[(8, 3), (8, 3), (8, 3), (8, 3)], Violated),
        // One after another there were too few to tell: then it takes many keys, and more than two elements.
        (&[(4, 4)], &[(8, 5), (8, 5), (8, 5), (8, 5)], Inconclusive),
        (&[(2, 2)], &[(8, 2), (8, 2), (8, 2), (8, 2)], Violated),
        // Whoever is last is all that is left of each: nobody's page.
        (&[(4, 1)], &[(2, 1), (2, 1), (2, 1), (2, 1)], Violated),
        (&[(4, 4)], &[(2, 2), (5, 5)], Holds),
    ];
    for (control, load, expected) in cases {
        assert_eq!(verdict(control, load, false), expected, "{control:?} {load:?}");
        // Where elements are removed in time, nothing is lost for certain.
        let expected = if expected == Violated { Inconclusive } else { expected };
        assert_eq!(verdict(control, load, true), expected, "{control:?} {load:?}");
    }
}
