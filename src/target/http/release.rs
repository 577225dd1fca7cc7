//! Release by the last byte: everything but the last byte of each request is on its way, and one loop lets them all go.
//!
//! The clients that the gate lets through write the last byte of every request that waits, one system call each, with
//! nothing between them: on two threads if there are as many, which wait for each other, so that neither begins while the
//! other is still asleep. The other clients find theirs gone already. Which byte is withheld: the last of the body, or of the
//! head where there is no body. Main types: [`Releases`] and [`Parked`].

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::net::TcpStream;

use super::wire::write_all;

/// Threads that write. More would take the processors from the service.
const WRITERS: usize = 2;
/// How long the first of them waits for the others: long enough for a sleeping thread to be woken on a busy machine, which
/// shorter waits were measured to miss in half of the bursts, and far below any round trip that matters.
const RENDEZVOUS: Duration = Duration::from_millis(2);

/// A request that lacks its last byte.
#[derive(Debug)]
pub(super) struct Parked {
    stream: Arc<TcpStream>,
    last: [u8; 1],
    released: OnceLock<io::Result<Instant>>,
}

/// Those that wait for the release.
#[derive(Debug, Default)]
pub(super) struct Releases {
    /// The first release lets all of them go.
    together: bool,
    waiting: Mutex<Waiting>,
    /// Threads that are ready to write.
    ready: AtomicUsize,
    /// Answers that came before their request was complete.
    pub(super) early: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    parked: Vec<Arc<Parked>>,
    /// None of them had its answer yet when the first was let go, or they have been counted.
    looked_at: bool,
}

impl Releases {
    /// None waits yet. `together` is whether the first release lets all of them go.
    pub(super) fn new(together: bool) -> Self {
        Releases { together, ..Releases::default() }
    }

    /// A request whose other bytes are sent.
    pub(super) fn park(&self, stream: Arc<TcpStream>, last: u8) -> Arc<Parked> {
        let parked = Arc::new(Parked { stream, last: [last], released: OnceLock::new() });
        if self.together {
            let mut waiting = self.waiting();
            waiting.looked_at = false;
            self.ready.store(0, Ordering::Release);
            waiting.parked.push(Arc::clone(&parked));
        }
        parked
    }

    /// Lets this one go, and all that wait with it; when that was.
    pub(super) async fn release(&self, parked: &Parked) -> io::Result<Instant> {
        {
            let mut waiting = self.waiting();
            if !waiting.looked_at {
                // Before the first byte is let go: an answer that comes later is one in time.
                let early = waiting.parked.iter().filter(|other| other.has_spoken()).count();
                self.note_early(early);
                waiting.looked_at = true;
            }
        }
        if self.together {
            self.meet();
        }
        while let Some(other) = self.next() {
            other.let_go();
        }
        if !self.together {
            self.note_early(usize::from(parked.has_spoken()));
        }
        // Waits if another thread is just at it.
        parked.let_go();
        match parked.released.get() {
            Some(Ok(at)) => Ok(*at),
            // The socket's buffer was full, or it is broken: the owner waits and sees.
            Some(Err(_)) | None => {
                write_all(&parked.stream, &parked.last).await?;
                Ok(Instant::now())
            }
        }
    }

    /// Waits until as many threads are here as can be, but not for long: a busy machine may not let them. Whoever comes when
    /// next to nothing is left to write has nobody to wait for.
    fn meet(&self) {
        if self.waiting().parked.len() < WRITERS {
            return;
        }
        let workers = tokio::runtime::Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        self.ready.fetch_add(1, Ordering::AcqRel);
        let since = Instant::now();
        while self.ready.load(Ordering::Acquire) < workers.min(WRITERS) && since.elapsed() < RENDEZVOUS {
            std::hint::spin_loop();
        }
    }

    /// One that waits. In a statement of its own, so that nothing is locked while its byte is written.
    fn next(&self) -> Option<Arc<Parked>> {
        self.waiting().parked.pop()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_early(&self, answers: usize) {
        self.early.fetch_add(answers as u64, Ordering::Relaxed);
    }
}

impl Parked {
    /// Whether the service has answered, or closed the connection. It costs a system call only if there is something.
    fn has_spoken(&self) -> bool {
        let mut byte = [0_u8; 1];
        self.stream.peek(&mut byte).now_or_never().is_some()
    }

    fn let_go(&self) {
        self.released.get_or_init(|| match self.stream.try_write(&self.last) {
            Ok(1) => Ok(Instant::now()),
            Ok(_) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) => Err(error),
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn connected() -> (Arc<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Arc::new(client), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn an_answer_before_the_release_is_counted_and_one_after_it_is_not() {
        for together in [true, false] {
            let releases = Releases::new(together);
            let ((eager, mut at_once), (patient, mut in_time)) = (connected().await, connected().await);
            let parked = [releases.park(Arc::clone(&eager), b'e'), releases.park(Arc::clone(&patient), b'p')];
            at_once.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            eager.readable().await.unwrap();
            releases.release(&parked[1]).await.unwrap();
            assert_eq!(in_time.read_u8().await.unwrap(), b'p');
            in_time.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            patient.readable().await.unwrap();
            releases.release(&parked[0]).await.unwrap();
            assert_eq!(at_once.read_u8().await.unwrap(), b'e');
            assert_eq!(releases.early.load(Ordering::Relaxed), 1, "together: {together}");
        }
    }
}
