//! Random databases of every profile: what a repair plans, what it does, and what the oracle works out are the same, no
//! value is lost unsaid, and restoring brings everything back.
//!
//! 42 databases by default; `ONLYONE_TEST_DATABASES=200` or more for a longer run, `ONLYONE_TEST_SEED=N` for one.

mod make;
mod named;
mod specs;

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::Document;
use mongodb::{Client, Database};
use onlyone::audit::{RepairOptions, apply, plan, restore};
use onlyone::report::{ActionKind, RepairAction};
use serde_json::Value;

use crate::oracle::{Contents, Expected, Spec, exactly, expect, id};
use crate::support::{all, contents, exact, server};

/// Plan, repair, oracle and restoring of one database. `Err` says where they differ.
async fn held(client: &Client, kind: u64, documents: &Contents) -> Result<Seen, String> {
    let database = client.database("onlyone_generated");
    database.drop().await.unwrap();
    let (profile, spec) = specs::profile(kind);
    for (collection, documents) in documents.iter().filter(|(_, documents)| !documents.is_empty()) {
        database.collection::<Document>(collection).insert_many(documents).await.unwrap();
    }
    let original = contents(&database).await;
    let before = read(&database, &spec).await;
    let expected = expect(&spec, &before);
    let options = RepairOptions::default();
    let planned = plan(&database, &profile, &options).await.map_err(|error| error.to_string())?;
    same("a plan writes nothing", &contents(&database).await, &original)?;
    let actions = planned.actions();
    of_plan(&actions, &spec, &expected).map_err(|why| format!("plan: {why}"))?;
    named::nothing_is_lost(&spec, &before, &expected, &actions)?;
    let done = apply(&database, &profile, &options, "g").await.map_err(|error| error.to_string())?;
    same("what was done, and what was planned", &done.actions, &actions)?;
    let sorted = |left: &[String]| left.iter().cloned().collect::<BTreeSet<_>>();
    same("what is left, and what was to be", &sorted(&done.left), &sorted(&planned.left))?;
    let after = read(&database, &spec).await;
    for (collection, wanted) in &expected.contents {
        same(&format!("the documents of `{collection}`"), &after[collection], wanted)?;
        let odd = after[collection].iter().zip(wanted).find(|(found, wanted)| !as_stored(found, wanted));
        if let Some((found, wanted)) = odd {
            return Err(format!("in another form: {found}\nexpected: {wanted}"));
        }
    }
    if done.backup.is_some() {
        let restored = restore(&database, "g").await.map_err(|error| error.to_string())?;
        same("left by restoring", &(&restored.left, &restored.changed), &(&vec![], &vec![]))?;
        let restored = contents(&database).await;
        same("restored", &restored, &original)?;
        same("restored to the last byte", &exact(&restored), &exact(&original))?;
    }
    Ok(Seen {
        merged: expected.merged.len(),
        redirected: expected.redirected.values().sum(),
        twins: expected.twins.len(),
        keys: expected.keys.len(),
        cleaned: expected.cleaned.values().sum(),
        refused: planned.left.iter().filter(|left| left.contains("are not merged")).count(),
        lost: named::count(&actions),
    })
}

/// What there was to see, so that a run that saw nothing is no proof.
#[derive(Debug, Default)]
struct Seen {
    merged: usize,
    redirected: u64,
    twins: usize,
    keys: usize,
    cleaned: u64,
    refused: usize,
    lost: usize,
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:#?}\nexpected: {wanted:#?}")) }
}

fn as_stored(found: &Document, wanted: &Document) -> bool {
    found.iter().all(|(field, value)| wanted.get(field).is_some_and(|wanted| exactly(value, wanted)))
}

async fn read(database: &Database, spec: &Spec) -> Contents {
    let names: BTreeSet<&str> =
        spec.references.iter().map(|reference| reference.collection).chain([spec.collection]).collect();
    let mut contents = Contents::new();
    for name in names {
        contents.insert(name.to_owned(), all(database, name).await);
    }
    contents
}

