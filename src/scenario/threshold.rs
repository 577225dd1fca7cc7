//! Thresholds: `METRIC OP NUMBER[UNIT]`, as in `create-or-get.p99 < 250ms`. Main function: [`parse`].

use std::ops::Range;

use super::model::{Comparison, Metric, Threshold};

/// Quantiles by name.
const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// Metrics of all operations together.
const RATES: [&str; 3] = ["error_rate", "duplicate_key_rate", "throughput"];

/// Why a text is no threshold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mistake {
    /// Which part of the text.
    pub(super) part: Range<usize>,
    /// What is wrong with it.
    pub(super) message: String,
    /// If it is a word: the word, and those that exist in its place.
    pub(super) word: Option<(String, Vec<String>)>,
    /// What to do.
    pub(super) help: Option<String>,
}

impl Mistake {
    fn new(part: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Box<Self> {
        Box::new(Mistake { part, message: message.into(), word: None, help: Some(help.into()) })
    }

    fn word(part: Range<usize>, kind: &str, word: &str, known: Vec<String>) -> Box<Self> {
        let message = format!("unknown {kind} `{word}`");
        Box::new(Mistake { part, message, word: Some((word.to_owned(), known)), help: None })
    }
}

/// Reads a threshold on these operations.
pub(super) fn parse(text: &str, operations: &[&str]) -> Result<Threshold, Box<Mistake>> {
    const FORM: &str = "write `METRIC OP NUMBER`, as in `create-or-get.p99 < 250ms` or `error_rate < 0.01%`";
    let Some(op) = text.find(['<', '>', '=', '!']) else {
        return Err(Mistake::new(0..text.len(), "a threshold needs a comparison", FORM));
    };
    let op_end = text[op..].find(|letter| !"<>=!".contains(letter)).map_or(text.len(), |length| op + length);
    let comparison = match &text[op..op_end] {
        "<" => Comparison::Less,
        "<=" => Comparison::AtMost,
        ">" => Comparison::Greater,
        ">=" => Comparison::AtLeast,
        other => {
            let message = format!("unknown comparison `{other}`");
            return Err(Mistake::new(op..op_end, message, "known: `<`, `<=`, `>`, `>=`"));
        }
    };
    let metric = parse_metric(text, trimmed(text, 0..op), operations)?;
    let bound = parse_bound(text, trimmed(text, op_end..text.len()), &metric)?;
    Ok(Threshold { text: text.to_owned(), metric, comparison, bound })
}

fn parse_metric(text: &str, part: Range<usize>, operations: &[&str]) -> Result<Metric, Box<Mistake>> {
    let word = &text[part.clone()];
    match word {
        "error_rate" => return Ok(Metric::ErrorRate),
        "duplicate_key_rate" => return Ok(Metric::DuplicateKeyRate),
        "throughput" => return Ok(Metric::Throughput),
        _ => {}
    }
    if let (Some((quantile, _)), Some(operation)) =
        (QUANTILES.iter().find(|(name, _)| *name == word), operations.first())
    {
        return Err(Mistake::new(part, "a latency is that of an operation", format!("write `{operation}.{quantile}`")));
    }
    let Some((operation, quantile)) = word.split_once('.') else {
        let latencies = operations.iter().flat_map(|name| QUANTILES.map(|(quantile, _)| format!("{name}.{quantile}")));
        let known = RATES.map(str::to_owned).into_iter().chain(latencies).collect();
        return Err(Mistake::word(part, "metric", word, known));
    };
    let dot = part.start + operation.len();
    if !operations.contains(&operation) {
        let known = operations.iter().map(|name| (*name).to_owned()).collect();
        return Err(Mistake::word(part.start..dot, "operation", operation, known));
    }
    match QUANTILES.iter().find(|(name, _)| *name == quantile) {
        Some((_, value)) => Ok(Metric::Latency { operation: operation.to_owned(), quantile: *value }),
        None => {
            let known = QUANTILES.map(|(name, _)| name.to_owned()).to_vec();
            Err(Mistake::word(dot + 1..part.end, "quantile", quantile, known))
        }
    }
}

fn parse_bound(text: &str, part: Range<usize>, metric: &Metric) -> Result<f64, Box<Mistake>> {
    let units: &[(&str, f64)] = match metric {
        Metric::Latency { .. } => &[("us", 1.0), ("ms", 1e3), ("s", 1e6)],
        Metric::ErrorRate | Metric::DuplicateKeyRate => &[("%", 0.01), ("", 1.0)],
        Metric::Throughput => &[("/s", 1.0), ("", 1.0)],
    };
    let written: Vec<String> =
        units.iter().filter(|(unit, _)| !unit.is_empty()).map(|(unit, _)| format!("`{unit}`")).collect();
    let alone = if units.iter().any(|(unit, _)| unit.is_empty()) { ", or the number alone" } else { "" };
    let help = format!("write a number and {}{alone}", written.join(" or "));
    let bound = &text[part.clone()];
    let digits =
        bound.find(|letter: char| !letter.is_ascii_digit() && !".eE+-_".contains(letter)).unwrap_or(bound.len());
    let number_part = part.start..part.start + digits;
    let number = match bound[..digits].replace('_', "").parse::<f64>() {
        Ok(number) if number.is_finite() => number,
        _ => {
            let shown = if digits == 0 { part.clone() } else { number_part };
            return Err(Mistake::new(shown, format!("`{bound}` is no bound"), help));
        }
    };
    let unit_part = trimmed(text, number_part.end..part.end);
    let unit = &text[unit_part.clone()];
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        if unit.is_empty() {
            return Err(Mistake::new(number_part, "a latency needs its unit", help));
        }
        return Err(Mistake::new(unit_part, format!("unknown unit `{unit}` for this metric"), help));
    };
    let value = number * factor;
    match metric {
        _ if number < 0.0 => Err(Mistake::new(number_part, "a bound cannot be negative", help)),
        Metric::ErrorRate | Metric::DuplicateKeyRate if value > 1.0 => {
            Err(Mistake::new(part, "a rate is at most 100%", "write `error_rate < 0.01%` or `error_rate < 0.0001`"))
        }
        _ if !value.is_finite() => Err(Mistake::new(number_part, format!("`{bound}` is no bound"), help)),
        _ => Ok(value),
    }
}

