//! Values compared as a database compares them: numbers by value, and an order where there is one.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use mongodb::bson::{Bson, Document, RawBson, RawDocumentBuf};
use serde_json::{Value, json};

use crate::audit::canon::canonical;
use crate::audit::raw::{push_bytes, shown};

/// Whether two values are the same to the last byte: also the types of their numbers, and the order of their fields.
pub(in crate::audit::repair) fn identical(left: &Bson, right: &Bson) -> bool {
    match (left, right) {
        (Bson::Document(_) | Bson::Array(_) | Bson::Double(_), _) => {
            bytes(left).is_some_and(|own| Some(own) == bytes(right))
        }
        _ => left == right,
    }
}

/// Whether two documents are the same to the last byte.
pub(in crate::audit::repair) fn identical_documents(left: &Document, right: &Document) -> bool {
    let bytes = |document: &Document| RawDocumentBuf::try_from(document).ok().map(RawDocumentBuf::into_bytes);
    bytes(left).is_some_and(|own| Some(own) == bytes(right))
}

/// Type and content of a value: equal for identical ones only.
pub(in crate::audit::repair) fn bytes(value: &Bson) -> Option<Vec<u8>> {
    let raw = RawBson::try_from(value.clone()).ok()?;
    let mut bytes = Vec::new();
    push_bytes(raw.as_raw_bson_ref(), &mut bytes);
    Some(bytes)
}

/// The value as JSON in which numbers keep their types: `{ "$numberDouble": "7.0" }`.
pub(super) fn typed(value: &Bson) -> Value {
    match value {
        Bson::Int32(number) => json!({ "$numberInt": number.to_string() }),
        Bson::Int64(number) => json!({ "$numberLong": number.to_string() }),
        Bson::Double(number) => json!({ "$numberDouble": format!("{number:?}") }),
        Bson::Document(fields) => fields.iter().map(|(name, value)| (name.clone(), typed(value))).collect(),
        Bson::Array(elements) => elements.iter().map(typed).collect(),
        other => shown(other),
    }
}

/// The first list and what only the second has, as the server compares elements.
pub(in crate::audit::repair) fn united(left: &[Bson], right: &[Bson]) -> Vec<Bson> {
    let mut united = left.to_vec();
    let mut known: BTreeSet<Vec<u8>> = left.iter().filter_map(canonical).collect();
    united.extend(right.iter().filter(|value| canonical(value).is_none_or(|value| known.insert(value))).cloned());
    united
}

/// Whether there is a value at all.
pub(in crate::audit::repair) fn is_none(value: Option<&Bson>) -> bool {
    matches!(value, None | Some(Bson::Null | Bson::Undefined))
}

/// Whether it is a number of any type.
pub(in crate::audit::repair) fn is_number(value: &Bson) -> bool {
    matches!(value, Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_))
}

/// The order of two values of one kind: numbers, texts, dates, truth values or ids. `None` where there is none.
pub(in crate::audit::repair) fn compare(left: &Bson, right: &Bson) -> Option<Ordering> {
    match (left, right) {
        (Bson::String(left), Bson::String(right)) => Some(left.cmp(right)),
        (Bson::DateTime(left), Bson::DateTime(right)) => Some(left.cmp(right)),
        (Bson::ObjectId(left), Bson::ObjectId(right)) => Some(left.bytes().cmp(&right.bytes())),
        (Bson::Boolean(left), Bson::Boolean(right)) => Some(left.cmp(right)),
        (Bson::Timestamp(left), Bson::Timestamp(right)) => {
            Some((left.time, left.increment).cmp(&(right.time, right.increment)))
        }
        _ => match (whole(left), whole(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => real(left)?.partial_cmp(&real(right)?),
        },
    }
}

fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}

#[allow(clippy::cast_precision_loss, reason = "two integers are compared as integers")]
fn real(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(number) => Some(f64::from(*number)),
        Bson::Int64(number) => Some(*number as f64),
        Bson::Double(number) => Some(*number),
        Bson::Decimal128(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// The sum of two numbers: an integer grows wider before it would overflow. `None` where it cannot be said exactly.
pub(in crate::audit::repair) fn sum(left: &Bson, right: &Bson) -> Option<Bson> {
    match (left, right) {
        (Bson::Int32(left), Bson::Int32(right)) => {
            let wide = i64::from(*left) + i64::from(*right);
            Some(left.checked_add(*right).map_or(Bson::Int64(wide), Bson::Int32))
        }
        (Bson::Double(_), _) | (_, Bson::Double(_)) => Some(Bson::Double(inexact(left)? + inexact(right)?)),
        _ => whole(left)?.checked_add(whole(right)?).map(Bson::Int64),
    }
}

/// Decimal numbers are left out: they are not added in binary.
fn inexact(value: &Bson) -> Option<f64> {
    if matches!(value, Bson::Decimal128(_)) { None } else { real(value) }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn equal_values_of_other_types_are_not_identical() {
        for (left, right) in [
            (Bson::Int32(1), Bson::Int64(1)),
            (Bson::Int32(1), Bson::Double(1.0)),
            (doc! { "a": 1, "b": 2 }.into(), doc! { "b": 2, "a": 1 }.into()),
            (vec![Bson::Int32(1)].into(), vec![Bson::Double(1.0)].into()),
        ] {
            assert!(!identical(&left, &right), "{left} {right}");
            assert!(identical(&left, &left) && identical(&right, &right));
        }
        assert!(identical(&Bson::Double(f64::NAN), &Bson::Double(f64::NAN)));
    }

    #[test]
    fn lists_unite_as_the_server_compares_their_elements() {
        assert_eq!(united(&[1.into(), 2.into()], &[2.0.into(), 3.into()]), [1.into(), 2.into(), Bson::from(3)]);
        let apart = [Bson::Double(0.1), Bson::Decimal128("0.1".parse().unwrap())];
        assert_eq!(united(&apart[..1], &apart[1..]), apart, "two to the server");
    }

    #[test]
    fn sums_do_not_overflow_and_are_not_guessed() {
        assert_eq!(sum(&5.into(), &7.into()), Some(Bson::Int32(12)));
        assert_eq!(sum(&i32::MAX.into(), &1.into()), Some(Bson::Int64(2_147_483_648)));
        assert_eq!(sum(&5.into(), &0.5.into()), Some(Bson::Double(5.5)));
        assert_eq!(sum(&i64::MAX.into(), &1.into()), None);
        assert_eq!(sum(&1.into(), &"1".into()), None);
        assert_eq!(sum(&0.5.into(), &Bson::Decimal128("1".parse().unwrap())), None);
    }

    #[test]
    fn only_values_of_one_kind_have_an_order() {
        assert_eq!(compare(&1.into(), &2.5.into()), Some(Ordering::Less));
        assert_eq!(compare(&"b".into(), &"a".into()), Some(Ordering::Greater));
        assert_eq!(compare(&"b".into(), &1.into()), None);
        assert_eq!(compare(&Bson::Null, &1.into()), None);
    }
}
