//! What the server tells besides the documents: counters, and how it looks a key up. Rights to either may be missing.

use mongodb::bson::{Bson, Document, doc};
use mongodb::{Collection, Database};

use crate::audit::KeySpec;
use crate::audit::error::{UNAUTHORIZED, code};

/// Counters since the server started, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Write conflicts that the server retried.
    pub write_conflicts: Option<i64>,
    /// Errors caused by requests; E11000 is among them.
    pub user_errors: Option<i64>,
    /// E11000 errors, on servers that count them.
    pub duplicate_keys: Option<i64>,
}

/// Reads the counters; an error is one sentence for the notes.
pub(super) async fn counters(database: &Database) -> Result<(Counters, Option<String>), String> {
    let admin = database.client().database("admin");
    let status = admin.run_command(doc! { "serverStatus": 1 }).await.map_err(|error| match code(&error) {
        Some(UNAUTHORIZED) => {
            "the counters of serverStatus were not read: they need the role `clusterMonitor`".to_owned()
        }
        _ => format!("the counters of serverStatus were not read (code {:?})", code(&error)),
    })?;
    let number = |path: &[&str]| integer(&status, path);
    let counters = Counters {
        write_conflicts: number(&["metrics", "operation", "writeConflicts"]),
        user_errors: number(&["asserts", "user"]),
        duplicate_keys: find_duplicate_keys(&status),
    };
    Ok((counters, status.get_str("version").ok().map(str::to_owned)))
}

fn integer(status: &Document, path: &[&str]) -> Option<i64> {
    let (last, outer) = path.split_last()?;
    let holder = outer.iter().try_fold(status, |document, field| document.get_document(field).ok())?;
    match holder.get(last)? {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}

/// Servers name the counter differently, and most have none.
fn find_duplicate_keys(status: &Document) -> Option<i64> {
    status.iter().find_map(|(field, value)| match value {
        Bson::Document(inner) => find_duplicate_keys(inner),
        _ if field.to_lowercase().contains("duplicatekey") => integer(status, &[field]),
        _ => None,
    })
}

/// How the server looks one key up: `IXSCAN participantsKey_1` or `COLLSCAN`.
pub(super) async fn lookup_plan(collection: &Collection<Document>, key: &KeySpec) -> Result<String, String> {
    let namespace = collection.namespace();
    let mut filter = key.filter().cloned().unwrap_or_default();
    filter.extend(key.field.all().iter().map(|field| (field.clone(), Bson::from("a_b"))));
    let mut find = doc! { "find": &namespace.coll, "filter": filter, "limit": 1 };
    if let Some(collation) = key.collation() {
        find.insert("collation", collation);
    }
    let command = doc! { "explain": find, "verbosity": "queryPlanner" };
    let database = collection.client().database(&namespace.db);
    let explained = database.run_command(command).await;
    let explained =
        explained.map_err(|error| format!("the plan of the lookup was not read (code {:?})", code(&error)))?;
    let plan = explained.get_document("queryPlanner").and_then(|planner| planner.get_document("winningPlan"));
    plan.ok().and_then(leaf).ok_or_else(|| "the plan of the lookup is of an unknown form".to_owned())
}

/// The stage that finds the documents: the innermost one that is a scan.
fn leaf(plan: &Document) -> Option<String> {
    if let Ok(stage @ ("IXSCAN" | "COLLSCAN" | "EOF" | "IDHACK" | "EXPRESS_IXSCAN")) = plan.get_str("stage") {
        return Some(match plan.get_str("indexName") {
            Ok(index) => format!("{stage} {index}"),
            Err(_) => stage.to_owned(),
        });
    }
    let shard = || plan.get_array("shards").ok()?.first()?.as_document()?.get_document("winningPlan").ok();
    let inner = ["inputStage", "queryPlan"].into_iter().find_map(|field| plan.get_document(field).ok());
    leaf(inner.or_else(shard)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_scan_is_the_plan() {
        let scan = doc! { "stage": "IXSCAN", "indexName": "k_1" };
        for (plan, expected) in [
            (scan.clone(), Some("IXSCAN k_1")),
            (
                doc! { "stage": "LIMIT", "inputStage": { "stage": "FETCH", "inputStage": scan.clone() } },
                Some("IXSCAN k_1"),
            ),
            (doc! { "queryPlan": { "stage": "COLLSCAN" }, "slotBasedPlan": {} }, Some("COLLSCAN")),
            (doc! { "stage": "SINGLE_SHARD", "shards": [{ "winningPlan": scan }] }, Some("IXSCAN k_1")),
            (doc! { "stage": "NEW" }, None),
        ] {
            assert_eq!(leaf(&plan).as_deref(), expected, "{plan}");
        }
    }

    #[test]
    fn a_counter_of_duplicate_keys_is_found_wherever_it_is() {
        let status = doc! { "metrics": { "operation": { "numDuplicateKeyErrors": 3_i64 } }, "asserts": { "user": 5 } };
        assert_eq!(find_duplicate_keys(&status), Some(3));
        assert_eq!(integer(&status, &["asserts", "user"]), Some(5));
        assert_eq!(find_duplicate_keys(&doc! { "metrics": {} }), None);
    }
}
