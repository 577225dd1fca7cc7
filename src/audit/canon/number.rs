//! Numbers by value: 1, 1.0 and the decimal 1.00 are one; 0.1 and the decimal 0.1 are two, because the double is not 0.1.

use mongodb::bson::Decimal128;

/// A number that equals another one exactly if the two are equal as mathematics has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Number {
    /// Every NaN, of either type and sign.
    NaN,
    /// Infinity; true if negative.
    Infinite(bool),
    /// Whole, within 64 bits.
    Whole(i64),
    /// Any other number of at most 34 decimal digits: negative, digits without trailing zeros, power of ten.
    Decimal(bool, u128, i32),
    /// A double that has more decimal digits than a decimal can have, so that none equals it: its bits.
    Double(u64),
}

/// The first number that has 35 digits.
const LIMIT: u128 = 10_u128.pow(34);

/// What the exponent of a decimal is greater by as it is stored.
const BIAS: i32 = 6176;

impl Number {
    /// Appends bytes that are equal exactly for equal numbers.
    pub(super) fn push(self, bytes: &mut Vec<u8>) {
        match self {
            Number::NaN => bytes.push(0),
            Number::Infinite(negative) => bytes.extend([1, u8::from(negative)]),
            Number::Whole(number) => {
                bytes.push(2);
                bytes.extend(number.to_be_bytes());
            }
            Number::Decimal(negative, digits, power) => {
                bytes.extend([3, u8::from(negative)]);
                bytes.extend(digits.to_be_bytes());
                bytes.extend(power.to_be_bytes());
            }
            Number::Double(bits) => {
                bytes.push(4);
                bytes.extend(bits.to_be_bytes());
            }
        }
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        const WHOLE: f64 = 9_223_372_036_854_775_808.0;
        if number.is_nan() {
            return Number::NaN;
        }
        if number.is_infinite() {
            return Number::Infinite(number < 0.0);
        }
        if number.fract() == 0.0 && (-WHOLE..WHOLE).contains(&number) {
            #[allow(clippy::cast_possible_truncation, reason = "it is whole and within 64 bits")]
            return Number::Whole(number as i64);
        }
        match decimal_of(number) {
            Some((digits, power)) => normal(number < 0.0, digits, power),
            None => Number::Double(number.to_bits()),
        }
    }
}

impl From<Decimal128> for Number {
    fn from(number: Decimal128) -> Self {
        let bits = u128::from_le_bytes(number.bytes());
        let negative = bits >> 127 == 1;
        let combination = bits >> 122 & 0x1f;
        if combination == 0x1f {
            return Number::NaN;
        }
        if combination == 0x1e {
            return Number::Infinite(negative);
        }
        // Digits in the longer form are always too many, which by the standard means zero.
        let long = bits >> 125 & 0b11 == 0b11;
        let stored = bits >> 113 & 0x3fff;
        let digits = bits & ((1 << 113) - 1);
        if long || digits >= LIMIT {
            return Number::Whole(0);
        }
        normal(negative, digits, i32::try_from(stored).unwrap_or(0) - BIAS)
    }
}

/// The exact value of a double as digits and a power of ten, if they fit into a decimal. A double is a whole number times a
/// power of two, which has a finite number of decimal digits in any case.
fn decimal_of(number: f64) -> Option<(u128, i32)> {
    let bits = number.to_bits();
    let exponent = i32::try_from(bits >> 52 & 0x7ff).ok()?;
    let fraction = u128::from(bits & ((1 << 52) - 1));
    let (mut whole, mut power) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let even = whole.trailing_zeros();
    whole >>= even;
    power += i32::try_from(even).ok()?;
    let (mut digits, mut tens) = (whole, 0);
    while power < 0 {
        // A half is five tenths.
        digits = digits.checked_mul(5).filter(|digits| *digits < LIMIT)?;
        power += 1;
        tens -= 1;
    }
    while power > 0 {
        if digits.is_multiple_of(5) {
            digits /= 5;
            tens += 1;
        } else {
            digits = digits.checked_mul(2).filter(|digits| *digits < LIMIT)?;
        }
        power -= 1;
    }
    Some((digits, tens))
}

/// The one form that all ways of writing a number have in common.
fn normal(negative: bool, mut digits: u128, mut power: i32) -> Number {
    if digits == 0 {
        return Number::Whole(0);
    }
    while digits.is_multiple_of(10) {
        digits /= 10;
        power += 1;
    }
    let whole = u32::try_from(power).ok().filter(|power| *power < 20);
    let whole = whole.and_then(|power| digits.checked_mul(10_u128.pow(power)));
    let whole = whole.and_then(|whole| i128::try_from(whole).ok()).map(|whole| if negative { -whole } else { whole });
    match whole.and_then(|whole| i64::try_from(whole).ok()) {
        Some(whole) => Number::Whole(whole),
        None => Number::Decimal(negative, digits, power),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Number {
        Number::from(text.parse::<Decimal128>().unwrap())
    }

    #[test]
    fn a_number_is_its_value_whatever_its_type() {
        for (text, number) in [
            ("1", 1.0),
            ("1.00", 1.0),
            ("0.50", 0.5),
            ("-0", 0.0),
            ("0E+10", -0.0),
            ("1267650600228229401496703205376", 2_f64.powi(100)),
            ("99999999999999991611392", 1e23),
            ("9223372036854775808", 2_f64.powi(63)),
            ("-9223372036854775808", -(2_f64.powi(63))),
            ("2.5E+3", 2500.0),
            ("NaN", f64::NAN),
            ("-Infinity", f64::NEG_INFINITY),
            ("-2.25", -2.25),
        ] {
            assert_eq!(decimal(text), Number::from(number), "{text}");
        }
        for (text, number) in [
            ("0.1", 0.1),
            ("0.1000000000000000055511151231257827", 0.1),
            ("1E+23", 1e23),
            ("1E+300", 1e300),
            ("9223372036854775807", 2_f64.powi(63)),
            ("2.25", -2.25),
            ("Infinity", f64::NEG_INFINITY),
        ] {
            assert_ne!(decimal(text), Number::from(number), "{text}");
        }
        assert_eq!(decimal("9223372036854775807"), Number::Whole(i64::MAX));
        assert_eq!(Number::from(f64::from_bits(1)), Number::Double(1), "the smallest double has 751 digits");
    }
}
