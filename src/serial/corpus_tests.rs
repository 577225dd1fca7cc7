//! Cases as data (`tests/serial/corpus.json`), and isomorphism against brute force.
//!
//! In a case `"@x"` is an identifier and `"~x"` a text that are made anew in each run, `{ "$seq": 2 }` a number that rises
//! from run to run, `{ "$random": 1 }` one that does not; the same letter in the same run is the same value.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::canon::{as_they_come, form};
use super::normal::Term;
use super::*;

/// A text that differs between runs in no order.
fn scrambled(name: &str, run: usize) -> u64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().chain(run.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, fold)
}

fn value(json: &Json, run: usize) -> Value {
    match json {
        Json::String(text) if text.starts_with('@') => Value::Id(format!("{:024x}", scrambled(text, run))),
        Json::String(text) if text.starts_with('~') => Value::Text(format!("{:x}", scrambled(text, run) % 0xff_ffff)),
        Json::Object(fields) => match fields.iter().next() {
            Some((name, Json::Number(number))) if name == "$seq" => {
                Value::Int(run as i64 * 10 + number.as_i64().unwrap())
            }
            Some((name, number)) if name == "$random" => {
                Value::Int((scrambled(&number.to_string(), run) % 1_000_000) as i64)
            }
            _ => Value::Map(
                fields.iter().map(|(name, one)| (name.replace('~', &format!("k{run}x")), value(one, run))).collect(),
            ),
        },
        Json::Array(items) => Value::List(items.iter().map(|item| value(item, run)).collect()),
        other => Value::of_json(other),
    }
}

fn sample(json: &Json, run: usize) -> Sample {
    let order: Vec<usize> =
        json["order"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize - 1).collect();
    let answer = |json: &Json| Answer { status: json[0].as_u64().unwrap() as u16, body: value(&json[1], run) };
    let answers = json["answers"].as_object().into_iter().flatten();
    let document = |(collection, json): (&String, &Json)| {
        let (before, after) = match json.get("before") {
            Some(before) => (Some(value(before, run)), Some(value(&json["after"], run))),
            None => (None, Some(value(json, run))),
        };
        let Some(Value::Map(fields)) = &after else { panic!("{json}") };
        let id = fields["_id"].clone();
        Change { collection: collection.clone(), id, before, after }
    };
    let changes = json["documents"].as_object().into_iter().flatten();
    Sample {
        order,
        touched: None,
        marks: vec![(format!("key-{run}"), "<key>".to_owned())],
        outcome: Outcome {
            answers: answers.map(|(n, one)| (n.parse::<usize>().unwrap() - 1, answer(one))).collect(),
            probes: json["probes"].as_array().into_iter().flatten().map(answer).collect(),
            changes: changes
                .flat_map(|(name, documents)| documents.as_array().unwrap().iter().map(move |one| (name, one)))
                .map(document)
                .collect(),
        },
    }
}

fn patterns(json: &Json) -> Vec<Pattern> {
    json.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn every_case_of_the_corpus_is_judged_as_it_says() {
    let corpus: Json = serde_json::from_str(include_str!("../../tests/serial/corpus.json")).unwrap();
    let cases = corpus.as_array().unwrap();
    assert!(cases.len() >= 20);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let refusals = case["refusals"].as_array().into_iter().flatten().map(|n| n.as_u64().unwrap() as u16).collect();
        let settings = Settings {
            ignore: patterns(&case["ignore"]),
            unordered: patterns(&case["unordered"]),
            refusals,
            now: 1_795_755_600_000,
            coarse: case["coarse"] == true,
            ..Settings::default()
        };
        let mut judge = Judge::new(settings);
        let mut run = 0;
        for round in 0..4 {
            for serial in case["serial"].as_array().unwrap() {
                run += 1;
                // A case may give a list of outcomes of one order, of which each round has the next.
                let serial = serial.as_array().map_or(serial, |several| &several[round % several.len()]);
                judge.learn(sample(serial, run));
            }
            judge.end_round();
        }
        let here = case["here"].as_array().unwrap();
        let samples: Vec<Sample> = here.iter().enumerate().map(|(n, one)| sample(one, run + n + 1)).collect();
        let judgement = judge.judge(&samples);
        for (one, judged) in here.iter().zip(&judgement.executions) {
            assert_eq!(judged.class.name(), one["class"].as_str().unwrap(), "{name}: {judged:#?}");
            if let Some(words) = one.get("words") {
                assert_eq!(judged.in_words().as_deref(), words.as_str(), "{name}: {judged:#?}");
            }
        }
        let not_compared: Vec<String> =
            case["not_compared"].as_array().into_iter().flatten().map(|one| one.as_str().unwrap().to_owned()).collect();
        assert_eq!(judgement.not_compared, not_compared, "{name}");
        assert_eq!(judgement.inconclusive.is_some(), case.get("inconclusive").is_some(), "{name}: {judgement:#?}");
    }
}

