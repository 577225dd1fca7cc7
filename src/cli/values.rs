//! Values that can be typed, and how they are read.

use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::scenario::{FaultKind, JudgeKind, SearchKind};
use crate::strategy::InjectedDelay;

/// The CI service that a run announces its result to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ci {
    /// The one that this process runs on, if it is known.
    Auto,
    /// None.
    None,
    /// GitHub Actions.
    Github,
}

/// Form of the result on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A summary to read.
    Human,
    /// The object of `report.json`, and nothing else.
    Json,
}

/// What may judge an exploration.
pub(super) fn judges() -> impl TypedValueParser<Value = JudgeKind> {
    let kind = |word: String| JudgeKind::ALL.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind);
    PossibleValuesParser::new(JudgeKind::ALL.map(|(name, _)| name))
        .try_map(move |word| kind(word).ok_or("no judge of this name"))
}

/// What may happen to the commands of an exploration, by name.
pub(super) fn faults() -> impl TypedValueParser<Value = FaultKind> {
    let kind = |word: String| FaultKind::ALL.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind);
    PossibleValuesParser::new(FaultKind::ALL.map(|(name, _)| name))
        .try_map(move |word| kind(word).ok_or("there is no such fault"))
}

/// How schedules are chosen, by name.
pub(super) fn searches() -> impl TypedValueParser<Value = SearchKind> {
    let kind = |word: String| SearchKind::ALL.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind);
    PossibleValuesParser::new(SearchKind::ALL.map(|(name, _)| name))
        .try_map(move |word| kind(word).ok_or("there is no such search"))
}

/// `30s`, `5m`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let length: jiff::SignedDuration = text.trim().parse().map_err(|_| "write a time such as 30s or 5m".to_owned())?;
    Duration::try_from(length).map_err(|_| "a time cannot be negative".to_owned())
}

/// The name of a database.
pub(super) fn parse_database(text: &str) -> Result<String, String> {
    const LONGEST: usize = 63;
    if text.is_empty() || text.len() > LONGEST {
        return Err(format!("the name of a database has 1 to {LONGEST} bytes"));
    }
    match text.chars().find(|letter| r#"/\. "$"#.contains(*letter) || letter.is_control()) {
        Some('.') => Err("the name of a database cannot have a dot in it; the collection is named apart".to_owned()),
        Some(letter) => Err(format!("the name of a database cannot have {letter:?} in it")),
        None => Ok(text.to_owned()),
    }
}

/// `10%` or `0.1`.
pub(super) fn parse_share(text: &str) -> Result<f64, String> {
    let (number, unit) = text.trim().strip_suffix('%').map_or((text.trim(), 1.0), |percent| (percent.trim(), 100.0));
    match number.parse::<f64>().map(|number| number / unit) {
        Ok(share) if share.is_finite() && (0.0..=100.0).contains(&share) => Ok(share),
        _ => Err("write a share that is not negative, such as 10% or 0.1".to_owned()),
    }
}

/// Members of a replica set.
pub(super) fn parse_members(text: &str) -> Result<u8, String> {
    match text {
        "0" => Ok(0),
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("a replica set has 1 or 3 members; 0 is a standalone server".to_owned()),
    }
}

/// Longest pause after a command.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Reads `read=2ms,write=500us`.
pub(super) fn parse_delay(text: &str) -> Result<InjectedDelay, String> {
    let mut delay = InjectedDelay::default();
    for part in text.split(',') {
        let form = || format!("`{part}` is not of the form read=2ms or write=500us");
        let (command, length) = part.split_once('=').ok_or_else(form)?;
        let length = parse_duration(length).ok().filter(|length| *length <= LONGEST_PAUSE).ok_or_else(form)?;
        match command.trim() {
            "read" => delay.read = length,
            "write" => delay.write = length,
            other => return Err(format!("there is no delay after `{other}`: there are `read` and `write`")),
        }
    }
    Ok(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        for (text, share) in [
            ("10%", Some(0.1)),
            ("0.1", Some(0.1)),
            (" 5 % ", Some(0.05)),
            ("0", Some(0.0)),
            ("-1%", None),
            ("x", None),
            ("NaN", None),
            ("", None),
        ] {
            assert_eq!(parse_share(text).ok(), share, "{text}");
        }
    }

    #[test]
    fn delays_are_read_and_mistakes_named() {
        let ms = Duration::from_millis;
        let good = [
            ("read=2ms", InjectedDelay { read: ms(2), write: ms(0) }),
            ("read=2ms,write=1500us", InjectedDelay { read: ms(2), write: Duration::from_micros(1500) }),
            ("write=1s, read=0ms", InjectedDelay { read: ms(0), write: ms(1000) }),
        ];
        for (text, delay) in good {
            assert_eq!(parse_delay(text), Ok(delay), "{text}");
        }
        for (text, part) in [
            ("2ms", "not of the form"),
            ("reed=2ms", "`reed`"),
            ("read=2", "form"),
            ("read=-2ms", "form"),
            ("read=1h", "form"),
            ("", "form"),
        ] {
            assert!(parse_delay(text).unwrap_err().contains(part), "{text}");
        }
    }
}
