//! Canonical forms: two outcomes have the same form exactly if one becomes the other by renaming what is made anew.
//!
//! *Method*: colour refinement over answers and documents; where values stay alike, each of them is singled out in turn and the
//! smallest form counts. *Exactness*: up to [`MOST_REFINEMENTS`]; beyond, the first of those that are alike is taken, so that
//! outcomes with very many interchangeable values may count as different though they are not. *Cost*: a refinement looks at
//! every value a few times.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::normal::{Piece, Term};

/// Refinements that a form may take.
const MOST_REFINEMENTS: usize = 3000;

/// Terms with what each is: answers by their request, documents by their collection. Equal labels come in any order.
pub(super) type Items<'a> = Vec<(String, &'a Term)>;

/// Colours of the values that are made anew.
type Colours<'a> = BTreeMap<&'a str, u64>;

/// The canonical form.
pub(super) fn form(items: &Items<'_>) -> String {
    let mut search = Search { items, left: MOST_REFINEMENTS };
    let colours = search.refined(made(items).into_iter().map(|value| (value, 0)).collect());
    search.smallest(colours)
}

/// A form by colours alone: cheaper, and blind for what colour refinement cannot tell apart.
pub(super) fn coarse_form(items: &Items<'_>) -> String {
    let mut search = Search { items, left: MOST_REFINEMENTS };
    let colours = search.refined(made(items).into_iter().map(|value| (value, 0)).collect());
    let mut hashes: Vec<u64> = items.iter().map(|(label, term)| hash(&(label, tree(term, &colours)))).collect();
    hashes.sort_unstable();
    format!("{hashes:x?}")
}

/// The items as they come, with every value numbered by its first appearance. Two that are equal have the same canonical
/// form; the other way round that is not so.
pub(super) fn as_they_come(items: &Items<'_>) -> String {
    let colours = Colours::new();
    let mut writer = Writer { colours: &colours, numbers: BTreeMap::new(), text: String::new() };
    for (label, term) in items {
        writer.item(label, term);
    }
    writer.text
}

/// All values that are made anew.
fn made<'a>(items: &Items<'a>) -> BTreeSet<&'a str> {
    let mut made = BTreeSet::new();
    items.iter().for_each(|(_, term)| collect(term, &mut made));
    made
}

fn collect<'a>(term: &'a Term, made: &mut BTreeSet<&'a str>) {
    match term {
        Term::Made(value) => drop(made.insert(value)),
        Term::Text(pieces) => made.extend(pieces.iter().filter_map(|piece| match piece {
            Piece::Made(value) => Some(value.as_str()),
            Piece::Plain(_) => None,
        })),
        Term::List(items) | Term::Bag(items) => items.iter().for_each(|item| collect(item, made)),
        Term::Map(fields) => fields.values().for_each(|value| collect(value, made)),
        Term::Entries(entries) => entries.iter().for_each(|(name, value)| {
            collect(name, made);
            collect(value, made);
        }),
        Term::Literal(_) | Term::Int(_) | Term::Masked => {}
    }
}

struct Search<'s, 'a> {
    items: &'s Items<'a>,
    left: usize,
}

impl<'a> Search<'_, 'a> {
    /// Refines until no further values are told apart.
    fn refined(&mut self, mut colours: Colours<'a>) -> Colours<'a> {
        loop {
            self.left = self.left.saturating_sub(1);
            let before = distinct(&colours);
            let mut heard: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
            for (label, term) in self.items {
                let whole = hash(&(label, tree(term, &colours)));
                occurrences(term, whole, &colours, &mut heard);
            }
            for (value, heard) in &mut heard {
                heard.sort_unstable();
                if let Some(colour) = colours.get_mut(value) {
                    *colour = hash(&(*colour, &*heard));
                }
            }
            if distinct(&colours) == before {
                return colours;
            }
        }
    }

    /// The smallest form that singling out values leads to.
    fn smallest(&mut self, colours: Colours<'a>) -> String {
        let mut by_colour: BTreeMap<u64, Vec<&'a str>> = BTreeMap::new();
        for (value, colour) in &colours {
            by_colour.entry(*colour).or_default().push(value);
        }
        let Some(alike) = by_colour.into_values().find(|values| values.len() > 1) else {
            return self.written(&colours);
        };
        let candidates = if self.left == 0 { 1 } else { alike.len() };
        let mut smallest: Option<String> = None;
        for value in &alike[..candidates] {
            let mut singled = colours.clone();
            singled.entry(value).and_modify(|colour| *colour = hash(&(*colour, "singled out")));
            let refined = self.refined(singled);
            let form = self.smallest(refined);
            if smallest.as_ref().is_none_or(|smallest| form < *smallest) {
                smallest = Some(form);
            }
        }
        smallest.unwrap_or_default()
    }

    /// The items with every value numbered by its first appearance, in an order that the colours give.
    fn written(&self, colours: &Colours<'a>) -> String {
        let mut items: Vec<(String, u64, &Term)> =
            self.items.iter().map(|(label, term)| (label.clone(), hash(&tree(term, colours)), *term)).collect();
        items.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        let mut writer = Writer { colours, numbers: BTreeMap::new(), text: String::new() };
        for (label, _, term) in items {
            writer.item(&label, term);
        }
        writer.text
    }
}

