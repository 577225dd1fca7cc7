//! `[[invariant]]`.

use std::collections::BTreeMap;

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file_observe::{self, Bounds};
use super::super::model::TargetSpec;
use super::super::observed::{Expected, InvariantSpec, ObserveSpec};
use super::super::rules::NumberSpec;
use super::super::template::Scope;
use super::super::values::Bound;
use super::super::workloads::WorkloadKind;
use super::Check;
use super::numbers::{Around, is_about_numbers};
use super::request::Kind;

/// Stages that write: an invariant only reads.
const WRITING: [&str; 2] = ["$out", "$merge"];

impl Check<'_> {
    /// The user's own invariants: aggregations, and rules about numbers.
    pub(super) fn invariants(
        &mut self,
        invariants: Vec<Spanned<file_observe::Invariant>>,
        workload: Option<WorkloadKind>,
        target: Option<&TargetSpec>,
        observe: Option<&ObserveSpec>,
    ) -> Option<(Vec<InvariantSpec>, Vec<NumberSpec>)> {
        let mut names: BTreeMap<String, std::ops::Range<usize>> = BTreeMap::new();
        let (mut specs, mut numbers) = (Vec::new(), Vec::new());
        for invariant in invariants {
            if let Some(name) = &invariant.get_ref().name
                && let Some(first) = names.insert(name.get_ref().clone(), name.span())
            {
                let problem = Problem::at(name.span(), "two invariants have this name").related(first, "the other one");
                self.problems.push(problem);
            }
            match is_about_numbers(invariant.get_ref()) {
                true => numbers.push(self.numbers(invariant, Around { workload, target, observe })),
                false => specs.push(self.own_invariant(invariant)),
            }
        }
        let specs: Option<Vec<InvariantSpec>> = specs.into_iter().collect();
        specs.zip(numbers.into_iter().collect())
    }

    fn own_invariant(&mut self, invariant: Spanned<file_observe::Invariant>) -> Option<InvariantSpec> {
        let span = invariant.span();
        let invariant = invariant.into_inner();
        self.only_of_numbers(&invariant);
        let name = self.required(invariant.name, "name", "[invariant]", Some(&span));
        let name = name.and_then(|name| match name.get_ref().trim().is_empty() {
            true => self.note(Problem::at(name.span(), "the name is empty")),
            false => Some(name.into_inner()),
        });
        let collection = self.required(invariant.collection, "collection", "[invariant]", Some(&span));
        let collection = collection.and_then(|text| self.template(&text, Scope::Run, Kind::Open));
        let pipeline = self.required(invariant.pipeline, "pipeline", "[invariant]", Some(&span));
        if let Some(text) = &pipeline {
            self.pipeline(text);
        }
        let pipeline = pipeline.and_then(|text| self.template(&text, Scope::Run, Kind::Open));
        let expect = self.required(invariant.expect, "expect", "[invariant]", Some(&span));
        let expect = expect.and_then(|expect| self.expected(expect));
        let within = match &invariant.within {
            Some(text) => self.duration(text, "within", true),
            None => Some(std::time::Duration::ZERO),
        };
        let database = match invariant.database {
            Some(database) => self.database(database).map(Some),
            None => Some(None),
        };
        Some(InvariantSpec {
            name: name?,
            database: database?,
            collection: collection?,
            pipeline: pipeline?,
            expect: expect?,
            within: within?,
        })
    }

    /// Keys that only a rule about numbers has.
    fn only_of_numbers(&mut self, invariant: &file_observe::Invariant) {
        let places = [
            ("key", invariant.key.as_ref().map(Spanned::span)),
            ("gaps", invariant.gaps.as_ref().map(Spanned::span)),
            ("operations", invariant.operations.first().map(Spanned::span)),
        ];
        for (key, place) in places {
            if let Some(place) = place {
                let problem = Problem::at(place, format!("`{key}` belongs to a rule about numbers"));
                self.problems.push(problem.help("write `per = \"key\"`, `at_most` or `distinct`"));
            }
        }
    }

    /// The pipeline must be a list of stages that only read. A template may complete it, so it is read with a stand-in.
    pub(super) fn pipeline(&mut self, text: &Spanned<String>) {
        let mut plain = text.get_ref().clone();
        while let Some(start) = plain.find("{{") {
            let Some(end) = plain[start..].find("}}").map(|end| start + end + 2) else { break };
            plain.replace_range(start..end, "0");
        }
        let help = "write a list of stages as JSON: '''[ { \"$match\": { \"chat\": null } } ]'''";
        let problem = match serde_json::from_str::<Vec<serde_json::Map<String, serde_json::Value>>>(&plain) {
            Ok(stages) => {
                let writing = stages.iter().flat_map(|stage| stage.keys()).find(|key| WRITING.contains(&key.as_str()));
                let Some(stage) = writing else { return };
                Problem::at(text.span(), format!("an invariant only reads, and `{stage}` writes"))
            }
            Err(error) => Problem::at(text.span(), format!("not an aggregation: {error}")).help(help),
        };
        self.problems.push(problem);
    }

    /// A bound on what the whole aggregation gives is a number.
    fn plain(&mut self, bound: &Spanned<Bound>) -> Option<f64> {
        match bound.get_ref() {
            Bound::Number(number) => Some(*number),
            Bound::Text(_) => self.note(
                Problem::at(bound.span(), "an expression over what was done is judged key by key")
                    .help("write `per = \"key\"`: then the aggregation gives one document per key"),
            ),
        }
    }

    fn expected(&mut self, expect: Spanned<file_observe::Expected>) -> Option<Expected> {
        let span = expect.span();
        match expect.into_inner() {
            file_observe::Expected::Word(word) => {
                self.word(&Spanned::new(span, word), "expectation", &[("empty", Expected::Empty)])
            }
            file_observe::Expected::Exactly(number) => Some(Expected::Number { min: number, max: number }),
            file_observe::Expected::Bounds(Bounds { min: None, max: None }) => {
                self.note(Problem::at(span, "no bound is given").help("write `{ min = 1 }`, `{ max = 1 }` or both"))
            }
            file_observe::Expected::Bounds(Bounds { min, max }) => {
                let min = min.map_or(Some(f64::NEG_INFINITY), |bound| self.plain(&bound))?;
                let max = max.map_or(Some(f64::INFINITY), |bound| self.plain(&bound))?;
                match min <= max {
                    true => Some(Expected::Number { min, max }),
                    false => self.note(Problem::at(span, "`min` is larger than `max`")),
                }
            }
        }
    }
}
