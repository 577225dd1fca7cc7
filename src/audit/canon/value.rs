//! One value as bytes that are equal exactly where a unique index takes the values as one.

use mongodb::bson::{RawBsonRef, RawDocument};

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
