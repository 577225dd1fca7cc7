//! The embedded server, for real: started, used, killed, stopped.

use mongodb::Client;
use mongodb::bson::doc;
use onlyone::mongod::{Mongod, Options};
use onlyone::scenario::MongodSpec;

fn options(replica_set: u8) -> Options {
    Options::new(MongodSpec { replica_set, test_commands: false })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standalone_server_starts_answers_and_leaves_nothing() {
    let mongod = Mongod::start(&options(0)).await.unwrap();
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    client.database("test").collection("c").insert_one(doc! { "_id": 1 }).await.unwrap();
    assert_eq!(mongod.members().len(), 1);
    let dir = mongod.dir().to_owned();
    assert!(dir.exists());
    mongod.stop().await.unwrap();
    assert!(!dir.exists());
}
