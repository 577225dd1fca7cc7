//! The shards of a run, on the page.

use minijinja::context;

use crate::report::Report;
use crate::report::format::{count, visible};
use crate::report::shards::sentence;
use crate::shard::ShardState;

/// What the template shows; nothing for a run of one process.
pub(super) fn context(report: &Report) -> Option<minijinja::Value> {
    if report.shards.len() < 2 {
        return None;
    }
    let row = |shard: &crate::report::ShardReport| {
        context! {
            shard => visible(&shard.shard),
            state => shard.state.as_str(),
            whole => shard.state == ShardState::Whole,
            clients => count(shard.clients.into()),
            operations => count(shard.operations),
            uncertainty => shard.uncertainty(),
            also => shard.also(),
        }
    };
    let clock = report.shards.iter().map(|shard| &shard.clock).find(|clock| !clock.is_empty());
    Some(context! {
        sentence => sentence(&report.shards),
        clock => clock.map(|clock| visible(clock).into_owned()),
        rows => report.shards.iter().map(row).collect::<Vec<_>>(),
    })
}
