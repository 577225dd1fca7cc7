//! Tests of the proxy against a scripted peer: what passes, what parks, what is closed.

use std::time::Duration;

use mongodb::bson::{RawDocumentBuf, rawdoc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::super::gate::{Deliver, Release};
use super::super::wire::frame::tests::frame;
use super::super::wire::message::tests::msg;
use super::super::wire::{Frame, Message};
use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// A server that answers every frame with `answer`, numbered as the answer to it.
async fn server(answer: RawDocumentBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                while let Ok(Some(request)) = Frame::read(&mut socket).await {
                    let mut bytes = msg(0, &answer, &[]).bytes().to_vec();
                    bytes[8..12].copy_from_slice(&request.request_id().to_le_bytes());
                    socket.write_all(&bytes).await.unwrap();
                }
            });
        }
    });
    address
}

async fn proxied(answer: RawDocumentBuf) -> (Proxy, TcpStream) {
    let proxy = Proxy::start(&[server(answer).await]).await.unwrap();
    let client = TcpStream::connect(proxy.addresses()[0]).await.unwrap();
    (proxy, client)
}

async fn read(client: &mut TcpStream) -> Option<Frame> {
    timeout(DEADLINE, Frame::read(client)).await.expect("an answer in time").unwrap_or(None)
}

