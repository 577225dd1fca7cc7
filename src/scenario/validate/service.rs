//! `[service]`.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file_http::Service;
use super::super::http::{PortKind, ServiceSpec};
use super::super::model::TargetSpec;
use super::super::template::{Scope, Template};
use super::Check;
use super::request::{Kind, kind_of};

impl Check<'_> {
    /// The service that the harness starts, if there is one.
    pub(super) fn service(
        &mut self,
        service: Option<Spanned<Service>>,
        target: Option<&TargetSpec>,
    ) -> Option<Option<ServiceSpec>> {
        let Some(service) = service else { return Some(None) };
        let span = service.span();
        if let Some(TargetSpec::Mongo(_)) = target {
            return self.note(
                Problem::at(span, "a service is started, but the target is MongoDB itself").help("add `[target.http]`"),
            );
        }
        let service = service.into_inner();
        let command = self.required(service.command, "command", "service", Some(&span));
        let command = command.and_then(|command| self.command(&command));
        let ready = service.ready.map_or(Some(None), |ready| match ready.get_ref().starts_with('/') {
            true => Some(Some(ready.into_inner())),
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
        Some(Some(ServiceSpec {
            command: command?,
            dir: service.dir.map(|dir| dir.into_inner().into()),
            env,
            inherit: service.inherit,
            port: port?,
            ready: ready?,
            ready_timeout: ready_timeout?,
            instances: instances?,
        }))
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
