//! The digest of a backup: SHA-256 of its documents, whatever their order.

use mongodb::bson::{Document, RawDocumentBuf, doc};
use sha2::{Digest as _, Sha256};

/// A sum over documents: the same for the same documents in any order.
#[derive(Debug, Clone, Default)]
pub(super) struct Digest {
    documents: u64,
    sum: [u64; 4],
}

impl Digest {
    /// Adds a document of a collection.
    pub(super) fn add(&mut self, collection: &str, document: &Document) {
        let framed = doc! { "collection": collection, "document": document };
        let bytes = RawDocumentBuf::try_from(&framed).map(RawDocumentBuf::into_bytes).unwrap_or_default();
        let hash = Sha256::digest(&bytes);
        for (sum, part) in self.sum.iter_mut().zip(hash.chunks_exact(8)) {
            let part = part.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
            *sum = sum.wrapping_add(part);
        }
        self.documents += 1;
    }

    /// As text.
    pub(super) fn text(&self) -> String {
        let parts: String = self.sum.iter().map(|part| format!("{part:016x}")).collect();
        format!("{}:{parts}", self.documents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_documents_and_not_their_order() {
        let digest = |documents: &[Document]| {
            let mut digest = Digest::default();
            documents.iter().for_each(|document| digest.add("c", document));
            digest.text()
        };
        let (one, two) = (doc! { "_id": 1, "a": 1 }, doc! { "_id": 2 });
        assert_eq!(digest(&[one.clone(), two.clone()]), digest(&[two.clone(), one.clone()]));
        assert_ne!(digest(std::slice::from_ref(&one)), digest(&[one.clone(), two]));
        assert_ne!(digest(&[one]), digest(&[doc! { "_id": 1, "a": 1_i64 }]));
    }
}
