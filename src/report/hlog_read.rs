//! Reads `latency.hlog` back: the one file of a run from which its latency can be had without reading the history again.
//!
//! [`read_hlog`] takes what [`hlog`](super::hlog()) writes. It is no reader of any histogram log: tags are ours.

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine};
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogHistogram, IntervalLogIterator, LogEntry};

use crate::stats::LoggedInterval;

/// Why a histogram log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HlogReadError {
    /// It is not in the format.
    #[error("it is no histogram log from byte {offset} on")]
    Format {
        /// Where it ceases to be one.
        offset: usize,
    },
    /// A line has no tag of ours.
    #[error("a line has the tag `{0}` instead of operation, outcome and clock")]
    Tag(String),
    /// A histogram is damaged.
    #[error("a histogram is damaged: {0}")]
    Payload(String),
}

/// Reads every line.
pub fn read_hlog(bytes: &[u8]) -> Result<Vec<LoggedInterval>, HlogReadError> {
    let mut deserializer = Deserializer::new();
    let mut intervals = Vec::new();
    for entry in IntervalLogIterator::new(bytes) {
        let entry = entry.map_err(|error| {
            let hdrhistogram::serialization::interval_log::LogIteratorError::ParseError { offset } = error;
            HlogReadError::Format { offset }
        })?;
        if let LogEntry::Interval(line) = entry {
            intervals.push(interval(&line, &mut deserializer)?);
        }
    }
    Ok(intervals)
}

fn interval(line: &IntervalLogHistogram<'_>, deserializer: &mut Deserializer) -> Result<LoggedInterval, HlogReadError> {
    let tag = line.tag().map(|tag| tag.as_str().to_owned()).unwrap_or_default();
    // From the right: operation.outcome.clock.
    let mut parts = tag.rsplitn(3, '.').skip(1);
    let (Some(outcome), Some(operation)) = (parts.next(), parts.next()) else {
        return Err(HlogReadError::Tag(tag));
    };
    let payload = ANY_END
        .decode(line.encoded_histogram())
        .map_err(|_| HlogReadError::Payload("it is not written in base64".to_owned()))?;
    let histogram =
        deserializer.deserialize(&mut payload.as_slice()).map_err(|error| HlogReadError::Payload(error.to_string()))?;
    Ok(LoggedInterval {
        start_s: line.start_timestamp().as_secs_f64(),
        length_s: line.duration().as_secs_f64(),
        operation: operation.to_owned(),
        outcome: outcome.to_owned(),
        histogram,
    })
}

/// Whether it ends with padding or not.
const ANY_END: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::report::{hlog, sample};
    use crate::stats::{Clock, LatencyStats};

    #[test]
    fn what_was_written_is_read_back() {
        let operations: Vec<_> = (0..3_000_u64)
            .map(|i| sample::operation(i, [i * 500_000, i * 500_000, i * 501_000 + 700_000], sample::created("x")))
            .collect();
        let stats = LatencyStats::of(Clock::Service, &operations).unwrap();
        let end = Duration::from_secs_f64(stats.end_s());
        let read = read_hlog(&hlog(&stats, SystemTime::UNIX_EPOCH, end).unwrap()).unwrap();
        assert!(read.len() > 8, "{}", read.len());
        assert!(read.iter().all(|line| line.operation == "create-or-get" && line.outcome == "created"));
        assert_eq!(read.iter().map(|line| line.histogram.len()).sum::<u64>(), 3_000);
        let max = read.iter().map(|line| line.histogram.max()).max().unwrap();
        assert_eq!(max, stats.all_outcomes("create-or-get").histogram().max());
    }

    #[test]
    fn what_is_no_log_of_ours_is_refused() {
        let row = "0.0,1.0,1.0,HISTFAAA\n";
        for (text, message) in [
            (row.to_owned(), "tag ``"),
            (format!("Tag=a.b,{row}"), "tag `a.b`"),
            (format!("Tag=a.b.c,{row}"), "damaged"),
            ("Tag=a.b.c,0.0,1.0,1.0,?\n".to_owned(), "base64"),
        ] {
            let error = read_hlog(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
