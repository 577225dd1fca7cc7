//! [`Environment`]: what of the machine decides where a mongod comes from, so that tests can craft it.

use std::ffi::OsString;
use std::path::PathBuf;

/// What of the machine decides where a mongod comes from.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `ONLYONE_MONGOD`: the server to use, before any other.
    pub mongod: Option<PathBuf>,
    /// `PATH`.
    pub path: OsString,
    /// The folder of this user's caches, without `onlyone`.
    pub cache: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let home = variable("HOME").map(PathBuf::from);
        let default_cache = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
        Environment {
            mongod: variable("ONLYONE_MONGOD").map(PathBuf::from),
            path: variable("PATH").unwrap_or_default(),
            // The XDG rule: a relative path is to be ignored.
            cache: variable("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .or_else(|| home.map(|home| home.join(default_cache))),
        }
    }

    /// The harness's own cache.
    pub fn own_cache(&self) -> Option<PathBuf> {
        self.cache.as_ref().map(|cache| cache.join("onlyone"))
    }
}
