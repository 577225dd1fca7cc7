//! `${NAME}` and `${NAME:-default}` in string values. Main function: [`expand`].
//!
//! As in a shell, the default also stands in for an empty variable. `$${` is a literal `${`; a `$` before anything else is
//! itself, because queries (`$match`, `$$ROOT`) and paths (`$.id`) are full of them. The process's environment is not
//! read here: the caller hands in the look-up.

use std::borrow::Cow;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::diagnostic::Problem;
use super::source::Sources;
use super::validate::names_a_secret;

/// Looks a variable up.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A value that came from the environment: it may be a secret, so no message may quote it.
#[derive(Clone, PartialEq)]
pub(super) struct Expansion {
    /// The string value that it became part of.
    pub(super) span: Range<usize>,
    /// Name of the variable.
    pub(super) name: String,
    /// What it held.
    pub(super) value: String,
    /// Whether it chose a variant: it is the whole of a value that has a default, where no credential stands.
    pub(super) chose: bool,
}

/// A variable of the environment that the scenario took a value from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it held, where that is a plain word and chose a variant; anything else may be a secret.
    pub shown: Option<String>,
}

/// The variables that the scenario took values from, each once.
pub(super) fn variables(expansions: &[Expansion]) -> Vec<Variable> {
    const LONGEST: usize = 24;
    let plain = |value: &str| {
        value.len() <= LONGEST && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let mut variables: Vec<Variable> = Vec::new();
    for Expansion { name, value, chose, .. } in expansions {
        let shown = (*chose && !names_a_secret(name) && plain(value)).then(|| value.clone());
        match variables.iter_mut().find(|variable| variable.name == *name) {
            // What is hidden in one place is hidden everywhere.
            Some(known) => known.shown = known.shown.take().filter(|_| shown.is_some()),
            None => variables.push(Variable { name: name.clone(), shown }),
        }
    }
    variables
}

/// Expands every string value, in place, and notes what came from the environment.
pub(super) fn expand(
    table: &mut DeTable<'_>,
    sources: &Sources,
    environment: Environment<'_>,
    expansions: &mut Vec<Expansion>,
) -> Vec<Problem> {
    let mut walk = Walk { sources, environment, expansions, problems: Vec::new(), secret: false };
    walk.entries(table);
    walk.problems
}

/// Keeps every quotation of an expanded value out of a problem's texts.
pub(super) fn mask(problem: &mut Problem, expansions: &[Expansion]) {
    let Some(place) = problem.span.clone() else { return };
    let touches = |span: &Range<usize>| span.start < place.end.max(place.start + 1) && place.start < span.end;
    let quotable = |expansion: &&Expansion| !expansion.value.is_empty() && touches(&expansion.span);
    for Expansion { value, name, .. } in expansions.iter().filter(quotable) {
        let escaped = format!("{value:?}");
        let hidden = format!("${{{name}}}");
        problem.map_texts(|text| {
            let text = text.replace(escaped.trim_matches('"'), &hidden).replace(value.as_str(), &hidden);
            // A message may also quote a part of it, in backticks: every other piece between them.
            let quoted = |(index, piece): (usize, &str)| match index % 2 == 1 && value.contains(piece) {
                true => hidden.clone(),
                false => piece.to_owned(),
            };
            text.split('`').enumerate().map(quoted).collect::<Vec<_>>().join("`")
        });
    }
}

struct Walk<'a> {
    sources: &'a Sources,
    environment: Environment<'a>,
    expansions: &'a mut Vec<Expansion>,
    problems: Vec<Problem>,
    /// Whether a key on the way to the value names a credential.
    secret: bool,
}

