//! Faults on the way to the server, by the proxy in front of it.

use super::inject::{Hold, Struck};
use crate::explore::proxy::Proxy;
use crate::scenario::FaultSpec;

/// Closes connections, whatever is under way on them.
pub(super) fn reset(proxy: &Proxy, spec: &FaultSpec) -> Struck {
    let open = proxy.connections() as u64;
    let closed = proxy.resets(spec.share());
    Struck { met: format!("{closed} of {} connections", open.max(closed)), count: Some(closed), ..Struck::default() }
}

/// Has commands come late.
pub(super) async fn delay(proxy: &Proxy, spec: &FaultSpec, hold: Hold<'_>) -> Struck {
    let delay = spec.delay.unwrap_or_default();
    proxy.delays(Some((delay, spec.share())));
    hold.wait().await;
    let delayed = proxy.delays(None);
    Struck { met: format!("commands, {delay:?} late"), count: Some(delayed), ..Struck::default() }
}

/// Has answers be lost, with their connections.
pub(super) async fn lose_answers(proxy: &Proxy, spec: &FaultSpec, hold: Hold<'_>) -> Struck {
    proxy.loses_answers(Some(spec.share()));
    hold.wait().await;
    let lost = proxy.loses_answers(None);
    Struck { met: "answers".to_owned(), count: Some(lost), ..Struck::default() }
}
