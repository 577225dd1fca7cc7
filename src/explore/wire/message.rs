//! What a frame's body holds: the command document with its document sequences, or a reply.
//!
//! [`Message`] borrows from the frame; nothing is decoded that is not asked for.

use mongodb::bson::RawDocument;

use super::frame::{Frame, FrameError, Opcode, int32};

pub(super) const CHECKSUM_PRESENT: u32 = 1;
pub(super) const MORE_TO_COME: u32 = 1 << 1;
/// More documents than any server takes in one message (`maxWriteBatchSize`).
const MAX_DOCUMENTS: usize = 100_000;
/// Flag bits 0 to 15 must be understood by who reads the message.
const REQUIRED: u32 = 0xffff;

/// A frame's body.
#[derive(Debug, Clone, PartialEq)]
pub enum Message<'a> {
    /// `OP_MSG`.
    Msg(Msg<'a>),
    /// `OP_QUERY`.
    Query(Query<'a>),
    /// `OP_REPLY`.
    Reply(Vec<&'a RawDocument>),
    /// `OP_INSERT`, `OP_UPDATE`, `OP_DELETE`, `OP_GET_MORE` and `OP_KILL_CURSORS` of older drivers.
    Legacy(Legacy<'a>),
}

/// The body of an `OP_MSG`.
#[derive(Debug, Clone, PartialEq)]
pub struct Msg<'a> {
    /// No answer follows (of a request), or another one does (of an answer).
    pub more_to_come: bool,
    /// The section of kind 0.
    pub document: &'a RawDocument,
    /// The sections of kind 1: their name and their documents.
    pub sequences: Vec<(&'a str, Vec<&'a RawDocument>)>,
}

/// The body of an `OP_QUERY`.
#[derive(Debug, Clone, PartialEq)]
pub struct Query<'a> {
    /// `database.collection`; a command's collection is `$cmd`.
    pub namespace: &'a str,
    /// The filter, or the command.
    pub document: &'a RawDocument,
}

/// The body of an operation of older drivers.
#[derive(Debug, Clone, PartialEq)]
pub struct Legacy<'a> {
    /// Which.
    pub opcode: Opcode,
    /// `database.collection`; empty for `OP_KILL_CURSORS`.
    pub namespace: &'a str,
    /// Filter and change, or what is inserted.
    pub documents: Vec<&'a RawDocument>,
    /// Upsert (of an update).
    pub upsert: bool,
}

impl<'a> Message<'a> {
    /// Reads a frame's body.
    pub fn parse(frame: &'a Frame) -> Result<Self, FrameError> {
        let mut body = Body { bytes: frame.body() };
        match frame.opcode() {
            Opcode::Msg => body.msg().map(Message::Msg),
            Opcode::Query => {
                body.skip(4)?;
                let namespace = body.text()?;
                body.skip(8)?;
                let document = body.document()?;
                Ok(Message::Query(Query { namespace, document }))
            }
            Opcode::Reply => {
                body.skip(20)?;
                body.documents().map(Message::Reply)
            }
            Opcode::Compressed => Err(FrameError::Compressed),
            opcode => body.legacy(opcode).map(Message::Legacy),
        }
    }
}

/// What is left of a body.
struct Body<'a> {
    bytes: &'a [u8],
}

