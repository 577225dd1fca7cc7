//! What the server answered: [`Reply`], as much as schedules, symmetry and diagrams need.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use mongodb::bson::{RawBsonRef, RawDocument};

use super::equality::Pinned;
use super::message::Message;
use super::text;

/// MongoDB's code of a duplicate key.
const DUPLICATE_KEY: i32 = 11000;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// The command was carried out; single statements may still have failed, see `code`.
    pub ok: bool,
    /// The error of the command or of its first failed statement.
    pub code: Option<i32>,
    /// It was carried out, but not acknowledged as its write concern has it.
    pub write_concern_error: bool,
    /// Documents matched, inserted or counted.
    pub matched: Option<i64>,
    /// Documents changed.
    pub modified: Option<i64>,
    /// Documents that came into being by an upsert.
    pub upserted: usize,
    /// Documents returned.
    pub returned: Option<usize>,
    /// The first of them, for people.
    pub first: Option<String>,
    /// The identifier of the first of them.
    pub first_id: Option<Pinned>,
    /// Fields of the first of them that hold objects.
    pub first_objects: BTreeSet<String>,
    /// The cursor to go on with; 0 when it is exhausted.
    pub cursor: Option<i64>,
    /// When it was carried out, or what was known of the past when it was read: seconds, and a number within the second. A
    /// server without an oplog does not tell.
    pub operation_time: Option<(u32, u32)>,
    /// Same number: same answer, but for clocks and cursors.
    pub signature: u64,
}

impl Reply {
    /// Reads an answer. What is not understood stays absent.
    pub fn parse(message: &Message<'_>) -> Self {
        let document = match message {
            Message::Msg(msg) => msg.document,
            Message::Reply(documents) => match documents.first() {
                Some(document) => document,
                None => return Reply { ok: true, returned: Some(0), ..Reply::default() },
            },
            Message::Query(_) | Message::Legacy(_) => return Reply::default(),
        };
        let mut reply = Reply::of_document(document);
        if let Message::Reply(documents) = message
            && document.get("ok").ok().flatten().is_none()
        {
            // The answer to a find of an older driver is the documents themselves.
            reply.ok = true;
            reply.returned = Some(documents.len());
            reply.read_first(document);
        }
        reply
    }

    fn of_document(document: &RawDocument) -> Self {
        let mut reply = Reply { signature: signature(document), ..Reply::default() };
        for (key, value) in document.into_iter().flatten() {
            match (key.as_str(), value) {
                ("ok", value) => reply.ok = number(value) == Some(1),
                ("code", RawBsonRef::Int32(code)) => reply.code = Some(code),
                ("operationTime", RawBsonRef::Timestamp(time)) => {
                    reply.operation_time = Some((time.time, time.increment));
                }
                ("n", value) => reply.matched = number(value),
                ("nModified", value) => reply.modified = number(value),
                ("upserted", RawBsonRef::Array(upserted)) => reply.upserted = upserted.into_iter().count(),
                ("writeErrors", RawBsonRef::Array(errors)) => {
                    let first = errors.into_iter().flatten().next().and_then(RawBsonRef::as_document);
                    reply.code = first.and_then(|error| error.get_i32("code").ok());
                }
                ("writeConcernError", _) => reply.write_concern_error = true,
                ("cursor", RawBsonRef::Document(cursor)) => reply.read_cursor(cursor),
                ("lastErrorObject", RawBsonRef::Document(last)) => {
                    reply.matched = last.get("n").ok().flatten().and_then(number);
                    reply.upserted = usize::from(last.get("upserted").ok().flatten().is_some());
                }
                ("value", RawBsonRef::Document(value)) => {
                    reply.returned = Some(1);
                    reply.read_first(value);
                }
                ("value", RawBsonRef::Null) => reply.returned = Some(0),
                ("values", RawBsonRef::Array(values)) => reply.returned = Some(values.into_iter().count()),
                _ => {}
            }
        }
        reply
    }

    fn read_cursor(&mut self, cursor: &RawDocument) {
        self.cursor = cursor.get_i64("id").ok();
        let batch = cursor.get_array("firstBatch").or_else(|_| cursor.get_array("nextBatch"));
        if let Ok(batch) = batch {
            self.returned = Some(batch.into_iter().count());
            let first = batch.into_iter().flatten().next().and_then(RawBsonRef::as_document);
            first.into_iter().for_each(|first| self.read_first(first));
        }
    }

    fn read_first(&mut self, document: &RawDocument) {
        self.first = Some(text::document(document));
        self.first_id = document.get("_id").ok().flatten().map(Pinned::new);
        let objects = document.into_iter().flatten().filter(|(_, value)| matches!(value, RawBsonRef::Document(_)));
        self.first_objects = objects.map(|(field, _)| field.as_str().to_owned()).collect();
    }

    /// Whether the error is a duplicate key.
    pub fn is_duplicate_key(&self) -> bool {
        self.code == Some(DUPLICATE_KEY)
    }

