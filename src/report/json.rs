//! `report.json` as bytes, and back.

use super::{FORMAT_VERSION, Report};

/// Why a `report.json` cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It cannot be written or is not valid.
    #[error("report.json is not valid")]
    Invalid(#[from] serde_json::Error),
    /// It comes from a newer version of this tool.
    #[error("report.json has format version {found}; this version reads up to {FORMAT_VERSION}")]
    Version {
        /// The version found.
        found: u64,
    },
}

/// Writes a report, indented, with a final newline.
pub fn to_json(report: &Report) -> Result<Vec<u8>, JsonError> {
    let mut bytes = serde_json::to_vec_pretty(report)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a report; refuses one of a newer format.
pub fn from_json(bytes: &[u8]) -> Result<Report, JsonError> {
    let value: serde_json::Value = serde_json::from_slice(bytes)?;
    match value.get("format_version").and_then(serde_json::Value::as_u64) {
        Some(found) if found > u64::from(FORMAT_VERSION) => Err(JsonError::Version { found }),
        _ => Ok(serde_json::from_value(value)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_report_reads_back_as_it_was_written() {
        for (name, report) in sample::all() {
            assert_eq!(from_json(&to_json(&report).unwrap()).unwrap(), report, "{name}");
        }
    }

    #[test]
    fn a_newer_format_is_refused() {
        let mut report = sample::passing();
        report.format_version = FORMAT_VERSION + 1;
        let error = from_json(&to_json(&report).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "report.json has format version 2; this version reads up to 1");
    }
}
