//! The harness's own HTTP/1.1 writer and reader, for a release by the last byte: a client library decides itself when it
//! flushes. Main type: [`Connection`]. No TLS, no HTTP/2, no redirects.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::answer::{Answer, NoAnswer};

/// Largest body that is read.
pub(super) const LARGEST_BODY: usize = 8 * 1024 * 1024;
/// Largest head.
const LARGEST_HEAD: usize = 64 * 1024;
/// An idle connection that is older is not used again: many services close theirs after five seconds, and a request on
/// a connection that is just being closed would have an unknown outcome for nothing.
const OLDEST_IDLE: Duration = Duration::from_secs(3);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One connection, with at most one request on it.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Arc<TcpStream>,
    buffer: Vec<u8>,
    used: Instant,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(address: &str) -> io::Result<Self> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        let stream = connecting.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(Connection { stream: Arc::new(stream), buffer: Vec::new(), used: Instant::now() })
    }

    /// The socket, for the one who lets the last byte go.
    pub(super) fn stream(&self) -> Arc<TcpStream> {
        Arc::clone(&self.stream)
    }

    /// Whether it can take a request: young, open, and with nothing unread on it.
    pub(super) fn is_fresh(&self) -> bool {
        let mut byte = [0_u8; 1];
        let silent = matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        silent && self.buffer.is_empty() && self.used.elapsed() < OLDEST_IDLE
    }

    /// Writes all of it.
    pub(super) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        write_all(&self.stream, bytes).await
    }

    /// Reads the answer to a request; whether the connection can take another one comes with it.
    pub(super) async fn read_answer(&mut self, head_only: bool) -> Result<(Answer, bool), NoAnswer> {
        loop {
            let head = self.read_head().await?;
            // Interim answers announce the real one.
            if (100..200).contains(&head.answer.status) && head.answer.status != 101 {
                continue;
            }
            let Head { mut answer, length, keep } = head;
            let length = if head_only || matches!(answer.status, 204 | 304) { Length::Known(0) } else { length };
            let reusable = keep && length != Length::UntilClosed;
            answer.body = self.read_body(length, answer.status).await?;
            self.used = Instant::now();
            return Ok((answer, reusable));
        }
    }

    async fn read_head(&mut self) -> Result<Head, NoAnswer> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Head::parse(&head).ok_or_else(|| NoAnswer::Lost("the answer is not HTTP/1.1".to_owned()));
            }
            if self.buffer.len() > LARGEST_HEAD {
                return Err(NoAnswer::Lost(format!("the head of the answer is larger than {LARGEST_HEAD} bytes")));
            }
            let before = self.buffer.is_empty();
            if self.fill().await? == 0 {
                return Err(NoAnswer::Lost(match before {
                    true => "the service closed the connection without an answer".to_owned(),
                    false => "the answer broke off in its head".to_owned(),
                }));
            }
        }
    }

    async fn read_body(&mut self, length: Length, status: u16) -> Result<Vec<u8>, NoAnswer> {
        let broke = |got: usize| {
            NoAnswer::Lost(format!("HTTP {status}, and the answer broke off after {got} bytes of its body"))
        };
        let large = || NoAnswer::Lost(format!("HTTP {status}, and the body is larger than {} MiB", LARGEST_BODY >> 20));
        match length {
            Length::Known(length) if length > LARGEST_BODY => Err(large()),
            Length::Known(length) => {
                while self.buffer.len() < length {
                    if self.fill().await? == 0 {
                        return Err(broke(self.buffer.len()));
                    }
                }
                Ok(self.buffer.drain(..length).collect())
            }
            Length::UntilClosed => {
                while self.fill().await? > 0 {
                    if self.buffer.len() > LARGEST_BODY {
                        return Err(large());
                    }
                }
                Ok(std::mem::take(&mut self.buffer))
            }
            Length::Chunked => {
                let mut body = Vec::new();
                loop {
                    let Some(size) = self.chunk_size().await.map_err(|_| broke(body.len()))? else {
                        return Err(NoAnswer::Lost(format!("HTTP {status}, and a chunk of the body has no length")));
                    };
                    if size > LARGEST_BODY || body.len() + size > LARGEST_BODY {
                        return Err(large());
                    }
                    while self.buffer.len() < size + 2 {
                        if self.fill().await? == 0 {
                            return Err(broke(body.len()));
                        }
                    }
                    body.extend(self.buffer.drain(..size));
                    self.buffer.drain(..2);
                    if size == 0 {
                        return Ok(body);
                    }
                }
            }
        }
    }

    /// The next chunk's length; trailers are not supported, and no service under test is known to send any.
    async fn chunk_size(&mut self) -> Result<Option<usize>, NoAnswer> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let text = String::from_utf8_lossy(&line);
                let digits = text.trim().split(';').next().unwrap_or_default().trim();
                return Ok(usize::from_str_radix(digits, 16).ok());
            }
            if self.fill().await? == 0 {
                return Err(NoAnswer::Lost("the answer broke off".to_owned()));
            }
        }
    }

    /// Reads what there is, and waits until there is something; 0 is the end.
    async fn fill(&mut self) -> Result<usize, NoAnswer> {
        let lost = |error: io::Error| NoAnswer::Lost(format!("the connection broke before the answer: {error}"));
        let mut chunk = [0_u8; 16 * 1024];
        loop {
            self.stream.readable().await.map_err(lost)?;
            match self.stream.try_read(&mut chunk) {
                Ok(read) => {
                    self.buffer.extend_from_slice(&chunk[..read]);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(lost(error)),
            }
        }
    }
}