    /// Whether the command left no trace in the data, so that its request is where another in its place would be.
    /// A transaction's write is one, too; that is for the caller to know.
    pub fn changed_nothing(&self) -> bool {
        !self.ok || (self.matched == Some(0) && self.upserted == 0) || (self.code.is_some() && self.matched == Some(0))
    }

    /// The answer in a few words: `none`, `1 document`, `E11000`.
    pub fn summary(&self) -> String {
        let plural = |count: i64| if count == 1 { "" } else { "s" };
        match self {
            reply if reply.is_duplicate_key() => "E11000".to_owned(),
            Reply { code: Some(code), .. } => format!("error {code}"),
            Reply { ok: false, .. } => "error".to_owned(),
            Reply { upserted: 1.., .. } => "upserted".to_owned(),
            Reply { modified: Some(count), .. } => format!("changed {count}"),
            Reply { returned: Some(0), .. } => "none".to_owned(),
            Reply { returned: Some(count), .. } => {
                let count = i64::try_from(*count).unwrap_or(i64::MAX);
                format!("{count} document{}", plural(count))
            }
            Reply { matched: Some(count), .. } => format!("n = {count}"),
            _ => "ok".to_owned(),
        }
    }
}

fn number(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(i64::from(number)),
        RawBsonRef::Int64(number) => Some(number),
        // Counts and `ok` are small whole numbers.
        RawBsonRef::Double(number) if number.fract() == 0.0 && number.abs() < 1e15 => Some(number as i64),
        RawBsonRef::Boolean(flag) => Some(i64::from(flag)),
        _ => None,
    }
}

/// A number for the answer without what differs from one execution to the next.
fn signature(document: &RawDocument) -> u64 {
    const VOLATILE: [&str; 6] = ["operationTime", "$clusterTime", "opTime", "electionId", "$gleStats", "$configTime"];
    let mut hasher = DefaultHasher::new();
    let mut seen = BTreeSet::new();
    for element in document.iter_elements().flatten() {
        let key = element.key().as_str();
        if VOLATILE.contains(&key) || !seen.insert(key) {
            continue;
        }
        key.hash(&mut hasher);
        match element.value() {
            Ok(RawBsonRef::Document(cursor)) if key == "cursor" => {
                for batch in ["firstBatch", "nextBatch"] {
                    cursor
                        .get_array(batch)
                        .map(|batch| batch.as_bytes().to_vec())
                        .unwrap_or_default()
                        .hash(&mut hasher);
                }
            }
            Ok(RawBsonRef::Document(inner)) => inner.as_bytes().hash(&mut hasher),
            Ok(RawBsonRef::Array(inner)) => inner.as_bytes().hash(&mut hasher),
            Ok(value) => text::value(value).hash(&mut hasher),
            Err(_) => 0_u8.hash(&mut hasher),
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{RawDocumentBuf, rawdoc};

    use super::super::message::tests::msg;
    use super::*;

    fn reply(document: &RawDocumentBuf) -> Reply {
        Reply::parse(&Message::parse(&msg(0, document, &[])).unwrap())
    }

    #[test]
    fn answers_are_summed_up() {
        let cases = [
            (rawdoc! { "ok": 1.0, "n": 1 }, "n = 1"),
            (rawdoc! { "ok": 1.0, "n": 1, "nModified": 0 }, "changed 0"),
            (rawdoc! { "ok": 1.0, "n": 1, "nModified": 0, "upserted": [{ "index": 0, "_id": 1 }] }, "upserted"),
            (rawdoc! { "ok": 1.0, "n": 0, "writeErrors": [{ "index": 0, "code": 11000 }] }, "E11000"),
            (rawdoc! { "ok": 0.0, "code": 112, "errmsg": "x" }, "error 112"),
            (rawdoc! { "ok": 1, "cursor": { "id": 0_i64, "firstBatch": [], "ns": "a.b" } }, "none"),
            (rawdoc! { "ok": 1, "cursor": { "id": 0_i64, "firstBatch": [{ "a": 1 }], "ns": "a.b" } }, "1 document"),
            (rawdoc! { "ok": 1, "value": null, "lastErrorObject": { "n": 0, "updatedExisting": false } }, "none"),
            (rawdoc! { "ok": 1, "value": { "a": 1 }, "lastErrorObject": { "n": 1, "upserted": 3 } }, "upserted"),
        ];
        for (document, expected) in cases {
            assert_eq!(reply(&document).summary(), expected);
        }
    }

    #[test]
    fn clocks_and_cursors_do_not_make_an_answer_another() {
        let one = |time: i64, cursor: i64, value: i32| {
            rawdoc! { "cursor": { "firstBatch": [{ "a": value }], "id": cursor }, "ok": 1.0, "operationTime": time }
        };
        assert_eq!(reply(&one(1, 0, 5)).signature, reply(&one(2, 9, 5)).signature);
        assert_ne!(reply(&one(1, 0, 5)).signature, reply(&one(1, 0, 6)).signature);
    }
}
