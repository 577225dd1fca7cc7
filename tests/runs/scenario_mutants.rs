//! One-word mistakes in scenarios of correct services: a field, a collection, a database, a path, a stored form, a status. None
//! may have the service accused; what still holds must be proved by what is left, and what was not seen must be told.
//!
//! The whole: `cargo test --release --test runs scenario_mutants -- --ignored --nocapture`, with `ONLYONE_MUTANTS=NAME` for the
//! scenarios whose name has this in it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::support::{Ended, Server, at_once, node_path, path_with_node, violated};
use toml::{Table, Value};

use crate::support;

/// A scenario with one mistake in it.
struct Mutant {
    what: String,
    /// What the report must mention where it holds; none where what is left says as much as before.
    word: Option<String>,
    scenario: Table,
}

/// A place in a scenario: keys, and numbers of elements.
type Place = Vec<String>;

fn at<'a>(scenario: &'a Table, place: &[String]) -> Option<&'a Value> {
    let (first, rest) = place.split_first()?;
    rest.iter().try_fold(scenario.get(first)?, |value, key| match value {
        Value::Table(table) => table.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The scenario with this place changed, or left out.
fn changed(scenario: &Table, place: &[String], value: Option<Value>) -> Table {
    let mut scenario = scenario.clone();
    let (last, parents) = place.split_last().unwrap();
    let mut whole = Value::Table(std::mem::take(&mut scenario));
    let mut parent = &mut whole;
    for key in parents {
        parent = match parent {
            Value::Table(table) => table.entry(key).or_insert_with(|| Value::Table(Table::new())),
            Value::Array(items) => &mut items[key.parse::<usize>().unwrap()],
            other => panic!("nothing is in {other}"),
        };
    }
    match (parent, value) {
        (Value::Table(table), Some(value)) => drop(table.insert(last.clone(), value)),
        (Value::Table(table), None) => drop(table.remove(last)),
        (Value::Array(items), Some(value)) => items[last.parse::<usize>().unwrap()] = value,
        (Value::Array(items), None) => drop(items.remove(last.parse::<usize>().unwrap())),
        (other, _) => panic!("nothing is in {other}"),
    }
    match whole {
        Value::Table(table) => table,
        other => panic!("{other}"),
    }
}

struct Mutants<'a> {
    scenario: &'a Table,
    found: Vec<Mutant>,
}

impl Mutants<'_> {
    fn push(&mut self, place: &[String], value: Option<Value>, word: Option<String>) {
        let written = value.as_ref().map_or("left out".to_owned(), ToString::to_string);
        let what = format!("{} = {}", place.join("."), written.split_whitespace().collect::<Vec<_>>().join(" "));
        self.found.push(Mutant { what, word, scenario: changed(self.scenario, place, value) });
    }

    /// Another name instead of this one.
    fn name(&mut self, place: &[String], name: &str) {
        let wrong = format!("{name}z");
        self.push(place, Some(wrong.clone().into()), Some(wrong));
        if let Some((first, rest)) = name.split_once('.').filter(|(first, _)| *first != "$") {
            let wrong = format!("{first}z.{rest}");
            self.push(place, Some(wrong.clone().into()), Some(wrong));
            self.push(place, Some(first.into()), Some(first.to_owned()));
        }
    }

    /// A name, or a list of them.
    fn names(&mut self, place: &[String]) {
        match at(self.scenario, place).cloned() {
            Some(Value::String(name)) => self.name(place, &name),
            Some(Value::Array(names)) => {
                for (number, name) in names.iter().enumerate() {
                    let place = [place, &[number.to_string()]].concat();
                    self.name(&place, name.as_str().unwrap_or_default());
                }
            }
            _ => {}
        }
    }

    /// What is stored, in other forms.
    fn stored(&mut self, place: &[String]) {
        match at(self.scenario, place).cloned() {
            Some(Value::String(text)) => {
                let mut forms =
                    vec![format!("x-{text}"), text.replace("pair.b", "pair.a"), text.replace("pair.a", "pair.b")];
                forms.extend(text.split_once(" | ").map(|(before, _)| format!("{before} }}}}")));
                forms.extend(text.split_once(':').map(|(_, after)| after.to_owned()));
                forms.retain(|form| *form != text);
                for form in forms {
                    self.push(place, Some(form.into()), None);
                }
            }
            Some(Value::Array(texts)) => {
                for number in 0..texts.len() {
                    self.stored(&[place, &[number.to_string()]].concat());
                }
            }
            _ => {}
        }
    }

    fn observed(&mut self) {
        let of = |key: &str| ["observe", "mongo", key].map(str::to_owned).to_vec();
        if at(self.scenario, &["observe".to_owned(), "mongo".to_owned()]).is_none() {
            return;
        }
        for key in ["collection", "key", "id", "stamp", "messages", "insert_fields"] {
            self.names(&of(key));
        }
        self.stored(&of("stored"));
        self.push(&of("database"), Some("onlyone_elsewhere".into()), None);
        // A thread is known by its members alone.
        let threads = self.scenario.get("workload").and_then(Value::as_str) == Some("thread");
        self.push(&of("key"), Some("_id".into()), (!threads).then(|| "_id".to_owned()));
        if at(self.scenario, &of("id")).is_none() {
            self.push(&of("id"), Some("identifier".into()), Some("identifier".to_owned()));
        }
        if at(self.scenario, &of("stamp")).is_none() {
            self.push(&of("stamp"), Some("madeBy".into()), Some("madeBy".to_owned()));
        }
        if at(self.scenario, &of("insert_fields")).is_none() {
            self.push(&of("insert_fields"), Some(vec!["madeAt"].into()), Some("madeAt".to_owned()));
        }
        if at(self.scenario, &of("stored")).is_none() {
            self.push(&of("stored"), Some("x-{{ key }}".into()), None);
        }
        for key in ["in", "is", "collection", "key"] {
            self.names(&[of("elements"), vec![key.to_owned()]].concat());
        }
    }

    fn messages(&mut self) {
        for key in ["op", "role", "text", "sender", "n"] {
            self.names(&["target", "http", "messages", key].map(str::to_owned));
        }
        let of = |key: &str| ["target", "http", "messages", key].map(str::to_owned);
        if at(self.scenario, &of("op")).is_none()
            && at(self.scenario, &["observe", "mongo", "messages"].map(str::to_owned)).is_some()
        {
            self.push(&of("op"), Some("operation".into()), Some("operation".to_owned()));
        }
    }

    fn operations(&mut self) {
        let place: Place = ["target", "http", "operations"].map(str::to_owned).to_vec();
        let Some(Value::Table(operations)) = at(self.scenario, &place).cloned() else { return };
        for (name, operation) in &operations {
            let of = |key: &str| [&place[..], &[name.clone(), key.to_owned()]].concat();
            if let Some(Value::Table(outcome)) = operation.get("outcome") {
                self.outcome(&of("outcome"), outcome);
            }
            self.status(&of("status"), operation.get("status").and_then(Value::as_table));
        }
    }

    fn outcome(&mut self, place: &[String], outcome: &Table) {
        let before = self.found.len();
        for (name, path) in outcome {
            let path = path.as_str().unwrap();
            let place = [place, std::slice::from_ref(name)].concat();
            self.name(&place, path);
            if path.matches('.').count() > 1 {
                let last = path.rsplit_once('.').unwrap().1;
                self.push(&place, Some(format!("$.{last}").into()), Some(format!("$.{last}")));
            }
            self.push(&place, None, None);
            for (_, another) in outcome.iter().filter(|(other, _)| *other != name) {
                self.push(&place, Some(another.clone()), another.as_str().map(str::to_owned));
            }
        }
        // A path that is meant to lead to nothing, and one that nothing of the user's own rests on, are missed by nobody.
        let custom = self.scenario.get("workload").and_then(Value::as_str) == Some("custom");
        for mutant in &mut self.found[before..] {
            let of = |name: &str| mutant.what.contains(&format!(".outcome.{name} = "));
            if of("error") || of("refused") || (custom && of("id")) {
                mutant.word = None;
            }
        }
    }

    fn status(&mut self, place: &[String], status: Option<&Table>) {
        const LISTS: [&str; 5] = ["ok", "created", "refused", "failed", "unknown"];
        let Some(status) = status else {
            for list in LISTS.iter().filter(|list| **list != "ok") {
                self.push(&[place, &[(*list).to_owned()]].concat(), Some(vec![200_i64].into()), None);
            }
            return;
        };
        for (list, codes) in status {
            let codes = codes.as_array().unwrap();
            for code in codes {
                let moved = LISTS.iter().filter(|other| *other != list).map(|other| {
                    let mut lists = status.clone();
                    let left: Vec<Value> = codes.iter().filter(|other| *other != code).cloned().collect();
                    lists.insert(list.clone(), Value::Array(left));
                    let more = lists.entry(*other).or_insert_with(|| Value::Array(Vec::new()));
                    more.as_array_mut().unwrap().push(code.clone());
                    lists
                });
                for lists in moved.collect::<Vec<_>>() {
                    self.push(place, Some(Value::Table(lists)), None);
                }
            }
        }
    }

    fn invariants(&mut self) {
        let place: Place = vec!["invariant".to_owned()];
        for number in 0..at(self.scenario, &place).and_then(Value::as_array).map_or(0, Vec::len) {
            for key in ["collection", "value"] {
                self.names(&[&place[..], &[number.to_string(), key.to_owned()]].concat());
            }
        }
    }
}

