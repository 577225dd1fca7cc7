//! What a name in a report means: invariants, lint rules, planted bugs and exit codes, each with its usual cause and fix.
//!
//! One text serves `onlyone explain`, the tooltips of the HTML report and `docs/names.md`. The main functions are [`find`]
//! and [`all`]. There is no printing here.

mod exits;
mod invariants;
mod mutants;
mod rules;

use std::fmt;

pub use invariants::of as invariant;

use crate::verdict::Invariant;

/// What kind of name it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An invariant: what is proved.
    Invariant,
    /// A lint rule: what the commands and indexes give away.
    Rule,
    /// A planted bug of the self-test.
    Mutant,
    /// An exit code.
    ExitCode,
}

impl Kind {
    /// All kinds, in the order of the page.
    pub const ALL: [Kind; 4] = [Kind::Invariant, Kind::Rule, Kind::Mutant, Kind::ExitCode];

    /// Heading of the kind's names.
    pub fn heading(self) -> &'static str {
        match self {
            Kind::Invariant => "Invariants",
            Kind::Rule => "Lint rules",
            Kind::Mutant => "Planted bugs",
            Kind::ExitCode => "Exit codes",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Invariant => "invariant",
            Kind::Rule => "lint rule",
            Kind::Mutant => "planted bug",
            Kind::ExitCode => "exit code",
        })
    }
}

/// The three sentences that every name has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// What the name stands for.
    pub meaning: &'static str,
    /// Where it usually comes from; empty where nothing is wrong.
    pub cause: &'static str,
    /// What to do about it; empty where nothing is to be done.
    pub fix: &'static str,
}

/// One name, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, as reports spell it.
    pub name: String,
    /// What kind of name it is.
    pub kind: Kind,
    /// What it means, where it comes from, and what to do.
    pub text: Text,
}

/// Every name, kind by kind.
pub fn all() -> Vec<Entry> {
    let entry = |kind: Kind| move |(name, text): (&'static str, Text)| Entry { name: name.to_owned(), kind, text };
    let custom = Invariant::Custom("<name>".into());
    let named = Invariant::NAMED.iter().chain([&custom]).map(|invariant| Entry {
        name: invariant.to_string(),
        kind: Kind::Invariant,
        text: invariants::of(invariant),
    });
    let mut entries: Vec<Entry> = named.collect();
    entries.extend(rules::ALL.iter().copied().map(entry(Kind::Rule)));
    entries.extend(mutants::ALL.iter().copied().map(entry(Kind::Mutant)));
    entries.extend(exits::all().into_iter().map(|(code, text)| Entry {
        name: code.to_string(),
        kind: Kind::ExitCode,
        text,
    }));
    entries
}

/// The entry of a name. Case does not matter, and any `custom:` invariant has the one entry of its kind.
pub fn find(name: &str) -> Option<Entry> {
    let wanted = if name.starts_with("custom:") { "custom:<name>" } else { name };
    all().into_iter().find(|entry| entry.name.eq_ignore_ascii_case(wanted))
}

/// What a lint rule means.
pub fn rule(name: &str) -> Option<Text> {
    rules::ALL.iter().find(|(rule, _)| *rule == name).map(|(_, text)| *text)
}

/// All names as a page of documentation.
pub fn markdown() -> String {
    let mut page = String::from(
        "# What the names mean\n\nEvery name that a report uses. `onlyone explain NAME` prints the same text; \
         `onlyone explain --markdown` printed this page.\n",
    );
    let entries = all();
    for kind in Kind::ALL {
        page.push_str(&format!("\n## {}\n", kind.heading()));
        for entry in entries.iter().filter(|entry| entry.kind == kind) {
            page.push_str(&format!("\n### `{}`\n\n{}\n", entry.name, entry.text.meaning));
            if !entry.text.cause.is_empty() {
                page.push_str(&format!("\n*Usual cause:* {}\n", entry.text.cause));
            }
            if !entry.text.fix.is_empty() {
                page.push_str(&format!("\n*Fix:* {}\n", entry.text.fix));
            }
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_found_whatever_its_case() {
        for entry in all() {
            assert_eq!(find(&entry.name), Some(entry.clone()));
            assert_eq!(find(&entry.name.to_uppercase()), Some(entry));
        }
        assert_eq!(find("custom:no orphans").map(|entry| entry.kind), Some(Kind::Invariant));
        assert_eq!(find("single document"), None);
    }

    #[test]
    fn no_name_is_explained_twice_and_every_meaning_is_a_sentence() {
        let entries = all();
        let names: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names.len(), entries.len());
        for entry in &entries {
            let sentences = [entry.text.meaning, entry.text.cause, entry.text.fix];
            assert!(!entry.text.meaning.is_empty(), "{} means nothing", entry.name);
            assert!(sentences.iter().all(|text| text.is_empty() || text.ends_with('.')), "{}", entry.name);
        }
    }

    #[test]
    fn every_planted_bug_and_every_kind_that_is_not_planted_is_explained() {
        use crate::selftest::{CATALOGUE, NOT_PLANTED};
        use crate::service::planted_routes;
        let planted = CATALOGUE.iter().map(|planted| planted.id);
        for id in planted.chain(planted_routes().map(|route| route.id)).chain(NOT_PLANTED.iter().map(|not| not.id)) {
            assert_eq!(find(id).map(|entry| entry.kind), Some(Kind::Mutant), "{id}");
        }
    }
}
