//! `--set key=value`: puts values into the parsed file before anything else looks at it. One function, [`apply`].
//!
//! The value is read as TOML and, where it is none, taken as a string, so that `--set target.mongo.strategy=upsert` needs
//! no quotes. Spans point into the argument, so that a mistake in it is shown there and not in the file.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::diagnostic::Problem;
use super::source::{Source, Sources};

/// One step of a dotted key.
type Step<'i> = Spanned<DeString<'i>>;

/// Applies each argument in turn; a later one wins.
pub(super) fn apply<'i>(table: &mut DeTable<'i>, sources: &'i Sources) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in sources.overrides() {
        let applied = parse(source).and_then(|(steps, value)| insert(table, steps, value));
        problems.extend(applied.err().map(|problem| *problem));
    }
    problems
}

/// The steps of the key and the value, with spans in the common space of offsets.
fn parse(source: &Source) -> Result<(Vec<Step<'_>>, Spanned<DeValue<'_>>), Box<Problem>> {
    let whole = source.base..source.base + source.text.len();
    let mut splits = source.text.match_indices('=').map(|(at, _)| (&source.text[..at], &source.text[at + 1..]));
    let Some((key, value)) = splits.next() else {
        let problem = Problem::at(whole, "`--set` takes `key=value`").help(
            "the key is dotted, the value is TOML or a word: --set load.burst.clients=50, --set target.mongo.strategy=upsert",
        );
        return Err(Box::new(problem));
    };
    let (key, value, steps) = match parse_key(key) {
        Ok(steps) => (key, value, steps),
        Err((span, message)) => {
            // The first `=` may stand in a quoted key; then a later one ends it.
            let quoted = splits.find_map(|(key, value)| parse_key(key).ok().map(|steps| (key, value, steps)));
            quoted.ok_or_else(|| {
                let span = source.base + span.start..source.base + span.end;
                Box::new(Problem::at(span, format!("`{}` is no dotted key", key.trim())).label(message))
            })?
        }
    };
    let steps = steps.into_iter().map(|step| shift_key(step, source.base)).collect();

    let indent = value.len() - value.trim_start().len();
    let start = source.base + key.len() + 1 + indent;
    let value = value.trim();
    let value = match DeValue::parse(value) {
        Ok(parsed) => shift(parsed, start),
        Err(_) => Spanned::new(start..start + value.len(), DeValue::String(Cow::Borrowed(value))),
    };
    Ok((steps, value))
}

/// A dotted key is read by TOML's own rules, so that `expect.invariants."custom:mine"` works.
fn parse_key(key: &str) -> Result<Vec<Step<'static>>, (Range<usize>, String)> {
    let document = format!("{key}=0");
    let parsed = DeTable::parse(&document).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        (span.start.min(key.len())..span.end.min(key.len()), error.message().to_owned())
    })?;
    let mut steps = Vec::new();
    let mut table = parsed.into_inner();
    loop {
        // A key with a line feed would make a document of two: only one way leads down.
        if table.len() != 1 {
            return Err((0..key.len(), "one key is wanted".to_owned()));
        }
        let Some((step, value)) = table.into_iter().next() else {
            return Ok(steps);
        };
        let span = step.span();
        steps.push(Spanned::new(span, Cow::Owned(step.into_inner().into_owned())));
        match value.into_inner() {
            DeValue::Table(inner) => table = inner,
            _ => return Ok(steps),
        }
    }
}

/// Walks down the steps, makes the tables that are missing, and sets the last.
fn insert<'i>(
    mut table: &mut DeTable<'i>,
    mut steps: Vec<Step<'i>>,
    value: Spanned<DeValue<'i>>,
) -> Result<(), Box<Problem>> {
    let Some(last) = steps.pop() else { return Ok(()) };
    for step in steps {
        let span = step.span();
        let name = step.get_ref().to_string();
        let entry = table.entry(step).or_insert_with(|| Spanned::new(span.clone(), DeValue::Table(DeTable::new())));
        let found = entry.span();
        match entry.get_mut() {
            DeValue::Table(inner) => table = inner,
            _ => {
                let problem = Problem::at(span, format!("`{name}` is a value, not a table: nothing can be set in it"));
                return Err(Box::new(problem.related(found, "its value")));
            }
        }
    }
    // Removed first: a map keeps its old key, whose span is the file's.
    table.remove(last.get_ref().as_ref());
    table.insert(last, value);
    Ok(())
}

fn shift_key(key: Step<'_>, base: usize) -> Step<'_> {
    let span = key.span();
    Spanned::new(span.start + base..span.end + base, key.into_inner())
}

fn shift(value: Spanned<DeValue<'_>>, base: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    let inner = match value.into_inner() {
        DeValue::Array(items) => DeValue::Array(items.into_iter().map(|item| shift(item, base)).collect()),
        DeValue::Table(entries) => {
            DeValue::Table(entries.into_iter().map(|(key, value)| (shift_key(key, base), shift(value, base))).collect())
        }
        scalar => scalar,
    };
    Spanned::new(span.start + base..span.end + base, inner)
}
