//! One frame: a 16-byte header and a body, read whole and kept byte for byte.
//!
//! [`Frame`] knows lengths, numbers and the opcode; what the body means is [`super::message`]'s part.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Length of the header.
pub const HEADER: usize = 16;

/// The largest frame that a server accepts (`maxMessageSizeBytes`).
pub const MAX_FRAME: usize = 48_000_000;

/// What kind of message a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// `OP_REPLY`: the answer to `OP_QUERY` and `OP_GET_MORE`.
    Reply,
    /// `OP_UPDATE` of older drivers; has no answer.
    Update,
    /// `OP_INSERT` of older drivers; has no answer.
    Insert,
    /// `OP_QUERY`: a find or a command of older drivers, and the first hello of many newer ones.
    Query,
    /// `OP_GET_MORE` of older drivers.
    GetMore,
    /// `OP_DELETE` of older drivers; has no answer.
    Delete,
    /// `OP_KILL_CURSORS` of older drivers; has no answer.
    KillCursors,
    /// `OP_COMPRESSED`: never negotiated through the proxy.
    Compressed,
    /// `OP_MSG`: everything since MongoDB 3.6.
    Msg,
}

impl Opcode {
    fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Opcode::Reply,
            2001 => Opcode::Update,
            2002 => Opcode::Insert,
            2004 => Opcode::Query,
            2005 => Opcode::GetMore,
            2006 => Opcode::Delete,
            2007 => Opcode::KillCursors,
            2012 => Opcode::Compressed,
            2013 => Opcode::Msg,
            _ => return None,
        })
    }
}

/// Why a connection cannot be understood any further. It is closed; the proxy goes on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The header names a length that no frame has.
    #[error("a frame of {0} bytes: a frame has 16 to {MAX_FRAME}")]
    Length(i32),
    /// The header names an opcode that the protocol does not have.
    #[error("unknown opcode {0}")]
    Opcode(i32),
    /// The connection ended within a frame.
    #[error("the connection ended within a frame")]
    Truncated,
    /// The body is not what the opcode says.
    #[error("malformed {what}")]
    Malformed {
        /// The part that is not.
        what: &'static str,
    },
    /// A compressed frame, although no compression was negotiated.
    #[error("a compressed frame, although no compression was negotiated")]
    Compressed,
    /// More requests wait on one connection than any driver sends.
    #[error("more than {0} requests wait on one connection")]
    Pipelined(usize),
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Vec<u8>,
    opcode: Opcode,
}

impl Frame {
    /// Takes the bytes of one whole frame.
    pub fn new(bytes: Vec<u8>) -> Result<Self, FrameError> {
        let length = int32(&bytes, 0).ok_or(FrameError::Truncated)?;
        if usize::try_from(length).ok() != Some(bytes.len()) {
            return Err(FrameError::Length(length));
        }
        check_length(length)?;
        let number = int32(&bytes, 12).ok_or(FrameError::Truncated)?;
        let opcode = Opcode::from_number(number).ok_or(FrameError::Opcode(number))?;
        Ok(Frame { bytes, opcode })
    }

    /// Reads the next frame; `None` when the peer closed the connection between two frames.
    ///
    /// Memory grows with the bytes that came, never with the length that a header claims.
    pub async fn read(reader: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, FrameError> {
        let mut header = [0; HEADER];
        let mut filled = 0;
        while filled < HEADER {
            match reader.read(&mut header[filled..]).await? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(FrameError::Truncated),
                count => filled += count,
            }
        }
        let length = check_length(int32(&header, 0).ok_or(FrameError::Truncated)?)?;
        let mut bytes = Vec::with_capacity(length.min(64 * 1024));
        bytes.extend_from_slice(&header);
        let rest = (length - HEADER) as u64;
        if reader.take(rest).read_to_end(&mut bytes).await? as u64 != rest {
            return Err(FrameError::Truncated);
        }
        Frame::new(bytes).map(Some)
    }

    /// All bytes, header included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes behind the header.
    pub fn body(&self) -> &[u8] {
        &self.bytes[HEADER..]
    }

