//! What is told of a run while it goes on: figures per second, for a page, for a stream of events, and for systems that keep
//! metrics. Main type: [`Feed`].
//!
//! It only adds up what the recorder hands over; it judges nothing, reads no clock, and touches no network: `cli` serves and sends.

mod feed;
mod metrics;
mod page;

pub use feed::{Ended, Feed};
pub use metrics::{Subject, open_metrics, otlp};
pub use page::{POLICY_SCRIPT, page};
