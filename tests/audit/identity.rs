//! What is one and what is not: filters, numbers, case, several fields, arrays, references, and what the indexes say of it.

use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Decimal128, Document, doc, oid::ObjectId};
use onlyone::audit::{Profile, RepairOptions, apply, plan};
use onlyone::report::{ActionKind, FindingKind};
use onlyone::verdict::Verdict;

use crate::support::{all, audited, contents, counts, server};

fn profile(text: &str) -> Profile {
    Profile::parse(text, "test").unwrap()
}

async fn fill(database: &Database, collection: &str, documents: impl IntoIterator<Item = Document>) {
    database.collection::<Document>(collection).insert_many(documents).await.unwrap();
}

async fn index(database: &Database, collection: &str, key: Document, options: Document) {
    let mut index = doc! { "key": key, "name": "key" };
    index.extend(options);
    database.run_command(doc! { "createIndexes": collection, "indexes": [index] }).await.unwrap();
}

fn voucher(code: &str, redeemed: Option<i64>) -> Document {
    doc! { "code": code, "redeemedAt": redeemed.map_or(Bson::Null, |day| DateTime::from_millis(day * 86_400_000).into()) }
}

#[tokio::test]
async fn what_a_partial_index_permits_is_neither_accused_nor_removed() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_vouchers");
    let plain = "name='vouchers'\ncollection='vouchers'\n[key]\nfield='code'\n";
    index(
        &database,
        "vouchers",
        doc! { "code": 1 },
        doc! { "unique": true, "partialFilterExpression": { "redeemedAt": null } },
    )
    .await;
    fill(&database, "vouchers", [voucher("A", Some(1)), voucher("A", Some(2)), voucher("A", None), voucher("B", None)])
        .await;
    let before = contents(&database).await;
    let found = audited(&database, &profile(plain)).await;
    assert_eq!((found.verdict(), counts(&found)), (Verdict::Holds, [].into()), "{found:?}");
    let add = "add `where = { redeemedAt = null }` to [key]";
    assert!(found.preflight.notes.iter().any(|note| note.contains(add)), "{:?}", found.preflight.notes);
    let options = RepairOptions::default();
    let done = apply(&database, &profile(plain), &options, "none").await.unwrap();
    assert_eq!((done.backup, done.actions.len()), (None, 0));
    assert_eq!(contents(&database).await, before);

    let said = audited(&database, &profile(&format!("{plain}where={{ redeemedAt = null }}"))).await;
    assert_eq!((said.verdict(), counts(&said)), (Verdict::Holds, [].into()), "{said:?}");
    let among_all = audited(&database, &profile(&format!("{plain}where={{}}"))).await;
    let expected = [(FindingKind::DuplicateKey, 2), (FindingKind::WeakIndex, 1)];
    assert_eq!(counts(&among_all), expected.into(), "the user has said that it is unique among all");

    // As soon as there is something to do, the profile must say what the index says.
    fill(&database, "vouchers", [doc! { "code": "C", "redeemedAt": null, "uses": [1, 1] }]).await;
    let before = contents(&database).await;
    let with_array = profile(&format!("{plain}[array]\nfield='uses'\nidentity='element'"));
    let refused = apply(&database, &with_array, &options, "refused").await.unwrap_err();
    assert!(refused.to_string().contains(add), "{refused}");
    assert_eq!(contents(&database).await, before);
    assert!(!database.list_collection_names().await.unwrap().iter().any(|name| name.contains("backup")));
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_key_is_unique_among_documents_that_match_where() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_where");
    let living = profile("name='v'\ncollection='vouchers'\n[key]\nfield='code'\nwhere={ redeemedAt = null }");
    fill(
        &database,
        "vouchers",
        [
            voucher("A", Some(1)),
            voucher("A", None),
            voucher("B", Some(1)),
            voucher("B", Some(2)),
            voucher("C", None),
            voucher("C", None),
            doc! { "code": "D" },
            doc! { "redeemedAt": DateTime::from_millis(1) },
        ],
    )
    .await;
    let found = audited(&database, &living).await;
    assert_eq!(counts(&found), [(FindingKind::DuplicateKey, 1), (FindingKind::MissingIndex, 1)].into());
    let done = apply(&database, &living, &RepairOptions::default(), "one").await.unwrap();
    assert_eq!(done.audited.verdict(), Verdict::Holds, "{done:?}");
    let codes: Vec<Document> = all(&database, "vouchers").await;
    assert_eq!(codes.len(), 7, "one document of C is gone");
    let vouchers = database.collection("vouchers");
    vouchers.insert_one(voucher("A", Some(3))).await.unwrap();
    vouchers.insert_one(voucher("A", None)).await.unwrap_err();
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn numbers_are_one_by_value_and_never_one_with_text() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_numbers");
    let limits = profile("name='limits'\ncollection='limits'\n[key]\nfield='level'");
    let half: Decimal128 = "0.50".parse().unwrap();
    let levels: Vec<Bson> =
        vec![7.into(), 7_i64.into(), 7.0.into(), 0.5.into(), half.into(), 0.0.into(), (-0.0).into()];
    fill(&database, "limits", levels.into_iter().map(|level| doc! { "level": level })).await;
    let found = audited(&database, &limits).await;
    assert_eq!(counts(&found), [(FindingKind::DuplicateKey, 4), (FindingKind::MissingIndex, 1)].into());
    let done = apply(&database, &limits, &RepairOptions::default(), "one").await.unwrap();
    assert_eq!(done.audited.verdict(), Verdict::Holds, "the index is built: {done:?}");
    assert_eq!(all(&database, "limits").await.len(), 3);

    let id = ObjectId::from_bytes([5; 12]);
    let apart: Vec<Bson> = vec![
        7.into(),
        "7".into(),
        "Int32 7".into(),
        true.into(),
        "true".into(),
        "Boolean true".into(),
        id.into(),
        id.to_hex().into(),
        0.1.into(),
        Bson::Decimal128("0.1".parse().unwrap()),
    ];
    database.collection::<Document>("limits").drop().await.unwrap();
    fill(&database, "limits", apart.into_iter().map(|level| doc! { "level": level })).await;
    assert_eq!(counts(&audited(&database, &limits).await), [(FindingKind::MissingIndex, 1)].into());
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn case_several_fields_and_elements_make_keys() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_shapes");
    let people = "name='people'\ncollection='people'\n[key]\nfield='mail'\n";
    let mails = ["ann@x.test", "Ann@X.test", "bob@x.test", "zoë@x.test", "zoe@x.test"];
    fill(&database, "people", mails.map(|mail| doc! { "mail": mail })).await;
    assert_eq!(audited(&database, &profile(people)).await.count(FindingKind::DuplicateKey), 0);
    let ignoring = profile(&format!("{people}ignore_case=true"));
    assert_eq!(audited(&database, &ignoring).await.count(FindingKind::DuplicateKey), 1);
    let letters = profile(&format!("{people}collation={{ locale='en', strength=1 }}"));
    assert_eq!(audited(&database, &letters).await.count(FindingKind::DuplicateKey), 2);
    let done = apply(&database, &ignoring, &RepairOptions::default(), "one").await.unwrap();
    assert_eq!(done.audited.verdict(), Verdict::Holds, "{done:?}");
    assert_eq!(all(&database, "people").await.len(), 4);
    database.collection("people").insert_one(doc! { "mail": "BOB@x.test" }).await.unwrap_err();

    let files = profile("name='files'\ncollection='files'\n[key]\nfield=['parent','name']");
    let file = |parent: Bson, name: &str| doc! { "parent": parent, "name": name };
    let rows =
        [file(1.into(), "a"), file(1.0.into(), "a"), file(2.into(), "a"), file(Bson::Null, "a"), doc! { "name": "a" }];
    fill(&database, "files", rows).await;
    let found = audited(&database, &files).await;
    assert_eq!(counts(&found), [(FindingKind::DuplicateKey, 2), (FindingKind::MissingIndex, 1)].into(), "{found:?}");

    let labels = profile("name='labels'\ncollection='labels'\n[key]\nfield='names'");
    fill(&database, "labels", [doc! { "names": ["x", "x", "y"] }, doc! { "names": ["y", "z"] }, doc! { "names": "w" }])
        .await;
    let found = audited(&database, &labels).await;
    assert_eq!(counts(&found), [(FindingKind::DuplicateKey, 1), (FindingKind::MissingIndex, 1)].into(), "{found:?}");
    let planned = plan(&database, &labels, &RepairOptions::default()).await.unwrap();
    assert!(planned.is_empty() && planned.left[0].contains("they are not the same thing"), "{planned:?}");

    let side_by_side = profile("name='files'\ncollection='grids'\n[key]\nfield=['rows','columns']");
    fill(&database, "grids", [doc! { "rows": [1], "columns": [2] }, doc! { "rows": 1, "columns": 2 }]).await;
    index(&database, "grids", doc! { "other": 1 }, doc! {}).await;
    let found = audited(&database, &side_by_side).await;
    assert!(found.reasons[0].contains("two arrays side by side"), "{found:?}");
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_filter_is_compared_by_the_collections_default_and_not_by_the_keys_collation() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_filtered");
    let people = profile(
        "name='people'\ncollection='people'\n[key]\nfield='mail'\nignore_case=true\nwhere={ status = { '$ne' = 'gone' } }",
    );
    let person = |mail: &str, status: &str| doc! { "mail": mail, "status": status };
    let rows = [("ann@x", "Gone"), ("Ann@x", "Gone"), ("bob@x", "gone"), ("Bob@x", "gone"), ("bob@x", "here")];
    fill(&database, "people", rows.map(|(mail, status)| person(mail, status))).await;
    assert_eq!(audited(&database, &people).await.count(FindingKind::DuplicateKey), 1, "those of `Gone`");
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_missing_key_is_a_finding_only_where_each_document_must_have_one() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_optional");
    let key = "name='n'\ncollection='cards'\n[key]\nfield='serial'\n";
    fill(&database, "cards", [doc! { "serial": "s" }, doc! {}, doc! {}, doc! { "serial": Bson::Null }]).await;
    let found = |lines: &str| {
        let profile = profile(&format!("{key}{lines}"));
        let database = database.clone();
        async move { counts(&audited(&database, &profile).await) }
    };
    let index_only = (FindingKind::MissingIndex, 1);
    assert_eq!(found("").await, [(FindingKind::MissingKey, 3), index_only].into());
    assert_eq!(found("required=false").await, [index_only].into(), "a sparse index lets in one explicit null");
    assert_eq!(found("required=false\nsparse=false").await, [(FindingKind::MissingKey, 2), index_only].into());
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn absent_references_are_no_orphans_and_arrays_are_looked_into() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_references");
    let crews = profile(
        "name='pilots'\ncollection='pilots'\n[key]\nfield='licence'\n\
         [[references]]\ncollection='flights'\nfield='captain'\n\
         [[references]]\ncollection='flights'\nfield='crew'\n\
         [[references]]\ncollection='flights'\nfield='seats.pilot'\n\
         [[references]]\ncollection='flights'\nfield='mentor'",
    );
    let [ann, gone] = [ObjectId::from_bytes([1; 12]), ObjectId::from_bytes([9; 12])];
    index(&database, "pilots", doc! { "licence": 1 }, doc! { "unique": true, "sparse": true }).await;
    fill(&database, "pilots", [doc! { "_id": ann, "licence": "l1" }, doc! { "_id": 7, "licence": "l2" }]).await;
    fill(
        &database,
        "flights",
        [
            doc! { "captain": ann, "crew": [ann, 7.0, ann.to_hex()], "seats": [{ "pilot": ann.to_hex() }, { "pilot": null }] },
            doc! { "captain": Bson::Null, "crew": [] },
            doc! { "title": "unmanned" },
        ],
    )
    .await;
    let found = audited(&database, &crews).await;
    assert_eq!((found.verdict(), counts(&found)), (Verdict::Holds, [].into()), "{found:?}");
    assert!(
        found.preflight.notes.iter().any(|note| note.contains("anything in `mentor`")),
        "{:?}",
        found.preflight.notes
    );
    fill(
        &database,
        "flights",
        [
            doc! { "crew": [ann, gone, gone] },
            doc! { "seats": [{ "pilot": 7_i64 }, { "pilot": gone.to_hex() }], "captain": "" },
        ],
    )
    .await;
    assert_eq!(audited(&database, &crews).await.count(FindingKind::Orphan), 2);
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn elements_are_known_by_themselves_or_counted_as_not_looked_at() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_elements");
    let of =
        |identity: &str| profile(&format!("name='m'\ncollection='lists'\n[array]\nfield='likes'\nidentity={identity}"));
    fill(&database, "lists", [doc! { "likes": ["u1", "u2", "u1", 3, 3.0, { "user": "u4" }, Bson::Null] }]).await;
    let found = audited(&database, &of("'element'")).await;
    assert_eq!(counts(&found), [(FindingKind::DuplicateElement, 2)].into());
    assert!(
        found.preflight.notes.iter().any(|note| note.starts_with("1 of 7 elements")),
        "{:?}",
        found.preflight.notes
    );
    let found = audited(&database, &of("[['user']]")).await;
    assert_eq!(found.verdict(), Verdict::Holds);
    assert!(
        found.preflight.notes.iter().any(|note| note.starts_with("6 of 7 elements")),
        "{:?}",
        found.preflight.notes
    );
    let found = audited(&database, &of("[['id']]")).await;
    assert_eq!(found.verdict(), Verdict::Inconclusive, "no element was looked at");
    let done = apply(&database, &of("'element'"), &RepairOptions::default(), "one").await.unwrap();
    assert_eq!(
        done.actions.iter().map(|action| (action.kind, action.count)).collect::<Vec<_>>(),
        [(ActionKind::Deduplicate, 2)]
    );
    let likes = all(&database, "lists").await[0].get_array("likes").unwrap().clone();
    assert_eq!(likes, [Bson::from("u1"), "u2".into(), 3.into(), doc! { "user": "u4" }.into(), Bson::Null]);
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn an_audit_counts_no_errors_of_its_own() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_counters");
    fill(&database, "chats", [doc! { "participantsKey": "a_b", "participants": ["a", "b"] }]).await;
    let profile = Profile::load("chats").unwrap();
    let first = audited(&database, &profile).await.counters;
    for _ in 0..3 {
        assert_eq!(audited(&database, &profile).await.counters, first);
    }
    assert!(first.user_errors.is_some(), "{first:?}");
    mongod.stop().await.unwrap();
}

