//! Whether a scenario describes the service: what it says, held against what was seen.

use serde::{Deserialize, Serialize};

/// One thing that a scenario says of a service, held against what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FitRow {
    /// The setting that says it.
    pub setting: String,
    /// What it says.
    pub expected: String,
    /// Cases that were looked at.
    pub looked_at: u64,
    /// Cases in which it is so.
    pub fitting: u64,
    /// It only adds to the evidence: where it is never so, less is judged, and nobody is accused for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Answers that did not have it, and did not have to: of those alone nothing is known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_required: u64,
    /// What was seen instead, or where what was looked for is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

impl FitRow {
    /// Whether it was so in none of the cases. What is so in some cases and not in others is evidence against the service.
    pub fn never(&self) -> bool {
        self.looked_at > 0 && self.fitting == 0 && !self.optional
    }

    /// Whether evidence that the scenario asks for was in none of the cases, or there was no case.
    pub fn is_unseen(&self) -> bool {
        match self.looked_at {
            0 => self.not_required > 0,
            _ => self.fitting == 0 && self.optional,
        }
    }

    /// Its sign in a table.
    pub fn sign(&self) -> &'static str {
        match (self.looked_at, self.fitting) {
            (0, _) => "-",
            (_, 0) if self.optional => "○",
            (_, 0) => "✗",
            _ => "✓",
        }
    }
}

/// What a scenario says of a service, with one real answer and one real document.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Fit {
    /// Everything that could be held against something.
    pub rows: Vec<FitRow>,
    /// Requests and what they were answered.
    pub answers: Vec<String>,
    /// A document as it was read, with its collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Documents that are none of the run's.
    #[serde(default)]
    pub others: u64,
}

impl Fit {
    /// Adds the cases of other keys of the same run.
    pub(crate) fn join(&mut self, other: Fit) {
        let mut before = 0;
        for row in other.rows {
            let same = |known: &FitRow| known.setting == row.setting && known.expected == row.expected;
            match self.rows.iter().position(same) {
                Some(at) => {
                    let known = &mut self.rows[at];
                    known.looked_at += row.looked_at;
                    known.fitting += row.fitting;
                    known.not_required += row.not_required;
                    before = at + 1;
                }
                // It stands after the one that it followed there.
                None => {
                    self.rows.insert(before, row);
                    before += 1;
                }
            }
        }
    }

    /// Why the scenario does not describe the service; nothing if it does as far as it was looked at.
    pub fn misfit(&self) -> Option<String> {
        let wrong: Vec<String> = self.rows.iter().filter(|row| row.never()).map(sentence).collect();
        if wrong.is_empty() {
            return None;
        }
        let answer = self.answers.first().map(|answer| format!(". An answer: {answer}"));
        let document = self.document.as_ref().map(|document| format!(". A document: {document}"));
        Some(format!(
            "the scenario does not describe this service: {}{}{}",
            wrong.join("; "),
            answer.unwrap_or_default(),
            document.unwrap_or_default()
        ))
    }

    /// What was asked for and not seen: less was judged than the scenario says.
    pub fn unseen(&self) -> Vec<String> {
        let rows = self.rows.iter().filter(|row| row.is_unseen());
        let note = |row: &FitRow| {
            let (setting, expected) = (&row.setting, &row.expected);
            let cases = match (row.looked_at, row.not_required) {
                (0, 1) => "in the one answer it did not have to".to_owned(),
                (0, all) => format!("in none of {all} answers, which did not have to"),
                (all, _) => format!("in none of {all} cases"),
            };
            format!("not seen, and not judged: `{setting}`: {expected}, {cases}")
        };
        rows.map(note).collect()
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let width = self.rows.iter().map(|row| row.setting.chars().count()).max().unwrap_or(0);
        for row in &self.rows {
            let counts = match row.looked_at {
                0 => "nothing to look at".to_owned(),
                all => format!("{} of {all}", row.fitting),
            };
            text.push_str(&format!("  {} {:width$}  {}: {counts}\n", row.sign(), row.setting, row.expected));
            if let Some(found) = &row.found {
                text.push_str(&format!("    {:width$}  {found}\n", ""));
            }
        }
        text
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn sentence(row: &FitRow) -> String {
    let found = row.found.as_ref().map(|found| format!(" ({found})")).unwrap_or_default();
    let cases = match row.looked_at {
        1 => "not in the one case that was looked at".to_owned(),
        all => format!("in none of {all} cases"),
    };
    format!("`{}`: {}, {cases}{found}", row.setting, row.expected)
}
