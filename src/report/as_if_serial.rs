//! What the serial runs of the same requests say of an exploration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::verdict::{Invariant, InvariantResult, Verdict, Witness};

/// Interleavings held against serial runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AsIfSerialReport {
    /// What is known.
    pub verdict: Verdict,
    /// Executions that were judged.
    pub judged: u64,
    /// Those with an outcome that no order has.
    pub violations: u64,
    /// How many are of each class: `serial`, `refused`, `mixed`, `anomaly-lasting`, `anomaly-status`, `anomaly-answer`.
    pub classes: BTreeMap<String, u64>,
    /// Places whose values vary between repetitions of one order, or that the scenario leaves out.
    pub not_compared: Vec<String>,
    /// Different outcomes of the serial runs of all requests.
    pub serial_outcomes: u64,
    /// Serial runs.
    pub serial_runs: u64,
    /// How often each order was carried out.
    pub repetitions: u64,
    /// What each class that occurs means.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sentences: Vec<String>,
    /// Why nothing can be concluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inconclusive: Option<String>,
    /// The requests do not meet: no document that one of them wrote was read or written by another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
    /// What the rule cannot see here, or should be read with care.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The operations of the requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// The schedule of the violation that is easiest to read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schedule: String,
    /// What `--schedule` takes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub choices: String,
    /// So many of its requests come first, one after another: what `--in-turn` takes.
    #[serde(default, skip_serializing_if = "none_in_turn")]
    pub in_turn: usize,
    /// Its key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// The serial order whose outcome is nearest: `1 then 2`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub nearest: String,
    /// The first difference in one sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub in_words: String,
    /// Field by field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<FieldDifference>,
    /// Operation against operation.
    pub pairs: Vec<PairResult>,
    /// The weak form, of a run: bursts of so many equal requests, whose interleavings nobody chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bursts_of: Option<u32>,
}

impl Default for AsIfSerialReport {
    fn default() -> Self {
        AsIfSerialReport {
            verdict: Verdict::Inconclusive,
            judged: 0,
            violations: 0,
            classes: BTreeMap::new(),
            not_compared: Vec::new(),
            serial_outcomes: 0,
            serial_runs: 0,
            repetitions: 0,
            sentences: Vec::new(),
            inconclusive: None,
            apart: false,
            notes: Vec::new(),
            operations: Vec::new(),
            schedule: String::new(),
            choices: String::new(),
            in_turn: 0,
            key: String::new(),
            nearest: String::new(),
            in_words: String::new(),
            differences: Vec::new(),
            pairs: Vec::new(),
            bursts_of: None,
        }
    }
}

/// Whether no request comes first: then nothing is said of it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn none_in_turn(first: &usize) -> bool {
    *first == 0
}

/// One place, serially and here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FieldDifference {
    /// `products.likes`, or `answer of 2, $.likes`.
    pub place: String,
    /// What the nearest serial order gives.
    pub serially: String,
    /// What this execution gave.
    pub here: String,
}

/// Two operations, explored together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PairResult {
    /// The operations of the requests.
    pub operations: Vec<String>,
    /// What is known of them.
    pub verdict: Verdict,
    /// No document that one of them wrote was read or written by another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
    /// Every interleaving was carried out, or an equivalent one.
    pub complete: bool,
    /// Executions.
    pub explored: u64,
    /// How many are of each class.
    pub classes: BTreeMap<String, u64>,
    /// A schedule that proves a race, as `--schedule` takes it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub choices: String,
    /// That schedule, with the names of the requests.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schedule: String,
    /// What it shows, or why nothing can be concluded, in one sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub in_words: String,
    /// The command that carries it out again.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub replay: String,
}

impl Default for PairResult {
    fn default() -> Self {
        PairResult {
            operations: Vec::new(),
            verdict: Verdict::Inconclusive,
            apart: false,
            complete: false,
            explored: 0,
            classes: BTreeMap::new(),
            choices: String::new(),
            schedule: String::new(),
            in_words: String::new(),
            replay: String::new(),
        }
    }
}

impl PairResult {
    /// A race.
    pub const RACE: &'static str = "●";
    /// Not complete.
    pub const OPEN: &'static str = "?";
    /// No race.
    pub const NONE: &'static str = "○";
    /// They do not meet.
    pub const APART: &'static str = "–";
    /// What the marks mean.
    pub const LEGEND: &'static str = "● race  ○ none  – do not meet  ? not complete";

    /// What is known, in one character.
    pub fn mark(&self) -> &'static str {
        match (self.verdict, self.complete) {
            (Verdict::Violated, _) => Self::RACE,
            (_, true) if self.apart => Self::APART,
            (Verdict::Holds, true) => Self::NONE,
            _ => Self::OPEN,
        }
    }
}

