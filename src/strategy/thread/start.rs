//! Starting a conversation: the thread of its participants is found or created, then the message is sent to it.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::super::session::{Failure, Session};
use super::{Found, KEY, Strategy, Threads, new_thread, stamp_in, title};
use crate::history::{OpId, ThreadKind, thread_key};

/// A conversation to start.
struct Start<'a> {
    op: OpId,
    kind: ThreadKind,
    caller: &'a str,
    /// With the caller, sorted.
    members: Vec<&'a str>,
    key: String,
}

impl Threads {
    /// Sends a message to the thread of exactly these participants, which is created if there is none. The caller is one
    /// of them, named or not.
    pub async fn start(
        &self,
        strategy: Strategy,
        op: OpId,
        kind: ThreadKind,
        caller: &str,
        participants: &[&str],
    ) -> Result<Found, Failure> {
        let found = self.open(strategy, op, kind, caller, participants).await?;
        if strategy == Strategy::LoserSilent && found.duplicate_key {
            return Ok(found);
        }
        let thread = found.document.get("_id").cloned().unwrap_or(Bson::Null);
        let sent = self.send(op, &thread, caller, "hello").await;
        sent.map_err(|failure| if found.created { failure.after_write() } else { failure })?;
        Ok(found)
    }

    /// The thread of exactly these participants, which is created if there is none.
    pub async fn open(
        &self,
        strategy: Strategy,
        op: OpId,
        kind: ThreadKind,
        caller: &str,
        participants: &[&str],
    ) -> Result<Found, Failure> {
        let mut members: Vec<&str> = participants.iter().copied().chain([caller]).collect();
        let key = match strategy {
            Strategy::UnsortedKey => format!("{kind}:{}", in_order_of_naming(&members).join(",")),
            _ => thread_key(kind, members.iter().copied()),
        };
        members.sort_unstable();
        members.dedup();
        if !kind.allows(members.len()) {
            return Err(Failure::refused(format!("a {kind} thread cannot have {}", title(members.len()))));
        }
        let start = Start { op, kind, caller, members, key };
        let mut session = self.session();
        match strategy {
            Strategy::LoserSilent => match start.find_then_insert(&mut session).await {
                Err(failure) => start.or_existing(&mut session, failure).await,
                result => result,
            },
            Strategy::FindThenInsert => start.find_then_insert(&mut session).await,
            Strategy::CreateThenFill => start.create_then_fill(&mut session).await,
            _ => start.upsert(&mut session).await,
        }
    }
}

/// The names, each once, where it was first named.
fn in_order_of_naming<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut once = Vec::new();
    for name in names {
        if !once.contains(name) {
            once.push(*name);
        }
    }
    once
}

impl Start<'_> {
    async fn find_then_insert(&self, session: &mut Session<'_>) -> Result<Found, Failure> {
        if let Some(document) = self.find(session).await? {
            return Ok(self.found(document));
        }
        let mut document = self.document();
        document.insert("_id", ObjectId::new());
        session.insert_one(&document).await?;
        Ok(self.found(document))
    }

    async fn create_then_fill(&self, session: &mut Session<'_>) -> Result<Found, Failure> {
        if let Some(document) = self.find(session).await? {
            return Ok(self.found(document));
        }
        let mut whole = self.document();
        whole.insert("_id", ObjectId::new());
        let mut half = whole.clone();
        half.insert("members", Bson::Array(Vec::new()));
        half.insert("title", title(0));
        if let Err(failure) = session.insert_one(&half).await {
            return self.or_existing(session, failure).await;
        }
        let fill = doc! { "$set": { "members": whole.get_array("members").cloned().unwrap_or_default(), "title": title(self.members.len()) } };
        let filled = session.modify(doc! { "_id": whole.get("_id").cloned() }, fill).await?;
        Ok(self.found(filled.unwrap_or(whole)))
    }

    async fn upsert(&self, session: &mut Session<'_>) -> Result<Found, Failure> {
        let mut fields = self.document();
        // The equality of the filter sets the key.
        fields.remove(KEY);
        match session.upsert(doc! { KEY: &self.key }, doc! { "$setOnInsert": fields }).await {
            Ok(document) => Ok(self.found(document)),
            Err(failure) => self.or_existing(session, failure).await,
        }
    }

    /// Answers a duplicate-key error on the key with the thread that exists; any other error is passed on.
    async fn or_existing(&self, session: &mut Session<'_>, failure: Failure) -> Result<Found, Failure> {
        if !failure.is_duplicate_key_on(KEY) {
            return Err(failure);
        }
        match self.find(session).await? {
            Some(document) => Ok(Found { duplicate_key: true, ..self.found(document) }),
            // It was expanded in between, and no longer is the thread of these participants.
            None => Err(session.give_up("the key was taken, and then no thread had it")),
        }
    }

    async fn find(&self, session: &mut Session<'_>) -> Result<Option<Document>, Failure> {
        session.find_one(doc! { KEY: &self.key }).await
    }

    fn document(&self) -> Document {
        new_thread(self.kind, &self.key, self.caller, &self.members, Some(self.op))
    }

    fn found(&self, document: Document) -> Found {
        let created = stamp_in(&document, "createdByOp") == Some(self.op);
        Found { document, created, duplicate_key: false }
    }
}
