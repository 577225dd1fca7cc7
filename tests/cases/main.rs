//! Small inputs on which a word was once wrong, each of which stands for a kind: `cases.toml` has them as data.
//!
//! A person runs them by `tests/cases/run`, which prints a line for each, also with another build of the command:
//! `tests/cases/run --binary OTHER/onlyone [NAME]`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

/// A command, and what is right.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// What is done, in words of the command; `RUN` is the folder of the run before it.
    run: Vec<String>,
    /// Then this, which is what is judged.
    #[serde(default)]
    then: Vec<String>,
    #[serde(default)]
    env: std::collections::BTreeMap<String, String>,
    /// Texts of the scenario that are written otherwise, the first time that they occur.
    #[serde(default)]
    replace: Vec<[String; 2]>,
    /// The exit code.
    code: Vec<i32>,
    /// Invariants that must be violated.
    #[serde(default)]
    violated: Vec<String>,
    /// What must be said somewhere in the output.
    #[serde(default)]
    says: Vec<String>,
    /// What must not.
    #[serde(default)]
    never: Vec<String>,
    /// Values in `report.json`, by JSON pointer.
    #[serde(default)]
    json: std::collections::BTreeMap<String, Value>,
    /// A signal that is sent once the history has so many lines.
    signal: Option<(String, usize)>,
    /// Files that may be open.
    open_files: Option<u32>,
    /// Documents that are there, as extended JSON by collection; `DATABASE` is where.
    seed: Option<String>,
    /// Nothing in the database may change.
    #[serde(default)]
    unchanged: bool,
    /// How often; by default once.
    times: Option<u32>,
}

/// Far beyond what a loaded machine needs.
const DEADLINE: Duration = Duration::from_secs(240);

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(support::project().join("tests/cases/cases.toml")).unwrap();
    let cases: Cases = toml::from_str(&text).unwrap();
    let only = std::env::var("ONLYONE_CASE").unwrap_or_default();
    cases.case.into_iter().filter(|case| case.name.contains(&only)).collect()
}

impl Case {
    /// Why it is not as it must be.
    fn wrong(&self, server: &(dyn Fn() -> String + Sync)) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let seeded = self.seed.as_ref().map(|seed| Seeded::new(seed, server()));
        let before = seeded.as_ref().map(Seeded::contents);
        let mut output = self.carried_out(&self.run, folder.path(), seeded.as_ref())?;
        if !self.then.is_empty() {
            output = self.carried_out(&self.then, folder.path(), seeded.as_ref())?;
        }
        if self.unchanged && seeded.as_ref().map(Seeded::contents) != before {
            return Err("the database was changed".to_owned());
        }
        self.judged(&output)
    }

    fn judged(&self, output: &Output) -> Result<(), String> {
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let short: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(400).collect();
        let code = output.status.code();
        if !self.code.iter().any(|right| Some(*right) == code) {
            return Err(format!("exit {code:?}, not {:?}: {short}", self.code));
        }
        if let Some(text) = self.says.iter().find(|text| !said.contains(text.as_str())) {
            return Err(format!("does not say `{text}`: {short}"));
        }
        if let Some(text) = self.never.iter().find(|text| said.contains(text.as_str())) {
            return Err(format!("says `{text}`: {short}"));
        }
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        for name in &self.violated {
            if !support::violated(&report).contains(&name.as_str()) {
                return Err(format!("`{name}` is not violated: {short}"));
            }
        }
        for (pointer, right) in &self.json {
            let found = report.pointer(pointer).unwrap_or(&Value::Null);
            // TOML has no null: the word stands for it.
            let right = if right == "null" { &Value::Null } else { right };
            if found != right {
                return Err(format!("{pointer} is {found}, not {right}"));
            }
        }
        Ok(())
    }

    fn carried_out(&self, words: &[String], folder: &Path, seeded: Option<&Seeded>) -> Result<Output, String> {
        let mut command = self.command(words, folder, seeded);
        let mut child = command.spawn().unwrap();
        if let Some((signal, lines)) = self.signal.as_ref().filter(|_| words == self.run) {
            wait_for_history(folder, *lines, &mut child)?;
            let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
            assert!(sent.success());
        }
        ended(child)
    }

    fn command(&self, words: &[String], folder: &Path, seeded: Option<&Seeded>) -> Command {
        let mut words: Vec<String> = words.to_vec();
        let judges = matches!(words[0].as_str(), "run" | "explore");
        if judges {
            let home = support::project().join(&words[1]).parent().unwrap().display().to_string();
            words[1] = self.scenario(&words[1], folder);
            if !self.replace.is_empty() {
                words.extend(["--set".to_owned(), format!("service.dir={home:?}")]);
            }
            words.extend(["--quiet", "--format", "json", "--out"].map(str::to_owned));
            words.push(folder.join("reports").display().to_string());
        }
        if let Some(seeded) = seeded {
            let own = ["--mongo", &seeded.uri, "--database", &seeded.database, "--format", "json"];
            words.extend(own.map(str::to_owned));
        }
        let run = std::fs::read_dir(folder.join("reports")).ok().and_then(|mut runs| runs.next());
        if let Some(run) = run {
            let run = run.unwrap().path().display().to_string();
            words.iter_mut().filter(|word| *word == "RUN").for_each(|word| word.clone_from(&run));
        }
        let mut command = match self.open_files {
            Some(files) => {
                let mut command = Command::new("/bin/sh");
                command.arg("-c").arg(format!(r#"ulimit -n {files}; exec "$0" "$@""#)).arg(support::binary());
                command
            }
            None => Command::new(support::binary()),
        };
        command.args(words).current_dir(support::project()).env_remove("ONLYONE_MONGO_URI").envs(&self.env);
        command.env("NODE_PATH", support::node_path()).env("PATH", support::path_with_node());
        command.env("PYTHONPATH", support::python_path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The scenario, or one that is written otherwise beside it.
    fn scenario(&self, path: &str, folder: &Path) -> String {
        if self.replace.is_empty() {
            return path.to_owned();
        }
        let whole = support::project().join(path);
        let mut text = std::fs::read_to_string(&whole).unwrap();
        for [old, new] in &self.replace {
            assert!(text.contains(old), "{path} has no `{old}`");
            text = text.replacen(old, new, 1);
        }
        let changed = folder.join("changed.toml");
        std::fs::write(&changed, text).unwrap();
        changed.display().to_string()
    }
}

/// A database with documents in it.
struct Seeded {
    uri: String,
    database: String,
}

impl Seeded {
    fn new(seed: &str, uri: String) -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let seeded = Seeded { uri, database: format!("onlyone_case_{number}") };
        let text = std::fs::read_to_string(support::project().join("tests/cases/seeds").join(seed)).unwrap();
        let collections: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
        for (name, of_collection) in collections {
            let documents: Vec<Document> =
                of_collection["documents"].as_array().unwrap().iter().map(document_of).collect();
            let indexes: Vec<Document> =
                of_collection["indexes"].as_array().into_iter().flatten().map(document_of).collect();
            seeded.fill(&name, documents, indexes);
        }
        seeded
    }

    /// Something done in the database.
    fn within<T>(&self, work: impl AsyncFnOnce(mongodb::Database) -> T) -> T {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = mongodb::Client::with_uri_str(&self.uri).await.unwrap();
            work(client.database(&self.database)).await
        })
    }

    fn fill(&self, name: &str, documents: Vec<Document>, indexes: Vec<Document>) {
        self.within(async |database| {
            database.collection(name).insert_many(documents).await.unwrap();
            if !indexes.is_empty() {
                database.run_command(doc! { "createIndexes": name, "indexes": indexes }).await.unwrap();
            }
        });
    }

    /// Everything but what the command keeps for itself.
    fn contents(&self) -> Vec<(String, Vec<Document>)> {
        self.within(async |database| {
            let mut names = database.list_collection_names().await.unwrap();
            names.retain(|name| !name.starts_with("onlyone_"));
            names.sort();
            let mut contents = Vec::new();
            for name in names {
                let found = database.collection::<Document>(&name).find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
                contents.push((name, found.try_collect().await.unwrap()));
            }
            contents
        })
    }
}