impl AsIfSerialReport {
    /// The operations of the pairs.
    pub fn names(pairs: &[PairResult]) -> Vec<String> {
        let mut names: Vec<String> = pairs.iter().flat_map(|pair| pair.operations.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The mark of two operations, the worst where several requests of them were explored; empty where none were.
    pub fn cell(pairs: &[PairResult], one: &str, other: &str) -> &'static str {
        const WORST_FIRST: [&str; 4] = [PairResult::RACE, PairResult::OPEN, PairResult::NONE, PairResult::APART];
        let of = |pair: &&PairResult| {
            let named = |name: &str| pair.operations.iter().any(|own| own == name);
            named(one) && named(other) && pair.operations.iter().all(|own| own == one || own == other)
        };
        let marks: Vec<&str> = pairs.iter().filter(of).map(PairResult::mark).collect();
        WORST_FIRST.into_iter().find(|mark| marks.contains(mark)).unwrap_or_default()
    }

    /// The invariant's result.
    pub fn result(&self) -> InvariantResult {
        let explanation = || {
            let mut text = format!("{}; nearest: {}", self.in_words, self.nearest);
            for FieldDifference { place, serially, here } in &self.differences {
                text.push_str(&format!("; {place}: serially {serially}, here {here}"));
            }
            if !self.choices.is_empty() {
                text.push_str(&format!("; schedule \"{}\": {}", self.choices, self.schedule));
            }
            text
        };
        let witnesses = (self.violations > 0).then(|| Witness {
            key: self.key.clone(),
            operations: Vec::new(),
            documents: Vec::new(),
            explanation: explanation(),
        });
        let mut result =
            InvariantResult::new(Invariant::AsIfSerial, self.judged, self.violations, witnesses.into_iter().collect());
        result.verdict = self.verdict;
        result.reason = self.inconclusive.clone().or_else(|| {
            let left_out = self.not_compared.join(", ");
            (self.verdict == Verdict::Holds && !left_out.is_empty()).then(|| format!("not compared: {left_out}"))
        });
        if self.verdict == Verdict::Inconclusive && result.reason.is_none() {
            result.reason = Some("no execution could be held against serial runs".to_owned());
        }
        result.counts = self.classes.clone();
        result
    }

    /// The sentence of the weak form.
    fn of_bursts(&self, requests: u32, names: &str, compared: &str) -> String {
        let what = format!("{} bursts of {requests} equal requests ({names})", self.judged);
        match self.verdict {
            Verdict::Holds => format!(
                "as if serial, weakly: {what} left what as many one after another leave; their interleavings were not chosen, \
                 and neither who was told what nor the order of lists was compared ({} serial rounds; {compared})",
                self.serial_runs
            ),
            Verdict::Violated => format!(
                "NOT as if serial, of {what}: {}",
                self.sentences.first().map_or("an outcome that they do not have one after another", String::as_str)
            ),
            Verdict::Inconclusive => format!(
                "as if serial, weakly: {}",
                self.inconclusive.as_deref().unwrap_or("nothing could be concluded")
            ),
        }
    }

    /// Several operations as one: the worst of them says what was seen.
    pub fn joined(reports: Vec<AsIfSerialReport>) -> Option<AsIfSerialReport> {
        let rank = |report: &AsIfSerialReport| match report.verdict {
            Verdict::Violated => 0,
            Verdict::Inconclusive => 1,
            Verdict::Holds => 2,
        };
        let mut reports = reports;
        reports.sort_by_key(rank);
        let mut reports = reports.into_iter();
        let mut whole = reports.next()?;
        for one in reports {
            whole.judged += one.judged;
            whole.violations += one.violations;
            whole.serial_runs += one.serial_runs;
            one.classes.into_iter().for_each(|(class, count)| *whole.classes.entry(class).or_default() += count);
            whole.not_compared.extend(one.not_compared);
            whole.notes.extend(one.notes);
            whole.operations.extend(one.operations);
        }
        whole.not_compared.sort();
        whole.not_compared.dedup();
        Some(whole)
    }

    /// One sentence: what was held against what, and what came of it.
    pub fn sentence(&self) -> String {
        let names = self.operations.join(", ");
        let compared = match self.not_compared.is_empty() {
            true => "everything compared".to_owned(),
            false => format!("not compared: {}", self.not_compared.join(", ")),
        };
        if let Some(requests) = self.bursts_of {
            return self.of_bursts(requests, &names, &compared);
        }
        match self.verdict {
            Verdict::Holds if self.pairs.len() > 1 => format!(
                "as if serial: the {} interleavings of {} choices of {names} that meet have the outcome of a serial order ({} \
                 serial runs; {compared})",
                self.judged,
                self.pairs.iter().filter(|pair| !pair.apart).count(),
                self.serial_runs
            ),
            Verdict::Holds => format!(
                "as if serial: all {} interleavings of {names} have the outcome of a serial order ({} serial outcomes, {} serial \
                 runs; {compared})",
                self.judged, self.serial_outcomes, self.serial_runs
            ),
            Verdict::Violated => format!("NOT as if serial: {}", self.sentences.first().map_or("", String::as_str)),
            Verdict::Inconclusive => {
                format!("as if serial: {}", self.inconclusive.as_deref().unwrap_or("nothing could be concluded"))
            }
        }
    }
}
