//! The rooms of the crate, the modules right below its root, import each other one way only.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Imports = BTreeMap<String, BTreeSet<String>>;

/// What each room names of others, tests left aside.
fn imports() -> Imports {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut imports = Imports::new();
    for room in std::fs::read_dir(source).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let name = room.file_name().unwrap().to_str().unwrap().to_owned();
        let mut named = BTreeSet::new();
        read(&room, &mut named);
        named.remove(&name);
        imports.insert(name, named);
    }
    imports
}

fn read(folder: &Path, named: &mut BTreeSet<String>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            read(&path, named);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
            let code: String = code.lines().map(|line| line.split("//").next().unwrap()).collect();
            named.extend(named_in(&code));
        }
    }
}

fn is_test(path: &Path) -> bool {
    path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem == "tests" || stem.ends_with("_tests"))
}

/// Whether no brace is open after this text.
fn balanced(text: &str) -> bool {
    text.matches('{').count() == text.matches('}').count()
}

/// The rooms that follow `crate::`, one or several in braces.
fn named_in(code: &str) -> Vec<String> {
    let named = |rest: &str| match rest.strip_prefix('{') {
        None => vec![first_word(rest)],
        Some(list) => {
            let list = list.split(';').next().unwrap();
            let starts = std::iter::once(0).chain(list.match_indices(',').map(|(at, _)| at + 1));
            starts.filter(|at| balanced(&list[..*at])).map(|at| first_word(list[at..].trim_start())).collect()
        }
    };
    code.split("crate::").skip(1).flat_map(named).filter(|word| !word.is_empty()).collect()
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// Rooms that remain when those that import no other are taken away again and again: each is in a circle or above one.
fn above_circles(mut imports: Imports) -> Imports {
    loop {
        let rooms: BTreeSet<String> = imports.keys().cloned().collect();
        let before = imports.len();
        imports.retain(|_, named| named.iter().any(|other| rooms.contains(other)));
        if imports.len() == before {
            return imports;
        }
    }
}

#[test]
fn no_room_imports_one_that_imports_it() {
    let imports = imports();
    assert!(imports.len() > 10 && imports["cli"].contains("report"), "the imports were not read: {imports:?}");
    let left = above_circles(imports);
    assert!(left.is_empty(), "these rooms import each other in a circle, or stand above one: {left:#?}");
}

#[test]
fn rooms_are_read_one_by_one_and_in_braces() {
    let code = "use crate::cli::Io;use crate::{report, stats::{self, latency}, verdict::Verdict};let a = crate::lint::upsert();";
    assert_eq!(named_in(code), ["cli", "report", "stats", "verdict", "lint"]);
}

#[test]
fn a_circle_is_found_at_any_distance() {
    let room = |name: &str, named: &[&str]| (name.to_owned(), named.iter().map(|name| (*name).to_owned()).collect());
    let straight = [room("a", &["b", "c"]), room("b", &["c"]), room("c", &[])];
    assert!(above_circles(Imports::from(straight.clone())).is_empty());
    let mut circle = Imports::from(straight);
    circle.insert("c".to_owned(), ["a".to_owned()].into());
    assert_eq!(above_circles(circle).len(), 3);
}