fn document_of(value: &Value) -> Document {
    let fields = value.as_object().unwrap().iter();
    fields.map(|(name, value)| (name.clone(), bson_of(value))).collect()
}

/// A value of a seed; types that JSON does not tell apart are written as in MongoDB's extended JSON.
fn bson_of(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(value) => Bson::Boolean(*value),
        Value::Number(number) => i32::try_from(number.as_i64().unwrap()).unwrap().into(),
        Value::String(text) => text.into(),
        Value::Array(items) => items.iter().map(bson_of).collect(),
        Value::Object(object) => {
            let typed = object.iter().next().and_then(|(name, inner)| Some((name.as_str(), inner.as_str()?)));
            match typed {
                Some(("$oid", text)) => ObjectId::parse_str(text).unwrap().into(),
                Some(("$date", text)) => DateTime::parse_rfc3339_str(text).unwrap().into(),
                Some(("$numberInt", text)) => Bson::Int32(text.parse().unwrap()),
                Some(("$numberLong", text)) => Bson::Int64(text.parse().unwrap()),
                Some(("$numberDouble", text)) => Bson::Double(text.parse().unwrap()),
                _ => document_of(value).into(),
            }
        }
    }
}

/// Waits until the history of the run has so many lines.
fn wait_for_history(folder: &Path, lines: usize, child: &mut Child) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        let runs = std::fs::read_dir(folder.join("reports")).into_iter().flatten();
        let history: Option<PathBuf> = runs.map(|run| run.unwrap().path().join("history.jsonl")).next();
        let text = history.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        if text.lines().count() >= lines {
            return Ok(());
        }
        if child.try_wait().unwrap().is_some() || begin.elapsed() > DEADLINE {
            child.kill().ok();
            return Err(format!("it never had {lines} lines in its history"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The output of a command that ends; one that does not is killed.
fn ended(mut child: Child) -> Result<Output, String> {
    let begin = Instant::now();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        err.read_to_end(&mut text).unwrap();
        text
    });
    let writer = std::thread::spawn(move || {
        let mut text = Vec::new();
        out.read_to_end(&mut text).unwrap();
        text
    });
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > DEADLINE {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err(format!("not ended after {DEADLINE:?}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = child.wait().unwrap();
    Ok(Output { status, stdout: writer.join().unwrap(), stderr: reader.join().unwrap() })
}

#[test]
fn every_case_is_right() {
    let server = std::sync::OnceLock::new();
    let uri = || server.get_or_init(support::Server::start).uri.clone();
    let cases = cases();
    assert!(!cases.is_empty(), "no case has this name");
    let wrong = support::at_once(&cases, |case| {
        let begin = Instant::now();
        let wrong = (0..case.times.unwrap_or(1)).try_for_each(|_| case.wrong(&uri)).err();
        let word = if wrong.is_none() { "right" } else { "WRONG" };
        println!("{word}  {}  ({:.1?})  {}", case.name, begin.elapsed(), wrong.as_deref().unwrap_or_default());
        wrong.map(|why| format!("{}: {why}", case.name))
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
