//! Threads as a service shows them. The main function is [`complete`].
//!
//! A service may keep no stamps: then it is not known who created a thread and who added a participant, and nothing is
//! claimed of it. Of a thread that the harness had started before the run it is known all the same.

use std::sync::Arc;

use serde_json::Value as Json;

use super::super::answer::stamp_of;
use super::super::http_client::is_own;
use crate::history::{
    Action, Conversation, DocumentSightings, Member, Observed, OpId, ThreadKind, ThreadState, family_of, thread_key,
};
use crate::scenario::{JsonPath, ThreadPaths};
use crate::workload::thread::{BASE, Class, POOL, participant};

/// The family that is asked for.
#[derive(Clone, Copy)]
pub(super) struct Family<'a> {
    /// Its key.
    pub(super) key: &'a Arc<str>,
    /// Its thread that was there before the run, if it has one.
    pub(super) given: Option<&'a str>,
}

/// A look-up for each set of participants that a thread of the family may have.
pub(super) fn look_ups(family: &str) -> Vec<Action> {
    let class = Class::of_family(family);
    let (kind, base, pool) = match class {
        Some(Class::Direct) => (ThreadKind::Direct, &BASE[..2], &[][..]),
        Some(Class::Group) => (ThreadKind::Group, &BASE[..], &[][..]),
        _ => (ThreadKind::Group, &BASE[..], &POOL[..]),
    };
    let sets = (0..1_u32 << pool.len()).map(|chosen| {
        let more = pool.iter().enumerate().filter(move |(at, _)| chosen >> at & 1 == 1).map(|(_, letter)| letter);
        let participants = base.iter().chain(more).map(|letter| participant(family, *letter)).collect();
        Conversation { kind, caller: participant(family, base[0]), participants }
    });
    sets.map(|conversation| Action::CheckExisting(Box::new(conversation))).collect()
}

/// Adds what a document says as a thread; whether it is one of the family.
pub(super) fn complete(
    observed: &mut Observed,
    paths: &ThreadPaths,
    family: Family<'_>,
    messages_hidden: bool,
    seen: &mut DocumentSightings,
) -> Result<bool, String> {
    let fields = &observed.fields;
    let is_given = family.given.is_some_and(|given| *given == *observed.id.to_string());
    let mut first = |setting: &'static str, path: &JsonPath| {
        let found = path.first(fields);
        seen.count(setting, &path.to_string(), found.is_some());
        found
    };
    let kind = first("observe.http.thread.kind", &paths.kind).and_then(kind);
    let kind = kind.ok_or_else(|| {
        format!("a thread of the key {} has neither `direct` nor `group` at {}", family.key, paths.kind)
    })?;
    let stamp = paths.stamp.as_ref().and_then(|path| first("observe.http.thread.stamp", path)).and_then(stamp_of);
    let title = paths.title.as_ref().and_then(|path| first("observe.http.thread.title", path));
    let count = paths.message_count.as_ref().and_then(|path| first("observe.http.thread.message_count", path));
    let owner = paths.owner.as_ref().and_then(|path| first("observe.http.thread.owner", path)).and_then(Json::as_str);
    let names = names(&paths.members, fields)?;
    seen.count("observe.http.thread.members", &paths.members.to_string(), !names.is_empty());
    let adders = adders(paths, fields, names.len())?;
    let someone = names.first().copied().or(owner);
    if someone.map(family_of) != Some(&**family.key) {
        return Ok(false);
    }
    let is_base = |name: &str| BASE.iter().any(|letter| *participant(family.key, *letter) == *name);
    let members = names.iter().zip(adders).map(|(name, stamp)| Member {
        user: Arc::from(*name),
        added_by: stamp.filter(|op| !is_own(*op)),
        adder_hidden: stamp.is_none() && !(is_given && is_base(name)),
    });
    let state = ThreadState {
        kind,
        members: members.collect(),
        // Whoever starts a thread is its admin, and this one was started by the harness.
        owner: owner.map(Arc::from).or_else(|| is_given.then(|| participant(family.key, BASE[0]))),
        admins: match &paths.admins {
            Some(path) => self::names(path, fields)?.into_iter().map(Arc::from).collect(),
            None => Vec::new(),
        },
        changes: None,
        title_count: title.and_then(number_in),
        unread: None,
        read: None,
        message_count: count.and_then(number_in),
        messages_hidden,
        creator_hidden: stamp.is_none() && !is_given,
    };
    observed.stored_key = Some(Arc::from(thread_key(kind, names.iter().copied())));
    observed.created_by = stamp.filter(|op| !is_own(*op));
    for message in &mut observed.messages {
        // Who is named in a thread is a participant, not a client of the harness.
        (message.sender, message.n) = (None, None);
    }
    observed.thread = Some(Box::new(state));
    Ok(true)
}

fn kind(value: &Json) -> Option<ThreadKind> {
    ThreadKind::parse(&value.as_str()?.to_ascii_lowercase())
}