fn mutants(scenario: &Table) -> Vec<Mutant> {
    let mut mutants = Mutants { scenario, found: Vec::new() };
    mutants.observed();
    mutants.messages();
    mutants.operations();
    mutants.invariants();
    mutants.found
}

/// Scenarios of correct services, by their name.
fn scenarios() -> Vec<(String, PathBuf)> {
    let found = |folder: &str, begin: &str| {
        let files = std::fs::read_dir(support::project().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let named = files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
        let mut files: Vec<(String, PathBuf)> =
            named.filter(|(name, _)| name.starts_with(begin) && name.ends_with(".toml")).collect();
        files.retain(|(name, path)| {
            let violated = std::fs::read_to_string(path).unwrap().contains("verdict = \"violated\"");
            !violated && name != "no-dedupe.toml"
        });
        files.sort();
        files
    };
    let mut all = found("scenarios", "http-");
    all.extend(found("tests/services/kinds", ""));
    all.into_iter().map(|(name, path)| (name.trim_end_matches(".toml").to_owned(), path)).collect()
}

/// The scenario, with a load that is short; what it expects is left out, so that its verdict is what counts.
fn read(path: &Path) -> Table {
    let mut scenario: Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    // Some operations of threads are rare.
    let rounds = if scenario["workload"].as_str() == Some("thread") { 24 } else { 8 };
    let load: Table = format!("burst = {{ clients = [2, 6], rounds = {rounds} }}").parse().unwrap();
    scenario.insert("load".to_owned(), Value::Table(load));
    scenario.remove("expect");
    let invariants = scenario.get_mut("invariant").and_then(Value::as_array_mut);
    for invariant in invariants.into_iter().flatten().filter_map(Value::as_table_mut) {
        // What is meant for a longer load.
        let min = invariant.get_mut("expect").and_then(|expect| expect.get_mut("min"));
        if let Some(min) = min.filter(|min| min.as_integer().is_some_and(|min| min < 1000)) {
            *min = Value::Integer(1);
        }
    }
    let service = scenario["service"].as_table_mut().unwrap();
    service.insert("dir".to_owned(), path.parent().unwrap().to_str().unwrap().into());
    scenario
}

fn run(server: &Server, scenario: &Table) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mutant.toml");
    std::fs::write(&path, toml::to_string(scenario).unwrap()).unwrap();
    let (packages, programs) = (node_path(), path_with_node());
    let environment = [("NODE_PATH", packages.to_str().unwrap()), ("PATH", programs.to_str().unwrap())];
    support::run(&path, &["--mongo", &server.uri], &environment)
}

