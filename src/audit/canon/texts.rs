//! How text is compared: as it is, or as a collation has it.

use mongodb::bson::RawBsonRef;
use rustc_hash::{FxHashMap, FxHashSet};

/// How text is compared.
#[derive(Debug, Clone, Copy)]
pub(in crate::audit) enum Texts<'a> {
    /// Byte by byte.
    Exact,
    /// By what the server said: texts of one number are one to the collation. Numbers hold for one question only.
    Classes(&'a FxHashMap<String, u32>),
}

impl Texts<'_> {
    /// Appends what stands for the text. One that the server was not asked about stands for itself.
    pub(super) fn push(self, text: &str, bytes: &mut Vec<u8>) {
        let class = match self {
            Texts::Exact => None,
            Texts::Classes(classes) => classes.get(text),
        };
        match class {
            Some(class) => {
                bytes.push(1);
                bytes.extend(class.to_be_bytes());
            }
            None => {
                bytes.push(0);
                bytes.extend((text.len() as u64).to_be_bytes());
                bytes.extend(text.as_bytes());
            }
        }
    }
}

/// Adds the texts within a value that a collation applies to. Names of fields and symbols are not among them.
pub(in crate::audit) fn texts_of(value: RawBsonRef<'_>, texts: &mut FxHashSet<String>) {
    match value {
        RawBsonRef::String(text) if !texts.contains(text) => {
            texts.insert(text.to_owned());
        }
        RawBsonRef::Document(document) => {
            document.iter().flatten().for_each(|(_, value)| texts_of(value, texts));
        }
        RawBsonRef::Array(array) => array.into_iter().flatten().for_each(|value| texts_of(value, texts)),
        _ => {}
    }
}
