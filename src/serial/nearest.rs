//! The witness: in which places an outcome differs from the nearest serial one. Main type: [`Difference`].

use std::collections::{BTreeMap, BTreeSet};

use super::normal::{Normal, Piece, Term};

/// Fields of an outcome by place.
type Fields = BTreeMap<String, String>;

/// Longest value that is shown.
const LONGEST: usize = 120;
/// Differences that are shown.
pub(super) const MOST: usize = 12;

/// One place, serially and here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `products.likes`, or `answer of 2, $.likes`.
    pub place: String,
    /// What the nearest serial order gives.
    pub serially: String,
    /// What this execution gave.
    pub here: String,
}

/// The differences to the serial run with the fewest, and its order.
pub(super) fn nearest<'a>(
    here: &Normal,
    serial: impl IntoIterator<Item = &'a Normal>,
) -> Option<(Vec<usize>, Vec<Difference>)> {
    let compared = serial.into_iter().map(|run| (run.order.clone(), differences(run, here)));
    compared.min_by_key(|(order, differences)| (differences.len(), order.clone()))
}

fn differences(serially: &Normal, here: &Normal) -> Vec<Difference> {
    let blind = compare(serially, here, &mut Names::Blind, &mut Names::Blind);
    if !blind.is_empty() {
        return blind;
    }
    // They differ only in which value stands where.
    compare(serially, here, &mut Names::Numbered(BTreeMap::new()), &mut Names::Numbered(BTreeMap::new()))
}

/// How values that are made anew are shown.
enum Names {
    Blind,
    Numbered(BTreeMap<String, usize>),
}

impl Names {
    fn of(&mut self, value: &str) -> String {
        match self {
            Names::Blind => "<made anew>".to_owned(),
            Names::Numbered(numbers) => {
                let next = numbers.len() + 1;
                format!("<value {}>", numbers.entry(value.to_owned()).or_insert(next))
            }
        }
    }
}

fn compare(serially: &Normal, here: &Normal, names: &mut Names, names_here: &mut Names) -> Vec<Difference> {
    let mut found = Vec::new();
    // What stays comes before what was said.
    let collections: BTreeSet<&String> =
        serially.documents.iter().chain(&here.documents).map(|(name, _)| name).collect();
    for collection in collections {
        let one = documents(serially, collection, names);
        let other = documents(here, collection, names_here);
        of_collection(collection, one, other, &mut found);
    }
    let requests: BTreeSet<usize> = serially.answers.keys().chain(here.answers.keys()).copied().collect();
    for request in requests {
        let place = format!("answer of {}", request + 1);
        let (one, other) = (serially.answers.get(&request), here.answers.get(&request));
        answers(&place, (one, names), (other, names_here), &mut found);
    }
    for probe in 0..serially.probes.len().max(here.probes.len()) {
        let place = format!("answer of {} sent once more", probe + 1);
        answers(&place, (serially.probes.get(probe), names), (here.probes.get(probe), names_here), &mut found);
    }
    found
}

fn answers(
    place: &str,
    (one, names): (Option<&(u16, Term)>, &mut Names),
    (other, names_here): (Option<&(u16, Term)>, &mut Names),
    found: &mut Vec<Difference>,
) {
    let (one_fields, other_fields) = (
        one.map(|(_, body)| fields("$", body, names)).unwrap_or_default(),
        other.map(|(_, body)| fields("$", body, names_here)).unwrap_or_default(),
    );
    if one.map(|(status, _)| status) == other.map(|(status, _)| status) {
        return found.extend(of_fields(&format!("{place}, "), &one_fields, &other_fields));
    }
    let whole = |answer: Option<&(u16, Term)>, fields: &Fields| match answer {
        Some((status, _)) => format!("{status} {}", summary(fields)),
        None => "no answer".to_owned(),
    };
    let (serially, here) = (whole(one, &one_fields), whole(other, &other_fields));
    found.push(Difference { place: place.to_owned(), serially: cut(&serially), here: cut(&here) });
}