#[tokio::test]
async fn commands_pass_and_hello_is_rewritten() {
    let (proxy, mut client) = proxied(rawdoc! { "ok": 1, "me": "elsewhere:1", "compression": ["zlib"] }).await;
    let requests = [(rawdoc! { "ping": 1 }, false), (rawdoc! { "hello": 1 }, true), (rawdoc! { "isMaster": 1 }, true)];
    for (request, changed) in requests {
        client.write_all(msg(0, &request, &[]).bytes()).await.unwrap();
        let answer = read(&mut client).await.unwrap();
        let Message::Msg(answer) = Message::parse(&answer).unwrap() else { panic!("not a message") };
        assert_eq!(answer.document.get("compression").unwrap().is_none(), changed);
        assert_eq!(answer.document.get("me").unwrap().is_none(), changed);
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_parked_command_waits_for_its_release_and_its_answer_for_delivery() {
    let (proxy, mut client) = proxied(rawdoc! { "ok": 1, "n": 1 }).await;
    let (_events, mut events) = proxy.hold();
    client.write_all(msg(0, &rawdoc! { "insert": "chats", "$db": "app" }, &[]).bytes()).await.unwrap();
    let Some(Event::Parked(parked)) = timeout(DEADLINE, events.recv()).await.unwrap() else { panic!("not parked") };
    assert_eq!(parked.command.name, "insert");
    assert!(events.try_recv().is_err());
    parked.gate.send(Release::Forward).unwrap();
    let Some(Event::Replied(replied)) = timeout(DEADLINE, events.recv()).await.unwrap() else { panic!("no answer") };
    assert_eq!((replied.step, replied.reply.matched), (parked.step, Some(1)));
    replied.gate.send(Deliver::Forward).unwrap();
    assert!(read(&mut client).await.is_some());
    proxy.stop().await;
}

#[tokio::test]
async fn a_write_that_asks_for_no_answer_is_acknowledged_to_the_proxy_and_to_nobody_else() {
    let (proxy, mut client) = proxied(rawdoc! { "ok": 1, "n": 1 }).await;
    let (_events, mut events) = proxy.hold();
    let insert = rawdoc! { "insert": "hits", "$db": "app", "writeConcern": { "w": 0 } };
    client.write_all(msg(2, &insert, &[]).bytes()).await.unwrap();
    let Some(Event::Parked(parked)) = timeout(DEADLINE, events.recv()).await.unwrap() else { panic!("not parked") };
    assert!(!parked.command.answered);
    parked.gate.send(Release::Forward).unwrap();
    let Some(Event::Replied(replied)) = timeout(DEADLINE, events.recv()).await.unwrap() else { panic!("no answer") };
    assert_eq!((replied.step, replied.reply.matched), (parked.step, Some(1)));
    // Nobody waits for it, so that nothing comes of its delivery.
    assert!(replied.gate.send(Deliver::Forward).is_err());
    let mut ping = msg(0, &rawdoc! { "ping": 1, "$db": "admin" }, &[]).bytes().to_vec();
    ping[4] = 9;
    client.write_all(&ping).await.unwrap();
    let answer = read(&mut client).await.unwrap();
    assert_eq!(answer.response_to(), 9, "the first answer that the client sees is that to its ping");
    proxy.stop().await;
}

#[tokio::test]
async fn faults_close_the_connection_before_or_after_the_server_acted() {
    for drop_answer in [false, true] {
        let (proxy, mut client) = proxied(rawdoc! { "ok": 1, "n": 1 }).await;
        let (_events, mut events) = proxy.hold();
        client.write_all(msg(0, &rawdoc! { "insert": "chats", "$db": "app" }, &[]).bytes()).await.unwrap();
        let Some(Event::Parked(parked)) = timeout(DEADLINE, events.recv()).await.unwrap() else { panic!("not parked") };
        if drop_answer {
            parked.gate.send(Release::Forward).unwrap();
            let Some(Event::Replied(replied)) = timeout(DEADLINE, events.recv()).await.unwrap() else { panic!("none") };
            replied.gate.send(Deliver::Drop).unwrap();
        } else {
            parked.gate.send(Release::Reset).unwrap();
            assert!(matches!(timeout(DEADLINE, events.recv()).await.unwrap(), Some(Event::Lost { .. })));
        }
        assert!(read(&mut client).await.is_none());
        proxy.stop().await;
    }
}

#[tokio::test]
async fn everything_passes_when_nobody_schedules_any_more() {
    let (proxy, mut client) = proxied(rawdoc! { "ok": 1 }).await;
    let (_, events) = proxy.hold();
    client.write_all(msg(0, &rawdoc! { "find": "chats", "$db": "app" }, &[]).bytes()).await.unwrap();
    drop(events);
    assert!(read(&mut client).await.is_some());
    proxy.stop().await;
}

#[tokio::test]
async fn a_malformed_frame_closes_its_connection_and_no_other() {
    let (proxy, mut other) = proxied(rawdoc! { "ok": 1 }).await;
    for bytes in [frame(2099, b""), frame(2012, &[0; 9]), frame(2013, b"nonsense"), vec![255; 64]] {
        let mut client = TcpStream::connect(proxy.addresses()[0]).await.unwrap();
        client.write_all(&bytes).await.unwrap();
        let mut rest = Vec::new();
        // The peer may reset the connection, because it leaves bytes unread.
        let closed = timeout(DEADLINE, client.read_to_end(&mut rest)).await.expect("closed in time");
        assert!(closed.is_err() || rest.is_empty());
    }
    assert_eq!(proxy.complaints().values().sum::<u64>(), 4, "{:?}", proxy.complaints());
    other.write_all(msg(0, &rawdoc! { "ping": 1, "$db": "app" }, &[]).bytes()).await.unwrap();
    assert!(read(&mut other).await.is_some());
    proxy.stop().await;
}

#[tokio::test]
async fn hundreds_of_connections_are_served_at_once() {
    let (proxy, _) = proxied(rawdoc! { "ok": 1 }).await;
    let ping = msg(0, &rawdoc! { "ping": 1, "$db": "app" }, &[]);
    assert_eq!(proxy.connections(), 0, "who waits for one has none");
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut client = TcpStream::connect(proxy.addresses()[0]).await.unwrap();
        client.write_all(ping.bytes()).await.unwrap();
        clients.push(client);
    }
    for client in &mut clients {
        assert!(read(client).await.is_some());
    }
    assert_eq!(proxy.connections(), 200);
    proxy.stop().await;
}

#[tokio::test]
async fn the_connection_string_keeps_everything_but_the_servers() {
    let proxy = Proxy::start(&["db1:27017".to_owned(), "db2:27017".to_owned()]).await.unwrap();
    let hosts = proxy.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let cases = [
        ("mongodb://db1:27017", format!("mongodb://{hosts}")),
        ("mongodb://u:p%40@db1,db2/app?replicaSet=rs", format!("mongodb://u:p%40@{hosts}/app?replicaSet=rs")),
    ];
    for (given, expected) in cases {
        assert_eq!(proxy.uri(given).unwrap(), expected);
    }
    assert!(proxy.uri("mongodb+srv://x/").is_err());
    assert!(proxy.uri("mongodb://x/?tls=true").is_err());
    assert!(matches!(Proxy::start(&[]).await, Err(ProxyError::NoServer)));
}