fn distinct(colours: &Colours<'_>) -> usize {
    colours.values().collect::<BTreeSet<_>>().len()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn colour(value: &str, colours: &Colours<'_>) -> u64 {
    colours.get(value).copied().unwrap_or_default()
}

/// The term as a number, with colours in the place of values.
fn tree(term: &Term, colours: &Colours<'_>) -> u64 {
    let trees = |items: &[Term]| items.iter().map(|item| tree(item, colours)).collect::<Vec<u64>>();
    match term {
        Term::Literal(text) => hash(&("literal", text)),
        Term::Int(number) => hash(&("int", number)),
        Term::Masked => hash(&"masked"),
        Term::Made(value) => hash(&("made", colour(value, colours))),
        Term::Text(pieces) => {
            let piece = |piece: &Piece| match piece {
                Piece::Plain(text) => hash(&("plain", text)),
                Piece::Made(value) => hash(&("made", colour(value, colours))),
            };
            hash(&("text", pieces.iter().map(piece).collect::<Vec<u64>>()))
        }
        Term::List(items) => hash(&("list", trees(items))),
        Term::Bag(items) => {
            let mut items = trees(items);
            items.sort_unstable();
            hash(&("bag", items))
        }
        Term::Map(fields) => {
            hash(&("map", fields.iter().map(|(name, value)| (name, tree(value, colours))).collect::<Vec<_>>()))
        }
        Term::Entries(entries) => hash(&("entries", sorted_entries(entries, colours))),
    }
}

fn sorted_entries(entries: &[(Term, Term)], colours: &Colours<'_>) -> Vec<(u64, u64)> {
    let mut entries: Vec<(u64, u64)> =
        entries.iter().map(|(name, value)| (tree(name, colours), tree(value, colours))).collect();
    entries.sort_unstable();
    entries
}

/// Tells every value where it stands: `context` is a number for what is around it.
fn occurrences<'a>(term: &'a Term, context: u64, colours: &Colours<'_>, heard: &mut BTreeMap<&'a str, Vec<u64>>) {
    match term {
        Term::Made(value) => heard.entry(value).or_default().push(context),
        Term::Text(pieces) => {
            for (index, piece) in pieces.iter().enumerate() {
                if let Piece::Made(value) = piece {
                    heard.entry(value).or_default().push(hash(&(context, index)));
                }
            }
        }
        Term::List(items) => {
            for (index, item) in items.iter().enumerate() {
                occurrences(item, hash(&(context, index)), colours, heard);
            }
        }
        // Within a bag only what an element is tells where it stands.
        Term::Bag(items) => items.iter().for_each(|item| {
            occurrences(item, hash(&(context, tree(item, colours))), colours, heard);
        }),
        Term::Map(fields) => {
            fields.iter().for_each(|(name, value)| occurrences(value, hash(&(context, name)), colours, heard));
        }
        Term::Entries(entries) => {
            for (name, value) in entries {
                let context = hash(&(context, tree(name, colours), tree(value, colours)));
                occurrences(name, hash(&(context, "name")), colours, heard);
                occurrences(value, hash(&(context, "value")), colours, heard);
            }
        }
        Term::Literal(_) | Term::Int(_) | Term::Masked => {}
    }
}

/// Writes terms down; values are numbered as they come.
struct Writer<'w, 'a> {
    colours: &'w Colours<'a>,
    numbers: BTreeMap<String, usize>,
    text: String,
}

impl Writer<'_, '_> {
    fn item(&mut self, label: &str, term: &Term) {
        self.text.push_str(label);
        self.text.push('=');
        self.write(term);
        self.text.push('\n');
    }

    fn made(&mut self, value: &str) {
        let next = self.numbers.len() + 1;
        let number = *self.numbers.entry(value.to_owned()).or_insert(next);
        self.text.push_str(&format!("<{number}>"));
    }

    fn all<'t>(&mut self, items: impl Iterator<Item = &'t Term>) {
        for item in items {
            self.write(item);
            self.text.push(',');
        }
    }

    fn write(&mut self, term: &Term) {
        match term {
            Term::Literal(text) => self.text.push_str(text),
            Term::Int(number) => self.text.push_str(&number.to_string()),
            Term::Masked => self.text.push('?'),
            Term::Made(value) => self.made(value),
            Term::Text(pieces) => {
                self.text.push('"');
                for piece in pieces {
                    match piece {
                        Piece::Plain(text) => self.text.push_str(&text.escape_debug().to_string()),
                        Piece::Made(value) => self.made(value),
                    }
                }
                self.text.push('"');
            }
            Term::List(items) => {
                self.text.push('[');
                self.all(items.iter());
                self.text.push(']');
            }
            Term::Bag(items) => {
                let mut items: Vec<&Term> = items.iter().collect();
                items.sort_by_key(|item| tree(item, self.colours));
                self.text.push_str("bag[");
                self.all(items.into_iter());
                self.text.push(']');
            }
            Term::Map(fields) => {
                self.text.push('{');
                for (name, value) in fields {
                    self.text.push_str(&name.escape_debug().to_string());
                    self.text.push(':');
                    self.write(value);
                    self.text.push(',');
                }
                self.text.push('}');
            }
            Term::Entries(entries) => {
                let mut entries: Vec<&(Term, Term)> = entries.iter().collect();
                entries.sort_by_key(|(name, value)| (tree(name, self.colours), tree(value, self.colours)));
                self.text.push_str("entries{");
                for (name, value) in entries {
                    self.all([name, value].into_iter());
                }
                self.text.push('}');
            }
        }
    }
}
