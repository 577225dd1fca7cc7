//! `[service]`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file_http::Service;
use super::super::http::{PortKind, ServiceSpec};
use super::super::model::TargetSpec;
use super::super::prior::OneOrMany;
use super::super::template::{Scope, Template};
use super::Check;
use super::request::{Kind, kind_of};

impl Check<'_> {
    /// The service that the harness starts, if there is one, and what it starts beside it.
    pub(super) fn services(
        &mut self,
        services: Option<Spanned<OneOrMany<Service>>>,
        target: Option<&TargetSpec>,
    ) -> Option<(Option<ServiceSpec>, Vec<ServiceSpec>)> {
        let Some(services) = services else { return Some((None, Vec::new())) };
        let span = services.span();
        if let Some(TargetSpec::Mongo(_)) = target {
            return self.note(
                Problem::at(span, "a service is started, but the target is MongoDB itself").help("add `[target.http]`"),
            );
        }
        let mut services = services.into_inner().0.into_iter();
        let Some(first) = services.next() else { return Some((None, Vec::new())) };
        let known = self.captured.len();
        // They are started one after another, the service under test last: each may name those before it.
        let own = first.name.as_ref().map_or("service", |name| name.get_ref().as_str());
        let mut names = BTreeSet::from([own.to_owned()]);
        let mut companions = Vec::new();
        for companion in services {
            let companion = self.service(companion, &span);
            if let Some(companion) = &companion {
                self.companion(companion, &mut names, &span);
            }
            companions.push(companion);
        }
        let place = first.port.as_ref().map(Spanned::span).unwrap_or_else(|| span.clone());
        let first = self.service(first, &span);
        self.captured.truncate(known);
        if first.as_ref().is_some_and(|first| first.port == PortKind::None) {
            let problem = Problem::at(place, "the service under test must answer somewhere");
            self.problems.push(problem.help("the first of several is the one under test"));
        }
        let companions: Option<Vec<ServiceSpec>> = companions.into_iter().collect();
        Some((Some(first?), companions?))
    }

    /// What is asked of a service beside the one under test, and what templates may name of it.
    fn companion(&mut self, companion: &ServiceSpec, names: &mut BTreeSet<String>, span: &Range<usize>) {
        let Some(name) = &companion.name else {
            let problem = Problem::at(span.clone(), "a further service has no name");
            self.problems.push(problem.help("the first is the one under test; name the others: `name = \"worker\"`"));
            return;
        };
        if !names.insert(name.clone()) {
            let problem = Problem::at(span.clone(), format!("two services are called `{name}`"));
            self.problems.push(problem.help("give each a name of its own; one without a name is called `service`"));
        }
        // On a port that nothing listens on nobody answers.
        if companion.port != PortKind::None {
            self.captured.extend(["url", "port"].map(|what| format!("services.{name}.{what}")));
        }
    }

    /// One of them.
    fn service(&mut self, service: Service, span: &Range<usize>) -> Option<ServiceSpec> {
        let name = match service.name {
            Some(name) => self.service_name(name).map(Some),
            None => Some(None),
        };
        let command = self.required(service.command, "command", "service", Some(span));
        let command = command.and_then(|command| self.command(&command));
        let ready = service.ready.map_or(Some(None), |ready| match ready.get_ref().starts_with('/') {
            true => {
                self.no_template(&ready);
                Some(Some(ready.into_inner()))
            }
            false => self.note(
                Problem::at(ready.span(), "`ready` is a path and begins with `/`")
                    .help("the harness asks for it until the answer is 2xx"),
            ),
        });
        let ready_timeout = match &service.ready_timeout {
            Some(text) => self.duration(text, "ready_timeout", false),
            None => Some(Duration::from_secs(30)),
        };
        let instances = match &service.instances {
            Some(count) => self.count32(count, "instances", 1..=64),
            None => Some(1),
        };
        let port = match &service.port {
            Some(word) => self.word(word, "port", &PortKind::ALL),
            None => Some(PortKind::Given),
        };
        let mut env = BTreeMap::new();
        for (name, text) in &service.env {
            let kind = kind_of(name.get_ref());
            env.extend(self.template(text, Scope::Service, kind).map(|template| (name.get_ref().clone(), template)));
        }
        for plain in [&service.dir, &service.env_file].into_iter().flatten() {
            self.no_template(plain);
        }
        Some(ServiceSpec {
            name: name?,
            command: command?,
            dir: service.dir.map(|dir| dir.into_inner().into()),
            env_file: service.env_file.map(|file| file.into_inner().into()),
            env,
            inherit: service.inherit,
            port: port?,
            ready: ready?,
            ready_timeout: ready_timeout?,
            instances: instances?,
        })
    }

    /// A name that templates can name: `services.worker.port`.
    fn service_name(&mut self, name: Spanned<String>) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        match !name.get_ref().is_empty() && name.get_ref().bytes().all(plain) {
            true => Some(name.into_inner()),
            false => self.note(
                Problem::at(name.span(), format!("`{}` is no name of a service", name.get_ref()))
                    .help("use letters, digits and `_`"),
            ),
        }
    }

    fn command(&mut self, command: &Spanned<Vec<Spanned<String>>>) -> Option<Vec<Template>> {
        if command.get_ref().is_empty() {
            return self.note(
                Problem::at(command.span(), "the command is empty")
                    .help("name a program and its arguments: [\"node\", \"app.js\"]"),
            );
        }
        let words: Vec<Option<Template>> =
            command.get_ref().iter().map(|word| self.template(word, Scope::Service, Kind::Open)).collect();
        words.into_iter().collect()
    }
}
