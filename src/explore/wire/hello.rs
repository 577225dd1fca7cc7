//! Replies to `hello`, changed so that the driver stays on the proxy: addresses of servers become the proxy's, and no
//! compression is offered. No other answer is ever changed.

use std::collections::BTreeMap;

use mongodb::bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};

use super::frame::{Frame, FrameError, Opcode, int32};
use super::message::Message;

/// Which address of the proxy stands for which server, both as `host:port`.
pub type Addresses = BTreeMap<String, String>;

/// The reply as the driver shall see it; the same frame when there is nothing to change.
///
/// A checksum is left out of a changed reply, together with its flag: it is optional in every message.
pub fn rewrite(frame: Frame, addresses: &Addresses) -> Result<Frame, FrameError> {
    let (document, prefix) = match Message::parse(&frame)? {
        Message::Msg(msg) if msg.sequences.is_empty() => (msg.document, msg_prefix(&frame)),
        Message::Reply(documents) if documents.len() == 1 => (documents[0], frame.body()[..20].to_vec()),
        _ => return Ok(frame),
    };
    let Some(changed) = rewrite_document(document, addresses)? else { return Ok(frame) };
    frame.with_body(&[&prefix, changed.as_bytes()].concat())
}

/// Flags without the checksum's, and the kind of the only section.
fn msg_prefix(frame: &Frame) -> Vec<u8> {
    debug_assert_eq!(frame.opcode(), Opcode::Msg);
    let flags = int32(frame.body(), 0).unwrap_or_default() & !1;
    let mut prefix = flags.to_le_bytes().to_vec();
    prefix.push(0);
    prefix
}

fn rewrite_document(document: &RawDocument, addresses: &Addresses) -> Result<Option<RawDocumentBuf>, FrameError> {
    const LISTS: [&str; 3] = ["hosts", "passives", "arbiters"];
    let mut changed = RawDocumentBuf::new();
    let mut differs = false;
    for element in document {
        let (key, value) = element.map_err(|_| FrameError::Malformed { what: "reply to hello" })?;
        match (key.as_str(), value) {
            ("compression", _) => differs = true,
            (list, RawBsonRef::Array(hosts)) if LISTS.contains(&list) => {
                differs = true;
                let mut mapped = RawArrayBuf::new();
                for host in hosts.into_iter().flatten().filter_map(RawBsonRef::as_str) {
                    if let Some(address) = addresses.get(&host.to_ascii_lowercase()) {
                        mapped.push(address.as_str());
                    }
                }
                changed.append(key, mapped);
            }
            ("me" | "primary", RawBsonRef::String(host)) => {
                differs = true;
                // A server that has no listener cannot be reached through the proxy; the driver need not know it.
                if let Some(address) = addresses.get(&host.to_ascii_lowercase()) {
                    changed.append(key, address.as_str());
                }
            }
            (_, value) => changed.append(key, value),
        }
    }
    Ok(differs.then_some(changed))
}

#[cfg(test)]
mod tests {
    use mongodb::bson::rawdoc;

    use super::super::frame::tests::frame;
    use super::super::message::tests::msg;
    use super::*;

    fn addresses() -> Addresses {
        [("db1:27017", "127.0.0.1:1001"), ("db2:27017", "127.0.0.1:1002")]
            .map(|(server, proxy)| (server.to_owned(), proxy.to_owned()))
            .into()
    }

    #[test]
    fn addresses_become_those_of_the_proxy_and_compression_goes() {
        let given = rawdoc! { "hosts": ["db1:27017", "DB2:27017", "db3:27017"], "me": "db1:27017", "primary": "db3:27017",
        "setName": "rs", "compression": ["zlib"], "ok": 1.0 };
        let expected = rawdoc! { "hosts": ["127.0.0.1:1001", "127.0.0.1:1002"], "me": "127.0.0.1:1001", "setName": "rs", "ok": 1.0 };
        for flags in [0, 1] {
            let rewritten = rewrite(msg(flags, &given, &[]), &addresses()).unwrap();
            let Message::Msg(read) = Message::parse(&rewritten).unwrap() else { panic!("not a message") };
            assert_eq!(read.document.as_bytes(), expected.as_bytes());
            assert_eq!((rewritten.request_id(), rewritten.response_to()), (7, 5));
        }
        let old = Frame::new(frame(1, &[&[0; 20], given.as_bytes()].concat())).unwrap();
        let rewritten = rewrite(old, &addresses()).unwrap();
        let Message::Reply(read) = Message::parse(&rewritten).unwrap() else { panic!("not a reply") };
        assert_eq!(read[0].as_bytes(), expected.as_bytes());
    }

    #[test]
    fn a_standalone_reply_stays_as_it_is() {
        let given = msg(1, &rawdoc! { "isWritablePrimary": true, "ok": 1.0 }, &[]);
        assert_eq!(rewrite(given.clone(), &addresses()).unwrap(), given);
    }

    #[test]
    fn streaming_flags_survive() {
        let rewritten = rewrite(msg(2 | 1, &rawdoc! { "compression": [], "ok": 1 }, &[]), &addresses()).unwrap();
        let Message::Msg(read) = Message::parse(&rewritten).unwrap() else { panic!("not a message") };
        assert!(read.more_to_come);
    }
}
