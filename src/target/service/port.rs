//! The port of an instance: [`Reservation`] keeps it for the service, [`stranger`] tells who listens there instead of it.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use tokio::net::TcpSocket;

/// What logs say when a port is taken, in the words of several languages and libraries.
const TAKEN: [&str; 6] =
    ["address already in use", "address in use", "eaddrinuse", "already in use", "errno 98", "os error 98"];
/// State of a socket that listens, as `/proc/net/tcp` has it.
const LISTENS: &str = "0A";

/// A port that nobody else is given as a free one.
///
/// A socket is bound to it but does not listen. A service that sets `SO_REUSEADDR` before it binds, as nearly all do, can
/// listen there all the same; for one that does not, the port must be let go first.
#[derive(Debug)]
pub(super) struct Reservation {
    port: u16,
    held: Option<TcpSocket>,
}

impl Reservation {
    /// Takes a free port that is none of these.
    pub(super) fn other_than(tried: &[u16]) -> io::Result<Self> {
        // Held until another is found, because the system may give the same one again.
        let mut again = Vec::new();
        loop {
            let reservation = Self::new()?;
            if !tried.contains(&reservation.port) {
                return Ok(reservation);
            }
            again.push(reservation);
        }
    }

    fn new() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Reservation { port: socket.local_addr()?.port(), held: Some(socket) })
    }

    /// The port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Lets it go: whoever binds it first has it.
    pub(super) fn let_go(&mut self) {
        self.held = None;
    }
}

/// Whether a log says that a port was taken.
pub(super) fn says_taken(log: &str) -> bool {
    let log = log.to_lowercase();
    TAKEN.iter().any(|words| log.contains(words))
}

/// The process that listens on this port in place of the service whose process group this is: none of the group, and
/// older than its leader. `None` where there is no such process, or the system does not tell.
pub(super) fn stranger(port: u16, group: u32) -> Option<String> {
    let sockets = listening(port);
    let own = Facts::of(group)?;
    let holders: Vec<(u32, Facts)> = processes()
        .filter(|pid| holds(*pid, &sockets))
        .filter_map(|pid| Facts::of(pid).map(|facts| (pid, facts)))
        .collect();
    if holders.iter().any(|(_, facts)| facts.group == group) {
        return None;
    }
    let (pid, facts) = holders.into_iter().find(|(_, facts)| facts.started < own.started)?;
    Some(format!("process {pid} ({})", facts.name))
}

/// What the system tells of a process.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    name: String,
    group: u32,
    /// Clock ticks since the system's start.
    started: u64,
}

impl Facts {
    fn of(pid: u32) -> Option<Self> {
        Facts::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// `PID (NAME) STATE PARENT GROUP …`; the name may have anything in it, also brackets.
    fn parse(stat: &str) -> Option<Self> {
        let (_, rest) = stat.split_once('(')?;
        let (name, rest) = rest.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Facts {
            name: name.to_owned(),
            group: fields.get(2)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

/// Sockets that listen on a port, by their numbers.
fn listening(port: u16) -> BTreeSet<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    tables.iter().flat_map(|table| sockets(table, port)).collect()
}

fn sockets(table: &str, port: u16) -> Vec<String> {
    let end = format!(":{port:04X}");
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let there = fields.get(1)?.ends_with(&end) && *fields.get(3)? == LISTENS;
        there.then_some(())?;
        fields.get(9).map(|inode| format!("socket:[{inode}]"))
    };
    table.lines().filter_map(socket).collect()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Whether a process holds one of these sockets. Another user's cannot be looked into.
fn holds(pid: u32, sockets: &BTreeSet<String>) -> bool {
    let folder = format!("/proc/{pid}/fd");
    let entries = std::fs::read_dir(Path::new(&folder)).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .any(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_reserved_port_is_given_to_nobody_else_but_can_be_listened_on() {
        let reserved: Vec<Reservation> = (0..200).map(|_| Reservation::new().unwrap()).collect();
        let ports: BTreeSet<u16> = reserved.iter().map(Reservation::port).collect();
        assert_eq!(ports.len(), reserved.len(), "two have the same port");
        // The standard library sets SO_REUSEADDR, as a service does.
        let others: Vec<TcpListener> = (0..200).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        assert!(others.iter().all(|other| !ports.contains(&other.local_addr().unwrap().port())));
        TcpListener::bind(("127.0.0.1", reserved[0].port())).unwrap();
        TcpListener::bind(("0.0.0.0", reserved[1].port())).unwrap();
    }

    #[tokio::test]
    async fn a_port_that_was_tried_is_not_tried_again() {
        let mut drawn: Vec<u16> = (0..99).map(|_| Reservation::new().unwrap().port()).collect();
        drawn.sort_unstable();
        let tried: Vec<u16> = (1..=drawn[49]).collect();
        for _ in 0..50 {
            assert!(Reservation::other_than(&tried).unwrap().port() > drawn[49]);
        }
    }

    #[tokio::test]
    async fn a_port_that_was_let_go_can_be_bound_by_anyone() {
        let mut reserved = Reservation::new().unwrap();
        let plain = TcpSocket::new_v4().unwrap();
        plain.set_reuseaddr(false).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, reserved.port()));
        assert!(plain.bind(address).is_err(), "it is held");
        reserved.let_go();
        plain.bind(address).unwrap();
    }

    #[test]
    fn what_the_system_tells_is_read() {
        let stat = "12 (a (b) c) S 1 34 34 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987 0 0";
        let facts = Facts { name: "a (b) c".to_owned(), group: 34, started: 987 };
        assert_eq!(Facts::parse(stat), Some(facts));
        assert_eq!(Facts::parse("12 (short) S 1"), None);
        let table = "sl local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 5151 1 0\n\
            1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000 0 0 5252 1 0\n";
        assert_eq!(sockets(table, 8080), ["socket:[5151]"]);
    }

    #[tokio::test]
    async fn a_listener_of_the_own_group_is_no_stranger() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = Facts::of(std::process::id()).unwrap();
        assert_eq!(stranger(port, own.group), None);
    }

    #[test]
    fn logs_say_that_a_port_is_taken_in_many_words() {
        for log in [
            "Error: listen EADDRINUSE: address already in use :::3000",
            "OSError: [Errno 98] Address already in use",
            "Address already in use (os error 98)",
            "Web server failed to start. Port 8080 was already in use.",
        ] {
            assert!(says_taken(log), "{log}");
        }
        assert!(!says_taken("cannot reach the database"));
    }
}
