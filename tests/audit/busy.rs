//! A repair while fifty clients append to the same chats, judged by the harness's own checkers on the recorded history.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Collection, Database};
use onlyone::audit::{RepairOptions, apply};
use onlyone::checker::judge;
use onlyone::history::{
    Action, Appended, Cause, History, Id, Message, MessagePath, Observation, Observed, OpId, Operation, Outcome, Phase,
    Said, Source, Value, answer_to,
};
use onlyone::mongod::Mongod;
use onlyone::report::ActionKind;
use onlyone::scenario::MongodSpec;
use onlyone::strategy::append::{message_role, message_stamp};
use onlyone::verdict::{Invariant, InvariantResult, Verdict};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;

use crate::support::{all, profile, server};

/// What must hold of every message, whatever was repaired meanwhile.
const INVARIANTS: [Invariant; 9] = [
    Invariant::SingleDocument,
    Invariant::ZeroDuplicates,
    Invariant::NoLostMessages,
    Invariant::NoDuplicateMessages,
    Invariant::NoPhantomMessages,
    Invariant::AppendOrder,
    Invariant::PairAdjacent,
    Invariant::PayloadIntact,
    Invariant::NoLeakedErrors,
];

const CLIENTS: u32 = 50;
const PAIRS: usize = 12;
/// Documents of each pair: one is right, the others are duplicates.
const COPIES: usize = 3;

/// A chat as a client has it open.
#[derive(Debug, Clone)]
struct Chat {
    id: Bson,
    key: Arc<str>,
    people: [String; 2],
}

/// Numbers the operations, tells the time, and records.
struct Recorder {
    begun: Instant,
    next: AtomicU64,
    operations: Mutex<Vec<Operation>>,
}

impl Recorder {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap()
    }

    /// Appends a message and its answer by one push, as whoever `carry_out` says.
    async fn append<F: Future<Output = Result<(), Cause>>>(
        &self,
        (client, n): (u32, u32),
        chat: &Chat,
        carry_out: impl FnOnce([Document; 2]) -> F,
    ) {
        let id = OpId(self.next.fetch_add(1, Ordering::Relaxed));
        let text: Arc<str> = format!("client {client} says {n}").into();
        let said = Said { path: MessagePath::Text, sender: client, n, text, answered: true };
        let invoked = self.now();
        let pair = pair_of(id, &said, invoked);
        let outcome = match carry_out(pair).await {
            Ok(()) => Outcome::Ok(Value::Appended(Appended::default())),
            Err(cause) => Outcome::Unknown(cause),
        };
        let operation = Operation {
            id,
            client,
            round: n,
            phase: Phase::Main,
            key: Arc::clone(&chat.key),
            action: Action::Append(said),
            intended: invoked,
            invoked,
            connected: None,
            completed: self.now(),
            attempts: 1,
            outcome,
            late: None,
        };
        self.operations.lock().unwrap().push(operation);
    }

    fn history(&self) -> History {
        let mut operations = self.operations.lock().unwrap().clone();
        operations.sort_by_key(|operation| operation.id);
        History { operations, ..History::default() }
    }
}

/// The message and its answer, stamped with their operation, as the service stores them.
fn pair_of(op: OpId, said: &Said, now: u64) -> [Document; 2] {
    let number = i64::try_from(op.0).unwrap();
    let message = |role: &str, text: &str| {
        doc! {
            "messageId": format!("{op}-{role}"), "opId": number, "role": role, "text": text,
            "sender": i64::from(said.sender), "n": i64::from(said.n), "createdAt": i64::try_from(now).unwrap(),
        }
    };
    [message("user", &said.text), message("bot", &answer_to(&said.text))]
}

/// Makes the damaged database by recorded operations: several documents of each pair, the older ones without keys, and in
/// every third each message twice.
async fn damaged(recorder: &Recorder, chats: &Collection<Document>) -> Vec<Chat> {
    let mut made = Vec::new();
    for number in 0..PAIRS * COPIES {
        let pair = number % PAIRS;
        let people = [format!("user-{pair:03}"), format!("user-{:03}", pair + 500)];
        let chat =
            Chat { id: i32::try_from(number).unwrap().into(), key: people.join("_").into(), people: people.clone() };
        for n in 0..6 {
            recorder
                .append((1000, u32::try_from(number * 6 + n).unwrap()), &chat, async |elements| {
                    let elements =
                        if number % 3 == 0 { [elements.clone(), elements].concat() } else { elements.to_vec() };
                    let mut insert = doc! { "participants": people.to_vec(), "createdAt": number as i64 };
                    if number >= PAIRS {
                        insert.insert("participantsKey", &*chat.key);
                    }
                    let update = doc! { "$setOnInsert": insert, "$push": { "messages": { "$each": elements } } };
                    chats.update_one(doc! { "_id": &chat.id }, update).upsert(true).await.unwrap();
                    Ok(())
                })
                .await;
        }
        made.push(chat);
    }
    made
}

