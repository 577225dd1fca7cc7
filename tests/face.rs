//! The public face of the crate names its own types and those of the standard library, and nothing of another crate: a change of
//! a dependency is then no change of the face.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::path::Path;

use onlyone::{Scenario, Session};

/// What the face may name beside its own items.
const STANDARD: [&str; 26] = [
    "AsRef",
    "BTreeMap",
    "Clone",
    "Copy",
    "Debug",
    "Default",
    "Display",
    "Duration",
    "Err",
    "Fn",
    "From",
    "Future",
    "Output",
    "Into",
    "Ok",
    "Option",
    "PartialEq",
    "Path",
    "PathBuf",
    "Result",
    "Self",
    "Send",
    "String",
    "Sync",
    "Vec",
    "Formatter",
];

fn source(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path)).unwrap()
}

/// The names that the crate's root gives away, and the rooms that are open but hidden.
fn root() -> (BTreeSet<String>, Vec<String>) {
    let text = source("lib.rs");
    let mut names = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("pub use ")) {
        let (room, list) = line.trim_end_matches(';').split_once("::").unwrap();
        assert!(["api", "verdict"].contains(&room), "`{room}` is no room of the face: {line}");
        names.extend(list.trim_matches(['{', '}']).split(", ").map(str::to_owned));
    }
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.windows(2).map(|pair| (pair[0], pair[1]));
    let shown = pairs.filter(|(before, line)| line.starts_with("pub mod ") && *before != "#[doc(hidden)]");
    (names, shown.map(|(_, line)| line.to_owned()).collect())
}

/// What is written of an item that can be seen from outside, up to its body: functions, fields and implementations.
fn signatures(text: &str) -> Vec<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap()).fold("\n".to_owned(), |all, line| all + line + "\n");
    let mut found = Vec::new();
    for start in ["pub fn ", "pub async fn ", "pub const ", "pub type ", "impl "] {
        for (at, _) in code.match_indices(start).filter(|(at, _)| code[..*at].trim_end_matches(' ').ends_with('\n')) {
            found.push(code[at..].split(['{', ';']).next().unwrap().to_owned());
        }
    }
    let field = |line: &&str| line.starts_with("    pub ") && line.trim_end().ends_with(',');
    found.extend(code.lines().filter(field).map(str::to_owned));
    found
}

/// Names of types and traits in a signature, with the paths that lead to them.
fn types(signature: &str) -> Vec<String> {
    let word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let words = signature.split(|letter| !word(letter)).map(|word| word.trim_matches(':'));
    let last = |word: &str| word.rsplit("::").next().unwrap().to_owned();
    words.filter(|word| last(word).starts_with(char::is_uppercase)).map(str::to_owned).collect()
}

/// Types in the signatures of the face that neither it nor the standard library has. What a private type implements is not seen.
fn foreign(text: &str, own: &BTreeSet<String>) -> Vec<String> {
    let known = |name: &str| own.contains(name) || STANDARD.contains(&name) || name.len() == 1;
    let standard = |path: &str| path.starts_with("std::") || path.starts_with("fmt::");
    let is_foreign = |path: &String| !standard(path) && (path.contains("::") || !known(path));
    let is_seen = |signature: &String| {
        !signature.starts_with("impl ")
            || types(signature).last().is_some_and(|implementing| own.contains(implementing))
    };
    let seen = signatures(text).into_iter().filter(is_seen);
    seen.flat_map(|signature| types(&signature)).filter(is_foreign).collect()
}

#[test]
fn the_face_names_no_type_of_another_crate() {
    let (own, shown) = root();
    assert!(shown.is_empty(), "rooms of the crate are documented as if they were the face: {shown:?}");
    assert!(own.contains("Session") && own.contains("Verdict") && own.len() > 5, "{own:?}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    let given = source("api/mod.rs");
    for room in given.lines().filter_map(|line| line.strip_prefix("pub use ")?.split("::").next()) {
        assert!(folder.join(format!("{room}.rs")).exists(), "the face gives away what `{room}` has");
    }
    let mut looked_at = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let text = source(&format!("api/{name}"));
        looked_at += signatures(&text).len();
        assert_eq!(foreign(&text, &own), Vec::<String>::new(), "in src/api/{name}");
    }
    assert!(looked_at > 30, "signatures were not read: {looked_at}");
}

#[test]
fn a_type_of_another_crate_is_found_in_each_place() {
    let own = BTreeSet::from(["Session".to_owned()]);
    let good = "impl Session {\n    pub fn new(seed: u64) -> Result<Self, std::io::Error> {\n        mongodb::Client::new();\n";
    assert_eq!(foreign(good, &own), Vec::<String>::new());
    for (bad, name) in [
        ("impl Session {\n    pub fn client(&self) -> &mongodb::Client {", "mongodb::Client"),
        ("impl Session {\n    pub async fn wait(&self, token: CancellationToken) {", "CancellationToken"),
        ("pub struct Latency {\n    pub all: Histogram<u64>,\n}", "Histogram"),
        ("impl From<anyhow::Error> for Session {", "anyhow::Error"),
    ] {
        assert!(foreign(bad, &own).contains(&name.to_owned()), "{bad}");
    }
}

fn session() -> Session {
    let text = "name = \"t\"\nworkload = \"create-or-get\"\n[target.mongo]\nstrategy = \"upsert\"\n\
                [load.burst]\nclients = 2\nrounds = 1\n";
    let scenario = Scenario::parse(text, ".").unwrap().set("target.mongo.database", "production").unwrap();
    Session::new(scenario)
}

#[tokio::test]
async fn a_runtime_of_one_thread_is_refused() {
    let error = session().run().await.unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("multi_thread"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_refused_before_a_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let error = session().out(folder.path()).run().await.unwrap_err();
    assert!(error.to_string().contains("--allow-database production"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