impl Walk<'_> {
    fn entries(&mut self, table: &mut DeTable<'_>) {
        let outside = self.secret;
        for (name, value) in table.iter_mut() {
            self.secret = outside || names_a_secret(name.get_ref());
            let span = value.span();
            self.value(value.get_mut(), &span);
        }
        self.secret = outside;
    }

    fn value(&mut self, value: &mut DeValue<'_>, span: &Range<usize>) {
        match value {
            DeValue::String(text) if text.contains("${") => match self.text(text, span) {
                Ok(expanded) => *text = Cow::Owned(expanded),
                Err(problem) => self.problems.push(*problem),
            },
            DeValue::Array(items) => {
                for item in items.iter_mut() {
                    let span = item.span();
                    self.value(item.get_mut(), &span);
                }
            }
            DeValue::Table(entries) => self.entries(entries),
            _ => {}
        }
    }

    fn text(&mut self, text: &str, span: &Range<usize>) -> Result<String, Box<Problem>> {
        let mut expanded = String::new();
        let mut at = 0;
        while let Some(found) = text[at..].find("${").map(|offset| at + offset) {
            if text[at..found].ends_with('$') {
                expanded.push_str(&text[at..found - 1]);
                expanded.push_str("${");
                at = found + 2;
                continue;
            }
            expanded.push_str(&text[at..found]);
            let place = |end: usize| self.sources.inside(span, text, &(found..end));
            let Some(end) = text[found..].find('}').map(|offset| found + offset + 1) else {
                return Err(Box::new(
                    Problem::at(place(text.len()), "`${` has no `}`").help("write `$${` for a literal `${`"),
                ));
            };
            let inner = &text[found + 2..end - 1];
            let (name, default) = match inner.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inner, None),
            };
            if !is_name(name) {
                return Err(Box::new(
                    Problem::at(place(end), format!("`{name}` is no name of an environment variable"))
                        .help("write `${NAME}` or `${NAME:-default}`; `$${` is a literal `${`"),
                ));
            }
            match ((self.environment)(name), default) {
                (Some(value), None) => expanded.push_str(&self.note(span, name, value, false)),
                (Some(value), Some(_)) if !value.is_empty() => {
                    let whole = found == 0 && end == text.len();
                    expanded.push_str(&self.note(span, name, value, whole));
                }
                (_, Some(default)) => expanded.push_str(default),
                (None, None) => {
                    return Err(Box::new(
                        Problem::at(place(end), format!("the environment variable `{name}` is not set"))
                            .help(format!("set it, or give a default: `${{{name}:-default}}`")),
                    ));
                }
            }
            at = end;
        }
        expanded.push_str(&text[at..]);
        Ok(expanded)
    }

    fn note(&mut self, span: &Range<usize>, name: &str, value: String, chose: bool) -> String {
        let chose = chose && !self.secret;
        self.expansions.push(Expansion { span: span.clone(), name: name.to_owned(), value: value.clone(), chose });
        value
    }
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        let file = format!("x = '{text}'");
        let sources = Sources::new("a.toml".into(), file.clone(), &[]);
        let mut table = DeTable::parse(&file).unwrap().into_inner();
        let environment = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let problems = expand(&mut table, &sources, &environment, &mut Vec::new());
        match problems.first() {
            Some(problem) => Err(file[problem.span.clone().unwrap()].to_owned()),
            None => Ok(table["x"].get_ref().as_str().unwrap().to_owned()),
        }
    }

    #[test]
    fn variables_are_expanded_and_other_dollars_left_alone() {
        let cases = [
            ("plain", "plain"),
            ("${SET}", "value"),
            ("a-${SET}-${SET}-b", "a-value-value-b"),
            ("${UNSET:-other}", "other"),
            ("${SET:-other}", "value"),
            ("${EMPTY:-other}", "other"),
            ("${EMPTY}", ""),
            ("${UNSET:-}", ""),
            ("$${SET}", "${SET}"),
            ("$match $$ROOT $.id $", "$match $$ROOT $.id $"),
            ("ü${SET}ü", "üvalueü"),
        ];
        for (text, expected) in cases {
            assert_eq!(expanded(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_variant_is_shown_and_what_may_be_a_secret_is_not() {
        let cases = [
            ("env.MODE = '${MODE:-buggy}'", Some("fixed")),
            ("env.MODE = '${MODE}'", None),
            ("env.MODE = 'a-${MODE:-buggy}'", None),
            ("env.API_TOKEN = '${MODE:-buggy}'", None),
            ("headers.Authorization = '${MODE:-buggy}'\nenv.MODE = '${MODE:-buggy}'", None),
            ("env.MODE = '${DB_PASSWORD:-x}'", None),
            ("env.MODE = '${ODD:-x}'", None),
        ];
        for (file, shown) in cases {
            let sources = Sources::new("a.toml".into(), file.to_owned(), &[]);
            let mut table = DeTable::parse(file).unwrap().into_inner();
            let environment = |name: &str| Some(if name == "ODD" { "mongodb://u:p@h/" } else { "fixed" }.to_owned());
            let mut expansions = Vec::new();
            assert!(expand(&mut table, &sources, &environment, &mut expansions).is_empty());
            let variables = variables(&expansions);
            assert_eq!(variables.len(), 1, "{file}");
            assert_eq!(variables[0].shown.as_deref(), shown, "{file}");
        }
    }

    #[test]
    fn mistakes_are_found_at_their_place() {
        for (text, place) in
            [("a ${UNSET} b", "${UNSET}"), ("a ${SET b", "${SET b"), ("${A-B}", "${A-B}"), ("${}", "${}")]
        {
            assert_eq!(expanded(text), Err(place.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_value_from_the_environment_is_never_quoted() {
        let expansion = Expansion { span: 0..1, name: "PW".into(), value: "se\"cret".into(), chose: false };
        let mut problem = Problem::at(0..1, r#"invalid type: string "a se\"cret""#).label("`se\"cret`");
        mask(&mut problem, &[expansion]);
        assert_eq!(problem.message, r#"invalid type: string "a ${PW}""#);
        assert_eq!(problem.label.as_deref(), Some("`${PW}`"));
    }
}
