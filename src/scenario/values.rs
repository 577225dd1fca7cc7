//! Values of the file format that serde's own types do not read well: their visitors are written by hand, so that the
//! message says what is wanted and keeps its position. They take what is well formed; whether it is sensible is checked later.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use toml::Spanned;

/// A whole number of any size or sign; its range is checked later, so that `-5` is told apart from `"5"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Count(pub(super) i128);

/// A number, with or without a fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number(pub(super) f64);

/// One whole number, or a list of them.
#[derive(Debug, Clone)]
pub(super) enum Counts {
    /// `150`
    One(Count),
    /// `[2, 8, 150]`
    Many(Vec<Spanned<Count>>),
}

/// A duration, still as text: `"1m 30s"`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DurationText(pub(super) String);

/// A duration forwards or backwards, still as text: `"-5m"`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SignedDurationText(pub(super) String);

/// An amount of memory, still as text: `"512MB"`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MemoryText(pub(super) String);

/// A bound: a number, or an expression over counts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bound {
    /// `4`
    Number(f64),
    /// `"like.acknowledged + like.unknown"`
    Text(String),
}

/// A share, `"5%"` or `0.05`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Share {
    /// `"5%"`
    Text(String),
    /// `0.05`
    Number(f64),
}

/// Writes the visitor methods for whole numbers, each ending in the same expression.
macro_rules! visit_integers {
    ($number:ident => $result:expr) => {
        fn visit_i64<E: Error>(self, $number: i64) -> Result<Self::Value, E> {
            let $number = i128::from($number);
            $result
        }
        fn visit_u64<E: Error>(self, $number: u64) -> Result<Self::Value, E> {
            let $number = i128::from($number);
            $result
        }
        fn visit_i128<E: Error>(self, $number: i128) -> Result<Self::Value, E> {
            $result
        }
        fn visit_u128<E: Error>(self, $number: u128) -> Result<Self::Value, E> {
            // Whatever the key, this is far above its range, which is checked later.
            let $number = i128::try_from($number).unwrap_or(i128::MAX);
            $result
        }
    };
}

/// Writes `Deserialize` for a type by a visitor with these methods.
macro_rules! deserialize {
    ($type:ident, $expecting:literal, { $($methods:tt)* }) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ByHand;
                impl<'de> Visitor<'de> for ByHand {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    $($methods)*
                }
                deserializer.deserialize_any(ByHand)
            }
        }
    };
}

deserialize!(Count, "a whole number", {
    visit_integers!(number => Ok(Count(number)));
});

deserialize!(Number, "a number", {
    visit_integers!(number => Ok(Number(number as f64)));
    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Number(number))
    }
});

deserialize!(Counts, "a whole number or a list of them", {
    visit_integers!(number => Ok(Counts::One(Count(number))));
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut counts = Vec::new();
        while let Some(count) = seq.next_element()? {
            counts.push(count);
        }
        Ok(Counts::Many(counts))
    }
});

deserialize!(DurationText, "a duration such as \"10s\", \"5ms\" or \"1m 30s\"", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(DurationText(text.to_owned()))
    }
});

deserialize!(SignedDurationText, "a duration with a sign, such as \"-5m\" or \"+300ms\"", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(SignedDurationText(text.to_owned()))
    }
});

deserialize!(MemoryText, "an amount of memory such as \"512MB\" or \"2GB\"", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(MemoryText(text.to_owned()))
    }
});

deserialize!(Bound, "a number or an expression such as \"like.acknowledged\"", {
    visit_integers!(number => Ok(Bound::Number(number as f64)));
    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Bound::Number(number))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Bound::Text(text.to_owned()))
    }
});

deserialize!(Share, "a share such as \"5%\" or 0.05", {
    visit_integers!(number => Ok(Share::Number(number as f64)));
    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Share::Number(number))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Share::Text(text.to_owned()))
    }
});

/// Writes `JsonSchema` for a type by its schema.
macro_rules! json_schema {
    ($type:ident, $schema:tt) => {
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

json_schema!(Count, { "type": "integer", "minimum": 0 });
json_schema!(Number, { "type": "number" });
json_schema!(Counts, {
    "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "array", "items": { "type": "integer", "minimum": 1 }, "minItems": 1 }]
});
json_schema!(DurationText, { "type": "string", "examples": ["10s", "5ms", "1m 30s"] });
json_schema!(SignedDurationText, { "type": "string", "examples": ["-5m", "+300ms"] });
json_schema!(MemoryText, { "type": "string", "examples": ["512MB", "2GB"] });
json_schema!(Bound, { "anyOf": [{ "type": "number" }, { "type": "string", "examples": ["like.acknowledged"] }] });
json_schema!(Share, {
    "anyOf": [{ "type": "string", "examples": ["5%"] }, { "type": "number", "minimum": 0, "maximum": 1 }]
});