impl<'a> Body<'a> {
    fn msg(mut self) -> Result<Msg<'a>, FrameError> {
        let flags = self.int32()?.cast_unsigned();
        if flags & REQUIRED & !(CHECKSUM_PRESENT | MORE_TO_COME) != 0 {
            return Err(FrameError::Malformed { what: "flags: a required bit that the protocol does not have" });
        }
        if flags & CHECKSUM_PRESENT != 0 {
            let end = self.bytes.len().checked_sub(4).ok_or(FrameError::Malformed { what: "checksum" })?;
            self.bytes = &self.bytes[..end];
        }
        let mut document = None;
        let mut sequences = Vec::new();
        while let Some((&kind, rest)) = self.bytes.split_first() {
            self.bytes = rest;
            match kind {
                0 if document.is_none() => document = Some(self.document()?),
                1 => sequences.push(self.sequence()?),
                _ => return Err(FrameError::Malformed { what: "section" }),
            }
        }
        let document = document.ok_or(FrameError::Malformed { what: "message: it has no document" })?;
        Ok(Msg { more_to_come: flags & MORE_TO_COME != 0, document, sequences })
    }

    fn sequence(&mut self) -> Result<(&'a str, Vec<&'a RawDocument>), FrameError> {
        let malformed = FrameError::Malformed { what: "document sequence" };
        let Some(size) = int32(self.bytes, 0).and_then(|size| usize::try_from(size).ok()) else {
            return Err(malformed);
        };
        if size < 4 || size > self.bytes.len() {
            return Err(malformed);
        }
        let mut section = Body { bytes: &self.bytes[4..size] };
        self.bytes = &self.bytes[size..];
        let name = section.text()?;
        Ok((name, section.documents()?))
    }

    fn legacy(mut self, opcode: Opcode) -> Result<Legacy<'a>, FrameError> {
        let mut legacy = Legacy { opcode, namespace: "", documents: Vec::new(), upsert: false };
        self.skip(4)?;
        if opcode == Opcode::KillCursors {
            return Ok(legacy);
        }
        legacy.namespace = self.text()?;
        match opcode {
            Opcode::Update => {
                legacy.upsert = self.int32()? & 1 != 0;
                legacy.documents = self.documents()?;
            }
            Opcode::Delete => {
                self.skip(4)?;
                legacy.documents = self.documents()?;
            }
            Opcode::Insert => legacy.documents = self.documents()?,
            // OP_GET_MORE: how many, and the cursor.
            _ => self.skip(12)?,
        }
        Ok(legacy)
    }

    fn skip(&mut self, count: usize) -> Result<(), FrameError> {
        self.bytes = self.bytes.get(count..).ok_or(FrameError::Malformed { what: "body: it is too short" })?;
        Ok(())
    }

    fn int32(&mut self) -> Result<i32, FrameError> {
        let number = int32(self.bytes, 0).ok_or(FrameError::Malformed { what: "body: it is too short" })?;
        self.skip(4)?;
        Ok(number)
    }

    fn text(&mut self) -> Result<&'a str, FrameError> {
        let malformed = || FrameError::Malformed { what: "name" };
        let end = self.bytes.iter().position(|byte| *byte == 0).ok_or_else(malformed)?;
        let text = std::str::from_utf8(&self.bytes[..end]).map_err(|_| malformed())?;
        self.skip(end + 1)?;
        Ok(text)
    }

    fn document(&mut self) -> Result<&'a RawDocument, FrameError> {
        let malformed = || FrameError::Malformed { what: "document" };
        let size = int32(self.bytes, 0).and_then(|size| usize::try_from(size).ok()).ok_or_else(malformed)?;
        let bytes = self.bytes.get(..size).ok_or_else(malformed)?;
        self.bytes = &self.bytes[size..];
        RawDocument::from_bytes(bytes).map_err(|_| malformed())
    }

    fn documents(&mut self) -> Result<Vec<&'a RawDocument>, FrameError> {
        let mut documents = Vec::new();
        while !self.bytes.is_empty() {
            if documents.len() == MAX_DOCUMENTS {
                return Err(FrameError::Malformed { what: "message: more than 100000 documents" });
            }
            documents.push(self.document()?);
        }
        Ok(documents)
    }
}

#[cfg(test)]
pub(in crate::explore) mod tests {
    use mongodb::bson::{RawDocumentBuf, rawdoc};

    use super::super::frame::tests::frame;
    use super::*;

