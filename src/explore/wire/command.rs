//! What a request asks of the server: [`Command`], the view that scheduling, the lint and the diagrams share.

use std::collections::BTreeMap;

use mongodb::bson::{RawBsonRef, RawDocument};

pub use super::equality::{Filter, Pinned};
use super::message::{Message, Msg, Query};
use super::text;

/// Statements of a batch that are kept; the others are counted.
const MAX_STATEMENTS: usize = 16;

/// What a command does to the documents of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It reads them.
    Read,
    /// It writes them, or makes a transaction's writes visible.
    Write,
    /// Neither: handshake, monitoring, sessions, indexes.
    Control,
}

/// One command.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Its name as the driver spelled it: `find`, `findAndModify`.
    pub name: String,
    /// Its database.
    pub database: String,
    /// Its collection, where it has one.
    pub collection: Option<String>,
    /// What it does.
    pub kind: Kind,
    /// What it asks for: one statement, or the first of a batch.
    pub statements: Vec<Statement>,
    /// How many statements it has in all.
    pub batch: usize,
    /// It reads or writes more than its own collection.
    pub spans: bool,
    /// It compares by a collation, so that different texts may be equal.
    pub collation: bool,
    /// It is part of a multi-document transaction.
    pub in_transaction: bool,
    /// The server answers it.
    pub answered: bool,
    /// Who sent it waits to hear what came of it; of a write with `w: 0` nobody does, whether or not it is answered.
    pub acknowledged: bool,
    /// The cursor that it goes on with.
    pub cursor: Option<i64>,
    /// It asks for changes as they come, and may wait for them for ever.
    pub tails: bool,
    /// The session of its transaction.
    pub session: Option<Vec<u8>>,
    /// Its read preference lets a secondary answer it while there is a primary.
    pub secondary: bool,
    /// It is to be answered as of a certain moment, or a later one.
    pub causal: bool,
}

/// One statement of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statement {
    /// Which documents; of an insert, the document itself.
    pub filter: Filter,
    /// What becomes of them.
    pub change: Change,
    /// Whether a document is inserted when none matches.
    pub upsert: bool,
    /// Whether all that match are changed.
    pub multi: bool,
    /// Times that it writes into fields of the document, in milliseconds since 1970.
    pub times: BTreeMap<String, i64>,
}

/// What becomes of the documents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change {
    /// Nothing.
    #[default]
    None,
    /// A document comes into being.
    Insert,
    /// Some fields change.
    Update {
        /// Operator and path of each.
        fields: Vec<Field>,
        /// The change, for people.
        text: String,
    },
    /// The whole document is replaced.
    Replace {
        /// The document, for people.
        text: String,
    },
    /// They are removed.
    Delete,
}

/// A field that an update changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// `$set`, `$push`.
    pub operator: String,
    /// `messages`, `messages.0.text`.
    pub path: String,
    /// The new value is an array.
    pub array: bool,
    /// The new value is an object.
    pub object: bool,
}

