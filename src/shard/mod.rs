//! One run from several processes: which of them this one is, and what is known of its clock.

mod clock;
mod identity;
mod record;

pub use clock::{Clock, DRIFT_PPM, Difference, Mark};
pub use identity::{NotAShard, Shard};
pub use record::{ShardRecord, ShardState};