fn documents(normal: &Normal, collection: &str, names: &mut Names) -> Vec<Fields> {
    let of = normal.documents.iter().filter(|(name, _)| name == collection);
    of.map(|(_, term)| fields(collection, term, names)).collect()
}

/// Documents are paired so that little differs; then so many are there, and these fields differ.
fn of_collection(collection: &str, mut one: Vec<Fields>, mut other: Vec<Fields>, found: &mut Vec<Difference>) {
    if one.len() != other.len() {
        let count = |documents: &[Fields]| match documents.len() {
            1 => "1 document".to_owned(),
            count => format!("{count} documents"),
        };
        let (serially, here) = (count(&one), count(&other));
        found.push(Difference { place: collection.to_owned(), serially, here });
    }
    while !one.is_empty() && !other.is_empty() {
        let pairs = (0..one.len()).flat_map(|left| (0..other.len()).map(move |right| (left, right)));
        let distance = |(left, right): &(usize, usize)| of_fields("", &one[*left], &other[*right]).len();
        let Some((left, right)) = pairs.min_by_key(distance) else { return };
        found.extend(of_fields("", &one.remove(left), &other.remove(right)));
    }
}

fn of_fields(prefix: &str, one: &Fields, other: &Fields) -> Vec<Difference> {
    let places: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let value =
        |fields: &Fields, place: &str| fields.get(place).map_or_else(|| "absent".to_owned(), |value| cut(value));
    places
        .into_iter()
        .filter(|place| one.get(*place) != other.get(*place))
        .map(|place| Difference {
            place: format!("{prefix}{place}"),
            serially: value(one, place),
            here: value(other, place),
        })
        .collect()
}

/// The fields of a term. Lists of plain values are one field, so that two lists are seen side by side.
fn fields(root: &str, term: &Term, names: &mut Names) -> Fields {
    let mut fields = Fields::new();
    add(root, term, names, &mut fields);
    fields
}

fn add(place: &str, term: &Term, names: &mut Names, fields: &mut Fields) {
    match term {
        Term::Map(inner) if !inner.is_empty() => {
            inner.iter().for_each(|(name, value)| add(&format!("{place}.{name}"), value, names, fields));
        }
        Term::List(items) if items.iter().any(|item| matches!(item, Term::Map(_) | Term::Entries(_))) => {
            for (index, item) in items.iter().enumerate() {
                add(&format!("{place}[{index}]"), item, names, fields);
            }
        }
        other => drop(fields.insert(place.to_owned(), text(other, names))),
    }
}

fn text(term: &Term, names: &mut Names) -> String {
    let list = |items: &[Term], names: &mut Names| items.iter().map(|item| text(item, names)).collect::<Vec<_>>();
    match term {
        Term::Literal(text) => text.clone(),
        Term::Int(number) => number.to_string(),
        Term::Masked => "(not compared)".to_owned(),
        Term::Made(value) => names.of(value),
        Term::Text(pieces) => {
            let piece = |piece: &Piece| match piece {
                Piece::Plain(text) => text.clone(),
                Piece::Made(value) => names.of(value),
            };
            format!("\"{}\"", pieces.iter().map(piece).collect::<String>())
        }
        Term::List(items) => format!("[{}]", list(items, names).join(", ")),
        Term::Bag(items) => {
            let mut items = list(items, names);
            items.sort();
            format!("[{}] in any order", items.join(", "))
        }
        Term::Map(inner) => {
            let fields = inner.iter().map(|(name, value)| format!("{name}: {}", text(value, names)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Term::Entries(entries) => {
            let mut entries: Vec<String> =
                entries.iter().map(|(name, value)| format!("{}: {}", text(name, names), text(value, names))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// A body on one line: `{created: false}`.
fn summary(fields: &Fields) -> String {
    match fields.get("$").filter(|_| fields.len() == 1) {
        Some(whole) => whole.clone(),
        None => {
            let named = fields.iter().map(|(place, value)| format!("{}: {value}", place.trim_start_matches("$.")));
            format!("{{{}}}", named.collect::<Vec<_>>().join(", "))
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