/// The part without the blanks around it.
fn trimmed(text: &str, part: Range<usize>) -> Range<usize> {
    let inner = &text[part.clone()];
    let start = part.start + inner.len() - inner.trim_start().len();
    start..start + inner.trim().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(quantile: f64) -> Metric {
        Metric::Latency { operation: "create-or-get".into(), quantile }
    }

    #[test]
    fn good_thresholds() {
        let cases = [
            ("create-or-get.p99 < 250ms", latency(0.99), Comparison::Less, 250_000.0),
            ("create-or-get.p99.9<=1.5s", latency(0.999), Comparison::AtMost, 1_500_000.0),
            ("  create-or-get.max < 90 us ", latency(1.0), Comparison::Less, 90.0),
            ("create-or-get.p50 < 20ms", latency(0.5), Comparison::Less, 20_000.0),
            ("error_rate < 0.5%", Metric::ErrorRate, Comparison::Less, 0.005),
            ("error_rate <= 0.0001", Metric::ErrorRate, Comparison::AtMost, 0.0001),
            ("error_rate <= 100 %", Metric::ErrorRate, Comparison::AtMost, 1.0),
            ("duplicate_key_rate < 0.01%", Metric::DuplicateKeyRate, Comparison::Less, 0.0001),
            ("throughput >= 500/s", Metric::Throughput, Comparison::AtLeast, 500.0),
            ("throughput > 1_000", Metric::Throughput, Comparison::Greater, 1000.0),
            ("throughput > 1e3", Metric::Throughput, Comparison::Greater, 1000.0),
        ];
        for (text, metric, comparison, bound) in cases {
            let parsed = parse(text, &["create-or-get"]).unwrap_or_else(|mistake| panic!("{text}: {mistake:?}"));
            assert_eq!((&parsed.metric, parsed.comparison), (&metric, comparison), "{text}");
            assert!((parsed.bound - bound).abs() <= bound * 1e-12, "{text}: {}", parsed.bound);
        }
    }

    #[test]
    fn bad_thresholds_are_marked_at_the_bad_part() {
        let cases = [
            ("", ""),
            ("create-or-get.p99", "create-or-get.p99"),
            ("create-or-get.p99 == 5ms", "=="),
            ("create-or-get.p99 =< 5ms", "=<"),
            ("latency < 5ms", "latency"),
            ("p99 < 5ms", "p99"),
            ("createorget.p99 < 5ms", "createorget"),
            ("create-or-get.p98 < 5ms", "p98"),
            (" < 5ms", ""),
            ("create-or-get.p99 < 5min", "min"),
            ("create-or-get.p99 < 5%", "%"),
            ("create-or-get.p99 < NaN", "NaN"),
            ("create-or-get.p99 < inf", "inf"),
            ("create-or-get.p99 < 1e999", "1e999"),
            ("create-or-get.p99 < 1e308s", "1e308"),
            ("create-or-get.p99 < -5ms", "-5"),
            ("create-or-get.p99 < 250", "250"),
            ("create-or-get.p99 <", ""),
            ("error_rate < 101%", "101%"),
            ("error_rate < 1.01", "1.01"),
            ("error_rate < 5ms", "ms"),
            ("duplicate_key_rate < 101%", "101%"),
            ("throughput > 5/min", "/min"),
        ];
        for (text, part) in cases {
            match parse(text, &["create-or-get"]) {
                Err(mistake) => assert_eq!(&text[mistake.part.clone()], part, "{text}: {mistake:?}"),
                Ok(threshold) => panic!("{text} was read as {threshold:?}"),
            }
        }
    }
}
