//! The documentation: a book that is whole, links that lead somewhere, commands that the tool understands.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test, which says what it chose")]

mod at_random;
mod frameworks;
#[path = "../../docs/examples/onlyone.rs"]
mod onlyone;
#[path = "../practice/mod.rs"]
mod practice;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages: of the book, and the two at the top level.
fn pages() -> Vec<PathBuf> {
    let listed = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = listed.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.extend(["README.md", "CHANGELOG.md"].map(|name| root().join(name)));
    pages.sort();
    pages
}

fn read(page: &Path) -> String {
    std::fs::read_to_string(page).unwrap()
}

/// A page without its code.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced && !line.starts_with("    ") {
            // Code within a line is between single backticks.
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<String> {
    prose(text)
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

/// The name that a heading gets in a link.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = read(page);
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let name = |heading: &str| -> String {
        let kept = heading.to_lowercase();
        kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
    };
    headings.map(name).collect()
}

#[test]
fn the_book_has_every_page_once() {
    let listed = links(&read(&root().join("docs/SUMMARY.md")));
    let named: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(named.len(), listed.len(), "a page twice: {listed:?}");
    let there: BTreeSet<String> = pages()
        .iter()
        .filter(|page| page.parent() == Some(&root().join("docs")) && !page.ends_with("SUMMARY.md"))
        .map(|page| page.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(named, there);
}

#[test]
fn every_link_leads_somewhere() {
    let mut looked_at = 0;
    for page in pages() {
        for link in links(&read(&page)).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').map_or((link.as_str(), None), |(file, name)| (file, Some(name)));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", page.display());
            if let Some(anchor) = anchor {
                assert!(anchors(&target).contains(anchor), "{}: {link}", page.display());
            }
            looked_at += 1;
        }
    }
    assert!(looked_at > 30, "{looked_at}");
}

/// Whether this is a command of `onlyone`, with variables of its own before it or none.
fn is_command(code: &str) -> bool {
    let is_variable = |word: &&str| {
        let name = word.split_once('=').map_or("", |(name, _)| name);
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
    };
    let mut words = code.split(' ').skip_while(is_variable);
    words.next() == Some("onlyone") && words.next().is_some()
}

/// Commands of `onlyone` that a page shows: in code, at the beginning of a line, or between backticks.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let joined = text.replace("\\\n", " ");
    let mut fenced = false;
    for line in joined.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let code = line.trim_start().trim_start_matches("$ ").replacen("cargo run --release -- ", "onlyone ", 1);
        if (fenced || line.starts_with("    ")) && is_command(&code) {
            commands.push(code);
        } else if !fenced {
            let spans = line.split('`').skip(1).step_by(2);
            commands.extend(spans.filter(|span| is_command(span)).map(str::to_owned));
        }
    }
    commands
}

/// The words of a command as a shell splits them; none where it only names a command, as in `onlyone run …`. Anything else is
/// one that a shell can read.
fn words(command: &str) -> Option<Vec<String>> {
    let end = ["  #", " | ", " > ", " < "].iter().filter_map(|end| command.find(end)).min().unwrap_or(command.len());
    let shown = &command[..end];
    let has_place = shown.contains(['…', '*', '<']) || shown.contains(" [");
    let mut named = shown.split_whitespace().skip_while(|word| *word != "onlyone").skip(1);
    if has_place || named.next().is_some_and(|word| word.ends_with(':')) {
        return None;
    }
    let script = format!("set -f; for word in {shown}; do printf '%s\\n' \"$word\"; done");
    let output = Command::new("bash").args(["--noprofile", "--norc", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
    let words = String::from_utf8(output.stdout).unwrap();
    let words: Vec<String> = words.lines().skip_while(|word| *word != "onlyone").skip(1).map(str::to_owned).collect();
    (!words.is_empty()).then_some(words)
}

#[test]
fn every_command_is_one_that_the_tool_understands() {
    let mut tried = 0;
    for page in pages() {
        for command in commands(&read(&page)) {
            let Some(mut words) = words(&command) else { continue };
            // What the tool would do is not done: help is shown where all before it was understood.
            let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
            words.truncate(end);
            words.push("--help".to_owned());
            let output = Command::new(env!("CARGO_BIN_EXE_onlyone")).args(&words).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {command}\n{said}", page.display());
            for file in words.iter().filter(|word| word.starts_with("scenarios/")) {
                assert!(root().join(file).exists(), "{}: {command}: there is no {file}", page.display());
            }
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn a_command_that_is_wrong_is_found() {
    let text = "    onlyone run scenarios/append.toml --frobnicate   # a comment\n\nSee `onlyone explore X \\\n--requests 3`.\n";
    let found = commands(text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(words(&found[0]).unwrap(), ["run", "scenarios/append.toml", "--frobnicate"]);
    assert_eq!(words(&found[1]).unwrap(), ["explore", "X", "--requests", "3"]);
    let output =
        Command::new(env!("CARGO_BIN_EXE_onlyone")).args(["run", "x", "--frobnicate", "--help"]).output().unwrap();
    assert!(!output.status.success());
    for named in ["onlyone run …", "onlyone explore <FILE>", "onlyone audit [--plan]", "onlyone run: what it does"] {
        assert_eq!(words(named), None);
    }
    let unread = std::panic::catch_unwind(|| words("onlyone explore --curl 'curl http://app/x -- node server.js"));
    assert!(unread.is_err(), "a quote that is not closed");
}
