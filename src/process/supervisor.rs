//! [`Supervisor`]: owns processes and a private temporary directory, and takes both away with itself.
//!
//! A destructor does not run when the harness is killed, and the kernel's own "die with the parent" follows the thread
//! that forked, not the process, which ends the child early under a pool of threads. So each supervisor starts a small
//! shell, the watcher, that reads a pipe whose only writer is the harness. Whatever ends the harness closes the pipe;
//! the watcher then kills every process group it was told of and removes the directory.
//!
//! A process is started behind a gate: it waits for a word from the harness that is given only after the watcher has
//! been told of it. So there is no moment at which a killed harness leaves a process behind. Descendants die with it
//! as long as they stay in its process group; one that leaves it (a daemon calling `setsid`) is out of reach.

use std::collections::BTreeSet;
use std::io::{PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::{ProcessError, ProcessSpec};

/// Reads `+ GROUP` and `- GROUP` lines until the pipe closes, then kills the groups that are left and removes the
/// directory. A process that is just dying may still hold up `rm`, hence the attempts.
const WATCHER: &str = r#"
trap '' HUP INT TERM
groups=
while read -r sign group; do
    case $sign in
    +) groups="$groups $group" ;;
    -)
        kept=
        for known in $groups; do
            [ "$known" = "$group" ] || kept="$kept $known"
        done
        groups=$kept
        ;;
    esac
done
for group in $groups; do
    kill -s KILL -- "-$group"
done
attempts=0
while [ "$attempts" -lt 100 ]; do
    rm -rf -- "$1"
    [ -e "$1" ] || exit 0
    attempts=$((attempts + 1))
    sleep 0.05
done
exit 1
"#;

/// Waits for the harness's word, then becomes the program.
const GATE: &str = r#"read -r word && [ "$word" = go ] || exit 125; exec "$@" </dev/null"#;

/// Owns processes and a private directory. Dropping it kills the processes and removes the directory, in the
/// background; [`Supervisor::stop`] does so and waits.
///
/// Must be used within a tokio runtime.
#[derive(Debug)]
pub struct Supervisor {
    dir: PathBuf,
    watcher: Child,
    state: Arc<Mutex<State>>,
    exits: Mutex<Vec<watch::Receiver<Option<ExitStatus>>>>,
}

/// What the watcher has been told.
#[derive(Debug)]
struct State {
    pipe: Option<PipeWriter>,
    groups: BTreeSet<i32>,
}

impl State {
    fn add(&mut self, group: i32) -> Result<(), ProcessError> {
        let pipe = self.pipe.as_mut().ok_or(ProcessError::Unsupervised)?;
        pipe.write_all(format!("+ {group}\n").as_bytes()).map_err(|_| ProcessError::Unsupervised)?;
        self.groups.insert(group);
        Ok(())
    }

    /// Forgets a group whose leader has been reaped: its number may be given to a stranger from now on.
    fn remove(&mut self, group: i32) {
        if self.groups.remove(&group)
            && let Some(pipe) = self.pipe.as_mut()
            && pipe.write_all(format!("- {group}\n").as_bytes()).is_err()
        {
            // The watcher is gone; the next `add` reports that.
            self.pipe = None;
        }
    }

    fn kill_all(&mut self) {
        for group in std::mem::take(&mut self.groups) {
            // A group that is already gone is what is wanted here.
            killpg(Pid::from_raw(group), Signal::SIGKILL).ok();
        }
        self.pipe = None;
    }
}

impl Supervisor {
    /// Makes a private directory in the system's temporary directory and starts watching.
    pub fn start(prefix: &str) -> Result<Self, ProcessError> {
        Self::start_in(&std::env::temp_dir(), prefix)
    }

