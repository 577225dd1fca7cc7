//! `elements` of `[observe.*]`: what operations leave in their keys.

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file_observe::Elements;
use super::super::rules::{ElementPlace, ElementsSpec};
use super::super::template::Scope;
use super::super::workloads::WorkloadKind;
use super::Check;
use super::request::Kind;
use crate::history::ElementCount;

const COUNTS: [(&str, ElementCount); 4] = [
    ("exactly-once", ElementCount::ExactlyOnce),
    ("at-most-once", ElementCount::AtMostOnce),
    ("at-least-once", ElementCount::AtLeastOnce),
    ("set", ElementCount::Set),
];

impl Check<'_> {
    /// What operations leave; from the database, or in what a route answers.
    pub(super) fn elements(
        &mut self,
        elements: Spanned<Elements>,
        workload: WorkloadKind,
        known: &[String],
        in_database: bool,
    ) -> Option<ElementsSpec> {
        let span = elements.span();
        let elements = elements.into_inner();
        let before = self.problems.len();
        let table = if in_database { "observe.mongo.elements" } else { "observe.http.elements" };
        let place = self.required(elements.place, "in", table, Some(&span));
        let place = place.and_then(|place| match in_database {
            true => self.field(place).map(ElementPlace::Field),
            false => self.json_path(&place).map(ElementPlace::Path),
        });
        let is = self.required(elements.is, "is", table, Some(&span));
        let is = is.and_then(|text| self.template(&text, Scope::Request(workload), Kind::Open));
        let count = match &elements.count {
            Some(word) => self.word(word, "count", &COUNTS),
            None => Some(ElementCount::ExactlyOnce),
        };
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let operations = self.operation_names(&elements.operations, &names);
        match (&elements.collection, &elements.key) {
            (Some(collection), _) if !in_database => {
                let problem = Problem::at(collection.span(), "a collection is read from the database");
                self.problems.push(problem.help("over HTTP `in` is a JSONPath in each document"));
            }
            (Some(collection), None) => {
                let problem = Problem::at(collection.span(), "`key` is missing beside `collection`");
                self.problems.push(problem.help("name the field of that collection which holds the key"));
            }
            (None, Some(key)) => {
                self.problems.push(Problem::at(key.span(), "`key` belongs to `collection`").help("leave it out"));
            }
            _ => {}
        }
        let order = elements.order.as_ref().is_some_and(|order| *order.get_ref());
        if let (true, Some(order), Some(collection)) = (order, &elements.order, &elements.collection) {
            let problem = Problem::at(order.span(), "documents of a collection have no order");
            self.problems.push(problem.related(collection.span(), "the collection").help("leave it out"));
        }
        let collection = elements.collection.and_then(|name| self.field(name));
        let key = elements.key.and_then(|name| self.field(name));
        if self.problems.len() > before {
            return None;
        }
        Some(ElementsSpec { place: place?, is: is?, count: count?, order, operations: operations?, collection, key })
    }

    /// A dotted name.
    fn field(&mut self, name: Spanned<String>) -> Option<String> {
        let wrong = name.get_ref().split('.').any(str::is_empty) || name.get_ref().contains(['$', '\0', '[']);
        match wrong {
            true => self.note(
                Problem::at(name.span(), "no name of a field")
                    .help("a dotted name leads through objects and lists: `items.sku`"),
            ),
            false => Some(name.into_inner()),
        }
    }
}
