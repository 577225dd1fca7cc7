//! `[expect]`: verdicts and thresholds.

use std::collections::BTreeMap;

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file;
use super::super::model::{Expectation, Metric, Threshold};
use super::super::threshold;
use super::super::workloads::WorkloadKind;
use super::Check;
use crate::verdict::{Invariant, Verdict};

/// What a scenario may expect.
const VERDICTS: [(&str, Verdict); 3] =
    [("holds", Verdict::Holds), ("violated", Verdict::Violated), ("inconclusive", Verdict::Inconclusive)];

impl Check<'_> {
    /// What it takes to exit 0.
    pub(super) fn expect(
        &mut self,
        expect: file::Expect,
        workload: Option<WorkloadKind>,
        own: &[String],
        over_http: bool,
    ) -> Option<Expectation> {
        let verdict = match &expect.verdict {
            Some(word) => self.word(word, "verdict", &VERDICTS).map(Some),
            None => Some(None),
        };
        let mut invariants = BTreeMap::new();
        for (name, verdict) in &expect.invariants {
            let invariant = self.invariant(name);
            let verdict = self.word(verdict, "verdict", &VERDICTS);
            invariants.extend(invariant.zip(verdict));
        }
        let ignore: Vec<Invariant> = expect.ignore.iter().filter_map(|name| self.invariant(name)).collect();
        if let Some(name) = expect
            .ignore
            .iter()
            .find(|ignored| expect.invariants.keys().any(|expected| expected.get_ref() == ignored.get_ref()))
        {
            let problem = Problem::at(name.span(), format!("`{}` cannot be expected and ignored", name.get_ref()));
            self.problems.push(problem.help("keep one of the two"));
        }
        // Of an unknown workload nothing more can be said: its own mistake is reported.
        let workload = workload?;
        let mut operations: Vec<&str> = workload.operations().collect();
        operations
            .extend(own.iter().map(String::as_str).filter(|name| workload.operations().all(|known| known != *name)));
        let thresholds: Vec<Threshold> =
            expect.thresholds.iter().filter_map(|text| self.threshold(text, &operations, over_http)).collect();
        Some(Expectation { verdict: verdict?, invariants, ignore, thresholds })
    }

    fn invariant(&mut self, name: &Spanned<String>) -> Option<Invariant> {
        match name.get_ref().parse() {
            Ok(Invariant::Custom(own)) if own.trim().is_empty() => {
                self.note(Problem::at(name.span(), "the custom invariant has no name").help("write `custom:NAME`"))
            }
            Ok(invariant) => Some(invariant),
            Err(_) => {
                let known = Invariant::NAMED.map(|invariant| invariant.to_string());
                let problem = Problem::at(name.span(), format!("unknown invariant `{}`", name.get_ref()));
                self.note_word(problem, name.get_ref(), &known)
            }
        }
    }

    fn threshold(&mut self, text: &Spanned<String>, operations: &[&str], over_http: bool) -> Option<Threshold> {
        match threshold::parse(text.get_ref(), operations) {
            // What a service handles itself, no answer shows: the rate would always look too good.
            Ok(Threshold { metric: Metric::DuplicateKeyRate, .. }) if over_http => {
                let problem = Problem::at(text.span(), "`duplicate_key_rate` cannot be measured over HTTP");
                self.note(problem.help("measure it with `[target.mongo]`, or see the counters of `onlyone audit`"))
            }
            Ok(threshold) => Some(threshold),
            Err(mistake) => {
                let place = self.sources.inside(&text.span(), text.get_ref(), &mistake.part);
                let problem = Problem::at(place, mistake.message);
                match (mistake.word, mistake.help) {
                    (Some((word, known)), _) => self.note_word(problem, &word, &known),
                    (None, Some(help)) => self.note(problem.help(help)),
                    (None, None) => self.note(problem),
                }
            }
        }
    }
}
