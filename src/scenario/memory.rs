//! How much memory something may take: [`MemorySize`].

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// An amount of memory, such as `512MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemorySize(u64);

/// Units, the smallest first. Who writes `MiB` means the larger one.
const UNITS: [(&str, u64); 6] = [
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

impl MemorySize {
    /// So many bytes.
    pub const fn of_bytes(bytes: u64) -> Self {
        MemorySize(bytes)
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl Default for MemorySize {
    fn default() -> Self {
        MemorySize(512_000_000)
    }
}

impl FromStr for MemorySize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()));
        let bytes = number.parse::<u64>().ok().zip(unit).and_then(|(number, (_, unit))| number.checked_mul(*unit));
        bytes.filter(|bytes| *bytes > 0).map(MemorySize).ok_or_else(|| {
            format!("`{text}` is no amount of memory: write a whole number and a unit, such as 512MB or 2GB")
        })
    }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().rev().find(|(_, unit)| self.0.is_multiple_of(*unit));
        match whole {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}MB", self.0.div_ceil(1_000_000)),
        }
    }
}

impl Serialize for MemorySize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_of_memory_reads_back_as_it_is_written() {
        for (text, bytes, shown) in [
            ("512MB", 512_000_000, "512MB"),
            (" 2 gb ", 2_000_000_000, "2GB"),
            ("1MiB", 1 << 20, "1MiB"),
            ("3000MB", 3_000_000_000, "3GB"),
        ] {
            let size: MemorySize = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, shown));
            assert_eq!(shown.parse(), Ok(size));
        }
        for wrong in ["", "512", "MB", "-1MB", "0MB", "1.5GB", "9999999999999TB", "5 apples"] {
            assert!(wrong.parse::<MemorySize>().is_err(), "{wrong}");
        }
    }
}
