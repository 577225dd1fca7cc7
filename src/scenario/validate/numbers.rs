//! Rules about numbers: `[[invariant]]` with `per`, `at_most` or `distinct`.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file_observe::{self, Bounds, Invariant};
use super::super::model::TargetSpec;
use super::super::observed::ObserveSpec;
use super::super::rules::{BoundsSpec, Distinct, NumberSpec, Per};
use super::super::template::Scope;
use super::super::values::Bound;
use super::super::workloads::WorkloadKind;
use super::Check;
use super::request::Kind;
use crate::verdict::Expression;

const PERS: [(&str, Per); 2] = [("key", Per::Key), ("run", Per::Run)];
const DISTINCTS: [(&str, Distinct); 1] = [("number", Distinct::Number)];
/// What is counted, of all operations and of each.
const COUNTS: [&str; 4] = ["acknowledged", "refused", "unknown", "clients"];

/// What the rest of the scenario says.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) workload: Option<WorkloadKind>,
    pub(super) target: Option<&'a TargetSpec>,
    pub(super) observe: Option<&'a ObserveSpec>,
}

/// Whether an invariant is a rule about numbers.
pub(super) fn is_about_numbers(invariant: &Invariant) -> bool {
    let per_key = invariant.per.as_ref().is_some_and(|per| per.get_ref() != "run");
    per_key || invariant.at_most.is_some() || invariant.distinct.is_some() || invariant.value.is_some()
}

