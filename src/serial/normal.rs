//! From an outcome to terms that can be compared: marks, moments and generated values first, what was learned afterwards.

use std::collections::{BTreeMap, BTreeSet};

use super::changes::{CHANGED, difference};
use super::masks::{Masks, Rule};
use super::outcome::{Answer, Change, Sample};
use super::place::{ELEMENT, NAME, Pattern, Place, Source};
use super::shapes::{self, Part};
use super::value::Value;

/// A value, as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Term {
    /// As it is, with its kind.
    Literal(String),
    /// A whole number.
    Int(i64),
    /// A text, in parts.
    Text(Vec<Piece>),
    /// Made anew: which value it is counts only where it stands again.
    Made(String),
    /// In order.
    List(Vec<Term>),
    /// In any order.
    Bag(Vec<Term>),
    /// By name.
    Map(BTreeMap<String, Term>),
    /// By names of which some are made anew.
    Entries(Vec<(Term, Term)>),
    /// Not compared.
    Masked,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Piece {
    Plain(String),
    Made(String),
}

/// What an execution came to, in terms.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Normal {
    /// The requests that were sent.
    pub(super) order: Vec<usize>,
    pub(super) answers: BTreeMap<usize, (u16, Term)>,
    pub(super) probes: Vec<(u16, Term)>,
    /// Collections, and a document of each.
    pub(super) documents: Vec<(String, Term)>,
    /// Requests whose answer says that they were not served, whatever its status.
    pub(super) says_no: BTreeSet<usize>,
    /// Answers are a multiset: who was told what is not compared.
    pub(super) is_coarse: bool,
}

impl Term {
    /// The term with its lists in any order.
    fn bags(self) -> Term {
        match self {
            Term::List(items) | Term::Bag(items) => Term::Bag(items.into_iter().map(Term::bags).collect()),
            Term::Map(fields) => Term::Map(fields.into_iter().map(|(name, value)| (name, value.bags())).collect()),
            other => other,
        }
    }
}

/// Where a document came to, besides what it is.
const GONE: &str = "<removed>";
/// Shortest text that is looked for inside of others.
const SHORTEST_FOUND: usize = 4;

impl Normal {
    /// Marks, moments and generated values. `shared` are the documents that other executions wrote as well.
    pub(super) fn new(sample: &Sample, shared: &BTreeSet<(String, String)>, now: i64) -> Self {
        let shaper = Shaper { marks: &sample.marks, now };
        let answer = |answer: &Answer| (answer.status, shaper.term(&answer.body));
        let outcome = &sample.outcome;
        let document = |change: &Change| {
            let is_shared = shared.contains(&identity(change));
            Some((shaper.collection(&change.collection), shaper.term(&recorded(change, is_shared)?)))
        };
        Normal {
            order: sample.order.clone(),
            answers: outcome.answers.iter().map(|(request, one)| (*request, answer(one))).collect(),
            probes: outcome.probes.iter().map(answer).collect(),
            documents: outcome.changes.iter().filter_map(document).collect(),
            says_no: outcome.answers.iter().filter(|(_, one)| one.says_no()).map(|(request, _)| *request).collect(),
            is_coarse: false,
        }
    }

    /// Without who was told what, and without the order of lists: what is left where requests are equal and nobody chose their
    /// order.
    pub(super) fn in_any_order(mut self) -> Self {
        let mut answers: Vec<(u16, Term)> =
            self.answers.into_values().map(|(status, body)| (status, body.bags())).collect();
        answers.sort();
        self.answers = answers.into_iter().enumerate().collect();
        self.probes = self.probes.into_iter().map(|(status, body)| (status, body.bags())).collect();
        self.documents = self.documents.into_iter().map(|(collection, term)| (collection, term.bags())).collect();
        self.is_coarse = true;
        self
    }

    /// Every term with its place.
    pub(super) fn sources(&self) -> impl Iterator<Item = (Source, &Term)> {
        let answers = self.answers.iter().map(|(request, (_, body))| (self.answer_of(*request), body));
        let probes = self.probes.iter().enumerate().map(|(probe, (_, body))| (Source::Probe(probe), body));
        let documents = self.documents.iter().map(|(collection, body)| (Source::Document(collection.clone()), body));
        answers.chain(probes).chain(documents)
    }

    /// The place of an answer; where they are a multiset, there is but one.
    fn answer_of(&self, request: usize) -> Source {
        Source::Answer(if self.is_coarse { 0 } else { request })
    }

    /// What was learned, put to use.
    pub(super) fn masked(&self, filter: &Filter<'_>) -> Normal {
        let found = self.found(filter);
        let of = |source: Source, term: &Term| filter.term(term, &Place::root(source), &found);
        Normal {
            order: self.order.clone(),
            answers: (self.answers.iter())
                .map(|(request, (status, body))| (*request, (*status, of(self.answer_of(*request), body))))
                .collect(),
            probes: (self.probes.iter().enumerate())
                .map(|(probe, (status, body))| (*status, of(Source::Probe(probe), body)))
                .collect(),
            documents: (self.documents.iter())
                .map(|(collection, body)| (collection.clone(), of(Source::Document(collection.clone()), body)))
                .collect(),
            says_no: self.says_no.clone(),
            is_coarse: self.is_coarse,
        }
    }

