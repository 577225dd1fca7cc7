use futures::StreamExt;
use mongodb::{
    Client,
    bson::{Document, doc},
};
use onlyone::audit::*;
use std::time::Instant;
#[tokio::main]
async fn main() {
    let c = Client::with_uri_str("mongodb://127.0.0.1:27901").await.unwrap();
    let n: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let msgs: u64 = std::env::args().nth(2).unwrap().parse().unwrap();
    let db = c.database(&format!("onlyone_b{n}_{msgs}"));
    let mut p = Profile::load("chats").unwrap();
    p.references.clear();
    let t = Instant::now();
    match seed(&db, &p, &SeedSpec { documents: n, duplicates: n / 1000, messages: msgs, ..SeedSpec::default() }).await {
        Ok(s) => println!("{s:?} {:?}", t.elapsed()),
        Err(e) => println!("{e}"),
    }
    let coll = db.collection::<Document>("chats");
    for round in 0..3 {
        let t = Instant::now();
        let cur = coll
            .aggregate(vec![
                doc! {"$group": {"_id": "$participantsKey", "n": {"$sum": 1}}},
                doc! {"$match": {"n": {"$gt": 1}}},
            ])
            .allow_disk_use(true)
            .await
            .unwrap();
        let k = cur.count().await;
        println!("{round} $group plain {k} {:?}", t.elapsed());
        let t = Instant::now();
        let cur = coll
            .aggregate(vec![
                doc! {"$group": {"_id": "$participantsKey", "n": {"$sum": 1}, "ids": {"$push": "$_id"}}},
                doc! {"$match": {"n": {"$gt": 1}}},
            ])
            .allow_disk_use(true)
            .await
            .unwrap();
        let k = cur.count().await;
        println!("{round} $group ids {k} {:?}", t.elapsed());
        for (name, proj) in [
            ("whole", None),
            ("incl", Some(doc! {"participantsKey":1,"participants":1})),
            ("incl+size", Some(doc! {"participantsKey":1,"participants":1,"s":{"$bsonSize":"$$ROOT"}})),
            ("incl msgs", Some(doc! {"participantsKey":1,"participants":1,"messages._id":1,"messages.messageId":1})),
        ] {
            let t = Instant::now();
            let mut f = coll.find(doc! {}).batch_size(20_000);
            if let Some(p) = proj {
                f = f.projection(p);
            }
            let mut cur = f.batch().await.unwrap();
            let (tx, mut rx) = tokio::sync::mpsc::channel(2);
            tokio::spawn(async move {
                while let Some(b) = cur.next().await {
                    tx.send(b.unwrap()).await.unwrap();
                }
            });
            let (mut n, mut bytes) = (0, 0);
            while let Some(b) = rx.recv().await {
                for d in b.doc_slices().unwrap() {
                    let d = d.unwrap();
                    let d = d.as_document().unwrap();
                    bytes += d.as_bytes().len();
                    n += 1;
                }
            }
            println!("{round} {name} {n} {bytes} {:?}", t.elapsed());
        }
    }
}