/// Pushes to the chat that the client has open; when it is gone, to the one that stands for the pair now.
async fn push(chats: &Collection<Document>, chat: &Chat, pair: [Document; 2]) -> Result<(), Cause> {
    let push = doc! { "$push": { "messages": { "$each": pair.to_vec() } } };
    let failed = |error: mongodb::error::Error| Cause::new(error.to_string());
    let mut open = doc! { "_id": &chat.id };
    for _ in 0..100 {
        if chats.update_one(open, push.clone()).await.map_err(failed)?.matched_count == 1 {
            return Ok(());
        }
        open = doc! { "participants": { "$all": chat.people.to_vec(), "$size": 2 } };
    }
    Err(Cause::new("the chat cannot be found"))
}

/// The final state as checkers see it.
async fn observed(database: &Database) -> Observation {
    let message = |element: &Bson| {
        let element = element.as_document().unwrap();
        let number = |field| u32::try_from(element.get_i64(field).unwrap()).unwrap();
        Message {
            op: message_stamp(element),
            role: message_role(element),
            text: element.get_str("text").unwrap().into(),
            sender: Some(number("sender")),
            n: Some(number("n")),
            sequence: None,
            identity: None,
        }
    };
    let documents = all(database, "chats").await;
    let mut documents: Vec<Observed> = documents
        .iter()
        .map(|document| {
            let people: Vec<&str> =
                document.get_array("participants").unwrap().iter().map(|person| person.as_str().unwrap()).collect();
            Observed {
                id: Id::parse(&document.get("_id").unwrap().to_string()),
                key: people.join("_").into(),
                stored_key: document.get_str("participantsKey").ok().map(Arc::from),
                created_by: None,
                missing: Vec::new(),
                messages: document.get_array("messages").unwrap().iter().map(message).collect(),
                last_message: None,
                thread: None,
                fields: serde_json::Value::Null,
            }
        })
        .collect();
    documents.sort_by(|left, right| (&left.key, &left.id).cmp(&(&right.key, &right.id)));
    Observation { source: Source::Mongo, quiescent: true, documents, ..Observation::default() }
}

fn names(results: &[InvariantResult], verdict: Verdict) -> Vec<String> {
    results.iter().filter(|result| result.verdict == verdict).map(|result| result.name.to_string()).collect()
}

