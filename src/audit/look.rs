//! The audit: what the collection shows, and what a repair that was cut short still holds in its backup.

use mongodb::Database;

use super::error::AuditError;
use super::inspect::{AuditOptions, Audited, look};
use super::profile::Profile;
use super::repair::unfinished;

/// Looks for violations in a database, without writing to it.
pub async fn audit(database: &Database, profile: &Profile, options: &AuditOptions) -> Result<Audited, AuditError> {
    let mut audited = look(database, profile, options).await?;
    // Nothing in the collection shows that something is missing from it.
    match unfinished(database, &profile.collection).await {
        Ok(sentences) => audited.reasons.extend(sentences),
        Err(error) => {
            let why = anyhow::Error::new(error);
            audited.reasons.push(format!("whether a repair was cut short cannot be told: {why:#}"));
        }
    }
    Ok(audited)
}
