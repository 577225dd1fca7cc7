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
    let arg = |n: usize| std::env::args().nth(n).unwrap();
    let db = c.database(&arg(1));
    let mut p = Profile::load("chats").unwrap();
    if arg(2) == "alone" {
        p.references.clear();
    }
    if let Ok(n) = arg(3).parse::<u64>() {
        if n > 0 {
            println!(
                "{:?}",
                seed(
                    &db,
                    &p,
                    &SeedSpec {
                        documents: n,
                        duplicates: n / 1000,
                        messages: arg(4).parse().unwrap(),
                        ..SeedSpec::default()
                    }
                )
                .await
            );
        }
    }
    let coll = db.collection::<Document>("chats");
    for round in 0..3 {
        let t = Instant::now();
        let a = audit(&db, &p, &AuditOptions::default()).await.unwrap();
        let audit_s = t.elapsed();
        let rss = std::fs::read_to_string("/proc/self/status")
            .unwrap()
            .lines()
            .find(|l| l.starts_with("VmHWM"))
            .unwrap()
            .to_owned();
        let t = Instant::now();
        let k = coll
            .aggregate(vec![
                doc! {"$group": {"_id": "$participantsKey", "n": {"$sum": 1}}},
                doc! {"$match": {"n": {"$gt": 1}}},
            ])
            .allow_disk_use(true)
            .await
            .unwrap()
            .count()
            .await;
        println!(
            "{round} audit {audit_s:?} group {:?} ratio {:.2} dup {} {k} {rss}",
            t.elapsed(),
            audit_s.as_secs_f64() / t.elapsed().as_secs_f64(),
            a.count(onlyone::report::FindingKind::DuplicateKey)
        );
    }
}
