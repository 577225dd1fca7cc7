//! `[target.http]`.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file_http::{self, Http, Operation};
use super::super::file_request::Texts;
use super::super::http::{
    AuthSpec, HttpSpec, KeySharing, LoginPer, LoginSpec, OperationSpec, Release, StatusSpec, TlsSpec,
};
use super::super::json_path::JsonPath;
use super::super::messages::Messages;
use super::super::prior::{OneOrMany, Prior, PriorSpec};
use super::super::template::Scope;
use super::super::values::Count;
use super::super::workloads::WorkloadKind;
use super::Check;
use super::request::Kind;

const RELEASES: [(&str, Release); 2] = [("task", Release::Task), ("last-byte", Release::LastByte)];
const LOGINS: [(&str, LoginPer); 2] = [("user", LoginPer::User), ("once", LoginPer::Once)];
const SHARINGS: [(&str, KeySharing); 2] = [("shared", KeySharing::Shared), ("private", KeySharing::Private)];

impl Check<'_> {
    /// The service over HTTP.
    pub(super) fn http(
        &mut self,
        http: Spanned<Http>,
        workload: Option<WorkloadKind>,
        own_service: bool,
    ) -> Option<HttpSpec> {
        let span = http.span();
        let http = http.into_inner();
        // Of an unknown workload nothing more can be said: its own mistake is reported.
        let workload = workload?;
        let has_messages = workload.has_messages() || workload == WorkloadKind::Thread;
        if let Some(messages) = http.messages.as_ref().filter(|_| !has_messages) {
            let message = format!("the documents of the workload `{}` hold no messages", workload.as_str());
            self.problems.push(Problem::at(messages.span(), message).help("leave it out"));
        }
        let scope = Scope::Request(workload);
        if http.base_urls.is_empty() && !own_service {
            return self.note(
                Problem::at(span, "`base_urls` is missing in `[target.http]`")
                    .help("name the service's URL, or let the harness start it: `[service]`"),
            );
        }
        let base_urls: Vec<Option<String>> = http.base_urls.iter().map(|url| self.base_url(url)).collect();
        let timeout = match &http.timeout {
            Some(text) => self.duration(text, "timeout", false),
            None => Some(Duration::from_secs(5)),
        };
        let release = match &http.release {
            Some(word) => self.word(word, "release", &RELEASES),
            None => Some(Release::Task),
        };
        let retries = match &http.retries {
            Some(count) => self.count32(count, "retries", 0..=100),
            None => Some(0),
        };
        let warm_up = match &http.warm_up {
            Some(path) => self.path(path, Scope::Run).map(|path| Some(path.text().expose().to_owned())),
            None => Some(None),
        };
        self.last_byte(&http);
        let auth = self.auth(http.auth, scope);
        let messages = has_messages.then(|| Messages::filled(http.messages, workload));
        let operations = self.operations(http.operations, &span, workload);
        Some(HttpSpec {
            base_urls: base_urls.into_iter().collect::<Option<_>>()?,
            timeout: timeout?,
            release: release?,
            http2: http.http2.is_some_and(Spanned::into_inner),
            retries: retries?,
            cookies: http.cookies,
            warm_up: warm_up?,
            auth: auth?,
            tls: TlsSpec { ca: http.tls.ca.map(|path| path.into_inner().into()) },
            messages,
            operations: operations?,
        })
    }

    /// The last byte is withheld by the harness's own writer, which speaks plain HTTP/1.1.
    fn last_byte(&mut self, http: &Http) {
        let Some(release) = http.release.as_ref().filter(|release| release.get_ref() == "last-byte") else { return };
        let mut clash = |span, label: &str| {
            let problem = Problem::at(release.span(), "`last-byte` needs plain HTTP/1.1").related(span, label);
            self.problems.push(problem.help("write `release = \"task\"`"));
        };
        if let Some(http2) = http.http2.as_ref().filter(|http2| *http2.get_ref()) {
            clash(http2.span(), "HTTP/2");
        }
        if let Some(url) = http.base_urls.iter().find(|url| url.get_ref().starts_with("https:")) {
            clash(url.span(), "TLS");
        }
    }

    /// Scheme, host and port, and perhaps a path.
    fn base_url(&mut self, url: &Spanned<String>) -> Option<String> {
        self.no_template(url);
        let text = url.get_ref().trim_end_matches('/');
        let parsed = match reqwest::Url::parse(text) {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => parsed,
            _ => {
                return self.note(
                    Problem::at(url.span(), "not the URL of a service")
                        .help("write scheme, host and port: \"http://127.0.0.1:3000\""),
                );
            }
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return self.note(
                Problem::at(url.span(), "a base URL holds no credentials").help("use `auth.headers` or `auth.login`"),
            );
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return self
                .note(Problem::at(url.span(), "a base URL has no query").help("put it into the operation's `path`"));
        }
        Some(text.to_owned())
    }

    fn auth(&mut self, auth: file_http::Auth, scope: Scope) -> Option<AuthSpec> {
        if let (Some(login), Some(bearer)) = (&auth.login, &auth.bearer)
            && login.get_ref().token.is_some()
        {
            return self.note(
                Problem::at(bearer.span(), "a bearer token comes from the log-in or from here")
                    .related(login.span(), "the log-in"),
            );
        }
        let login = match auth.login {
            Some(login) => self.login(login, scope).map(Some),
            None => Some(None),
        };
        let bearer = match &auth.bearer {
            Some(text) => self.template(text, scope, Kind::Credential).map(Some),
            None => Some(None),
        };
        let headers = self.headers(&auth.headers, scope, Some(Kind::Credential));
        Some(AuthSpec { login: login?, bearer: bearer?, headers: headers? })
    }

    fn login(&mut self, login: Spanned<file_http::Login>, scope: Scope) -> Option<LoginSpec> {
        let span = login.span();
        let login = login.into_inner();
        let mut before = Vec::new();
        let known = self.captured.len();
        for prior in login.before.map(|before| before.into_inner().0).unwrap_or_default() {
            let captured = prior.capture.keys().map(|name| (name.clone(), name.clone())).collect();
            before.push(self.prior(prior, ("target.http.auth.login.before", &span), scope));
            self.capture_names("login", std::iter::once(&captured));
        }
        let per = login.per.as_ref().map_or(Some(LoginPer::User), |word| self.word(word, "who logs in", &LOGINS));
        for (key, place) in
            [("header", login.header.as_ref().map(Spanned::span)), ("scheme", login.scheme.as_ref().map(Spanned::span))]
        {
            if let Some(place) = place.filter(|_| login.token.is_none()) {
                let problem = Problem::at(place, format!("`{key}` says how a token is sent, and there is none"));
                self.problems.push(problem.help("say where the answer has it: `token = \"$.token\"`"));
            }
        }
        let header = login.header.map_or_else(|| Some("authorization".to_owned()), |name| self.header_name(name));
        let scheme = login.scheme.map_or_else(|| "Bearer".to_owned(), Spanned::into_inner);
        let request = self.required(login.request, "request", "target.http.auth.login", Some(&span));
        let request = request.and_then(|request| {
            let place = request.span();
            self.request(request.into_inner(), ("target.http.auth.login.request", &place), scope, "POST")
        });
        let token = match &login.token {
            Some(path) => self.json_path(path).map(Some),
            None => Some(None),
        };
        // What comes before the log-in is known to the log-in alone.
        self.captured.truncate(known);
        let before: Option<Vec<PriorSpec>> = before.into_iter().collect();
        let (request, token) = (request?, token?);
        // Without a token they say nothing, and a resolved scenario must read back.
        let (header, scheme) = (token.is_some().then_some(header?), token.is_some().then_some(scheme));
        Some(LoginSpec { request, token, header, scheme, per: per?, before: before? })
    }

    fn header_name(&mut self, name: Spanned<String>) -> Option<String> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        match !name.get_ref().is_empty() && name.get_ref().bytes().all(token) {
            true => Some(name.into_inner()),
            false => self.note(Problem::at(name.span(), format!("`{}` is no name of a header", name.get_ref()))),
        }
    }

    fn before(
        &mut self,
        before: Option<Spanned<OneOrMany<Prior>>>,
        table: &str,
        workload: WorkloadKind,
    ) -> Option<Vec<PriorSpec>> {
        let Some(before) = before else { return Some(Vec::new()) };
        let span = before.span();
        let table = format!("{table}.before");
        let priors = before.into_inner().0;
        let specs: Vec<Option<PriorSpec>> =
            priors.into_iter().map(|prior| self.prior(prior, (&table, &span), Scope::Request(workload))).collect();
        specs.into_iter().collect()
    }

    fn operations(
        &mut self,
        operations: BTreeMap<Spanned<String>, Spanned<Operation>>,
        table: &std::ops::Range<usize>,
        workload: WorkloadKind,
    ) -> Option<BTreeMap<String, OperationSpec>> {
        let custom = workload == WorkloadKind::Custom;
        let known: Vec<&str> = workload.operations().collect();
        let mut specs = BTreeMap::new();
        let mut whole = true;
        for (name, operation) in operations {
            if !custom && !known.contains(&name.get_ref().as_str()) {
                let kind = format!("operation of {}", workload.as_str());
                self.problems.push(Problem::unknown(name.span(), &kind, name.get_ref(), known.iter().copied()));
                whole = false;
                continue;
            }
            match self.operation(name.get_ref(), operation, workload) {
                Some(spec) => {
                    specs.insert(name.into_inner(), spec);
                }
                None => whole = false,
            }
        }
        if !whole {
            return None;
        }
        let missing = workload.needed_operations().find(|name| !specs.contains_key(*name));
        match missing {
            Some(name) => self.note(
                Problem::at(table.clone(), format!("the operation `{name}` is missing"))
                    .help(format!("say how it is asked for: `[target.http.operations.{name}]`")),
            ),
            None if specs.is_empty() => self.note(
                Problem::at(table.clone(), "a custom workload needs operations")
                    .help("add one under its name: `[target.http.operations.place-order]`"),
            ),
            None => Some(specs),
        }
    }

    fn operation(
        &mut self,
        name: &str,
        operation: Spanned<Operation>,
        workload: WorkloadKind,
    ) -> Option<OperationSpec> {
        let place = operation.span();
        let mut operation = operation.into_inner();
        let request = operation.take_request();
        let Operation { outcome, status, weight, keys, before, .. } = operation;
        let table = format!("target.http.operations.{name}");
        let usual = workload.usual_method(name);
        let request = self.request(request, (&table, &place), Scope::Request(workload), usual);
        let before = self.before(before, &table, workload);
        let outcome = self.outcome(&outcome, workload, name, &place);
        let status = self.status(&status, workload.reads(name));
        let status = status.map(|status| if workload == WorkloadKind::Unique { status.of_unique() } else { status });
        for (key, span) in [("weight", weight.as_ref().map(Spanned::span)), ("keys", keys.as_ref().map(Spanned::span))]
        {
            if let Some(span) = span.filter(|_| workload != WorkloadKind::Custom) {
                self.problems.push(
                    Problem::at(span, format!("`{key}` belongs to a custom workload"))
                        .help(format!("the workload {} mixes its operations itself", workload.as_str())),
                );
            }
        }
        let weight = match &weight {
            Some(count) => self.count32(count, "weight", 1..=1_000_000),
            None => Some(1),
        };
        let keys = match &keys {
            Some(word) => self.word(word, "kind of keys", &SHARINGS),
            None => Some(KeySharing::Shared),
        };
        let (request, outcome, status) = (request?, outcome?, status?);
        Some(OperationSpec { request, outcome, status, weight: weight?, keys: keys?, before: before? })
    }

    fn outcome(
        &mut self,
        texts: &Texts,
        workload: WorkloadKind,
        operation: &str,
        place: &std::ops::Range<usize>,
    ) -> Option<BTreeMap<String, JsonPath>> {
        let mut paths = BTreeMap::new();
        let mut whole = true;
        let known = workload.outcomes(operation);
        for needed in workload.needed_outcomes(operation) {
            if !texts.keys().any(|name| name.get_ref() == needed) {
                let problem =
                    Problem::at(place.clone(), format!("`outcome.{needed}` is missing in the operation `{operation}`"));
                self.problems.push(problem.help(format!("say where its answer has it: `{needed} = \"$.data\"`")));
                whole = false;
            }
        }
        for (name, text) in texts {
            if !known.contains(&name.get_ref().as_str()) {
                let known = known.iter().copied();
                self.problems.push(Problem::unknown(name.span(), "outcome", name.get_ref(), known));
                whole = false;
                continue;
            }
            match self.json_path(text) {
                Some(path) => {
                    paths.insert(name.get_ref().clone(), path);
                }
                None => whole = false,
            }
        }
        whole.then_some(paths)
    }

    /// What a status means; what is left out has its safe default, less what another list claims.
    fn status(&mut self, status: &file_http::Status, reads: bool) -> Option<StatusSpec> {
        if let Some(first) = status.absent.iter().flatten().next().filter(|_| !reads) {
            return self.note(
                Problem::at(first.span(), "only a read can be answered with nothing: `absent` belongs to it")
                    .help("write `failed`, or `refused` where the loser of a race is rightly told so"),
            );
        }
        let named = [&status.ok, &status.created, &status.refused, &status.absent, &status.failed, &status.unknown];
        let mut lists: [Option<Vec<u16>>; 6] = [None, None, None, None, None, None];
        let mut seen: BTreeMap<u16, std::ops::Range<usize>> = BTreeMap::new();
        for (list, written) in lists.iter_mut().zip(named) {
            let Some(written) = written else { continue };
            let mut codes = Vec::new();
            for count in written {
                let code = self.status_code(count)?;
                if let Some(first) = seen.insert(code, count.span()) {
                    return self.note(
                        Problem::at(count.span(), format!("the status {code} has two meanings"))
                            .related(first, "the other one"),
                    );
                }
                codes.push(code);
            }
            *list = Some(codes);
        }
        let usual = StatusSpec::default();
        let [ok, created, refused, absent, failed, unknown] = lists;
        // The built-in meaning of a read's 404 gives way to the scenario's own.
        let none_there =
            absent.unwrap_or_else(|| if reads && !seen.contains_key(&404) { vec![404] } else { Vec::new() });
        seen.extend(none_there.iter().map(|&code| (code, 0..0)));
        let rest = |usual: Vec<u16>| usual.into_iter().filter(|code| !seen.contains_key(code)).collect();
        Some(StatusSpec {
            ok: ok.unwrap_or_else(|| rest(usual.ok)),
            created: created.unwrap_or_default(),
            refused: refused.unwrap_or_default(),
            absent: none_there,
            failed: failed.unwrap_or_else(|| rest(usual.failed)),
            unknown: unknown.unwrap_or_else(|| rest(usual.unknown)),
        })
    }

    fn status_code(&mut self, count: &Spanned<Count>) -> Option<u16> {
        self.count(count, "status", 100..=599).and_then(|code| u16::try_from(code).ok())
    }
}
