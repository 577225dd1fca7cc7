//! What to start: [`ProcessSpec`], and where programs are found.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ProcessError;

/// A process to start. Its standard input is empty; both of its outputs are appended to one log file.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    /// A path, or a name that is looked up on PATH.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables of the harness's own environment that it gets; `None` is all of them.
    pub inherit: Option<Vec<OsString>>,
    /// Variables set on top of those.
    pub env: BTreeMap<OsString, OsString>,
    /// Its working directory; the harness's own by default.
    pub dir: Option<PathBuf>,
    /// Where its output goes.
    pub log: PathBuf,
}

impl ProcessSpec {
    /// A program without arguments that logs to this file.
    pub fn new(program: impl Into<OsString>, log: impl Into<PathBuf>) -> Self {
        ProcessSpec {
            program: program.into(),
            args: Vec::new(),
            inherit: None,
            env: BTreeMap::new(),
            dir: None,
            log: log.into(),
        }
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Checks that the program can be executed, before a shell reports it less clearly.
    pub(super) fn check_program(&self) -> Result<(), ProcessError> {
        if let Some(dir) = self.dir.as_deref().filter(|dir| !dir.is_dir()) {
            return Err(ProcessError::NoFolder { dir: dir.to_owned() });
        }
        let program = self.program.to_string_lossy().into_owned();
        if self.program.as_encoded_bytes().contains(&b'/') {
            let file = self.dir.as_deref().unwrap_or(Path::new("")).join(&self.program);
            return match file.metadata() {
                Ok(_) if is_executable(&file) => Ok(()),
                Ok(found) if found.is_dir() => {
                    Err(ProcessError::NotExecutable { program, reason: "it is a folder; name the program in it" })
                }
                Ok(_) => Err(ProcessError::NotExecutable {
                    program,
                    reason: "it is not an executable file; name the program itself, or make it executable (chmod +x)",
                }),
                Err(_) => Err(ProcessError::NotFound { program }),
            };
        }
        let path = self.env.get(OsStr::new("PATH")).cloned().or_else(|| std::env::var_os("PATH"));
        match find_program(&self.program, &path.unwrap_or_default()) {
            Some(_) => Ok(()),
            None => Err(ProcessError::NotFound { program }),
        }
    }

    /// Opens the log for both outputs.
    pub(super) fn open_log(&self) -> Result<(File, File), ProcessError> {
        let open = || {
            let file = File::options().create(true).append(true).open(&self.log)?;
            Ok((file.try_clone()?, file))
        };
        open().map_err(|source| ProcessError::File { path: self.log.clone(), source })
    }
}

/// The first executable file of this name in the folders of a PATH.
pub fn find_program(name: impl AsRef<Path>, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|folder| !folder.as_os_str().is_empty())
        .map(|folder| folder.join(&name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