/// Clients that append until told to stop, each to any chat.
fn spawn_clients(
    recorder: &Arc<Recorder>,
    chats: &[Chat],
    writers: &Collection<Document>,
    stop: &Arc<AtomicBool>,
) -> Vec<JoinHandle<u32>> {
    let client = |client: u32| {
        let (recorder, chats, writers, stop) =
            (Arc::clone(recorder), chats.to_vec(), writers.clone(), Arc::clone(stop));
        tokio::spawn(async move {
            let mut random = ChaCha8Rng::seed_from_u64(client.into());
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                let chat = &chats[random.random_range(0..chats.len())];
                recorder.append((client, n), chat, |pair| push(&writers, chat, pair)).await;
                n += 1;
                // People pause between messages.
                tokio::time::sleep(Duration::from_millis(random.random_range(0..200))).await;
            }
            n
        })
    };
    (0..CLIENTS).map(client).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fifty_clients_append_during_a_repair_is_judged_by_the_checkers() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_judged");
    let recorder = Arc::new(Recorder { begun: Instant::now(), next: AtomicU64::new(0), operations: Mutex::default() });
    let chats = damaged(&recorder, &database.collection("chats")).await;
    let judged = async || judge(&recorder.history(), Some(&observed(&database).await), Phase::Main, &INVARIANTS);
    let before = judged().await;
    let broken = ["single-document", "zero-duplicates", "no-duplicate-messages", "append-order"];
    assert_eq!(names(&before, Verdict::Holds).len(), INVARIANTS.len() - broken.len());
    assert!(broken.iter().all(|name| !names(&before, Verdict::Holds).contains(&(*name).to_owned())), "{before:?}");

    let mut options = ClientOptions::parse(mongod.uri()).await.unwrap();
    options.max_pool_size = Some(CLIENTS + 10);
    let writers = Client::with_options(options).unwrap().database("onlyone_judged").collection("chats");
    let stop = Arc::new(AtomicBool::new(false));
    let clients = spawn_clients(&recorder, &chats, &writers, &stop);
    let begun = recorder.operations.lock().unwrap().len();
    let done = apply(&database, &profile("chats"), &RepairOptions::default(), "busy").await.unwrap();
    let meanwhile = recorder.operations.lock().unwrap().len() - begun;
    let busy = clients.iter().filter(|client| !client.is_finished()).count();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(busy, CLIENTS as usize, "the repair ended while they wrote");
    assert!(meanwhile >= CLIENTS as usize, "only {meanwhile} appends during the repair");
    assert!(done.actions.iter().any(|action| action.kind == ActionKind::Merge && action.count > 0));
    // What kept changing, if anything did, can be repaired now.
    let settled = apply(&database, &profile("chats"), &RepairOptions::default(), "calm").await.unwrap();
    assert_eq!((settled.audited.verdict(), settled.left), (Verdict::Holds, vec![]));

    let after = judged().await;
    let witness = after.iter().flat_map(|result| &result.witnesses).next();
    assert_eq!(names(&after, Verdict::Holds).len(), INVARIANTS.len(), "{witness:#?}");
    let messages = after.iter().find(|result| result.name == Invariant::NoLostMessages).unwrap();
    assert_eq!(messages.checked, recorder.operations.lock().unwrap().len() as u64, "each append was judged");
    mongod.stop().await.unwrap();
}

/// Edits the first message of every document, over and over.
async fn edit(chats: Collection<Document>, stop: Arc<AtomicBool>) {
    let mut edits = 0_i64;
    while !stop.load(Ordering::Relaxed) {
        edits += 1;
        chats.update_many(doc! {}, doc! { "$set": { "messages.0.edited": edits } }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_of_documents_that_never_rest_ends_and_leaves_them() {
    let spec = MongodSpec { replica_set: 0, test_commands: true };
    let mongod = Mongod::start(&onlyone::mongod::Options::new(spec)).await.unwrap();
    let open = async |name: &str| {
        let mut options = ClientOptions::parse(mongod.uri()).await.unwrap();
        options.app_name = Some(name.to_owned());
        Client::with_options(options).unwrap().database("onlyone_restless")
    };
    let (slow, editor) = (open("slow").await, open("editor").await);
    let recorder = Recorder { begun: Instant::now(), next: AtomicU64::new(0), operations: Mutex::default() };
    damaged(&recorder, &slow.collection("chats")).await;
    let stop = Arc::new(AtomicBool::new(false));
    let editing = tokio::spawn(edit(editor.collection("chats"), Arc::clone(&stop)));
    // Between reading a document and writing it the repair waits, so that there is an edit each time.
    let data = doc! {
        "failCommands": ["update", "delete"], "blockConnection": true, "blockTimeMS": 40, "appName": "slow",
    };
    let admin = editor.client().database("admin");
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data }).await.unwrap();
    let options = RepairOptions { attempts: 2, ..RepairOptions::default() };
    let done = apply(&slow, &profile("chats"), &options, "restless").await.unwrap();
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    editing.await.unwrap();
    assert_eq!(done.audited.verdict(), Verdict::Violated, "what is left is still wrong");
    for what in ["be merged into", "have its array cleaned"] {
        let left = |sentence: &&String| sentence.contains("kept changing") && sentence.contains(what);
        assert!(done.left.iter().find(left).is_some(), "{what}: {:?}", done.left);
    }
    assert_eq!(all(&slow, "chats").await.len(), PAIRS * COPIES, "none is removed");

    let settled = apply(&slow, &profile("chats"), &RepairOptions::default(), "calm").await.unwrap();
    assert_eq!((settled.audited.verdict(), settled.left), (Verdict::Holds, vec![]));
    let after = judge(&recorder.history(), Some(&observed(&slow).await), Phase::Main, &INVARIANTS);
    let witness = after.iter().flat_map(|result| &result.witnesses).next();
    assert_eq!(names(&after, Verdict::Holds).len(), INVARIANTS.len(), "{witness:#?}");
    mongod.stop().await.unwrap();
}