    /// What kind of message it is.
    pub fn opcode(&self) -> Opcode {
        self.opcode
    }

    /// The sender's number of this frame.
    pub fn request_id(&self) -> i32 {
        int32(&self.bytes, 4).unwrap_or_default()
    }

    /// The number of the frame that this one answers.
    pub fn response_to(&self) -> i32 {
        int32(&self.bytes, 8).unwrap_or_default()
    }

    /// The answer to a request.
    pub(in crate::explore) fn answering(request: &Frame, opcode: i32, body: &[u8]) -> Result<Self, FrameError> {
        let length = i32::try_from(HEADER + body.len()).map_err(|_| FrameError::Length(i32::MAX))?;
        let header = [length, request.request_id().wrapping_add(1), request.request_id(), opcode];
        let bytes = header.iter().flat_map(|number| number.to_le_bytes()).chain(body.iter().copied());
        Frame::new(bytes.collect())
    }

    /// A frame with the same numbers and opcode, and another body.
    pub(super) fn with_body(&self, body: &[u8]) -> Result<Self, FrameError> {
        let length = HEADER + body.len();
        let claimed = i32::try_from(length).map_err(|_| FrameError::Length(i32::MAX))?;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&claimed.to_le_bytes());
        bytes.extend_from_slice(&self.bytes[4..HEADER]);
        bytes.extend_from_slice(body);
        Frame::new(bytes)
    }
}

fn check_length(length: i32) -> Result<usize, FrameError> {
    usize::try_from(length)
        .ok()
        .filter(|length| (HEADER..=MAX_FRAME).contains(length))
        .ok_or(FrameError::Length(length))
}

/// The little-endian number at an offset, if the bytes reach that far.
pub(super) fn int32(bytes: &[u8], offset: usize) -> Option<i32> {
    let end = offset.checked_add(4)?;
    bytes.get(offset..end)?.try_into().ok().map(i32::from_le_bytes)
}

#[cfg(test)]
pub(in crate::explore) mod tests {
    use super::*;

    /// A frame of an opcode and a body, numbered 7, answering 5.
    pub(in crate::explore) fn frame(opcode: i32, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [(HEADER + body.len()) as i32, 7, 5, opcode] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(body);
        bytes
    }

    async fn read(mut bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
        Frame::read(&mut bytes).await
    }

    #[tokio::test]
    async fn a_frame_is_kept_byte_for_byte() {
        let bytes = frame(2013, b"body");
        let two = [bytes.clone(), bytes.clone()].concat();
        let mut reader = &two[..];
        for _ in 0..2 {
            let frame = Frame::read(&mut reader).await.unwrap().unwrap();
            assert_eq!(frame.bytes(), bytes);
            assert_eq!((frame.request_id(), frame.response_to(), frame.opcode()), (7, 5, Opcode::Msg));
            assert_eq!(frame.body(), b"body");
        }
        assert!(Frame::read(&mut reader).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_no_frame_is_refused_with_a_reason() {
        let with_length = |length: i32| [&length.to_le_bytes()[..], &frame(2013, b"body")[4..]].concat();
        let cases: [(Vec<u8>, &str); 7] = [
            (with_length(15), "a frame of 15 bytes"),
            (with_length(-1), "a frame of -1 bytes"),
            (with_length(48_000_001), "a frame of 48000001 bytes"),
            (with_length(i32::MIN), "a frame of -2147483648 bytes"),
            (frame(2099, b""), "unknown opcode 2099"),
            (frame(2013, b"body")[..18].to_vec(), "ended within a frame"),
            (frame(2013, b"body")[..3].to_vec(), "ended within a frame"),
        ];
        for (bytes, expected) in cases {
            let error = read(&bytes).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn a_claimed_length_takes_no_memory() {
        let claimed = [&48_000_000_i32.to_le_bytes()[..], &frame(2013, b"body")[4..]].concat();
        assert!(matches!(read(&claimed).await, Err(FrameError::Truncated)));
    }
}
