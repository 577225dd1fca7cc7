//! One run from several processes, its shards: which of them this one is, how they meet, and what is known of its clock.
//!
//! There is no daemon and no protocol between them: they write on a [`Board`], a MongoDB or a folder that all of them reach.

mod board;
mod clock;
mod environment;
mod folder;
mod identity;
mod lobby;
mod meeting;
mod mongo;
mod parted;
mod pulse;
mod record;

pub use board::Board;
pub use clock::Clock;
#[cfg(test)]
pub use clock::Mark;
pub use environment::{shard_of_environment, variables};
pub use folder::Folder;
pub use identity::{NotAShard, Shard};
pub use lobby::Terms;
pub use meeting::{Leaving, Meeting};
pub use mongo::Mongo;
pub use parted::{MeetError, Parted};
pub use record::{ShardRecord, ShardState};
