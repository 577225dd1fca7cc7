//! Numbers, times and foreign text as all reports write them.

use std::borrow::Cow;

use crate::stats::Unit;

/// `15,000`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits and a unit: `812 µs`, `4.31 ms`, `1.20 s`, `3.50 min`.
pub(super) fn micros(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 999.5 => return format!("{us:.0} µs"),
        us if us < 999_500.0 => (us / 1e3, "ms"),
        us if us < 120e6 => (us / 1e6, "s"),
        us => (us / 60e6, "min"),
    };
    format!("{value:.*} {unit}", if value < 9.995 { 2 } else { usize::from(value < 99.95) })
}

/// Seconds as [`micros`] writes them.
pub(super) fn seconds(s: f64) -> String {
    micros(s * 1e6)
}

/// `3.0 %`, or as many digits as a small share needs.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p >= 1.0 || p == 0.0 => format!("{p:.1} %"),
        p if p >= 0.01 => format!("{p:.3} %"),
        p => format!("{p:.1e} %"),
    }
}

/// What a threshold measured, in its unit.
pub(super) fn measured(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Us => micros(value),
        Unit::Share => percent(value),
        Unit::PerS => format!("{} /s", count(value.max(0.0).round() as u64)),
    }
}

/// `81 MiB`.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

/// `1 key`, `2 keys`.
pub(crate) fn plural(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

/// The text with control and bidirectional-control characters made visible: foreign text must not steer a terminal.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(String::new(), |mut visible, c| {
        if hidden(c) {
            visible.extend(c.escape_default());
        } else {
            visible.push(c);
        }
        visible
    }))
}

/// At most `width` characters, with `…` for what was left out of the middle.
pub(super) fn middle(text: &str, width: usize) -> Cow<'_, str> {
    let length = text.chars().count();
    if length <= width {
        return Cow::Borrowed(text);
    }
    let kept = width.saturating_sub(1);
    let head: String = text.chars().take(kept.div_ceil(2)).collect();
    let tail: String = text.chars().skip(length - kept / 2).collect();
    Cow::Owned(if width == 0 { String::new() } else { format!("{head}…{tail}") })
}

/// The words of a text; a value and its unit are one.
fn words(text: &str) -> impl Iterator<Item = &str> {
    const UNITS: [&str; 8] = ["µs", "ms", "s", "min", "%", "MiB", "/s", "bytes"];
    let mut rest = text.trim_start();
    std::iter::from_fn(move || {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let next = after.strip_prefix(' ').map(|next| next.split(char::is_whitespace).next().unwrap_or_default());
        let is_unit = |next: &str| UNITS.contains(&next.trim_end_matches([',', '.', ';', ':', ')']));
        let length = match next {
            Some(next) if word.ends_with(|c: char| c.is_ascii_digit()) && is_unit(next) => end + 1 + next.len(),
            _ => end,
        };
        let (word, after) = rest.split_at(length);
        rest = after.trim_start();
        (!word.is_empty()).then_some(word)
    })
}

/// Lines of at most `width` characters, broken between words; a longer word has a line of its own.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words(text) {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A quantile of so many samples; a dash where there are too few to tell one.
pub(super) fn quantile(us: u64, of: f64, samples: u64) -> String {
    if samples < crate::stats::samples_needed(of) { "–".to_owned() } else { micros(us as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        for (us, text) in [
            (0.0, "0 µs"),
            (999.0, "999 µs"),
            (999.6, "1.00 ms"),
            (1_234.0, "1.23 ms"),
            (12_345.0, "12.3 ms"),
            (123_456.0, "123 ms"),
            (999_499.0, "999 ms"),
            (1_500_000.0, "1.50 s"),
            (150e6, "2.50 min"),
        ] {
            assert_eq!(micros(us), text);
        }
        for (share, text) in [(0.03, "3.0 %"), (0.0, "0.0 %"), (0.0003, "0.030 %"), (3e-7, "3.0e-5 %")] {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn text_is_cut_and_wrapped_at_any_width() {
        for width in 0..12 {
            assert!(middle("größer als π", width).chars().count() <= width);
            assert_eq!(wrap("a bb ccc", width).join(" "), "a bb ccc");
        }
        assert_eq!(middle("abcdef", 5), "ab…ef");
        assert_eq!(wrap("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrap("max 20.6 ms, then 3 keys", 9), ["max", "20.6 ms,", "then 3", "keys"]);
        assert_eq!(wrap(" a\n 3.0 %  ", 20), ["a 3.0 %"]);
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(visible("a\u{1b}[31mb\n\u{202e}c"), "a\\u{1b}[31mb\\n\\u{202e}c");
        assert!(matches!(visible("grün"), Cow::Borrowed(_)));
    }
}
