//! A server that was restarted, failed over or rolled back may have lost what it had acknowledged. What that explains is
//! told as that, and never held against the service or its strategy.
//!
//! *Soundness*: a result stays violated only where the documents that are there prove it by themselves: two where one may
//! be, a message that stands twice, an error that reached a caller. *Completeness*: a race that shows in answers alone is
//! not told from a loss in such a run.

use super::RunRecord;
use crate::verdict::{Invariant, InvariantResult, Verdict};

/// What happened to the server in the course of the run, in words.
pub(super) fn disturbed(record: &RunRecord) -> Option<String> {
    let before = record.server_before.as_ref()?;
    match (&record.server_after, &record.aborted) {
        (Some(after), _) => before.change(after),
        (None, why) => {
            let why = why.as_ref().or(record.observe_error.as_ref()).map_or("it did not answer in the end", |why| why);
            Some(format!("it is not known what became of the server: {why}"))
        }
    }
}

/// A result in the light of it.
pub(super) fn explained(result: InvariantResult, disturbed: Option<&str>) -> InvariantResult {
    let Some(disturbed) = disturbed.filter(|_| result.verdict == Verdict::Violated && !is_there(&result)) else {
        return result;
    };
    let why = format!("acknowledged data may have been lost, which is not the service's race: {disturbed}");
    InvariantResult { verdict: Verdict::Inconclusive, reason: Some(why), ..result }
}

/// Whether what is there proves the violation by itself.
pub(super) fn is_there(result: &InvariantResult) -> bool {
    match result.name {
        Invariant::ZeroDuplicates
        | Invariant::NoDuplicateMessages
        | Invariant::NoDuplicateElements
        | Invariant::NoLeakedErrors => true,
        Invariant::SingleDocument | Invariant::OneThreadPerSet => {
            result.witnesses.iter().any(|witness| witness.documents.len() > 1)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Witness;

    fn violated(name: Invariant, documents: usize) -> InvariantResult {
        let documents = vec![serde_json::json!({ "_id": 1 }); documents];
        let witness = Witness { key: "k".into(), operations: Vec::new(), documents, explanation: "wrong".into() };
        InvariantResult::new(name, 5, 1, vec![witness])
    }

    #[test]
    fn what_a_loss_explains_is_inconclusive_and_what_is_there_stays_violated() {
        for (name, documents, kept) in [
            (Invariant::SameId, 1, false),
            (Invariant::NoLostMessages, 1, false),
            (Invariant::SingleDocument, 0, false),
            (Invariant::SingleDocument, 2, true),
            (Invariant::ZeroDuplicates, 2, true),
            (Invariant::Custom("mine".into()), 1, false),
        ] {
            let told = explained(violated(name.clone(), documents), Some("term 1 → 2"));
            let expected = if kept { Verdict::Violated } else { Verdict::Inconclusive };
            assert_eq!(told.verdict, expected, "{name}");
            assert!(kept || told.reason.is_some_and(|reason| reason.contains("term 1 → 2")), "{name}");
            assert_eq!(explained(violated(name, documents), None).verdict, Verdict::Violated);
        }
    }
}
