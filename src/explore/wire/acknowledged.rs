//! Writes that nobody waits for (`w: 0`), changed so that there is an answer which says what they did: without it nobody knows when a write
//! has been carried out, and no order of writes means anything. A client that asked for no answer at all is not told.

use mongodb::bson::{RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};

use super::frame::{Frame, FrameError, Opcode, int32};
use super::message::{CHECKSUM_PRESENT, MORE_TO_COME, Message};

/// The request as the server shall see it: one that is answered. `None` where the protocol has no answer to it.
pub fn acknowledged(frame: &Frame) -> Result<Option<Frame>, FrameError> {
    const MALFORMED: FrameError = FrameError::Malformed { what: "request without an answer" };
    if frame.opcode() != Opcode::Msg {
        return Ok(None);
    }
    // What it is made of stands in the right place, or it is not understood.
    Message::parse(frame)?;
    let mut flags = int32(frame.body(), 0).ok_or(MALFORMED)?.cast_unsigned();
    let mut rest = frame.body().get(4..).ok_or(MALFORMED)?;
    if flags & CHECKSUM_PRESENT != 0 {
        rest = rest.get(..rest.len().saturating_sub(4)).ok_or(MALFORMED)?;
    }
    flags &= !(MORE_TO_COME | CHECKSUM_PRESENT);
    let mut body = flags.to_le_bytes().to_vec();
    while let Some((&kind, section)) = rest.split_first() {
        let size = int32(section, 0).and_then(|size| usize::try_from(size).ok()).ok_or(MALFORMED)?;
        let bytes = section.get(..size).ok_or(MALFORMED)?;
        body.push(kind);
        match kind {
            0 => {
                let document = RawDocument::from_bytes(bytes).map_err(|_| MALFORMED)?;
                body.extend_from_slice(with_one(document).ok_or(MALFORMED)?.as_bytes());
            }
            _ => body.extend_from_slice(bytes),
        }
        rest = &section[size..];
    }
    frame.with_body(&body).map(Some)
}

/// The command with `w: 1` where it has `w: 0`; whatever else its write concern says stays.
fn with_one(command: &RawDocument) -> Option<RawDocumentBuf> {
    let mut changed = RawDocumentBuf::new();
    for element in command {
        match element.ok()? {
            (key, RawBsonRef::Document(concern)) if key == "writeConcern" => {
                let mut acknowledged = rawdoc! { "w": 1 };
                for element in concern {
                    match element.ok()? {
                        (key, _) if key == "w" => {}
                        (key, value) => acknowledged.append(key, value),
                    }
                }
                changed.append(key, acknowledged);
            }
            (key, value) => changed.append(key, value),
        }
    }
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::frame;
    use super::super::message::tests::{msg, query};
    use super::*;

    #[test]
    fn a_write_without_an_answer_becomes_one_with_an_answer_and_stays_what_it_is() {
        let asked = rawdoc! { "insert": "hits", "$db": "app", "writeConcern": { "w": 0, "j": false }, "ordered": true };
        let expected =
            rawdoc! { "insert": "hits", "$db": "app", "writeConcern": { "w": 1, "j": false }, "ordered": true };
        let documents = [rawdoc! { "a": 1 }, rawdoc! { "a": 2 }];
        for flags in [MORE_TO_COME, MORE_TO_COME | CHECKSUM_PRESENT] {
            let changed = acknowledged(&msg(flags, &asked, &[("documents", &documents)])).unwrap().unwrap();
            assert_eq!(changed.body(), msg(0, &expected, &[("documents", &documents)]).body());
            assert_eq!(changed.request_id(), 7);
        }
        let cursors = rawdoc! { "killCursors": "hits", "cursors": [1_i64], "$db": "app" };
        let changed = acknowledged(&msg(MORE_TO_COME, &cursors, &[])).unwrap().unwrap();
        assert_eq!(changed.body(), msg(0, &cursors, &[]).body(), "a command without a write concern takes none");
    }

    #[test]
    fn what_has_no_answer_in_the_protocol_stays_without() {
        assert_eq!(acknowledged(&query("app.$cmd", &rawdoc! { "ping": 1 })).unwrap(), None);
        let nonsense = Frame::new(frame(2013, b"nonsense")).unwrap();
        assert!(acknowledged(&nonsense).is_err());
    }
}