/// A reference that is a document is no id: the profile is wrong, and not the database.
#[tokio::test]
async fn references_that_are_documents_are_no_orphans_unless_ids_are_documents() {
    let (mongod, client) = server().await;
    let pilots = |field: &str| {
        profile(&format!(
            "name='p'\ncollection='pilots'\n[key]\nfield='licence'\n[[references]]\ncollection='flights'\nfield='{field}'"
        ))
    };
    let database = client.database("onlyone_dbrefs");
    fill(&database, "pilots", [doc! { "_id": 1, "licence": "l1" }, doc! { "_id": 2, "licence": "l1" }]).await;
    fill(&database, "flights", [doc! { "by": { "$ref": "pilots", "$id": 2 } }, doc! { "by": 1 }]).await;
    let original = all(&database, "flights").await;
    let found = audited(&database, &pilots("by")).await;
    assert_eq!(found.count(FindingKind::Orphan), 0);
    let sentence = "1 references in `by` of `flights` are documents, and no `_id` of `pilots` is one: the profile must \
                    name the path to the id inside them, such as `by.$id`";
    assert_eq!(found.reasons, [sentence]);
    let refused = apply(&database, &pilots("by"), &RepairOptions::default(), "x").await.unwrap_err().to_string();
    assert!(refused.contains(sentence), "{refused}");
    assert_eq!((all(&database, "pilots").await.len(), all(&database, "flights").await), (2, original));
    let done = apply(&database, &pilots("by.$id"), &RepairOptions::default(), "y").await.unwrap();
    assert_eq!(done.audited.verdict(), Verdict::Holds, "{:?}", done.left);
    assert_eq!(all(&database, "flights").await[0].get_document("by").unwrap(), &doc! { "$ref": "pilots", "$id": 1 });

    let database = client.database("onlyone_ids_of_parts");
    fill(&database, "pilots", [doc! { "_id": { "a": 1 }, "licence": "l1" }]).await;
    fill(&database, "flights", [doc! { "by": { "a": 1 } }, doc! { "by": { "a": 2 } }]).await;
    let found = audited(&database, &pilots("by")).await;
    assert_eq!((found.count(FindingKind::Orphan), found.reasons), (1, vec![]));
    mongod.stop().await.unwrap();
}
