//! The end of a client: [`close`].

use std::time::Duration;

use mongodb::Client;

/// How long a client may take to end.
const WITHIN: Duration = Duration::from_secs(2);

/// Ends the connections of a client. The driver waits for its own monitors without a limit, and now and then one of them does not hear of
/// the end while the server streams to it: then whatever is left goes with the process.
pub(crate) async fn close(client: Client) {
    tokio::time::timeout(WITHIN, async { client.shutdown().immediate(true).await }).await.ok();
}
