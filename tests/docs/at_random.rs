//! Commands of the documentation, chosen at random, run as they are printed.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Parser;
use onlyone::cli::Cli;

use super::{commands, pages, practice, read, root, words};

/// How many are run.
const CHOSEN: usize = 6;
/// Exit codes that say that a command did its work: a verdict, whichever, or a breached threshold.
const WORKED: [i32; 4] = [0, 1, 3, 5];
/// What a command may name that only its reader has: a service, a database, files, a run of theirs; or what it does not end by
/// itself, or only after ten minutes.
const READERS_OWN: [&str; 26] = [
    "my-",
    "RUN_DIR",
    "BASE_DIR",
    "NEW_DIR",
    "FILE",
    "http://",
    "https://",
    "mongodb",
    "--attach",
    "reports/",
    "baseline",
    "app.",
    "$",
    "--profile",
    "openapi",
    "har",
    "onlyone serve",
    "onlyone mongod",
    "onlyone init",
    "onlyone seed",
    "onlyone audit",
    "onlyone repair",
    " -- ",
    "NAME",
    "--live",
    "duration=10m",
];

/// Numbers from a seed: SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// The commands that can be run on any machine, each once.
fn runnable() -> Vec<String> {
    let mut all: Vec<String> = pages()
        .iter()
        .flat_map(|page| commands(&read(page)))
        .filter(|command| words(command).is_some_and(|words| words.len() > 1))
        .filter(|command| !READERS_OWN.iter().any(|own| command.contains(own)))
        // A single capital letter stands for what the reader chooses.
        .filter(|command| {
            let stands_for =
                |value: &str| value.len() == 1 && value.starts_with(|letter: char| letter.is_ascii_uppercase());
            !command.split_whitespace().any(|word| word.rsplit_once('=').is_some_and(|(_, value)| stands_for(value)))
        })
        // A file that is not in this repository is the reader's.
        .filter(|command| {
            let files = command.split_whitespace().filter(|word| word.ends_with(".toml"));
            files.into_iter().all(|file| root().join(file).exists())
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

fn carry_out(command: &str, folder: &Path, packages: &OsStr) -> (Option<i32>, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_onlyone")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let output = Command::new("timeout")
        .args(["--kill-after=5", "300", "bash", "--noprofile", "--norc", "-c", command])
        .current_dir(folder)
        .env("PATH", path)
        .env("NODE_PATH", packages)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

#[test]
#[ignore = "runs real scenarios; `ONLYONE_TEST_SEED` chooses the same commands again, and `ONLYONE_TEST_COMMANDS=all` all of them"]
fn external_commands_of_the_documentation_run_as_printed() {
    let given = std::env::var("ONLYONE_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = given.unwrap_or_else(|| {
        u64::from(std::process::id()) ^ u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos())
    });
    println!("seed {seed}");
    // What the pages have their reader install.
    let packages = ["express", "relational"]
        .map(|name| practice::node_packages(name, &format!("tests/services/{name}/package.json")));
    let packages = std::env::join_paths(packages).unwrap();
    let mut left = runnable();
    assert!(left.len() >= 20, "only {}: {left:#?}", left.len());
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("scenarios"), folder.path().join("scenarios")).unwrap();
    std::os::unix::fs::symlink(root().join("tests"), folder.path().join("tests")).unwrap();
    let all = std::env::var("ONLYONE_TEST_COMMANDS").is_ok_and(|which| which == "all");
    if !all {
        // Some minutes; each of its parts is tested elsewhere.
        left.retain(|command| !command.contains("selftest --faults") || command.contains("--bug"));
    }
    let mut numbers = Numbers(seed);
    let mut failed = Vec::new();
    for _ in 0..if all { left.len() } else { CHOSEN } {
        let command = left.swap_remove(numbers.below(left.len()));
        let (code, said) = carry_out(&command, folder.path(), &packages);
        println!("exit {code:?}  {command}");
        if !code.is_some_and(|code| WORKED.contains(&code)) {
            failed.push(format!("{command}\n{said}"));
        }
    }
    assert!(failed.is_empty(), "seed {seed}: {}", failed.join("\n"));
}

/// Without one that it needs, such as a scenario, a command cannot be run, and belongs into the text as an option.
#[test]
fn every_command_that_may_be_chosen_is_whole() {
    for command in runnable() {
        let words = words(&command).unwrap();
        let parsed = Cli::try_parse_from(std::iter::once("onlyone".to_owned()).chain(words));
        // Help and version are results.
        let wrong = parsed.err().filter(clap::Error::use_stderr);
        assert!(wrong.is_none(), "{command}\n{}", wrong.unwrap());
    }
}

#[test]
fn a_command_that_cannot_run_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let none = OsStr::new("");
    let (code, said) = carry_out("onlyone run scenarios/there-is-none.toml   # a comment", folder.path(), none);
    assert!(!WORKED.contains(&code.unwrap()) && said.contains("there is no scenario file"), "{said}");
    assert_eq!(carry_out("onlyone explain single-document", folder.path(), none).0, Some(0));
    // The same seed, the same choice.
    let choice = |seed| (0..5).scan(Numbers(seed), |numbers, _| Some(numbers.below(1000))).collect::<Vec<_>>();
    assert!(choice(1) == choice(1) && choice(1) != choice(2));
}
