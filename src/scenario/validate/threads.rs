//! `[observe.http.thread]`.

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::json_path::JsonPath;
use super::super::threads::{ThreadPaths, Threads};
use super::super::workloads::WorkloadKind;
use super::Check;

impl Check<'_> {
    /// Where an observed thread has what; only the workload of threads has any.
    pub(super) fn thread_paths(
        &mut self,
        threads: Option<Spanned<Threads>>,
        workload: WorkloadKind,
    ) -> Option<Option<ThreadPaths>> {
        if workload != WorkloadKind::Thread {
            return match threads {
                None => Some(None),
                Some(threads) => {
                    let message = format!("the documents of the workload `{}` are no threads", workload.as_str());
                    self.note(Problem::at(threads.span(), message).help("leave it out"))
                }
            };
        }
        let threads = threads.map(Spanned::into_inner).unwrap_or_default();
        let mut given = |path: Option<Spanned<String>>, usual: &str| match path {
            Some(path) => self.json_path(&path),
            None => JsonPath::compile(usual).ok(),
        };
        let (kind, members) = (given(threads.kind, "$.type"), given(threads.members, "$.participants"));
        let mut optional = |path: Option<Spanned<String>>| match path {
            Some(path) => self.json_path(&path).map(Some),
            None => Some(None),
        };
        let (added_by, owner, admins) = (optional(threads.added_by), optional(threads.owner), optional(threads.admins));
        let (stamp, title, count) = (optional(threads.stamp), optional(threads.title), optional(threads.message_count));
        Some(Some(ThreadPaths {
            kind: kind?,
            members: members?,
            added_by: added_by?,
            owner: owner?,
            admins: admins?,
            stamp: stamp?,
            title: title?,
            message_count: count?,
        }))
    }
}
