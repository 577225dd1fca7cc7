//! The first answers of each operation, kept as they came: what the scenario says of answers is held against them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::answer::Answer;
use super::redactor::Redactor;
use crate::history::{Exchange, OpId};

/// Answers of one operation that are kept. The serial control comes first, so these are mostly of it.
const EACH: usize = 24;
/// Longest body that is kept whole.
const LONGEST: usize = 4096;

/// Answers that are kept.
#[derive(Debug)]
pub(super) struct Samples {
    kept: Mutex<BTreeMap<Arc<str>, Vec<Exchange>>>,
    /// How many more may be kept; with none left nobody waits for the lock.
    room: AtomicU64,
}

impl Samples {
    /// Room for the answers of so many operations.
    pub(super) fn new(operations: usize) -> Self {
        Samples { kept: Mutex::default(), room: AtomicU64::new((operations * EACH) as u64) }
    }

    /// Keeps an answer, if it is one of the first of its operation.
    pub(super) fn keep(&self, operation: &str, op: OpId, answer: &Answer, redactor: &Redactor) {
        if self.room.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.get(operation).is_some_and(|answers| answers.len() >= EACH) {
            return;
        }
        self.room.fetch_sub(1, Ordering::Relaxed);
        let exchange = self.exchange(operation, Some(op), answer, redactor);
        kept.entry(Arc::clone(&exchange.operation)).or_default().push(exchange);
    }

    /// An answer, without secrets.
    pub(super) fn exchange(&self, operation: &str, op: Option<OpId>, answer: &Answer, redactor: &Redactor) -> Exchange {
        let is_text = |byte: &u8| *byte >= b' ' || byte.is_ascii_whitespace();
        let body = match answer.body.iter().all(is_text) {
            true => redactor.clear(&String::from_utf8_lossy(&answer.body)),
            // Nothing for a terminal.
            false => format!("({} bytes that are no text)", answer.body.len()),
        };
        let end = body.char_indices().map(|(at, _)| at).find(|at| *at >= LONGEST);
        let cut = end.is_some();
        let body = end.map_or(body.clone(), |end| body[..end].to_owned());
        Exchange { operation: Arc::from(operation), op, status: answer.status, body, cut }
    }

    /// What was kept, operation by operation, in the order of their numbers.
    pub(super) fn all(&self) -> Vec<Exchange> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Exchange> = kept.values().flatten().cloned().collect();
        all.sort_by(|a, b| (&a.operation, a.op).cmp(&(&b.operation, b.op)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answers_of_each_operation_are_kept_without_secrets() {
        let samples = Samples::new(2);
        let redactor = Redactor::new(vec!["hunter2".into()]);
        let answer = |body: String| Answer { status: 200, body: body.into_bytes(), ..Answer::default() };
        for number in 0..2 * EACH as u64 {
            samples.keep("get", OpId(number), &answer(format!("{{\"n\":{number},\"p\":\"hunter2\"}}")), &redactor);
        }
        samples.keep("pack", OpId(98), &Answer { body: vec![0x1f, 0x8b, 8, 0, 0], ..answer(String::new()) }, &redactor);
        samples.keep("put", OpId(99), &answer("ü".repeat(LONGEST)), &redactor);
        let mut all = samples.all();
        let packed = all.iter().position(|exchange| &*exchange.operation == "pack").unwrap();
        assert_eq!(all.remove(packed).body, "(5 bytes that are no text)");
        assert_eq!(all.len(), EACH + 1);
        assert_eq!(all[0].body, "{\"n\":0,\"p\":\"***\"}");
        assert!(all[EACH].cut && all[EACH].body.len() <= LONGEST + 1, "{:?}", all[EACH]);
    }
}
