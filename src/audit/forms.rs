//! The forms in which an id is referred to: as itself, or as text.

use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Bson, Uuid, oid::ObjectId};

/// The other form of an id, under which documents may refer to it: the text of an ObjectId, a UUID or a whole number,
/// and the other way round.
pub(super) fn other_form(id: &Bson) -> Option<Bson> {
    match id {
        Bson::ObjectId(id) => Some(id.to_hex().into()),
        Bson::Int32(number) => Some(number.to_string().into()),
        Bson::Int64(number) => Some(number.to_string().into()),
        Bson::Binary(binary) if binary.subtype == BinarySubtype::Uuid => {
            let bytes: [u8; 16] = binary.bytes.as_slice().try_into().ok()?;
            Some(Uuid::from_bytes(bytes).to_string().into())
        }
        Bson::String(text) => {
            meant(text).filter(|id| other_form(id).as_ref().and_then(Bson::as_str) == Some(text.as_str()))
        }
        _ => None,
    }
}

/// The id that a text may mean, if it is written as one: an ObjectId, a UUID or a whole number.
pub(super) fn meant(text: &str) -> Option<Bson> {
    match text.len() {
        24 => ObjectId::parse_str(text).ok().map(Bson::ObjectId),
        36 => Uuid::parse_str(text).ok().map(Bson::from),
        1..=20 => text.parse::<i64>().ok().filter(|number| number.to_string() == text).map(Bson::Int64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_means_the_id_that_it_is_the_other_form_of() {
        let uuid = Bson::from(Uuid::from_bytes([7; 16]));
        for id in [ObjectId::from_bytes([1; 12]).into(), Bson::Int64(-12), uuid] {
            let Some(Bson::String(text)) = other_form(&id) else { panic!("{id} has no text") };
            assert_eq!(meant(&text), Some(id.clone()));
            assert_eq!(other_form(&text.into()), Some(id));
        }
        assert_eq!(["", "007", "1.0", "ann", "99999999999999999999"].map(meant), [const { None }; 5]);
    }
}
