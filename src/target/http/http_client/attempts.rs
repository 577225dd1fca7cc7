//! The attempts of an operation: the first, and those after one that told nothing.

use std::sync::Arc;
use std::time::Instant;

use super::{HttpClient, Ready};
use crate::history::{Appended, Cause, Outcome, Returned, ThreadAnswer, Value};
use crate::target::Completion;

impl HttpClient {
    /// Sends, and as often again as the scenario says while there is no answer that tells.
    pub(super) async fn attempts(self: Arc<Self>, ready: Ready) -> Completion {
        if self.spec.retries == 0 {
            let mut ready = ready;
            // Nothing sends it again.
            let request = std::mem::take(&mut ready.request);
            let answer = self.send(request, ready.base).await;
            return self.completion(&ready, &answer, None);
        }
        match self.attempt(&ready).await {
            Outcome::Unknown(cause) => self.again(ready, cause, 1, None).await,
            outcome => Completion { outcome, connected: None, attempts: 1, answer: None },
        }
    }

    /// Further attempts after one that told nothing: it may have happened, whatever the later ones say.
    pub(super) async fn again(
        self: Arc<Self>,
        ready: Ready,
        mut doubt: Cause,
        made: u16,
        connected: Option<Instant>,
    ) -> Completion {
        let most = u16::try_from(self.spec.retries).unwrap_or(u16::MAX - 1) + 1;
        let mut attempts = made;
        while attempts < most {
            attempts += 1;
            match self.attempt(&ready).await {
                Outcome::Ok(value) => {
                    return Completion { outcome: Outcome::Ok(after_doubt(value)), connected, attempts, answer: None };
                }
                Outcome::Failed(cause) => {
                    // This one had no effect; an earlier one may have had.
                    return Completion { outcome: Outcome::Unknown(cause), connected, attempts, answer: None };
                }
                Outcome::Unknown(cause) => doubt = cause,
            }
        }
        Completion { outcome: Outcome::Unknown(doubt), connected, attempts, answer: None }
    }

    /// One attempt with its own time-out. It goes on after that: a request that is dropped may still happen.
    async fn attempt(self: &Arc<Self>, ready: &Ready) -> Outcome {
        let (client, request, base) = (Arc::clone(self), ready.request.clone(), ready.base);
        let sending = tokio::spawn(async move { client.send(request, base).await });
        match tokio::time::timeout(self.spec.timeout, sending).await {
            Ok(Ok(answer)) => self.completion(ready, &answer, None).outcome,
            Ok(Err(_)) => Outcome::Unknown(Cause::new("the harness's own task ended before the answer")),
            Err(_) => self.timed_out().outcome(&self.redactor),
        }
    }
}

/// An answer after an attempt that may have happened: "it existed" may mean what that attempt created.
fn after_doubt(value: Value) -> Value {
    match value {
        Value::Document(returned) if returned.created == Some(false) => {
            Value::Document(Returned { created: None, ..returned })
        }
        Value::Appended(Appended { session, position }) if session.created == Some(false) => {
            Value::Appended(Appended { session: Returned { created: None, ..session }, position })
        }
        Value::Thread(answer) => {
            // Whom this attempt did not add, or what it did not create, an earlier one may have.
            let created = answer.created.filter(|created| *created);
            Value::Thread(Box::new(ThreadAnswer { created, added: None, ..*answer }))
        }
        other => other,
    }
}
