//! What would make a repair fail late, looked at before the first write: rights, shards, room for the index.

use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

use super::RepairOptions;
use super::plan::Plan;
use crate::audit::Profile;
use crate::audit::error::{AuditError, Result, Step};
use crate::audit::inspect::is_router;

/// Indexes that a collection may have.
const MAX_INDEXES: usize = 64;

/// Refuses what the user may not do.
pub(super) async fn rights(
    database: &Database,
    profile: &Profile,
    options: &RepairOptions,
    backup: &str,
) -> Result<()> {
    let command = doc! { "connectionStatus": 1, "showPrivileges": true };
    let status = database.run_command(command).await.reading(database.name(), "read the user's rights")?;
    let Ok(info) = status.get_document("authInfo") else { return Ok(()) };
    let authenticated = info.get_array("authenticatedUsers").is_ok_and(|users| !users.is_empty());
    if !authenticated {
        return Ok(()); // The server asks nobody who they are.
    }
    let privileges: Vec<&Document> =
        info.get_array("authenticatedUserPrivileges").into_iter().flatten().filter_map(Bson::as_document).collect();
    let own = ["find", "update", "remove", "insert", "createIndex", "dropIndex"];
    let mut needed = vec![(profile.collection.as_str(), own.as_slice())];
    let others = if options.reference_indexes { &own[..] } else { &own[..4] };
    needed.extend(profile.references.iter().map(|reference| (reference.collection.as_str(), others)));
    needed.push((backup, &own[..4]));
    let missing = missing(&privileges, database.name(), &needed);
    if missing.is_empty() {
        return Ok(());
    }
    Err(AuditError::Forbidden { actions: missing, database: database.name().to_owned() })
}

/// The actions that no privilege allows.
fn missing(privileges: &[&Document], database: &str, needed: &[(&str, &[&str])]) -> Vec<String> {
    let covers = |resource: &Document, collection: &str| {
        let text = |field: &str| resource.get_str(field).ok();
        let any = |field: &str, name: &str| text(field).is_some_and(|found| found.is_empty() || found == name);
        resource.get_bool("anyResource").unwrap_or(false) || (any("db", database) && any("collection", collection))
    };
    let allows = |privilege: &&&Document, collection: &str, action: &str| {
        let actions = privilege.get_array("actions");
        privilege.get_document("resource").is_ok_and(|resource| covers(resource, collection))
            && actions.is_ok_and(|actions| actions.iter().any(|allowed| allowed.as_str() == Some(action)))
    };
    let mut missing = Vec::new();
    for (collection, actions) in needed {
        for action in *actions {
            if !privileges.iter().any(|privilege| allows(&privilege, collection, action)) {
                missing.push(format!("{action} in `{collection}`"));
            }
        }
    }
    missing.dedup();
    missing
}

/// Refuses a unique index that the collection has no room for, or that its shards cannot keep.
pub(super) async fn index(database: &Database, profile: &Profile, plan: &Plan) -> Result<()> {
    let Some(key) = profile.key.as_ref().filter(|_| plan.index.is_some()) else { return Ok(()) };
    if plan.audited.preflight.indexes.len() >= MAX_INDEXES {
        return Err(AuditError::Unsuitable {
            collection: profile.collection.clone(),
            kind: format!("at the server's limit of {MAX_INDEXES} indexes"),
            hint: "there must be room for the unique index; drop one that is not used".to_owned(),
        });
    }
    if !is_router(database).await? {
        return Ok(());
    }
    let collections = database.client().database("config").collection::<Document>("collections");
    let name = format!("{}.{}", database.name(), profile.collection);
    let found =
        collections.find_one(doc! { "_id": name }).await.reading("config", "read how the collection is sharded")?;
    match found.as_ref().and_then(|entry| entry.get_document("key").ok()) {
        Some(shard_key) if !is_prefix(shard_key, &key.field.all().iter().map(String::as_str).collect::<Vec<_>>()) => {
            Err(AuditError::Unsuitable {
                collection: profile.collection.clone(),
                kind: format!("sharded by {shard_key}"),
                hint: format!("a unique index of `{}` must begin with the shard key", key.field.all().join(", ")),
            })
        }
        _ => Ok(()),
    }
}

/// Whether an index of these fields begins with the shard key.
fn is_prefix(shard_key: &Document, fields: &[&str]) -> bool {
    shard_key.len() <= fields.len()
        && shard_key.iter().zip(fields).all(|((field, kind), own)| field == own && kind.as_str().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_looked_up_by_collection_database_and_everywhere() {
        let privilege =
            |resource: Document, actions: &[&str]| doc! { "resource": resource, "actions": actions.to_vec() };
        let needed: [(&str, &[&str]); 2] = [("users", &["find", "update"]), ("visits", &["find", "update"])];
        for (privileges, expected) in [
            (vec![privilege(doc! { "anyResource": true }, &["find", "update"])], 0),
            (vec![privilege(doc! { "db": "d", "collection": "" }, &["find", "update"])], 0),
            (vec![privilege(doc! { "db": "", "collection": "" }, &["find", "update"])], 0),
            (vec![privilege(doc! { "db": "d", "collection": "" }, &["find"])], 2),
            (vec![privilege(doc! { "db": "other", "collection": "" }, &["find", "update"])], 4),
            (
                vec![
                    privilege(doc! { "db": "d", "collection": "" }, &["find"]),
                    privilege(doc! { "db": "d", "collection": "users" }, &["update"]),
                ],
                1,
            ),
        ] {
            let privileges: Vec<&Document> = privileges.iter().collect();
            assert_eq!(missing(&privileges, "d", &needed).len(), expected, "{privileges:?}");
        }
    }

    #[test]
    fn a_unique_index_must_begin_with_the_shard_key() {
        assert!(is_prefix(&doc! { "key": 1 }, &["key"]));
        assert!(!is_prefix(&doc! { "key": "hashed" }, &["key"]));
        assert!(!is_prefix(&doc! { "region": 1 }, &["key"]));
        assert!(!is_prefix(&doc! { "key": 1, "region": 1 }, &["key"]));
    }
}
