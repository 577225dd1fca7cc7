//! `[observe.*]`.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file_fields::{Names, Stored};
use super::super::file_observe;
use super::super::model::TargetSpec;
use super::super::observed::{ObserveHttp, ObserveMongo, ObserveSpec};
use super::super::template::{Scope, Template};
use super::super::values::DurationText;
use super::super::workloads::WorkloadKind;
use super::Check;
use super::request::Kind;

impl Check<'_> {
    /// Where the final state is read.
    pub(super) fn observe(
        &mut self,
        observe: file_observe::Observe,
        workload: Option<WorkloadKind>,
        target: Option<&TargetSpec>,
        own_service: bool,
    ) -> Option<ObserveSpec> {
        if let (Some(one), Some(other)) = (&observe.mongo, &observe.http) {
            return self.note(
                Problem::at(other.span(), "the final state is read in one place").related(one.span(), "the other one"),
            );
        }
        let place = observe.mongo.as_ref().map(Spanned::span).or_else(|| observe.http.as_ref().map(Spanned::span));
        if let (None, Some(TargetSpec::Http(_)), Some(kind)) = (&place, target, workload)
            && (kind.has_messages() || kind == WorkloadKind::Thread)
        {
            // Nearly everything that is claimed of these workloads is claimed of what is stored.
            let message = format!("the workload `{}` is judged by what is stored in the end", kind.as_str());
            return self
                .note(Problem::whole(message).help("say where that is read: `[observe.mongo]` or `[observe.http]`"));
        }
        if let (Some(place), Some(TargetSpec::Mongo(_))) = (place, target) {
            return self.note(
                Problem::at(place, "`[observe]` belongs to a service")
                    .help("the target is MongoDB itself: its final state is read from there"),
            );
        }
        let operations = target.map(super::operations).unwrap_or_default();
        let mongo = match observe.mongo {
            Some(mongo) => self.observe_mongo(mongo, workload, own_service, &operations).map(Some),
            None => Some(None),
        };
        let http = match observe.http {
            Some(http) => self.observe_http(http, workload, &operations).map(Some),
            None => Some(None),
        };
        Some(ObserveSpec { mongo: mongo?, http: http? })
    }

    fn observe_mongo(
        &mut self,
        mongo: Spanned<file_observe::ObserveMongo>,
        workload: Option<WorkloadKind>,
        own_service: bool,
        operations: &[String],
    ) -> Option<ObserveMongo> {
        let span = mongo.span();
        let mongo = mongo.into_inner();
        let scope = Scope::Request(workload?);
        let collection = self.required(mongo.collection, "collection", "observe.mongo", Some(&span));
        let collection = collection.and_then(|name| self.named(name, "collection"));
        let key = self.required(mongo.key, "key", "observe.mongo", Some(&span));
        let key = key.and_then(|names| self.key_fields(names));
        let stored = self.stored(mongo.stored, key.as_deref(), scope, &span);
        let id = mongo.id.map_or(Some("_id".to_owned()), |path| self.field_path(path));
        let id_as = self.id_as(mongo.id_as.as_ref());
        let stamp = mongo.stamp.map_or(Some(None), |path| self.field_path(path).map(Some));
        let insert_fields: Vec<Option<String>> =
            mongo.insert_fields.into_iter().map(|path| self.field_path(path)).collect();
        let messages = self.messages_field(mongo.messages, "observe.mongo", &span, workload);
        if let Some(elsewhere) = mongo.uri.as_ref().or(mongo.database.as_ref())
            && workload == Some(WorkloadKind::Thread)
        {
            let problem = Problem::at(elsewhere.span(), "threads are read from the run's own database");
            self.problems.push(problem.help("let the harness start the service: `[service]`"));
        }
        if !own_service {
            self.observed_place(&mongo.uri, &mongo.database, &span);
        }
        let database = match mongo.database {
            Some(database) => self.database(database).map(Some),
            None => Some(None),
        };
        let elements = match mongo.elements {
            Some(elements) => self.elements(elements, workload?, operations, true).map(Some),
            None => Some(None),
        };
        let single = self.single(mongo.single.as_ref(), workload?);
        let within = self.within(mongo.within.as_ref());
        let filter = match &mongo.filter {
            Some(text) => self.filter(text).map(Some),
            None => Some(None),
        };
        Some(ObserveMongo {
            filter: filter?,
            within: within?,
            uri: mongo.uri.as_ref().map(|uri| self.text(uri, Kind::Credential)),
            database: database?,
            collection: collection?,
            key: key?,
            stored: stored?,
            id: id?,
            id_as: id_as?,
            stamp: stamp?,
            messages: messages?,
            insert_fields: insert_fields.into_iter().collect::<Option<_>>()?,
            elements: elements?,
            single: single?,
        })
    }

    /// How answers name a document. Without its identifier all documents would be one.
    #[expect(clippy::option_option, reason = "the outer one says whether it could be read, as everywhere here")]
    fn id_as(&mut self, text: Option<&Spanned<String>>) -> Option<Option<Template>> {
        let Some(text) = text else { return Some(None) };
        let template = self.template(text, Scope::Identifier, Kind::Open)?;
        match template.names("id") {
            true => Some(Some(template)),
            false => self
                .note(Problem::at(text.span(), "`id_as` does not name the identifier").help(
                    "write how an answer names a document whose identifier is stored: `id_as = \"ch_{{ id }}\"`",
                )),
        }
    }

    /// Whether a key may have one document only. Workloads that know what they do know that, too.
    #[expect(clippy::option_option, reason = "the outer one says whether it could be read, as everywhere here")]
    fn single(&mut self, single: Option<&Spanned<bool>>, workload: WorkloadKind) -> Option<Option<bool>> {
        match single {
            Some(single) if workload != WorkloadKind::Custom => {
                let message = format!("`single` is for custom workloads, and this one is `{}`", workload.as_str());
                self.note(Problem::at(single.span(), message).help("leave it out: the workload itself says how many"))
            }
            single => Some(single.map(|single| *single.get_ref())),
        }
    }

    /// How long the final state may take to come about.
    fn within(&mut self, text: Option<&Spanned<DurationText>>) -> Option<Duration> {
        text.map_or(Some(Duration::ZERO), |text| self.duration(text, "within", true))
    }

    /// Which documents are looked at.
    fn filter(&mut self, text: &Spanned<String>) -> Option<String> {
        match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text.get_ref()) {
            Ok(_) => Some(text.get_ref().clone()),
            Err(error) => self.note(
                Problem::at(text.span(), format!("not a filter: {error}"))
                    .help("write it as JSON, as MongoDB has it: `where = '{ \"deletedAt\": null }'`"),
            ),
        }
    }

    /// A service that runs already has a database that only the user knows.
    fn observed_place(
        &mut self,
        uri: &Option<Spanned<String>>,
        database: &Option<Spanned<String>>,
        table: &Range<usize>,
    ) {
        for (key, missing) in [("uri", uri.is_none()), ("database", database.is_none())] {
            if missing {
                let problem = Problem::at(table.clone(), format!("`{key}` is missing in `[observe.mongo]`"));
                self.problems
                    .push(problem.help("only a service that the harness starts uses a database that it knows"));
            }
        }
    }

    /// The field with the messages: needed where documents have any, and foreign to all others.
    fn messages_field(
        &mut self,
        field: Option<Spanned<String>>,
        table: &str,
        place: &Range<usize>,
        workload: Option<WorkloadKind>,
    ) -> Option<Option<String>> {
        let workload = workload?;
        match field {
            Some(field) if workload.has_messages() => self.field_path(field).map(Some),
            Some(field) => {
                let message = format!("the documents of the workload `{}` hold no messages", workload.as_str());
                self.note(Problem::at(field.span(), message).help("leave it out"))
            }
            None if workload.has_messages() => {
                let problem = Problem::at(place.clone(), format!("`messages` is missing in `[{table}]`"));
                self.note(problem.help("name the field that holds a document's messages: `messages = \"messages\"`"))
            }
            None => Some(None),
        }
    }

    fn named(&mut self, name: Spanned<String>, what: &str) -> Option<String> {
        self.no_template(&name);
        match name.get_ref().is_empty() || name.get_ref().contains(['$', '\0']) {
            true => self.note(Problem::at(name.span(), format!("no name of a {what}"))),
            false => Some(name.into_inner()),
        }
    }

    /// The path of a field, as MongoDB resolves it: names joined by dots.
    fn field_path(&mut self, path: Spanned<String>) -> Option<String> {
        match path.get_ref().split('.').any(str::is_empty) {
            true => self.note(
                Problem::at(path.span(), "no path of a field").help("a path is names joined by dots: `chat.key`"),
            ),
            false => self.named(path, "field"),
        }
    }

    /// The fields that together hold a document's key.
    fn key_fields(&mut self, names: Spanned<Names>) -> Option<Vec<String>> {
        let span = names.span();
        match names.into_inner() {
            Names::One(name) => self.field_path(Spanned::new(span, name)).map(|name| vec![name]),
            Names::Several(names) if names.is_empty() => {
                self.note(Problem::at(span, "the key has no field").help("name at least one: `key = \"chatKey\"`"))
            }
            Names::Several(names) => {
                let paths: Vec<Option<String>> = names.into_iter().map(|name| self.field_path(name)).collect();
                paths.into_iter().collect()
            }
        }
    }

    /// What each field of the key holds, in their order.
    fn stored(
        &mut self,
        stored: Option<Spanned<Stored>>,
        key: Option<&[String]>,
        scope: Scope,
        table: &Range<usize>,
    ) -> Option<Vec<Template>> {
        let Some(stored) = stored else {
            return match key {
                Some([_, _, ..]) => self.note(
                    Problem::at(table.clone(), "`stored` is missing: the key has several fields")
                        .help("say what each holds: `stored = [\"{{ pair.a }}\", \"{{ pair.b }}\"]`"),
                ),
                _ => Some(Vec::new()),
            };
        };
        let span = stored.span();
        let texts = match stored.into_inner() {
            Stored::One(text) => vec![Spanned::new(span.clone(), text)],
            Stored::InOrder(texts) => texts,
            Stored::ByName(entries) => self.in_order_of(key?, entries, &span)?,
        };
        if let Some(key) = key.filter(|key| key.len() != texts.len()) {
            let message = format!("`stored` says {} of the key's {}", texts.len(), fields(key.len()));
            return self.note(Problem::at(span, message).help("one text for each field of `key`, in their order"));
        }
        let templates: Vec<Option<Template>> =
            texts.iter().map(|text| self.template(text, scope, Kind::Open)).collect();
        templates.into_iter().collect()
    }

    /// The texts of a table in the order of the key's fields.
    fn in_order_of(
        &mut self,
        key: &[String],
        mut entries: Vec<(Spanned<String>, Spanned<String>)>,
        table: &Range<usize>,
    ) -> Option<Vec<Spanned<String>>> {
        if let Some((foreign, _)) = entries.iter().find(|(name, _)| !key.contains(name.get_ref())) {
            let known = key.iter().map(String::as_str);
            return self.note(Problem::unknown(foreign.span(), "field of the key", foreign.get_ref(), known));
        }
        let mut texts = Vec::new();
        for name in key {
            let Some(at) = entries.iter().position(|(entry, _)| entry.get_ref() == name) else {
                return self.note(Problem::at(table.clone(), format!("`stored` does not say what `{name}` holds")));
            };
            texts.push(entries.swap_remove(at).1);
        }
        Some(texts)
    }

    fn observe_http(
        &mut self,
        http: Spanned<file_observe::ObserveHttp>,
        workload: Option<WorkloadKind>,
        operations: &[String],
    ) -> Option<ObserveHttp> {
        let span = http.span();
        let scope = Scope::Request(workload?);
        let mut http = http.into_inner();
        let request = http.take_request();
        let file_observe::ObserveHttp { documents, id, messages, elements, single, within, thread, .. } = http;
        let single = self.single(single.as_ref(), workload?);
        let within = self.within(within.as_ref());
        let messages = match messages {
            // A thread's messages may also be shown as a number, or nowhere.
            messages if workload == Some(WorkloadKind::Thread) => match messages {
                Some(field) => self.field_path(field).map(Some),
                None => Some(None),
            },
            messages => self.messages_field(messages, "observe.http", &span, workload),
        };
        let thread = self.thread_paths(thread, workload?);
        let request = self.request(request, ("observe.http", &span), scope, "GET");
        let documents = self.required(documents, "documents", "observe.http", Some(&span));
        let documents = documents.and_then(|path| self.json_path(&path));
        let id = id.unwrap_or_else(|| Spanned::new(span.clone(), "$._id".to_owned()));
        let id = self.json_path(&id);
        let elements = match elements {
            Some(elements) => self.elements(elements, workload?, operations, false).map(Some),
            None => Some(None),
        };
        let (request, documents, elements) = (request?, documents?, elements?);
        let (within, thread, single) = (within?, thread?, single?);
        Some(ObserveHttp { request, documents, id: id?, messages: messages?, elements, single, within, thread })
    }
}

fn fields(count: usize) -> String {
    if count == 1 { "one field".to_owned() } else { format!("{count} fields") }
}