    /// Makes a private directory inside `parent` and starts watching.
    pub fn start_in(parent: &Path, prefix: &str) -> Result<Self, ProcessError> {
        let dir = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(parent)
            .map_err(|source| ProcessError::File { path: parent.to_owned(), source })?;
        let (reader, pipe) = open_pipe()?;
        let watcher = Command::new("/bin/sh")
            .args(["-c", WATCHER, "onlyone-watcher"])
            .arg(dir.path())
            .current_dir("/")
            .stdin(reader)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| ProcessError::System { step: "start /bin/sh", source })?;
        let state = State { pipe: Some(pipe), groups: BTreeSet::new() };
        Ok(Supervisor { dir: dir.keep(), watcher, state: Arc::new(Mutex::new(state)), exits: Mutex::default() })
    }

    /// The private directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts a process in a process group of its own. It runs until it ends, is killed, or the supervisor is dropped;
    /// dropping the handle does nothing.
    pub fn spawn(&self, spec: &ProcessSpec) -> Result<Process, ProcessError> {
        spec.check_program()?;
        let (stdout, stderr) = spec.open_log()?;
        let (reader, mut gate) = open_pipe()?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GATE, "onlyone-gate"]).arg(&spec.program).args(&spec.args);
        if let Some(inherit) = &spec.inherit {
            command.env_clear();
            command.envs(inherit.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        }
        command.envs(&spec.env);
        if let Some(dir) = &spec.dir {
            command.current_dir(dir);
        }
        command.stdin(reader).stdout(stdout).stderr(stderr).process_group(0);
        let child = command.spawn().map_err(|source| ProcessError::System { step: "start /bin/sh", source })?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).ok_or(ProcessError::Unsupervised)?;
        lock(&self.state).add(pid)?;
        gate.write_all(b"go\n").map_err(|source| ProcessError::System { step: "start the process", source })?;
        let (sender, exit) = watch::channel(None);
        tokio::spawn(reap(child, pid, Arc::downgrade(&self.state), sender));
        lock(&self.exits).push(exit.clone());
        Ok(Process { pid, log: spec.log.clone(), exit })
    }

    /// Kills everything, removes the directory, and returns when that is done.
    pub async fn stop(mut self) -> Result<(), ProcessError> {
        lock(&self.state).kill_all();
        let exits = std::mem::take(&mut *lock(&self.exits));
        for mut exit in exits {
            // An error means that the task that waits for the process is gone, and the runtime with it.
            exit.wait_for(Option::is_some).await.ok();
        }
        let watched = self.watcher.wait().await;
        let watched = watched.map_err(|source| ProcessError::System { step: "wait for the supervisor", source })?;
        if watched.success() || !self.dir.exists() {
            return Ok(());
        }
        // The watcher was killed from outside, or could not remove the directory; the error then says why.
        std::fs::remove_dir_all(&self.dir).map_err(|source| ProcessError::File { path: self.dir.clone(), source })
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        lock(&self.state).kill_all();
    }
}

/// A process of a [`Supervisor`].
#[derive(Debug, Clone)]
pub struct Process {
    pid: i32,
    log: PathBuf,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Its number, which is also that of its process group.
    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// The file that has its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its exit status, if it has ended.
    pub fn try_exit_status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits until it has ended; `None` if nobody can tell any more because the runtime shuts down.
    pub async fn wait(&self) -> Option<ExitStatus> {
        let mut exit = self.exit.clone();
        exit.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }

    /// Sends a signal to its whole process group, so that a service behind a launcher gets it too. A process that has
    /// ended gets nothing, and that is not an error.
    pub fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        if self.try_exit_status().is_some() {
            return Ok(());
        }
        match killpg(Pid::from_raw(self.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(ProcessError::System { step: "signal the process", source: errno.into() }),
        }
    }

    /// Kills it and waits until it is gone.
    pub async fn kill(&self) -> Result<(), ProcessError> {
        self.signal(Signal::SIGKILL)?;
        self.wait().await;
        Ok(())
    }

    /// Asks it to end, kills it if it has not within `grace`, and waits until it is gone.
    pub async fn terminate(&self, grace: Duration) -> Result<(), ProcessError> {
        self.signal(Signal::SIGTERM)?;
        match tokio::time::timeout(grace, self.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => self.kill().await,
        }
    }
}

/// Waits for the end of a process, kills what it left behind in its group, and makes the end known.
async fn reap(mut child: Child, pid: i32, state: Weak<Mutex<State>>, sender: watch::Sender<Option<ExitStatus>>) {
    let Ok(status) = child.wait().await else { return };
    killpg(Pid::from_raw(pid), Signal::SIGKILL).ok();
    if let Some(state) = state.upgrade() {
        lock(&state).remove(pid);
    }
    sender.send_replace(Some(status));
}

/// Both ends are closed on exec, so no other child of the harness keeps the pipe open.
fn open_pipe() -> Result<(std::io::PipeReader, PipeWriter), ProcessError> {
    std::io::pipe().map_err(|source| ProcessError::System { step: "open a pipe", source })
}

/// Nothing that holds these locks can panic half-way, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