    /// Texts that are made anew in this execution, and may stand inside of longer ones. The longest first.
    fn found(&self, filter: &Filter<'_>) -> Vec<String> {
        let mut found = BTreeSet::new();
        for (source, term) in self.sources() {
            walk(term, &Place::root(source), &filter.masks.names, &mut |place, term| {
                if let (Term::Text(pieces), Some(Rule::Made { recurring })) = (term, filter.masks.rules.get(place)) {
                    let text = plain(pieces);
                    if text.len() >= SHORTEST_FOUND && !recurring.contains(&text) {
                        found.insert(text);
                    }
                }
            });
        }
        let mut found: Vec<String> = found.into_iter().collect();
        found.sort_by_key(|text| std::cmp::Reverse(text.len()));
        found
    }
}

/// A document by collection and identifier.
pub(super) fn identity(change: &Change) -> (String, String) {
    (change.collection.clone(), format!("{:?}", change.id))
}

/// What is compared of a document that was written: its content, or what changed of one that others write, too.
fn recorded(change: &Change, is_shared: bool) -> Option<Value> {
    let with_id = |name: &str, value: Value| {
        Value::Map(BTreeMap::from([("_id".to_owned(), change.id.clone()), (name.to_owned(), value)]))
    };
    match (&change.before, &change.after) {
        (None, None) => None,
        (Some(_), None) => Some(with_id(CHANGED, Value::Text(GONE.to_owned()))),
        (Some(before), Some(after)) if is_shared => Some(with_id(CHANGED, difference(before, after)?)),
        (_, Some(after)) => Some(after.clone()),
    }
}

/// The text as it was, of its parts.
pub(super) fn plain(pieces: &[Piece]) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Plain(text) | Piece::Made(text) => text.as_str(),
        })
        .collect()
}

/// Looks at every part of a term, from the outside in.
pub(super) fn walk(
    term: &Term,
    place: &Place,
    names: &BTreeMap<Place, BTreeSet<String>>,
    look: &mut impl FnMut(&Place, &Term),
) {
    look(place, term);
    match term {
        Term::List(items) | Term::Bag(items) => {
            let place = place.child(ELEMENT);
            items.iter().for_each(|item| walk(item, &place, names, look));
        }
        Term::Map(fields) => {
            let common = names.get(place);
            for (name, value) in fields {
                let name = if is_made(name, common) { NAME } else { name };
                walk(value, &place.child(name), names, look);
            }
        }
        _ => {}
    }
}

/// Whether the name of a field is made anew: it is not among those that recur where names are.
fn is_made(name: &str, common: Option<&BTreeSet<String>>) -> bool {
    common.is_some_and(|common| !common.contains(name))
}

/// Replaces what can be told without having seen another execution.
struct Shaper<'a> {
    marks: &'a [(String, String)],
    now: i64,
}

impl Shaper<'_> {
    fn term(&self, value: &Value) -> Term {
        match value {
            Value::Null => Term::Literal("null".to_owned()),
            Value::Bool(flag) => Term::Literal(flag.to_string()),
            Value::Int(number) => self.time(*number).unwrap_or(Term::Int(*number)),
            #[expect(clippy::cast_possible_truncation, reason = "a time is far from the limits")]
            Value::Float(number) => self.time(*number as i64).unwrap_or_else(|| Term::Literal(number.to_string())),
            Value::Date(moment) if shapes::is_near(*moment, self.now) => {
                Term::Literal(format!("<date{}>", shapes::distance(*moment, self.now)))
            }
            Value::Date(moment) => Term::Literal(format!("date({moment})")),
            Value::Id(id) => Term::Text(vec![Piece::Made(id.clone())]),
            Value::Other(text) => Term::Literal(text.clone()),
            Value::Text(text) => Term::Text(self.pieces(text)),
            Value::List(items) => Term::List(items.iter().map(|item| self.term(item)).collect()),
            Value::Map(fields) => {
                Term::Map(fields.iter().map(|(name, value)| (self.marked(name), self.term(value))).collect())
            }
        }
    }

    /// What stands for a number that is a moment near now.
    fn time(&self, number: i64) -> Option<Term> {
        let moment = shapes::moment(number, self.now)?;
        Some(Term::Literal(format!("<time{}>", shapes::distance(moment, self.now))))
    }

    fn pieces(&self, text: &str) -> Vec<Piece> {
        let text = self.marked(text);
        let mut pieces: Vec<Piece> = Vec::new();
        for part in shapes::parts(&text, self.now) {
            let piece = match part {
                Part::Plain(text) => Piece::Plain(text.to_owned()),
                Part::Time => Piece::Plain("<time>".to_owned()),
                Part::Made(value) => Piece::Made(value.to_owned()),
            };
            push(&mut pieces, piece);
        }
        pieces
    }

    /// The collection's name with the execution's own marks replaced: it may be called after its key, also where that is written as a name.
    fn collection(&self, name: &str) -> String {
        let as_names = self.marks.iter().flat_map(|(mark, stands_for)| {
            let letters: Vec<&str> = mark.split(|letter: char| !letter.is_alphanumeric()).collect();
            [mark.clone(), letters.join("_"), letters.join("-"), letters.concat()]
                .map(|mark| (mark, stands_for.clone()))
        });
        as_names.fold(name.to_owned(), |name, (mark, stands_for)| replace(&name, &mark, &stands_for))
    }

    /// The text with the execution's own marks replaced, in any case.
    fn marked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (mark, stands_for) in self.marks {
            text = replace(&text, mark, stands_for);
        }
        text
    }
}