impl Check<'_> {
    /// One rule about numbers.
    pub(super) fn numbers(&mut self, invariant: Spanned<Invariant>, around: Around<'_>) -> Option<NumberSpec> {
        let span = invariant.span();
        let invariant = invariant.into_inner();
        let before = self.problems.len();
        let workload = around.workload?;
        let http = match around.target? {
            TargetSpec::Http(http) => http,
            TargetSpec::Mongo(_) => {
                return self.note(
                    Problem::at(span, "rules about numbers are judged over HTTP")
                        .help("the operations of `[target.mongo]` have invariants of their own"),
                );
            }
        };
        let known: Vec<&str> = http.operations.keys().map(String::as_str).collect();
        self.one_demand(&invariant, &span);
        self.one_source(&invariant, &span, around);
        let name = self.required(invariant.name, "name", "[invariant]", Some(&span));
        let per = invariant.per.as_ref().map_or(Some(Per::Key), |word| self.word(word, "scope", &PERS));
        let operations = self.operation_names(&invariant.operations, &known);
        let value = invariant.value.as_ref().and_then(|path| self.json_path(path));
        let collection = invariant.collection.and_then(|text| self.template(&text, Scope::Run, Kind::Open));
        if let Some(text) = &invariant.pipeline {
            self.pipeline(text);
        }
        let pipeline = invariant.pipeline.and_then(|text| self.template(&text, Scope::Run, Kind::Open));
        let key = invariant.key.and_then(|text| self.template(&text, Scope::Request(workload), Kind::Open));
        let at_most = invariant.at_most.and_then(|most| self.count(&most, "at_most", 0..=1_000_000_000));
        let distinct = invariant.distinct.and_then(|word| self.word(&word, "kind of distinct value", &DISTINCTS));
        let within = match &invariant.within {
            Some(text) => self.duration(text, "within", true),
            None => Some(Duration::ZERO),
        };
        if let (Some(gaps), None) = (&invariant.gaps, distinct) {
            self.problems.push(Problem::at(gaps.span(), "`gaps` belongs to `distinct`").help("leave it out"));
        }
        let expect = invariant.expect.and_then(|expect| self.bounds(expect, &known));
        let database = invariant.database.and_then(|database| self.database(database));
        if per == Some(Per::Run) && expect.is_some() {
            self.problems.push(
                Problem::at(span, "a bound over what was done is one per key")
                    .help("write `per = \"key\"`, or leave `value` out and let the aggregation give one number"),
            );
        }
        if self.problems.len() > before {
            return None;
        }
        let gaps = invariant.gaps.is_some_and(Spanned::into_inner);
        Some(NumberSpec {
            name: name?.into_inner(),
            per: per?,
            operations: operations?,
            value,
            database,
            collection,
            pipeline,
            key,
            at_most,
            distinct,
            gaps,
            expect,
            within: within?,
        })
    }

    /// A rule demands one thing.
    fn one_demand(&mut self, invariant: &Invariant, span: &Range<usize>) {
        let demands = [
            invariant.expect.as_ref().map(Spanned::span),
            invariant.at_most.as_ref().map(Spanned::span),
            invariant.distinct.as_ref().map(Spanned::span),
        ];
        let mut demands = demands.into_iter().flatten();
        match (demands.next(), demands.next()) {
            (None, _) => self
                .problems
                .push(Problem::at(span.clone(), "nothing is demanded").help(
                    "write `expect = { min = \"NAME.acknowledged\" }`, `at_most = 3` or `distinct = \"number\"`",
                )),
            (Some(one), Some(other)) => {
                self.problems.push(Problem::at(other, "one invariant demands one thing").related(one, "the other one"))
            }
            _ => {}
        }
    }

    /// Its values come from one place.
    fn one_source(&mut self, invariant: &Invariant, span: &Range<usize>, around: Around<'_>) {
        let observed = around.observe.is_none_or(|observe| observe.mongo.is_some() || observe.http.is_some());
        match (&invariant.value, &invariant.pipeline, &invariant.collection) {
            (Some(value), Some(pipeline), _) => self.problems.push(
                Problem::at(value.span(), "a value comes from one place").related(pipeline.span(), "the aggregation"),
            ),
            (Some(value), ..) if !observed => self.problems.push(
                Problem::at(value.span(), "`value` is read from the observed documents")
                    .help("say where these are: `[observe.mongo]` or `[observe.http]`"),
            ),
            (None, Some(pipeline), None) => {
                self.problems.push(Problem::at(pipeline.span(), "`collection` is missing beside `pipeline`"));
            }
            (None, None, Some(collection)) => {
                self.problems.push(Problem::at(collection.span(), "`pipeline` is missing beside `collection`"));
            }
            (None, None, None) if invariant.expect.is_some() => self.problems.push(
                Problem::at(span.clone(), "nothing says what the value of a key is")
                    .help("write `collection` and `pipeline`, or `value`, a JSONPath in the observed document"),
            ),
            (None, None, None) if invariant.distinct.is_some() && !tells_numbers(around) => self.problems.push(
                Problem::at(span.clone(), "no answer tells a number")
                    .help("say where one has it: `outcome = { number = \"$.number\" }` of an operation"),
            ),
            _ => {}
        }
        if let (Some(within), None, None) = (&invariant.within, &invariant.value, &invariant.pipeline) {
            let problem = Problem::at(within.span(), "`within` is for what is read after the load");
            self.problems.push(problem.help("leave it out: this rule is judged from the answers alone"));
        }
    }

    /// Names of operations that the scenario has.
    pub(super) fn operation_names(&mut self, names: &[Spanned<String>], known: &[&str]) -> Option<Vec<String>> {
        let mut operations = Some(Vec::new());
        for name in names {
            if known.contains(&name.get_ref().as_str()) {
                operations.iter_mut().for_each(|operations| operations.push(name.get_ref().clone()));
            } else {
                operations =
                    self.note(Problem::unknown(name.span(), "operation", name.get_ref(), known.iter().copied()));
            }
        }
        operations
    }

    fn bounds(&mut self, expect: Spanned<file_observe::Expected>, known: &[&str]) -> Option<BoundsSpec> {
        let span = expect.span();
        match expect.into_inner() {
            file_observe::Expected::Word(word) => {
                let exactly = self.expression(&Spanned::new(span, Bound::Text(word)), known)?;
                Some(BoundsSpec { min: Some(exactly.clone()), max: Some(exactly) })
            }
            file_observe::Expected::Exactly(number) => {
                let exactly = Expression::number(number);
                Some(BoundsSpec { min: Some(exactly.clone()), max: Some(exactly) })
            }
            file_observe::Expected::Bounds(Bounds { min: None, max: None }) => {
                self.note(Problem::at(span, "no bound is given").help("write `{ min = 1 }`, `{ max = 1 }` or both"))
            }
            file_observe::Expected::Bounds(Bounds { min, max }) => {
                let mut bound = |bound: Option<Spanned<Bound>>| match bound {
                    Some(bound) => self.expression(&bound, known).map(Some),
                    None => Some(None),
                };
                let (min, max) = (bound(min), bound(max));
                Some(BoundsSpec { min: min?, max: max? })
            }
        }
    }

    /// An expression over counts that exist.
    fn expression(&mut self, bound: &Spanned<Bound>, known: &[&str]) -> Option<Expression> {
        let text = match bound.get_ref() {
            Bound::Number(number) => return Some(Expression::number(*number)),
            Bound::Text(text) => text,
        };
        let expression = match Expression::parse(text) {
            Ok(expression) => expression,
            Err(mistake) => {
                let place = self.sources.inside(&bound.span(), text, &mistake.part);
                return self.note(
                    Problem::at(place, format!("not an expression: {}", mistake.message))
                        .help("write a number, or such as `like.acknowledged + like.unknown`"),
                );
            }
        };
        let names: Vec<String> = COUNTS.iter().map(|count| (*count).to_owned()).collect();
        let of_one = known.iter().flat_map(|name| COUNTS.iter().map(move |count| format!("{name}.{count}")));
        let names: Vec<String> = names.into_iter().chain(of_one).collect();
        for name in expression.names() {
            if !names.iter().any(|known| **known == *name) {
                let at = text.find(&*name).unwrap_or_default();
                let place = self.sources.inside(&bound.span(), text, &(at..at + name.len()));
                return self.note(Problem::unknown(place, "count", &name, names.iter().map(String::as_str)));
            }
        }
        Some(expression)
    }
}

fn tells_numbers(around: Around<'_>) -> bool {
    let http = around.target.and_then(TargetSpec::http);
    http.is_none_or(|http| http.operations.values().any(|operation| operation.outcome.contains_key("number")))
}
