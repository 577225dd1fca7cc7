//! Learns from repetitions of one order which places vary, and how.
//!
//! Only repetitions of the *same* order teach: what differs between orders is what is to be compared.

use std::collections::{BTreeMap, BTreeSet};

use super::masks::{Masks, Rule};
use super::normal::{Normal, Term, plain, walk};
use super::place::{Place, Source};

/// How deep names that are made anew may stand within each other.
const DEEPEST_NAMES: usize = 4;

/// A value, as far as learning looks at it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Literal(String),
    Int(i64),
    Text(String),
    /// A text of which a part is told by its shape; the rest of it.
    Partly(String),
    Length(usize),
}

/// The values of each place in one execution, in the order in which they stand there.
type Places = BTreeMap<Place, Vec<Seen>>;

/// What serial runs teach; they come in the order in which they were carried out.
pub(super) fn learn(runs: &[Normal]) -> Masks {
    let mut masks = Masks::default();
    for _ in 0..DEEPEST_NAMES {
        let names = names(runs, &masks.names);
        if names == masks.names {
            break;
        }
        masks.names = names;
    }
    let seen: Vec<Places> = runs.iter().map(|run| places(run, &masks.names)).collect();
    let groups = groups(runs);
    // Not equally many documents: that is for people to hear of, and nothing to learn from.
    let uneven: BTreeSet<Source> = varying_counts(runs).into_iter().map(|(name, _)| Source::Document(name)).collect();
    let all: BTreeSet<&Place> =
        seen.iter().flat_map(BTreeMap::keys).filter(|place| !uneven.contains(&place.source)).collect();
    let mut sequences = Vec::new();
    for place in all {
        let values: Vec<&[Seen]> = seen.iter().map(|run| run.get(place).map_or(&[][..], Vec::as_slice)).collect();
        if !varies(&values, &groups) {
            continue;
        }
        match rule(&values, &groups) {
            Rule::Sequence { .. } => {
                sequences.push((place.clone(), values.iter().map(|run| ints(run)).collect::<Vec<_>>()))
            }
            rule => drop(masks.rules.insert(place.clone(), rule)),
        }
    }
    for (place, family) in families(&sequences) {
        masks.rules.insert(place, Rule::Sequence { family });
    }
    masks.rules.extend(unordered(runs, &masks, &groups));
    masks
}

/// Collections of which repetitions of one order did not write equally many documents, with the numbers.
pub(super) fn varying_counts(runs: &[Normal]) -> Vec<(String, BTreeSet<usize>)> {
    let collections: BTreeSet<&String> =
        runs.iter().flat_map(|run| run.documents.iter().map(|(name, _)| name)).collect();
    let mut varying = Vec::new();
    for collection in collections {
        for group in groups(runs) {
            let count = |run: &usize| runs[*run].documents.iter().filter(|(name, _)| name == collection).count();
            let counts: BTreeSet<usize> = group.iter().map(count).collect();
            if counts.len() > 1 {
                varying.push((collection.clone(), counts));
                break;
            }
        }
    }
    varying
}

/// Positions of the runs of each order.
fn groups(runs: &[Normal]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<&[usize], Vec<usize>> = BTreeMap::new();
    for (position, run) in runs.iter().enumerate() {
        groups.entry(&run.order).or_default().push(position);
    }
    groups.into_values().collect()
}