/// Whether the report says that something was not seen.
fn tells(ended: &Ended, word: &str) -> bool {
    [&ended.report["reasons"], &ended.report["preflight"], &ended.report["invariants"]]
        .iter()
        .any(|part| part.to_string().contains(word))
}

/// Services whose refusals quote the driver: where the scenario does not say that it is a refusal, it is a leak.
const QUOTING: [&str; 2] = ["refused-quoting", "refused-by-body"];

#[derive(Default)]
struct Counts {
    by_verdict: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

impl Counts {
    fn judge(&mut self, name: &str, mutant: &Mutant, ended: &Ended) {
        let told = mutant.word.as_ref().is_none_or(|word| tells(ended, word));
        let verdict = match (ended.code, ended.verdict()) {
            (Some(2), _) => "not a scenario",
            // The documents that must be there before a run could not be made as the scenario says.
            (Some(4), _) if ended.errors.contains("has no identifier") => "set-up refused",
            (Some(0), "holds") if told => "holds",
            (Some(0), "holds") => "holds, and nothing is said",
            (Some(3), "inconclusive") => "inconclusive",
            (_, "violated") if QUOTING.contains(&name) && violated(&ended.report) == ["no-leaked-errors"] => "a leak",
            (_, "violated") => "violated",
            _ => "something else",
        };
        *self.by_verdict.entry(verdict.to_owned()).or_default() += 1;
        println!(
            "{verdict}\t{name}\t{}\t{}",
            mutant.what,
            if verdict == "holds" { String::new() } else { ended.why() }
        );
        if ["violated", "something else", "holds, and nothing is said"].contains(&verdict) {
            self.wrong.push(format!("{name}: {}: {verdict}: {}", mutant.what, ended.why()));
        }
    }
}

#[test]
#[ignore = "a campaign of half an hour"]
fn no_one_word_mistake_accuses_a_correct_service() {
    let only = std::env::var("ONLYONE_MUTANTS").unwrap_or_default();
    let (server, counts) = (Server::start(), Mutex::new(Counts::default()));
    for (name, path) in scenarios().into_iter().filter(|(name, _)| name.contains(&only)) {
        let scenario = read(&path);
        let ended = run(&server, &scenario);
        assert_eq!(ended.verdict(), "holds", "{name} without a mistake: {}", ended.why());
        at_once(&mutants(&scenario), |mutant| {
            let ended = run(&server, &mutant.scenario);
            counts.lock().unwrap().judge(&name, mutant, &ended);
        });
    }
    let counts = counts.into_inner().unwrap();
    println!("{:?}", counts.by_verdict);
    assert!(counts.wrong.is_empty(), "{:#?}", counts.wrong);
}

#[test]
fn a_few_one_word_mistakes_accuse_no_correct_service() {
    let (server, mut counts) = (Server::start(), Counts::default());
    let scenarios = scenarios();
    let mut few: Vec<(&str, Mutant)> = Vec::new();
    for (name, every) in [("http-create-or-get", 4), ("talk-with-answers", 3), ("set-of-fans", 3)] {
        let (_, path) = scenarios.iter().find(|(other, _)| other == name).unwrap();
        few.extend(mutants(&read(path)).into_iter().step_by(every).map(|mutant| (name, mutant)));
    }
    let ended = at_once(&few, |(_, mutant)| run(&server, &mutant.scenario));
    few.iter().zip(&ended).for_each(|((name, mutant), ended)| counts.judge(name, mutant, ended));
    println!("{:?}", counts.by_verdict);
    assert!(counts.by_verdict.values().sum::<u64>() >= 20, "{:?}", counts.by_verdict);
    assert!(counts.wrong.is_empty(), "{:#?}", counts.wrong);
}