/// Appends a part; plain parts beside each other are one.
fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    match (pieces.last_mut(), piece) {
        (Some(Piece::Plain(before)), Piece::Plain(text)) => before.push_str(&text),
        (_, piece) => pieces.push(piece),
    }
}

/// Replaces a mark wherever it stands, in any case. One that goes on with a digit is the mark of another execution.
fn replace(text: &str, mark: &str, stands_for: &str) -> String {
    if mark.is_empty() || text.len() < mark.len() {
        return text.to_owned();
    }
    let (lower, sought) = (text.to_ascii_lowercase(), mark.to_ascii_lowercase());
    let mut replaced = String::new();
    let mut from = 0;
    while let Some(at) = lower[from..].find(&sought).map(|at| from + at) {
        let end = at + sought.len();
        let goes_on = lower.as_bytes().get(end).is_some_and(u8::is_ascii_digit);
        replaced.push_str(&text[from..at]);
        replaced.push_str(if goes_on { &text[at..end] } else { stands_for });
        from = end;
    }
    replaced.push_str(&text[from..]);
    replaced
}

/// What is known by now of all executions.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    pub(super) masks: &'a Masks,
    /// Values that look as if they were made anew, and were seen before: they stay as they are.
    pub(super) known: &'a BTreeSet<String>,
    pub(super) ignore: &'a [Pattern],
    pub(super) unordered: &'a [Pattern],
}

impl Filter<'_> {
    fn term(&self, term: &Term, place: &Place, found: &[String]) -> Term {
        let rule = self.masks.rules.get(place);
        if rule == Some(&Rule::Masked) || self.ignore.iter().any(|pattern| pattern.names(place)) {
            return Term::Masked;
        }
        match term {
            Term::Text(pieces) => self.text(pieces, rule, found),
            Term::Int(number) => match rule {
                Some(Rule::Sequence { family }) => Term::Made(format!("{family}#{number}")),
                _ => Term::Int(*number),
            },
            Term::List(items) | Term::Bag(items) => {
                let element = place.child(ELEMENT);
                let items = items.iter().map(|item| self.term(item, &element, found)).collect();
                let any_order = matches!(term, Term::Bag(_))
                    || rule == Some(&Rule::Unordered)
                    || self.unordered.iter().any(|pattern| pattern.names(place));
                if any_order { Term::Bag(items) } else { Term::List(items) }
            }
            Term::Map(fields) => self.map(fields, place, found),
            other => other.clone(),
        }
    }

    fn map(&self, fields: &BTreeMap<String, Term>, place: &Place, found: &[String]) -> Term {
        let common = self.masks.names.get(place);
        let mut named = BTreeMap::new();
        let mut entries = Vec::new();
        for (name, value) in fields {
            let made = is_made(name, common);
            let value = self.term(value, &place.child(if made { NAME } else { name }), found);
            match value {
                // Whether it is there at all is not compared either.
                Term::Masked => {}
                value if made => entries.push((Term::Made(name.clone()), value)),
                value => drop(named.insert(name.clone(), value)),
            }
        }
        if common.is_none() {
            return Term::Map(named);
        }
        entries.extend(named.into_iter().map(|(name, value)| (Term::Text(vec![Piece::Plain(name)]), value)));
        Term::Entries(entries)
    }

    fn text(&self, pieces: &[Piece], rule: Option<&Rule>, found: &[String]) -> Term {
        if let Some(Rule::Made { recurring }) = rule {
            let whole = plain(pieces);
            return if recurring.contains(&whole) { self.known_text(pieces, found) } else { Term::Made(whole) };
        }
        self.known_text(pieces, found)
    }

    fn known_text(&self, pieces: &[Piece], found: &[String]) -> Term {
        let mut parts = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Made(value) if !self.known.contains(value) => parts.push(piece.clone()),
                Piece::Made(value) => push(&mut parts, Piece::Plain(value.clone())),
                Piece::Plain(text) => split(text, found, &mut parts),
            }
        }
        match &parts[..] {
            [Piece::Made(value)] => Term::Made(value.clone()),
            _ => Term::Text(parts),
        }
    }
}

/// Splits what is made anew out of a text.
fn split(text: &str, found: &[String], parts: &mut Vec<Piece>) {
    for made in found {
        if let Some((before, after)) = text.split_once(made.as_str()) {
            if !before.is_empty() {
                split(before, found, parts);
            }
            parts.push(Piece::Made(made.clone()));
            if !after.is_empty() {
                split(after, found, parts);
            }
            return;
        }
    }
    push(parts, Piece::Plain(text.to_owned()));
}