/// Maps of which some names occur in one execution only, although its order was repeated, with those that occur in several.
fn names(runs: &[Normal], known: &BTreeMap<Place, BTreeSet<String>>) -> BTreeMap<Place, BTreeSet<String>> {
    let mut seen: BTreeMap<Place, BTreeMap<String, BTreeSet<usize>>> = BTreeMap::new();
    for (position, run) in runs.iter().enumerate() {
        for (source, term) in run.sources() {
            walk(term, &Place::root(source), known, &mut |place, term| {
                if let Term::Map(fields) = term {
                    let names = seen.entry(place.clone()).or_default();
                    for name in fields.keys() {
                        names.entry(name.clone()).or_default().insert(position);
                    }
                }
            });
        }
    }
    let repeated: BTreeSet<usize> = groups(runs).into_iter().filter(|group| group.len() > 1).flatten().collect();
    // What an order shows that was carried out once may be its own.
    let once = |runs: &BTreeSet<usize>| runs.len() == 1 && runs.is_subset(&repeated);
    let made = |names: &BTreeMap<String, BTreeSet<usize>>| {
        let (common, in_runs): (BTreeSet<String>, BTreeSet<usize>) = (
            names.iter().filter(|(_, runs)| !once(runs)).map(|(name, _)| name.clone()).collect(),
            names.values().filter(|runs| once(runs)).flatten().copied().collect(),
        );
        (in_runs.len() > 1).then_some(common)
    };
    seen.iter().filter_map(|(place, names)| Some((place.clone(), made(names)?))).collect()
}

fn places(run: &Normal, names: &BTreeMap<Place, BTreeSet<String>>) -> Places {
    let mut places = Places::new();
    for (source, term) in run.sources() {
        walk(term, &Place::root(source), names, &mut |place, term| {
            let seen = match term {
                Term::Literal(text) => Seen::Literal(text.clone()),
                Term::Int(number) => Seen::Int(*number),
                Term::Text(_) => text(term),
                Term::List(items) | Term::Bag(items) => Seen::Length(items.len()),
                Term::Map(_) => Seen::Literal("{}".to_owned()),
                _ => return,
            };
            places.entry(place.clone()).or_default().push(seen);
        });
    }
    places
}

/// A text without what its shape tells to be made anew.
fn text(term: &Term) -> Seen {
    use super::normal::Piece;
    let Term::Text(pieces) = term else { return Seen::Literal(String::new()) };
    if !pieces.iter().any(|piece| matches!(piece, Piece::Made(_))) {
        return Seen::Text(plain(pieces));
    }
    let rest = pieces.iter().map(|piece| match piece {
        Piece::Plain(text) => text.as_str(),
        Piece::Made(_) => "<made>",
    });
    Seen::Partly(rest.collect())
}

/// Whether repetitions of one order do not have the same values, in whatever order they stand.
fn varies(values: &[&[Seen]], groups: &[Vec<usize>]) -> bool {
    groups.iter().any(|group| group.windows(2).any(|pair| sorted(values[pair[0]]) != sorted(values[pair[1]])))
}

fn sorted(values: &[Seen]) -> Vec<&Seen> {
    let mut sorted: Vec<&Seen> = values.iter().collect();
    sorted.sort();
    sorted
}

fn ints(values: &[Seen]) -> Vec<i64> {
    values.iter().filter_map(|seen| if let Seen::Int(number) = seen { Some(*number) } else { None }).collect()
}

/// How the values of a place that varies are compared.
fn rule(values: &[&[Seen]], groups: &[Vec<usize>]) -> Rule {
    let all = || values.iter().flat_map(|run| run.iter());
    if all().all(|seen| matches!(seen, Seen::Int(_))) && is_monotonous(values) && same_lengths(values, groups) {
        return Rule::Sequence { family: 0 };
    }
    if !all().all(|seen| matches!(seen, Seen::Text(_) | Seen::Partly(_))) {
        return Rule::Masked;
    }
    let mut runs: BTreeMap<&Seen, BTreeSet<usize>> = BTreeMap::new();
    for (position, run) in values.iter().enumerate() {
        for seen in *run {
            runs.entry(seen).or_default().insert(position);
        }
    }
    let recurs = |seen: &Seen| runs.get(seen).is_some_and(|runs| runs.len() > 1);
    let constant = |run: usize| sorted(values[run]).into_iter().filter(|seen| recurs(seen)).collect::<Vec<_>>();
    let steady = groups.iter().all(|group| group.windows(2).all(|pair| constant(pair[0]) == constant(pair[1])));
    if !steady || !same_lengths(values, groups) {
        return Rule::Masked;
    }
    let text = |seen: &&Seen| if let Seen::Text(text) = seen { Some(text.clone()) } else { None };
    Rule::Made { recurring: runs.keys().filter(|seen| recurs(seen)).filter_map(text).collect() }
}

