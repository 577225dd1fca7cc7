//! The proxy: listens in front of each server, forwards bytes, and in hold mode parks what users' documents are read and
//! written with.
//!
//! It knows nothing of requests or schedules; it reports events and opens gates. A connection that cannot be understood is
//! closed with a reason, the proxy goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::connection;
use super::gate::Event;
use super::hub::{Hub, MAX_CONNECTIONS, Route};

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No port could be had.
    #[error("cannot listen at {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
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
    /// The listeners, as clients know them.
    hosts: Vec<String>,
    tasks: TaskTracker,
}

impl Proxy {
    /// Listens on a loopback port for each server, given as `host:port`.
    pub async fn start(servers: &[String]) -> Result<Self, ProxyError> {
        Self::start_at(servers, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "127.0.0.1").await
    }

    /// Listens at this address of the machine, which clients know by this host. A port that is given is that of the first
    /// server.
    pub async fn start_at(servers: &[String], at: SocketAddr, host: &str) -> Result<Self, ProxyError> {
        if servers.is_empty() {
            return Err(ProxyError::NoServer);
        }
        let mut bound = Vec::new();
        for (number, server) in servers.iter().enumerate() {
            let at = SocketAddr::new(at.ip(), if number == 0 { at.port() } else { 0 });
            let listener = TcpListener::bind(at).await.map_err(|error| ProxyError::Listen(at, error))?;
            let address = listener.local_addr().map_err(|error| ProxyError::Listen(at, error))?;
            bound.push((listener, address, server.to_ascii_lowercase()));
        }
        let known = |address: &SocketAddr| format!("{host}:{}", address.port());
        let addresses = bound.iter().map(|(_, address, server)| (server.clone(), known(address))).collect();
        let hosts = bound.iter().map(|(_, address, _)| known(address)).collect();
        let listeners = bound.iter().map(|(_, address, _)| *address).collect();
        let hub = Arc::new(Hub::new(addresses));
        let tasks = TaskTracker::new();
        for (listener, _, server) in bound {
            tasks.spawn(accept(listener, server, Arc::clone(&hub), tasks.clone()));
        }
        Ok(Proxy { hub, listeners, hosts, tasks })
    }

    /// Addresses of the listeners, in the order of the servers.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// The servers that it stands in front of, as `host:port`.
    pub fn servers(&self) -> Vec<String> {
        self.hub.addresses.keys().cloned().collect()
    }

    /// Whether anybody has connected so far.
    pub fn was_used(&self) -> bool {
        self.hub.accepted.load(Ordering::Relaxed) > 0
    }

    /// The connection string with the proxy in the place of the servers.
    pub fn uri(&self, original: &str) -> Result<String, ProxyError> {
        let rest = can_stand_before(original)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let user = authority.rfind('@').map_or("", |at| &authority[..=at]);
        Ok(format!("mongodb://{user}{}{path}", self.hosts.join(",")))
    }

    /// Parks commands from now on, and tells of them through the receiver.
    pub fn hold(&self) -> (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.hub.state().events = Some(sender.clone());
        (sender, receiver)
    }

    /// Lets everything pass from now on.
    pub fn pass(&self) {
        let mut state = self.hub.state();
        (state.events, state.withheld) = (None, None);
    }

    /// Lets commands of this shape pass also in hold mode: the service's own background work.
    pub fn let_pass(&self, shape: String) {
        self.hub.state().background.insert(shape);
    }

    /// Lets everything pass, and listens, but for the service's own background work, which waits until what is returned is dropped.
    pub(super) fn withhold(&self) -> mpsc::UnboundedReceiver<Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.hub.state();
        (state.events, state.withheld, state.overheard) = (None, Some(sender), Some(BTreeMap::new()));
        receiver
    }

    /// Lets everything pass from now on, and listens.
    pub(super) fn overhear(&self) {
        let mut state = self.hub.state();
        (state.events, state.overheard) = (None, Some(BTreeMap::new()));
    }

    /// What has passed since then: its shape, and its name and namespace. Nobody listens any more.
    pub(super) fn overheard(&self) -> BTreeMap<String, String> {
        self.hub.state().overheard.take().unwrap_or_default()
    }

    /// Parks also what asks which collections and indexes there are.
    pub fn park_catalogue(&self) {
        self.hub.state().parks_catalogue = true;
    }

    /// Whether a write came for whose answer nobody waits.
    pub fn has_unheard(&self) -> bool {
        self.hub.unheard.any()
    }

    /// Waits until such writes have been carried out.
    pub async fn unheard_end(&self) {
        self.hub.unheard.end().await;
    }

    /// Whether somebody asked which collections and indexes there are while commands were parked, and that passed.
    pub fn lets_catalogue_be_asked(&self) -> bool {
        let state = self.hub.state();
        state.catalogue_asked && !state.parks_catalogue
    }

    /// Commands on these namespaces may concern other places or values than they name.
    pub fn widen(&self, namespaces: BTreeSet<String>) {
        self.hub.state().broad = namespaces;
    }

    /// The namespaces that were widened.
    pub fn widened(&self) -> BTreeSet<String> {
        self.hub.state().broad.clone()
    }

    /// Connections that were closed because they could not be understood, and how often each reason.
    pub fn complaints(&self) -> BTreeMap<String, u64> {
        self.hub.state().complaints.clone()
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        // Each listener has the place of the next one that it accepts.
        (MAX_CONNECTIONS - self.hub.permits.available_permits()).saturating_sub(self.listeners.len())
    }

    /// Connections so far over which a command was parked.
    pub fn used_connections(&self) -> u64 {
        self.hub.used.load(Ordering::Relaxed)
    }

    /// From now on reads that a secondary may answer go to this member, the primary, unless they are to be answered by that one,
    /// which lags; both as `host:port`.
    pub fn route(&self, primary: String, lagging: String) {
        self.hub.state().route = Some(Route { primary, lagging });
    }

    /// Draws whom a disturbance meets from this seed.
    pub fn seed(&self, seed: u64) {
        self.hub.disturbance.seed(seed);
    }

    /// Has a share of the commands on data come to the server late from now on, or none: how many did until now.
    pub fn delays(&self, delay: Option<(Duration, f64)>) -> u64 {
        self.hub.disturbance.delays(delay)
    }

    /// Has a share of the commands on data lose their answers, and their connections with them, from now on, or none: how many
    /// did until now.
    pub fn loses_answers(&self, share: Option<f64>) -> u64 {
        self.hub.disturbance.loses_answers(share)
    }

    /// Closes a share of the connections, whatever is under way on them: how many.
    pub fn resets(&self, share: f64) -> u64 {
        self.hub.disturbance.resets(share)
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
                hub.accepted.fetch_add(1, Ordering::Relaxed);
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
