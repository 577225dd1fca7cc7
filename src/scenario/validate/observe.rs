//! `[observe.*]`.

use std::ops::Range;

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file_http::{self, Request};
use super::super::http::{ObserveHttp, ObserveMongo, ObserveSpec};
use super::super::model::{TargetSpec, WorkloadKind};
use super::super::template::Scope;
use super::Check;
use super::request::Kind;

impl Check<'_> {
    /// Where the final state is read.
    pub(super) fn observe(
        &mut self,
        observe: file_http::Observe,
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
        if let (Some(place), Some(TargetSpec::Mongo(_))) = (place, target) {
            return self.note(
                Problem::at(place, "`[observe]` belongs to a service")
                    .help("the target is MongoDB itself: its final state is read from there"),
            );
        }
        let mongo = match observe.mongo {
            Some(mongo) => self.observe_mongo(mongo, workload, own_service).map(Some),
            None => Some(None),
        };
        let http = match observe.http {
            Some(http) => self.observe_http(http, workload).map(Some),
            None => Some(None),
        };
        Some(ObserveSpec { mongo: mongo?, http: http? })
    }

    fn observe_mongo(
        &mut self,
        mongo: Spanned<file_http::ObserveMongo>,
        workload: Option<WorkloadKind>,
        own_service: bool,
    ) -> Option<ObserveMongo> {
        let span = mongo.span();
        let mongo = mongo.into_inner();
        let scope = Scope::Request(workload?);
        let collection = self.required(mongo.collection, "collection", "observe.mongo", Some(&span));
        let collection = collection.and_then(|name| self.named(name, "collection"));
        let key = self.required(mongo.key, "key", "observe.mongo", Some(&span));
        let key = key.and_then(|name| self.named(name, "field"));
        let stored = match &mongo.stored {
            Some(text) => self.template(text, scope, Kind::Open).map(Some),
            None => Some(None),
        };
        if !own_service {
            self.observed_place(&mongo.uri, &mongo.database, &span);
        }
        let database = match mongo.database {
            Some(database) => self.database(database).map(Some),
            None => Some(None),
        };
        Some(ObserveMongo {
            uri: mongo.uri.as_ref().map(|uri| self.text(uri, Kind::Credential)),
            database: database?,
            collection: collection?,
            key: key?,
            stored: stored?,
            id: mongo.id.map_or_else(|| "_id".to_owned(), Spanned::into_inner),
            stamp: mongo.stamp.map(Spanned::into_inner),
            insert_fields: mongo.insert_fields,
        })
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

    fn named(&mut self, name: Spanned<String>, what: &str) -> Option<String> {
        match name.get_ref().is_empty() || name.get_ref().contains(['$', '\0']) {
            true => self.note(Problem::at(name.span(), format!("no name of a {what}"))),
            false => Some(name.into_inner()),
        }
    }

    fn observe_http(
        &mut self,
        http: Spanned<file_http::ObserveHttp>,
        workload: Option<WorkloadKind>,
    ) -> Option<ObserveHttp> {
        let span = http.span();
        let scope = Scope::Request(workload?);
        let file_http::ObserveHttp { method, path, headers, json, body, form, documents, id } = http.into_inner();
        let request = Request { method, path, headers, json, body, form };
        let request = self.request(request, ("observe.http", &span), scope, "GET");
        let documents = self.required(documents, "documents", "observe.http", Some(&span));
        let documents = documents.and_then(|path| self.json_path(&path));
        let id = id.unwrap_or_else(|| Spanned::new(span.clone(), "$._id".to_owned()));
        let id = self.json_path(&id);
        Some(ObserveHttp { request: request?, documents: documents?, id: id? })
    }
}
