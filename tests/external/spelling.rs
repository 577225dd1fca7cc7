//! Spelling and style: of the sources with their messages, of the documentation, and of the help of every command.

use std::collections::BTreeSet;
use std::process::Command;

use super::tools::{limited, python, root, run};

/// The spelling check, from the environment of the Python tests.
fn typos() -> Command {
    python();
    let mut typos = limited(root().join("target/external/python/bin/typos"), 120);
    typos.arg("--config").arg(root().join("docs/.typos.toml")).args(["--format", "brief"]);
    typos
}

/// The help of every command, long and short, by command.
fn helps() -> Vec<(String, String)> {
    let help = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_onlyone")).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let all = help(&["--help"]);
    let listed = all.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.len() > 15, "{names:?}");
    let mut helps = vec![("onlyone".to_owned(), all.clone())];
    helps.extend(names.iter().map(|name| ((*name).to_owned(), help(&[name, "--help"]))));
    helps
}

#[test]
#[ignore = "needs Python with venv, and its registry"]
fn external_typos_finds_no_mistake_in_sources_documentation_and_help() {
    let folder = tempfile::tempdir().unwrap();
    for (name, help) in helps() {
        std::fs::write(folder.path().join(format!("{name}.txt")), help).unwrap();
    }
    for place in [root().as_path(), folder.path()] {
        // From within: the files to leave out are named from there.
        let output = run(typos().current_dir(place).arg("."), "typos");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    // The check sees what it looks for.
    let wrong = "Recieve the seperate documents."; // typos: on purpose
    std::fs::write(folder.path().join("wrong.txt"), wrong).unwrap();
    let output = run(typos().arg(folder.path()), "typos");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("Receive") && said.contains("separate"), "{said}");
}

/// Words and phrases that plain English does without, each with what to write.
const STIFF: [(&str, &str); 10] = [
    ("in order to", "to"),
    ("utilize", "use"),
    ("utilise", "use"),
    ("please", "nothing"),
    ("prior to", "before"),
    ("subsequent", "next"),
    ("respectively", "two sentences"),
    ("simply", "nothing"),
    ("obviously", "nothing"),
    ("successfully", "nothing"),
];

/// What is wrong with the style of a text: stiff phrases, and words written twice.
fn stiff(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let mut found: Vec<String> = STIFF
        .iter()
        .filter(|(phrase, _)| {
            lower.match_indices(phrase).any(|(at, _)| {
                let before = lower[..at].chars().next_back();
                let after = lower[at + phrase.len()..].chars().next();
                !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
            })
        })
        .map(|(phrase, instead)| format!("`{phrase}`: write {instead}"))
        .collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_twice = |first: &str, second: &str| {
        // A list names `run`, and says "Run …" of it.
        let says = first.starts_with(char::is_lowercase) && second.starts_with(char::is_uppercase);
        first.eq_ignore_ascii_case(second) && !says && first.len() > 1 && first.chars().all(char::is_alphabetic)
    };
    let twice: BTreeSet<String> = words
        .windows(2)
        .filter(|pair| is_twice(pair[0], pair[1]))
        .map(|pair| pair[1].to_lowercase())
        .filter(|word| word != "that" && word != "had")
        .collect();
    found.extend(twice.into_iter().map(|word| format!("`{word} {word}`")));
    found
}

#[test]
fn help_and_pages_are_plain_english() {
    for (name, help) in helps() {
        assert_eq!(stiff(&help), Vec::<String>::new(), "{name}");
        let first = help.lines().next().unwrap();
        assert!(first.starts_with(char::is_uppercase) && !first.ends_with('.'), "{name}: {first}");
    }
    let listed = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = listed.filter(|path| path.extension().is_some_and(|end| end == "md")).chain([root().join("README.md")]);
    for page in pages {
        let mut fenced = false;
        let text = std::fs::read_to_string(&page).unwrap();
        let prose = text.lines().filter(|line| {
            fenced ^= line.trim_start().starts_with("```");
            !fenced && !line.starts_with("    ") && !line.starts_with(['|', '#'])
        });
        assert_eq!(stiff(&prose.collect::<Vec<_>>().join("\n")), Vec::<String>::new(), "{}", page.display());
    }
    assert_eq!(stiff("It is is there, in order to run.").len(), 2);
}
