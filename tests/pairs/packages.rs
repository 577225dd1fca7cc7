//! Where the packages of services in other languages are: installed by name into `target/practice`, once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

fn practice(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/practice").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn install(program: &str, arguments: &[&str], folder: &Path) {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The packages of Express services.
pub fn node_path() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let folder = practice("express");
        if !folder.join("node_modules/mongoose").exists() {
            std::fs::copy("tests/services/express/package.json", folder.join("package.json")).unwrap();
            install("npm", &["install", "--no-audit", "--no-fund"], &folder);
        }
        folder.join("node_modules")
    })
}

/// The packages of FastAPI services.
pub fn python_path() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let folder = practice("fastapi");
        if !folder.join("uvicorn").exists() {
            let packages = ["-m", "pip", "install", "--quiet", "--target", ".", "pymongo", "fastapi", "uvicorn"];
            install("python3", &packages, &folder);
        }
        folder
    })
}
