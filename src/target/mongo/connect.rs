//! A client whose pool is what the run needs, proven by counting connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::event::EventHandler;
use mongodb::event::cmap::CmapEvent;
use mongodb::options::ClientOptions;

use super::truth;
use crate::scenario::WriteConcern;
use crate::target::{Guard, MongoUri, TargetError};

tokio::task_local! {
    /// When the operation that runs in this task first held a connection. The driver calls its event handler in the
    /// task that asked for the connection, which is what joins the two.
    static CONNECTED: std::cell::Cell<Option<Instant>>;
}

/// How the driver is set up. It goes into the report: a retry that the driver does on its own is part of the result.
#[derive(Debug, Clone, Copy)]
pub struct PoolOptions {
    /// Connections, made before the first operation and kept.
    pub connections: u32,
    /// Whether the driver sends a write again on its own.
    pub retry_writes: bool,
    /// Whether the driver sends a read again on its own.
    pub retry_reads: bool,
}

/// A client and the count of its connections.
#[derive(Debug, Clone)]
pub struct Connected {
    /// The client.
    pub client: Client,
    ready: Arc<AtomicU32>,
}

/// How long a server is looked for.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the pool may take to fill.
pub(super) const WARM_UP_TIMEOUT: Duration = Duration::from_secs(10);

impl Connected {
    /// Makes a client that reads the truth, whatever the connection string prefers: the primary, and what a majority has.
    pub async fn open_reading(uri: &MongoUri, guard: &Guard) -> Result<Self, TargetError> {
        let pool = PoolOptions { connections: 1, retry_writes: false, retry_reads: true };
        Self::open_with(uri, guard, pool, |options| {
            options.selection_criteria = Some(truth::primary());
            options.read_concern = Some(truth::majority());
            // After a failover there is no primary for a while.
            options.server_selection_timeout = Some(truth::PRIMARY_WITHIN);
        })
        .await
    }

    /// Makes a client and sees that the server answers, after the guard has seen every host involved.
    pub async fn open(uri: &MongoUri, guard: &Guard, pool: PoolOptions) -> Result<Self, TargetError> {
        Self::open_with(uri, guard, pool, |_| {}).await
    }

    /// As [`Connected::open`], with writes that are acknowledged by this concern; `None` leaves it to the connection string.
    pub async fn open_writing(
        uri: &MongoUri,
        guard: &Guard,
        pool: PoolOptions,
        concern: Option<WriteConcern>,
    ) -> Result<Self, TargetError> {
        use mongodb::options::{Acknowledgment, WriteConcern as Concern};
        let concern = concern.map(|concern| match concern {
            WriteConcern::Memory => Concern::builder().w(Acknowledgment::Nodes(1)).journal(false).build(),
            WriteConcern::Journal => Concern::builder().w(Acknowledgment::Nodes(1)).journal(true).build(),
            WriteConcern::Majority => Concern::builder().w(Acknowledgment::Majority).build(),
        });
        Self::open_with(uri, guard, pool, |options| {
            options.write_concern = concern.or_else(|| options.write_concern.take());
        })
        .await
    }

    async fn open_with(
        uri: &MongoUri,
        guard: &Guard,
        pool: PoolOptions,
        adjust: impl FnOnce(&mut ClientOptions),
    ) -> Result<Self, TargetError> {
        uri.hosts().iter().try_for_each(|host| guard.check_host(host))?;
        let unreachable = |error: mongodb::error::Error| TargetError::Unreachable {
            target: uri.to_string(),
            source: uri.redact(error),
        };
        let mut options = ClientOptions::parse(uri.expose()).await.map_err(unreachable)?;
        // An SRV record names other hosts than the string does.
        options.hosts.iter().try_for_each(|host| guard.check_host(&host.to_string()))?;
        let ready = Arc::new(AtomicU32::new(0));
        options.app_name.get_or_insert_with(|| "onlyone".to_owned());
        options.min_pool_size = Some(pool.connections);
        options.max_pool_size = Some(pool.connections);
        // The default of two at a time would make the first rounds of a burst two wide.
        options.max_connecting = Some(pool.connections.clamp(2, 64));
        options.retry_writes = Some(pool.retry_writes);
        options.retry_reads = Some(pool.retry_reads);
        options.max_adaptive_retries = Some(0);
        options.server_selection_timeout = Some(SELECTION_TIMEOUT);
        options.connect_timeout = Some(SELECTION_TIMEOUT);
        options.cmap_event_handler = Some(count_connections(Arc::clone(&ready)));
        adjust(&mut options);
        let client = Client::with_options(options).map_err(unreachable)?;
        let hello = client.database("admin").run_command(doc! { "hello": 1 }).await.map_err(unreachable)?;
        // And a replica set names the members that the driver goes on to.
        let members = hello.get_array("hosts").map(Vec::as_slice).unwrap_or_default();
        members.iter().filter_map(|member| member.as_str()).try_for_each(|member| guard.check_host(member))?;
        Ok(Connected { client, ready })
    }

    /// Fills the pool and waits until as many connections are ready; the number that is.
    pub async fn warm_up(&self, connections: u32) -> u32 {
        let deadline = Instant::now() + WARM_UP_TIMEOUT;
        // It waits for as long as it takes, also for connections that can never be made; what counts is counted below.
        tokio::time::timeout(WARM_UP_TIMEOUT, self.client.warm_connection_pool()).await.ok();
        while self.ready() < connections && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.ready()
    }

    /// Connections that are ready or in use.
    pub fn ready(&self) -> u32 {
        self.ready.load(Ordering::Relaxed)
    }

    /// The server's answer to a command on `admin`, or why there is none.
    pub async fn admin(&self, command: Document) -> Result<Document, mongodb::error::Error> {
        self.client.database("admin").run_command(command).await
    }
}

fn count_connections(ready: Arc<AtomicU32>) -> EventHandler<CmapEvent> {
    EventHandler::callback(move |event: CmapEvent| match event {
        CmapEvent::ConnectionCheckedOut(_) => {
            // Outside an operation, in the preflight, there is nothing to note.
            if let Err(_not_an_operation) = CONNECTED.try_with(|connected| {
                if connected.get().is_none() {
                    connected.set(Some(Instant::now()));
                }
            }) {}
        }
        CmapEvent::ConnectionReady(_) => {
            ready.fetch_add(1, Ordering::Relaxed);
        }
        CmapEvent::ConnectionClosed(_) => {
            // A connection may close before it was ever ready.
            let lowered = |count: u32| Some(count.saturating_sub(1));
            ready.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lowered).ok();
        }
        _ => {}
    })
}

/// Runs an operation and tells when it first held a connection.
pub async fn noting_connection<T>(operation: impl Future<Output = T>) -> (T, Option<Instant>) {
    CONNECTED
        .scope(std::cell::Cell::new(None), async {
            let value = operation.await;
            (value, CONNECTED.with(std::cell::Cell::get))
        })
        .await
}
