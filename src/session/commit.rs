//! On which commit a command runs: what the CI service says, else what is checked out in the working directory.
//!
//! Git's own files are read; no program is started. What cannot be told is left out.

use std::fs;
use std::path::{Path, PathBuf};

use crate::report::Origin;

/// Variables that name the commit, and those that name its branch or tag, by CI service.
const VARIABLES: [(&str, &str); 6] = [
    ("GITHUB_SHA", "GITHUB_REF_NAME"),
    ("CI_COMMIT_SHA", "CI_COMMIT_REF_NAME"),
    ("GIT_COMMIT", "GIT_BRANCH"),
    ("BUILDKITE_COMMIT", "BUILDKITE_BRANCH"),
    ("CIRCLE_SHA1", "CIRCLE_BRANCH"),
    ("BUILD_SOURCEVERSION", "BUILD_SOURCEBRANCHNAME"),
];

/// Where a report that is begun at this time comes from.
pub(crate) fn origin(date: String) -> Origin {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (commit, branch) = of_ci(&variable)
        .or_else(|| std::env::current_dir().ok().and_then(|folder| checked_out(&folder)))
        .map_or((None, None), |(commit, branch)| (Some(commit), branch));
    Origin { date, commit, branch }
}

fn of_ci(variable: &dyn Fn(&str) -> Option<String>) -> Option<(String, Option<String>)> {
    let named =
        |(commit, branch): &(&str, &str)| Some((variable(commit).filter(|id| is_commit(id))?, variable(branch)));
    VARIABLES.iter().find_map(named)
}

/// The commit that is checked out in the repository that a folder lies in, and its branch.
fn checked_out(folder: &Path) -> Option<(String, Option<String>)> {
    let git = folder.ancestors().find_map(git_folder)?;
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(reference) = head.trim().strip_prefix("ref: ") else {
        return Some((head.trim().to_owned(), None)).filter(|(id, _)| is_commit(id));
    };
    // Branches of a further worktree are kept with the main one.
    let common = fs::read_to_string(git.join("commondir")).map_or_else(|_| git.clone(), |path| git.join(path.trim()));
    let loose = fs::read_to_string(common.join(reference)).ok().map(|id| id.trim().to_owned());
    let commit = loose.or_else(|| packed(&common, reference)).filter(|id| is_commit(id))?;
    Some((commit, reference.strip_prefix("refs/heads/").map(str::to_owned)))
}

/// Git's folder of a working tree: `.git`, or where a file of that name points.
fn git_folder(folder: &Path) -> Option<PathBuf> {
    let path = folder.join(".git");
    if path.is_dir() {
        return Some(path);
    }
    let text = fs::read_to_string(&path).ok()?;
    Some(folder.join(text.trim().strip_prefix("gitdir: ")?))
}

fn packed(git: &Path, reference: &str) -> Option<String> {
    let text = fs::read_to_string(git.join("packed-refs")).ok()?;
    text.lines()
        .find_map(|line| line.split_once(' ').filter(|(_, name)| *name == reference).map(|(id, _)| id.to_owned()))
}

fn is_commit(text: &str) -> bool {
    (40..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_checkout_is_found_from_any_folder_in_it() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let inner = root.join("services/chat");
        fs::create_dir_all(&inner).unwrap();
        assert_eq!(checked_out(&inner), None);
        let found = Some((ID.to_owned(), Some("fix/race".to_owned())));
        write(root.join(".git/HEAD"), "ref: refs/heads/fix/race\n");
        assert_eq!(checked_out(&inner), None, "a branch without a commit");
        write(root.join(".git/packed-refs"), &format!("# pack-refs\n{ID} refs/heads/fix/race\n"));
        assert_eq!(checked_out(&inner), found);
        let newer = ID.replace("0123", "ffff");
        write(root.join(".git/refs/heads/fix/race"), &format!("{newer}\n"));
        assert_eq!(checked_out(&inner), Some((newer, Some("fix/race".to_owned()))));
        write(root.join(".git/HEAD"), &format!("{ID}\n"));
        assert_eq!(checked_out(&inner), Some((ID.to_owned(), None)));
    }

    #[test]
    fn a_further_worktree_has_a_head_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let (main, other) = (root.path().join("main/.git"), root.path().join("other"));
        write(other.join(".git"), &format!("gitdir: {}\n", main.join("worktrees/other").display()));
        write(main.join("worktrees/other/HEAD"), "ref: refs/heads/other\n");
        write(main.join("worktrees/other/commondir"), "../..\n");
        write(main.join("refs/heads/other"), ID);
        assert_eq!(checked_out(&other), Some((ID.to_owned(), Some("other".to_owned()))));
    }

    #[test]
    fn a_ci_service_names_its_commit() {
        let of = |known: &'static [(&str, &str)]| {
            of_ci(&move |name| known.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(
            of(&[("GITHUB_SHA", ID), ("GITHUB_REF_NAME", "main")]),
            Some((ID.to_owned(), Some("main".to_owned())))
        );
        assert_eq!(of(&[("CI_COMMIT_SHA", ID)]), Some((ID.to_owned(), None)));
        assert_eq!(of(&[("GITHUB_SHA", "HEAD; rm")]), None);
        assert_eq!(of(&[]), None);
    }
}
