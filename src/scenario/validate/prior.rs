//! Requests that come first: `[[setup]]`, `before` of an operation, `before` of a log-in.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file::Target;
use super::super::file_request::Texts;
use super::super::json_path::JsonPath;
use super::super::prior::{Capture, Prior, PriorSpec};
use super::super::template::Scope;
use super::Check;

impl Check<'_> {
    /// The requests of the set-up, each of which may name what an earlier one captured. Takes note of everything that is
    /// captured anywhere, so that all other templates may name it.
    pub(super) fn setup(
        &mut self,
        setup: Vec<Spanned<Prior>>,
        target: Option<&Spanned<Target>>,
    ) -> Option<Vec<PriorSpec>> {
        let http = target.and_then(|target| target.get_ref().http.as_ref());
        if let (Some(first), None, Some(_)) = (setup.first(), http, target) {
            return self.note(
                Problem::at(first.span(), "`[[setup]]` belongs to `[target.http]`")
                    .help("what must be there for a direct target is made by its strategies"),
            );
        }
        let mut specs = Vec::new();
        for prior in setup {
            let span = prior.span();
            let prior = prior.into_inner();
            let captured = prior.capture.keys().map(|name| (name.clone(), name.clone())).collect::<Texts>();
            specs.push(self.prior(prior, ("[setup]", &span), Scope::Setup));
            self.capture_names("setup", std::iter::once(&captured));
        }
        if let Some(http) = http {
            let operations = http.get_ref().operations.values();
            let before = operations.filter_map(|operation| operation.get_ref().before.as_ref());
            self.capture_names("before", before.flat_map(|before| &before.get_ref().0).map(|prior| &prior.capture));
        }
        specs.into_iter().collect()
    }

    /// Takes note of the names under which captures of this group can be named from here on: `setup.token`.
    pub(super) fn capture_names<'t>(&mut self, group: &str, captures: impl Iterator<Item = &'t Texts>) {
        for name in captures.flat_map(BTreeMap::keys) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if name.get_ref().is_empty() || !name.get_ref().bytes().all(plain) {
                let problem = Problem::at(name.span(), format!("`{}` is no name of a capture", name.get_ref()));
                self.problems.push(problem.help("use letters, digits and `_`"));
            }
            let whole = format!("{group}.{}", name.get_ref());
            if !self.captured.contains(&whole) {
                self.captured.push(whole);
            }
        }
    }

    /// One of them; `table` is where it stands.
    pub(super) fn prior(&mut self, prior: Prior, table: (&str, &Range<usize>), scope: Scope) -> Option<PriorSpec> {
        let mut prior = prior;
        let request = self.request(prior.take_request(), table, scope, "POST");
        let Prior { capture, accept, .. } = prior;
        let mut captures = BTreeMap::new();
        let mut whole = true;
        for (name, place) in &capture {
            match self.capture(place) {
                Some(capture) => {
                    captures.insert(name.get_ref().clone(), capture);
                }
                None => whole = false,
            }
        }
        let statuses: Vec<Option<u64>> = accept.iter().map(|code| self.count(code, "accept", 100..=599)).collect();
        let statuses: Option<Vec<u64>> = statuses.into_iter().collect();
        let accept = statuses?.into_iter().filter_map(|code| u16::try_from(code).ok()).collect();
        whole.then_some(())?;
        Some(PriorSpec { request: request?, capture: captures, accept })
    }

    fn capture(&mut self, text: &Spanned<String>) -> Option<Capture> {
        let written = text.get_ref();
        if written == Capture::LOCATION {
            return Some(Capture::Location);
        }
        if let Some(number) = Capture::part(written) {
            return Some(Capture::Part(number));
        }
        if let Some(name) = written.strip_prefix(Capture::COOKIE).filter(|name| !name.is_empty()) {
            return Some(Capture::Cookie(name.to_owned()));
        }
        if let Some(name) = written.strip_prefix(Capture::FIELD).filter(|name| !name.is_empty()) {
            return Some(Capture::Field(name.to_owned()));
        }
        match written.starts_with('$') {
            true => self.json_path(text).map(|path: JsonPath| Capture::Path(path)),
            false => self.note(
                Problem::at(text.span(), "nothing that can be captured").help(
                    "write a JSONPath such as `$.token`, `cookie:NAME`, `field:NAME` of a page's form, `header:location`, or \
                     `header:location:2` for the second part of its path",
                ),
            ),
        }
    }
}
