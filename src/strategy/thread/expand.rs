//! Expanding a thread: the same thread, more participants, another key and title.

use mongodb::bson::{Bson, Document, doc};

use super::super::session::{Failure, Session};
use super::super::stamp;
use super::{KEY, SAME_SET, Strategy, Threads, UNREAD, is_admin, member_names, not_an_admin, stamp_in, title};
use crate::history::{OpId, ThreadKind, thread_key};

/// A thread after its expansion.
#[derive(Debug, Clone)]
pub struct Expanded {
    /// The document.
    pub document: Document,
    /// Those whom this operation added.
    pub added: Vec<String>,
}

/// An expansion to carry out.
#[derive(Clone, Copy)]
struct Expand<'a> {
    op: OpId,
    caller: &'a str,
    thread: &'a Bson,
    participants: &'a [&'a str],
}

impl Threads {
    /// How often an expansion whose thread has changed is tried again.
    const TRIES: u32 = 100;

    /// Adds participants to a group.
    pub async fn expand(
        &self,
        strategy: Strategy,
        op: OpId,
        caller: &str,
        thread: &Bson,
        participants: &[&str],
    ) -> Result<Expanded, Failure> {
        let expand = Expand { op, caller, thread, participants };
        let mut session = self.session();
        let expanded = match strategy {
            Strategy::MembersPush => expand.push(&mut session).await,
            Strategy::MembersOverwrite => expand.overwrite(&mut session).await,
            Strategy::MembersVersioned => expand.versioned(&mut session, Self::TRIES).await,
            Strategy::RecomputeKey => expand.recompute_key(&mut session).await,
            Strategy::AuthoriseThenAct => expand.authorise_then_act(&mut session).await,
            Strategy::NoAuthorisation => expand.atomic(&mut session, expand.anybody()).await,
            _ => expand.atomic(&mut session, expand.by_admin()).await,
        };
        match expanded {
            Ok(document) => Ok(Expanded { added: added(&document, op), document }),
            // Two threads never have the same participants: the expansion would make a second one.
            Err(failure) if failure.is_duplicate_key_on(KEY) && !failure.after_write => Err(Failure::refused(SAME_SET)),
            Err(failure) => Err(failure),
        }
    }
}

/// The members that carry the stamp of this operation.
fn added(document: &Document, op: OpId) -> Vec<String> {
    let members = document.get_array("members").map(Vec::as_slice).unwrap_or_default();
    let own = members.iter().filter_map(Bson::as_document).filter(|member| stamp_in(member, "addedByOp") == Some(op));
    own.filter_map(|member| member.get_str("user").ok()).map(str::to_owned).collect()
}

