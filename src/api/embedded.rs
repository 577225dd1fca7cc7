//! [`EmbeddedMongo`]: a MongoDB for a test.

use futures::{FutureExt, TryFutureExt};

use super::Error;
use crate::mongod::{Mongod, Options};
use crate::scenario::MongodSpec;

/// A MongoDB of a test's own, on a free port of this machine, with an empty data directory. It is found on `PATH`, named by
/// `ONLYONE_MONGOD`, or installed once. Dropping it kills it and removes its data; it does not outlive the process.
///
/// A scenario that starts its service itself (`[service]`) needs none: then [`Session`](crate::Session) starts one. It is for
/// services that run inside the test.
#[derive(Debug)]
pub struct EmbeddedMongo {
    mongod: Mongod,
}

impl EmbeddedMongo {
    /// Starts a standalone server and waits until it can be written to.
    ///
    /// # Errors
    /// When no mongod is found and none can be installed, or when it does not start.
    pub fn start() -> impl Future<Output = Result<Self, Error>> + Send {
        Self::start_with(0).boxed()
    }

    /// Starts a replica set of one, which transactions and change streams need.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub fn start_replica_set() -> impl Future<Output = Result<Self, Error>> + Send {
        Self::start_with(1).boxed()
    }

    async fn start_with(replica_set: u8) -> Result<Self, Error> {
        let options = Options::new(MongodSpec { replica_set, test_commands: false });
        let mongod = Mongod::start(&options).await.map_err(Error::of)?;
        Ok(EmbeddedMongo { mongod })
    }

    /// The connection string.
    pub fn uri(&self) -> String {
        self.mongod.uri()
    }

    /// Stops it, and returns when it is gone with its data.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(self) -> impl Future<Output = Result<(), Error>> + Send {
        self.mongod.stop().map_err(Error::of).boxed()
    }
}