impl Command {
    /// The command that a message holds; `None` if it is an answer.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        match message {
            Message::Msg(msg) => Self::of_msg(msg),
            Message::Query(query) => Some(Self::of_query(query)),
            Message::Legacy(legacy) => Some(Self::of_legacy(legacy)),
            Message::Reply(_) => None,
        }
    }

    /// Whether the proxy must see to it that the driver stays: `hello` and its older names.
    pub fn is_hello(&self) -> bool {
        self.name.eq_ignore_ascii_case("hello") || self.name.eq_ignore_ascii_case("ismaster")
    }

    /// A command without statements, for the parsers of this module.
    pub(super) fn bare(name: &str, database: &str) -> Self {
        Command {
            name: name.to_owned(),
            database: database.to_owned(),
            collection: None,
            kind: Kind::Control,
            statements: Vec::new(),
            batch: 0,
            spans: false,
            collation: false,
            in_transaction: false,
            answered: true,
            acknowledged: true,
            cursor: None,
            tails: false,
            session: None,
            secondary: false,
            causal: false,
        }
    }

    /// Whether a secondary that lags may answer it.
    pub fn may_lag(&self) -> bool {
        let is_read = self.kind == Kind::Read && self.name != "getMore";
        is_read && self.secondary && !self.causal && !self.in_transaction
    }

    pub(super) fn push(&mut self, statement: Statement) {
        self.batch += 1;
        if self.statements.len() < MAX_STATEMENTS {
            self.statements.push(statement);
        }
    }

    fn of_msg(msg: &Msg<'_>) -> Option<Self> {
        let database = msg.document.get_str("$db").unwrap_or_default();
        let mut command = Self::of_document(database, msg.document, &msg.sequences)?;
        command.answered = !msg.more_to_come;
        let none = msg.document.get_document("writeConcern").ok().and_then(|concern| concern.get("w").ok()?);
        let is_none = matches!(none, Some(RawBsonRef::Int32(0) | RawBsonRef::Int64(0) | RawBsonRef::Double(0.0)));
        command.acknowledged = command.answered && !is_none;
        Some(command)
    }

    fn of_query(query: &Query<'_>) -> Self {
        let (database, collection) = query.namespace.split_once('.').unwrap_or((query.namespace, ""));
        // A command or filter may be wrapped, to carry a read preference beside it.
        let wrapped = query.document.get_document("$query").or_else(|_| query.document.get_document("query"));
        let document = wrapped.unwrap_or(query.document);
        let parsed = if collection == "$cmd" { Self::of_document(database, document, &[]) } else { None };
        parsed.unwrap_or_else(|| {
            let mut command = Self::bare("find", database);
            command.collection = Some(collection.to_owned());
            command.push(Statement { filter: Filter::parse(document), ..Statement::default() });
            command.classify(Kind::Read);
            command
        })
    }

    fn of_document(database: &str, document: &RawDocument, sequences: &[(&str, Vec<&RawDocument>)]) -> Option<Self> {
        let (name, target) = document.into_iter().next()?.ok()?;
        let mut command = Self::bare(name.as_str(), database);
        command.in_transaction = document.get_bool("autocommit").is_ok_and(|autocommit| !autocommit);
        let session = document.get_document("lsid").and_then(|session| session.get_binary("id"));
        command.session = session.ok().filter(|_| command.in_transaction).map(|id| id.bytes.to_vec());
        let preference = document.get_document("$readPreference").and_then(|preference| preference.get_str("mode"));
        command.secondary = preference.is_ok_and(|mode| matches!(mode, "secondary" | "secondaryPreferred" | "nearest"));
        let moments = ["afterClusterTime", "atClusterTime"];
        let concern = document.get_document("readConcern");
        command.causal =
            concern.is_ok_and(|concern| moments.iter().any(|moment| concern.get_timestamp(moment).is_ok()));
        command.collation = document.get_document("collation").is_ok();
        let collection = match name.as_str() {
            "getMore" => document.get_str("collection").ok(),
            _ => target.as_str(),
        };
        command.collection = collection.map(str::to_owned);
        let kind = command.read_statements(document, sequences);
        command.classify(kind);
        Some(command)
    }

    /// Fills in the statements, and says what the command does if it is on a user's documents.
    fn read_statements(&mut self, document: &RawDocument, sequences: &[(&str, Vec<&RawDocument>)]) -> Kind {
        match self.name.as_str() {
            "find" => self.filtered(document, "filter", Kind::Read),
            "count" | "distinct" => self.filtered(document, "query", Kind::Read),
            "aggregate" => self.pipeline(document),
            "getMore" => {
                self.cursor = document.get_i64("getMore").ok();
                self.push(Statement::default());
                Kind::Read
            }
            "mapReduce" | "mapreduce" => {
                self.spans = true;
                Kind::Write
            }
            "insert" => self.batch_of(document, sequences, "documents", |element| Statement {
                filter: Filter::of_document(element),
                change: Change::Insert,
                times: times(element).collect(),
                ..Statement::default()
            }),
            "update" => self.batch_of(document, sequences, "updates", update_statement),
            "delete" => self.batch_of(document, sequences, "deletes", |element| Statement {
                filter: element.get_document("q").map(Filter::parse).unwrap_or_default(),
                change: Change::Delete,
                multi: element.get_i32("limit").is_ok_and(|limit| limit == 0),
                ..Statement::default()
            }),
            "findAndModify" | "findandmodify" => {
                self.push(modify_statement(document));
                Kind::Write
            }
            "bulkWrite" => {
                self.spans = true;
                Kind::Write
            }
            // An abort lets go of what others wait for.
            "commitTransaction" | "abortTransaction" | "dropDatabase" | "renameCollection" => {
                self.spans = true;
                Kind::Write
            }
            "create" | "createIndexes" | "drop" | "dropIndexes" | "deleteIndexes" | "collMod" => {
                self.push(Statement::default());
                Kind::Write
            }
            _ => Kind::Control,
        }
    }

    fn filtered(&mut self, document: &RawDocument, field: &str, kind: Kind) -> Kind {
        let filter = document.get_document(field).map(Filter::parse).unwrap_or_default();
        self.tails = document.get_bool("tailable").unwrap_or(false);
        self.push(Statement { filter, ..Statement::default() });
        kind
    }

    fn pipeline(&mut self, document: &RawDocument) -> Kind {
        let mut kind = Kind::Read;
        let mut statement = Statement::default();
        let stages = document.get_array("pipeline").into_iter().flatten().flatten();
        for (index, stage) in stages.filter_map(RawBsonRef::as_document).enumerate() {
            let Some(Ok((name, value))) = stage.into_iter().next() else { continue };
            match (name.as_str(), value) {
                ("$match", RawBsonRef::Document(filter)) if index == 0 => statement.filter = Filter::parse(filter),
                ("$lookup" | "$graphLookup" | "$unionWith" | "$facet", _) => self.spans = true,
                ("$out" | "$merge", _) => {
                    self.spans = true;
                    kind = Kind::Write;
                }
                ("$changeStream", _) => self.tails = true,
                _ => {}
            }
        }
        self.push(statement);
        kind
    }

    fn batch_of(
        &mut self,
        document: &RawDocument,
        sequences: &[(&str, Vec<&RawDocument>)],
        field: &str,
        statement: fn(&RawDocument) -> Statement,
    ) -> Kind {
        for element in document.get_array(field).into_iter().flatten().flatten().filter_map(RawBsonRef::as_document) {
            self.push(statement(element));
        }
        for element in sequences.iter().filter(|(name, _)| *name == field).flat_map(|(_, documents)| documents) {
            self.push(statement(element));
        }
        Kind::Write
    }

    /// Settles the kind: only documents of users count, and a tail is not waited for.
    pub(in crate::explore) fn classify(&mut self, kind: Kind) {
        let system_database = matches!(self.database.as_str(), "admin" | "config" | "local" | "");
        let system_collection = self.collection.as_deref().is_some_and(|name| name.starts_with("system."));
        let everywhere =
            matches!(self.name.as_str(), "commitTransaction" | "abortTransaction" | "bulkWrite" | "renameCollection");
        let user = everywhere || (!system_database && !system_collection);
        self.kind = if user && !self.tails { kind } else { Kind::Control };
    }
}