impl Expand<'_> {
    /// One update: who is missing is worked out within it, and the key and the title with it.
    async fn atomic(&self, session: &mut Session<'_>, filter: Document) -> Result<Document, Failure> {
        let missing = doc! { "$filter": { "input": self.members(), "as": "new", "cond": { "$not": [ { "$in": ["$$new.user", "$members.user"] } ] } } };
        self.grow(session, filter, missing).await
    }

    /// Who is missing is worked out before the update.
    async fn push(&self, session: &mut Session<'_>) -> Result<Document, Failure> {
        let present = self.authorised(session).await?;
        let missing: Vec<&str> =
            self.participants.iter().copied().filter(|user| !member_names(&present).contains(user)).collect();
        let expand = Expand { participants: &missing, ..*self };
        let missing = expand.members();
        self.grow(session, self.by_admin(), missing).await
    }

    /// Who may do it is worked out before the update.
    async fn authorise_then_act(&self, session: &mut Session<'_>) -> Result<Document, Failure> {
        self.authorised(session).await?;
        self.atomic(session, self.anybody()).await
    }

    async fn overwrite(&self, session: &mut Session<'_>) -> Result<Document, Failure> {
        let present = self.authorised(session).await?;
        session.modify(self.by_admin(), self.rewrite(&present)).await?.ok_or_else(not_an_admin)
    }

    /// Writes only if the key is still the one that was read: it changes with every member.
    async fn versioned(&self, session: &mut Session<'_>, tries: u32) -> Result<Document, Failure> {
        for _ in 0..tries {
            let present = self.authorised(session).await?;
            let mut filter = self.by_admin();
            filter.insert(KEY, present.get(KEY).cloned());
            if let Some(document) = session.modify(filter, self.rewrite(&present)).await? {
                return Ok(document);
            }
        }
        Err(session.give_up("the thread changed at every try"))
    }

    /// Members first, the key after.
    async fn recompute_key(&self, session: &mut Session<'_>) -> Result<Document, Failure> {
        let missing = doc! { "$filter": { "input": self.members(), "as": "new", "cond": { "$not": [ { "$in": ["$$new.user", "$members.user"] } ] } } };
        let stages = vec![self.add(missing.into())];
        session.modify(self.by_admin(), stages).await?.ok_or_else(not_an_admin)?;
        let present = session.find_one(self.anybody()).await?.ok_or_else(not_an_admin)?;
        let members = member_names(&present);
        let renamed = doc! { "$set": { KEY: thread_key(ThreadKind::Group, members.iter().copied()), "title": title(members.len()) } };
        session.modify(self.anybody(), renamed).await?.ok_or_else(not_an_admin)
    }

    /// The thread, if the caller is one of its admins.
    async fn authorised(&self, session: &mut Session<'_>) -> Result<Document, Failure> {
        let present = session.find_one(self.anybody()).await?;
        present.filter(|present| is_admin(present, self.caller)).ok_or_else(not_an_admin)
    }

    async fn grow(
        &self,
        session: &mut Session<'_>,
        filter: Document,
        missing: impl Into<Bson>,
    ) -> Result<Document, Failure> {
        let users = doc! { "$setUnion": ["$members.user"] };
        let joined = doc! { "$reduce": {
            "input": { "$sortArray": { "input": users.clone(), "sortBy": 1 } },
            "initialValue": "",
            "in": { "$cond": [ { "$eq": ["$$value", ""] }, "$$this", { "$concat": ["$$value", ",", "$$this"] } ] },
        } };
        let named = doc! { "$set": {
            KEY: { "$concat": ["$type", ":", joined] },
            "title": { "$concat": [ { "$toString": { "$size": users } }, " participants" ] },
        } };
        session.modify(filter, vec![self.add(missing.into()), named]).await?.ok_or_else(not_an_admin)
    }

    /// The stage that adds members and notes the change.
    fn add(&self, missing: Bson) -> Document {
        doc! { "$set": {
            "members": { "$concatArrays": ["$members", missing] },
            "changes": { "$concatArrays": ["$changes", [stamp(self.op)]] },
            UNREAD: { "$add": [format!("${UNREAD}"), 1_i64] },
        } }
    }

    /// The whole members array, the key and the title, as they follow from what was read.
    fn rewrite(&self, present: &Document) -> Document {
        let mut members = present.get_array("members").cloned().unwrap_or_default();
        let names = member_names(present);
        let missing = self.participants.iter().filter(|user| !names.contains(user));
        members.extend(missing.map(|user| Bson::Document(self.member(user))));
        let users = members.iter().filter_map(|member| member.as_document()?.get_str("user").ok());
        let key = thread_key(ThreadKind::Group, users);
        doc! { "$set": { KEY: key, "title": title(members.len()), "members": members }, "$push": { "changes": stamp(self.op) }, "$inc": { UNREAD: 1_i64 } }
    }

    fn member(&self, user: &str) -> Document {
        doc! { "user": user, "addedByOp": stamp(self.op) }
    }

    /// The new members as a value that no name can turn into an expression.
    fn members(&self) -> Document {
        let members: Vec<Document> = self.participants.iter().map(|user| self.member(user)).collect();
        doc! { "$literal": members }
    }

    fn anybody(&self) -> Document {
        doc! { "_id": self.thread, "type": ThreadKind::Group.as_str() }
    }

    fn by_admin(&self) -> Document {
        doc! { "_id": self.thread, "type": ThreadKind::Group.as_str(), "admins": self.caller }
    }
}
