//! The clock of the service that the harness started is moved.

use super::inject::{Failure, Hold, Struck};
use super::service::meant;
use crate::scenario::FaultSpec;
use crate::target::Service;

/// Moves the clock of an instance, or of all of them, and sets it right again.
pub(super) async fn shift(service: &Service, spec: &FaultSpec, draw: u64, hold: Hold<'_>) -> Result<Struck, Failure> {
    let by = spec.by.unwrap_or_default();
    let (positions, met) = meant(service, spec, draw);
    let moved = positions.clone().try_for_each(|position| service.move_clock(position, by));
    if moved.is_ok() {
        hold.wait().await;
    }
    positions.clone().try_for_each(|position| service.move_clock(position, jiff::SignedDuration::ZERO))?;
    moved?;
    Ok(Struck { met: format!("{met}, by {}", spec.shift().unwrap_or_default()), ..Struck::default() })
}
