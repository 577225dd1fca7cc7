//! MongoDB's wire protocol, as far as a proxy must read it: headers, the command document and the reply.
//!
//! Frames are kept as the bytes that came; only replies to `hello` are ever changed (see [`hello`]).

pub mod command;
mod equality;
pub mod frame;
pub mod hello;
mod legacy;
pub mod message;
pub mod reply;
pub mod text;

pub use command::{Command, Kind};
pub use frame::{Frame, FrameError, Opcode};
pub use message::Message;
pub use reply::Reply;

/// Reads one frame as the proxy would, in both directions; whatever the bytes are, it ends with a result.
pub fn inspect(bytes: &[u8]) -> Result<(), FrameError> {
    let frame = Frame::new(bytes.to_vec())?;
    let message = Message::parse(&frame)?;
    if let Some(command) = Command::parse(&message) {
        crate::explore::conflict::commute(&command, &command);
    }
    Reply::parse(&message).summary();
    hello::rewrite(frame, &hello::Addresses::new()).map(|_| ())
}

#[cfg(test)]
mod fuzz_tests;
