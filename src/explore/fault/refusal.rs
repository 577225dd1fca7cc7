//! [`Refusal`]: an error in the server's place, as a frame that drivers understand.

use std::fmt;

use mongodb::bson::{RawDocumentBuf, rawdoc};

use crate::explore::wire::{Frame, FrameError};

/// `OP_MSG`.
const MSG: i32 = 2013;

/// An error that the proxy answers with, without asking the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// 262: it took too long for the server itself. Drivers that retry writes send the command once more. The errors of a primary
    /// that steps down are retried, too, but after them drivers wait until the server says by itself that it is back.
    Retryable,
    /// 50: it took longer than its `maxTimeMS`. Nobody retries that but the application.
    TimedOut,
    /// 112: another transaction got in between. The application is told to begin its transaction again.
    WriteConflict,
}

impl Refusal {
    fn code(self) -> (i32, &'static str) {
        match self {
            Refusal::Retryable => (262, "ExceededTimeLimit"),
            Refusal::TimedOut => (50, "MaxTimeMSExpired"),
            Refusal::WriteConflict => (112, "WriteConflict"),
        }
    }

    fn document(self) -> RawDocumentBuf {
        let (code, name) = self.code();
        let text = format!("{name}, answered by the test harness in the server's place");
        match self {
            Refusal::Retryable => rawdoc! {
                "ok": 0.0, "code": code, "codeName": name, "errmsg": text, "errorLabels": ["RetryableWriteError"]
            },
            Refusal::TimedOut => rawdoc! { "ok": 0.0, "code": code, "codeName": name, "errmsg": text },
            Refusal::WriteConflict => rawdoc! {
                "ok": 0.0, "code": code, "codeName": name, "errmsg": text, "errorLabels": ["TransientTransactionError"]
            },
        }
    }

    /// The answer to this request.
    pub(in crate::explore) fn answer(self, request: &Frame) -> Result<Frame, FrameError> {
        let document = self.document();
        let mut body = vec![0; 5];
        body.extend_from_slice(document.as_bytes());
        Frame::answering(request, MSG, &body)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, name) = self.code();
        write!(f, "{code} {name}")
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::rawdoc;

    use super::*;
    use crate::explore::wire::message::tests::msg;
    use crate::explore::wire::{Message, Reply};

    #[test]
    fn a_refusal_is_an_answer_to_its_request() {
        let request = msg(0, &rawdoc! { "insert": "chats", "$db": "app" }, &[]);
        for refusal in [Refusal::Retryable, Refusal::TimedOut, Refusal::WriteConflict] {
            let answer = refusal.answer(&request).unwrap();
            assert_eq!(answer.response_to(), request.request_id());
            let reply = Reply::parse(&Message::parse(&answer).unwrap());
            assert_eq!((reply.ok, reply.code), (false, Some(refusal.code().0)));
        }
    }
}