/// Values by number: list of `(label, term)` of a small outcome.
type Small = Vec<(String, Term)>;

/// Every outcome of this size from a stream of numbers: two collections, references of all kinds.
fn small(mut seed: u64) -> Small {
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut items = Vec::new();
    for _ in 0..1 + next(3) {
        let label = ["a", "b"][next(2) as usize].to_owned();
        let mut made = || Term::Made(format!("v{}", next(3)));
        let (one, other) = (made(), made());
        let term = match next(4) {
            0 => Term::List(vec![one, other]),
            1 => Term::Bag(vec![one, other]),
            2 => Term::Map([("x".to_owned(), one), ("y".to_owned(), other)].into()),
            _ => Term::Entries(vec![(one, Term::Int(next(2) as i64))]),
        };
        items.push((label, term));
    }
    items
}

fn renamed(term: &Term, names: &BTreeMap<String, String>) -> Term {
    let all = |items: &[Term]| items.iter().map(|item| renamed(item, names)).collect::<Vec<_>>();
    match term {
        Term::Made(value) => Term::Made(names[value].clone()),
        Term::List(items) => Term::List(all(items)),
        Term::Bag(items) => {
            let mut items = all(items);
            items.sort();
            Term::Bag(items)
        }
        Term::Map(fields) => Term::Map(fields.iter().map(|(name, one)| (name.clone(), renamed(one, names))).collect()),
        Term::Entries(entries) => {
            let mut entries: Vec<_> =
                entries.iter().map(|(name, one)| (renamed(name, names), renamed(one, names))).collect();
            entries.sort();
            Term::Entries(entries)
        }
        other => other.clone(),
    }
}

fn permutations(values: &[String]) -> Vec<Vec<String>> {
    if values.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (position, first) in values.iter().enumerate() {
        let mut rest = values.to_vec();
        rest.remove(position);
        for mut tail in permutations(&rest) {
            tail.insert(0, first.clone());
            all.push(tail);
        }
    }
    all
}

fn under(items: &Small, names: &BTreeMap<String, String>) -> Small {
    let mut items: Small = items.iter().map(|(label, term)| (label.clone(), renamed(term, names))).collect();
    items.sort();
    items
}

/// Whether some renaming makes one outcome the other, by trying all.
fn brute_force(one: &Small, other: &Small) -> bool {
    let values: Vec<String> = (0..4).map(|value| format!("v{value}")).collect();
    let identity = values.iter().map(|value| (value.clone(), value.clone())).collect();
    let other = under(other, &identity);
    permutations(&values).into_iter().any(|permuted| {
        let names = values.iter().cloned().zip(permuted).collect();
        under(one, &names) == other
    })
}

#[test]
fn forms_are_equal_exactly_if_brute_force_finds_a_renaming() {
    let items = |small: &Small| form(&small.iter().map(|(label, term)| (label.clone(), term)).collect());
    let cheap = |small: &Small| as_they_come(&small.iter().map(|(label, term)| (label.clone(), term)).collect());
    let (mut equal, mut cheaply) = (0, 0);
    let outcomes: Vec<(Small, String)> = (0..200).map(|seed| (small(seed), items(&small(seed)))).collect();
    for (one, form_of_one) in &outcomes {
        for (other, form_of_other) in &outcomes {
            if cheap(one) == cheap(other) {
                cheaply += 1;
                assert_eq!(form_of_one, form_of_other, "{one:?}\n{other:?}");
            }
            let same = brute_force(one, other);
            equal += usize::from(same);
            assert_eq!(form_of_one == form_of_other, same, "{one:?}\n{other:?}\n{form_of_one}\n{form_of_other}");
        }
    }
    assert!(equal > 250 && cheaply > 200, "too few outcomes are alike to try anything: {equal}, {cheaply}");
}

#[test]
fn what_colour_refinement_cannot_tell_apart_is_told_apart_by_singling_out() {
    // A ring of six against two rings of three: every value stands twice, next to two others.
    let ring = |edges: &[(usize, usize)]| -> Small {
        let made = |value: usize| Term::Made(format!("v{value}"));
        edges.iter().map(|(a, b)| ("edge".to_owned(), Term::Bag(vec![made(*a), made(*b)]))).collect()
    };
    let one = ring(&[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)]);
    let two = ring(&[(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]);
    let again = ring(&[(3, 1), (1, 5), (5, 0), (0, 4), (4, 2), (2, 3)]);
    let form = |small: &Small| form(&small.iter().map(|(label, term)| (label.clone(), term)).collect());
    assert_ne!(form(&one), form(&two));
    assert_eq!(form(&one), form(&again));
}