/// An element of `updates`.
fn update_statement(element: &RawDocument) -> Statement {
    Statement {
        filter: element.get_document("q").map(Filter::parse).unwrap_or_default(),
        change: element.get("u").ok().flatten().map(change_of).unwrap_or_default(),
        upsert: element.get_bool("upsert").unwrap_or(false),
        multi: element.get_bool("multi").unwrap_or(false),
        times: element.get("u").ok().flatten().map(times_set).unwrap_or_default(),
    }
}

fn modify_statement(document: &RawDocument) -> Statement {
    let change = match document.get("update").ok().flatten() {
        Some(update) => change_of(update),
        None => Change::Delete,
    };
    Statement {
        filter: document.get_document("query").map(Filter::parse).unwrap_or_default(),
        change,
        upsert: document.get_bool("upsert").unwrap_or(false),
        multi: false,
        times: document.get("update").ok().flatten().map(times_set).unwrap_or_default(),
    }
}

/// Fields of a document that are times.
fn times(document: &RawDocument) -> impl Iterator<Item = (String, i64)> {
    let time = |(field, value): (_, RawBsonRef<'_>)| match value {
        RawBsonRef::DateTime(time) => Some((ToString::to_string(field), time.timestamp_millis())),
        _ => None,
    };
    document.into_iter().flatten().filter_map(move |(field, value)| time((field.as_str(), value)))
}

/// Fields that an update sets to times, or that a replacement has.
fn times_set(update: RawBsonRef<'_>) -> BTreeMap<String, i64> {
    let Some(document) = update.as_document() else { return BTreeMap::new() };
    let set = ["$set", "$setOnInsert"].into_iter().filter_map(|operator| document.get_document(operator).ok());
    set.chain([document]).flat_map(times).collect()
}

/// What an update document, a replacement or a pipeline changes.
pub(super) fn change_of(update: RawBsonRef<'_>) -> Change {
    let RawBsonRef::Document(document) = update else {
        return Change::Update { fields: Vec::new(), text: text::value(update) };
    };
    let mut fields = Vec::new();
    for (operator, operand) in document.into_iter().flatten() {
        if !operator.as_str().starts_with('$') {
            return Change::Replace { text: text::document(document) };
        }
        for (path, value) in operand.as_document().into_iter().flatten().flatten() {
            let array = matches!(value, RawBsonRef::Array(_));
            let object = matches!(value, RawBsonRef::Document(_));
            let (operator, path) = (operator.as_str().to_owned(), path.as_str().to_owned());
            fields.push(Field { operator, path, array, object });
        }
    }
    Change::Update { fields, text: text::document(document) }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
