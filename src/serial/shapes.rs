//! What is made anew each time, told by its shape alone: moments near now, identifiers, hashes. No other guessing: what looks
//! like twenty random characters may be a name.

/// A day, in milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1000;
/// How far back a time counts as near now.
const BACK: i64 = DAY;
/// How far ahead: what expires in a year counts.
const AHEAD: i64 = 400 * DAY;
/// So long before the end of a day another one begins, as far as distances are concerned.
const DAYS_PART: i64 = DAY * 37 / 100;
/// Digits of a hexadecimal text from which on nobody writes it by hand.
const HEX: usize = 24;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// As it is.
    Plain(&'a str),
    /// A moment near now.
    Time,
    /// Made anew, unless it is known.
    Made(&'a str),
}

/// Whether a moment is near now.
pub(super) fn is_near(moment: i64, now: i64) -> bool {
    (now.saturating_sub(BACK)..=now.saturating_add(AHEAD)).contains(&moment)
}

/// How far from now a moment is, in days: nothing, ` +30 d` or ` -1 d`. What an execution works out from another moment (30 days
/// from the end of a licence) is told apart by it; what is now, or hours away, is not.
///
/// Two days part 15 hours and 7 minutes after a whole number of them, where no service puts a moment.
pub(super) fn distance(moment: i64, now: i64) -> String {
    match moment.saturating_sub(now).saturating_add(DAYS_PART).div_euclid(DAY) {
        0 => String::new(),
        days => format!(" {days:+} d"),
    }
}

/// Whether a number is a moment near now: in seconds, milliseconds, microseconds or nanoseconds.
pub(super) fn is_time(number: i64, now: i64) -> bool {
    moment(number, now).is_some()
}

/// The moment near now that a number is, in milliseconds since 1970.
pub(super) fn moment(number: i64, now: i64) -> Option<i64> {
    let in_milliseconds = [number.checked_mul(1000), Some(number), Some(number / 1000), Some(number / 1_000_000)];
    in_milliseconds.into_iter().flatten().find(|moment| is_near(*moment, now))
}

/// The moment near now that a text is and nothing else, in milliseconds since 1970. One that names no zone is taken for one of
/// UTC, which is what servers write.
pub(super) fn moment_of(text: &str, now: i64) -> Option<i64> {
    if !matches!(parts(text, now)[..], [Part::Time]) {
        return None;
    }
    let number = || text.parse().ok().and_then(|number| moment(number, now));
    let zoned = || text.parse::<jiff::Timestamp>().ok();
    let of_mail = || jiff::fmt::rfc2822::parse(text).ok().map(|moment| moment.timestamp());
    let of_script = || {
        let named = text.split(" (").next()?;
        jiff::fmt::strtime::parse("%a %b %d %Y %H:%M:%S GMT%z", named).ok()?.to_timestamp().ok()
    };
    let zoneless = || {
        let moment = text.parse::<jiff::civil::DateTime>().ok()?;
        Some(moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    let found = || zoned().or_else(of_mail).or_else(of_script).or_else(zoneless);
    let written = || found().map(jiff::Timestamp::as_millisecond);
    number().or_else(written)
}

/// The parts of a text.
pub(super) fn parts(text: &str, now: i64) -> Vec<Part<'_>> {
    if is_hash(text) || is_token(text) {
        return vec![Part::Made(text)];
    }
    if is_written_date(text, now) {
        return vec![Part::Time];
    }
    let mut parts = Vec::new();
    let (mut plain, mut at) = (0, 0);
    while at < text.len() {
        let (length, part) = match special(text, at, now) {
            Some(found) => found,
            None => {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
                continue;
            }
        };
        if plain < at {
            parts.push(Part::Plain(&text[plain..at]));
        }
        parts.push(part);
        at += length;
        plain = at;
    }
    if plain < text.len() || parts.is_empty() {
        parts.push(Part::Plain(&text[plain..]));
    }
    parts
}

/// What begins here and is not plain, with its length. It begins where a word begins.
fn special(text: &str, at: usize, now: i64) -> Option<(usize, Part<'_>)> {
    let bytes = text.as_bytes();
    if !bytes[at].is_ascii_hexdigit() || (at > 0 && bytes[at - 1].is_ascii_alphanumeric() && !begins_digits(bytes, at))
    {
        return None;
    }
    let rest = &text[at..];
    if let Some(length) = date_time(rest.as_bytes(), now) {
        return Some((length, Part::Time));
    }
    if let Some(length) = uuid(rest.as_bytes()) {
        return Some((length, Part::Made(&rest[..length])));
    }
    let hex = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    let ends = |length: usize| !rest.as_bytes().get(length).is_some_and(u8::is_ascii_alphanumeric);
    if hex >= HEX && ends(hex) {
        return Some((hex, Part::Made(&rest[..hex])));
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let number: Option<i64> = if matches!(digits, 10 | 13 | 16 | 19) { rest[..digits].parse().ok() } else { None };
    number.filter(|number| is_time(*number, now)).map(|_| (digits, Part::Time))
}

/// Digits that follow letters: `ORD1795756000123` ends with a time.
fn begins_digits(bytes: &[u8], at: usize) -> bool {
    bytes[at].is_ascii_digit() && !bytes[at - 1].is_ascii_digit()
}

/// `550e8400-e29b-41d4-a716-446655440000`
fn uuid(bytes: &[u8]) -> Option<usize> {
    const LENGTH: usize = 36;
    let candidate = bytes.get(..LENGTH)?;
    let fits = |(index, byte): (usize, &u8)| match index {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let ends = !bytes.get(LENGTH).is_some_and(u8::is_ascii_alphanumeric);
    (ends && candidate.iter().enumerate().all(fits)).then_some(LENGTH)
}

/// `2026-11-27T05:10:34.123Z`, also with a blank, without a zone, or with another one; near now.
fn date_time(bytes: &[u8], now: i64) -> Option<usize> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = bytes.get(from..to)?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    };
    let is = |at: usize, one_of: &[u8]| bytes.get(at).is_some_and(|byte| one_of.contains(byte));
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute) = (number(11, 13)?, number(14, 16)?);
    if !(is(4, b"-") && is(7, b"-") && is(10, b"T t") && is(13, b":")) {
        return None;
    }
    let mut length = 16;
    if is(length, b":") && number(length + 1, length + 3).is_some() {
        length += 3;
        if is(length, b".,") {
            let digits = bytes[length + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            length += if digits > 0 { 1 + digits } else { 0 };
        }
    }
    if is(length, b"Zz") {
        length += 1;
    } else if is(length, b"+-") && number(length + 1, length + 3).is_some() {
        length += if is(length + 3, b":") && number(length + 4, length + 6).is_some() { 6 } else { 3 };
        length += if number(length, length + 2).is_some() { 2 } else { 0 };
    }
    let days = days_since_1970(year, month, day)?;
    // A zone is at most a day off, which does not matter.
    is_near(days * DAY + (hour * 60 + minute) * 60_000, now).then_some(length)
}

/// `Fri, 27 Nov 2026 05:10:34 GMT` and `Fri Nov 27 2026 05:10:34 GMT+0000 (…)`, near now.
fn is_written_date(text: &str, now: i64) -> bool {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    if !DAYS.iter().any(|day| text.starts_with(day)) {
        return false;
    }
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).take(5).collect();
    let [_, one, other, year, time] = words[..] else { return false };
    let month = |word: &str| MONTHS.iter().position(|month| *month == word).map(|month| month as i64 + 1);
    let (month, day) = match (month(one), month(other)) {
        (Some(month), None) => (month, other),
        (None, Some(month)) => (month, one),
        _ => return false,
    };
    let (Ok(day), Ok(year)) = (day.parse(), year.parse()) else { return false };
    let near = days_since_1970(year, month, day).is_some_and(|days| is_near(days * DAY + DAY / 2, now));
    near && time.split(':').count() == 3
}

fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let narrow = |number: i64| i8::try_from(number).ok();
    let date = jiff::civil::Date::new(i16::try_from(year).ok()?, narrow(month)?, narrow(day)?).ok()?;
    let epoch = jiff::civil::Date::new(1970, 1, 1).ok()?;
    Some(i64::from((date - epoch).get_days()))
}

