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
/// State of one that is connected.
const ESTABLISHED: &str = "01";

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

    /// The port of a service that is started again. Nobody holds it.
    pub(super) fn of_before(port: u16) -> Self {
        Reservation { port, held: None }
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

/// Where the processes of a group, and what they started, listen: as base URLs, the preferred port first.
pub(super) fn listeners(group: u32, preferred: u16) -> Vec<String> {
    let own = family(group);
    let mut found: Vec<(bool, u16, String)> = Vec::new();
    for line in tables().iter().flat_map(|table| table.lines()) {
        let Some(entry) = Entry::parse(line).filter(|entry| entry.state == LISTENS) else { continue };
        let socket = BTreeSet::from([entry.socket]);
        if let Some(host) = entry.host.filter(|_| own.iter().any(|pid| holds(*pid, &socket))) {
            found.push((entry.port != preferred, entry.port, format!("http://{host}:{}", entry.port)));
        }
    }
    found.sort();
    found.dedup();
    found.into_iter().map(|(.., url)| url).collect()
}

/// Whether a process of a group, or what it started, is connected to a port of this machine; `None` where the system does
/// not tell.
pub(super) fn connects(group: u32, port: u16) -> Option<bool> {
    let tables = tables();
    let entries = tables.iter().flat_map(|table| table.lines()).filter_map(Entry::parse);
    let to_port = entries.filter(|entry| entry.remote == port && entry.state == ESTABLISHED);
    let sockets: BTreeSet<String> = to_port.map(|entry| entry.socket).collect();
    (!tables[0].is_empty()).then(|| family(group).iter().any(|pid| holds(*pid, &sockets)))
}

/// The processes of a group, and those that they started, in whatever group.
fn family(group: u32) -> BTreeSet<u32> {
    let all: Vec<(u32, Facts)> = processes().filter_map(|pid| Some((pid, Facts::of(pid)?))).collect();
    let mut family: BTreeSet<u32> = BTreeSet::from([group]);
    loop {
        let before = family.len();
        let joins = |facts: &Facts| facts.group == group || family.contains(&facts.parent);
        let more: Vec<u32> = all.iter().filter(|(_, facts)| joins(facts)).map(|(pid, _)| *pid).collect();
        family.extend(more);
        if family.len() == before {
            return family;
        }
    }
}

/// The tables of the system's sockets.
fn tables() -> [String; 2] {
    ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default())
}

/// A line of such a table.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// How this machine reaches it; none where it cannot by loopback.
    host: Option<&'static str>,
    port: u16,
    /// The port at the other end.
    remote: u16,
    state: String,
    socket: String,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        let host = match address {
            "00000000" | "0100007F" | "00000000000000000000000000000000" => Some("127.0.0.1"),
            "0000000000000000FFFF00000100007F" => Some("127.0.0.1"),
            "00000000000000000000000001000000" => Some("[::1]"),
            _ => None,
        };
        let port_of = |text: &str| u16::from_str_radix(text, 16).ok();
        let (port, remote) = (port_of(port)?, port_of(fields.get(2)?.rsplit_once(':')?.1)?);
        Some(Entry {
            host,
            port,
            remote,
            state: (*fields.get(3)?).to_owned(),
            socket: format!("socket:[{}]", fields.get(9)?),
        })
    }
}

/// What the system tells of a process.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    name: String,
    parent: u32,
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
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

/// Sockets that listen on a port, by their numbers.
fn listening(port: u16) -> BTreeSet<String> {
    tables().iter().flat_map(|table| sockets(table, port)).collect()
}

fn sockets(table: &str, port: u16) -> Vec<String> {
    let entries = table.lines().filter_map(Entry::parse);
    entries.filter(|entry| entry.port == port && entry.state == LISTENS).map(|entry| entry.socket).collect()
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
        let facts = Facts { name: "a (b) c".to_owned(), parent: 1, group: 34, started: 987 };
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

    #[tokio::test]
    async fn a_listener_and_a_connection_of_ones_own_are_found() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let found = listeners(std::process::id(), port(&listener));
        assert_eq!(found[0], format!("http://[::1]:{}", port(&listener)));
        assert!(found.contains(&format!("http://127.0.0.1:{}", port(&other))), "{found:?}");
        assert_eq!(connects(std::process::id(), port(&other)), Some(false));
        let _connection = std::net::TcpStream::connect(("127.0.0.1", port(&other))).unwrap();
        assert_eq!(connects(std::process::id(), port(&other)), Some(true));
        assert!(listeners(u32::MAX, 1).is_empty());
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
