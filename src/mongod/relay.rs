//! [`Relay`]: stands in front of a member of a set whose members may be cut off from each other, as `mongobridge` does in the
//! server's own tests.
//!
//! The set knows its members by the addresses of their relays, so that whatever one member sends to another passes one. A server
//! with test commands says in its first message who it is (`hostInfo`), which tells members from clients: clients are never cut
//! off, so that they go on to write to a primary that has lost its set.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::Document;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::process::ProcessError;

/// Length of the header of a message.
const HEADER: usize = 16;
/// A first message is a greeting: longer than this it is none.
const LONGEST_GREETING: usize = 1 << 16;
/// Before it accepts again, where it could not.
const AFTER_A_REFUSAL: Duration = Duration::from_millis(50);
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;

/// The ports of the members that are cut off from the others; shared by all relays of a set.
pub(super) type Cut = watch::Sender<Vec<u16>>;

/// A listener in front of a member, and the connections that pass it. Dropping it closes them.
#[derive(Debug)]
pub(super) struct Relay {
    port: u16,
    _accepting: AbortOnDropHandle<()>,
}

impl Relay {
    /// Listens on a free loopback port for the member that has this one.
    pub(super) async fn start(member: u16, cut: Arc<Cut>) -> Result<Self, ProcessError> {
        let failed = |source| ProcessError::System { step: "listen in front of a member of the replica set", source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let accepting = AbortOnDropHandle::new(tokio::spawn(accept(listener, member, cut)));
        Ok(Relay { port, _accepting: accepting })
    }

    /// Where it listens.
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

async fn accept(listener: TcpListener, member: u16, cut: Arc<Cut>) {
    // Dropped with this task, and every connection with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((from, _)) => _ = connections.spawn(pass(from, member, Arc::clone(&cut))),
                // Out of file descriptors, most likely: gives open connections a chance to end.
                Err(_) => tokio::time::sleep(AFTER_A_REFUSAL).await,
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// Lets a connection pass until one of its ends closes it, or the members at its ends are cut off from each other.
async fn pass(mut from: TcpStream, member: u16, cut: Arc<Cut>) {
    let mut cut = cut.subscribe();
    let Some((greeting, origin)) = greeting(&mut from).await else { return };
    let is_cut = move |cut: &Vec<u16>| {
        origin.is_some_and(|origin| origin != member && cut.iter().any(|port| *port == origin || *port == member))
    };
    let passing = async {
        let mut to = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, member))).await?;
        from.set_nodelay(true)?;
        to.set_nodelay(true)?;
        to.write_all(&greeting).await?;
        copy_bidirectional(&mut from, &mut to).await
    };
    tokio::select! {
        biased;
        // An error means that the set is gone.
        _ = cut.wait_for(is_cut) => {}
        // Whatever ended it, both ends are closed now.
        _ended = passing => {}
    }
}

/// The first message, and the port of the member that sent it, if a member did.
async fn greeting(from: &mut TcpStream) -> Option<(Vec<u8>, Option<u16>)> {
    let mut message = vec![0; HEADER];
    from.read_exact(&mut message).await.ok()?;
    let length = number(&message, 0).and_then(|length| usize::try_from(length).ok())?;
    if !(HEADER..=LONGEST_GREETING).contains(&length) {
        return None;
    }
    message.resize(length, 0);
    from.read_exact(message.get_mut(HEADER..)?).await.ok()?;
    let origin = command(&message).and_then(|command| port_of(command.get_str("hostInfo").ok()?));
    Some((message, origin))
}

fn number(message: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_le_bytes(message.get(at..at + 4)?.try_into().ok()?))
}

/// The command of a message, in the form of today or in that of older servers' first one.
fn command(message: &[u8]) -> Option<Document> {
    let body = message.get(HEADER..)?;
    let document = match number(message, 12)? {
        // Flags, and the kind of the section.
        OP_MSG => body.get(5..)?,
        // Flags, the collection's name with its end, documents to skip and to return.
        OP_QUERY => body.get(4 + body.get(4..)?.iter().position(|byte| *byte == 0)? + 1 + 8..)?,
        _ => return None,
    };
    Document::from_reader(document).ok()
}

fn port_of(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    fn message(opcode: i32, before: &[u8], command: &Document) -> Vec<u8> {
        let body = [before, &command.to_vec().unwrap()].concat();
        let header = [i32::try_from(HEADER + body.len()).unwrap(), 1, 0, opcode].map(i32::to_le_bytes).concat();
        [header, body].concat()
    }

    #[test]
    fn who_greets_is_read_from_both_forms_of_a_first_message() {
        let hello = doc! { "hello": 1, "hostInfo": "machine:4711" };
        let query = [&[0; 4][..], b"admin.$cmd\0", &[0; 8]].concat();
        for greeting in [message(OP_MSG, &[0; 5], &hello), message(OP_QUERY, &query, &hello)] {
            assert_eq!(command(&greeting), Some(hello.clone()));
        }
        assert_eq!(port_of("machine:4711"), Some(4711));
        assert_eq!(command(&message(2012, &[0; 9], &hello)), None);
        assert_eq!(command(&[0; 3]), None);
    }

    /// What a connection through a relay comes to, from a member with this port or a client; the member that is reached is that
    /// with the listener.
    async fn reaches(listener: &TcpListener, relay: &Relay, from: Option<u16>) -> bool {
        let hello = match from {
            Some(port) => doc! { "hello": 1, "hostInfo": format!("machine:{port}") },
            None => doc! { "hello": 1 },
        };
        let greeting = message(OP_MSG, &[0; 5], &hello);
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port())).await.unwrap();
        stream.write_all(&greeting).await.unwrap();
        let mut nothing = [0];
        tokio::select! {
            accepted = listener.accept() => {
                let mut reached = vec![0; greeting.len()];
                accepted.unwrap().0.read_exact(&mut reached).await.unwrap();
                reached == greeting
            }
            closed = stream.read(&mut nothing) => {
                assert_eq!(closed.unwrap_or_default(), 0);
                false
            }
        }
    }

    #[tokio::test]
    async fn a_member_that_is_cut_off_neither_reaches_others_nor_is_reached_but_clients_are_let_through() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let member = listener.local_addr().unwrap().port();
        let cut = Arc::new(Cut::default());
        let relay = Relay::start(member, Arc::clone(&cut)).await.unwrap();
        assert!(reaches(&listener, &relay, Some(1)).await && reaches(&listener, &relay, Some(2)).await);
        cut.send_replace(vec![1]);
        assert!(!reaches(&listener, &relay, Some(1)).await, "it is cut off");
        assert!(reaches(&listener, &relay, Some(2)).await && reaches(&listener, &relay, None).await);
        cut.send_replace(vec![member]);
        assert!(!reaches(&listener, &relay, Some(2)).await, "nobody reaches it");
        assert!(reaches(&listener, &relay, Some(member)).await, "but itself");
        assert!(reaches(&listener, &relay, None).await);
        cut.send_replace(Vec::new());
        assert!(reaches(&listener, &relay, Some(1)).await);
    }

    #[tokio::test]
    async fn a_cut_closes_what_is_open() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cut = Arc::new(Cut::default());
        let relay = Relay::start(listener.local_addr().unwrap().port(), Arc::clone(&cut)).await.unwrap();
        let hello = message(OP_MSG, &[0; 5], &doc! { "hello": 1, "hostInfo": "machine:1" });
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port())).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        let (_reached, _) = listener.accept().await.unwrap();
        cut.send_replace(vec![1]);
        assert_eq!(stream.read(&mut [0]).await.unwrap_or_default(), 0);
    }
}