/// Holds a plan against the oracle: every document, key, reference and element that it names.
fn of_plan(actions: &[RepairAction], spec: &Spec, expected: &Expected) -> Result<(), String> {
    let details =
        |kind: ActionKind| actions.iter().filter(move |action| action.kind == kind).flat_map(|action| &action.details);
    let merged: BTreeMap<String, String> = details(ActionKind::Merge)
        .map(|detail| (named::text(&detail["document"]), named::text(&detail["into"])))
        .collect();
    same("merged", &merged, &expected.merged)?;
    let (apart, own): (Vec<&Value>, Vec<&Value>) =
        details(ActionKind::Remove).partition(|detail| detail.get("collection").is_some());
    let own: BTreeSet<String> = own.iter().map(|detail| named::text(&detail["document"])).collect();
    same("removed", &own, &expected.merged.keys().cloned().collect())?;
    let apart: BTreeMap<(String, String), String> = apart
        .iter()
        .map(|detail| {
            ((named::text(&detail["collection"]), named::text(&detail["document"])), named::text(&detail["beside"]))
        })
        .collect();
    same("removed beside another", &apart, &expected.twins)?;
    let redirected: BTreeMap<(String, String, String), u64> = details(ActionKind::Redirect)
        .map(|detail| {
            let of = (named::text(&detail["collection"]), named::text(&detail["field"]), named::text(&detail["from"]));
            (of, detail["documents"].as_u64().unwrap())
        })
        .collect();
    same("redirected", &redirected, &expected.redirected)?;
    let keys: BTreeMap<String, String> = details(ActionKind::SetKey)
        .map(|detail| (named::text(&detail["document"]), named::text(&detail["key"])))
        .collect();
    same("keys", &keys, &expected.keys)?;
    let cleaned: BTreeMap<String, u64> = details(ActionKind::Deduplicate)
        .map(|detail| (named::text(&detail["document"]), detail["removed"].as_u64().unwrap()))
        .collect();
    same("cleaned", &cleaned, &expected.cleaned)?;
    let index = details(ActionKind::CreateIndex).count();
    same("indexes", &(index == 1), &(spec.key.is_some() && expected.index))
}

/// Takes documents away as long as it still fails, so that few are left to look at.
async fn smallest(client: &Client, kind: u64, documents: Contents, why: String) -> (Contents, String) {
    let (mut documents, mut why) = (documents, why);
    loop {
        let places: Vec<(String, usize)> = documents
            .iter()
            .flat_map(|(collection, documents)| (0..documents.len()).map(move |at| (collection.clone(), at)))
            .collect();
        let mut smaller = None;
        for (collection, at) in places {
            let mut fewer = documents.clone();
            fewer.get_mut(&collection).unwrap().remove(at);
            if let (false, Err(why)) = (fewer.values().all(Vec::is_empty), Box::pin(held(client, kind, &fewer)).await) {
                smaller = Some((fewer, why));
                break;
            }
        }
        match smaller {
            Some(found) => (documents, why) = found,
            None => return (documents, why),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planned_what_is_done_and_what_an_oracle_works_out_are_the_same() {
    let number = |name: &str| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let seeds: Vec<u64> = match number("ONLYONE_TEST_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("ONLYONE_TEST_DATABASES").unwrap_or(42)).collect(),
    };
    let (mongod, client) = server().await;
    let mut total = Seen::default();
    for seed in &seeds {
        let kind = seed % specs::KINDS;
        let documents = make::database(kind, *seed);
        match held(&client, kind, &documents).await {
            Ok(seen) => {
                total.merged += seen.merged;
                total.redirected += seen.redirected;
                total.twins += seen.twins;
                total.keys += seen.keys;
                total.cleaned += seen.cleaned;
                total.refused += seen.refused;
                total.lost += seen.lost;
            }
            Err(why) => {
                let (documents, why) = smallest(&client, kind, documents, why).await;
                let shown: Vec<String> = documents
                    .iter()
                    .flat_map(|(name, documents)| documents.iter().map(move |document| format!("{name}: {document}")))
                    .collect();
                panic!("seed {seed}, profile {kind}:\n{}\n{why}", shown.join("\n"));
            }
        }
    }
    println!("{} databases: {total:?}", seeds.len());
    if seeds.len() >= 42 {
        let Seen { merged, redirected, twins, keys, cleaned, refused, lost } = total;
        let some = [merged, redirected as usize, twins, keys, cleaned as usize, refused, lost];
        assert!(some.iter().all(|&some| some > 0), "too little was seen: {some:?}");
    }
    mongod.stop().await.unwrap();
}