    /// An `OP_MSG` of flags, a document and sequences.
    pub(in crate::explore) fn msg(
        flags: u32,
        document: &RawDocumentBuf,
        sequences: &[(&str, &[RawDocumentBuf])],
    ) -> Frame {
        let mut body = flags.to_le_bytes().to_vec();
        body.push(0);
        body.extend_from_slice(document.as_bytes());
        for (name, documents) in sequences {
            let content: Vec<u8> = documents.iter().flat_map(|document| document.as_bytes().to_vec()).collect();
            body.push(1);
            body.extend_from_slice(&((4 + name.len() + 1 + content.len()) as i32).to_le_bytes());
            body.extend_from_slice(name.as_bytes());
            body.push(0);
            body.extend_from_slice(&content);
        }
        if flags & CHECKSUM_PRESENT != 0 {
            body.extend_from_slice(&[1, 2, 3, 4]);
        }
        Frame::new(frame(2013, &body)).unwrap()
    }

    /// An `OP_QUERY`.
    pub(in crate::explore) fn query(namespace: &str, document: &RawDocumentBuf) -> Frame {
        let body = [&[0; 4], namespace.as_bytes(), &[0], &[0; 8], document.as_bytes()].concat();
        Frame::new(frame(2004, &body)).unwrap()
    }

    #[test]
    fn sections_and_flags_are_read() {
        let (find, element) = (rawdoc! { "insert": "chats", "$db": "app" }, rawdoc! { "a": 1 });
        let sequences: [(&str, &[RawDocumentBuf]); 1] = [("documents", &[element.clone(), element.clone()])];
        for flags in [0, CHECKSUM_PRESENT, MORE_TO_COME, 1 << 16, 1 << 30] {
            let frame = msg(flags, &find, &sequences);
            let Message::Msg(msg) = Message::parse(&frame).unwrap() else { panic!("not a message") };
            assert_eq!(msg.more_to_come, flags == MORE_TO_COME);
            assert_eq!(msg.document.as_bytes(), find.as_bytes());
            assert_eq!(msg.sequences.len(), 1);
            assert_eq!((msg.sequences[0].0, msg.sequences[0].1.len()), ("documents", 2));
        }
    }

    #[test]
    fn older_opcodes_are_read() {
        let document = rawdoc! { "a": 1 };
        let hello = query("admin.$cmd", &rawdoc! { "isMaster": 1 });
        assert!(matches!(Message::parse(&hello).unwrap(), Message::Query(Query { namespace: "admin.$cmd", .. })));
        let bytes = document.as_bytes();
        let named = [&[0; 4], &b"app.chats\0"[..]].concat();
        let cases = [
            (2001, [&named, &[1, 0, 0, 0][..], bytes, bytes].concat(), 2, true),
            (2002, [&named, bytes, bytes].concat(), 2, false),
            (2005, [&named, &[0; 12][..]].concat(), 0, false),
            (2006, [&named, &[0; 4][..], bytes].concat(), 1, false),
        ];
        for (opcode, body, documents, upsert) in cases {
            let frame = Frame::new(frame(opcode, &body)).unwrap();
            let Message::Legacy(legacy) = Message::parse(&frame).unwrap() else { panic!("not legacy") };
            assert_eq!((legacy.namespace, legacy.documents.len(), legacy.upsert), ("app.chats", documents, upsert));
        }
    }

    #[test]
    fn malformed_bodies_are_refused() {
        let document = rawdoc! { "a": 1 };
        let whole = msg(0, &document, &[("documents", std::slice::from_ref(&document))]);
        let with = |offset: usize, byte: u8| {
            let mut body = whole.body().to_vec();
            body[offset] = byte;
            body
        };
        let cases: [(Vec<u8>, &str); 8] = [
            (vec![], "too short"),
            (vec![0; 4], "no document"),
            (with(0, 4), "required bit"),
            (with(4, 2), "section"),
            (with(5, 200), "document"),
            (with(5, 3), "document"),
            (with(5 + document.as_bytes().len() + 1, 250), "document sequence"),
            (with(5 + document.as_bytes().len() + 1, 1), "document sequence"),
        ];
        for (body, expected) in cases {
            let frame = Frame::new(frame(2013, &body)).unwrap();
            let error = Message::parse(&frame).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} is not about {expected}");
        }
        let compressed = Frame::new(frame(2012, &[0; 9])).unwrap();
        assert!(matches!(Message::parse(&compressed), Err(FrameError::Compressed)));
    }
}