/// Writes all of it to a socket.
pub(super) async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(usize),
    Chunked,
    UntilClosed,
}

/// The head of an answer.
#[derive(Debug)]
struct Head {
    answer: Answer,
    length: Length,
    keep: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let (version, rest) = lines.next()?.split_once(' ')?;
        let new = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ => return None,
        };
        let status = rest.get(..3)?.parse().ok()?;
        let mut head = Head { answer: Answer { status, ..Answer::default() }, length: Length::UntilClosed, keep: new };
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':')?;
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-type" => value.clone_into(&mut head.answer.content_type),
                "location" => head.answer.location = Some(value.to_owned()),
                "set-cookie" => head.answer.cookies.push(value.to_owned()),
                "content-length" if head.length != Length::Chunked => head.length = Length::Known(value.parse().ok()?),
                "transfer-encoding" if value.to_ascii_lowercase().ends_with("chunked") => head.length = Length::Chunked,
                "connection" => head.keep = new && !value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        Some(head)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What a connection makes of these bytes, after which the server closes.
    async fn read(bytes: &'static [u8]) -> Result<(Answer, bool), NoAnswer> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0_u8; 64];
            let read = stream.read(&mut request).await.unwrap();
            assert!(read > 0);
            // In pieces, so that no boundary of a read is where the format has one.
            for piece in bytes.chunks(7) {
                stream.write_all(piece).await.unwrap();
                stream.flush().await.unwrap();
            }
        });
        let mut connection = Connection::open(&address).await.unwrap();
        connection.write(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let answer = connection.read_answer(false).await;
        server.await.unwrap();
        answer
    }

    #[tokio::test]
    async fn answers_are_read_however_their_end_is_told() {
        type Case = (&'static [u8], u16, &'static str, bool);
        let cases: [Case; 6] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true),
            (
                b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
                201,
                "hello world",
                true,
            ),
            (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", 200, "until the end", false),
            (b"HTTP/1.0 500 No\r\nContent-Length: 2\r\n\r\nno", 500, "no", false),
            (b"HTTP/1.1 204 None\r\n\r\n", 204, "", true),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", true),
        ];
        for (bytes, status, body, reusable) in cases {
            let (answer, again) = read(bytes).await.unwrap();
            assert_eq!(
                (answer.status, String::from_utf8(answer.body).unwrap().as_str(), again),
                (status, body, reusable)
            );
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_no_answer() {
        let cases: [&'static [u8]; 7] = [
            b"",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"SSH-2.0-OpenSSH\r\n\r\n",
        ];
        for bytes in cases {
            let answer = read(bytes).await;
            assert!(matches!(answer, Err(NoAnswer::Lost(_))), "{bytes:?}: {answer:?}");
        }
    }
}
