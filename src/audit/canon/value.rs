//! One value as bytes that are equal exactly where a unique index takes the values as one.

use mongodb::bson::{Bson, RawBson, RawBsonRef, RawDocument};

use super::Texts;
use super::number::Number;

/// Kinds of values that are never equal to each other.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    MinKey,
    Undefined,
    Null,
    Number,
    Text,
    Document,
    Array,
    Binary,
    ObjectId,
    Boolean,
    Date,
    Timestamp,
    Regex,
    DbPointer,
    Code,
    CodeWithScope,
    MaxKey,
}

/// Appends the value.
pub(in crate::audit) fn push(value: RawBsonRef<'_>, texts: Texts<'_>, bytes: &mut Vec<u8>) {
    let kind = kind(value);
    bytes.push(kind as u8);
    match value {
        RawBsonRef::Int32(number) => Number::Whole(number.into()).push(bytes),
        RawBsonRef::Int64(number) => Number::Whole(number).push(bytes),
        RawBsonRef::Double(number) => Number::from(number).push(bytes),
        RawBsonRef::Decimal128(number) => Number::from(number).push(bytes),
        RawBsonRef::String(text) => texts.push(text, bytes),
        // A collation does not apply to symbols, which are text otherwise.
        RawBsonRef::Symbol(text) => Texts::Exact.push(text, bytes),
        RawBsonRef::Document(document) => push_document(document, texts, bytes),
        RawBsonRef::Array(array) => {
            for value in array.into_iter().flatten() {
                bytes.push(1);
                push(value, texts, bytes);
            }
            bytes.push(0);
        }
        RawBsonRef::Binary(binary) => {
            bytes.push(binary.subtype.into());
            push_block(binary.bytes, bytes);
        }
        RawBsonRef::ObjectId(id) => bytes.extend(id.bytes()),
        RawBsonRef::Boolean(value) => bytes.push(value.into()),
        RawBsonRef::DateTime(date) => bytes.extend(date.timestamp_millis().to_be_bytes()),
        RawBsonRef::Timestamp(moment) => {
            bytes.extend(moment.time.to_be_bytes());
            bytes.extend(moment.increment.to_be_bytes());
        }
        RawBsonRef::RegularExpression(regex) => {
            push_block(regex.pattern.as_str().as_bytes(), bytes);
            push_block(regex.options.as_str().as_bytes(), bytes);
        }
        RawBsonRef::JavaScriptCode(code) => push_block(code.as_bytes(), bytes),
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            push_block(code.code.as_bytes(), bytes);
            push_document(code.scope, Texts::Exact, bytes);
        }
        // Its parts cannot be had one by one; its BSON is as good.
        RawBsonRef::DbPointer(_) => {
            let mut holder = mongodb::bson::RawDocumentBuf::new();
            holder.append(mongodb::bson::cstr!(""), value);
            push_block(holder.as_bytes(), bytes);
        }
        RawBsonRef::Null | RawBsonRef::Undefined | RawBsonRef::MinKey | RawBsonRef::MaxKey => {}
    }
}

/// The canonical bytes of a value, its text compared exactly; `None` if it cannot be written as BSON.
pub(in crate::audit) fn canonical(value: &Bson) -> Option<Vec<u8>> {
    let raw = RawBson::try_from(value.clone()).ok()?;
    let mut bytes = Vec::new();
    push(raw.as_raw_bson_ref(), Texts::Exact, &mut bytes);
    Some(bytes)
}

/// Whether a query takes the values as one: numbers of any type by value, everything else exactly.
pub(in crate::audit) fn same(left: &Bson, right: &Bson) -> bool {
    canonical(left).is_some_and(|left| canonical(right) == Some(left))
}

fn kind(value: RawBsonRef<'_>) -> Kind {
    match value {
        RawBsonRef::MinKey => Kind::MinKey,
        RawBsonRef::Undefined => Kind::Undefined,
        RawBsonRef::Null => Kind::Null,
        RawBsonRef::Int32(_) | RawBsonRef::Int64(_) | RawBsonRef::Double(_) | RawBsonRef::Decimal128(_) => Kind::Number,
        RawBsonRef::String(_) | RawBsonRef::Symbol(_) => Kind::Text,
        RawBsonRef::Document(_) => Kind::Document,
        RawBsonRef::Array(_) => Kind::Array,
        RawBsonRef::Binary(_) => Kind::Binary,
        RawBsonRef::ObjectId(_) => Kind::ObjectId,
        RawBsonRef::Boolean(_) => Kind::Boolean,
        RawBsonRef::DateTime(_) => Kind::Date,
        RawBsonRef::Timestamp(_) => Kind::Timestamp,
        RawBsonRef::RegularExpression(_) => Kind::Regex,
        RawBsonRef::DbPointer(_) => Kind::DbPointer,
        RawBsonRef::JavaScriptCode(_) => Kind::Code,
        RawBsonRef::JavaScriptCodeWithScope(_) => Kind::CodeWithScope,
        RawBsonRef::MaxKey => Kind::MaxKey,
    }
}

/// Fields in their order, which matters.
fn push_document(document: &RawDocument, texts: Texts<'_>, bytes: &mut Vec<u8>) {
    for (name, value) in document.iter().flatten() {
        bytes.push(1);
        push_block(name.as_str().as_bytes(), bytes);
        push(value, texts, bytes);
    }
    bytes.push(0);
}

fn push_block(block: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend((block.len() as u64).to_be_bytes());
    bytes.extend(block);
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let decimal: Bson = Bson::Decimal128("1.0".parse().unwrap());
        for (left, right, expected) in [
            (Bson::Int32(1), Bson::Int64(1), true),
            (Bson::Int32(1), Bson::Double(1.0), true),
            (Bson::Int64(1), decimal.clone(), true),
            (Bson::Int32(1), Bson::Double(1.5), false),
            (Bson::Int64(i64::MAX), Bson::Int64(i64::MAX - 1), false),
            (Bson::Double(0.1), Bson::Decimal128("0.1".parse().unwrap()), false),
            (Bson::Int64(9_007_199_254_740_993), Bson::Double(9_007_199_254_740_992.0), false),
            (Bson::Double(f64::NAN), Bson::Double(f64::NAN), true),
            (Bson::Int32(1), "1".into(), false),
            (Bson::Boolean(true), Bson::Int32(1), false),
            (doc! { "a": 1 }.into(), doc! { "a": 1.0 }.into(), true),
            (doc! { "a": 1 }.into(), doc! { "b": 1 }.into(), false),
            (vec![Bson::Int32(1)].into(), vec![Bson::Int64(1), Bson::Null].into(), false),
        ] {
            assert_eq!(same(&left, &right), expected, "{left} {right}");
        }
    }
}
