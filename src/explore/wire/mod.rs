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
