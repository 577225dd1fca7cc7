//! Faults of the service that the harness started.

use std::ops::Range;

use super::inject::{Failure, Hold, Struck};
use crate::scenario::{FaultSpec, FaultTarget};
use crate::target::Service;

/// Kills an instance, or all of them, and starts them again where they were.
pub(super) async fn kill(service: &Service, spec: &FaultSpec, draw: u64, hold: Hold<'_>) -> Result<Struck, Failure> {
    let (positions, met) = meant(service, spec, draw);
    if positions.len() == service.instances() {
        service.kill().await?;
        hold.wait().await;
        service.start_again().await?;
    } else {
        service.kill_one(positions.start).await?;
        hold.wait().await;
        service.start_one_again(positions.start).await?;
    }
    Ok(Struck { met, ..Struck::default() })
}

/// The instances that are meant, and what they are called.
pub(super) fn meant(service: &Service, spec: &FaultSpec, draw: u64) -> (Range<usize>, String) {
    match service.instances() {
        1 => (0..1, "the service".to_owned()),
        all if spec.target == Some(FaultTarget::All) => (0..all, format!("all {all} instances")),
        all => {
            let position = usize::try_from(draw).unwrap_or(usize::MAX).checked_rem(all).unwrap_or_default();
            (position..position + 1, format!("instance {} of {all}", position + 1))
        }
    }
}