fn same_lengths(values: &[&[Seen]], groups: &[Vec<usize>]) -> bool {
    groups.iter().all(|group| group.windows(2).all(|pair| values[pair[0]].len() == values[pair[1]].len()))
}

/// Whether the numbers of each execution are all above, or all below, those of the one before.
fn is_monotonous(values: &[&[Seen]]) -> bool {
    let ranges: Vec<(i64, i64)> =
        values.iter().filter_map(|run| Some((*ints(run).iter().min()?, *ints(run).iter().max()?))).collect();
    ranges.windows(2).all(|pair| pair[0].1 < pair[1].0) || ranges.windows(2).all(|pair| pair[0].0 > pair[1].1)
}

/// Sequences that show the same numbers are one family: their numbers mean the same.
fn families(sequences: &[(Place, Vec<Vec<i64>>)]) -> Vec<(Place, usize)> {
    let meet = |one: &[Vec<i64>], other: &[Vec<i64>]| {
        let mut both = one.iter().zip(other).filter(|(one, other)| !one.is_empty() && !other.is_empty()).peekable();
        both.peek().is_some() && both.all(|(one, other)| one.iter().any(|number| other.contains(number)))
    };
    let mut families: Vec<usize> = (0..sequences.len()).collect();
    for one in 0..sequences.len() {
        for other in 0..one {
            if meet(&sequences[one].1, &sequences[other].1) {
                let (from, to) = (families[one], families[other]);
                families.iter_mut().filter(|family| **family == from).for_each(|family| *family = to);
            }
        }
    }
    sequences.iter().zip(families).map(|((place, _), family)| (place.clone(), family)).collect()
}

/// Lists that hold the same elements in another order in repetitions of one order of requests.
fn unordered(runs: &[Normal], masks: &Masks, groups: &[Vec<usize>]) -> Vec<(Place, Rule)> {
    let mut lists: BTreeMap<Place, Vec<Vec<Vec<String>>>> = BTreeMap::new();
    for (position, run) in runs.iter().enumerate() {
        for (source, term) in run.sources() {
            walk(term, &Place::root(source), &masks.names, &mut |place, term| {
                if let Term::List(items) = term {
                    let of_runs = lists.entry(place.clone()).or_insert_with(|| vec![Vec::new(); runs.len()]);
                    let element = place.child(super::place::ELEMENT);
                    of_runs[position].push(items.iter().map(|item| sketch(item, &element, masks)).collect());
                }
            });
        }
    }
    let disordered = |of_runs: &Vec<Vec<Vec<String>>>| {
        groups.iter().any(|group| group.windows(2).any(|pair| of_runs[pair[0]] != of_runs[pair[1]]))
    };
    let lists = lists.into_iter().filter(|(place, of_runs)| !masks.rules.contains_key(place) && disordered(of_runs));
    lists.map(|(place, _)| (place, Rule::Unordered)).collect()
}

/// A term in words, without what varies.
fn sketch(term: &Term, place: &Place, masks: &Masks) -> String {
    let mut words = String::new();
    walk(term, place, &masks.names, &mut |place, term| {
        let word = match (masks.rules.get(place), term) {
            (Some(_), _) => "?".to_owned(),
            (None, Term::Literal(text)) => text.clone(),
            (None, Term::Int(number)) => number.to_string(),
            (None, Term::Text(_)) => match text(term) {
                Seen::Text(text) | Seen::Partly(text) => text,
                _ => String::new(),
            },
            (None, _) => "(".to_owned(),
        };
        words.push_str(&word);
        words.push(';');
    });
    words
}
