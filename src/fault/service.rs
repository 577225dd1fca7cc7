//! Faults of the service that the harness started.

use super::inject::{Failure, Hold, Struck};
use crate::scenario::{FaultSpec, FaultTarget};
use crate::target::Service;

/// Kills an instance, or all of them, and starts them again where they were.
pub(super) async fn kill(service: &Service, spec: &FaultSpec, draw: u64, hold: Hold<'_>) -> Result<Struck, Failure> {
    let instances = service.instances();
    if spec.target == Some(FaultTarget::All) || instances == 1 {
        service.kill().await?;
        hold.wait().await;
        service.start_again().await?;
        let met = if instances == 1 { "the service".to_owned() } else { format!("all {instances} instances") };
        return Ok(Struck { met, ..Struck::default() });
    }
    let position = usize::try_from(draw).unwrap_or(usize::MAX).checked_rem(instances).unwrap_or_default();
    service.kill_one(position).await?;
    hold.wait().await;
    service.start_one_again(position).await?;
    Ok(Struck { met: format!("instance {} of {instances}", position + 1), ..Struck::default() })
}
