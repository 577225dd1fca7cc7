//! A run that is followed: a page, events, metrics.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use super::harness::{Harness, SHORT, scenario};

/// Long enough to be looked at, and ended by its own time.
const STEADY: &str = "[load.closed]\nclients = 4\nduration = \"3s\"\nkeys = { uniform = { count = 50 } }";

/// What a server on this machine answers.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The address after this word on a line of stderr.
fn address(lines: &mut impl Iterator<Item = std::io::Result<String>>, word: &str) -> String {
    let line = lines.map(Result::unwrap).find(|line| line.starts_with(word)).unwrap();
    line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

#[test]
fn a_page_and_metrics_follow_a_run() {
    let harness = Harness::new(&scenario("upsert-retry", true, STEADY));
    let mut child = harness.command(&["run", "s.toml", "--live", "--prometheus", "127.0.0.1:0"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (live, metrics) = (address(&mut lines, "live: "), address(&mut lines, "metrics: "));
    let page = get(&live, "/");
    assert!(
        page.contains("content-security-policy: default-src 'none'") && page.contains("<title>onlyone, live"),
        "{page}"
    );
    let state = get(&live, "/state");
    assert!(state.contains("\"scenario\":\"t\"") && state.contains("\"violations\":0"), "{state}");
    let text = get(&metrics, "/metrics");
    assert!(text.contains("onlyone_operations_total") && text.ends_with("# EOF\n"), "{text}");
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).count());
    let output = child.wait_with_output().unwrap();
    rest.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let kept = std::fs::read_to_string(harness.run_dir().join("metrics.txt")).unwrap();
    assert!(kept.contains("db_client_operation_duration_seconds_count"), "{kept}");
}

#[test]
fn events_are_all_that_is_on_stdout() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    let ran = harness.run(&["run", "s.toml", "--events", "ndjson", "--quiet"]).expect(0, &[]);
    let events: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("started", "finished"), "{}", ran.shown());
    let last = &events[events.len() - 1];
    assert_eq!((last["verdict"].as_str(), last["exit_code"].as_u64()), (Some("holds"), Some(0)));
    // The serial control is counted, too.
    assert_eq!(events[events.len() - 2]["operations"], 80 + 20);
    let refused = harness.run(&["run", "s.toml", "--prometheus", "0.0.0.0:9464"]);
    refused.expect(2, &["only a loopback address is served"]);
}

#[test]
fn metrics_go_to_a_collector_and_one_that_is_gone_is_no_verdict() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let collector = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").unwrap();
        (head, serde_json::from_slice::<serde_json::Value>(&body).unwrap())
    });
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    harness.run(&["run", "s.toml", "--quiet", "--otlp", &url]).expect(0, &[]);
    let (head, body) = collector.join().unwrap();
    assert!(head.starts_with("POST /v1/metrics "), "{head}");
    let metric = &body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
    assert_eq!(metric["name"], "db.client.operation.duration");
    // Nobody listens there any more.
    let gone = harness.run(&["run", "s.toml", "--quiet", "--otlp", &url.replace("http://", "http://user:secret@")]);
    let gone = gone.expect(0, &["metrics could not be sent to the collector at 127.0.0.1"]);
    assert!(!gone.stderr.contains("secret"), "{}", gone.shown());
}
