//! Commands of older drivers that are opcodes of their own.

use mongodb::bson::RawBsonRef;

use super::command::{Change, Command, Filter, Kind, Statement, change_of};
use super::frame::Opcode;
use super::message::Legacy;

impl Command {
    /// The command that an older opcode stands for.
    pub(super) fn of_legacy(legacy: &Legacy<'_>) -> Self {
        let (database, collection) = legacy.namespace.split_once('.').unwrap_or((legacy.namespace, ""));
        let (name, kind) = match legacy.opcode {
            Opcode::Insert => ("insert", Kind::Write),
            Opcode::Update => ("update", Kind::Write),
            Opcode::Delete => ("delete", Kind::Write),
            Opcode::GetMore => ("getMore", Kind::Read),
            _ => ("killCursors", Kind::Control),
        };
        let mut command = Self::bare(name, database);
        command.collection = Some(collection.to_owned()).filter(|name| !name.is_empty());
        command.answered = legacy.opcode == Opcode::GetMore;
        command.acknowledged = command.answered;
        let mut documents = legacy.documents.iter();
        match legacy.opcode {
            Opcode::Insert => {
                for document in documents {
                    let filter = Filter::of_document(document);
                    command.push(Statement { filter, change: Change::Insert, ..Statement::default() });
                }
            }
            Opcode::Update | Opcode::Delete => {
                let filter = documents.next().map(|document| Filter::parse(document)).unwrap_or_default();
                let change = match documents.next() {
                    Some(update) => change_of(RawBsonRef::Document(update)),
                    None => Change::Delete,
                };
                command.push(Statement { filter, change, upsert: legacy.upsert, ..Statement::default() });
            }
            _ => {}
        }
        command.classify(kind);
        command
    }
}