/// A run in this order that left one document with this field.
fn with_field(order: &[usize], name: &str) -> Sample {
    let after = Value::Map([("_id".to_owned(), Value::Int(1)), (name.to_owned(), Value::Int(1))].into());
    let change = Change { collection: "notes".to_owned(), id: Value::Int(1), before: None, after: Some(after) };
    let outcome = Outcome { answers: BTreeMap::new(), probes: Vec::new(), changes: vec![change] };
    Sample { order: order.to_vec(), marks: Vec::new(), outcome, touched: None }
}

#[test]
fn a_name_that_one_order_shows_is_not_made_anew_until_a_repetition_lacks_it() {
    let mut judge = Judge::new(Settings::default());
    judge.learn(with_field(&[0, 1], "first"));
    judge.learn(with_field(&[1, 0], "second"));
    let judged = judge.judge(&[with_field(&[0, 1], "neither")]);
    assert_eq!(judged.executions[0].class, Class::Lasting);
    for name in ["ax", "by"] {
        judge.learn(with_field(&[0, 1], name));
    }
    assert_eq!(judge.judge(&[with_field(&[0, 1], "cz")]).executions[0].class, Class::Serial);
}

#[test]
fn a_collection_that_is_called_after_the_key_is_the_same_in_every_execution() {
    let run = |key: &str, collection: &str| {
        let mut sample = with_field(&[0, 1], "x");
        sample.outcome.changes[0].collection = collection.to_owned();
        Sample { marks: vec![(key.to_owned(), "<key>".to_owned())], ..sample }
    };
    for spelling in ["tenant_r7-k#", "tenant-r7-k#", "R7_K#.settings", "tenantr7k#"] {
        let mut judge = Judge::new(Settings::default());
        let with = |number: usize| run(&format!("r7-k{number}"), &spelling.replace('#', &number.to_string()));
        (1..5).for_each(|number| judge.learn(with(number)));
        assert_eq!(judge.judge(&[with(12)]).executions[0].class, Class::Serial, "{spelling}");
        let other = run("r7-k13", "tenant_of_all");
        assert_eq!(judge.judge(&[other]).executions[0].class, Class::Lasting, "{spelling}");
    }
}

#[test]
fn which_of_several_reasons_a_refusal_names_is_no_effect() {
    let run = |order: &[usize], said: [(u16, &str); 2]| {
        let answer = |(status, text): (u16, &str)| Answer { status, body: Value::Text(text.to_owned()) };
        let answers = said.into_iter().map(answer).enumerate().collect();
        let outcome = Outcome { answers, probes: Vec::new(), changes: Vec::new() };
        Sample { order: order.to_vec(), marks: Vec::new(), outcome, touched: None }
    };
    let class = |serially: [(u16, &str); 2], here| {
        let mut judge = Judge::new(Settings::default());
        for order in [[0, 1], [1, 0], [0, 1], [1, 0]] {
            judge.learn(run(&order, serially));
        }
        judge.judge(&[run(&[0, 1], here)]).executions[0].class
    };
    let sold = (409, "sold");
    assert_eq!(class([sold, sold], [sold, (409, "there")]), Class::Refused);
    assert_eq!(class([sold, sold], [(409, "busy"), (409, "there")]), Class::Refused);
    assert_eq!(class([(200, "a"), sold], [(200, "b"), (409, "there")]), Class::Answer, "what is served is an effect");
    assert_eq!(class([(500, "a"), sold], [(500, "b"), sold]), Class::Answer, "a failure is no refusal");
    assert_eq!(class([sold, sold], [sold, (422, "there")]), Class::Status);
}

#[test]
fn the_orders_of_the_others_are_asked_for_where_some_were_refused_or_failed() {
    let judge = Judge::new(Settings::default());
    let with = |statuses: [u16; 3]| {
        let answer = |status| Answer { status, body: Value::Null };
        let answers = statuses.into_iter().map(answer).enumerate().collect();
        let outcome = Outcome { answers, probes: Vec::new(), changes: Vec::new() };
        Sample { order: vec![2, 0, 1], marks: Vec::new(), outcome, touched: None }
    };
    let others = |statuses| judge.others(&with(statuses)).into_iter().collect::<Vec<_>>();
    assert_eq!(others([200, 409, 200]), [[0, 2]]);
    assert_eq!(others([500, 409, 200]), [[0, 2], [1, 2]]);
    assert!(others([200, 200, 200]).is_empty() && others([409, 409, 409]).is_empty());
}

#[test]
fn repetitions_are_those_of_one_order() {
    let mut judge = Judge::new(Settings::default());
    for order in [[0, 1], [1, 0], [0, 1], [0, 1]] {
        judge.learn(with_field(&order, "x"));
    }
    assert_eq!(judge.repetitions(), 3);
}