/// The names that a path selects, or those of the list that it selects.
fn names<'j>(path: &JsonPath, fields: &'j Json) -> Result<Vec<&'j str>, String> {
    let name = |one: &'j Json| one.as_str().ok_or_else(|| format!("a thread has something else than names at {path}"));
    selected(path, fields).into_iter().map(name).collect()
}

/// What a path selects, or the list that it selects.
fn selected<'j>(path: &JsonPath, fields: &'j Json) -> Vec<&'j Json> {
    let selected = path.all(fields);
    match selected.as_slice() {
        [Json::Array(list)] => list.iter().collect(),
        _ => selected,
    }
}

/// Who added each of so many participants, as far as the thread tells.
fn adders(paths: &ThreadPaths, fields: &Json, members: usize) -> Result<Vec<Option<OpId>>, String> {
    let Some(path) = &paths.added_by else { return Ok(vec![None; members]) };
    let stamps = selected(path, fields);
    match stamps.len() == members {
        true => Ok(stamps.into_iter().map(stamp_of).collect()),
        false => Err(format!(
            "a thread has {members} participants at {}, and {} values at {path}",
            paths.members,
            stamps.len()
        )),
    }
}

/// The one number of a value: of a text, the only digits in it.
fn number_in(value: &Json) -> Option<u64> {
    let Json::String(text) = value else { return value.as_u64() };
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let number = numbers.next().and_then(|digits| digits.parse().ok());
    number.filter(|_| numbers.next().is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::Id;

    fn paths(added_by: Option<&str>, stamp: Option<&str>) -> ThreadPaths {
        let path = |text: &str| JsonPath::compile(text).unwrap();
        ThreadPaths {
            kind: path("$.type"),
            members: path("$.people[*].name"),
            added_by: added_by.map(path),
            owner: None,
            admins: None,
            stamp: stamp.map(path),
            title: Some(path("$.title")),
            message_count: None,
        }
    }

    fn shown(fields: &Json, paths: &ThreadPaths, given: Option<&str>) -> Result<Option<Observed>, String> {
        let key: Arc<str> = "r-p2x".into();
        let plain = crate::history::fixture::observed(Id::parse("t1"), Arc::clone(&key));
        let mut observed = Observed { fields: fields.clone(), ..plain };
        let family = Family { key: &key, given };
        let is_of_key = complete(&mut observed, paths, family, true, &mut DocumentSightings::default())?;
        Ok(is_of_key.then_some(observed))
    }

    #[test]
    fn a_thread_without_stamps_does_not_tell_who_made_it() {
        let fields = json!({ "type": "GROUP", "title": "Group (2)",
            "people": [{ "name": "r-p2x.a", "by": 7 }, { "name": "r-p2x.d", "by": null }] });
        let hidden = shown(&fields, &paths(None, None), None).unwrap().unwrap();
        let state = hidden.thread.unwrap();
        assert!(state.creator_hidden && state.members.iter().all(|member| member.adder_hidden));
        assert_eq!((state.title_count, hidden.stored_key.as_deref()), (Some(2), Some("group:r-p2x.a,r-p2x.d")));
        let stamped = shown(&fields, &paths(Some("$.people[*].by"), None), None).unwrap().unwrap().thread.unwrap();
        assert_eq!((stamped.members[0].added_by, stamped.members[0].adder_hidden), (Some(OpId(7)), false));
        assert!(stamped.members[1].adder_hidden, "no stamp is no proof that it was there before");
        let given = shown(&fields, &paths(None, None), Some("t1")).unwrap().unwrap().thread.unwrap();
        assert_eq!((given.creator_hidden, given.members[0].adder_hidden), (false, false));
        assert!(given.members[1].adder_hidden, "it joined later");
        assert_eq!(given.owner.as_deref(), Some("r-p2x.a"));
    }

    #[test]
    fn what_is_no_thread_of_the_family_is_left_and_what_cannot_be_read_is_an_error() {
        let other = json!({ "type": "group", "people": [{ "name": "r-p3g.a" }] });
        assert_eq!(shown(&other, &paths(None, None), None), Ok(None));
        let cases = [
            (json!({ "type": "circle", "people": [] }), "neither `direct` nor `group`"),
            (json!({ "type": "group", "people": [{ "name": 7 }] }), "something else than names"),
            (json!({ "type": "group", "people": [{ "name": "r-p2x.a" }] }), "1 participants"),
        ];
        for (fields, why) in cases {
            let error = shown(&fields, &paths(Some("$.people[*].by"), None), None).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn every_set_that_a_thread_of_the_family_may_have_is_looked_up() {
        for (family, sets) in [("r-p0d", 1), ("r-p1g", 1), ("r-p2x", 8), ("r-p3r", 8)] {
            assert_eq!(look_ups(family).len(), sets, "{family}");
        }
    }
}
