//! Which requests that come before a key's first operation are needed, where it is known which operations come on the key. Main
//! type: [`PerKey`].
//!
//! An exploration of `create` against `create` must begin where nothing is there yet, although `like` of the same scenario needs
//! a post before it.

use std::collections::BTreeSet;

use crate::scenario::{HttpSpec, PriorSpec, RequestSpec, WorkloadKind};
use crate::target::http::HttpRun;

/// A request that comes before the first operation of a key.
#[derive(Debug, Clone)]
pub(in crate::target::http) struct PerKey {
    spec: PriorSpec,
    /// Operations that need it; none where anybody may.
    users: Option<BTreeSet<String>>,
}

impl PerKey {
    /// All of a scenario, in the order of the operations' names; one that names what another captures comes after it.
    pub(in crate::target::http) fn of(spec: &HttpSpec, run: &HttpRun) -> Vec<PerKey> {
        // What the run itself names is needed whoever comes.
        let elsewhere = [serde_json::to_string(&run.observe), serde_json::to_string(&run.numbers)];
        let elsewhere: Option<String> = elsewhere.into_iter().collect::<Result<_, _>>().ok();
        PerKey::of_operations(spec, elsewhere.as_deref().filter(|_| run.workload == WorkloadKind::Custom))
    }

    /// All of these operations; `elsewhere` is what else may name what they capture, where that is known.
    fn of_operations(spec: &HttpSpec, elsewhere: Option<&str>) -> Vec<PerKey> {
        let may_be_left_out = |prior: &PriorSpec| {
            let is_named = |text: &str| prior.capture.keys().any(|name| text.contains(&word(name)));
            !prior.capture.is_empty() && elsewhere.is_some_and(|text| !is_named(text))
        };
        let mut all: Vec<PerKey> = Vec::new();
        for (name, operation) in &spec.operations {
            for prior in &operation.before {
                let users = may_be_left_out(prior).then(|| users(spec, name, prior));
                all.push(PerKey { spec: prior.clone(), users });
            }
        }
        in_order(all)
    }

    /// Those that these operations need; all where it is not known which will come.
    pub(super) fn needed<'p>(all: &'p [PerKey], operations: Option<&BTreeSet<&str>>) -> Vec<&'p PriorSpec> {
        let comes = |name: &String| operations.is_none_or(|operations| operations.contains(&**name));
        let mut needed: Vec<&PriorSpec> = Vec::new();
        // From the last on: one may name what another has captured before it.
        for one in all.iter().rev() {
            let is_used = one.users.as_ref().is_none_or(|users| users.iter().any(comes));
            if is_used || needed.iter().any(|later| names(&later.request, &one.spec)) {
                needed.push(&one.spec);
            }
        }
        needed.reverse();
        needed
    }
}

/// Each after one that captures what it names.
fn in_order(mut left: Vec<PerKey>) -> Vec<PerKey> {
    let mut ordered: Vec<PerKey> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let is_known = |name: &String| ordered.iter().any(|one| one.spec.capture.contains_key(name));
        let waits = |one: &PerKey| {
            let mut unknown = left.iter().flat_map(|other| other.spec.capture.keys()).filter(|name| !is_known(name));
            unknown.any(|name| mentions(&one.spec.request, name) && !one.spec.capture.contains_key(name))
        };
        // Of a circle, which nobody can fill in, the first.
        let next = left.iter().position(|one| !waits(one)).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}

/// The operation that says so, and those that name what it captures.
fn users(spec: &HttpSpec, own: &str, prior: &PriorSpec) -> BTreeSet<String> {
    let naming = spec.operations.iter().filter(|(_, operation)| names(&operation.request, prior));
    naming.map(|(name, _)| name.clone()).chain([own.to_owned()]).collect()
}

/// Whether a request names something that this one captures.
fn names(request: &RequestSpec, prior: &PriorSpec) -> bool {
    prior.capture.keys().any(|name| mentions(request, name))
}

fn mentions(request: &RequestSpec, capture: &str) -> bool {
    request.templates().iter().any(|template| template.names(&word(capture)))
}

/// What captured values are called.
fn word(capture: &str) -> String {
    format!("before.{capture}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    /// What comes before these operations, by the path.
    fn before(elsewhere: Option<&str>, operations: Option<&[&str]>) -> Vec<String> {
        let text = r#"
            name = "posts"
            workload = "custom"
            [target.http]
            base_urls = ["http://127.0.0.1:1"]
            [target.http.operations.create]
            path = "/posts"
            [target.http.operations.draft]
            path = "/drafts/{{ before.draft }}/pages"
            before = { path = "/drafts/{{ before.draft }}/publish", capture = { post = "$.id" } }
            [target.http.operations.like]
            path = "/posts/{{ before.post }}/like"
            before = { path = "/drafts", capture = { draft = "$.id" } }
            [target.http.operations.read]
            method = "GET"
            path = "/posts/{{ before.post }}"
            [target.http.operations.visit]
            path = "/visits"
            before = { path = "/halls" }
            [load.burst]
            clients = 2
            rounds = 1
        "#;
        let known: scenario::KnownStrategies<'_> = &|_| &[];
        let path = std::path::Path::new("posts.toml");
        let scenario = scenario::load_text(path, text.to_owned(), &[], &|_| None, known)
            .unwrap_or_else(|error| panic!("{}", error.render(false)));
        let all = PerKey::of_operations(scenario.target.http().unwrap(), elsewhere);
        let operations = operations.map(|names| names.iter().copied().collect());
        PerKey::needed(&all, operations.as_ref()).iter().map(|prior| prior.request.path.to_string()).collect()
    }

    #[test]
    fn what_none_of_the_operations_needs_does_not_come_first() {
        let all = ["/drafts", "/drafts/{{ before.draft }}/publish", "/halls"];
        type Case<'a> = (Option<&'a str>, Option<&'a [&'a str]>, &'a [&'a str]);
        let cases: [Case<'_>; 7] = [
            // Nothing is captured: who needs the hall is not known.
            (Some(""), Some(&["create"]), &["/halls"]),
            (Some(""), Some(&["visit"]), &["/halls"]),
            // One says so, another names what is captured.
            (Some(""), Some(&["create", "like"]), &all),
            (Some(""), Some(&["read"]), &all),
            // The final state is read by it; or it is not known what names it; or who comes.
            (Some("/posts/{{ before.post }}"), Some(&["create"]), &all),
            (None, Some(&["create"]), &all),
            (Some(""), None, &all),
        ];
        for (elsewhere, operations, expected) in cases {
            assert_eq!(before(elsewhere, operations), expected, "{elsewhere:?} {operations:?}");
        }
    }
}
