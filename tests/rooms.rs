//! The rooms of the crate, the modules right below its root, import each other one way only.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Imports = BTreeMap<String, BTreeSet<String>>;

/// What each room names of others, tests left aside.
fn imports() -> Imports {
    let source = project().join("src");
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
    let code: String = source(folder).lines().map(|line| line.split("//").next().unwrap()).collect();
    named.extend(named_in(&code));
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

/// All lines of source files below a folder, tests left aside.
fn source(folder: &Path) -> String {
    let mut all = String::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            all += &source(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            let text = std::fs::read_to_string(&path).unwrap();
            all += text.split("#[cfg(test)]\nmod ").next().unwrap();
        }
    }
    all
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_map_names_every_room() {
    let page = std::fs::read_to_string(project().join("docs/architecture.md")).unwrap();
    let (_, map) = page.split_once("\n## Map\n").unwrap();
    let (map, _) = map.split_once("\n## ").unwrap();
    let line = |line: &str| line.strip_prefix("    ")?.split_once('/').map(|(name, _)| name.to_owned());
    let named: BTreeSet<String> =
        map.lines().filter_map(line).filter(|name| !name.contains(' ') && !name.is_empty()).collect();
    assert_eq!(named, imports().into_keys().collect());
}

#[test]
fn only_the_rooms_that_the_page_names_speak_to_a_server() {
    let page = std::fs::read_to_string(project().join("docs/architecture.md")).unwrap();
    let sentence = page.lines().find(|line| line.contains("speak to a server")).unwrap();
    let named: BTreeSet<String> = sentence.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let speaks = |room: &String| {
        let source = source(&project().join("src").join(room));
        ["mongodb::Client", "mongodb::Collection", "mongodb::{", "TcpStream", "reqwest::Client"]
            .iter()
            .any(|word| source.contains(word))
    };
    let speaking: BTreeSet<String> = imports().into_keys().filter(speaks).collect();
    assert_eq!(speaking, named, "rooms that name a client of MongoDB or HTTP, and those of the page");
}

/// Whether the code names the crate: a path that begins with it, and not with a name that ends alike.
fn names_crate(name: &str, code: &str) -> bool {
    let path = format!("{}::", name.replace('-', "_"));
    let begins = |at: usize| !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
    code.match_indices(&path).any(|(at, _)| begins(at))
}

#[test]
fn a_crate_is_told_from_a_name_that_ends_alike() {
    for (code, expected) in
        [("use nix::sys;", true), ("(nix::unistd())", true), ("std::os::unix::fs", false), ("my_nix::x", false)]
    {
        assert_eq!(names_crate("nix", code), expected, "{code}");
    }
    assert!(names_crate("serde-json", "serde_json::Value"));
}

/// A dependency that nothing names is only built.
#[test]
fn every_dependency_is_used() {
    let manifest = std::fs::read_to_string(project().join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("\n[dependencies]\n").unwrap();
    let lines = rest.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let own = source(&project().join("src"));
    let unused: Vec<&str> = names.filter(|name| !names_crate(name, &own)).collect();
    assert!(unused.is_empty(), "Cargo.toml has dependencies that are used nowhere: {unused:?}");
}