/// bcrypt, argon2 and scrypt in the notation that names the method first.
fn is_hash(text: &str) -> bool {
    let methods = ["$2a$", "$2b$", "$2y$", "$argon2", "$scrypt$", "scrypt:", "pbkdf2:", "pbkdf2_sha256$"];
    text.len() > 40 && methods.iter().any(|method| text.starts_with(method))
}

/// A JSON web token.
fn is_token(text: &str) -> bool {
    let text = text.strip_prefix("Bearer ").unwrap_or(text);
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte);
    text.starts_with("eyJ") && text.split('.').count() == 3 && text.split('.').all(|part| part.bytes().all(is_base64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-27T05:00:00Z.
    const NOW: i64 = 1_795_755_600_000;

    #[test]
    fn what_is_days_away_is_told_apart_and_what_is_hours_away_is_not() {
        let hours = |hours: i64| distance(NOW + hours * 3_600_000, NOW);
        for (away, told) in
            [(0, ""), (12, ""), (-8, ""), (14, ""), (18, " +1 d"), (-12, " -1 d"), (720, " +30 d"), (1440, " +60 d")]
        {
            assert_eq!(hours(away), told, "{away}");
            assert_eq!(distance(NOW + away * 3_600_000 + 600_000, NOW), told, "{away}, ten minutes later");
        }
    }

    #[test]
    fn moments_near_now_are_told_in_every_usual_form() {
        for text in [
            "2026-11-27T05:10:34.123Z",
            "2026-11-27 05:10:34.123456",
            "2026-11-27T05:10:34+00:00",
            "2026-11-27T05:10:34.123+0100",
            "2026-11-27T05:10Z",
            "2027-05-01T00:00:00",
            "Fri, 27 Nov 2026 05:10:34 GMT",
            "Fri Nov 27 2026 05:10:34 GMT+0000 (Coordinated Universal Time)",
            "1795756000123",
            "1795756000",
        ] {
            assert_eq!(parts(text, NOW), [Part::Time], "{text}");
            let is_later = !text.ends_with("+0100");
            assert_eq!(moment_of(text, NOW).map(|moment| moment > NOW), Some(is_later), "{text}");
        }
        for text in ["2019-01-01T00:00:00Z", "2026-11-27", "Fri, 01 Jan 2010 00:00:00 GMT", "1234567890", "Monday", ""]
        {
            assert_eq!(parts(text, NOW), [Part::Plain(text)], "{text}");
            assert_eq!(moment_of(text, NOW), None, "{text}");
        }
        assert_eq!(moment_of("2026-11-27T05:10:34+01:00", NOW), Some(NOW - 2_966_000));
        assert!(is_time(1_795_756_000, NOW) && is_time(1_795_756_000_123, NOW) && !is_time(42, NOW));
    }

    #[test]
    fn identifiers_are_found_inside_longer_texts() {
        let (hex, uuid) = ("65f0a1b2c3d4e5f60718293a", "550e8400-e29b-41d4-a716-446655440000");
        assert_eq!(
            parts(&format!("/items/{hex}/x"), NOW),
            [Part::Plain("/items/"), Part::Made(hex), Part::Plain("/x")]
        );
        assert_eq!(parts(uuid, NOW), [Part::Made(uuid)]);
        assert_eq!(parts("ORD1795756000123", NOW), [Part::Plain("ORD"), Part::Time]);
        let bcrypt = format!("$2b$10${}", "a".repeat(53));
        assert_eq!(parts(&bcrypt, NOW), [Part::Made(&bcrypt)]);
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
        assert_eq!(parts(token, NOW), [Part::Made(token)]);
        for plain in ["deadbeef", "Twenty mixed Chars 1", "65f0a1b2c3d4e5f60718293ax", "éè"] {
            assert_eq!(parts(plain, NOW), [Part::Plain(plain)]);
        }
    }
}
