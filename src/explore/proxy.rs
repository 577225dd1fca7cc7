//! The proxy: listens in front of each server, forwards bytes, and in hold mode parks what users' documents are read and
//! written with.
//!
//! It knows nothing of requests or schedules; it reports events and opens gates. A connection that cannot be understood is
//! closed with a reason, the proxy goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection;
use super::gate::{Event, StepId};
use super::wire::hello::Addresses;
use super::wire::{Command, Kind};

/// Connections at a time; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// Reasons of closed connections that are kept.
const MAX_COMPLAINTS: usize = 32;

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No loopback port could be had.
    #[error("cannot listen on a loopback port")]
    Listen(#[source] std::io::Error),
    /// There is nothing to stand in front of.
    #[error("a proxy needs a server to stand in front of")]
    NoServer,
    /// The connection string names servers in a way that the proxy cannot take their place.
    #[error("cannot explore through this connection string: {0}")]
    Uri(&'static str),
}

/// Whether a proxy can take the place of the servers of a connection string; what comes after its scheme.
pub fn can_stand_before(uri: &str) -> Result<&str, ProxyError> {
    let Some(rest) = uri.strip_prefix("mongodb://") else {
        return Err(ProxyError::Uri(if uri.starts_with("mongodb+srv://") {
            "mongodb+srv:// leaves it to the name service which servers there are, and uses TLS"
        } else {
            "it does not begin with mongodb://"
        }));
    };
    let options = rest.split_once('?').map_or("", |(_, options)| options).to_ascii_lowercase();
    if options.split('&').any(|option| matches!(option, "tls=true" | "ssl=true")) {
        return Err(ProxyError::Uri("it uses TLS, and the proxy has to read what passes"));
    }
    Ok(rest)
}

/// A running proxy. Dropping it closes its connections.
#[derive(Debug)]
pub struct Proxy {
    hub: Arc<Hub>,
    listeners: Vec<SocketAddr>,
    tasks: TaskTracker,
}

impl Proxy {
    /// Listens on a loopback port for each server, given as `host:port`.
    pub async fn start(servers: &[String]) -> Result<Self, ProxyError> {
        if servers.is_empty() {
            return Err(ProxyError::NoServer);
        }
        let mut bound = Vec::new();
        for server in servers {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(ProxyError::Listen)?;
            let address = listener.local_addr().map_err(ProxyError::Listen)?;
            bound.push((listener, address, server.to_ascii_lowercase()));
        }
        let addresses = bound.iter().map(|(_, address, server)| (server.clone(), address.to_string())).collect();
        let listeners = bound.iter().map(|(_, address, _)| *address).collect();
        let hub = Arc::new(Hub::new(addresses));
        let tasks = TaskTracker::new();
        for (listener, _, server) in bound {
            tasks.spawn(accept(listener, server, Arc::clone(&hub), tasks.clone()));
        }
        Ok(Proxy { hub, listeners, tasks })
    }

    /// Addresses of the listeners, in the order of the servers.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// The connection string with the proxy in the place of the servers.
    pub fn uri(&self, original: &str) -> Result<String, ProxyError> {
        let rest = can_stand_before(original)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let user = authority.rfind('@').map_or("", |at| &authority[..=at]);
        let hosts = self.listeners.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",");
        Ok(format!("mongodb://{user}{hosts}{path}"))
    }

    /// Parks commands from now on, and tells of them through the receiver.
    pub fn hold(&self) -> (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.hub.state().events = Some(sender.clone());
        (sender, receiver)
    }

    /// Lets everything pass from now on.
    pub fn pass(&self) {
        self.hub.state().events = None;
    }

    /// Lets commands of this name and namespace pass also in hold mode: the service's own background work.
    pub fn let_pass(&self, signature: String) {
        self.hub.state().background.insert(signature);
    }

    /// Connections that were closed because they could not be understood, and how often each reason.
    pub fn complaints(&self) -> BTreeMap<String, u64> {
        self.hub.state().complaints.clone()
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        MAX_CONNECTIONS - self.hub.permits.available_permits()
    }

    /// Connections so far over which a command was parked.
    pub fn used_connections(&self) -> u64 {
        self.hub.used.load(Ordering::Relaxed)
    }

    /// Closes all connections and waits until they are gone.
    pub async fn stop(self) {
        self.hub.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.hub.cancel.cancel();
    }
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) addresses: Addresses,
    pub(super) cancel: CancellationToken,
    permits: Arc<Semaphore>,
    next: AtomicU64,
    /// Connections over which a command was parked.
    used: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: Option<mpsc::UnboundedSender<Event>>,
    background: BTreeSet<String>,
    /// Cursors that parked commands opened. Others belong to work that passes.
    cursors: BTreeSet<i64>,
    complaints: BTreeMap<String, u64>,
}

impl Hub {
    fn new(addresses: Addresses) -> Self {
        Hub {
            addresses,
            cancel: CancellationToken::new(),
            permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            next: AtomicU64::new(0),
            used: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement, so that a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to tell of a command, if it is to be parked.
    pub(super) fn parks(&self, command: &Command) -> Option<(StepId, mpsc::UnboundedSender<Event>)> {
        if command.kind == Kind::Control {
            return None;
        }
        let state = self.state();
        let events = state.events.clone()?;
        let unknown_cursor = command.cursor.is_some_and(|cursor| !state.cursors.contains(&cursor));
        if unknown_cursor || (!state.background.is_empty() && state.background.contains(&signature(command))) {
            return None;
        }
        Some((StepId(self.next.fetch_add(1, Ordering::Relaxed)), events))
    }

    /// Remembers a cursor that a parked command opened.
    pub(super) fn opened(&self, cursor: i64) {
        if cursor != 0 {
            self.state().cursors.insert(cursor);
        }
    }

    /// Counts a connection over which a command is parked for the first time.
    pub(super) fn uses_one_more(&self) {
        self.used.fetch_add(1, Ordering::Relaxed);
    }

    /// Records why a connection was closed.
    pub(super) fn complain(&self, reason: String) {
        let mut state = self.state();
        if state.complaints.len() < MAX_COMPLAINTS || state.complaints.contains_key(&reason) {
            *state.complaints.entry(reason).or_default() += 1;
        }
    }
}

/// Name and namespace of a command: what background work is recognised by.
pub fn signature(command: &Command) -> String {
    format!("{} {}.{}", command.name, command.database, command.collection.as_deref().unwrap_or("$cmd"))
}

async fn accept(listener: TcpListener, server: String, hub: Arc<Hub>, tasks: TaskTracker) {
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&hub.permits).acquire_owned() => permit,
            () = hub.cancel.cancelled() => return,
        };
        let Ok(permit) = permit else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = hub.cancel.cancelled() => return,
        };
        match accepted {
            Ok((client, _)) => {
                let (hub, server, inner) = (Arc::clone(&hub), server.clone(), tasks.clone());
                tasks.spawn(async move {
                    serve(client, &server, hub, inner).await;
                    drop(permit);
                });
            }
            Err(error) => {
                hub.complain(format!("cannot accept a connection: {error}"));
                // Out of file descriptors, most likely: give running connections a chance to end.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(client: TcpStream, server: &str, hub: Arc<Hub>, tasks: TaskTracker) {
    let upstream = match TcpStream::connect(server).await {
        Ok(upstream) => upstream,
        Err(error) => return hub.complain(format!("cannot reach the server: {error}")),
    };
    for socket in [&client, &upstream] {
        if let Err(error) = socket.set_nodelay(true) {
            hub.complain(format!("cannot set up a connection: {error}"));
        }
    }
    connection::run(client, upstream, hub, tasks).await;
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
