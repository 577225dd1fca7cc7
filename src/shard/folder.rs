//! A shared folder as a board: a file for each name, put in place whole. Its clock is the one that stamps files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use futures::FutureExt;
use futures::future::BoxFuture;
use rand::RngExt;

use super::board::{Board, BoardError, Told};

/// A folder that all shards can write into.
pub struct Folder {
    path: PathBuf,
    /// What files of this process that are not in place yet are called.
    own: String,
}

/// File systems take their stamps from a clock that is read once a tick: at most so much of it may be missing.
const TICK_NS: i64 = 10_000_000;
/// Stands for `/` in the names of files.
const SEPARATOR: char = '+';

impl Folder {
    /// Uses a folder, and makes it if it is not there.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Folder { path: path.to_owned(), own: format!(".{:016x}", rand::rng().random::<u64>()) })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Path, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, BoardError> {
        let (path, own) = (self.path.clone(), self.own.clone());
        let told = format!("the folder {}", path.display());
        let done = tokio::task::spawn_blocking(move || act(&path, &own)).await?;
        done.map_err(|error| format!("{told}: {error}").into())
    }
}

fn file_name(name: &str) -> String {
    name.chars().map(|letter| if letter == '/' { SEPARATOR } else { letter }).collect()
}

/// Names of files that begin so, with the rest of the name.
fn beginning(path: &Path, prefix: &str) -> io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(prefix)) {
            found.push((
                entry.path(),
                rest.chars().map(|letter| if letter == SEPARATOR { '/' } else { letter }).collect(),
            ));
        }
    }
    Ok(found)
}

impl Board for Folder {
    fn time(&self) -> BoxFuture<'_, Result<Told, BoardError>> {
        self.blocking(|path, own| {
            let file = path.join(format!("{own}-clock"));
            std::fs::write(&file, b"now")?;
            let stamp = std::fs::metadata(&file)?.modified()?;
            let since = stamp.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
            let stamp = i64::try_from(since.as_nanos()).map_err(io::Error::other)?;
            let clock = "the shared folder's file system".to_owned();
            Ok(Told { clock, time: [stamp, stamp + TICK_NS] })
        })
        .boxed()
    }

    fn put<'a>(&'a self, name: &'a str, text: String) -> BoxFuture<'a, Result<(), BoardError>> {
        let name = file_name(name);
        self.blocking(move |path, own| {
            let new = path.join(format!("{own}-{name}"));
            std::fs::write(&new, text)?;
            std::fs::rename(&new, path.join(name))
        })
        .boxed()
    }

    fn read<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<BTreeMap<String, String>, BoardError>> {
        let prefix = file_name(prefix);
        self.blocking(move |path, _| {
            let mut found = BTreeMap::new();
            for (file, rest) in beginning(path, &prefix)? {
                match std::fs::read_to_string(file) {
                    Ok(text) => _ = found.insert(rest, text),
                    // Wiped out since it was listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        })
        .boxed()
    }

    fn wipe<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), BoardError>> {
        let prefix = file_name(prefix);
        self.blocking(move |path, _| {
            for (file, _) in beginning(path, &prefix)? {
                match std::fs::remove_file(file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        })
        .boxed()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind it would do no harm.
        std::fs::remove_file(self.path.join(format!("{}-clock", self.own))).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_put_is_read_by_another_until_it_is_wiped_out() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Folder::open(folder.path()).unwrap(), Folder::open(folder.path()).unwrap());
        one.put("run/r-1/at/3/0", "first".to_owned()).await.unwrap();
        one.put("run/r-1/at/3/0", "second".to_owned()).await.unwrap();
        other.put("run/r-1/at/30/1", "other".to_owned()).await.unwrap();
        other.put("run/r-2/at/3/1", "other".to_owned()).await.unwrap();
        assert_eq!(other.read("run/r-1/at/3/").await.unwrap(), [("0".to_owned(), "second".to_owned())].into());
        assert_eq!(one.read("run/r-1/").await.unwrap().keys().collect::<Vec<_>>(), ["at/3/0", "at/30/1"]);
        one.wipe("run/r-1/").await.unwrap();
        assert!(other.read("run/r-1/").await.unwrap().is_empty());
        assert_eq!(other.read("run/").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn its_clock_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let board = Folder::open(folder.path()).unwrap();
        let [first, _] = board.time().await.unwrap().time;
        let [_, later] = board.time().await.unwrap().time;
        assert!(first < later, "{first} {later}");
    }
}
