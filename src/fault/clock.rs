//! The clock of the service that the harness started is moved.

use super::inject::{Failure, Hold, Struck};
use super::service::meant;
use crate::scenario::FaultSpec;
use crate::target::Service;

/// Moves the clock of an instance, or of all of them, and sets it right again.
pub(super) async fn shift(service: &Service, spec: &FaultSpec, draw: u64, hold: Hold<'_>) -> Result<Struck, Failure> {
    let by = spec.by.unwrap_or_default();
    let (positions, met) = meant(service, spec, draw);
    // Each of them, whatever comes of the others: none is left with a wrong clock.
    let all = |by| positions.clone().map(|position| service.move_clock(position, by)).fold(Ok(()), Result::and);
    let moved = all(by);
    if moved.is_ok() {
        hold.wait().await;
    }
    all(jiff::SignedDuration::ZERO)?;
    moved?;
    Ok(Struck { met: format!("{met}, by {}", spec.shift().unwrap_or_default()), ..Struck::default() })
}
