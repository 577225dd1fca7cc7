//! MongoDB's wire protocol, as far as a proxy must read it: headers, the command document and the reply.
//!
//! Frames are kept as the bytes that came; only replies to `hello` are ever changed (see [`hello`]), and parked requests that ask for no
//! answer (`acknowledged`).

mod acknowledged;
pub mod command;
mod equality;
pub mod frame;
pub mod hello;
mod legacy;
pub mod message;
pub mod reply;
pub mod text;

use futures::FutureExt;

pub use acknowledged::acknowledged;
pub use command::{Change, Command, Kind, Statement};
pub use frame::{Frame, FrameError, Opcode};
pub use message::Message;
pub use reply::Reply;

/// What must be so of every frame that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspected {
    /// Read from a stream, the frame has the same bytes, and those behind it are left there.
    pub same_from_a_stream: bool,
    /// Its answer to `hello`, once changed, is understood and is not changed again.
    pub rewritten_once: bool,
}

/// Reads one frame as the proxy would, in both directions; whatever the bytes are, it ends with a result.
pub fn inspect(bytes: &[u8]) -> Result<Inspected, FrameError> {
    let frame = Frame::new(bytes.to_vec())?;
    let stream = [bytes, b"next"].concat();
    let mut reader = &stream[..];
    let streamed = Frame::read(&mut reader).now_or_never();
    let same_from_a_stream =
        matches!(streamed, Some(Ok(Some(read))) if read.bytes() == frame.bytes()) && reader == b"next";
    let message = Message::parse(&frame)?;
    if let Some(command) = Command::parse(&message) {
        crate::explore::conflict::commute(&command, &command);
    }
    Reply::parse(&message).summary();
    let addresses = hello::Addresses::from([("a:1".to_owned(), "127.0.0.1:2".to_owned())]);
    let once = hello::rewrite(frame, &addresses)?;
    let again =
        hello::rewrite(once.clone(), &hello::Addresses::from([("127.0.0.1:2".to_owned(), "127.0.0.1:2".to_owned())]))?;
    Ok(Inspected { same_from_a_stream, rewritten_once: again.bytes() == once.bytes() })
}

#[cfg(test)]
mod fuzz_tests;
